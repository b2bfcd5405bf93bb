//! A raw-socket user agent and a roster for the tests: independent of the crate's own parser.
#![allow(dead_code)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sip::sdp::{AudioCodec, Capabilities, Direction, Session};
use sip::*;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub const DEADLINE: Duration = Duration::from_secs(10);
pub const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

pub fn sdp() -> Session {
    sip::sdp::offer(&Capabilities {
        rtp: "127.0.0.1:5004".parse().unwrap(),
        rtcp: None,
        codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
        telephone_event: true,
        direction: Direction::SendRecv,
        session_id: 7,
        version: 1,
    })
}

/// Users with password `pw` in the realms `acct.test` and `second.test`; calls to or from user names that begin with `trunk` are a trunk's.
#[derive(Default)]
pub struct Book {
    pub bindings: Mutex<HashMap<(String, String), Binding>>,
    /// Another password than `pw`.
    pub password: Mutex<Option<String>>,
    /// Closed: whoever asks for a credential gets the one of this moment, but waits for it.
    pub gate: Option<Arc<tokio::sync::Semaphore>>,
    /// Told each time somebody waits there.
    pub waiting: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl Roster for Book {
    async fn realm(&self, domain: &str) -> Result<Option<String>, RosterError> {
        Ok(match domain {
            "acct.test" | "phone.plivo.com" | "127.0.0.1" => Some("acct.test".to_owned()),
            "second.test" => Some("second.test".to_owned()),
            _ => None,
        })
    }

    async fn credential(&self, realm: &str, username: &str) -> Result<Option<Credential>, RosterError> {
        let password = self.password.lock().unwrap().clone().unwrap_or_else(|| "pw".to_owned());
        if let Some(gate) = &self.gate {
            self.waiting.notify_one();
            gate.acquire().await.unwrap().forget();
        }
        Ok(matches!(username, "alice" | "bob" | "carol").then(|| Credential {
            registers: true,
            account: "MA1".to_owned(),
            endpoint: format!("ep-{username}"),
            aor: format!("{username}@{realm}"),
            ha1_md5: ha1(Algorithm::Md5, username, realm, &password),
            ha1_sha256: ha1(Algorithm::Sha256, username, realm, &password),
        }))
    }

    /// `good` is everybody's token, `brief` is so for 90 s, `outgoing` is for calls alone, `late` nobody's any more.
    async fn token(
        &self,
        realm: &str,
        username: &str,
        token: &str,
        _method: &str,
    ) -> Result<TokenVerdict, RosterError> {
        let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        Ok(match (token, self.credential(realm, username).await?) {
            ("good" | "brief" | "outgoing", Some(credential)) => TokenVerdict::Good {
                credential,
                headers: header("X-Plivo-Jwt", "exp=1999999999;x"),
                until: SystemTime::now() + Duration::from_secs(if token == "brief" { 90 } else { 3_600 }),
                rings: token != "outgoing",
            },
            ("late", _) => TokenVerdict::Refused { headers: header("X-Plivo-Jwt-Error-Code", "10006") },
            _ => TokenVerdict::Unknown,
        })
    }

    async fn trunk(
        &self,
        _source: SocketAddr,
        called: &Party,
        from: &Party,
    ) -> Result<Option<TrunkMatch>, RosterError> {
        let known = called.user.starts_with("trunk") || from.user.starts_with("trunk") || from.user == "sipp";
        Ok(known.then(|| TrunkMatch { account: "MA1".to_owned(), trunk: "t1".to_owned() }))
    }

    async fn save_binding(&self, binding: &Binding) {
        let key = (binding.aor.clone(), binding.contact.clone());
        self.bindings.lock().unwrap().insert(key, binding.clone());
    }

    async fn remove_binding(&self, binding: &Binding) {
        self.bindings.lock().unwrap().remove(&(binding.aor.clone(), binding.contact.clone()));
    }

    async fn load_bindings(&self) -> Vec<Binding> {
        self.bindings.lock().unwrap().values().cloned().collect()
    }
}

pub struct Bench {
    pub sip: Sip,
    pub calls: mpsc::Receiver<Incoming>,
    pub at: SocketAddr,
    pub tcp: SocketAddr,
    pub book: Arc<Book>,
}

pub fn config() -> SipConfig {
    SipConfig {
        udp: vec!["127.0.0.1:0".parse().unwrap()],
        tcp: vec!["127.0.0.1:0".parse().unwrap()],
        ..SipConfig::default()
    }
}

/// Timers short enough for a test to see their end: 64 × T1 is 1.28 s.
pub fn hasty() -> Timers {
    Timers { t1: Duration::from_millis(20), t2: Duration::from_millis(160), t4: Duration::from_millis(200) }
}

impl Bench {
    pub async fn new() -> Bench {
        Bench::with(config()).await
    }

    pub async fn with(config: SipConfig) -> Bench {
        Bench::over(config, Arc::new(Book::default())).await
    }

    pub async fn over(config: SipConfig, book: Arc<Book>) -> Bench {
        let (sip, calls) = Sip::start(config, book.clone()).await.unwrap();
        let addrs = sip.local_addrs();
        Bench { sip, calls, at: addrs.udp[0], tcp: addrs.tcp[0], book }
    }

    pub async fn call(&mut self) -> Incoming {
        timeout(DEADLINE, self.calls.recv()).await.expect("no call came").expect("stopped")
    }

    pub fn outgoing(&self, to: &str) -> Outgoing {
        Outgoing {
            target: Target::Uri(to.to_owned()),
            from: Party { user: "1000".into(), host: "acct.test".into(), display: "Aside \"A\"".into() },
            to: None,
            headers: vec![("X-PH-Team".into(), "north".into())],
            offer: sdp(),
            auth: None,
            route: None,
            transport: None,
        }
    }

    /// Waits until a gauge or counter has a value.
    pub async fn until(&self, what: &str, value: u64) {
        let reached = timeout(DEADLINE, async {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            loop {
                tick.tick().await;
                if self.counter(what) == value {
                    return;
                }
            }
        });
        assert!(reached.await.is_ok(), "{what} is {}, not {value}", self.counter(what));
    }

    pub fn counter(&self, what: &str) -> u64 {
        self.sip.counters().all().into_iter().find(|(n, _)| *n == what).unwrap().1
    }
}

pub async fn event(leg: &mut Leg) -> LegEvent {
    timeout(DEADLINE, leg.next()).await.expect("no event").expect("no event left")
}

/// A received message.
#[derive(Debug, Clone)]
pub struct Got(pub String);

impl Got {
    pub fn start(&self) -> &str {
        self.0.split("\r\n").next().unwrap()
    }

    pub fn code(&self) -> u16 {
        self.start().split(' ').nth(1).and_then(|c| c.parse().ok()).unwrap_or(0)
    }

    pub fn method(&self) -> &str {
        self.start().split(' ').next().unwrap()
    }

    pub fn all(&self, name: &str) -> Vec<String> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.split("\r\n")
            .skip(1)
            .filter_map(|l| l.split_once(": "))
            .filter(|(n, _)| *n == name)
            .map(|(_, v)| v.to_owned())
            .collect()
    }

    pub fn get(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }

    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, b)| b)
    }

    /// A response to this request.
    pub fn reply(&self, code: &str, tag: &str, extra: &str, body: &str) -> String {
        let mut out = format!("SIP/2.0 {code}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in self.all(name) {
                let tagged = name != "To" || tag.is_empty() || value.contains(";tag=");
                out.push_str(&match tagged {
                    true => format!("{name}: {value}\r\n"),
                    false => format!("{name}: {value};tag={tag}\r\n"),
                });
            }
        }
        out.push_str(extra);
        out.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        out
    }
}

/// The simplest message for [`build`].
pub const PLAIN: &str = "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)\r\n";

/// A message from a template: `$V` is a good Via, `$M(METHOD)` the mandatory headers after it, `$B` an SDP body with its
/// headers, `$A` our address, `$L` a long word, `$X` bytes that are no text.
pub fn build(n: usize, template: &str, ua: &Ua) -> Vec<u8> {
    const NO_TEXT: &str = "\u{e000}";
    let mut text = template.replace("$V", &format!("Via: SIP/2.0/UDP {};rport;branch=z9hG4bKt{n}\r\n", ua.at));
    for (name, value) in [
        ("$B", format!("Content-Type: application/sdp\r\n\r\n{OFFER}")),
        ("$A", ua.at.to_string()),
        ("$L", "long".repeat(64)),
        ("$X", NO_TEXT.to_owned()),
    ] {
        text = text.replace(name, &value);
    }
    while let Some((before, rest)) = text.split_once("$M(") {
        let (method, after) = rest.split_once(')').unwrap();
        text = format!(
            "{before}From: <sip:trunk@h>;tag=f{n}\r\nTo: <sip:b@h>\r\nCall-ID: torture{n}\r\nCSeq: 1 {method}\r\n{after}"
        );
    }
    let parts: Vec<&[u8]> = text.split(NO_TEXT).map(str::as_bytes).collect();
    parts.join(&[0x80, 0xff, 0x00, 0xfe, b'\n'][..])
}

pub struct Ua {
    pub socket: UdpSocket,
    pub at: SocketAddr,
    pub server: SocketAddr,
}

impl Ua {
    pub async fn new(server: SocketAddr) -> Ua {
        Ua::at("127.0.0.1", server).await
    }

    /// One at another address of this machine.
    pub async fn at(ip: &str, server: SocketAddr) -> Ua {
        let socket = UdpSocket::bind((ip, 0)).await.unwrap();
        let at = socket.local_addr().unwrap();
        Ua { socket, at, server }
    }

    pub async fn send_bytes(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).await.unwrap();
    }

    pub async fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.server).await.unwrap();
    }

    pub async fn try_recv(&self, wait: Duration) -> Option<Got> {
        let mut buffer = vec![0; 65_536];
        let (n, _) = timeout(wait, self.socket.recv_from(&mut buffer)).await.ok()?.ok()?;
        Some(Got(String::from_utf8(buffer[..n].to_vec()).unwrap()))
    }

    pub async fn recv(&self) -> Got {
        self.try_recv(DEADLINE).await.expect("nothing received")
    }

    /// The next final response.
    pub async fn last(&self) -> Got {
        loop {
            let got = self.recv().await;
            if got.code() >= 200 {
                return got;
            }
        }
    }

    /// The next request of that method; others are skipped.
    pub async fn request(&self, method: &str) -> Got {
        loop {
            let got = self.recv().await;
            if got.method() == method {
                return got;
            }
        }
    }

    pub fn contact(&self) -> String {
        format!("Contact: <sip:ua@{}>\r\n", self.at)
    }

    /// A request; `call` names Call-ID, tags and branch.
    pub fn message(&self, method: &str, call: &Call, cseq: u32, extra: &str, body: &str) -> String {
        let to_tag = if call.to_tag.is_empty() { String::new() } else { format!(";tag={}", call.to_tag) };
        let kind = if body.starts_with("v=0") { "Content-Type: application/sdp\r\n" } else { "" };
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{}{cseq}{};rport\r\nMax-Forwards: 70\r\n\
             From: <{}>;tag={}\r\nTo: <{}>{to_tag}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{extra}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            call.uri,
            self.at,
            call.id,
            if matches!(method, "INVITE" | "CANCEL") { "" } else { method },
            call.from,
            call.from_tag,
            call.to,
            call.id,
            body.len()
        )
    }

    #[allow(clippy::too_many_arguments)]
    /// Answers the challenge in `got`.
    pub fn credentials(
        &self,
        got: &Got,
        user: &str,
        password: &str,
        method: &str,
        uri: &str,
        nc: u32,
        sha: bool,
    ) -> String {
        credentials(got, user, password, method, uri, nc, sha)
    }
}

/// Answers the challenge in `got`. `sha` picks among several.
pub fn credentials(got: &Got, user: &str, password: &str, method: &str, uri: &str, nc: u32, sha: bool) -> String {
    let (name, header) = match got.code() {
        401 => ("WWW-Authenticate", "Authorization"),
        _ => ("Proxy-Authenticate", "Proxy-Authorization"),
    };
    let wanted = if sha { "SHA-256" } else { "MD5" };
    let challenge = got.all(name).into_iter().find(|c| c.contains(&format!("algorithm={wanted}"))).unwrap();
    let field = |n: &str| {
        let rest = challenge.split(&format!("{n}=\"")).nth(1).unwrap_or("");
        rest.split('"').next().unwrap().to_owned()
    };
    let (realm, nonce, opaque) = (field("realm"), field("nonce"), field("opaque"));
    let algorithm = if sha { Algorithm::Sha256 } else { Algorithm::Md5 };
    // ha1() hashes three texts joined by colons: HA2 and the response are built from the same shape.
    let h = |a: &str, b: &str, c: &str| ha1(algorithm, a, b, c);
    let one = h(user, &realm, password);
    let (m, u) = uri.split_once(':').unwrap();
    let two = h(method, m, u);
    let nc = format!("{nc:08x}");
    let response = h(&one, &nonce, &format!("{nc}:cn:auth:{two}"));
    format!(
        "{header}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={wanted}, qop=auth, nc={nc}, cnonce=\"cn\", opaque=\"{opaque}\"\r\n"
    )
}

#[derive(Debug, Clone)]
pub struct Call {
    pub id: String,
    pub uri: String,
    pub from: String,
    pub to: String,
    pub from_tag: String,
    pub to_tag: String,
}

impl Call {
    pub fn new(id: &str, from: &str, to: &str) -> Call {
        Call {
            id: id.to_owned(),
            uri: to.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            from_tag: format!("f{id}"),
            to_tag: String::new(),
        }
    }

    /// Learns the tag and target from a response.
    pub fn learn(&mut self, got: &Got) {
        self.to_tag = got.get("To").split("tag=").nth(1).unwrap_or("").to_owned();
        if let Some(uri) = got.get("Contact").split(['<', '>']).nth(1) {
            self.uri = uri.to_owned();
        }
    }
}

/// A call from a trunk, up and acknowledged.
pub async fn up(bench: &mut Bench, ua: &Ua, id: &str) -> (Leg, Call) {
    let mut call = Call::new(id, "sip:trunk@carrier.test", "sip:+15550001@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    let ok = ua.last().await;
    assert_eq!(ok.code(), 200, "{ok:?}");
    call.learn(&ok);
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    (leg, call)
}

/// A call of ours to `ua`, up.
pub async fn out(bench: &Bench, ua: &Ua) -> (Leg, Got) {
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    ua.send(&invite.reply("200 OK", "u1", &format!("{}Content-Type: application/sdp\r\n", ua.contact()), OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
    ua.request("ACK").await;
    (leg, invite)
}

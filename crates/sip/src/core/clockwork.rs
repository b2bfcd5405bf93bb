//! The core under a clock of the tests: session timers are minutes long, and exact.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Core;
use crate::access::Access;
use crate::config::{Limits, SipConfig};
use crate::counters::Counters;
use crate::leg::{Action, By, Command, Incoming, Leg, LegEvent};
use crate::parse::datagram;
use crate::roster::{Binding, Credential, Party, Roster, RosterError, TrunkMatch};
use crate::sdp::Session;
use crate::transport::{Flow, Input, Transport, Wire};

pub(super) const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Every call is a trunk's.
struct Carriers;

#[async_trait]
impl Roster for Carriers {
    async fn realm(&self, _domain: &str) -> Result<Option<String>, RosterError> {
        Ok(None)
    }

    async fn credential(&self, _realm: &str, _username: &str) -> Result<Option<Credential>, RosterError> {
        Ok(None)
    }

    async fn trunk(
        &self,
        _source: SocketAddr,
        _called: &Party,
        _from: &Party,
    ) -> Result<Option<TrunkMatch>, RosterError> {
        Ok(Some(TrunkMatch { account: "a".into(), trunk: "t".into() }))
    }

    async fn save_binding(&self, _binding: &Binding) {}

    async fn remove_binding(&self, _binding: &Binding) {}

    async fn load_bindings(&self) -> Vec<Binding> {
        Vec::new()
    }
}

pub(super) struct Clockwork {
    pub core: Core,
    pub counters: Arc<Counters>,
    began: Instant,
    pub now: Instant,
    flow: Flow,
    peer: UdpSocket,
    commands: mpsc::Receiver<Command>,
    calls: mpsc::Receiver<Incoming>,
    tag: String,
    cseq: u32,
    _input: mpsc::Receiver<Input>,
}

impl Clockwork {
    pub async fn new() -> Clockwork {
        let config = Arc::new(SipConfig { udp: vec!["127.0.0.1:0".parse().unwrap()], ..SipConfig::default() });
        let counters = Arc::new(Counters::default());
        let (input, _input) = mpsc::channel(16);
        let wire = Wire::open(&config, counters.clone(), input, CancellationToken::new()).await.unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let flow =
            Flow { transport: Transport::Udp, local: wire.udp[0].0, remote: peer.local_addr().unwrap(), connection: 0 };
        let access = Arc::new(Access::new(config.clone(), Arc::new(Carriers), counters.clone()));
        let (sender, commands) = mpsc::channel(16);
        let (calling, calls) = mpsc::channel(16);
        let core = Core::new(config, counters.clone(), wire, access, sender, calling);
        let began = Instant::now();
        Clockwork {
            core,
            counters,
            began,
            now: began,
            flow,
            peer,
            commands,
            calls,
            tag: String::new(),
            cseq: 0,
            _input,
        }
    }

    /// Lets the clock stand at so many seconds after the beginning, everything before that having happened at its time.
    pub fn at(&mut self, seconds: u64) {
        let end = self.began + Duration::from_secs(seconds);
        while self.now < end {
            self.now += Duration::from_millis(250);
            self.core.fire(self.now);
        }
    }

    pub fn says(&mut self, text: &str) {
        let message = datagram(text.as_bytes(), self.flow.remote, &Limits::default()).unwrap();
        self.core.receive(Input::Message(message, self.flow), self.now);
    }

    pub fn request(&mut self, method: &str, extra: &str, body: &str) {
        if method != "ACK" {
            self.cseq += 1;
        }
        let (cseq, at) = (self.cseq, self.flow.remote);
        let tag = if self.tag.is_empty() { String::new() } else { format!(";tag={}", self.tag) };
        let kind = if body.starts_with("v=0") { "Content-Type: application/sdp\r\n" } else { "" };
        self.says(&format!(
            "{method} sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bK{method}{cseq}\r\nFrom: <sip:a@h>;tag=p\r\n\
             To: <sip:1@h>{tag}\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\nContact: <sip:a@{at}>\r\n{extra}{kind}\r\n{body}"
        ));
    }

    /// What was sent to the peer; nothing, if nothing is there when it must be: sending does not wait.
    pub async fn sent(&self) -> Option<String> {
        let mut buffer = vec![0; 65_536];
        let read = tokio::time::timeout(Duration::from_millis(50), self.peer.recv(&mut buffer)).await;
        read.ok().map(|length| String::from_utf8(buffer[..length.unwrap()].to_vec()).unwrap())
    }

    /// The next message to the peer that begins so; others are passed over.
    pub async fn hears(&self, start: &str) -> String {
        while let Some(text) = self.sent().await {
            if text.starts_with(start) {
                return text;
            }
        }
        panic!("no {start} was sent")
    }

    /// A call that is up, and what its 200 said of the session's length.
    pub async fn up(&mut self, session_expires: &str) -> (Leg, String) {
        self.request("INVITE", &format!("Supported: timer\r\nSession-Expires: {session_expires}\r\n"), SDP);
        let admitted = self.commands.recv().await.unwrap();
        self.core.command(admitted, self.now);
        let mut leg = self.calls.recv().await.unwrap().leg;
        self.core
            .act(leg.control.id, Action::Answer(Session::parse(SDP.as_bytes()).unwrap(), Vec::new()), self.now)
            .unwrap();
        let ok = self.hears("SIP/2.0 200").await;
        self.tag = header(&ok, "To").split("tag=").nth(1).unwrap().to_owned();
        self.request("ACK", "", "");
        assert_eq!(leg.next().await, Some(LegEvent::Acked { answer: None }));
        (leg, header(&ok, "Session-Expires"))
    }

    pub fn answers(&mut self, request: &str, code: &str, extra: &str, body: &str) {
        let lines: String = ["Via", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .map(|name| format!("{name}: {}\r\n", header(request, name)))
            .collect();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        self.says(&format!("SIP/2.0 {code}\r\n{lines}{extra}{kind}\r\n{body}"));
    }
}

pub(super) fn header(text: &str, name: &str) -> String {
    let line = text.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_session_that_we_promised_to_refresh_is_refreshed_at_each_half_time() {
    let mut clock = Clockwork::new().await;
    let (_leg, agreed) = clock.up("90;refresher=uas").await;
    assert_eq!(agreed, "90;refresher=uas");
    for half in [45, 90, 135] {
        clock.at(half - 1);
        assert_eq!(clock.sent().await, None);
        clock.at(half);
        let refresh = clock.hears("INVITE ").await;
        assert_eq!(header(&refresh, "Session-Expires"), "90;refresher=uac");
        // The session description is the one that stands, version and all.
        assert!(refresh.ends_with(&Session::parse(SDP.as_bytes()).unwrap().to_string()), "{refresh}");
        clock.answers(&refresh, "200 OK", "Session-Expires: 90;refresher=uac\r\n", SDP);
        clock.hears("ACK ").await;
    }
    assert_eq!(clock.core.dialogs.len(), 1);
}

#[tokio::test]
async fn a_refresh_that_meets_glare_is_tried_again_and_one_that_nobody_answers_ends_the_call() {
    let mut clock = Clockwork::new().await;
    let (mut leg, _) = clock.up("90;refresher=uas").await;
    clock.at(45);
    let refresh = clock.hears("INVITE ").await;
    clock.answers(&refresh, "491 Request Pending", "", "");
    clock.hears("ACK ").await;
    // We are not the owner of the Call-ID: within two seconds (RFC 3261 §14.1).
    clock.at(47);
    let again = clock.hears("INVITE ").await;
    assert_ne!(header(&again, "CSeq"), header(&refresh, "CSeq"));
    clock.at(47 + 32);
    assert!(matches!(leg.next().await, Some(LegEvent::Ended { by: By::Timeout, .. })));
    clock.hears("BYE ").await;
    clock.at(47 + 32 + 33);
    assert_eq!((clock.core.dialogs.len(), clock.core.clients.len()), (0, 0));
}

#[tokio::test]
async fn a_session_that_the_peer_promised_to_refresh_lasts_as_long_as_he_does() {
    let mut clock = Clockwork::new().await;
    let (mut leg, agreed) = clock.up("90").await;
    assert_eq!(agreed, "90;refresher=uac");
    clock.at(50);
    clock.request("UPDATE", "Session-Expires: 90;refresher=uac\r\n", "");
    assert_eq!(header(&clock.hears("SIP/2.0 200").await, "Session-Expires"), "90;refresher=uac");
    // A third before the end, but at most 32 s (RFC 4028 §10): 50 + 60.
    clock.at(109);
    assert_eq!(clock.sent().await, None);
    clock.at(110);
    assert!(header(&clock.hears("BYE ").await, "Reason").contains("session expired"));
    assert!(matches!(leg.next().await, Some(LegEvent::Ended { by: By::Timeout, .. })));
    assert_eq!(clock.counters.sessions_expired.get(), 1);
    clock.at(110 + 33);
    assert_eq!((clock.core.dialogs.len(), clock.core.clients.len()), (0, 0));
}

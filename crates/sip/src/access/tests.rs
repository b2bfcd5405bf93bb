//! Requests decided by a roster that counts what it is asked and can be made to fail.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use async_trait::async_trait;

use super::*;
use crate::config::Limits;
use crate::digest::{Algorithm, Challenge, ha1};
use crate::message::Message;
use crate::parse::datagram;
use crate::roster::{Binding, TrunkMatch};
use crate::transport::Transport;

const GOOD: &str = "pw";

/// The realm `r` with the user `bob`; calls to `trunk` are a trunk's.
#[derive(Default)]
struct Book {
    fails: AtomicBool,
    /// Only credentials cannot be read.
    fails_late: AtomicBool,
    credentials: AtomicUsize,
}

impl Book {
    fn asked(&self, fails: bool) -> Result<(), RosterError> {
        if fails { Err(RosterError("the database is busy".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Roster for Book {
    async fn realm(&self, domain: &str) -> Result<Option<String>, RosterError> {
        self.asked(self.fails.load(Ordering::SeqCst))?;
        Ok((domain == "r").then(|| domain.to_owned()))
    }

    async fn credential(&self, realm: &str, username: &str) -> Result<Option<Credential>, RosterError> {
        self.credentials.fetch_add(1, Ordering::SeqCst);
        self.asked(self.fails.load(Ordering::SeqCst) || self.fails_late.load(Ordering::SeqCst))?;
        Ok((username == "bob").then(|| Credential {
            registers: true,
            account: "a".to_owned(),
            endpoint: "e".to_owned(),
            aor: "bob@r".to_owned(),
            ha1_md5: ha1(Algorithm::Md5, username, realm, GOOD),
            ha1_sha256: ha1(Algorithm::Sha256, username, realm, GOOD),
        }))
    }

    async fn trunk(
        &self,
        _source: std::net::SocketAddr,
        called: &Party,
        _from: &Party,
    ) -> Result<Option<TrunkMatch>, RosterError> {
        self.asked(self.fails.load(Ordering::SeqCst))?;
        Ok((called.user == "trunk").then(|| TrunkMatch { account: "a".to_owned(), trunk: "t".to_owned() }))
    }

    async fn save_binding(&self, _binding: &Binding) {}

    async fn remove_binding(&self, _binding: &Binding) {}

    async fn load_bindings(&self) -> Vec<Binding> {
        Vec::new()
    }
}

struct Bench {
    access: Access,
    book: Arc<Book>,
    counters: Arc<Counters>,
    flow: Flow,
    sent: u32,
}

impl Bench {
    fn new() -> Bench {
        let limits = Limits { auth_failures: 3, ..Limits::default() };
        let config = Arc::new(SipConfig { limits, ..SipConfig::default() });
        let (book, counters) = (Arc::new(Book::default()), Arc::new(Counters::default()));
        let access = Access::new(config, book.clone(), counters.clone());
        let (local, remote) = ("192.0.2.9:5060".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
        Bench { access, book, counters, flow, sent: 0 }
    }

    fn request(&mut self, method: &str, uri: &str, headers: &[String]) -> Request {
        self.sent += 1;
        let (n, remote) = (self.sent, self.flow.remote);
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};rport;branch=z9hG4bK{n}\r\nFrom: <sip:bob@r>;tag=p\r\n\
             To: <sip:bob@r>\r\nCall-ID: c\r\nCSeq: {n} {method}\r\nContact: <sip:bob@192.0.2.1>\r\n{more}\r\n"
        );
        match datagram(text.as_bytes(), remote, &Limits::default()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    async fn register(&mut self, headers: &[String]) -> Reply {
        let request = self.request("REGISTER", "sip:r", headers);
        self.access.register(&request, self.flow).await
    }

    async fn challenge(&mut self) -> Challenge {
        let reply = self.register(&[]).await;
        assert_eq!(reply.code, 401);
        Challenge::parse(&reply.headers[0].1).unwrap()
    }

    async fn calls(&mut self, to: &str) -> Reply {
        let request = self.request("INVITE", &format!("sip:{to}@r"), &[]);
        self.access.call(&request, self.flow).await.unwrap_err()
    }

    fn asked(&self) -> usize {
        self.book.credentials.load(Ordering::SeqCst)
    }
}

fn answer(challenge: &Challenge, password: &str, count: u32) -> String {
    format!("Authorization: {}", challenge.answer(("bob", password), "REGISTER", "sip:r", count, "cn"))
}

/// Answers to a challenge that nobody was given.
fn garbage(n: usize) -> String {
    format!(
        "Authorization: Digest username=\"bob\", realm=\"r\", nonce=\"{n:064x}\", uri=\"sip:r\", response=\"{:064x}\", \
         algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"cn\"",
        0
    )
}

fn later(reply: &Reply) -> bool {
    reply.code == 503 && reply.headers.iter().any(|(name, _)| name == "Retry-After")
}

#[tokio::test]
async fn a_failing_roster_puts_everybody_off_and_locks_nobody_out() {
    let mut bench = Bench::new();
    let challenge = bench.challenge().await;
    for (fails, fails_late) in [(true, false), (false, true)] {
        bench.book.fails.store(fails, Ordering::SeqCst);
        bench.book.fails_late.store(fails_late, Ordering::SeqCst);
        for _ in 0..10 {
            let reply = bench.register(&[answer(&challenge, GOOD, 1)]).await;
            assert!(later(&reply), "{reply:?}");
        }
    }
    bench.book.fails.store(true, Ordering::SeqCst);
    for to in ["trunk", "1"] {
        let reply = bench.calls(to).await;
        assert!(later(&reply), "{reply:?}");
    }
    bench.book.fails.store(false, Ordering::SeqCst);
    bench.book.fails_late.store(false, Ordering::SeqCst);
    assert_eq!((bench.counters.roster_failed.get(), bench.counters.auth_failures.get()), (22, 0));
    assert_eq!((bench.counters.challenges.get(), bench.counters.foreign_domain.get()), (1, 0));
    assert_eq!(bench.register(&[answer(&challenge, GOOD, 1)]).await.code, 200);
}

#[tokio::test]
async fn made_up_nonces_and_guesses_of_the_locked_out_ask_the_roster_nothing() {
    let mut bench = Bench::new();
    let heap: Vec<String> = (0..80).map(garbage).collect();
    let reply = bench.register(&heap).await;
    assert_eq!((reply.code, bench.asked(), bench.counters.auth_stale.get()), (401, 0, 2));
    let challenge = bench.challenge().await;
    for _ in 0..3 {
        assert_eq!(bench.register(&[answer(&challenge, "guess", 1)]).await.code, 401);
    }
    assert_eq!(bench.asked(), 3);
    assert_eq!(bench.register(&[answer(&challenge, "guess", 1)]).await.code, 403);
    assert_eq!((bench.asked(), bench.counters.locked_out.get()), (3, 1));
}

#[tokio::test]
async fn no_more_than_two_answers_of_a_request_are_looked_at() {
    let mut bench = Bench::new();
    let challenge = bench.challenge().await;
    let guesses: Vec<String> = (0..20).map(|n| answer(&challenge, "guess", n)).collect();
    assert_eq!(bench.register(&guesses).await.code, 401);
    assert_eq!((bench.asked(), bench.counters.auth_failures.get()), (2, 2));
}

#[tokio::test]
async fn a_forged_answer_does_not_take_from_a_phone_the_offer_of_md5_alone() {
    for (forged, offered) in [(true, 1), (false, 2)] {
        let mut bench = Bench::new();
        let challenge = bench.challenge().await;
        assert_eq!(challenge.algorithm, Algorithm::Sha256);
        // The phone knows MD5 alone. As if it was offered that in a moment, so that nothing here comes long after it.
        let phone = bench.request("REGISTER", "sip:r", &[]);
        let asker = bench.access.asker(&phone, "r", bench.flow);
        let soon = Instant::now() + Duration::from_secs(60);
        assert!(bench.access.offers.md5_alone(asker, 1, "", soon));
        let header = if forged { garbage(1) } else { answer(&challenge, "guess", 1) };
        let reply = bench.register(&[header]).await;
        assert_eq!((reply.code, reply.headers.len()), (401, offered), "forged: {forged}, {reply:?}");
    }
}

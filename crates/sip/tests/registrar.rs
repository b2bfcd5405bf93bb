//! Registrations.

mod bench;

use bench::*;
use std::sync::Arc;

use sip::{Limits, RegistrationBounds, SipConfig, Target, Transport};

struct Phone {
    ua: Ua,
    user: &'static str,
    domain: &'static str,
    challenge: Option<Got>,
    nc: u32,
    cseq: u32,
}

impl Phone {
    async fn new(bench: &Bench, user: &'static str, domain: &'static str) -> Phone {
        Phone { ua: Ua::new(bench.at).await, user, domain, challenge: None, nc: 0, cseq: 0 }
    }

    fn uri(&self) -> String {
        format!("sip:{}", self.domain)
    }

    async fn plain(&mut self, extra: &str) -> Got {
        self.cseq += 1;
        let aor = format!("sip:{}@{}", self.user, self.domain);
        let mut call = Call::new(&format!("reg{}", self.user), &aor, &aor);
        call.uri = self.uri();
        self.ua.send(&self.ua.message("REGISTER", &call, self.cseq, extra, "")).await;
        self.ua.last().await
    }

    /// REGISTER with credentials for the last challenge; gets one first if there is none.
    async fn register(&mut self, password: &str, sha: bool, extra: &str) -> Got {
        if self.challenge.is_none() {
            let got = self.plain(extra).await;
            assert_eq!(got.code(), 401, "{got:?}");
            self.challenge = Some(got);
            self.nc = 0;
        }
        self.nc += 1;
        let challenge = self.challenge.clone().unwrap();
        let auth = self.ua.credentials(&challenge, self.user, password, "REGISTER", &self.uri(), self.nc, sha);
        self.plain(&format!("{auth}{extra}")).await
    }
}

const NAT: &str = "Contact: <sip:alice%20x@10.1.2.3:5099>;q=0.3;expires=120\r\n";

#[tokio::test]
async fn one_nonce_serves_twenty_refreshes_and_a_replayed_count_none() {
    let bench = Bench::new().await;
    for (user, sha) in [("alice", false), ("bob", true)] {
        let mut phone = Phone::new(&bench, user, "acct.test").await;
        for _ in 0..20 {
            let got = phone.register("pw", sha, NAT).await;
            assert_eq!(got.code(), 200, "{got:?}");
            assert_eq!(got.get("Contact"), "<sip:alice%20x@10.1.2.3:5099>;expires=120");
        }
        phone.nc -= 1;
        let got = phone.register("pw", sha, NAT).await;
        assert_eq!(got.code(), 401);
        assert!(got.get("WWW-Authenticate").contains("stale=true"));
    }
    assert_eq!((bench.counter("auth_ok"), bench.counter("auth_replays")), (40, 2));
    assert_eq!(bench.counter("bindings_bound"), 2);
}

#[tokio::test]
async fn a_phone_behind_a_nat_is_called_where_its_register_came_from() {
    let bench = Bench::new().await;
    let mut phone = Phone::new(&bench, "alice", "phone.plivo.com").await;
    assert_eq!(phone.register("pw", true, NAT).await.code(), 200);
    let contact = bench.sip.contacts("alice@acct.test").remove(0);
    assert_eq!((contact.binding.source, contact.binding.transport), (phone.ua.at, Transport::Udp));
    let mut call = bench.outgoing("sip:unused@h");
    call.target = Target::Contact(Box::new(contact));
    let _leg = bench.sip.invite(call).await.unwrap();
    assert_eq!(phone.ua.request("INVITE").await.start(), "INVITE sip:alice%20x@10.1.2.3:5099 SIP/2.0");
}

#[tokio::test]
async fn contacts_are_listed_bounded_and_removed() {
    let limits = Limits { contacts: 3, ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let mut phone = Phone::new(&bench, "alice", "acct.test").await;
    for n in 0..5 {
        let got = phone.register("pw", true, &format!("Contact: <sip:a@10.0.0.{n}>\r\nExpires: 100\r\n")).await;
        assert_eq!(got.all("Contact").len(), (n + 1).min(3));
    }
    assert_eq!(bench.book.bindings.lock().unwrap().len(), 3);
    assert_eq!(phone.register("pw", true, "").await.all("Contact").len(), 3);
    let brief = phone.register("pw", true, "Contact: <sip:a@10.0.0.9>;expires=5\r\n").await;
    assert_eq!((brief.code(), brief.get("Min-Expires").as_str()), (423, "60"));
    let gone = phone.register("pw", true, "Contact: <sip:a@10.0.0.4>;expires=0\r\n").await;
    assert_eq!(gone.all("Contact").len(), 2);
    assert_eq!(phone.register("pw", true, "Contact: *\r\n").await.code(), 400);
    let none = phone.register("pw", true, "Contact: *\r\nExpires: 0\r\n").await;
    assert_eq!((none.code(), none.all("Contact").len()), (200, 0));
    assert!(bench.sip.contacts("alice@acct.test").is_empty());
    assert!(bench.book.bindings.lock().unwrap().is_empty());
}

#[tokio::test]
async fn registrations_survive_a_restart_and_run_out() {
    let registration = RegistrationBounds { min: 1, max: 3_600, default: 600 };
    let bench = Bench::with(SipConfig { registration, ..config() }).await;
    let mut phone = Phone::new(&bench, "alice", "acct.test").await;
    assert_eq!(phone.register("pw", true, "Contact: <sip:a@10.0.0.1>;expires=2\r\n").await.code(), 200);
    bench.sip.stop().await;
    let bench = Bench::over(SipConfig { registration, ..config() }, bench.book.clone()).await;
    assert_eq!(bench.sip.contacts("alice@acct.test").len(), 1);
    bench.until("bindings_expired", 1).await;
    assert!(bench.sip.contacts("alice@acct.test").is_empty());
    bench.until("bindings_bound", 0).await;
    assert!(bench.book.bindings.lock().unwrap().is_empty());
}

#[tokio::test]
async fn users_cannot_be_told_apart_by_the_answer_and_guessing_is_locked_out() {
    let limits = Limits { auth_failures: 4, ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let mut seen = Vec::new();
    for user in ["alice", "nobody"] {
        let mut phone = Phone::new(&bench, user, "acct.test").await;
        let mut answers = Vec::new();
        for _ in 0..5 {
            let got = phone.register("wrong", true, NAT).await;
            answers.push((got.start().to_owned(), got.all("WWW-Authenticate").len()));
        }
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0][3].0, "SIP/2.0 401 Unauthorized");
    assert_eq!(seen[0][4].0, "SIP/2.0 403 Forbidden: too many wrong passwords");
    assert_eq!(bench.counter("locked_out"), 2);
}

#[tokio::test]
async fn nobody_registers_for_another_user_or_a_foreign_domain() {
    let bench = Bench::new().await;
    let mut phone = Phone::new(&bench, "alice", "else.test").await;
    assert_eq!(phone.plain(NAT).await.code(), 404);
    let mut phone = Phone::new(&bench, "alice", "acct.test").await;
    phone.challenge = Some(phone.plain(NAT).await);
    let auth = phone.ua.credentials(phone.challenge.as_ref().unwrap(), "bob", "pw", "REGISTER", &phone.uri(), 1, true);
    assert_eq!(phone.plain(&format!("{auth}{NAT}")).await.code(), 403);
    assert_eq!(bench.counter("bindings_bound"), 0);
}

#[tokio::test]
async fn a_lock_out_holds_for_one_user_of_one_realm_at_one_address() {
    let limits = Limits { auth_failures: 3, ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let mut guesser = Phone::new(&bench, "alice", "acct.test").await;
    for _ in 0..3 {
        assert_eq!(guesser.register("wrong", true, NAT).await.code(), 401);
    }
    assert_eq!(guesser.register("pw", true, NAT).await.code(), 403);
    for (user, domain) in [("alice", "second.test"), ("bob", "acct.test")] {
        let mut phone = Phone::new(&bench, user, domain).await;
        assert_eq!(phone.register("pw", true, NAT).await.code(), 200, "{user}@{domain}");
    }
    let mut elsewhere = Phone::new(&bench, "alice", "acct.test").await;
    elsewhere.ua = Ua::at("127.0.0.2", bench.at).await;
    assert_eq!(elsewhere.register("pw", true, NAT).await.code(), 200);
}

#[tokio::test]
async fn guesses_under_a_forged_address_and_guesses_of_a_neighbour_do_not_lock_the_phone_out() {
    let limits = Limits { auth_failures: 3, ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    // A challenge got elsewhere, answered from the phone's address: what a forger of addresses can do.
    let mut far = Phone::new(&bench, "alice", "acct.test").await;
    far.ua = Ua::at("127.0.0.2", bench.at).await;
    let mut forger = Phone::new(&bench, "alice", "acct.test").await;
    for _ in 0..4 {
        far.cseq += 10;
        let challenge = far.plain(NAT).await;
        forger.challenge = Some(challenge);
        let got = forger.register("wrong", true, NAT).await;
        assert!(got.code() == 401 && got.get("WWW-Authenticate").contains("stale=true"), "{got:?}");
    }
    assert_eq!(bench.counter("auth_failures"), 0);
    let mut phone = Phone::new(&bench, "alice", "acct.test").await;
    assert_eq!(phone.register("pw", true, NAT).await.code(), 200);
    // Somebody behind the same address, with challenges of his own.
    let mut neighbour = Phone::new(&bench, "alice", "acct.test").await;
    neighbour.cseq = 100;
    for _ in 0..3 {
        assert_eq!(neighbour.register("wrong", true, NAT).await.code(), 401);
    }
    assert_eq!(neighbour.register("pw", true, NAT).await.code(), 403);
    phone.cseq = 200;
    assert_eq!(phone.register("pw", true, NAT).await.code(), 200);
}

#[tokio::test]
async fn revoked_registrations_are_gone_at_once_and_others_stay() {
    let bench = Bench::new().await;
    for user in ["alice", "bob", "carol"] {
        let mut phone = Phone::new(&bench, user, "acct.test").await;
        assert_eq!(phone.register("pw", true, NAT).await.code(), 200);
    }
    assert_eq!(bench.sip.revoke("MA1", Some("ep-alice")).await, 1);
    assert!(bench.sip.contacts("alice@acct.test").is_empty());
    assert_eq!((bench.counter("bindings_bound"), bench.book.bindings.lock().unwrap().len()), (2, 2));
    assert_eq!(bench.sip.revoke("MA2", None).await, 0);
    assert_eq!(bench.sip.revoke("MA1", None).await, 2);
    assert_eq!((bench.counter("bindings_bound"), bench.counter("bindings_revoked")), (0, 3));
    assert!(bench.book.bindings.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_register_under_way_when_the_password_changes_does_not_come_in_with_the_old_one() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let book = Arc::new(Book { gate: Some(gate.clone()), ..Book::default() });
    let bench = Bench::over(config(), book.clone()).await;
    let mut phone = Phone::new(&bench, "alice", "acct.test").await;
    phone.challenge = Some(phone.plain(NAT).await);
    let auth =
        phone.ua.credentials(phone.challenge.as_ref().unwrap(), "alice", "pw", "REGISTER", &phone.uri(), 1, true);
    let headers = format!("{auth}{NAT}");
    let asking = phone.plain(&headers);
    let changing = async {
        // It has the old credential in hand.
        book.waiting.notified().await;
        *book.password.lock().unwrap() = Some("new".to_owned());
        bench.sip.revoke("MA1", Some("ep-alice")).await;
        gate.add_permits(100);
    };
    let (got, ()) = tokio::join!(asking, changing);
    assert_eq!(got.code(), 401, "{got:?}");
    assert_eq!(bench.counter("bindings_bound"), 0);
}

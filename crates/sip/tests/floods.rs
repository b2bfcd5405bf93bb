//! Floods of requests from many addresses that never say who they are, on real sockets.

mod bench;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench::*;
use sip::{By, LegEvent, Limits, SipConfig};

/// As many transactions as the test's own phone needs; a single one kept for a stranger's request adds up to far more.
const TRANSACTIONS: usize = 160;

/// Sends what is answered at once, one after the other, each new.
async fn flood(ua: Ua, stop: Arc<AtomicBool>) {
    let methods = ["OPTIONS", "REGISTER", "INVITE", "MESSAGE", "BYE"];
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let call = Call::new(&format!("flood{}{n}", ua.at), "sip:alice@acct.test", "sip:alice@acct.test");
        ua.send(&ua.message(methods[n % methods.len()], &call, 1, &ua.contact(), "")).await;
        // Only as fast as it is answered: the test is about what is kept, not about what a socket's buffer holds.
        ua.try_recv(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_registers_and_calls_while_thirty_addresses_flood() {
    let limits = Limits { transactions: TRANSACTIONS, ..Limits::default() };
    let mut bench = Bench::with(SipConfig { limits, ..config() }).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut flooders = tokio::task::JoinSet::new();
    for n in 2..32 {
        flooders.spawn(flood(Ua::at(&format!("127.0.0.{n}"), bench.at).await, stop.clone()));
    }
    let flooded = async {
        while bench.counter("messages_in") < 20 * TRANSACTIONS as u64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE * 3, flooded).await.expect("the flood does not arrive");
    let phone = Ua::new(bench.at).await;
    let mut line = Call::new("phone", "sip:alice@acct.test", "sip:alice@acct.test");
    line.uri = "sip:acct.test".to_owned();
    phone.send(&phone.message("REGISTER", &line, 1, &phone.contact(), "")).await;
    let auth = phone.credentials(&phone.last().await, "alice", "pw", "REGISTER", &line.uri, 1, true);
    phone.send(&phone.message("REGISTER", &line, 2, &format!("{auth}{}", phone.contact()), "")).await;
    assert_eq!(phone.last().await.code(), 200);
    let mut call = Call::new("call", "sip:alice@acct.test", "sip:1@acct.test");
    phone.send(&phone.message("INVITE", &call, 1, &phone.contact(), OFFER)).await;
    let challenge = phone.last().await;
    phone.send(&phone.message("ACK", &call, 1, "", "")).await;
    let auth = phone.credentials(&challenge, "alice", "pw", "INVITE", &call.uri, 1, true);
    phone.send(&phone.message("INVITE", &call, 2, &format!("{auth}{}", phone.contact()), OFFER)).await;
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    call.learn(&phone.last().await);
    phone.send(&phone.message("ACK", &call, 2, "", "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    phone.send(&phone.message("BYE", &call, 3, "", "")).await;
    assert_eq!(phone.last().await.code(), 200);
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
    assert_eq!(bench.counter("transactions_full"), 0);
    stop.store(true, Ordering::Relaxed);
    while flooders.join_next().await.is_some() {}
    // REGISTER, INVITE and BYE of the phone.
    bench.until("transactions_live", 3).await;
}

#[tokio::test]
async fn a_repeated_invite_gets_the_same_refusal_with_the_same_tag_and_its_ack_is_passed_over() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut tags = Vec::new();
    let foreign = ("sip:a@else.test", "sip:1@else.test");
    for (id, (from, to), body, code) in [
        ("r1", ("sip:alice@acct.test", "sip:1@acct.test"), OFFER, 407),
        ("r2", foreign, OFFER, 403),
        ("r3", foreign, "v=0\r\nbroken\r\n", 488),
    ] {
        let call = Call::new(id, from, to);
        let invite = ua.message("INVITE", &call, 1, &ua.contact(), body);
        ua.send(&invite).await;
        let first = ua.last().await;
        assert_eq!(first.code(), code, "{first:?}");
        bench.until("transactions_live", 0).await;
        for _ in 0..3 {
            ua.send(&invite).await;
            let again = ua.last().await;
            assert_eq!((again.start(), again.get("To")), (first.start(), first.get("To")));
        }
        ua.send(&ua.message("ACK", &Call { to_tag: tag(&first), ..call }, 1, "", "")).await;
        // Nothing answers the ACK: what comes next is this one's.
        ua.send(&ua.message("OPTIONS", &Call::new(&format!("{id}o"), from, to), 1, "", "")).await;
        assert_eq!(ua.recv().await.get("CSeq"), "1 OPTIONS");
        tags.push(tag(&first));
    }
    tags.dedup();
    assert!(tags.len() == 3 && tags.iter().all(|t| t.len() == 16), "{tags:?}");
    assert_eq!((bench.counter("transactions_live"), bench.counter("unknown_dialog")), (0, 0));
}

fn tag(got: &Got) -> String {
    got.get("To").split("tag=").nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn an_authenticated_register_is_remembered_and_its_repetition_is_no_replay() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut line = Call::new("line", "sip:alice@acct.test", "sip:alice@acct.test");
    line.uri = "sip:acct.test".to_owned();
    ua.send(&ua.message("REGISTER", &line, 1, &ua.contact(), "")).await;
    let auth = ua.credentials(&ua.last().await, "alice", "pw", "REGISTER", &line.uri, 1, true);
    let register = ua.message("REGISTER", &line, 2, &format!("{auth}{}", ua.contact()), "");
    ua.send(&register).await;
    let ok = ua.last().await;
    assert_eq!(ok.code(), 200);
    ua.send(&register).await;
    assert_eq!(ua.last().await.0, ok.0);
    assert_eq!((bench.counter("auth_replays"), bench.counter("registrations")), (0, 1));
}

#[tokio::test]
async fn the_same_invite_sent_again_when_its_transaction_is_over_cannot_take_a_dialogs_tag() {
    let mut bench = Bench::with(SipConfig { timers: hasty(), ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "twice").await;
    bench.until("transactions_live", 0).await;
    let first = Call { to_tag: String::new(), uri: call.to.clone(), ..call.clone() };
    ua.send(&ua.message("INVITE", &first, 1, &ua.contact(), OFFER)).await;
    let other = bench.call().await.leg;
    other.answer(&sdp(), &[]).await.unwrap();
    let ok = ua.last().await;
    assert_ne!(tag(&ok), call.to_tag);
    ua.send(&ua.message("BYE", &call, 2, "", "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
    bench.until("dialogs_live", 1).await;
}

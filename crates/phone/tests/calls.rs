//! Phone to phone on loopback: every way a call begins, changes and ends.

use std::time::{Duration, Instant};

use phone::ua::digest::Algorithm;
use phone::*;

mod support;
use support::{Behaviour, registrar};

const SOON: Duration = Duration::from_secs(10);

async fn pair(change: impl Fn(&mut PhoneConfig)) -> (Phone, Phone) {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let mut bob = PhoneConfig::new(nowhere, "bob", "secret");
    change(&mut bob);
    let bob = Phone::start(bob).await.unwrap();
    let mut alice = PhoneConfig::new(bob.address(), "alice", "secret");
    change(&mut alice);
    (Phone::start(alice).await.unwrap(), bob)
}

async fn connected(change: impl Fn(&mut PhoneConfig)) -> (Phone, Phone, Call, Call) {
    let (alice, bob) = pair(change).await;
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    let into = bob.incoming(SOON).await.unwrap().answer().await.unwrap();
    out.wait_answered(SOON).await.unwrap();
    into.wait_event(SOON, |e| *e == EventKind::Acknowledged).await.unwrap();
    (alice, bob, out, into)
}

#[tokio::test]
async fn ring_answer_and_hangup_by_the_caller() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (alice, bob) = pair(|c| c.transport = transport).await;
        let options = CallOptions::with_headers(&[("X-PH-Customer", "42")]);
        let out = alice.call(&bob.uri(), options).unwrap();
        let incoming = bob.incoming(SOON).await.unwrap();
        assert_eq!(incoming.headers().get("X-PH-Customer"), Some("42"));
        assert!(incoming.from().contains("alice@"));
        incoming.ring().await.unwrap();
        out.wait_state(SOON, |s| *s == CallState::Ringing).await.unwrap();
        let into = incoming.answer_with(vec![("X-CallUUID".into(), "u-1".into())]).await.unwrap();
        out.wait_answered(SOON).await.unwrap();
        assert_eq!(out.headers().get("X-CallUUID"), Some("u-1"));
        assert_eq!(into.headers().get("X-PH-Customer"), Some("42"));
        out.hangup_with(vec![("Reason".into(), "Q.850;cause=16".into())]).await.unwrap();
        let ended = into.wait_ended(SOON).await.unwrap();
        assert_eq!((ended.cause, ended.reason.as_deref()), (EndCause::RemoteHangup, Some("Q.850;cause=16")));
        assert_eq!(out.wait_ended(SOON).await.unwrap().cause, EndCause::LocalHangup);
        assert!(matches!(out.hangup().await, Err(CallError::Ended(_))));
    }
}

#[tokio::test]
async fn hangup_by_the_called() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    into.hangup().await.unwrap();
    assert_eq!(out.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
}

#[tokio::test]
async fn a_caller_who_gives_up_cancels() {
    let (alice, bob) = pair(|_| {}).await;
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    let incoming = bob.incoming(SOON).await.unwrap();
    incoming.ring().await.unwrap();
    out.wait_state(SOON, |s| *s == CallState::Ringing).await.unwrap();
    out.hangup().await.unwrap();
    assert_eq!(incoming.wait_cancelled(SOON).await.unwrap().cause, EndCause::Cancelled);
    let ended = out.wait_ended(SOON).await.unwrap();
    assert_eq!((ended.cause, ended.code), (EndCause::Cancelled, Some(487)));
}

#[tokio::test]
async fn a_refusal_arrives_with_code_and_reason() {
    let (alice, bob) = pair(|_| {}).await;
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    bob.incoming(SOON).await.unwrap().reject(486).await.unwrap();
    let ended = out.wait_ended(SOON).await.unwrap();
    assert_eq!((ended.cause, ended.code, ended.reason.as_deref()), (EndCause::Refused, Some(486), Some("Busy Here")));
    assert!(matches!(out.wait_answered(SOON).await, Err(CallError::Ended(_))));
    // An incoming call nobody takes care of is refused, not left ringing.
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    drop(bob.incoming(SOON).await.unwrap());
    assert_eq!(out.wait_ended(SOON).await.unwrap().code, Some(480));
}

#[tokio::test]
async fn dropping_a_call_hangs_up() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    drop(out);
    assert_eq!(into.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
}

#[tokio::test]
async fn an_unplugged_phone_says_nothing() {
    let (alice, _bob, out, into) = connected(|c| c.t1 = Duration::from_millis(40)).await;
    alice.unplug();
    assert_eq!(out.wait_ended(SOON).await.unwrap().cause, EndCause::Unplugged);
    assert_eq!(into.state(), CallState::Answered);
    // Its BYE finds nobody, and the call ends all the same.
    into.hangup().await.unwrap();
    assert_eq!(into.wait_ended(SOON).await.unwrap().cause, EndCause::LocalHangup);
}

#[tokio::test]
async fn an_invite_to_nobody_times_out_after_64_t1() {
    let mut config = PhoneConfig::new(([127, 0, 0, 1], 9).into(), "alice", "x");
    config.t1 = Duration::from_millis(5);
    let alice = Phone::start(config).await.unwrap();
    let begun = Instant::now();
    let out = alice.call("sip:x@127.0.0.1:9", CallOptions::default()).unwrap();
    let ended = out.wait_ended(SOON).await.unwrap();
    assert_eq!((ended.cause, ended.code), (EndCause::TimedOut, Some(408)));
    assert!(begun.elapsed() >= Duration::from_millis(320));
}

#[tokio::test]
async fn auto_answer_rings_first_and_delivers_answered_calls() {
    let (alice, bob) = pair(|c| c.auto_answer = Some(AutoAnswer { after: Duration::from_millis(50) })).await;
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    let into = bob.next_call(SOON).await.unwrap();
    out.wait_answered(SOON).await.unwrap();
    assert!(out.events().iter().any(|e| matches!(e.kind, EventKind::Progress { code: 180, .. })));
    assert_eq!(into.state(), CallState::Answered);
}

#[tokio::test]
async fn an_offer_in_the_200_is_answered_in_the_ack() {
    let (alice, bob) = pair(|_| {}).await;
    let out = alice.call(&bob.uri(), CallOptions { late_offer: true, ..CallOptions::default() }).unwrap();
    let into = bob.incoming(SOON).await.unwrap().answer().await.unwrap();
    out.wait_answered(SOON).await.unwrap();
    assert!(into.ear().wait_received(5, SOON).await && out.ear().wait_received(5, SOON).await);
}

#[tokio::test]
async fn a_reliable_provisional_response_is_pracked() {
    let (alice, bob) = pair(|_| {}).await;
    let out = alice.call(&bob.uri(), CallOptions { reliable: true, ..CallOptions::default() }).unwrap();
    let incoming = bob.incoming(SOON).await.unwrap();
    assert_eq!(incoming.headers().get("Supported"), Some("100rel"));
    incoming
        .provisional(180, false, vec![("Require".into(), "100rel".into()), ("RSeq".into(), "77".into())])
        .await
        .unwrap();
    let is_prack = |e: &EventKind| matches!(e, EventKind::Request { method, headers, .. } if method == "PRACK" && headers.get("RAck") == Some("77 1 INVITE"));
    incoming.call().wait_event(SOON, is_prack).await.unwrap();
    incoming.answer().await.unwrap();
    out.wait_answered(SOON).await.unwrap();
}

#[tokio::test]
async fn ordinary_signalling_on_loopback_needs_no_repeat() {
    // Nobody waits for a message that is repeated only after so long.
    let (alice, bob) = pair(|c| c.t1 = SOON * 6).await;
    for _ in 0..3 {
        let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
        let into = bob.incoming(SOON).await.unwrap().answer().await.unwrap();
        out.wait_answered(SOON).await.unwrap();
        into.hangup().await.unwrap();
        out.wait_ended(SOON).await.unwrap();
    }
    assert_eq!((alice.discarded(), bob.discarded()), (0, 0));
}

#[tokio::test]
async fn no_codec_in_common_is_488() {
    let (alice, bob) =
        pair(|c| c.codecs = if c.username == "bob" { vec![Codec::Pcma] } else { vec![Codec::Pcmu] }).await;
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    let refused = bob.incoming(SOON).await.unwrap().answer().await;
    assert!(matches!(refused, Err(CallError::Media(_))), "{refused:?}");
    assert_eq!(out.wait_ended(SOON).await.unwrap().code, Some(488));
}

#[tokio::test]
async fn info_options_and_refer_are_answered_and_recorded() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    out.send_digits_by_info("5").await.unwrap();
    let info =
        into.wait_event(SOON, |e| matches!(e, EventKind::Request { method, .. } if method == "INFO")).await.unwrap();
    assert!(matches!(info.kind, EventKind::Request { body, .. } if body.starts_with(b"Signal=5")));
    assert_eq!(into.request("OPTIONS", Vec::new(), Vec::new()).await.unwrap().code, 200);
    let refer = into.request("REFER", vec![("Refer-To".into(), "<sip:x@y>".into())], Vec::new()).await.unwrap();
    assert_eq!(refer.code, 603);
    assert_eq!(into.request("FLY", Vec::new(), Vec::new()).await.unwrap().code, 405);
}

#[tokio::test]
async fn a_refer_is_accepted_and_reported_as_the_phone_is_told_to() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (_a, _b, out, into) = connected(|c| {
            c.transport = transport;
            c.on_refer = OnRefer::Accept(vec![100, 180, 486]);
        })
        .await;
        let by = vec![("Referred-By".to_owned(), "<sip:alice@x>".to_owned())];
        assert_eq!(out.refer("<sip:x@y?Replaces=a>", by).await.unwrap().code, 202);
        let is_report = |e: &EventKind, code: &str| {
            matches!(e, EventKind::Request { method, body, answered: 200, .. }
                if method == "NOTIFY" && String::from_utf8_lossy(body).starts_with(&format!("SIP/2.0 {code} ")))
        };
        let last = out.wait_event(SOON, |e| is_report(e, "486")).await.unwrap();
        let EventKind::Request { headers, .. } = last.kind else { panic!() };
        assert_eq!(headers.get("Subscription-State"), Some("terminated;reason=noresource"));
        assert!(out.events().iter().any(|e| is_report(&e.kind, "100")));
        let referred = |e: &EventKind| {
            matches!(e, EventKind::Request { method, headers, answered: 202, .. }
                if method == "REFER" && headers.get("Refer-To") == Some("<sip:x@y?Replaces=a>") && headers.get("Contact").is_some())
        };
        into.wait_event(SOON, referred).await.unwrap();
        let text = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
        assert_eq!(into.request("MESSAGE", text, b"hello".to_vec()).await.unwrap().code, 200);
        out.wait_event(
            SOON,
            |e| matches!(e, EventKind::Request { method, body, .. } if method == "MESSAGE" && body == b"hello"),
        )
        .await
        .unwrap();
        out.hangup_with(vec![("X-Reason".into(), "bored".into())]).await.unwrap();
        assert_eq!(into.wait_ended(SOON).await.unwrap().headers.get("X-Reason"), Some("bored"));
    }
}

#[tokio::test]
async fn registration_by_both_digests_refresh_and_end() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let mut r = registrar(Behaviour { algorithm, granted: 1, ..Behaviour::default() }).await;
        let phone = Phone::start(PhoneConfig::new(r.address, "alice", "secret")).await.unwrap();
        assert_eq!(phone.register(600).await.unwrap().expires, 1);
        // Refreshed twice at 80 % of the granted second, with a growing count of the same nonce.
        let seen =
            tokio::time::timeout(SOON, r.seen.wait_for(|s| s.nonce_counts.len() >= 3)).await.unwrap().unwrap().clone();
        assert_eq!((seen.challenges, seen.refused), (1, 0));
        assert_eq!(
            seen.nonce_counts.iter().map(|(_, nc)| nc.as_str()).collect::<Vec<_>>(),
            ["00000001", "00000002", "00000003"]
        );
        phone.unregister().await.unwrap();
        assert_eq!(r.seen.borrow().bindings["alice"].1, 0);
    }
}

#[tokio::test]
async fn a_stale_nonce_is_replaced_and_a_wrong_password_is_tried_once() {
    let r = registrar(Behaviour { nonce_uses: 1, ..Behaviour::default() }).await;
    let phone = Phone::start(PhoneConfig::new(r.address, "alice", "secret")).await.unwrap();
    phone.register(600).await.unwrap();
    phone.register(600).await.unwrap();
    assert_eq!((r.seen.borrow().challenges, r.seen.borrow().refused), (2, 0));
    let thief = Phone::start(PhoneConfig::new(r.address, "alice", "guess")).await.unwrap();
    assert!(matches!(thief.register(600).await, Err(PhoneError::Refused { code: 401, .. })));
    assert_eq!(r.seen.borrow().refused, 1);
}

#[tokio::test]
async fn a_call_through_a_relay_survives_lost_datagrams() {
    // Every 4th datagram is lost: each request and response must be repeated until it gets through.
    let r = registrar(Behaviour { lose_every: 4, ..Behaviour::default() }).await;
    let start = async |name: &str| {
        let mut config = PhoneConfig::new(r.address, name, "secret");
        config.t1 = Duration::from_millis(50);
        let phone = Phone::start(config).await.unwrap();
        phone.register(600).await.unwrap();
        phone
    };
    let (alice, bob) = (start("alice").await, start("bob").await);
    for _ in 0..5 {
        let out = alice.call("bob", CallOptions::default()).unwrap();
        let incoming = bob.incoming(SOON).await.unwrap();
        assert_eq!(incoming.headers().with_prefix("X-PH-"), [("X-PH-Team".to_owned(), "blue".to_owned())]);
        incoming.ring().await.unwrap();
        let into = incoming.answer().await.unwrap();
        out.wait_answered(SOON).await.unwrap();
        into.wait_event(SOON, |e| *e == EventKind::Acknowledged).await.unwrap();
        out.hold().await.unwrap();
        into.hangup().await.unwrap();
        assert_eq!(out.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
    }
    assert!(r.seen.borrow().dropped > 5);
    let out = alice.call("nobody", CallOptions::default()).unwrap();
    let ended = out.wait_ended(SOON).await.unwrap();
    assert_eq!((ended.code, ended.reason.as_deref()), (Some(404), Some("Q.850;cause=1")));
}

//! How calls end when messages are lost or cross: nothing is left of them on our side, whatever the peer does.

mod bench;

use std::time::Duration;

use bench::*;
use sip::{By, LegEvent, SipConfig};

const SDP_TYPE: &str = "Content-Type: application/sdp\r\n";

async fn hasty_bench() -> Bench {
    Bench::with(SipConfig { timers: hasty(), ..config() }).await
}

async fn nothing_is_left(bench: &Bench) {
    bench.until("dialogs_live", 0).await;
    bench.until("transactions_live", 0).await;
    assert_eq!(bench.counter("dialogs_created"), bench.counter("dialogs_reaped"));
}

#[tokio::test]
async fn a_cancel_that_comes_after_the_answer_changes_nothing() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut call = Call::new("late", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    let ok = ua.last().await;
    // The caller sent its CANCEL before the 200 reached it.
    ua.send(&ua.message("CANCEL", &call, 1, "", "")).await;
    let cancelled = loop {
        // The 200 of the INVITE is repeated meanwhile.
        let got = ua.last().await;
        if got.get("CSeq") == "1 CANCEL" {
            break got;
        }
    };
    assert_eq!(cancelled.code(), 200);
    call.learn(&ok);
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    // The caller, who wanted to be gone, hangs up (RFC 3261 §15.1.1); that is what ends it, and nothing before.
    ua.send(&ua.message("BYE", &call, 2, "", "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
}

#[tokio::test]
async fn a_bye_that_is_never_answered_is_repeated_and_then_given_up() {
    let mut bench = hasty_bench().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, _) = up(&mut bench, &ua, "bye1").await;
    leg.hangup(None).await.unwrap();
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Local, .. }));
    let first = ua.request("BYE").await;
    for _ in 0..3 {
        assert_eq!(ua.request("BYE").await.0, first.0);
    }
    assert_eq!(bench.counter("dialogs_live"), 1);
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn a_bye_whose_answer_was_lost_is_answered_again() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "bye2").await;
    let bye = ua.message("BYE", &call, 2, "", "");
    ua.send(&bye).await;
    let first = ua.last().await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
    bench.until("dialogs_live", 0).await;
    ua.send(&bye).await;
    assert_eq!((first.code(), ua.last().await.0), (200, first.0.clone()));
    assert_eq!(bench.counter("unknown_dialog"), 0);
}

#[tokio::test]
async fn an_answer_that_is_repeated_is_acknowledged_again() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    let ok = invite.reply("200 OK", "u1", &format!("{}{SDP_TYPE}", ua.contact()), OFFER);
    ua.send(&ok).await;
    let ack = ua.request("ACK").await;
    // Our ACK was lost.
    ua.send(&ok).await;
    assert_eq!(ua.request("ACK").await.0, ack.0);
    assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
    leg.hangup(None).await.unwrap();
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { .. }), "it was told of the answer once");
}

#[tokio::test]
async fn a_hang_up_before_an_ack_that_never_comes_ends_by_itself() {
    let mut bench = hasty_bench().await;
    let ua = Ua::new(bench.at).await;
    let call = Call::new("noack", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    leg.hangup(None).await.unwrap();
    // Its BYE is not answered either.
    ua.request("BYE").await;
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn a_callee_that_rings_and_never_ends_its_invite_leaves_nothing() {
    let bench = hasty_bench().await;
    let ua = Ua::new(bench.at).await;
    for answers_cancel in [true, false] {
        let leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
        let invite = ua.request("INVITE").await;
        ua.send(&invite.reply("180 Ringing", "r", "", "")).await;
        bench.until("transactions_live", 1).await;
        leg.hangup(None).await.unwrap();
        let cancel = ua.request("CANCEL").await;
        if answers_cancel {
            ua.send(&cancel.reply("200 OK", "", "", "")).await;
        }
        nothing_is_left(&bench).await;
    }
}

#[tokio::test]
async fn a_callee_that_never_says_anything_leaves_nothing() {
    let bench = hasty_bench().await;
    let ua = Ua::new(bench.at).await;
    let leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    ua.request("INVITE").await;
    leg.hangup(None).await.unwrap();
    nothing_is_left(&bench).await;
    while let Some(got) = ua.try_recv(Duration::ZERO).await {
        assert_eq!(got.method(), "INVITE", "a CANCEL may only follow a provisional answer");
    }
}

#[tokio::test]
async fn a_call_that_rings_too_long_is_given_up_on_either_side() {
    let limits = sip::Limits { ringing: Duration::from_secs(1), ..sip::Limits::default() };
    let mut bench = Bench::with(SipConfig { timers: hasty(), limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let call = Call::new("long", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let mut leg = bench.call().await.leg;
    leg.ring(&[]).await.unwrap();
    assert_eq!(ua.last().await.code(), 480);
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Timeout, .. }));
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    ua.send(&invite.reply("180 Ringing", "r", "", "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Ringing { code: 180 });
    assert!(matches!(event(&mut leg).await, LegEvent::Refused { code: 408, .. }));
    ua.request("CANCEL").await;
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn a_reoffer_that_the_engine_never_answers_is_refused_and_the_call_goes_on() {
    let mut bench = hasty_bench().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "reoffer").await;
    ua.send(&ua.message("INVITE", &call, 2, &ua.contact(), OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Reoffer(Some(_))));
    assert_eq!(ua.last().await.code(), 500);
    ua.send(&ua.message("ACK", &call, 2, "", "")).await;
    ua.send(&ua.message("INVITE", &call, 3, &ua.contact(), OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Reoffer(Some(_))));
    leg.answer_reinvite(&sdp()).await.unwrap();
    assert_eq!(ua.last().await.code(), 200);
}

#[tokio::test]
async fn a_reinvite_of_ours_that_is_never_answered_ends_the_call() {
    let mut bench = hasty_bench().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, _) = up(&mut bench, &ua, "silent").await;
    assert!(leg.reinvite(&sdp()).await.is_err());
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Timeout, .. }));
    nothing_is_left(&bench).await;
}

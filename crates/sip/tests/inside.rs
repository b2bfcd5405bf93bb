//! Requests inside a call, both ways: INFO, MESSAGE and others, and what a hang-up says.

mod bench;

use bench::*;
use sip::{By, LegControl, LegEvent, SipConfig, SipError};
use tokio::task::JoinHandle;

fn headers(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An INFO of ours, under way.
fn asks(control: LegControl) -> JoinHandle<Result<(u16, String), SipError>> {
    tokio::spawn(async move { control.request("INFO", None, b"", &[]).await })
}

async fn nothing_is_left(bench: &Bench) {
    bench.until("dialogs_live", 0).await;
    bench.until("transactions_live", 0).await;
    assert_eq!(bench.counter("dialogs_created"), bench.counter("dialogs_reaped"));
}

#[tokio::test]
async fn a_bye_tells_its_own_headers_to_the_other_side() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "bye1").await;
    ua.send(&ua.message(
        "BYE",
        &call,
        2,
        "X-Reason: bored\r\nx-second: \r\nAccept: a/b\r\nReason: Q.850;cause=16\r\n",
        "",
    ))
    .await;
    assert_eq!(ua.last().await.code(), 200);
    let ended = LegEvent::Ended {
        by: By::Remote,
        cause: "Q.850;cause=16".to_owned(),
        headers: headers(&[("X-Reason", "bored"), ("x-second", "")]),
    };
    assert_eq!(event(&mut leg).await, ended);
    let (mut leg, _) = up(&mut bench, &ua, "bye2").await;
    for forged in [("X-A", "b\r\nRoute: <sip:evil>"), ("Contact", "<sip:evil>")] {
        let refused = leg.hangup_with(None, &headers(&[forged])).await;
        assert!(matches!(refused, Err(SipError::Header { .. })), "{refused:?}");
    }
    leg.hangup_with(Some("done"), &headers(&[("X-Reason", "we are")])).await.unwrap();
    let bye = ua.request("BYE").await;
    assert_eq!((bye.get("X-Reason").as_str(), bye.get("Reason").as_str()), ("we are", "SIP;cause=200;text=\"done\""));
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Local, .. }));
}

#[tokio::test]
async fn a_hang_up_carries_its_headers_in_every_state() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let why = headers(&[("X-Why", "over")]);
    // Not answered by us: 480.
    let call = Call::new("st1", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    bench.call().await.leg.hangup_with(None, &why).await.unwrap();
    let refused = ua.last().await;
    assert_eq!((refused.code(), refused.get("X-Why").as_str()), (480, "over"));
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    // Answered, the ACK missing: the BYE after it.
    let mut call = Call::new("st2", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    call.learn(&ua.last().await);
    leg.hangup_with(None, &why).await.unwrap();
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    let bye = ua.request("BYE").await;
    assert_eq!(bye.get("X-Why"), "over");
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    // Not answered by the peer: CANCEL, and the BYE of the 200 that crosses it.
    let leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    leg.hangup_with(None, &why).await.unwrap();
    ua.send(&invite.reply("180 Ringing", "u", "", "")).await;
    let cancel = ua.request("CANCEL").await;
    assert_eq!(cancel.get("X-Why"), "over");
    ua.send(&cancel.reply("200 OK", "", "", "")).await;
    let lines = format!("{}Content-Type: application/sdp\r\n", ua.contact());
    ua.send(&invite.reply("200 OK", "u", &lines, OFFER)).await;
    let bye = ua.request("BYE").await;
    assert_eq!(bye.get("X-Why"), "over");
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn requests_go_out_as_given_and_return_the_answer_whatever_it_is() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (leg, _) = up(&mut bench, &ua, "ask1").await;
    let body = "{\"a\": \"ä\"}\r\n\r\n";
    for (method, answer, said) in [
        ("INFO", "200 OK", (200, "OK")),
        ("MESSAGE", "202 Noted", (202, "Noted")),
        ("NOTIFY", "481 No Subscription", (481, "No Subscription")),
        ("X-Own.1", "501 What", (501, "What")),
    ] {
        let control = leg.control();
        let extra = headers(&[("X-A", "1"), ("Event", "talk")]);
        let asking = tokio::spawn(async move {
            control.request(method, Some("application/json; charset=utf-8"), body.as_bytes(), &extra).await
        });
        let got = ua.request(method).await;
        assert_eq!((got.get("X-A").as_str(), got.get("Event").as_str()), ("1", "talk"));
        assert_eq!((got.get("Content-Type").as_str(), got.body()), ("application/json; charset=utf-8", body));
        assert_eq!(got.get("Contact").is_empty(), method == "MESSAGE", "{got:?}");
        ua.send(&got.reply("100 Trying", "", "", "")).await;
        ua.send(&got.reply(answer, "", "", "")).await;
        assert_eq!(asking.await.unwrap().unwrap(), (said.0, said.1.to_owned()));
    }
    // A peer that no longer knows the call ends it, but not by an answer to something else.
    let mut leg = leg;
    let asking = asks(leg.control());
    let info = ua.request("INFO").await;
    ua.send(&info.reply("481 Gone", "", "", "")).await;
    assert_eq!(asking.await.unwrap().unwrap().0, 481);
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
    let bye = ua.request("BYE").await;
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_and_the_call_goes_on() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let unanswered = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    assert!(matches!(unanswered.request("INFO", None, b"", &[]).await, Err(SipError::State(_))));
    let (leg, call) = up(&mut bench, &ua, "ask2").await;
    assert!(matches!(leg.request("BYE", None, b"", &[]).await, Err(SipError::Method { .. })));
    assert!(matches!(leg.request("INFO", None, b"a", &[]).await, Err(SipError::Body(_))));
    let forged = headers(&[("X-A", "b\nc")]);
    assert!(matches!(leg.request("INFO", None, b"", &forged).await, Err(SipError::Header { .. })));
    assert!(matches!(leg.refer("sip:a b@h", None, &[]).await, Err(SipError::Uri { .. })));
    // It is no longer than a body may be, but no datagram holds it.
    let failed = bench.counter("send_failed");
    let large = vec![b'a'; 65_536];
    assert!(matches!(leg.request("INFO", Some("text/plain"), &large, &[]).await, Err(SipError::Body(_))));
    assert_eq!(bench.counter("send_failed"), failed);
    // So many may wait, and no more.
    let waiting: Vec<_> = (0..16).map(|_| asks(leg.control())).collect();
    let mut sent = Vec::new();
    for _ in 0..16 {
        let info = ua.request("INFO").await;
        assert!(!sent.contains(&info.get("CSeq")));
        sent.push(info.get("CSeq"));
    }
    assert!(matches!(leg.request("INFO", None, b"", &[]).await, Err(SipError::State(_))));
    // Their answers will never come now.
    ua.send(&ua.message("BYE", &call, 2, "", "")).await;
    for asking in waiting {
        assert_eq!(asking.await.unwrap(), Err(SipError::Gone));
    }
    assert_eq!(leg.request("INFO", None, b"", &[]).await, Err(SipError::Gone));
}

#[tokio::test]
async fn a_request_that_is_never_answered_is_repeated_and_given_up_and_the_call_goes_on() {
    let mut bench = Bench::with(SipConfig { timers: hasty(), ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let (leg, call) = up(&mut bench, &ua, "ask3").await;
    let asking = asks(leg.control());
    let first = ua.request("INFO").await;
    assert_eq!(ua.request("INFO").await.0, first.0);
    let silent = asking.await.unwrap();
    assert_eq!(silent, Err(SipError::Unanswered { method: "INFO".into(), why: "no answer came in time" }));
    let control = leg.control();
    let refusing = tokio::spawn(async move { control.refer("sip:bob@h", None, &[]).await });
    ua.request("REFER").await;
    assert!(matches!(refusing.await.unwrap(), Err(SipError::Unanswered { .. })));
    // Without an accepted REFER there is no subscription.
    ua.send(&ua.message("NOTIFY", &call, 2, "Event: refer\r\nSubscription-State: active\r\n", "")).await;
    assert_eq!(ua.last().await.code(), 481);
    let asking = asks(leg.control());
    let info = loop {
        let got = ua.request("INFO").await;
        if got.get("CSeq") != first.get("CSeq") {
            break got;
        }
    };
    ua.send(&info.reply("200 OK", "", "", "")).await;
    assert_eq!(asking.await.unwrap().unwrap().0, 200);
    drop(leg);
    let bye = ua.request("BYE").await;
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn a_challenge_inside_a_call_is_answered_with_the_calls_credentials() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut call = bench.outgoing(&format!("sip:bob@{}", ua.at));
    call.auth = Some(("user".into(), "secret".into()));
    let mut leg = bench.sip.invite(call).await.unwrap();
    let invite = ua.request("INVITE").await;
    let lines = format!("{}Content-Type: application/sdp\r\n", ua.contact());
    ua.send(&invite.reply("200 OK", "u1", &lines, OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
    let control = leg.control();
    let asking = tokio::spawn(async move { control.refer("sip:carol@h", Some("sip:me@h"), &[]).await });
    let first = ua.request("REFER").await;
    let challenge = "WWW-Authenticate: Digest realm=\"c\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\r\n";
    ua.send(&first.reply("401 Unauthorized", "", challenge, "")).await;
    let second = ua.request("REFER").await;
    assert!(second.get("Authorization").contains("username=\"user\""), "{second:?}");
    assert_eq!((second.get("Refer-To").as_str(), second.get("Referred-By").as_str()), ("<sip:carol@h>", "<sip:me@h>"));
    // The subscription has the name of the REFER that was accepted, not of the first one.
    let mut peer = Call::new("x", "sip:bob@x", "sip:1000@acct.test");
    (peer.id, peer.from_tag) = (first.get("Call-ID"), "u1".into());
    peer.to_tag = first.get("From").split("tag=").nth(1).unwrap().into();
    let name = |got: &Got| got.get("CSeq").split(' ').next().unwrap().to_owned();
    ua.send(&second.reply("202 Accepted", "", "", "")).await;
    assert_eq!(asking.await.unwrap().unwrap().0, 202);
    for (cseq, id, code) in [(1, name(&first), 481), (2, name(&second), 200)] {
        let lines = format!(
            "Event: refer;id={id}\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\n"
        );
        ua.send(&ua.message("NOTIFY", &peer, cseq, &lines, "SIP/2.0 486 Busy\r\n")).await;
        assert_eq!(ua.last().await.code(), code);
    }
    assert_eq!(event(&mut leg).await, LegEvent::ReferProgress { status: 486, reason: "Busy".into(), over: true });
}

#[tokio::test]
async fn what_the_peer_sends_inside_a_call_is_told_once_and_in_order() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "in1").await;
    let json = ua.message("INFO", &call, 2, "c: application/json\r\nX-A: b\r\n", "{\"a\":1}");
    ua.send(&json).await;
    let first = ua.last().await;
    assert_eq!(first.code(), 200);
    let LegEvent::Request { method, content_type, body, headers } = event(&mut leg).await else { panic!("not told") };
    assert_eq!(
        (method.as_str(), content_type.as_deref(), &body[..]),
        ("INFO", Some("application/json"), &b"{\"a\":1}"[..])
    );
    assert!(headers.contains(&("X-A".to_owned(), "b".to_owned())), "{headers:?}");
    // Its answer was lost.
    ua.send(&json).await;
    assert_eq!(ua.last().await.0, first.0);
    ua.send(&ua.message("MESSAGE", &call, 3, "Content-Type: text/plain\r\n", "hi")).await;
    assert_eq!(ua.last().await.code(), 200);
    assert!(matches!(event(&mut leg).await, LegEvent::Request { method, .. } if method == "MESSAGE"));
    ua.send(&ua.message("INFO", &call, 4, "", "")).await;
    assert_eq!(ua.last().await.code(), 200);
    assert!(matches!(event(&mut leg).await, LegEvent::Request { body, .. } if body.is_empty()));
    for (method, cseq, extra, body, code) in [
        ("MESSAGE", 3, "X-Late: 1\r\n", "", 500),
        ("OPTIONS", 5, "", "", 200),
        ("INFO", 6, "Content-Type: application/dtmf-relay\r\n", "Signal=\r\n", 400),
        ("INFO", 7, "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", "a", 415),
        ("NOTIFY", 8, "", "", 489),
        ("NOTIFY", 9, "Event: refer\r\nSubscription-State: active\r\n", "", 481),
        ("NOTIFY", 10, "Event: talk\r\nSubscription-State: active\r\n", "", 481),
        ("SUBSCRIBE", 11, "Event: refer\r\n", "", 405),
        ("REFER", 12, "", "", 400),
        ("REFER", 13, "Refer-To: <sip:a@h>\r\nRefer-To: <sip:b@h>\r\n", "", 400),
        ("REFER", 14, "Refer-To: <sip:a@h>, <sip:b@h>\r\n", "", 400),
        ("REFER", 15, "Refer-To: <sip:a@h\r\n", "", 400),
    ] {
        // Another branch than the request of that number had.
        let text = ua.message(method, &call, cseq, extra, body).replace("branch=z9hG4bK", "branch=z9hG4bKagain");
        ua.send(&text).await;
        let got = ua.last().await;
        assert_eq!(got.code(), code, "{text}");
        assert!(!matches!(code, 405 | 415 | 489) || got.0.contains("\r\nA"), "it says what is taken instead: {got:?}");
    }
    // None of them was told: the next event is the end.
    ua.send(&ua.message("BYE", &call, 16, "", "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
}

#[tokio::test]
async fn a_peer_that_floods_its_call_is_put_off_and_crowds_nothing_out() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "flood").await;
    let text = "a".repeat(50_000);
    for n in 0..40 {
        ua.send(&ua.message("MESSAGE", &call, 2 + n, "Content-Type: text/plain\r\n", &text)).await;
        let got = ua.last().await;
        assert_eq!((got.code(), got.get("Retry-After").is_empty()), if n < 16 { (200, true) } else { (503, false) });
    }
    assert_eq!(bench.counter("events_dropped"), 24);
    ua.send(&ua.message("BYE", &call, 50, "", "")).await;
    assert_eq!(ua.last().await.code(), 200);
    for _ in 0..16 {
        assert!(matches!(event(&mut leg).await, LegEvent::Request { body, .. } if body.len() == 50_000));
    }
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
}

#[tokio::test]
async fn ringing_can_name_a_bell_and_progress_needs_no_sound() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let call = Call::new("ring", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let leg = bench.call().await.leg;
    let bell = headers(&[("Alert-Info", "<http://h/bell.wav>")]);
    leg.ring(&bell).await.unwrap();
    leg.progress(&bell).await.unwrap();
    assert_eq!(ua.recv().await.code(), 100);
    for code in [180, 183] {
        let got = ua.recv().await;
        assert_eq!((got.code(), got.get("Alert-Info").as_str(), got.body()), (code, "<http://h/bell.wav>", ""));
    }
}

#[tokio::test]
async fn a_call_in_shows_its_whole_invite() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let call = Call::new("whole", "sip:trunk@carrier.test", "sip:+1555%20@acct.test;user=phone");
    let extra = format!("{}X-B: 2\r\nx-a: 1\r\nX-B: 3\r\nb: <sip:by@h>\r\n", ua.contact());
    ua.send(&ua.message("INVITE", &call, 1, &extra, OFFER)).await;
    let incoming = bench.call().await;
    assert_eq!(incoming.request_uri_text, "sip:+1555%20@acct.test;user=phone");
    assert_eq!(incoming.body, OFFER);
    assert_eq!((incoming.source, incoming.transport), (ua.at, sip::Transport::Udp));
    let names: Vec<&str> = incoming.headers.iter().map(|(name, _)| name.as_str()).collect();
    let all = ["Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "X-B", "x-a", "X-B", "Referred-By"];
    assert_eq!(names, [&all[..], &["Content-Type", "Content-Length"]].concat());
    assert_eq!((incoming.header("x-b"), incoming.header("Referred-By")), (Some("2"), Some("<sip:by@h>")));
}

//! Calls that come in.

mod bench;

use bench::*;
use sip::{By, Identity, LegEvent, SipError};

#[tokio::test]
async fn a_phone_with_the_right_password_gets_through_and_hangs_up() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    for (n, sha) in [(1, true), (2, false)] {
        let mut call = Call::new(&format!("in{n}"), "sip:alice@acct.test", "sip:room%20%23@acct.test");
        ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
        let challenge = ua.last().await;
        assert_eq!(challenge.code(), 407);
        assert!(challenge.get("Proxy-Authenticate").contains("SHA-256"), "SHA-256 first");
        ua.send(&ua.message("ACK", &call, 1, "", "")).await;
        let auth = ua.credentials(&challenge, "alice", "pw", "INVITE", &call.uri, 1, sha);
        ua.send(&ua.message("INVITE", &call, 2, &format!("{auth}X-PH-Team: a\r\n{}", ua.contact()), OFFER)).await;
        let mut incoming = bench.call().await;
        assert_eq!(incoming.request_uri.user, "room #");
        assert_eq!(incoming.source, ua.at);
        assert_eq!(incoming.header("x-ph-team"), Some("a"));
        assert_eq!(incoming.offer.as_ref().unwrap().media.len(), 1);
        assert_eq!(
            incoming.identity,
            Identity::Endpoint { account: "MA1".into(), endpoint: "ep-alice".into(), username: "alice".into() }
        );
        let leg = &mut incoming.leg;
        leg.ring(&[("X-CallUUID".into(), "u-1".into())]).await.unwrap();
        assert_eq!(ua.recv().await.code(), 100);
        let ringing = ua.recv().await;
        assert_eq!((ringing.code(), ringing.get("X-CallUUID").as_str()), (180, "u-1"));
        leg.early_media(&sdp(), &[]).await.unwrap();
        assert_eq!(ua.recv().await.code(), 183);
        leg.answer(&sdp(), &[("X-CallUUID".into(), "u-1".into())]).await.unwrap();
        let ok = ua.last().await;
        assert_eq!((ok.code(), ok.get("X-CallUUID").as_str()), (200, "u-1"));
        call.learn(&ok);
        ua.send(&ua.message("ACK", &call, 2, "", "")).await;
        assert_eq!(event(leg).await, LegEvent::Acked { answer: None });
        ua.send(&ua.message("BYE", &call, 3, "", "")).await;
        assert_eq!(ua.last().await.code(), 200);
        assert!(matches!(event(leg).await, LegEvent::Ended { by: By::Remote, .. }));
        assert_eq!(leg.next().await, None);
        assert_eq!(leg.hangup(None).await, Err(SipError::Gone));
    }
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn nobody_calls_without_password_trunk_or_domain() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    for (id, from, to, code) in [
        ("w1", "sip:alice@acct.test", "sip:1@acct.test", 407),
        ("w2", "sip:mallory@else.test", "sip:1@acct.test", 407),
        ("w3", "sip:mallory@else.test", "sip:1@else.test", 403),
    ] {
        let call = Call::new(id, from, to);
        ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
        let got = ua.last().await;
        assert_eq!(got.code(), code, "{from} {to}");
        ua.send(&ua.message("ACK", &call, 1, "", "")).await;
        if code == 407 {
            let auth = ua.credentials(&got, "alice", "wrong", "INVITE", &call.uri, 1, false);
            ua.send(&ua.message("INVITE", &call, 2, &format!("{auth}{}", ua.contact()), OFFER)).await;
            assert_eq!(ua.last().await.code(), 407);
            ua.send(&ua.message("ACK", &call, 2, "", "")).await;
        }
    }
    assert!(bench.calls.try_recv().is_err());
    assert_eq!(bench.counter("auth_failures"), 2);
}

#[tokio::test]
async fn a_trunk_calls_by_its_address_and_the_engine_refuses() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let call = Call::new("t1", "sip:trunk@carrier.test", "sip:+15550001@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let mut incoming = bench.call().await;
    assert_eq!(incoming.identity, Identity::Trunk { account: "MA1".into(), trunk: "t1".into() });
    let leg = &incoming.leg;
    for (code, phrase) in [(404, "No Such\r\nVia: evil"), (404, &*"a".repeat(201)), (200, "OK"), (700, "Too Much")] {
        let refused = leg.reject(code, Some(phrase), &[]).await;
        assert!(matches!(refused, Err(SipError::Phrase(_) | SipError::Code { .. })), "{code} {phrase}: {refused:?}");
    }
    leg.reject(404, Some("No Such Number"), &[("X-Why".into(), "typo".into())]).await.unwrap();
    let got = ua.last().await;
    assert_eq!((got.start(), got.get("X-Why").as_str()), ("SIP/2.0 404 No Such Number", "typo"));
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    assert!(matches!(event(&mut incoming.leg).await, LegEvent::Ended { by: By::Local, .. }));
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn cancel_gets_200_and_the_invite_487() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let call = Call::new("c1", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let mut leg = bench.call().await.leg;
    ua.send(&ua.message("CANCEL", &call, 1, "", "")).await;
    let codes = [ua.last().await, ua.last().await].map(|g| (g.code(), g.get("CSeq")));
    assert_eq!(codes, [(200, "1 CANCEL".to_owned()), (487, "1 INVITE".to_owned())]);
    assert_eq!(event(&mut leg).await, LegEvent::Cancelled);
    assert_eq!(leg.answer(&sdp(), &[]).await, Err(SipError::Gone));
    ua.send(&ua.message("CANCEL", &Call { id: "c2".into(), ..call }, 1, "", "")).await;
    assert_eq!(ua.last().await.code(), 481);
}

#[tokio::test]
async fn the_answer_is_repeated_until_the_ack_and_then_given_up() {
    let mut bench = Bench::with(sip::SipConfig { timers: hasty(), ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let mut call = Call::new("a1", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    let first = ua.last().await;
    call.learn(&first);
    for _ in 0..3 {
        assert_eq!(ua.last().await.0, first.0);
    }
    // Hanging up before the ACK must wait for it.
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Timeout, .. }));
    let bye = ua.request("BYE").await;
    assert!(bye.start().contains(&format!("ua@{}", ua.at)));
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    bench.until("dialogs_live", 0).await;
    bench.until("transactions_live", 0).await;
    assert_eq!(bench.counter("acks_missing"), 1);
}

#[tokio::test]
async fn a_hang_up_before_the_ack_waits_for_it() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut call = Call::new("h1", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    leg.hangup(Some("done")).await.unwrap();
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Local, .. }));
    call.learn(&ua.last().await);
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    let bye = ua.request("BYE").await;
    assert_eq!(bye.get("Reason"), "SIP;cause=200;text=\"done\"");
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn a_dropped_leg_ends_its_call_in_every_state() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let call = Call::new("d1", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    drop(bench.call().await);
    assert_eq!(ua.last().await.code(), 480);
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    let (leg, _) = up(&mut bench, &ua, "d2").await;
    drop(leg);
    let bye = ua.request("BYE").await;
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    let (leg, _) = out(&bench, &ua).await;
    drop(leg);
    let bye = ua.request("BYE").await;
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    let leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    ua.send(&invite.reply("180 Ringing", "r", "", "")).await;
    drop(leg);
    let cancel = ua.request("CANCEL").await;
    ua.send(&cancel.reply("200 OK", "", "", "")).await;
    ua.send(&invite.reply("487 Request Terminated", "r", "", "")).await;
    bench.until("dialogs_live", 0).await;
    assert_eq!(bench.counter("legs_abandoned"), 4);
}

#[tokio::test]
async fn reoffers_from_the_peer_are_answered_refused_and_serialised() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "re1").await;
    let hold = format!("{OFFER}a=sendonly\r\n");
    ua.send(&ua.message("INVITE", &call, 2, &ua.contact(), &hold)).await;
    let LegEvent::Reoffer(Some(offer)) = event(&mut leg).await else { panic!("no offer") };
    assert!(offer.is_hold());
    ua.send(&ua.message("INVITE", &call, 3, &ua.contact(), OFFER)).await;
    let busy = ua.last().await;
    assert_eq!((busy.code(), busy.get("Retry-After").is_empty()), (500, false));
    leg.answer_reinvite(&sdp()).await.unwrap();
    assert_eq!(ua.last().await.code(), 200);
    ua.send(&ua.message("ACK", &call, 2, "", "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    // No SDP: our offer goes in the 200, the answer comes in the ACK.
    ua.send(&ua.message("INVITE", &call, 4, &ua.contact(), "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Reoffer(None));
    leg.answer_reinvite(&sdp()).await.unwrap();
    let ok = ua.last().await;
    assert!(ok.body().contains("m=audio 5004"));
    ua.send(&ua.message("ACK", &call, 4, "", OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Acked { answer: Some(_) }));
    ua.send(&ua.message("UPDATE", &call, 5, &ua.contact(), OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Reoffer(Some(_))));
    leg.reject_reinvite(488).await.unwrap();
    assert_eq!(ua.last().await.code(), 488);
    ua.send(&ua.message("INVITE", &call, 6, &ua.contact(), "v=0\r\nbroken\r\n")).await;
    assert_eq!(ua.last().await.code(), 488);
    ua.send(&ua.message("ACK", &call, 6, "", "")).await;
    for (body, digit) in [("Signal=5\r\nDuration=160\r\n", '5'), ("Signal= #\r\n", '#'), ("signal=11\r\n", '#')] {
        let cseq = 7 + u32::from(digit == '#') + u32::from(body.contains("11"));
        ua.send(&ua.message("INFO", &call, cseq, "Content-Type: application/dtmf-relay\r\n", body)).await;
        assert_eq!(event(&mut leg).await, LegEvent::InfoDigit(digit));
    }
    // An old CSeq is out of order.
    ua.send(&ua.message("INFO", &call, 4, "", "")).await;
    let refused = loop {
        let got = ua.last().await;
        if got.get("CSeq") == "4 INFO" {
            break got;
        }
    };
    assert_eq!(refused.code(), 500);
}

#[tokio::test]
async fn an_offerless_invite_takes_our_offer_and_its_answer() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut call = Call::new("of1", "sip:trunk@carrier.test", "sip:1@acct.test");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), "")).await;
    let mut incoming = bench.call().await;
    assert_eq!(incoming.offer, None);
    incoming.leg.answer(&sdp(), &[]).await.unwrap();
    call.learn(&ua.last().await);
    ua.send(&ua.message("ACK", &call, 1, "", OFFER)).await;
    assert!(matches!(event(&mut incoming.leg).await, LegEvent::Acked { answer: Some(_) }));
}

#[tokio::test]
async fn requests_are_refused_with_the_code_their_fault_has() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let trunk = |id: &str| Call::new(id, "sip:trunk@carrier.test", "sip:1@acct.test");
    let stale = Call { to_tag: "gone".into(), ..trunk("x3") };
    let json = "Content-Type: application/json\r\n";
    for (message, code, header) in [
        (ua.message("INVITE", &trunk("x1"), 1, "Require: 100rel\r\n", OFFER), 420, "Unsupported"),
        (ua.message("INVITE", &trunk("x2"), 1, json, "{}"), 415, "Accept"),
        (ua.message("BYE", &stale, 1, "", ""), 481, ""),
        (ua.message("INVITE", &Call { id: "x4".into(), ..stale.clone() }, 1, "", OFFER), 481, ""),
        (ua.message("MESSAGE", &trunk("x5"), 1, "", ""), 405, "Allow"),
        (ua.message("REFER", &trunk("x15"), 1, "Refer-To: <sip:a@h>\r\n", ""), 405, "Allow"),
        (ua.message("NOTIFY", &trunk("x16"), 1, "Event: refer\r\n", ""), 481, ""),
        (ua.message("FROBNICATE", &trunk("x6"), 1, "", ""), 501, "Allow"),
        (ua.message("OPTIONS", &trunk("x7"), 1, "", ""), 200, "Allow"),
        (ua.message("INVITE", &trunk("x8"), 1, "", "v=0\r\no=x\r\n"), 488, "Warning"),
        (ua.message("INVITE", &trunk("x9"), 1, "Supported: timer\r\nSession-Expires: 60\r\n", OFFER), 422, "Min-SE"),
        (ua.message("INVITE", &trunk("x10"), 1, "Accept: text/plain\r\n", OFFER), 406, "Accept"),
        (ua.message("INVITE", &trunk("x12"), 1, "", OFFER), 400, ""),
        (ua.message("INVITE", &trunk("x13"), 1, "Contact: *\r\n", OFFER), 400, ""),
        (ua.message("INVITE", &trunk("x14"), 1, "Contact: <tel:+1>\r\n", OFFER), 400, ""),
    ] {
        ua.send(&message).await;
        let got = ua.last().await;
        assert_eq!(got.code(), code, "{message}");
        assert!(header.is_empty() || !got.get(header).is_empty(), "{header}: {got:?}");
        if message.starts_with("INVITE") {
            let ack = message.replace("INVITE sip", "ACK sip").replace(" INVITE\r\n", " ACK\r\n");
            ua.send(&ack).await;
        }
    }
    // The same request over another path.
    let call = trunk("x11");
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    let _leg = bench.call().await.leg;
    let merged = ua.message("INVITE", &call, 1, &ua.contact(), OFFER).replace("branch=z9hG4bK", "branch=z9hG4bKother");
    ua.send(&merged).await;
    assert_eq!(ua.last().await.code(), 482);
}

#[tokio::test]
async fn session_timers_are_agreed_with_the_caller_as_refresher() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut call = Call::new("st", "sip:trunk@carrier.test", "sip:1@acct.test");
    let extra = format!("{}Supported: timer\r\nSession-Expires: 600\r\n", ua.contact());
    ua.send(&ua.message("INVITE", &call, 1, &extra, OFFER)).await;
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    let ok = ua.last().await;
    assert_eq!((ok.get("Session-Expires").as_str(), ok.get("Require").as_str()), ("600;refresher=uac", "timer"));
    call.learn(&ok);
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    event(&mut leg).await;
    ua.send(&ua.message("UPDATE", &call, 2, "Session-Expires: 300;refresher=uac\r\n", "")).await;
    assert_eq!(ua.last().await.get("Session-Expires"), "300;refresher=uac");
}

#[tokio::test]
async fn draining_refuses_new_calls_and_stop_hangs_up_the_rest() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, _) = up(&mut bench, &ua, "g1").await;
    let sip = bench.sip.clone();
    let draining = tokio::spawn(async move { sip.drain().await });
    let mut n = 0;
    loop {
        n += 1;
        let call = Call::new(&format!("g2{n}"), "sip:trunk@carrier.test", "sip:1@acct.test");
        ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
        tokio::select! {
            // The drain command may still be on its way.
            early = bench.calls.recv() => drop(early),
            got = ua.last() => {
                if got.code() == 503 {
                    assert_eq!(got.get("Retry-After"), "10");
                    break;
                }
            }
        }
    }
    assert!(!draining.is_finished());
    let fresh = bench.sip.invite(bench.outgoing(&format!("sip:b@{}", ua.at))).await;
    assert_eq!(fresh.err(), Some(SipError::Stopped));
    let sip = bench.sip.clone();
    let stopping = tokio::spawn(async move { sip.stop().await });
    let bye = ua.request("BYE").await;
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Local, .. }));
    tokio::time::timeout(DEADLINE, async { (draining.await, stopping.await) }).await.unwrap().1.unwrap();
}

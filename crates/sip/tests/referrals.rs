//! Transfers by REFER, both ways (RFC 3515). What happens when one side is silent is tested under a clock, in the core.

mod bench;

use bench::*;
use sip::{LegEvent, SipError};

const FRAGMENT: &str = "Content-Type: message/sipfrag;version=2.0\r\n";

fn notify(ua: &Ua, call: &Call, cseq: u32, event: &str, state: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { FRAGMENT };
    ua.message("NOTIFY", call, cseq, &format!("Event: {event}\r\nSubscription-State: {state}\r\n{kind}"), body)
}

fn progress(status: u16, reason: &str, over: bool) -> LegEvent {
    LegEvent::ReferProgress { status, reason: reason.to_owned(), over }
}

#[tokio::test]
async fn the_peer_is_referred_and_its_reports_are_told_until_the_last() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "out1").await;
    let control = leg.control();
    let extra = vec![("X-A".to_owned(), "1".to_owned())];
    let asking = tokio::spawn(async move { control.refer("sip:bob@h;x=1", Some("\"A\" <sip:a@h>"), &extra).await });
    let refer = ua.request("REFER").await;
    for (name, value) in [("Refer-To", "<sip:bob@h;x=1>"), ("Referred-By", "\"A\" <sip:a@h>"), ("X-A", "1")] {
        assert_eq!(refer.get(name), value);
    }
    assert!(!refer.get("Contact").is_empty());
    ua.send(&refer.reply("200 OK", "", "", "")).await;
    assert_eq!(asking.await.unwrap().unwrap(), (200, "OK".to_owned()));
    for (cseq, state, body, told) in [
        (2, "active;expires=60", "SIP/2.0 100 Trying\r\n", progress(100, "Trying", false)),
        (3, "pending", "SIP/2.0 180 Ringing\r\nServer: x\r\n", progress(180, "Ringing", false)),
        (4, "Terminated;reason=noresource", "SIP/2.0 200 OK\r\n", progress(200, "OK", true)),
    ] {
        ua.send(&notify(&ua, &call, cseq, "Refer", state, body)).await;
        assert_eq!(ua.last().await.code(), 200);
        assert_eq!(event(&mut leg).await, told);
    }
    ua.send(&notify(&ua, &call, 5, "refer", "active", "SIP/2.0 180 Ringing\r\n")).await;
    assert_eq!(ua.last().await.code(), 481);
}

#[tokio::test]
async fn reports_belong_to_the_transfer_they_name_and_unreadable_ones_to_none() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "out2").await;
    let mut names = Vec::new();
    for target in ["sip:one@h", "sip:two@h", "sip:three@h", "sip:four@h"] {
        let control = leg.control();
        let asking = tokio::spawn(async move { control.refer(target, None, &[]).await });
        let refer = ua.request("REFER").await;
        // The third is refused, the fourth accepted without reports (RFC 4488), which is its end.
        let (answer, extra) = match target {
            "sip:three@h" => ("603 Decline", ""),
            "sip:four@h" => ("202 Accepted", "Refer-Sub: false\r\n"),
            _ => ("202 Accepted", ""),
        };
        ua.send(&refer.reply(answer, "", extra, "")).await;
        assert_eq!(asking.await.unwrap().unwrap().0, answer[..3].parse::<u16>().unwrap());
        if target == "sip:four@h" {
            assert!(matches!(event(&mut leg).await, LegEvent::ReferProgress { status: 408, over: true, .. }));
        }
        names.push(refer.get("CSeq").split(' ').next().unwrap().to_owned());
    }
    let named = |n: usize| format!("refer;id={}", names[n]);
    let busy = "SIP/2.0 486 Busy Here\r\n";
    for (cseq, name, state, body, code) in [
        (2, named(2), "active", busy, 481),
        (3, named(3), "active", busy, 481),
        (4, "refer;id=x".to_owned(), "active", busy, 481),
        (5, "presence".to_owned(), "active", busy, 481),
        (6, named(1), "active", "", 400),
        (7, named(1), "active", "INVITE sip:a@h SIP/2.0\r\n", 400),
    ] {
        ua.send(&notify(&ua, &call, cseq, &name, state, body)).await;
        assert_eq!(ua.last().await.code(), code, "{name} {body:?}");
    }
    let text = notify(&ua, &call, 8, &named(1), "active", busy).replace("message/sipfrag", "text/plain");
    ua.send(&text).await;
    assert_eq!(ua.last().await.code(), 415);
    ua.send(&notify(&ua, &call, 9, &named(1), "terminated", busy)).await;
    assert_eq!(event(&mut leg).await, progress(486, "Busy Here", true));
    // It ends without an outcome: the engine is told of an end all the same.
    ua.send(&notify(&ua, &call, 10, &named(0), "terminated;reason=giveup", "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::ReferProgress { status: 408, over: true, .. }));
}

#[tokio::test]
async fn a_referral_is_accepted_and_reported_in_order() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "in1").await;
    let refer = ua.message("REFER", &call, 2, "r: <sip:bob@h>;x=1\r\nb: <sip:a@h>\r\nX-Override: 7\r\n", "");
    ua.send(&refer).await;
    let LegEvent::Referred { refer_to, referred_by, user_agent, headers, id } = event(&mut leg).await else {
        panic!("not told")
    };
    assert_eq!((refer_to.as_str(), referred_by.as_deref(), user_agent), ("<sip:bob@h>;x=1", Some("<sip:a@h>"), None));
    assert!(headers.contains(&("X-Override".to_owned(), "7".to_owned())));
    assert!(matches!(leg.notify_refer(id, 180, None, false).await, Err(SipError::State(_))), "not accepted yet");
    leg.accept_refer(id).await.unwrap();
    let accepted = ua.last().await;
    assert_eq!((accepted.code(), accepted.get("Contact").is_empty()), (202, false));
    let trying = ua.request("NOTIFY").await;
    assert_eq!((trying.get("Event").as_str(), trying.body()), ("refer;id=2", "SIP/2.0 100 Trying\r\n"));
    assert!(trying.get("Content-Type").starts_with("message/sipfrag"));
    // Repeated, it is answered again and not told again.
    ua.send(&refer).await;
    assert_eq!(ua.last().await.0, accepted.0);
    for (status, reason, over) in [(200, "a\r\nb", true), (180, "Ringing", true), (99, "x", false), (700, "x", true)] {
        let refused = leg.notify_refer(id, status, Some(reason), over).await;
        assert!(matches!(refused, Err(SipError::Phrase(_) | SipError::Code { .. })), "{status}: {refused:?}");
    }
    // Nothing overtakes a report that is not answered.
    leg.notify_refer(id, 183, None, false).await.unwrap();
    leg.notify_refer(id, 180, None, false).await.unwrap();
    ua.send(&trying.reply("200 OK", "", "", "")).await;
    let ringing = ua.request("NOTIFY").await;
    assert!(ringing.get("Subscription-State").starts_with("active;expires="));
    assert_eq!(ringing.body(), "SIP/2.0 180 Ringing\r\n");
    ua.send(&ringing.reply("200 OK", "", "", "")).await;
    leg.notify_refer(id, 603, Some("Will Not"), true).await.unwrap();
    let last = loop {
        let got = ua.request("NOTIFY").await;
        if got.get("CSeq") != ringing.get("CSeq") {
            break got;
        }
    };
    assert_eq!(last.get("Subscription-State"), "terminated;reason=noresource");
    assert_eq!(last.body(), "SIP/2.0 603 Will Not\r\n");
    ua.send(&last.reply("200 OK", "", "", "")).await;
    assert!(matches!(leg.notify_refer(id, 200, None, true).await, Err(SipError::State(_))));
    assert!(matches!(leg.reject_refer(id, 603).await, Err(SipError::State(_))));
}

#[tokio::test]
async fn a_referral_is_refused_and_too_many_are_put_off() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "in2").await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ua.send(&ua.message("REFER", &call, 2 + n, "Refer-To: sip:bob@h?Replaces=a\r\n", "")).await;
        let LegEvent::Referred { refer_to, id, .. } = event(&mut leg).await else { panic!("not told") };
        assert_eq!(refer_to, "sip:bob@h?Replaces=a");
        ids.push(id);
    }
    ua.send(&ua.message("REFER", &call, 6, "Refer-To: <sip:bob@h>\r\n", "")).await;
    assert_eq!(ua.last().await.code(), 503);
    assert!(matches!(leg.reject_refer(ids[1], 202).await, Err(SipError::Code { .. })));
    leg.reject_refer(ids[1], 405).await.unwrap();
    let refused = ua.last().await;
    assert_eq!((refused.code(), refused.get("CSeq").as_str()), (405, "3 REFER"));
    assert!(matches!(leg.accept_refer(ids[1]).await, Err(SipError::State(_))));
    // There is room again, and a peer that wants no reports gets none.
    ua.send(&ua.message("REFER", &call, 7, "Refer-To: <sip:bob@h>\r\n", "")).await;
    let LegEvent::Referred { id, .. } = event(&mut leg).await else { panic!("not told") };
    leg.accept_refer(id).await.unwrap();
    let trying = ua.request("NOTIFY").await;
    leg.notify_refer(id, 200, None, true).await.unwrap();
    ua.send(&trying.reply("481 Gone", "", "", "")).await;
    // The call itself goes on, and its end answers what is still undecided.
    ua.send(&ua.message("BYE", &call, 8, "", "")).await;
    let mut codes: Vec<(u16, String)> = Vec::new();
    for _ in 0..4 {
        let got = ua.last().await;
        codes.push((got.code(), got.get("CSeq")));
    }
    codes.sort();
    let undecided = [(200, "8 BYE"), (487, "2 REFER"), (487, "4 REFER"), (487, "5 REFER")];
    assert_eq!(codes, undecided.map(|(code, cseq)| (code, cseq.to_owned())));
    bench.until("dialogs_live", 0).await;
}

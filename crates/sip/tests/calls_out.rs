//! Calls we place.

mod bench;

use bench::*;
use sip::{By, LegEvent, SipError, Target};

const SDP_TYPE: &str = "Content-Type: application/sdp\r\n";

#[tokio::test]
async fn an_escaped_contact_comes_back_unchanged_in_every_request_of_the_dialog() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob%23@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    assert!(invite.start().starts_with("INVITE sip:bob%23@"), "{}", invite.start());
    assert_eq!(invite.get("X-PH-Team"), "north");
    assert!(invite.get("From").starts_with("\"Aside \\\"A\\\"\" <sip:1000@acct.test>;tag="));
    ua.send(&invite.reply("100 Trying", "", "", "")).await;
    ua.send(&invite.reply("180 Ringing", "u", "", "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Ringing { code: 180 });
    ua.send(&invite.reply("183 Session Progress", "u", SDP_TYPE, OFFER)).await;
    assert_eq!(event(&mut leg).await, LegEvent::Ringing { code: 183 });
    assert!(matches!(event(&mut leg).await, LegEvent::EarlyMedia(_)));
    let target = format!("sip:a%2Bb%23%20c@{};x=%41", ua.at);
    // No SDP in the 200: the early one counts.
    ua.send(&invite.reply("200 OK", "u", &format!("Contact: <{target}>\r\n"), "")).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
    assert_eq!(ua.request("ACK").await.start(), format!("ACK {target} SIP/2.0"));
    ua.send(&invite.reply("200 OK", "u", &format!("Contact: <{target}>\r\n"), "")).await;
    ua.request("ACK").await;
    leg.info('#').await.unwrap();
    let info = ua.request("INFO").await;
    assert_eq!(info.body(), "Signal=#\r\nDuration=160\r\n");
    ua.send(&info.reply("200 OK", "", "", "")).await;
    leg.hangup(None).await.unwrap();
    let bye = ua.request("BYE").await;
    assert_eq!(bye.start(), format!("BYE {target} SIP/2.0"));
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn a_trunks_challenge_is_answered_with_the_strongest_digest() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    for (code, ask, say, algorithms, chosen) in [
        ("401 Unauthorized", "WWW-Authenticate", "Authorization", &["MD5"][..], "MD5"),
        ("407 Auth", "Proxy-Authenticate", "Proxy-Authorization", &["MD5", "SHA-256"][..], "SHA-256"),
    ] {
        let mut call = bench.outgoing(&format!("sip:bob@{}", ua.at));
        call.auth = Some(("user".into(), "secret".into()));
        let mut leg = bench.sip.invite(call).await.unwrap();
        let first = ua.request("INVITE").await;
        let lines: String = algorithms
            .iter()
            .map(|a| format!("{ask}: Digest realm=\"carrier\", nonce=\"abc\", qop=\"auth\", algorithm={a}\r\n"))
            .collect();
        ua.send(&first.reply(code, "x", &lines, "")).await;
        assert_eq!(ua.request("ACK").await.get("CSeq").split(' ').next(), first.get("CSeq").split(' ').next());
        let second = ua.request("INVITE").await;
        let answer = second.get(say);
        assert!(answer.contains(&format!("algorithm={chosen}")) && answer.contains("nc=00000001"), "{answer}");
        assert_eq!(second.get("Call-ID"), first.get("Call-ID"));
        assert_ne!(second.get("Via"), first.get("Via"));
        // Refusing the same password again ends it.
        ua.send(&second.reply(code, "x", &lines, "")).await;
        assert!(matches!(event(&mut leg).await, LegEvent::Refused { .. }));
    }
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn refusals_redirects_and_silence_are_reported() {
    let bench = Bench::with(sip::SipConfig { timers: hasty(), ..config() }).await;
    let ua = Ua::new(bench.at).await;
    for (line, code) in [("486 Busy Here", 486), ("302 Moved Temporarily", 302), ("603 Decline", 603)] {
        let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
        let invite = ua.request("INVITE").await;
        ua.send(&invite.reply(line, "x", &format!("Contact: <sip:evil@{}>\r\n", ua.at), "")).await;
        let LegEvent::Refused { code: got, reason } = event(&mut leg).await else { panic!("not refused") };
        assert_eq!((got, format!("{got} {reason}")), (code, line.to_owned()));
        ua.request("ACK").await;
    }
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    assert!(matches!(event(&mut leg).await, LegEvent::Refused { code: 408, .. }));
    bench.until("dialogs_live", 0).await;
    bench.until("transactions_live", 0).await;
}

#[tokio::test]
async fn a_cancel_waits_for_a_provisional_and_a_crossing_200_is_hung_up() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    leg.hangup(None).await.unwrap();
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Local, .. }));
    ua.send(&invite.reply("100 Trying", "", "", "")).await;
    let cancel = ua.request("CANCEL").await;
    assert_eq!(cancel.get("Via"), invite.get("Via"));
    assert_eq!(cancel.start().replace("CANCEL", "INVITE"), invite.start());
    ua.send(&cancel.reply("200 OK", "", "", "")).await;
    ua.send(&invite.reply("200 OK", "u", &format!("{}{SDP_TYPE}", ua.contact()), OFFER)).await;
    ua.request("ACK").await;
    let bye = ua.request("BYE").await;
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn the_second_answer_of_a_fork_is_acknowledged_and_hung_up() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (leg, invite) = out(&bench, &ua).await;
    ua.send(&invite.reply("200 OK", "u2", &format!("{}{SDP_TYPE}", ua.contact()), OFFER)).await;
    assert!(ua.request("ACK").await.get("To").ends_with("tag=u2"));
    let bye = ua.request("BYE").await;
    assert!(bye.get("To").ends_with("tag=u2"));
    ua.send(&bye.reply("200 OK", "", "", "")).await;
    leg.hangup(None).await.unwrap();
    assert!(ua.request("BYE").await.get("To").ends_with("tag=u1"));
}

#[tokio::test]
async fn our_reinvite_returns_the_answer_and_survives_glare() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, invite) = out(&bench, &ua).await;
    let control = leg.control();
    let changing = tokio::spawn(async move { control.reinvite(&sdp()).await });
    let reinvite = ua.request("INVITE").await;
    // The peer's own re-INVITE crosses ours: both get 491.
    let mut call = Call::new("glare", "sip:bob@x", "sip:1000@acct.test");
    call.id = invite.get("Call-ID");
    call.from_tag = "u1".into();
    call.to_tag = invite.get("From").split("tag=").nth(1).unwrap().into();
    ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
    assert_eq!(ua.last().await.code(), 491);
    ua.send(&ua.message("ACK", &call, 1, "", "")).await;
    ua.send(&reinvite.reply("491 Request Pending", "", "", "")).await;
    ua.request("ACK").await;
    let again = ua.request("INVITE").await;
    let ok = again.reply("200 OK", "", &format!("{}{SDP_TYPE}", ua.contact()), OFFER);
    ua.send(&ok).await;
    ua.request("ACK").await;
    assert_eq!(changing.await.unwrap().unwrap().media.len(), 1);
    let control = leg.control();
    let changing = tokio::spawn(async move { control.reinvite(&sdp()).await });
    let reinvite = ua.request("INVITE").await;
    ua.send(&reinvite.reply("481 Gone", "", "", "")).await;
    assert!(matches!(changing.await.unwrap(), Err(SipError::Refused { code: 481, .. })));
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { .. }));
}

#[tokio::test]
async fn record_routes_are_followed_and_private_contacts_are_not() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    let lines =
        format!("Record-Route: <sip:p2.test;lr>, <sip:{};lr>\r\nContact: <sip:bob@10.9.8.7:1>\r\n{SDP_TYPE}", ua.at);
    ua.send(&invite.reply("200 OK", "u", &lines, OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
    let ack = ua.request("ACK").await;
    assert_eq!(ack.start(), "ACK sip:bob@10.9.8.7:1 SIP/2.0");
    assert_eq!(ack.all("Route"), [format!("<sip:{};lr>", ua.at), "<sip:p2.test;lr>".to_owned()]);
    let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:bob@{}", ua.at))).await.unwrap();
    let invite = ua.request("INVITE").await;
    ua.send(&invite.reply("200 OK", "u", &format!("Contact: <sip:bob@10.9.8.7:1>\r\n{SDP_TYPE}"), OFFER)).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
    assert_eq!(ua.request("ACK").await.start(), "ACK sip:bob@10.9.8.7:1 SIP/2.0");
}

#[tokio::test]
async fn local_domains_and_broken_targets_are_never_dialled() {
    let bench = Bench::new().await;
    let call = |to: &str| bench.outgoing(to);
    let local = bench.sip.invite(call("sip:x@phone.plivo.com")).await.err();
    assert_eq!(local, Some(SipError::LocalDomain("phone.plivo.com".into())));
    assert!(matches!(bench.sip.invite(call("sip:x y@h")).await.err(), Some(SipError::Uri { .. })));
    assert!(matches!(bench.sip.invite(call("sip:x@h?Route=a")).await.err(), Some(SipError::Uri { .. })));
    let mut forged = call("sip:x@127.0.0.1:9");
    forged.headers.push(("X-A".into(), "b\r\nRoute: <sip:evil>".into()));
    assert!(matches!(bench.sip.invite(forged).await.err(), Some(SipError::Header { .. })));
    let mut forged = call("sip:x@127.0.0.1:9");
    forged.from.host = "h>\r\nRoute: <sip:evil".into();
    assert!(matches!(bench.sip.invite(forged).await.err(), Some(SipError::Uri { .. })));
    assert_eq!(bench.counter("calls_out"), 0);
}

#[tokio::test]
async fn a_named_host_and_a_route_lead_to_the_right_socket() {
    let ua = Ua::new("127.0.0.1:9".parse().unwrap()).await;
    let mut config = config();
    config.hosts.insert("gw.test".into(), ua.at);
    let bench = Bench::with(config).await;
    let _leg = bench.sip.invite(bench.outgoing("sip:bob@gw.test")).await.unwrap();
    assert_eq!(ua.request("INVITE").await.start(), "INVITE sip:bob@gw.test SIP/2.0");
    let mut call = bench.outgoing("sip:bob@carrier.invalid");
    call.route = Some(ua.at.to_string());
    call.target = Target::Uri("sip:bob@carrier.invalid".into());
    let _other = bench.sip.invite(call).await.unwrap();
    assert_eq!(ua.request("INVITE").await.start(), "INVITE sip:bob@carrier.invalid SIP/2.0");
}

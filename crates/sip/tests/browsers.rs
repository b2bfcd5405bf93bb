//! Calls with browsers: WebRTC descriptions untouched, and calls that follow their browser from connection to connection.

mod bench;
mod browser;

use std::sync::Arc;
use std::time::Duration;

use bench::*;
use browser::*;
use sip::sdp::{Session, Unusable};
use sip::{By, Identity, Leg, LegEvent, Limits, Outgoing, SipConfig, SipError, Target, Transport};

fn described(text: &str) -> Session {
    Session::webrtc_of(text).unwrap()
}

fn to_browser(bench: &Bench, user: &str) -> Outgoing {
    let contact = bench.sip.contacts(&format!("{user}@acct.test")).remove(0);
    Outgoing {
        target: Target::Contact(Box::new(contact)),
        offer: described(&webrtc(1, "sendrecv")),
        ..bench.outgoing("")
    }
}

fn x(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

/// A call to a browser, up; what it was told.
async fn called(bench: &Bench, browser: &mut Browser) -> (Leg, Got) {
    let mut leg = bench.sip.invite(to_browser(bench, &browser.user)).await.unwrap();
    let invite = browser.request("INVITE").await;
    let lines = format!("{}Content-Type: application/sdp\r\n", browser.call_contact());
    browser.send(&invite.reply("200 OK", "b1", &lines, &webrtc(2, "sendrecv"))).await;
    assert_eq!(event(&mut leg).await, LegEvent::Answered(described(&webrtc(2, "sendrecv"))));
    browser.request("ACK").await;
    (leg, invite)
}

#[tokio::test]
async fn a_browser_calls_and_everything_it_says_arrives_as_it_said_it() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let mut call = Call::new("w1", "sip:alice@phone.plivo.com", "sip:room@phone.plivo.com");
    let lines = "X-PH-Team: north\r\nX-Application-Sid: 4f\r\nX-ClientRegion: eu\r\nx-ph-b2: b%20(c)+d\r\n";
    let offer = webrtc(1, "sendrecv");
    browser.invite(&call, lines, &offer).await;
    let mut incoming = bench.call().await;
    assert_eq!((incoming.transport, incoming.source), (Transport::Wss, browser.at));
    assert!(matches!(&incoming.identity, Identity::Endpoint { username, .. } if username == "alice"));
    for (name, value) in
        [("X-PH-Team", "north"), ("X-Application-Sid", "4f"), ("X-ClientRegion", "eu"), ("X-PH-B2", "b%20(c)+d")]
    {
        assert_eq!(incoming.header(name), Some(value), "{name}");
    }
    let heard = incoming.offer.clone().unwrap();
    assert_eq!((heard.webrtc(), incoming.body.as_str()), (Some(offer.as_str()), offer.as_str()));
    assert!(!heard.is_hold());
    let leg = &mut incoming.leg;
    leg.ring(&x("X-CallUUID", "u-1")).await.unwrap();
    assert_eq!(browser.recv().await.code(), 100);
    let ringing = browser.recv().await;
    assert_eq!((ringing.code(), ringing.get("X-CallUUID").as_str()), (180, "u-1"));
    call.learn(&ringing);
    // Candidates come before the answer, too.
    let fragment = "a=ice-ufrag:u1\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n";
    let kind = "Info-Package: trickle-ice\r\nContent-Type: application/trickle-ice-sdpfrag\r\n";
    let info = browser.message("INFO", &call, 3, kind, fragment);
    browser.send(&info).await;
    assert_eq!(event(leg).await, LegEvent::IceCandidates(fragment.to_owned()));
    assert_eq!(browser.last().await.code(), 200);
    let answer = webrtc(5, "sendrecv");
    leg.early_media(&described(&answer), &[]).await.unwrap();
    assert_eq!(browser.recv().await.body(), answer);
    leg.answer(&described(&answer), &x("X-CallUUID", "u-1")).await.unwrap();
    let ok = browser.last().await;
    assert_eq!((ok.code(), ok.body(), ok.get("X-CallUUID").as_str()), (200, answer.as_str(), "u-1"));
    assert!(ok.get("Contact").ends_with(";transport=ws>"), "{ok:?}");
    call.learn(&ok);
    let ack = browser.message("ACK", &call, 2, "", "");
    browser.send(&ack).await;
    assert_eq!(event(leg).await, LegEvent::Acked { answer: None });
    let bye = browser.message("BYE", &call, 4, "X-PH-Why: done\r\n", "");
    browser.send(&bye).await;
    assert!(
        matches!(event(leg).await, LegEvent::Ended { by: By::Remote, headers, .. } if headers == x("X-PH-Why", "done"))
    );
    assert_eq!(browser.last().await.code(), 200);
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn a_call_in_progress_works_over_a_websocket_as_over_others() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let (mut leg, call) = browser_up(&mut bench, &mut browser, "w2").await;
    let contact = browser.call_contact();
    for (n, kind, body, digit) in
        [(3, "application/dtmf-relay", "Signal=5\r\nDuration=100\r\n", '5'), (4, "application/dtmf", "#", '#')]
    {
        let info = browser.message("INFO", &call, n, &format!("Content-Type: {kind}\r\n"), body);
        browser.send(&info).await;
        assert_eq!(event(&mut leg).await, LegEvent::InfoDigit(digit));
        assert_eq!(browser.last().await.code(), 200);
    }
    // Hold by direction, with an ICE restart.
    let hold = browser.message("INVITE", &call, 5, &contact, &webrtc(2, "sendonly"));
    browser.send(&hold).await;
    let LegEvent::Reoffer(Some(offer)) = event(&mut leg).await else { panic!("not told") };
    assert!(offer.is_hold() && offer.webrtc() == Some(webrtc(2, "sendonly").as_str()));
    leg.answer_reinvite(&described(&webrtc(8, "recvonly"))).await.unwrap();
    let ok = browser.last().await;
    assert_eq!(ok.body(), webrtc(8, "recvonly"));
    let ack = browser.message("ACK", &call, 5, "", "");
    browser.send(&ack).await;
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    // Session timers.
    let update = browser.message("UPDATE", &call, 6, &format!("{contact}Session-Expires: 90;refresher=uac\r\n"), "");
    browser.send(&update).await;
    assert_eq!(browser.last().await.get("Session-Expires"), "90;refresher=uac");
    // Ours.
    let control = leg.control();
    let changing = tokio::spawn(async move { control.reinvite(&described(&webrtc(9, "sendrecv"))).await });
    let reinvite = browser.request("INVITE").await;
    assert_eq!(reinvite.start(), format!("INVITE sip:k3jd8s@{HOST};transport=ws;ob SIP/2.0"));
    assert!(reinvite.get("Via").starts_with("SIP/2.0/WSS "), "{reinvite:?}");
    assert_eq!(reinvite.body(), webrtc(9, "sendrecv"));
    let lines = format!("{contact}Content-Type: application/sdp\r\n");
    browser.send(&reinvite.reply("200 OK", "", &lines, &webrtc(3, "sendrecv"))).await;
    assert_eq!(changing.await.unwrap().unwrap().webrtc(), Some(webrtc(3, "sendrecv").as_str()));
    browser.request("ACK").await;
    // Transfers both ways.
    let refer = browser.message("REFER", &call, 7, "Refer-To: <sip:bob@phone.plivo.com>\r\n", "");
    browser.send(&refer).await;
    let LegEvent::Referred { id, refer_to, .. } = event(&mut leg).await else { panic!("not told") };
    assert_eq!(refer_to, "<sip:bob@phone.plivo.com>");
    leg.accept_refer(id).await.unwrap();
    assert_eq!(browser.last().await.code(), 202);
    let notify = browser.request("NOTIFY").await;
    browser.send(&notify.reply("200 OK", "", "", "")).await;
    let control = leg.control();
    let asking = tokio::spawn(async move { control.refer("sip:carol@phone.plivo.com", None, &[]).await });
    let refer = browser.request("REFER").await;
    browser.send(&refer.reply("603 Decline", "", "", "")).await;
    assert_eq!(asking.await.unwrap().unwrap().0, 603);
    leg.hangup_with(None, &x("X-PH-Why", "over")).await.unwrap();
    let bye = browser.request("BYE").await;
    assert_eq!(bye.get("X-PH-Why"), "over");
    browser.send(&bye.reply("200 OK", "", "", "")).await;
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn a_registered_browser_is_called_on_its_connection_with_our_engines_offer() {
    let bench = Bench::new().await;
    let mut browser = Browser::registered(&bench, "bob", "d1").await;
    let call = Outgoing { headers: x("X-CallUUID", "u-2"), ..to_browser(&bench, "bob") };
    let mut leg = bench.sip.invite(call).await.unwrap();
    let invite = browser.request("INVITE").await;
    assert_eq!(invite.start(), format!("INVITE sip:k3jd8s@{HOST};transport=ws SIP/2.0"));
    assert_eq!((invite.body(), invite.get("X-CallUUID").as_str()), (webrtc(1, "sendrecv").as_str(), "u-2"));
    assert!(invite.get("Contact").ends_with(";transport=ws>"), "{invite:?}");
    browser.send(&invite.reply("180 Ringing", "b1", &browser.call_contact(), "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Ringing { code: 180 });
    let lines = format!("{}Content-Type: application/sdp\r\n", browser.call_contact());
    browser.send(&invite.reply("200 OK", "b1", &lines, &webrtc(2, "sendrecv"))).await;
    let LegEvent::Answered(answer) = event(&mut leg).await else { panic!("not answered") };
    assert_eq!(answer.webrtc(), Some(webrtc(2, "sendrecv").as_str()));
    // Whoever takes it for plain RTP is told that it is none.
    assert_eq!(sip::sdp::accept(&described(&webrtc(1, "sendrecv")), &answer), Err(Unusable::Protocol));
    let ack = browser.request("ACK").await;
    assert_eq!(ack.start(), format!("ACK sip:k3jd8s@{HOST};transport=ws;ob SIP/2.0"));
    leg.info('7').await.unwrap();
    assert_eq!(browser.request("INFO").await.body(), "Signal=7\r\nDuration=160\r\n");
    drop(leg);
    browser.request("BYE").await;
}

#[tokio::test]
async fn what_a_browser_writes_as_its_host_is_never_looked_up() {
    let bench = Bench::new().await;
    for uri in
        ["sip:k3jd8s@abc123.invalid", "sip:k3jd8s@abc123.invalid;transport=ws", "sip:bob@192.0.2.1;transport=wss"]
    {
        let refused = bench.sip.invite(bench.outgoing(uri)).await.err();
        assert!(matches!(refused, Some(SipError::Uri { .. } | SipError::Resolve { .. })), "{uri}: {refused:?}");
    }
}

#[tokio::test]
async fn a_registration_ends_with_its_connection_and_a_call_there_fails_at_once() {
    let bench = Bench::new().await;
    let browser = Browser::registered(&bench, "bob", "d1").await;
    let call = to_browser(&bench, "bob");
    assert_eq!(bench.book.bindings.lock().unwrap().len(), 1);
    drop(browser);
    bench.until("bindings_bound", 0).await;
    assert!(bench.sip.contacts("bob@acct.test").is_empty());
    bench.until("bindings_unreachable", 1).await;
    // Whoever asked for the contact before is told at once.
    let mut leg = bench.sip.invite(call).await.unwrap();
    let LegEvent::Refused { code, reason } = event(&mut leg).await else { panic!("not refused") };
    assert!(code == 480 && reason.contains("connection is gone"), "{reason}");
    assert_eq!((leg.next().await, bench.counter("transactions_live")), (None, 0));
    let empty = tokio::time::timeout(DEADLINE, async {
        while !bench.book.bindings.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    });
    empty.await.expect("still stored");
}

#[tokio::test]
async fn a_browser_that_is_closed_while_it_rings_is_not_there() {
    let bench = Bench::new().await;
    let mut browser = Browser::registered(&bench, "bob", "d1").await;
    let mut leg = bench.sip.invite(to_browser(&bench, "bob")).await.unwrap();
    let invite = browser.request("INVITE").await;
    browser.send(&invite.reply("180 Ringing", "b1", &browser.call_contact(), "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Ringing { code: 180 });
    drop(browser);
    assert!(matches!(event(&mut leg).await, LegEvent::Refused { code: 480, .. }));
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn a_caller_whose_connection_breaks_before_the_answer_has_given_up() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let call = Call::new("w3", "sip:alice@phone.plivo.com", "sip:room@phone.plivo.com");
    browser.invite(&call, "", &webrtc(1, "sendrecv")).await;
    let mut leg = bench.call().await.leg;
    drop(browser);
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Transport, .. }));
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn the_same_device_on_a_new_connection_takes_the_place_of_its_old_registration() {
    let bench = Bench::new().await;
    let old = Browser::registered(&bench, "bob", "d1").await;
    let _tablet = {
        let mut tablet = Browser::open(&bench).await;
        (tablet.user, tablet.contact) = ("bob".to_owned(), "tablet".to_owned());
        assert_eq!(tablet.register("d2", "").await.code(), 200);
        tablet
    };
    let mut new = Browser::open(&bench).await;
    (new.user, new.contact) = ("bob".to_owned(), "zz9".to_owned());
    assert_eq!(new.register("d1", "").await.code(), 200);
    let contacts = || {
        let all = bench.sip.contacts("bob@acct.test");
        all.iter().map(|c| c.binding.contact.split(['@', ':']).nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(contacts(), ["zz9", "tablet"]);
    // The old connection's end takes nothing away that came after it.
    drop(old);
    bench.until("websockets_live", 2).await;
    let _leg = bench.sip.invite(to_browser(&bench, "bob")).await.unwrap();
    assert!(new.request("INVITE").await.start().contains("sip:zz9@"));
    assert_eq!(contacts(), ["zz9", "tablet"]);
    assert_eq!((bench.counter("bindings_unreachable"), bench.book.bindings.lock().unwrap().len()), (0, 2));
}

#[tokio::test]
async fn a_call_goes_on_when_its_browser_changes_its_network() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::registered(&bench, "alice", "d1").await;
    let (mut leg, call) = browser_up(&mut bench, &mut browser, "w4").await;
    drop(browser);
    bench.until("websockets_live", 0).await;
    // In the gap nothing reaches it, and whoever tries is told; the call stays.
    let unreachable = leg.reinvite(&described(&webrtc(7, "sendrecv"))).await;
    assert!(matches!(unreachable, Err(SipError::NoTransport(_))), "{unreachable:?}");
    assert_eq!(bench.counter("dialogs_live"), 1);
    let mut back = Browser::registered(&bench, "alice", "d1").await;
    let restart = back.message("INVITE", &call, 3, &back.call_contact(), &webrtc(2, "sendrecv"));
    back.send(&restart).await;
    let LegEvent::Reoffer(Some(offer)) = event(&mut leg).await else { panic!("not told") };
    assert_eq!(offer.webrtc(), Some(webrtc(2, "sendrecv").as_str()));
    leg.answer_reinvite(&described(&webrtc(8, "sendrecv"))).await.unwrap();
    assert_eq!(back.last().await.code(), 200);
    let ack = back.message("ACK", &call, 3, "", "");
    back.send(&ack).await;
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    assert_eq!(bench.counter("flows_followed"), 1);
    leg.hangup(None).await.unwrap();
    back.request("BYE").await;
}

#[tokio::test]
async fn a_call_to_a_browser_follows_it_too_and_leaves_a_connection_that_is_not_yet_known_to_be_dead() {
    let bench = Bench::new().await;
    let mut browser = Browser::registered(&bench, "bob", "d1").await;
    let (mut leg, invite) = called(&bench, &mut browser).await;
    // The old connection is still open here.
    let mut back = Browser::registered(&bench, "bob", "d1").await;
    let tag = |value: String| value.split("tag=").nth(1).unwrap_or("").to_owned();
    let address = |value: String| value.split(['<', '>']).nth(1).unwrap().to_owned();
    let mut call = Call::new(&invite.get("Call-ID"), &address(invite.get("To")), &address(invite.get("From")));
    (call.from_tag, call.to_tag) = ("b1".to_owned(), tag(invite.get("From")));
    call.uri = address(invite.get("Contact"));
    let restart = back.message("INVITE", &call, 1, &back.call_contact(), &webrtc(3, "sendrecv"));
    back.send(&restart).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Reoffer(Some(_))));
    leg.answer_reinvite(&described(&webrtc(8, "sendrecv"))).await.unwrap();
    assert_eq!(back.last().await.code(), 200);
    let ack = back.message("ACK", &call, 1, "", "");
    back.send(&ack).await;
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    drop(browser);
    bench.until("websockets_live", 1).await;
    leg.info('1').await.unwrap();
    back.request("INFO").await;
    assert_eq!((bench.counter("flows_followed"), bench.counter("flows_foreign")), (1, 0));
}

#[tokio::test]
async fn a_browser_that_comes_back_without_registering_is_asked_for_its_password() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let (mut leg, call) = browser_up(&mut bench, &mut browser, "w5").await;
    drop(browser);
    let mut back = Browser::open(&bench).await;
    let lines = back.call_contact();
    let restart = back.message("INVITE", &call, 3, &lines, &webrtc(2, "sendrecv"));
    back.send(&restart).await;
    let challenge = back.last().await;
    assert_eq!(challenge.code(), 407);
    let ack = back.message("ACK", &call, 3, "", "");
    back.send(&ack).await;
    let auth = credentials(&challenge, "alice", "pw", "INVITE", &call.uri, 1, false);
    let restart = back.message("INVITE", &call, 4, &format!("{lines}{auth}"), &webrtc(2, "sendrecv"));
    back.send(&restart).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Reoffer(Some(_))));
    leg.answer_reinvite(&described(&webrtc(8, "sendrecv"))).await.unwrap();
    assert_eq!(back.last().await.code(), 200);
    assert_eq!((bench.counter("flows_foreign"), bench.counter("flows_followed")), (2, 1));
}

#[tokio::test]
async fn nobody_else_takes_a_browsers_call_over_even_if_he_knows_its_tags() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let (mut leg, call) = browser_up(&mut bench, &mut browser, "w6").await;
    let mut bob = Browser::registered(&bench, "bob", "d9").await;
    let ua = Ua::new(bench.at).await;
    for method in ["BYE", "INVITE", "INFO"] {
        let forged = bob.message(method, &call, 50, &bob.call_contact(), "");
        bob.send(&forged).await;
        let challenge = bob.last().await;
        assert_eq!(challenge.code(), 407, "{method}");
        let own = credentials(&challenge, "bob", "pw", method, &call.uri, 1, false);
        let forged = bob.message(method, &call, 51, &format!("{own}{}", bob.call_contact()), "");
        bob.send(&forged).await;
        assert_eq!(bob.last().await.code(), 403, "{method}");
        ua.send(&ua.message(method, &call, 52, &ua.contact(), "")).await;
        assert_eq!(ua.last().await.code(), 407, "{method}");
    }
    // Nor does he answer for it.
    let control = leg.control();
    let asking = tokio::spawn(async move { control.request("INFO", None, b"", &[]).await });
    let info = browser.request("INFO").await;
    bob.send(&info.reply("481 Gone", "", "", "")).await;
    bob.send("\r\n\r\n").await;
    browser.send(&info.reply("200 OK", "", "", "")).await;
    assert_eq!(asking.await.unwrap().unwrap().0, 200);
    let bye = browser.message("BYE", &call, 3, "", "");
    browser.send(&bye).await;
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Remote, .. }));
    assert_eq!(bench.counter("flows_followed"), 0);
}

#[tokio::test]
async fn a_deleted_endpoint_proves_nothing_any_more() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let (_leg, call) = browser_up(&mut bench, &mut browser, "w7").await;
    let mut back = Browser::registered(&bench, "alice", "d1").await;
    assert_eq!(bench.sip.revoke("MA1", Some("ep-alice")).await, 1);
    let bye = back.message("BYE", &call, 3, "", "");
    back.send(&bye).await;
    assert_eq!(back.last().await.code(), 407);
}

#[tokio::test]
async fn a_browser_that_does_not_come_back_ends_its_call() {
    let limits = Limits { websocket_return: Duration::from_millis(300), ..Limits::default() };
    let mut bench = Bench::with(SipConfig { limits, ..config() }).await;
    let mut browser = Browser::open(&bench).await;
    let (mut leg, _) = browser_up(&mut bench, &mut browser, "w8").await;
    drop(browser);
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Transport, .. }));
    assert_eq!(bench.counter("flows_lost"), 1);
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn a_call_hung_up_while_its_browser_is_away_is_over_at_once() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let (leg, call) = browser_up(&mut bench, &mut browser, "w9").await;
    drop(browser);
    bench.until("websockets_live", 0).await;
    leg.hangup(None).await.unwrap();
    bench.until("dialogs_live", 0).await;
    let mut back = Browser::registered(&bench, "alice", "d1").await;
    let restart = back.message("INVITE", &call, 3, &back.call_contact(), &webrtc(2, "sendrecv"));
    back.send(&restart).await;
    assert_eq!(back.last().await.code(), 481);
}

#[tokio::test]
async fn an_access_token_takes_the_place_of_a_password() {
    let mut bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let late = browser.register("d1", "X-Plivo-Jwt: late\r\n").await;
    assert_eq!((late.code(), late.get("X-Plivo-Jwt-Error-Code").as_str()), (401, "10006"));
    assert!(bench.sip.contacts("alice@acct.test").is_empty());
    let ok = browser.register("d1", "X-Plivo-Jwt: good\r\n").await;
    assert_eq!((ok.code(), ok.get("X-Plivo-Jwt").as_str()), (200, "exp=1999999999;x"));
    assert_eq!(bench.sip.contacts("alice@acct.test").len(), 1);
    let call = Call::new("j1", "sip:alice@phone.plivo.com", "sip:room@phone.plivo.com");
    let lines = format!("{}X-Plivo-Jwt: good\r\n", browser.call_contact());
    let invite = browser.message("INVITE", &call, 1, &lines, &webrtc(1, "sendrecv"));
    browser.send(&invite).await;
    assert!(matches!(bench.call().await.identity, Identity::Endpoint { username, .. } if username == "alice"));
    assert_eq!((bench.counter("tokens_ok"), bench.counter("tokens_refused")), (2, 1));
    // An unknown one asks for the password, and one for somebody else does not help.
    let mut other = Browser::open(&bench).await;
    assert_eq!(other.register("d2", "X-Plivo-Jwt: what\r\n").await.code(), 200);
    let mut thief = Call::new("j2", "sip:bob@phone.plivo.com", "sip:alice@phone.plivo.com");
    thief.uri = "sip:phone.plivo.com".to_owned();
    let lines = format!("{}X-Plivo-Jwt: good\r\n", other.contact_line("d3"));
    let register = other.message("REGISTER", &thief, 1, &lines, "");
    other.send(&register).await;
    assert_eq!(other.last().await.code(), 403);
    // No datagram carries one.
    let ua = Ua::new(bench.at).await;
    let line = Call::new("j3", "sip:alice@acct.test", "sip:acct.test");
    ua.send(&ua.message("REGISTER", &line, 1, &format!("{}X-Plivo-Jwt: good\r\n", ua.contact()), "")).await;
    assert_eq!(ua.last().await.code(), 401);
}

#[tokio::test]
async fn a_registration_lasts_no_longer_than_its_token_and_rings_only_where_that_is_granted() {
    let bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let ok = browser.register("d1", "X-Plivo-Jwt: brief\r\n").await;
    let granted = ok.get("Contact");
    let seconds = granted.split("expires=").nth(1).and_then(|rest| rest.split(';').next()?.parse::<u32>().ok());
    assert!(ok.code() == 200 && seconds.is_some_and(|seconds| (80..=90).contains(&seconds)), "{granted}");
    let kept = &bench.sip.contacts("alice@acct.test")[0].binding;
    assert!(kept.expires <= std::time::SystemTime::now() + std::time::Duration::from_secs(90), "600 s were asked for");
    // Plivo's SDK registers before it calls; nobody calls it there.
    let again = browser.register("d1", "X-Plivo-Jwt: outgoing\r\n").await;
    assert_eq!(again.code(), 200, "{again:?}");
    assert!(again.get("Contact").contains("expires=600"), "{again:?}");
    assert!(bench.sip.contacts("alice@acct.test").is_empty(), "it is rung");
    assert_eq!(browser.register("d1", "X-Plivo-Jwt: good\r\n").await.code(), 200);
    assert_eq!(bench.sip.contacts("alice@acct.test").len(), 1);
}

#[tokio::test]
async fn a_browsers_ping_is_answered_and_it_learns_its_address() {
    let bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let call = Call::new("p1", "sip:alice@phone.plivo.com", "sip:admin@phone.plivo.com");
    let ping = browser.message("OPTIONS", &call, 1, "Content-Type: text/plain\r\n", "pong");
    browser.send(&ping).await;
    assert_eq!(browser.last().await.code(), 200);
    let ask = browser.message("MESSAGE", &call, 2, "Content-Type: text/plain\r\n", "ipAddress");
    browser.send(&ask).await;
    let told = browser.last().await;
    assert_eq!((told.code(), told.body()), (200, "127.0.0.1"));
    let other = browser.message("MESSAGE", &call, 3, "Content-Type: text/plain\r\n", "hello");
    browser.send(&other).await;
    assert_eq!(browser.last().await.code(), 405);
}

#[tokio::test]
async fn no_browsers_registration_outlives_a_restart() {
    let book = Arc::new(Book::default());
    let first = Bench::over(config(), book.clone()).await;
    let _browser = Browser::registered(&first, "bob", "d1").await;
    let stored = book.bindings.lock().unwrap().clone();
    assert_eq!(stored.len(), 1);
    // As after a crash: nothing was taken back.
    let book = Arc::new(Book { bindings: stored.into(), ..Book::default() });
    let second = Bench::over(config(), book.clone()).await;
    assert!(second.sip.contacts("bob@acct.test").is_empty());
    assert!(book.bindings.lock().unwrap().is_empty());
    assert_eq!(second.counter("bindings_unreachable"), 1);
}

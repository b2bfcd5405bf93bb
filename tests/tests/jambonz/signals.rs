//! What verbs write into SIP and RTP: header fields of rings, refusals and hang-ups, and keys.

use phone::rtp::{digits, event_to_digit};
use phone::{Call, CallError, Content, EndCause, EventKind, Mouth, Packet};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, hears, tones, voice};
use system_tests::jambonz::exchange::{Calling, Exchange, Via};

/// Somebody calls; returns as soon as the application was asked.
async fn dials(exchange: &Exchange, name: &str, via: Via, verbs: Value) -> Calling {
    exchange.app.verbs(&format!("/call/{name}"), verbs);
    let phone = exchange.phone_via(name, via, Mouth::Silence).await;
    exchange.dials(name, phone).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_rings_with_its_text_and_the_call_is_answered_later() {
    let exchange = Exchange::open().await;
    for (via, text) in [(Via::Socket, "info=alert-internal"), (Via::Http, "<http://callcenter.test/bell>;info=x")] {
        let name = format!("caller-{via:?}").to_lowercase();
        exchange.app.verbs("/after", json!([{ "verb": "answer" }, { "verb": "pause", "length": 30 }]));
        let verbs = json!([{ "verb": "alert", "message": text }, { "verb": "redirect", "actionHook": "/after" }]);
        exchange.app.hold("/after");
        let caller = dials(&exchange, &name, via, verbs).await;
        let alerts = |kind: &EventKind| match kind {
            EventKind::Progress { code: 180, early_media: false, headers } => headers.get("Alert-Info") == Some(text),
            _ => false,
        };
        if let Err(error) = caller.call.wait_event(SOON, alerts).await {
            panic!("{via:?}: {error}: {:?}", caller.call.events());
        }
        exchange.app.hears(&caller.sid, "/after", caller.mark, |_| true).await;
        assert!(!caller.call.events().iter().any(|event| event.kind == EventKind::Answered), "answered by an alert");
        exchange.app.release("/after");
        caller.answered().await;
        caller.call.hangup().await.unwrap();
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_the_reason_and_header_fields_that_were_asked_for_and_only_before_the_answer() {
    let exchange = Exchange::open().await;
    let decline = json!({
        "verb": "sip:decline", "status": 480, "reason": "Closed For Today",
        "headers": { "X-Why": "closed", "Retry-After": "3600" },
    });
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let caller = dials(&exchange, &name, via, json!([decline])).await;
        let ended = match caller.call.wait_answered(SOON).await {
            Err(CallError::Ended(ended)) => ended,
            other => panic!("{via:?}: {other:?}"),
        };
        assert_eq!((ended.cause, ended.code), (EndCause::Refused, Some(480)));
        assert_eq!(ended.reason.as_deref(), Some("Closed For Today"));
        let fields = ["X-Why", "Retry-After"].map(|name| ended.headers.get(name).map(str::to_owned));
        assert_eq!(fields, [Some("closed".to_owned()), Some("3600".to_owned())], "{:?}", ended.headers);
        // The states of the call say so too.
        let failed = |told: &system_tests::jambonz::app::Told| {
            told.call_sid == caller.sid && told.data["sip_status"] == 480 && told.text("call_status") == "failed"
        };
        exchange.app.told().expect("the call has failed", caller.mark, SOON, failed).await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_carries_its_header_fields_in_the_bye() {
    let exchange = Exchange::open().await;
    let verbs = json!([
        { "verb": "answer" }, { "verb": "pause", "length": 0.2 },
        { "verb": "hangup", "headers": { "X-Survey": "no", "X-Case": "7" } },
        { "verb": "redirect", "actionHook": "/never" },
    ]);
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let caller = dials(&exchange, &name, via, verbs.clone()).await;
        caller.answered().await;
        let ended = caller.ended().await;
        assert_eq!(ended.cause, EndCause::RemoteHangup);
        let fields = ["X-Survey", "X-Case"].map(|name| ended.headers.get(name).map(str::to_owned));
        assert_eq!(fields, [Some("no".to_owned()), Some("7".to_owned())], "{via:?}: {:?}", ended.headers);
    }
    assert!(exchange.app.told().matching(|told| told.name == "/never").is_empty(), "instructions after a hang-up ran");
    exchange.closes().await;
}

/// The telephone events that a phone received, as digit, packets, and packets with the end bit.
fn pressed(call: &Call) -> Vec<(char, usize, usize)> {
    let packets = call.ear().packets();
    let events: Vec<&Packet> = packets.iter().filter(|packet| packet.content == Content::Event).collect();
    let mut found: Vec<(u32, char, usize, usize)> = Vec::new();
    for packet in events {
        let [event, flags, ..] = packet.payload[..] else { panic!("a short event: {packet:?}") };
        let digit = event_to_digit(event).expect("a key");
        let end = usize::from(flags & 0x80 != 0);
        match found.iter_mut().find(|known| known.0 == packet.header.timestamp) {
            Some(known) => (known.2, known.3) = (known.2 + 1, known.3 + end),
            None => found.push((packet.header.timestamp, digit, 1, end)),
        }
    }
    found.into_iter().map(|(_, digit, packets, ends)| (digit, packets, ends)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_program_sends_reach_the_addressed_side_of_a_dial_as_telephone_events() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    exchange.client("agent").await;
    let agents = exchange.connect("agent", voice(a)).await;
    let name = format!("agent@{}", exchange.office.account.realm);
    let dial = json!([{ "verb": "dial", "target": [{ "type": "user", "name": name }], "answerOnBridge": true }]);
    exchange.app.verbs("/call/caller", dial);
    let phone = exchange.phone("caller", voice(c)).await;
    let caller = exchange.dials("caller", phone).await;
    let agent = agents.incoming(SOON).await.expect("the agent's phone does not ring").answer().await.unwrap();
    caller.answered().await;
    let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
    hears("connected", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    let child = |told: &system_tests::jambonz::app::Told| told.text("parent_call_sid") == caller.sid;
    let child =
        exchange.app.told().expect("the called leg", caller.mark, SOON, child).await.text("call_sid").to_owned();
    // To the far phone by REST and by a frame, to the caller's own by a frame.
    exchange.rest.update(&child, json!({ "dtmf": { "digit": "7", "duration": 250 } })).await;
    assert!(agent.ear().wait_until(SOON, |ear| ear.digits() == "7").await, "{:?}", agent.ear().digits());
    exchange.app.send(
        &caller.sid,
        &json!({ "type": "command", "command": "dtmf", "callSid": child, "data": { "digit": "#" } }),
    );
    assert!(agent.ear().wait_until(SOON, |ear| ear.digits() == "7#").await, "{:?}", agent.ear().digits());
    assert_eq!(caller.call.ear().digits(), "", "the caller has received the other side's keys");
    exchange.app.command(&caller.sid, "dtmf", json!({ "digit": "9" }));
    assert!(caller.call.ear().wait_until(SOON, |ear| ear.digits() == "9").await, "{:?}", caller.call.ear().digits());
    assert_eq!(digits(&agent.ear().packets()), "7#");
    // RFC 4733: one timestamp a key, updates while it lasts, the end three times.
    for (call, keys) in [(&agent, "7#"), (&caller.call, "9")] {
        let whole = |_: &phone::Ear| pressed(call).iter().all(|(_, _, ends)| *ends >= 3);
        assert!(call.ear().wait_until(SOON, whole).await, "an end is not repeated: {:?}", pressed(call));
        let events = pressed(call);
        assert_eq!(events.iter().map(|event| event.0).collect::<String>(), keys, "{events:?}");
        assert!(events.iter().all(|(_, packets, ends)| packets > ends), "a key that never began: {events:?}");
    }
    hears("keys disturb nobody", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    exchange.closes().await;
}

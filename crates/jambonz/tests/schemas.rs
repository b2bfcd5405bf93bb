//! Documents and bodies against the vendor's own schemas.

mod house;

use house::value;
use jambonz::hooks::*;
use jambonz::json::Object;
use jambonz::verbs::{READ, StatusEvent, StatusHook, Verb, instructions};
use serde_json::json;

fn schemas(count: u32, bodies: &[(&str, Object)]) -> serde_json::Value {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.subsec_nanos());
    eprintln!("seed {seed}");
    let bodies: Vec<_> = bodies.iter().map(|(schema, body)| json!({"schema": schema, "body": body})).collect();
    house::node("schemas.cjs", &json!({"seed": seed, "count": count, "read": READ, "bodies": bodies}))
}

#[test]
fn every_array_that_the_schemas_allow_is_accepted_and_what_they_refuse_is_refused() {
    let made = schemas(150, &[]);
    let (good, bad) = (made["good"].as_array().expect("a list"), made["bad"].as_array().expect("a list"));
    let mut seen = std::collections::BTreeSet::new();
    for case in good {
        let read = instructions(&value(&case["document"]));
        let read = read.unwrap_or_else(|error| panic!("{error}: {}", case["document"]));
        let verb = &read.first().expect("one verb").verb;
        let name = match case["verb"].as_str().expect("a name") {
            "room" => "conference",
            "stream" => "listen",
            name => name,
        };
        assert_eq!(verb.name(), name);
        assert_eq!(matches!(verb, Verb::Unsupported(_)), !READ.contains(&name), "{name}");
        seen.insert(name.to_owned());
    }
    for name in READ {
        assert!(seen.contains(*name), "{name}");
    }
    let mut refused = 0;
    for case in bad {
        let error = instructions(&value(&case["document"])).expect_err(&case["document"].to_string());
        assert!(error.to_string().contains("element 0"), "{error}");
        refused += 1;
    }
    assert!(refused > 300, "only {refused} documents were spoilt");
}

#[test]
fn the_packages_own_test_data_are_read_as_their_validator_reads_them() {
    let made = schemas(0, &[]);
    let shipped = made["shipped"].as_array().expect("a list");
    let (mut accepted, mut refused, mut forgiven) = (0, 0, 0);
    for case in shipped {
        let read = instructions(&value(&case["document"]));
        match case["fault"].as_str() {
            None => {
                assert!(read.is_ok(), "{}: {read:?}", case["from"]);
                accepted += 1;
            }
            // Unknown properties are passed over.
            Some(fault) if fault.contains("unknown property") || fault.contains("invalid property") => forgiven += 1,
            Some(fault) => {
                assert!(read.is_err(), "{}: {fault}", case["from"]);
                refused += 1;
            }
        }
    }
    assert!(accepted >= 11 && refused >= 5 && forgiven >= 1, "{accepted} {refused} {forgiven}");
}

fn bodies() -> Vec<(&'static str, Object)> {
    let call = house::call();
    let sip = SipRequest {
        headers: [
            ("Via", "SIP/2.0/UDP 192.0.2.1"),
            ("via", "SIP/2.0/UDP 192.0.2.2"),
            ("X-Account", "7"),
            ("10", "ten"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        body: "v=0\r\n".to_owned(),
        content_type: Some("application/sdp".to_owned()),
        uri: "sip:16173333456@aside.example.com".to_owned(),
        source_address: "192.0.2.1".to_owned(),
        source_port: 5060,
        protocol: "udp".to_owned(),
        called_number: "16173333456".to_owned(),
        calling_number: "15083084809".to_owned(),
    };
    let start = SessionStart {
        service_provider_sid: Some("2708b1b3-2736-40ea-b502-c53d8396247f".to_owned()),
        defaults: Defaults {
            synthesizer_vendor: Some("default".to_owned()),
            synthesizer_language: Some("en-US".to_owned()),
            ..Defaults::default()
        },
        env_vars: value(&json!({"ROOM_NAME": "support"})).as_object().cloned(),
        sip: Some(sip),
    };
    let alternatives = [("hello there".to_owned(), 0.87)];
    let speech = Speech { language: "en-US", channel: 1, is_final: true, alternatives: &alternatives };
    let refer = ReferDetails {
        refer_to: "<sip:200@example.com>".to_owned(),
        refer_to_user: "200".to_owned(),
        referring_call_sid: call.call_sid.clone(),
        ..ReferDetails::default()
    };
    let position = QueuePosition { queue_sid: "support", waited: 12, size: 3, position: 0 };
    let mut bodies = vec![
        ("base", call.body()),
        ("session-new", session_new(&call, &start)),
        ("session-new", session_new(&call, &SessionStart::default())),
        ("session-reconnect", session_new(&call, &start)),
        ("session-redirect", call.body()),
        ("base", adulting(&call, &call)),
        ("call-status", call_status(&call, None)),
        ("call-status", call_status(&call, Some((17, TerminatedBy::Caller)))),
        ("call-status", call_status(&call, Some((0, TerminatedBy::Server)))),
        ("conference-wait", call.body()),
        ("conference", action(&call, Some("room-1"), &Outcome::Done)),
        ("enqueue-wait", queue_wait(&call, &position)),
        ("dial-dtmf", dial_dtmf(&call, "*1")),
        ("dial-hold", dial_hold(&call, "15083084809", "16173333456")),
        ("dial-refer", dial_refer(&call, &refer)),
        ("gather-partial", gather_partial(&call, &speech)),
        ("sip-refer-event", refer_event(&call, 200)),
        ("message", action(&call, None, &Outcome::Unsent { message_sid: "x", reason: "there is no carrier" })),
        ("listen", action(&call, None, &Outcome::Listened { duration: 4, digits: Some("#") })),
        ("sip-refer", action(&call, None, &Outcome::Referred { status: 202, last: Some(200) })),
        ("sip-refer", action(&call, None, &Outcome::Referred { status: 603, last: None })),
        ("play", action(&call, None, &Outcome::Played { completed: true, milliseconds: 2500, offset: 20_000 })),
        ("play", action(&call, None, &Outcome::Played { completed: false, milliseconds: 0, offset: 0 })),
    ];
    for status in [CallStatus::Completed, CallStatus::Failed, CallStatus::Busy, CallStatus::NoAnswer] {
        let dialled = Outcome::Dialled {
            status,
            sip_status: 200,
            call_sid: Some("33333333-3333-4333-8333-333333333333"),
            sbc_callid: Some("x@y"),
            duration: Some(30),
        };
        bodies.push(("dial", action(&call, Some("d"), &dialled)));
    }
    for reason in [
        GatherReason::Digits,
        GatherReason::Speech,
        GatherReason::Timeout,
        GatherReason::Error,
        GatherReason::LowConfidence,
    ] {
        let gathered =
            Outcome::Gathered { reason, digits: Some("12#"), speech: Some(speech.clone()), error: Some("none") };
        bodies.push(("gather", action(&call, None, &gathered)));
    }
    for result in [QueueResult::Bridged, QueueResult::Left, QueueResult::Hangup, QueueResult::Error] {
        let enqueued = Outcome::Enqueued { queue_sid: "support", waited: 3, result };
        bodies.push(("enqueue", action(&call, None, &enqueued)));
    }
    for result in [QueueResult::Complete, QueueResult::Timeout, QueueResult::Hangup] {
        bodies.push(("dequeue", action(&call, None, &Outcome::Dequeued(result))));
    }
    for phase in [VerbPhase::Starting, VerbPhase::Finished] {
        bodies.push(("verb-status", verb_status(phase, "say", Some("s"))));
    }
    for event in [Playback::Start, Playback::Stop, Playback::Kill, Playback::DigitBargeIn, Playback::SpeechBargeIn] {
        bodies.push(("verb-status", playback(event, "gather", None)));
    }
    for status in [
        CallStatus::Trying,
        CallStatus::Ringing,
        CallStatus::EarlyMedia,
        CallStatus::InProgress,
        CallStatus::Completed,
        CallStatus::Failed,
        CallStatus::Busy,
        CallStatus::NoAnswer,
        CallStatus::Queued,
    ] {
        bodies.push(("base", CallInfo { status, ..house::call() }.body()));
    }
    let hook = jambonz::hook::Hook::plain("/status");
    let asked = StatusHook { hook, events: StatusEvent::ALL.to_vec(), says_end_talking: false };
    for event in &StatusEvent::ALL[..6] {
        let happening = Happening {
            event: *event,
            room: "support-23",
            started_at: 1_772_360_418_000_000,
            at: 1_772_360_430_345_000,
            members: 2,
            id: None,
            b3: Some("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"),
        };
        bodies.push(("conference-status", conference_status(&call, &asked, &happening).expect("it was asked for")));
    }
    bodies
}

#[test]
fn every_body_that_is_sent_validates_against_the_schema_of_its_callback() {
    let bodies = bodies();
    let made = schemas(0, &bodies);
    let verdicts = made["bodies"].as_array().expect("a list");
    assert_eq!(verdicts.len(), bodies.len());
    for ((schema, body), verdict) in bodies.iter().zip(verdicts) {
        assert!(verdict.is_null(), "{schema}: {verdict}: {body}");
    }
}

#[test]
fn a_body_that_is_wrong_is_found_by_its_schema() {
    let mut broken = house::call().body();
    broken.set("call_status", "asleep");
    let made = schemas(0, &[("base", broken.clone()), ("conference-status", broken)]);
    assert!(made["bodies"].as_array().expect("a list").iter().all(serde_json::Value::is_string));
}

#[test]
fn every_body_is_its_own_reserialisation() {
    for (schema, body) in bodies() {
        let text = body.to_string();
        assert_eq!(jambonz::json::canonical(&text).as_deref(), Ok(text.as_str()), "{schema}");
    }
}

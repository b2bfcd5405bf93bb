//! Documents and bodies against the vendor's own schemas.

mod house;

use call::dialect::{self, Dialect, Dialled, Gathered, InputEnd, Kind, Purpose, QueueView, Referred, Understood};
use call::verb::{Fetch, Method, QueueEnd, Verb as Runs};
use house::value;
use jambonz::Jambonz;
use jambonz::hooks::*;
use jambonz::json::Object;
use jambonz::verbs::{READ, StatusEvent, StatusHook, Verb, instructions};
use serde_json::json;

fn schemas(count: u32, bodies: &[(&str, Object)]) -> serde_json::Value {
    // The same documents each time; others by hand.
    let seed = std::env::var("ASIDE_SEED").map_or(Ok(20_260_301), |seed| seed.parse::<u32>());
    let seed = seed.expect("ASIDE_SEED is a number");
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
        ("dial-refer", dial_refer(&call, &refer)),
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
    for end in [InputEnd::Digits, InputEnd::Speech, InputEnd::Timeout, InputEnd::Error, InputEnd::Unclear] {
        let gathered =
            Outcome::Gathered { end, digits: Some("12#"), speech: Some(speech.clone()), error: Some("none") };
        bodies.push(("gather", action(&call, None, &gathered)));
    }
    for end in [QueueEnd::Bridged, QueueEnd::Left, QueueEnd::Hangup, QueueEnd::Error] {
        let enqueued = Outcome::Enqueued { queue_sid: "support", waited: 3, end };
        bodies.push(("enqueue", action(&call, None, &enqueued)));
    }
    for end in [QueueEnd::Complete, QueueEnd::Timeout, QueueEnd::Hangup] {
        bodies.push(("dequeue", action(&call, None, &Outcome::Dequeued(end))));
    }
    for phase in [VerbPhase::Starting, VerbPhase::Finished] {
        bodies.push(("verb-status", verb_status(phase, "say", Some("s"))));
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
        };
        bodies.push(("conference-status", conference_status(&call, &asked, &happening).expect("it was asked for")));
    }
    bodies
}

/// What the dialect asks and tells, by way of the engine's words.
fn spoken() -> Vec<(&'static str, Object)> {
    let dialect = Jambonz::with_rooms_of(100).with_sip_address("192.0.2.7:5060");
    let parse = |text: &str| value(&serde_json::from_str(text).expect("JSON")).as_object().cloned().expect("an object");
    let queue = QueueView { queue: "support".to_owned(), waited_s: 12, size: 3, position: 0 };
    let speech = Understood {
        language: "en-US".to_owned(),
        alternatives: vec![("hello".to_owned(), 0.5), ("yellow".to_owned(), 0.25)],
    };
    let gathered = |end| {
        let heard = (end == InputEnd::Speech).then(|| speech.clone());
        let error = (end == InputEnd::Error).then(|| "there is no recogniser".to_owned());
        dialect::Outcome::Gathered(Gathered { end, digits: Some("12".to_owned()), speech: heard, error })
    };
    let dialled = |status| {
        dialect::Outcome::Dialled(Dialled {
            status,
            sip_status: 200,
            call: Some("33333333-3333-4333-8333-333333333333".to_owned()),
            call_id: Some("x@y".to_owned()),
            seconds: Some(30),
        })
    };
    let enqueued = |end| dialect::Outcome::Enqueued { queue: "support".to_owned(), waited_s: 3, end };
    let refer =
        Referred { to: "<sip:200@example.com>".to_owned(), by: Some("sip:me@example.com".to_owned()), agent: None };
    let mut asked = vec![
        ("session-new", Purpose::Answer),
        ("session-new", Purpose::Fallback),
        ("session-redirect", Purpose::Redirect),
        ("session-redirect", Purpose::Transfer),
        // The first frame of another application.
        ("session-new", Purpose::Redirect),
        ("conference-wait", Purpose::Wait),
        ("conference-wait", Purpose::Enter),
        ("base", Purpose::Confirm),
        ("enqueue-wait", Purpose::QueueWait(Box::new(queue))),
        ("dial-dtmf", Purpose::Keys("*2".to_owned())),
        ("dial-refer", Purpose::ReferredTo(Box::new(refer))),
        ("base", Purpose::InDialog(r#"{"sip_method":"INFO","sip_body":"x"}"#.to_owned())),
        ("sip-refer-event", Purpose::Transferred(200)),
        ("base", Purpose::Adulting(Box::new(house::answered()))),
    ];
    let outcomes = [
        ("conference", dialect::Outcome::Done),
        ("dial", dialled(call::verb::CallStatus::Completed)),
        ("dial", dialled(call::verb::CallStatus::NoAnswer)),
        ("dial", dialled(call::verb::CallStatus::Busy)),
        ("dial", dialled(call::verb::CallStatus::Failed)),
        ("gather", gathered(InputEnd::Digits)),
        ("gather", gathered(InputEnd::Speech)),
        ("gather", gathered(InputEnd::Timeout)),
        ("gather", gathered(InputEnd::Error)),
        ("gather", gathered(InputEnd::Unclear)),
        ("play", dialect::Outcome::Played { completed: true, heard_ms: 2500 }),
        ("play", dialect::Outcome::Played { completed: false, heard_ms: 0 }),
        ("listen", dialect::Outcome::Streamed { seconds: 4, key: Some('#') }),
        ("enqueue", enqueued(QueueEnd::Bridged)),
        ("enqueue", enqueued(QueueEnd::Left)),
        ("enqueue", enqueued(QueueEnd::Hangup)),
        ("enqueue", enqueued(QueueEnd::Error)),
        ("dequeue", dialect::Outcome::Dequeued(QueueEnd::Complete)),
        ("dequeue", dialect::Outcome::Dequeued(QueueEnd::Timeout)),
        ("dequeue", dialect::Outcome::Dequeued(QueueEnd::Hangup)),
        ("sip-refer", dialect::Outcome::Referred { status: 202, last: Some(200) }),
        ("message", dialect::Outcome::Unsent(String::new(), "there is no carrier".to_owned())),
    ];
    for (schema, outcome) in outcomes {
        asked.push((schema, Purpose::Action(Box::new(outcome), Some("v".to_owned()))));
    }
    let mut bodies = Vec::new();
    for call in [house::view(), house::answered(), house::ended()] {
        for (schema, purpose) in &asked {
            match dialect.request(&call, purpose) {
                dialect::Body::Json(text) => bodies.push((*schema, parse(&text))),
                other => panic!("{purpose:?}: {other:?}"),
            }
        }
        let mut tell = |schema, kind: Kind, room: Option<&dialect::RoomView>| {
            let member = house::member(None);
            let (member, call) = (room.map(|_| &member), Some(&call));
            let happening =
                dialect::Happening { at: house::AT + 345_678, sequence: 1, kind: &kind, room, member, call };
            let [told] = <[_; 1]>::try_from(dialect.callbacks(&happening)).expect("one");
            let text = match told {
                dialect::Callback::Request { body: dialect::Body::Json(text), .. } => text,
                dialect::Callback::Message { tell, .. } => tell.body,
                other => panic!("{kind:?}: {other:?}"),
            };
            bodies.push((schema, parse(&text)));
        };
        for kind in [Kind::CallBegun, Kind::CallRinging, Kind::CallAnswered, Kind::CallEnded] {
            tell("call-status", kind, None);
        }
        let label = call::verb::Label { verb: "say".to_owned(), id: None };
        tell("verb-status", Kind::Instruction(true, label.clone()), None);
        tell("verb-status", Kind::Instruction(false, label), None);
        let room = house::room(everything());
        for kind in [
            Kind::RoomStarted,
            Kind::RoomEnded,
            Kind::Admitted,
            Kind::Left,
            Kind::Speaking(true),
            Kind::Speaking(false),
        ] {
            tell("conference-status", kind, Some(&room));
        }
    }
    bodies
}

/// A conference's hook for all events, as a room keeps it.
fn everything() -> Option<serde_json::Value> {
    let events: Vec<_> = StatusEvent::ALL.iter().map(|event| event.as_str()).collect();
    let document = json!([{"verb": "conference", "name": "a", "statusHook": "/status", "statusEvents": events}]);
    let base = Fetch::new("https://app.example.com/", Method::Post);
    let text = document.to_string();
    let read = Jambonz::default().document(&base, &Purpose::Answer, "application/json", text.as_bytes());
    match read.expect("it is good").expect("it is there").remove(0).verb {
        Runs::Join(join) => join.room_settings.callbacks,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_body_that_is_sent_validates_against_the_schema_of_its_callback() {
    let mut bodies = bodies();
    bodies.extend(spoken());
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
    for (schema, body) in bodies().into_iter().chain(spoken()) {
        let text = body.to_string();
        assert_eq!(jambonz::json::canonical(&text).as_deref(), Ok(text.as_str()), "{schema}");
    }
}

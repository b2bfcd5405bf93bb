//! What programs are told of what happens, and how.

mod house;

use call::cause::{HangupCause, HangupSource};
use call::dialect::{Body, CallView, Callback, Dialect, Happening, Kind, MemberView, Purpose, RoomView, SipView};
use call::verb::{Fetch, Join, Label, Method, Verb};
use house::{ACCOUNT, AT, CALL, answered, ended, member, room, value, view};
use jambonz::Jambonz;
use serde_json::{Value as Json, json};

const EVENTS: [&str; 10] = [
    "start",
    "end",
    "join",
    "leave",
    "start-talking",
    "stop-talking",
    "say-start",
    "say-done",
    "play-start",
    "play-done",
];

fn happen(kind: &Kind, room: Option<&RoomView>, member: Option<&MemberView>, call: Option<&CallView>) -> Vec<Callback> {
    Jambonz::default().callbacks(&Happening { at: AT + 12_345_000, sequence: 7, kind, room, member, call })
}

/// The `callbacks` with which such a conference is joined.
fn join(base: &Fetch, status_hook: &Json, events: &[&str]) -> Option<Json> {
    let document =
        json!([{"verb": "conference", "name": "support-23", "statusHook": status_hook, "statusEvents": events}]);
    let read = Jambonz::default().document(base, &Purpose::Answer, "application/json", document.to_string().as_bytes());
    match read.expect("it is good").expect("it is there").remove(0).verb {
        Verb::Join(join) => {
            let Join { member_settings, .. } = *join;
            member_settings.callbacks
        }
        other => panic!("{other:?}"),
    }
}

fn http() -> Fetch {
    Fetch::new("https://app.example.com/start", Method::Post)
}

fn socket() -> Fetch {
    Fetch::new("wss://app.example.com/ws", Method::Link)
}

/// Where a single callback goes, and its body.
fn single(told: Vec<Callback>) -> (String, Option<String>, Json) {
    let [told] = <[Callback; 1]>::try_from(told).expect("one callback");
    match told {
        Callback::Request { to, body: Body::Json(text) } => {
            (to.url, None, serde_json::from_str(&text).expect("it is JSON"))
        }
        Callback::Request { to, body } => (to.url, None, json!(format!("{body:?}"))),
        Callback::Message { call, tell } => {
            assert_eq!((call.as_str(), tell.call.as_str()), (CALL, CALL));
            (tell.message.to_owned(), tell.hook, serde_json::from_str(&tell.body).expect("it is JSON"))
        }
    }
}

fn kinds() -> Vec<(Kind, &'static str)> {
    let sound = |begins, spoken| Kind::RoomSound { begins, spoken, id: Some("s1".to_owned()) };
    vec![
        (Kind::RoomStarted, "start"),
        (Kind::RoomEnded, "end"),
        (Kind::Admitted, "join"),
        (Kind::Left, "leave"),
        (Kind::Speaking(true), "start-talking"),
        (Kind::Speaking(false), "stop-talking"),
        (sound(true, true), "say-start"),
        (sound(false, true), "say-done"),
        (sound(true, false), "play-start"),
        (sound(false, false), "play-done"),
    ]
}

#[test]
fn each_event_of_a_conference_is_told_to_the_members_own_hook_with_the_call_that_it_concerns() {
    let own = join(&http(), &json!("/status#rc=1"), &EVENTS);
    for (kind, event) in kinds() {
        let (to, hook, body) = single(happen(&kind, Some(&room(None)), Some(&member(own.clone())), Some(&answered())));
        assert_eq!((to.as_str(), hook), ("https://app.example.com/status#rc=1", None));
        assert_eq!(body["event"], event);
        assert_eq!(body["conference_sid"], format!("conf:{ACCOUNT}:support-23"));
        assert_eq!(body["friendly_name"], "support-23");
        assert_eq!((&body["duration"], &body["members"]), (&json!(12.345), &json!(2)));
        assert_eq!(body["time"], "2026-03-01T10:20:30.345Z");
        assert_eq!((&body["call_sid"], &body["call_status"]), (&json!(CALL), &json!("in-progress")));
        assert_eq!(body["customerData"]["deepKey"]["aB"], 1.5);
        assert_eq!(body.get("id").is_some(), matches!(kind, Kind::RoomSound { .. }));
    }
}

#[test]
fn an_event_that_was_not_asked_for_is_not_told() {
    for (kind, event) in kinds() {
        let others: Vec<_> = EVENTS.into_iter().filter(|one| *one != event).collect();
        let own = join(&http(), &json!("/status"), &others);
        assert_eq!(happen(&kind, Some(&room(None)), Some(&member(own)), Some(&answered())), [], "{event}");
        assert_eq!(happen(&kind, Some(&room(None)), Some(&member(None)), Some(&answered())), [], "{event}");
    }
    let own = join(&http(), &json!("/status"), &EVENTS);
    for kind in [Kind::RoomOpened, Kind::Joined, Kind::Muted(true), Kind::Tagged, Kind::Digit('1')] {
        assert_eq!(happen(&kind, Some(&room(None)), Some(&member(own.clone())), Some(&answered())), [], "{kind:?}");
    }
}

#[test]
fn the_end_of_talking_is_told_in_the_word_that_was_asked_for() {
    for (asked, told) in [(&["end-talking"][..], "end-talking"), (&["stop-talking", "end-talking"], "stop-talking")] {
        let own = member(join(&http(), &json!("/status"), asked));
        let (.., body) = single(happen(&Kind::Speaking(false), Some(&room(None)), Some(&own), Some(&answered())));
        assert_eq!(body["event"], told);
    }
}

#[test]
fn a_member_without_a_hook_is_told_of_to_the_conferences() {
    let rooms = join(&http(), &json!("/room"), &EVENTS);
    let own = join(&http(), &json!("/own"), &["join"]);
    let told = |own: Option<Json>, kind: &Kind| {
        happen(kind, Some(&room(rooms.clone())), Some(&member(own)), Some(&answered()))
    };
    assert_eq!(single(told(None, &Kind::Admitted)).0, "https://app.example.com/room");
    assert_eq!(single(told(own.clone(), &Kind::Admitted)).0, "https://app.example.com/own");
    // Whoever has said what he wants gets that alone.
    assert_eq!(told(own, &Kind::Left), []);
    // What another dialect keeps there is none of this one's hooks.
    let foreign = json!({"url": "https://b.example.com/", "method": "Post", "events": ["Mpc"]});
    assert_eq!(single(told(Some(foreign.clone()), &Kind::Admitted)).0, "https://app.example.com/room");
    assert_eq!(happen(&Kind::Admitted, Some(&room(Some(foreign))), Some(&member(None)), Some(&answered())), []);
}

#[test]
fn over_a_socket_an_event_is_a_hook_by_the_name_that_the_program_wrote() {
    for written in [json!("/status"), json!({"url": "/status", "method": "POST"})] {
        let own = member(join(&socket(), &written, &["join"]));
        let (message, hook, body) = single(happen(&Kind::Admitted, Some(&room(None)), Some(&own), Some(&answered())));
        assert_eq!((message.as_str(), hook.as_deref()), ("verb:hook", Some("/status")));
        assert_eq!(body["event"], "join");
    }
    // An absolute hook of such an application is a request.
    let own = member(join(&socket(), &json!("https://b.example.com/s"), &["join"]));
    assert_eq!(
        single(happen(&Kind::Admitted, Some(&room(None)), Some(&own), Some(&answered()))).0,
        "https://b.example.com/s"
    );
}

#[test]
fn a_request_by_get_carries_nothing_of_the_call() {
    let own = member(join(&http(), &json!({"url": "/status?a=1", "method": "GET"}), &["join"]));
    let told = happen(&Kind::Admitted, Some(&room(None)), Some(&own), Some(&answered()));
    assert!(
        matches!(&told[..], [Callback::Request { to, body: Body::Nothing }] if to.method == Method::Get),
        "{told:?}"
    );
}

#[test]
fn whoever_never_took_part_does_not_leave_and_a_connection_of_two_is_no_conference() {
    let own = join(&http(), &json!("/status"), &EVENTS);
    let waited = MemberView { admitted: false, ..member(own.clone()) };
    assert_eq!(happen(&Kind::Left, Some(&room(None)), Some(&waited), Some(&answered())), []);
    let unnamed = RoomView { unnamed: true, ..room(own.clone()) };
    for (kind, _) in kinds() {
        assert_eq!(happen(&kind, Some(&unnamed), Some(&member(own.clone())), Some(&answered())), []);
    }
}

#[test]
fn each_state_of_a_call_is_told_to_its_status_hook() {
    let hook = Some(Fetch::new("https://app.example.com/calls", Method::Post));
    let ringing = CallView { sip: SipView { status: 180, reason: "Ringing".to_owned(), ..view().sip }, ..view() };
    for (kind, call, status, sip_status) in [
        (Kind::CallBegun, view(), "trying", 100),
        (Kind::CallRinging, ringing, "ringing", 180),
        (Kind::CallAnswered, answered(), "in-progress", 200),
        (Kind::CallEnded, ended(), "completed", 200),
    ] {
        let call = CallView { hangup_callback: hook.clone(), ..call };
        let (to, _, body) = single(happen(&kind, None, None, Some(&call)));
        assert_eq!(to, "https://app.example.com/calls");
        assert_eq!((&body["call_status"], &body["sip_status"]), (&json!(status), &json!(sip_status)));
        let over = kind == Kind::CallEnded;
        assert_eq!(body.get("duration"), over.then_some(&json!(17)), "{status}");
        assert_eq!(body.get("call_termination_by"), over.then_some(&json!("caller")));
        assert_eq!(body.get("headers"), over.then_some(&json!({"X-Reason": "1"})));
        // A hook of the leg itself comes first, and none is told twice.
        let leg = CallView { state_callback: Some(Fetch::new("https://b.example.com/", Method::Post)), ..call };
        assert_eq!(single(happen(&kind, None, None, Some(&leg))).0, "https://b.example.com/");
    }
}

#[test]
fn the_end_of_a_call_that_was_never_answered_says_why() {
    for (cause, status, by) in [
        (HangupCause::Busy, "busy", "caller"),
        (HangupCause::Rejected, "busy", "caller"),
        (HangupCause::NoAnswer, "no-answer", "caller"),
        (HangupCause::RingTimeout, "no-answer", "jambonz"),
        (HangupCause::Cancelled, "no-answer", "caller"),
        (HangupCause::LostRace, "no-answer", "jambonz"),
        (HangupCause::NoRoute, "failed", "jambonz"),
        (HangupCause::NetworkFailure, "failed", "jambonz"),
        (HangupCause::Normal(HangupSource::Server), "no-answer", "jambonz"),
    ] {
        let call = CallView { answered_at: None, cause: Some(cause.clone()), sip: view().sip, ..ended() };
        let (.., body) = single(happen(&Kind::CallEnded, None, None, Some(&call)));
        assert_eq!((&body["call_status"], &body["call_termination_by"]), (&json!(status), &json!(by)), "{cause:?}");
        assert_eq!(body["duration"], 0);
    }
}

#[test]
fn without_a_status_hook_of_its_own_a_call_is_told_of_over_its_socket() {
    for hook in [None, Some(socket()), Some(Fetch::new("", Method::Post))] {
        let call = CallView { hangup_callback: hook, ..answered() };
        let (message, hook, body) = single(happen(&Kind::CallAnswered, None, None, Some(&call)));
        assert_eq!((message.as_str(), hook), ("call:status", None));
        assert_eq!(body["call_status"], "in-progress");
    }
}

#[test]
fn beginnings_ends_and_faults_of_verbs_are_told_over_the_socket() {
    let label = Label { verb: "say".to_owned(), id: Some("greeting".to_owned()) };
    for (begins, event) in [(true, "starting"), (false, "finished")] {
        let told = single(happen(&Kind::Instruction(begins, label.clone()), None, None, Some(&answered())));
        assert_eq!(told, ("verb:status".to_owned(), None, json!({"event": event, "id": "greeting", "name": "say"})));
    }
    let fault = |label| single(happen(&Kind::Fault("no".to_owned(), label), None, None, Some(&answered())));
    assert_eq!(
        fault(Some(label)),
        (
            "jambonz:error".to_owned(),
            None,
            json!({"msg": "UnsupportedVerb", "details": "no", "verb": "say", "id": "greeting"})
        )
    );
    assert_eq!(fault(None).2, json!({"msg": "CommandRefused", "details": "no"}));
}

#[test]
fn every_body_of_a_callback_is_its_own_reserialisation() {
    let own = join(&http(), &json!("/status"), &EVENTS);
    for (kind, _) in kinds() {
        let told = happen(&kind, Some(&room(None)), Some(&member(own.clone())), Some(&answered()));
        let [Callback::Request { body: Body::Json(text), .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(jambonz::json::canonical(text).as_deref(), Ok(text.as_str()));
        assert_eq!(value(&serde_json::from_str(text).expect("JSON")).to_string().len(), text.len());
    }
}

#[test]
fn an_accounts_hook_is_told_who_comes_to_its_queues_and_who_goes() {
    let told = |settings: &Json, kind: &Kind, room: Option<&str>| {
        let call = CallView { room: room.map(str::to_owned), ..answered() };
        let happening =
            Happening { at: AT + 12_345_000, sequence: 7, kind, room: None, member: None, call: Some(&call) };
        Jambonz::default().queue_callbacks(&happening, settings)
    };
    let settings = json!({ "queue_event_hook": { "url": "https://q.example.com/events", "method": "POST" } });
    let (came, gone) = (Kind::Queue(true, "support".to_owned(), 2), Kind::Queue(false, "support".to_owned(), 1));
    let at = (AT + 12_345_000) / 1_000;
    let base = |event: &str, length: u32| {
        let mut body = json!({ "event": event, "account_sid": ACCOUNT, "call_sid": CALL, "queue": "support" });
        body["length"] = length.into();
        body
    };
    let with = |mut body: Json, further: Json| {
        let (Some(body_object), Json::Object(further)) = (body.as_object_mut(), further) else { panic!("objects") };
        body_object.extend(further);
        body
    };
    let to = "https://q.example.com/events".to_owned();
    let expected = with(base("join", 2), json!({ "join_time": at }));
    assert_eq!(single(told(&settings, &came, None)), (to.clone(), None, expected));
    let expected = with(base("leave", 1), json!({ "leave_reason": "abandoned", "leave_time": at }));
    assert_eq!(single(told(&settings, &gone, None)), (to.clone(), None, expected));
    let expected = with(base("leave", 1), json!({ "leave_reason": "dequeued", "leave_time": at }));
    assert_eq!(single(told(&settings, &gone, Some("r"))), (to, None, expected));
    // Where nobody is to be told, or by a socket that nobody has, nobody is.
    assert!(told(&json!({}), &came, None).is_empty());
    let socket = json!({ "queue_event_hook": { "url": "wss://q.example.com/events" } });
    assert!(told(&socket, &came, None).is_empty());
    let other = Kind::CallAnswered;
    assert!(told(&settings, &other, None).is_empty());
}

#[test]
fn a_document_of_256_kib_may_come_by_http() {
    let text = "x".repeat(200 * 1024);
    let document = json!([{ "verb": "tag", "data": { "text": text } }]).to_string();
    let dialect = Jambonz::default();
    assert_eq!(dialect.largest_document(), 256 * 1024);
    let read = dialect.document(&http(), &Purpose::Answer, "application/json", document.as_bytes());
    assert!(read.expect("it is good").is_some());
}

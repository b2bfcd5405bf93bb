//! What programs are told.

use call::cause::{HangupCause, HangupSource};
use call::dialect::{
    Body, CallState, CallView, Callback, Departure, Dialect, Direction, Happening, Kind, MemberView, Params, Purpose,
    RoomView,
};
use call::verb::{Fetch, Method, Verb};
use conference::{EndCause, LeaveCause, MemberId, Role};
use plivo::Plivo;

const AT: i64 = 1_700_000_000_000_000;

fn callbacks_of(url: &str, events: &str) -> Option<serde_json::Value> {
    let events = if events.is_empty() { String::new() } else { format!("statusCallbackEvents='{events}'") };
    let body = format!(
        "<Response><MultiPartyCall role='agent' statusCallbackUrl='{url}' {events}>r</MultiPartyCall></Response>"
    );
    let base = Fetch::new("https://a.example.com/answer", Method::Post);
    let document = Plivo::default().document(&base, &Purpose::Answer, "text/xml", body.as_bytes());
    match document.unwrap().unwrap().remove(0).verb {
        Verb::Join(join) => join.room_settings.callbacks,
        other => panic!("{other:?}"),
    }
}

fn room(callbacks: Option<serde_json::Value>) -> RoomView {
    RoomView {
        uuid: "room-uuid".to_owned(),
        name: "support".to_owned(),
        auth_id: "MAXXXXXXXXXXXXXXXXXX".to_owned(),
        started: true,
        opened_at: AT,
        started_at: Some(AT),
        ended_at: None,
        end_cause: None,
        callbacks,
        stay_alone: false,
        members: 0,
        unnamed: false,
        max_members: 10,
        max_duration_s: Some(14_400),
    }
}

fn member(callbacks: Option<serde_json::Value>) -> MemberView {
    MemberView {
        number: 355,
        id: MemberId(2),
        role: Some(Role::Supervisor),
        tag: None,
        call_uuid: "call-uuid".to_owned(),
        address: "+4915112345".to_owned(),
        from: "+4930999".to_owned(),
        to: "sip:boss@phone.example.com".to_owned(),
        direction: Direction::Outbound,
        coaching: true,
        muted: false,
        held: false,
        joined_at: Some(AT),
        left_at: None,
        leave_cause: None,
        start_on_enter: true,
        end_on_exit: false,
        admitted: true,
        callbacks,
    }
}

fn call() -> CallView {
    CallView {
        auth_id: "SAXXXXXXXXXXXXXXXXXX".to_owned(),
        main_auth_id: "MAXXXXXXXXXXXXXXXXXX".to_owned(),
        from: "+4930999".to_owned(),
        to: "+4915112345".to_owned(),
        caller_name: "Shop".to_owned(),
        request_uuid: Some("request-uuid".to_owned()),
        headers: vec![("X-PH-Order".to_owned(), "17".to_owned()), ("Subject".to_owned(), "no".to_owned())],
        ..CallView::new("call-uuid".to_owned(), "account".to_owned(), Direction::Outbound, AT)
    }
}

/// A request that tells something.
struct Told {
    to: Fetch,
    params: Params,
}

fn happen(kind: &Kind, room: Option<&RoomView>, member: Option<&MemberView>, call: Option<&CallView>) -> Vec<Told> {
    let happening = Happening { at: AT + 61_000_000, sequence: 7, kind, room, member, call };
    let told = Plivo::default().callbacks(&happening).into_iter().map(|callback| match callback {
        Callback::Request { to, body: Body::Form(params) } => Told { to, params },
        other => panic!("{other:?}"),
    });
    told.collect()
}

fn request(call: &CallView, purpose: &Purpose) -> Params {
    match Plivo::default().request(call, purpose) {
        Body::Form(params) => params,
        other => panic!("{other:?}"),
    }
}

fn value<'a>(params: &'a Params, key: &str) -> &'a str {
    params.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {key}"))
}

const STATUS_KEYS: [&str; 25] = [
    "EventName",
    "EventTimestamp",
    "SequenceNumber",
    "MPCUUID",
    "MPCName",
    "MemberID",
    "MemberAddress",
    "ParticipantRole",
    "ParticipantCallUUID",
    "ParticipantCallFrom",
    "ParticipantCallTo",
    "ParticipantCallDirection",
    "ParticipantCoachMode",
    "ParticipantMute",
    "ParticipantHold",
    "ParticipantJoinTime",
    "ParticipantEndTime",
    "ParticipantExitCause",
    "DigitInput",
    "MPCTerminationCause",
    "MPCTerminationCauseCode",
    "MPCDuration",
    "MPCBilledDuration",
    "MPCBilledAmount",
    "AddParticipantAPIRequestOutcome",
];

const EVERYTHING: &str = "mpc-state-changes,participant-state-changes,participant-speak-events,participant-digit-input-events,add-participant-api-events";

#[test]
fn every_event_has_plivos_name_and_the_same_keys() {
    let room = room(callbacks_of("https://a.example.com/s", EVERYTHING));
    let member = member(None);
    for (kind, name) in [
        (Kind::RoomOpened, "MPCInitialized"),
        (Kind::RoomStarted, "MPCStart"),
        (Kind::RoomEnded, "MPCEnd"),
        (Kind::Joined, "ParticipantJoin"),
        (Kind::Left, "ParticipantExit"),
        (Kind::Muted(true), "ParticipantMute"),
        (Kind::Muted(false), "ParticipantUnmute"),
        (Kind::Held(true), "ParticipantHold"),
        (Kind::Held(false), "ParticipantUnhold"),
        (Kind::Coaching(true), "ParticipantCoachModeStart"),
        (Kind::Coaching(false), "ParticipantCoachModeStop"),
        (Kind::Speaking(true), "ParticipantSpeakStart"),
        (Kind::Speaking(false), "ParticipantSpeakStop"),
        (Kind::Digit('5'), "ParticipantDigitInput"),
        (Kind::AddInitiated, "AddParticipantByAPIActionInitiated"),
        (Kind::AddCompleted("done".to_owned()), "AddParticipantByAPIActionCompleted"),
    ] {
        for member in [Some(&member), None] {
            let sent = happen(&kind, Some(&room), member, None);
            assert_eq!(sent.len(), 1, "{name}");
            assert_eq!(sent[0].to, Fetch::new("https://a.example.com/s", Method::Post));
            let keys: Vec<_> = sent[0].params.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, STATUS_KEYS);
            assert_eq!(value(&sent[0].params, "EventName"), name);
        }
    }
    let sound = Kind::RoomSound { begins: true, spoken: true, id: None };
    let others = [Kind::Admitted, Kind::Fault("x".to_owned(), None), Kind::Queue(true, "q".to_owned(), 1), sound];
    for kind in [Kind::Tagged, Kind::Takeover(true), Kind::Warning("x".to_owned())].into_iter().chain(others) {
        assert!(happen(&kind, Some(&room), Some(&member), None).is_empty());
    }
}

#[test]
fn values_have_plivos_formats() {
    let mut room = room(callbacks_of("https://a.example.com/s", EVERYTHING));
    let joined = happen(&Kind::Joined, Some(&room), Some(&member(None)), None).remove(0).params;
    for (key, expected) in [
        ("EventTimestamp", "2023-11-14 22:14:21+00:00"),
        ("SequenceNumber", "7"),
        ("MemberID", "355"),
        ("MemberAddress", "4915112345"),
        ("ParticipantRole", "supervisor"),
        ("ParticipantCallFrom", "4930999"),
        ("ParticipantCallTo", "sip:boss@phone.example.com"),
        ("ParticipantCallDirection", "outbound"),
        ("ParticipantCoachMode", "true"),
        ("ParticipantJoinTime", "2023-11-14 22:13:20+00:00"),
        ("DigitInput", ""),
        ("MPCDuration", ""),
        ("MPCTerminationCauseCode", ""),
    ] {
        assert_eq!(value(&joined, key), expected, "{key}");
    }
    assert_eq!(value(&happen(&Kind::Digit('#'), Some(&room), Some(&member(None)), None)[0].params, "DigitInput"), "#");
    let initiated = happen(&Kind::AddInitiated, Some(&room), Some(&member(None)), None).remove(0).params;
    assert_eq!(value(&initiated, "MemberID"), "");
    let never =
        MemberView { joined_at: None, left_at: Some(AT), leave_cause: Some(LeaveCause::Hangup), ..member(None) };
    let exit = happen(&Kind::Left, Some(&room), Some(&never), None).remove(0).params;
    assert_eq!(
        (value(&exit, "ParticipantJoinTime"), value(&exit, "ParticipantExitCause")),
        ("", "Participant Call Hangup")
    );
    room.ended_at = Some(AT + 61_000_000);
    room.end_cause = Some(EndCause::Requested);
    let end = happen(&Kind::RoomEnded, Some(&room), Some(&member(None)), None).remove(0).params;
    for (key, expected) in [
        ("MPCTerminationCause", "Hangup API Triggered"),
        ("MPCTerminationCauseCode", "3000"),
        ("MPCDuration", "61"),
        ("MPCBilledDuration", "120"),
        ("MPCBilledAmount", "0.00000"),
        ("ParticipantCallUUID", "call-uuid"),
    ] {
        assert_eq!(value(&end, key), expected, "{key}");
    }
}

#[test]
fn groups_that_were_not_asked_for_are_not_sent() {
    let room = room(callbacks_of("https://a.example.com/s", ""));
    assert_eq!(happen(&Kind::Joined, Some(&room), None, None).len(), 1);
    assert_eq!(happen(&Kind::RoomStarted, Some(&room), None, None).len(), 1);
    for kind in [Kind::Speaking(true), Kind::Digit('1'), Kind::AddInitiated] {
        assert!(happen(&kind, Some(&room), None, None).is_empty());
    }
}

#[test]
fn a_member_with_its_own_url_hears_of_itself_there_and_nothing_is_sent_twice() {
    let shared = room(callbacks_of("https://a.example.com/s", ""));
    let own = member(callbacks_of("https://b.example.com/own", ""));
    let urls = |sent: Vec<Told>| sent.into_iter().map(|told| told.to.url).collect::<Vec<_>>();
    assert_eq!(
        urls(happen(&Kind::Joined, Some(&shared), Some(&own), None)),
        ["https://a.example.com/s", "https://b.example.com/own"]
    );
    assert_eq!(urls(happen(&Kind::RoomEnded, Some(&shared), Some(&own), None)), ["https://a.example.com/s"]);
    let same = member(callbacks_of("https://a.example.com/s", ""));
    assert_eq!(urls(happen(&Kind::Joined, Some(&shared), Some(&same), None)), ["https://a.example.com/s"]);
    assert_eq!(urls(happen(&Kind::Muted(true), Some(&room(None)), Some(&own), None)), ["https://b.example.com/own"]);
    assert!(happen(&Kind::Joined, Some(&room(None)), Some(&member(None)), None).is_empty());
}

#[test]
fn settings_of_another_dialect_are_no_status_url() {
    let foreign = room(Some(serde_json::json!({ "statusHook": { "url": "https://a.example.com" } })));
    assert!(happen(&Kind::Joined, Some(&foreign), Some(&member(None)), None).is_empty());
}

#[test]
fn the_states_of_a_dialled_leg_are_told_once_at_each_url() {
    let hook = |path: &str| Some(Fetch::new(format!("https://a.example.com/{path}"), Method::Post));
    let mut call = CallView { state_callback: hook("state"), hangup_callback: hook("hangup"), ..call() };
    let ring = happen(&Kind::CallRinging, None, None, Some(&call));
    assert_eq!(ring.len(), 1);
    assert_eq!((value(&ring[0].params, "Event"), value(&ring[0].params, "CallStatus")), ("Ring", "ringing"));
    call.state = CallState::InProgress;
    call.answered_at = Some(AT + 1_000_000);
    assert_eq!(value(&happen(&Kind::CallAnswered, None, None, Some(&call))[0].params, "Event"), "StartApp");
    call.state = CallState::Ended;
    call.ended_at = Some(AT + 67_000_000);
    call.cause = Some(HangupCause::Normal(HangupSource::Callee));
    let end = happen(&Kind::CallEnded, None, None, Some(&call));
    assert_eq!(end.len(), 2);
    for (key, expected) in [
        ("Event", "Hangup"),
        ("CallStatus", "completed"),
        ("Duration", "66"),
        ("BillDuration", "120"),
        ("HangupCause", "NORMAL_CLEARING"),
        ("HangupCauseCode", "4000"),
        ("HangupCauseName", "Normal Hangup"),
        ("HangupSource", "Callee"),
        ("AnswerTime", "2023-11-14 22:13:21"),
        ("EndTime", "2023-11-14 22:14:27"),
        ("StartTime", "2023-11-14 22:13:20"),
        ("SessionStart", "2023-11-14 22:13:20.000000"),
        ("TotalCost", "0.00000"),
        ("From", "4930999"),
        ("To", "4915112345"),
        ("ParentAuthID", "MAXXXXXXXXXXXXXXXXXX"),
        ("ALegUUID", "call-uuid"),
        ("RequestUUID", "request-uuid"),
        ("X-PH-Order", "17"),
    ] {
        assert_eq!(value(&end[0].params, key), expected, "{key}");
    }
    assert!(!end[0].params.iter().any(|(key, _)| key == "Subject"));
    call.hangup_callback = call.state_callback.clone();
    assert_eq!(happen(&Kind::CallEnded, None, None, Some(&call)).len(), 1);
    call.state_callback = None;
    call.hangup_callback = None;
    assert!(happen(&Kind::CallEnded, None, None, Some(&call)).is_empty());
}

#[test]
fn unanswered_calls_have_the_status_of_their_cause() {
    for (cause, status) in [
        (HangupCause::Busy, "busy"),
        (HangupCause::NoAnswer, "no-answer"),
        (HangupCause::RingTimeout, "timeout"),
        (HangupCause::Rejected, "failed"),
        (HangupCause::LostRace, "no-answer"),
    ] {
        let hangup_callback = Some(Fetch::new("https://a.example.com/hangup", Method::Post));
        let ended = CallView { state: CallState::Ended, ended_at: Some(AT), cause: Some(cause.clone()), ..call() };
        let told = happen(&Kind::CallEnded, None, None, Some(&CallView { hangup_callback, ..ended }));
        assert_eq!(value(&told[0].params, "CallStatus"), status, "{cause:?}");
    }
}

#[test]
fn requests_for_instructions_say_what_plivo_says() {
    let inbound = CallView { direction: Direction::Inbound, request_uuid: None, ..call() };
    let answer = request(&inbound, &Purpose::Answer);
    assert_eq!(
        (value(&answer, "Event"), value(&answer, "Direction"), value(&answer, "CallerName")),
        ("StartApp", "inbound", "Shop")
    );
    assert!(!answer.iter().any(|(key, _)| key == "ALegUUID"));
    assert_eq!(request(&inbound, &Purpose::Fallback), answer);
    assert_eq!(value(&request(&inbound, &Purpose::Digits("42".to_owned())), "Digits"), "42");
    assert_eq!(value(&request(&inbound, &Purpose::Redirect), "Event"), "Redirect");
    assert!(request(&inbound, &Purpose::Sound).is_empty());
    let left = MemberView { left_at: Some(AT + 5_000_000), ..member(None) };
    let departure = Departure { room: "room-uuid".to_owned(), room_name: "support".to_owned(), member: left };
    let exit = request(&inbound, &Purpose::LeftRoom(Box::new(departure)));
    for (key, expected) in [
        ("MPCUUID", "room-uuid"),
        ("MPCFriendlyName", "support"),
        ("MemberID", "355"),
        ("ParticipantCallUUID", "call-uuid"),
        ("ParticipantJoinTime", "2023-11-14 22:13:20+00:00"),
        ("ParticipantEndTime", "2023-11-14 22:13:25+00:00"),
        ("ParticipantRole", "supervisor"),
        ("CallUUID", "call-uuid"),
    ] {
        assert_eq!(value(&exit, key), expected, "{key}");
    }
}

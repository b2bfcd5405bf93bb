use std::time::Duration;

use super::*;
use crate::change::{CallEnd, Change, Hold, ParticipantAction, StreamStatus};
use crate::hook::Hook;
use crate::json::{Value, parse};
use crate::verbs::TargetKind;

fn body(text: &str) -> Value {
    parse(text.as_bytes()).unwrap()
}

fn one(text: &str) -> Change {
    let mut changes = update_call(&body(text)).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(changes.len(), 1, "{text}");
    changes.remove(0)
}

fn refused(text: &str) -> String {
    update_call(&body(text)).expect_err(text).to_string()
}

#[test]
fn the_guides_four_requests_are_read() {
    for (action, expected) in [
        (r#""action":"tag","tag":"customer""#, ParticipantAction::Tag("customer".to_owned())),
        (r#""action":"untag""#, ParticipantAction::Untag),
        (r#""action":"uncoach""#, ParticipantAction::Uncoach),
        (r#""action":"coach","tag":"agent""#, ParticipantAction::Coach("agent".to_owned())),
        (r#""action":"kick""#, ParticipantAction::Kick),
        (r#""action":"hold","wait_hook":"/w""#, ParticipantAction::Hold(Some(Hook::plain("/w")))),
    ] {
        let text = format!(r#"{{"conferenceParticipantAction":{{{action}}}}}"#);
        assert_eq!(one(&text), Change::Participant(expected));
    }
}

#[test]
fn refusals_are_worded_as_the_vendors() {
    for (text, expected) in [
        ("{}", "no valid options supplied to updateCall"),
        (r#"{"foo":1}"#, "no valid options supplied to updateCall"),
        (r#"{"call_status":"","mute_status":null,"tag":0}"#, "no valid options supplied to updateCall"),
        (r#"{"call_status":"completed","mute_status":"mute"}"#, "multiple options are not allowed in updateCall"),
        (r#"{"child_call_hook":"/a","mute_status":"mute"}"#, "multiple options are not allowed in updateCall"),
        (r#"{"call_status":"busy"}"#, "invalid call_status"),
        (r#"{"listen_status":"off"}"#, "invalid listen_status"),
        (r#"{"mute_status":true}"#, "invalid mute_status"),
        (r#"{"conf_mute_status":"on"}"#, "invalid conf_mute_status"),
        (r#"{"conf_hold_status":"on","waitHook":"/w"}"#, "invalid conf_hold_status"),
        (r#"{"transcribe_status":"silence"}"#, "invalid transcribe_status"),
        (r#"{"sip_request":{"method":"INFO"}}"#, "sip_request requires method, content_type and content properties"),
        (r#"{"record":{}}"#, "record requires action property"),
        (
            r#"{"record":{"action":"startCallRecording"}}"#,
            "record requires siprecServerURL property when starting recording",
        ),
        (r#"{"dtmf":{}}"#, "invalid dtmf"),
        (r#"{"dtmf":"5"}"#, "invalid dtmf"),
        (r#"{"tag":["a"]}"#, "invalid tag data"),
        (r#"{"tag":"a"}"#, "invalid tag data"),
        (
            r#"{"conferenceParticipantAction":{"action":"shout"}}"#,
            "conferenceParticipantAction invalid action property shout",
        ),
        (r#"{"conferenceParticipantAction":{}}"#, "conferenceParticipantAction invalid action property undefined"),
        (
            r#"{"conferenceParticipantAction":{"action":"tag"}}"#,
            "conferenceParticipantAction requires tag property when action is 'tag'",
        ),
        (
            r#"{"conferenceParticipantAction":{"action":"coach","tag":""}}"#,
            "conferenceParticipantAction requires tag property when action is 'coach'",
        ),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn one_change_is_allowed_and_the_pairs_that_belong_together() {
    let (call, child) = (Some(Hook::plain("/a")), Some(Hook::plain("/b")));
    assert_eq!(one(r#"{"child_call_hook":"/b","call_hook":"/a"}"#), Change::CallHook { call, child: child.clone() });
    assert_eq!(one(r#"{"child_call_hook":"/b"}"#), Change::CallHook { call: None, child });
    let held = Hold { on: true, wait_hook: Some(Hook::plain("/w")) };
    assert_eq!(one(r#"{"conf_hold_status":"hold","waitHook":"/w"}"#), Change::ConferenceHold(held.clone()));
    assert_eq!(one(r#"{"conf_hold_status":"hold","wait_hook":"/w"}"#), Change::ConferenceHold(held));
    assert_eq!(one(r#"{"call_status":"no-answer"}"#), Change::End(CallEnd::NoAnswer));
    assert_eq!(one(r#"{"stream_status":"resume"}"#), Change::Listen(StreamStatus::Resume));
    assert_eq!(one(r#"{"conf_mute_status":"unmute"}"#), Change::ConferenceMute(false));
    let pressed = Change::Dtmf { keys: "5".to_owned() };
    assert_eq!(one(r#"{"dtmf":{"digit":"5"}}"#), pressed);
    assert_eq!(one(r#"{"media_path":"no-media"}"#), Change::Unsupported("media_path".to_owned()));
}

#[test]
fn a_whisper_goes_alone_or_with_any_other_change_and_comes_last() {
    assert!(matches!(one(r#"{"whisper":{"verb":"say","text":"x"}}"#), Change::Whisper(_)));
    let both = update_call(&body(
        r#"{"whisper":[{"verb":"say","text":"x"}],"conferenceParticipantAction":{"action":"coach","tag":"agent"}}"#,
    ));
    assert!(matches!(both.unwrap().as_slice(), [Change::Participant(ParticipantAction::Coach(_)), Change::Whisper(_)]));
    // What is wrong in one of them refuses both.
    assert!(refused(r#"{"whisper":{"verb":"dial"},"mute_status":"mute"}"#).starts_with("invalid whisper: "));
    assert_eq!(refused(r#"{"whisper":{"verb":"say","text":"x"},"mute_status":"loud"}"#), "invalid mute_status");
}

#[test]
fn the_clients_requests_for_calls_are_read() {
    let call = create_call(&body(
        r#"{"from":"15083084809","to":{"type":"phone","number":"+16173333456","trunk":"carrier"},
            "call_hook":{"url":"ws://app.example.com/x","method":"WS"},"call_status_hook":"https://app.example.com/s",
            "tag":{"a":1},"headers":{"X-A":1},"timeout":20,"timeLimit":600}"#,
    ))
    .unwrap();
    assert_eq!((call.to.kind, call.to.address.as_str()), (TargetKind::Phone, "+16173333456"));
    assert_eq!(call.to.trunk.as_deref(), Some("carrier"));
    assert_eq!((call.timeout, call.time_limit), (Duration::from_secs(20), Some(Duration::from_secs(600))));
    assert_eq!(call.headers, [("X-A".to_owned(), "1".to_owned())]);
    let call = create_call(&body(
        r#"{"from":"a","to":{"type":"user","name":"bob"},"application_sid":"x","trunk":"t","app_json":"[{\"verb\":\"hangup\"}]"}"#,
    ))
    .unwrap();
    assert_eq!((call.to.kind, call.to.address.as_str()), (TargetKind::User, "bob"));
    assert_eq!((call.timeout, call.to.trunk.as_deref()), (Duration::from_secs(60), Some("t")));
    assert_eq!(call.app_json.map(|verbs| verbs.len()), Some(1));
}

#[test]
fn requests_for_calls_that_break_a_rule_are_refused_as_the_vendor_refuses_them() {
    let to = r#""to":{"type":"sip","sipUri":"sip:a@b"}"#;
    for (text, expected) in [
        (format!("{{{to}}}"), "missing from parameter".to_owned()),
        (r#"{"from":"a"}"#.to_owned(), "missing or invalid to property: undefined".to_owned()),
        (
            r#"{"from":"a","to":{"type":"phone"}}"#.to_owned(),
            r#"missing or invalid to property: {"type":"phone"}"#.to_owned(),
        ),
        (
            r#"{"from":"a","to":{"type":"sip","number":"1"}}"#.to_owned(),
            r#"missing or invalid to property: {"type":"sip","number":"1"}"#.to_owned(),
        ),
        (format!(r#"{{"from":"a",{to}}}"#), "either call_hook or application_sid required".to_owned()),
        (format!(r#"{{"from":"a",{to},"call_hook":"/x"}}"#), "call_hook url be an absolute url".to_owned()),
        (
            format!(r#"{{"from":"a",{to},"call_hook":{{"method":"POST"}}}}"#),
            "call_hook must be string or an object containing a url property".to_owned(),
        ),
        (
            format!(r#"{{"from":"a",{to},"application_sid":"x","call_status_hook":"ftp://a"}}"#),
            "call_status_hook url be an absolute url".to_owned(),
        ),
    ] {
        assert_eq!(create_call(&body(&text)).expect_err(&text).to_string(), expected, "{text}");
    }
    let bad = format!(r#"{{"from":"a",{to},"app_json":"[{{\"verb\":\"sing\"}}]"}}"#);
    assert!(create_call(&body(&bad)).unwrap_err().to_string().starts_with("invalid app_json: element 0"));
    assert!(create_call(&body("[]")).is_err());
}

#[test]
fn a_tap_of_a_room_is_read() {
    let tap = room_tap(&body(
        r#"{"url":"wss://your-host/fork","sampleRate":16000,"metadata":{"room":"support-room-42","2":1,"1":2}}"#,
    ))
    .unwrap();
    assert_eq!((tap.url.as_str(), tap.sample_rate, tap.scope), ("wss://your-host/fork", 16_000, TapScope::Mix));
    assert_eq!(tap.metadata.to_string(), r#"{"1":2,"2":1,"room":"support-room-42"}"#);
    let tap =
        room_tap(&body(r#"{"url":"ws://h/f","scope":"members","wsAuth":{"username":"u","password":"p"}}"#)).unwrap();
    assert_eq!((tap.scope, tap.sample_rate, tap.metadata.to_string().as_str()), (TapScope::Members, 8000, "{}"));
    assert!(tap.auth.is_some());
    for (text, expected) in [
        ("{}", "url must be an absolute ws or wss url"),
        (r#"{"url":"https://h/f"}"#, "url must be an absolute ws or wss url"),
        (r#"{"url":"ws://"}"#, "url must be an absolute ws or wss url"),
        (r#"{"url":"ws://h/","sampleRate":11025}"#, "sampleRate must be 8000, 16000, 24000 or 48000"),
        (r#"{"url":"ws://h/","scope":"coaches"}"#, "scope must be mix or members"),
    ] {
        assert_eq!(room_tap(&body(text)).expect_err(text).to_string(), expected);
    }
}

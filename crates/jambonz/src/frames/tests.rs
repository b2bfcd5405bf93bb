use super::*;
use crate::change::{Change, Hold, ParticipantAction};
use crate::hook::Hook;
use crate::json::Object;

fn change(command: &str, data: &str) -> Change {
    let text = format!(r#"{{"type":"command","command":"{command}","data":{data}}}"#);
    match read(&text) {
        Ok(Frame::Command(command)) => command.change,
        other => panic!("{text}: {other:?}"),
    }
}

fn error(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

#[test]
fn words_and_objects_say_the_same() {
    for (command, property) in [("mute:status", "mute_status"), ("conf:mute-status", "conf_mute_status")] {
        assert_eq!(change(command, r#""mute""#), change(command, &format!(r#"{{"{property}":"mute"}}"#)));
    }
    let held = Change::ConferenceHold(Hold { on: true, wait_hook: Some(Hook::plain("/w")) });
    assert_eq!(change("conf:hold-status", r#"{"conf_hold_status":"hold","waitHook":"/w"}"#), held);
    assert_eq!(change("conf:hold-status", r#"{"conf_hold_status":"hold","wait_hook":"/w"}"#), held);
    assert_eq!(change("stream:status", r#"{"stream_status":"pause"}"#), change("listen:status", r#""pause""#));
}

#[test]
fn data_are_found_at_both_levels() {
    for (command, inner, wrapped) in [
        ("dtmf", r#"{"digit":"5","duration":300}"#, r#"{"dtmf":{"digit":"5","duration":300}}"#),
        ("sip:request", r#"{"method":"INFO"}"#, r#"{"sip_request":{"method":"info"}}"#),
        ("whisper", r#"{"verb":"say","text":"x"}"#, r#"{"whisper":[{"verb":"say","text":"x"}]}"#),
        ("whisper", r#"[{"say":{"text":"x"}}]"#, r#"{"whisper":{"say":{"text":"x"}}}"#),
        (
            "conf:participant-action",
            r#"{"action":"coach","tag":"agent"}"#,
            r#"{"conferenceParticipantAction":{"action":"coach","tag":"agent"}}"#,
        ),
    ] {
        assert_eq!(change(command, inner), change(command, wrapped), "{command}");
    }
}

#[test]
fn a_tag_is_what_the_program_says_even_if_it_has_a_tag() {
    assert!(
        matches!(change("tag", r#"{"tag":{"a":1}}"#), Change::Tag(data) if data.to_string() == r#"{"tag":{"a":1}}"#)
    );
}

#[test]
fn a_redirect_is_verbs_hooks_or_verbs_for_two_legs() {
    assert!(matches!(change("redirect", r#"[{"verb":"hangup"}]"#), Change::Instructions { queue: false, .. }));
    assert!(matches!(change("redirect", r#"{"call_hook":"/x"}"#), Change::CallHook { call: Some(_), child: None }));
    assert!(matches!(
        change("redirect", r#"{"child_call":[{"verb":"hangup"}]}"#),
        Change::Split { parent: None, child: Some(_) }
    ));
    assert!(error(r#"{"type":"command","command":"redirect","data":{}}"#).contains("write verbs, call_hook"));
    let text = r#"{"type":"command","command":"redirect","queueCommand":true,"data":[]}"#;
    assert!(matches!(read(text), Ok(Frame::Command(Command { change: Change::Instructions { queue: true, .. }, .. }))));
}

#[test]
fn an_ack_without_verbs_changes_nothing() {
    for data in ["", r#","data":[]"#, r#","data":null"#, r#","data":{}"#] {
        let frame = read(&format!(r#"{{"type":"ack","msgid":"m"{data}}}"#));
        assert_eq!(frame, Ok(Frame::Ack { msgid: "m".to_owned(), answer: Answer::Nothing }), "{data}");
    }
}

#[test]
fn an_ack_with_bad_verbs_is_still_an_ack() {
    for data in [r#"[{"verb":"sing"}]"#, r#"{"verb":"hangup"}"#, "7"] {
        let frame = read(&format!(r#"{{"type":"ack","msgid":"m","data":{data}}}"#));
        assert!(matches!(frame, Ok(Frame::Ack { answer: Answer::Refused(_), .. })), "{data}");
    }
}

#[test]
fn bad_frames_are_refused_with_what_to_do() {
    for (text, expected) in [
        ("", "broken JSON at byte 0"),
        ("[]", "the frame is an array"),
        ("{}", "type is missing; send ack or command"),
        (r#"{"type":"session:new"}"#, r#"type is "session:new""#),
        (r#"{"type":"ack"}"#, "the ack has no msgid"),
        (r#"{"type":"command"}"#, "the command has no name"),
        (r#"{"type":"command","command":"dance","data":{}}"#, r#"there is no command "dance""#),
        (r#"{"type":"command","command":"mute:status"}"#, "command mute:status needs data"),
        (r#"{"type":"command","command":"mute:status","data":""}"#, "command mute:status needs data"),
        (
            r#"{"type":"command","command":"mute:status","data":"loud"}"#,
            r#"mute_status is "loud"; write one of: mute, unmute"#,
        ),
        (r#"{"type":"command","command":"mute:status","data":"mute","callSid":7}"#, "callSid is 7"),
        (
            r#"{"type":"command","command":"conf:participant-action","data":{"action":"coach"}}"#,
            "property tag is missing",
        ),
        (r#"{"type":"command","command":"whisper","data":{"verb":"dial"}}"#, "command whisper: "),
    ] {
        let message = error(text);
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(read(&" ".repeat(LARGEST_FRAME + 1)), Err(FrameError::TooLarge(LARGEST_FRAME + 1)));
}

#[test]
fn an_empty_tag_coaches_nobody_instead_of_everybody() {
    assert!(
        error(r#"{"type":"command","command":"conf:participant-action","data":{"action":"coach","tag":""}}"#)
            .contains("tag")
    );
}

#[test]
fn commands_that_need_no_data_have_none() {
    for command in ["tts:flush", "tts:clear", "llm:tool-output"] {
        let text = format!(r#"{{"type":"command","command":"{command}","tool_call_id":"x"}}"#);
        let Ok(Frame::Command(read)) = read(&text) else { panic!("{command}") };
        assert_eq!(read.change, Change::Unsupported(command.to_owned()));
    }
}

#[test]
fn all_participant_actions_are_read() {
    for (data, action) in [
        (r#"{"action":"tag","tag":"a"}"#, ParticipantAction::Tag("a".to_owned())),
        (r#"{"action":"untag"}"#, ParticipantAction::Untag),
        (r#"{"action":"coach","tag":"a"}"#, ParticipantAction::Coach("a".to_owned())),
        (r#"{"action":"uncoach"}"#, ParticipantAction::Uncoach),
        (r#"{"action":"mute"}"#, ParticipantAction::Mute),
        (r#"{"action":"unmute"}"#, ParticipantAction::Unmute),
        (r#"{"action":"hold"}"#, ParticipantAction::Hold(None)),
        (r#"{"action":"hold","wait_hook":"/w"}"#, ParticipantAction::Hold(Some(Hook::plain("/w")))),
        (r#"{"action":"unhold"}"#, ParticipantAction::Unhold),
        (r#"{"action":"kick"}"#, ParticipantAction::Kick),
    ] {
        assert_eq!(change("conf:participant-action", data), Change::Participant(action));
    }
}

#[test]
fn every_frame_has_type_id_and_data_in_this_order() {
    let envelope = Envelope {
        kind: MessageType::CallStatus,
        msgid: "m".to_owned(),
        call_sid: "c".to_owned(),
        hook: None,
        data: Object::new(),
    };
    assert_eq!(envelope.to_string(), r#"{"type":"call:status","msgid":"m","call_sid":"c","data":{}}"#);
    let hook = Envelope { kind: MessageType::VerbHook, hook: Some("/x".to_owned()), ..envelope };
    assert_eq!(hook.to_string(), r#"{"type":"verb:hook","msgid":"m","call_sid":"c","hook":"/x","data":{}}"#);
}

#[test]
fn a_report_repeats_the_start_of_the_frame_only() {
    let frame = format!("{{\"x\":\"{}\"", "y".repeat(5000));
    let report = read(&frame).unwrap_err().report(&frame);
    assert_eq!(report.get("msg").and_then(|msg| msg.as_str()), Some("InvalidMessage"));
    assert!(report.to_string().len() < 500);
}

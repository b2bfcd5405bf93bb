use super::*;
use crate::hook::{BasicAuth, Hook, HookMethod};

fn read(text: &str) -> Vec<Instruction> {
    document(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn only(text: &str) -> Verb {
    read(text).remove(0).verb
}

fn error(text: &str) -> String {
    document(text.as_bytes()).expect_err(text).to_string()
}

fn conference(text: &str) -> Conference {
    match only(text) {
        Verb::Conference(conference) => *conference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_guides_two_joins_are_read() {
    let agent = conference(
        r#"[{"verb":"conference","name":"support-conference-23","startConferenceOnEnter":true,"endConferenceOnExit":true,
            "memberTag":"agent"}]"#,
    );
    assert_eq!((agent.name.as_str(), agent.member_tag.as_deref()), ("support-conference-23", Some("agent")));
    assert_eq!((agent.entrance, agent.end_on_exit), (Entrance::Moderates, true));
    let manager = conference(r#"[{"verb":"conference","name":"support-conference-23","speakOnlyTo":"agent"}]"#);
    assert_eq!(manager.speak_only_to.as_deref(), Some("agent"));
    assert_eq!((manager.entrance, manager.end_on_exit, manager.join_muted), (Entrance::Starts, false, false));
}

#[test]
fn every_property_of_a_conference_is_read() {
    let room = conference(
        r#"[{"room":{"name":"r","id":"c1","beep":true,"memberTag":"t","speakOnlyTo":"u","startConferenceOnEnter":false,
            "endConferenceOnExit":true,"endConferenceDuration":2.5,"maxParticipants":3,"joinMuted":true,"actionHook":"/a",
            "waitHook":{"url":"/w","method":"get","username":"u","password":"p"},"enterHook":"/e","statusHook":"/s",
            "statusEvents":["join","end-talking","leave","nonsense"],"record":{"path":"/x.wav"},
            "listen":{"url":"wss://b/","mixType":"mixed"},"distributeDtmf":true,"somethingNew":1}}]"#,
    );
    let auth = BasicAuth { username: "u".to_owned(), password: "p".to_owned() };
    assert_eq!(room.entrance, Entrance::Waits);
    assert!(room.beep && room.end_on_exit && room.join_muted && room.distribute_dtmf);
    assert_eq!((room.end_grace, room.max_participants), (Some(Duration::from_millis(2500)), Some(3)));
    assert_eq!(room.wait_hook, Some(Hook { url: "/w".to_owned(), method: Some(HookMethod::Get), auth: Some(auth) }));
    assert_eq!((room.action_hook, room.enter_hook), (Some(Hook::plain("/a")), Some(Hook::plain("/e"))));
    let status = room.status.unwrap();
    assert_eq!(status.events, [StatusEvent::Join, StatusEvent::Leave, StatusEvent::StopTalking]);
    assert_eq!(room.record.as_deref(), Some("/x.wav"));
    assert_eq!(room.listen.unwrap().mix, MixType::Mixed);
}

#[test]
fn the_end_of_talking_is_told_by_the_name_that_was_asked_for_and_once() {
    let word = |events: &str| {
        let text = format!(r#"[{{"verb":"conference","name":"r","statusHook":"/s","statusEvents":{events}}}]"#);
        conference(&text).status.unwrap().word(StatusEvent::StopTalking)
    };
    assert_eq!(word(r#"["end-talking"]"#), Some("end-talking"));
    assert_eq!(word(r#"["stop-talking"]"#), Some("stop-talking"));
    assert_eq!(word(r#"["end-talking","stop-talking"]"#), Some("stop-talking"));
    assert_eq!(word("[]"), None);
}

#[test]
fn an_empty_speak_only_to_is_refused_and_never_heard_by_all() {
    assert!(error(r#"[{"verb":"conference","name":"r","speakOnlyTo":""}]"#).contains("speakOnlyTo"));
    assert_eq!(conference(r#"[{"verb":"conference","name":"r","memberTag":""}]"#).member_tag, None);
}

#[test]
fn a_quoted_true_is_refused_and_not_taken_for_unmuted() {
    assert_eq!(
        error(r#"[{"verb":"answer"},{"verb":"conference","name":"r","joinMuted":"true"}]"#),
        "element 1, conference: property joinMuted is \"true\"; write true or false, without quotes"
    );
}

#[test]
fn limits_of_members_of_one_or_less_are_none() {
    for most in ["1", "0", "-5", "1.9"] {
        let text = format!(r#"[{{"verb":"conference","name":"r","maxParticipants":{most}}}]"#);
        assert_eq!(conference(&text).max_participants, None, "{most}");
    }
}

#[test]
fn faults_name_the_element_the_verb_the_property_and_what_to_write() {
    for (text, expected) in [
        (r#"{"verb":"hangup"}"#, "the document is an object; answer with a JSON array of verbs"),
        (r#"[{"verb":"say"},7]"#, "element 1 is no verb: it is a number;"),
        (r#"[{"a":1,"b":2}]"#, "element 0 is no verb: it has no verb property;"),
        (r#"[{"say":"hello"}]"#, "element 0 is no verb: \"say\" has a string instead of an object;"),
        (r#"[{"verb":5}]"#, "element 0 is no verb: its verb is a number;"),
        (r#"[{"verb":"sing"}]"#, "element 0: there is no verb \"sing\";"),
        (r#"[{"verb":"play"}]"#, "element 0, play: property url is missing;"),
        (r#"[{"verb":"dial","target":[]}]"#, "element 0, dial: property target is []; write 1 to 10 targets"),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"},{"type":"fax"}]}]"#,
            "property target[1].type is \"fax\"; write one of: phone, sip, user, teams",
        ),
        (
            r#"[{"verb":"hangup","headers":{"X-A":"b\r\nVia: c"}}]"#,
            "property headers.X-A is \"b\\r\\nVia: c\"; write one line",
        ),
        (r#"[{"verb":"hangup","headers":{"X A":"b"}}]"#, "name the header with letters, digits and -"),
        (r#"[{"verb":"listen","url":"ws://a","wsAuth":{"username":"u"}}]"#, "property wsAuth.password is missing"),
        (r#"[{"verb":"redirect","actionHook":{"url":"/x","method":"PUT"}}]"#, "property actionHook.method is \"PUT\""),
        (
            r#"[{"verb":"gather","input":["voice"]}]"#,
            "property input is [\"voice\"]; write an array of digits and speech",
        ),
        ("[{]", "broken JSON at byte 2"),
    ] {
        let message = error(text);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_fault_in_the_last_verb_refuses_the_whole_document() {
    assert!(document(br#"[{"verb":"answer"},{"verb":"conference","name":"r"},{"verb":"pause"}]"#).is_err());
}

#[test]
fn sizes_counts_and_depths_are_limited() {
    let many = |count: usize| format!("[{}]", vec![r#"{"verb":"leave"}"#; count].join(","));
    assert_eq!(read(&many(MOST_VERBS)).len(), MOST_VERBS);
    assert!(matches!(document(many(MOST_VERBS + 1).as_bytes()), Err(DocumentError::TooManyVerbs { .. })));
    let large = format!(r#"[{{"verb":"say","text":"{}"}}]"#, "x".repeat(LARGEST));
    assert!(matches!(document(large.as_bytes()), Err(DocumentError::TooLarge { .. })));
    let targets = [r#"{"type":"phone","number":"1"}"#; 11].join(",");
    assert!(error(&format!(r#"[{{"verb":"dial","target":[{targets}]}}]"#)).contains("an array of 11"));
    let name = "x".repeat(256);
    assert!(error(&format!(r#"[{{"verb":"conference","name":"{name}"}}]"#)).contains("1 to 255 characters"));
}

#[test]
fn a_queue_that_cannot_take_the_name_is_refused_before_anything_runs() {
    for verb in ["enqueue", "dequeue"] {
        let with = |name: &str| format!(r#"[{{"verb":"answer"}},{{"verb":"{verb}","name":"{name}"}}]"#);
        for good in ["x".repeat(256), "é".repeat(128)] {
            assert_eq!(read(&with(&good)).len(), 2, "{verb}");
        }
        for bad in ["x".repeat(257), "é".repeat(129), String::new(), "a\\nb".to_owned()] {
            let message = error(&with(&bad));
            assert!(message.contains(&format!("element 1, {verb}: property name is ")), "{message}");
            assert!(message.contains("write 1 to 256 bytes"), "{message}");
        }
    }
}

#[test]
fn a_verb_of_the_schemas_that_is_not_run_is_named_and_costs_nothing() {
    for name in ["llm", "transfer", "openai_s2s", "openai:s2s", "sip:request", "transcribe", "dialogflow"] {
        let verbs = read(&format!(r#"[{{"verb":"{name}","id":"x","tools":[1,{{}}]}},{{"verb":"hangup"}}]"#));
        assert_eq!(verbs[0].verb, Verb::Unsupported(name.to_owned()));
        assert_eq!(verbs[0].id.as_deref(), Some("x"));
        assert_eq!(verbs[1].verb, Verb::Hangup(Vec::new()));
    }
}

#[test]
fn a_recording_is_asked_for_whether_or_not_it_says_where() {
    for (written, expected) in [
        (r#","record":{"path":"x"}"#, Some("x")),
        (r#","record":{}"#, Some("")),
        (r#","record":null"#, None),
        ("", None),
    ] {
        let Verb::Conference(room) = only(&format!(r#"[{{"verb":"conference","name":"r"{written}}}]"#)) else {
            panic!("{written}")
        };
        assert_eq!(room.record.as_deref(), expected, "{written}");
    }
}

#[test]
fn numbers_out_of_range_are_brought_into_it() {
    assert_eq!(only(r#"[{"verb":"pause","length":-3}]"#), Verb::Pause(Duration::ZERO));
    assert_eq!(only(r#"[{"verb":"pause","length":1e300}]"#), Verb::Pause(Duration::from_secs(30 * 86_400)));
    assert!(matches!(only(r#"[{"verb":"sip:decline","status":200}]"#), Verb::Decline(Decline { status: 400, .. })));
    for (written, repeat) in [
        ("3", Repeat::Times(3)),
        ("\"3\"", Repeat::Times(3)),
        ("0", Repeat::Times(1)),
        ("\"forever\"", Repeat::Forever),
        ("\"often\"", Repeat::Times(1)),
    ] {
        let verb = only(&format!(r#"[{{"verb":"say","text":"x","loop":{written}}}]"#));
        assert!(matches!(&verb, Verb::Say(say) if say.repeat == repeat), "{written}: {verb:?}");
    }
}

#[test]
fn the_number_of_digits_counts_before_least_and_most() {
    let gather = |properties: &str| match only(&format!(r#"[{{"verb":"gather"{properties}}}]"#)) {
        Verb::Gather(gather) => (gather.complete.min_digits, gather.complete.max_digits, gather.timeout),
        other => panic!("{other:?}"),
    };
    assert_eq!(gather(r#","numDigits":4,"minDigits":1,"maxDigits":9"#), (4, Some(4), Some(Duration::from_secs(5))));
    assert_eq!(gather(r#","minDigits":2,"maxDigits":9,"timeout":0"#), (2, Some(9), None));
    assert_eq!(gather(""), (1, None, Some(Duration::from_secs(5))));
}

#[test]
fn a_sip_target_is_found_under_either_name() {
    for name in ["sipUri", "number"] {
        let text = format!(r#"[{{"verb":"dial","target":[{{"type":"sip","{name}":"sip:a@b"}}]}}]"#);
        let Verb::Dial(dial) = only(&text) else { panic!() };
        assert_eq!((dial.targets[0].kind, dial.targets[0].address.as_str()), (TargetKind::Sip, "sip:a@b"));
    }
}

#[test]
fn few_verbs_are_allowed_where_a_call_waits() {
    let read = |place, text: &str| instructions_for(place, &crate::json::parse(text.as_bytes()).unwrap());
    let all = r#"[{"verb":"play","url":"/x"},{"verb":"say","text":"x"},{"verb":"pause","length":1}]"#;
    assert!(read(Place::ConferenceWait, all).is_ok());
    assert_eq!(
        read(Place::ConferenceWait, r#"[{"verb":"say","text":"x"},{"verb":"leave"}]"#).unwrap_err().to_string(),
        "element 1: leave cannot be used in the answer of a conference's wait or enter hook; use play, say and pause"
    );
    assert!(read(Place::QueueWait, r#"[{"verb":"leave"},{"verb":"tag","data":{}}]"#).is_ok());
    assert!(read(Place::Whisper, r#"{"verb":"say","text":"psst"}"#).is_ok());
    assert!(read(Place::Whisper, r#"{"say":{"text":"psst"}}"#).is_ok());
    assert!(read(Place::Whisper, all).is_err());
    assert!(read(Place::Whisper, r#"[{"verb":"llm"}]"#).is_err());
}

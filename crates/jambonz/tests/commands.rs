//! What frames and REST changes command.

mod house;

use call::command::{CallCommand, MemberChange, Next};
use call::dialect::{CallView, Dialect};
use call::verb::{Fetch, Method, Prompt, StreamChange, Times, Verb};
use conference::{Audience, Tag};
use house::{answered, value};
use jambonz::Jambonz;
use jambonz::command::commands;
use jambonz::rest::update_call;
use serde_json::{Value as Json, json};

fn socket() -> Fetch {
    Fetch::new("wss://app.example.com/ws", Method::Link)
}

fn frame(command: &str, data: Json) -> CallCommand {
    let frame = json!({"type": "command", "command": command, "data": data}).to_string();
    Jambonz::default().command(&socket(), &frame).unwrap_or_else(|| panic!("{frame}"))
}

fn rest(body: Json) -> Vec<CallCommand> {
    let call = CallView { application: Some(Fetch::new("https://app.example.com/start", Method::Post)), ..answered() };
    let changes = update_call(&value(&body)).unwrap_or_else(|error| panic!("{error}: {body}"));
    changes.into_iter().flat_map(|change| commands(change, &call).expect("it can be done")).collect()
}

#[test]
fn actions_on_participants_mean_what_the_table_says() {
    let nothing = MemberChange::default();
    let agents = Audience::tag(Tag::new("agent"));
    for (action, command) in [
        (
            json!({"action": "tag", "tag": "agent"}),
            CallCommand::Member(MemberChange { tag: Some(Some(Tag::new("agent"))), ..nothing.clone() }),
        ),
        (json!({"action": "untag"}), CallCommand::Member(MemberChange { tag: Some(None), ..nothing.clone() })),
        (
            json!({"action": "coach", "tag": "agent"}),
            CallCommand::Member(MemberChange { coach: Some(true), coach_audience: Some(agents), ..nothing.clone() }),
        ),
        (json!({"action": "uncoach"}), CallCommand::Member(MemberChange { coach: Some(false), ..nothing.clone() })),
        (json!({"action": "mute"}), CallCommand::Member(MemberChange { mute: Some(true), ..nothing.clone() })),
        (json!({"action": "unmute"}), CallCommand::Member(MemberChange { mute: Some(false), ..nothing })),
        (json!({"action": "hold"}), CallCommand::Hold { on: true, wait: None }),
        (json!({"action": "unhold"}), CallCommand::Hold { on: false, wait: None }),
        (json!({"action": "kick"}), CallCommand::Kick),
    ] {
        assert_eq!(frame("conf:participant-action", action.clone()), command, "{action}");
        assert_eq!(rest(json!({"conferenceParticipantAction": action})), [command]);
    }
}

#[test]
fn hooks_of_commands_are_relative_to_the_calls_application() {
    assert_eq!(
        frame("redirect", json!({"call_hook": "/next"})),
        CallCommand::Transfer(Fetch::new("/next", Method::Link))
    );
    let next = Fetch::new("https://app.example.com/next", Method::Post);
    assert_eq!(rest(json!({"call_hook": "/next"})), [CallCommand::Transfer(next.clone())]);
    assert_eq!(
        rest(json!({"conf_hold_status": "hold", "wait_hook": "/next"})),
        [CallCommand::Hold { on: true, wait: Some(next.clone()) }]
    );
    assert_eq!(
        rest(json!({"call_hook": "/next", "child_call_hook": "https://b.example.com/c"})),
        [CallCommand::Split {
            parent: Some(Next::Fetch(next)),
            child: Some(Next::Fetch(Fetch::new("https://b.example.com/c", Method::Post))),
        }]
    );
    let child = Fetch::new("https://app.example.com/next", Method::Post);
    assert_eq!(
        rest(json!({"child_call_hook": "/next"})),
        [CallCommand::Split { parent: None, child: Some(Next::Fetch(child)) }]
    );
    // Whose application is not known has absolute hooks alone.
    let changes = update_call(&value(&json!({"call_hook": "/next"}))).expect("it is well formed");
    let error = commands(changes.into_iter().next().expect("one"), &answered()).unwrap_err();
    assert!(error.to_string().contains("/next"), "{error}");
}

#[test]
fn whisper_may_accompany_any_other_change_and_comes_last() {
    let both = rest(json!({
        "conferenceParticipantAction": {"action": "coach", "tag": "agent"},
        "whisper": {"verb": "say", "text": "you are live"},
    }));
    let [CallCommand::Member(change), CallCommand::Whisper(prompts)] = &both[..] else { panic!("{both:?}") };
    assert_eq!(change.coach, Some(true));
    assert!(matches!(&prompts[..], [Prompt::Speech { text, .. }] if text == "you are live"));
    let several = json!([{"verb": "say", "text": ["a", "b"]}, {"verb": "play", "url": "/x.wav"}]);
    let CallCommand::Whisper(prompts) = frame("whisper", several) else { panic!() };
    assert_eq!(prompts.len(), 3);
    assert_eq!(prompts[2], Prompt::Audio { url: "https://app.example.com/x.wav".to_owned(), times: Times::Count(1) });
}

#[test]
fn verbs_in_a_command_replace_the_rest_or_follow_it() {
    for queue in [false, true] {
        let frame = json!({"type": "command", "command": "redirect", "queueCommand": queue,
            "data": [{"verb": "conference", "name": "a"}, {"verb": "hangup"}]});
        let command = Jambonz::with_rooms_of(7).command(&socket(), &frame.to_string());
        let Some(CallCommand::Instructions { run, queue: queued }) = command else { panic!("{command:?}") };
        assert_eq!(queued, queue);
        let Verb::Join(join) = &run[0].verb else { panic!("{run:?}") };
        assert_eq!(join.room_settings.policy.max_members, 7);
    }
    let CallCommand::Split { parent: Some(Next::Run(parent)), child: Some(Next::Run(child)) } = frame(
        "redirect",
        json!({"parent_call": [{"verb": "hangup"}], "child_call": [{"verb": "pause", "length": 1}, {"verb": "hangup"}]}),
    ) else {
        panic!()
    };
    assert_eq!((parent.len(), child.len()), (1, 2));
}

#[test]
fn the_other_changes_command_what_they_say() {
    for (body, command) in [
        (json!({"call_status": "completed"}), CallCommand::Hangup(None)),
        (json!({"call_status": "no-answer"}), CallCommand::Cancel),
        (json!({"mute_status": "mute"}), CallCommand::Mute(true)),
        (json!({"mute_status": "unmute"}), CallCommand::Mute(false)),
        (json!({"conf_mute_status": "mute"}), CallCommand::MuteRoom(true)),
        (json!({"conf_hold_status": "unhold"}), CallCommand::Hold { on: false, wait: None }),
        (json!({"listen_status": "pause"}), CallCommand::Stream(StreamChange::Pause)),
        (json!({"listen_status": "silence"}), CallCommand::Stream(StreamChange::Silence)),
        (json!({"listen_status": "resume"}), CallCommand::Stream(StreamChange::Resume)),
        (json!({"dtmf": {"digit": "1", "duration": 300}}), CallCommand::SendDigits("1".to_owned())),
        (json!({"tag": {"a": 2, "b": 1}}), CallCommand::Attach(r#"{"a":2,"b":1}"#.to_owned())),
        (
            json!({"sip_request": {"method": "info", "content_type": "text/plain", "content": "hi",
                "headers": {"X-A": "1"}}}),
            CallCommand::Request {
                method: "INFO".to_owned(),
                content_type: Some("text/plain".to_owned()),
                body: "hi".to_owned(),
                headers: vec![("X-A".to_owned(), "1".to_owned())],
            },
        ),
        (
            json!({"room_play": {"url": "https://a.example.com/1", "id": "p"}}),
            CallCommand::RoomSound {
                prompts: vec![Prompt::Audio { url: "https://a.example.com/1".to_owned(), times: Times::Count(1) }],
                spoken: false,
                id: Some("p".to_owned()),
                replace: false,
            },
        ),
        (
            json!({"room_say": {"text": "stop", "replace": true}}),
            CallCommand::RoomSound {
                prompts: vec![Prompt::Speech {
                    text: "stop".to_owned(),
                    voice: String::new(),
                    language: String::new(),
                    times: Times::Count(1),
                }],
                spoken: true,
                id: None,
                replace: true,
            },
        ),
        (json!({"transcribe_status": "pause"}), CallCommand::Unsupported("transcribe_status".to_owned())),
    ] {
        assert_eq!(rest(body.clone()), [command], "{body}");
    }
    let CallCommand::RoomSound { spoken: true, id: None, .. } = frame("room:say", json!({"text": "hello"})) else {
        panic!("it is speech")
    };
    let CallCommand::Configure(settings) = frame("config", json!({"notifyEvents": true})) else { panic!() };
    assert_eq!(settings.notify, Some(true));
    assert!(matches!(frame("dub", json!({"action": "addTrack", "track": "t"})), CallCommand::Dub(_)));
    assert_eq!(frame("tts:tokens", json!({"id": 1, "tokens": "a"})), CallCommand::Unsupported("tts:tokens".to_owned()));
}

#[test]
fn a_command_that_cannot_be_done_is_told_with_what_is_wrong() {
    let CallCommand::Unsupported(told) = frame("redirect", json!({"call_hook": "ftp://a.example.com/x"})) else {
        panic!("it leads nowhere")
    };
    assert!(told.contains("ftp://a.example.com/x"), "{told}");
    // What is no command is answered by the connection itself.
    assert_eq!(Jambonz::default().command(&socket(), "{"), None);
    assert_eq!(Jambonz::default().command(&socket(), r#"{"type":"ack","msgid":"1"}"#), None);
}

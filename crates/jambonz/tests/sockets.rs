//! Frames as the official libraries really send and take them.

mod house;

use std::collections::BTreeMap;

use jambonz::audio::{self, Clip, ClipFormat, FromProgram};
use jambonz::change::{CallEnd, Change, Hold, ParticipantAction, StreamStatus};
use jambonz::frames::{Answer, Command, Envelope, Frame, MessageType, SUBPROTOCOL, read};
use jambonz::hook::Hook;
use jambonz::hooks::*;
use jambonz::json::Object;
use jambonz::verbs::Verb;
use serde_json::{Value, json};

const OTHER: &str = "33333333-3333-4333-8333-333333333333";

fn envelope(kind: MessageType, msgid: &str, hook: Option<&str>, data: Object) -> String {
    let call_sid = house::call().call_sid;
    Envelope { kind, msgid: msgid.to_owned(), call_sid, hook: hook.map(str::to_owned), data }.to_string()
}

/// What one library did: its frames by what caused them.
struct Library {
    protocol: String,
    frames: BTreeMap<String, Vec<String>>,
    rest: Value,
}

impl Library {
    fn of(result: &Value) -> Self {
        let mut frames: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for frame in result["frames"].as_array().expect("a list") {
            let cause = frame[0].as_str().expect("a cause").to_owned();
            frames.entry(cause).or_default().push(frame[1].as_str().expect("a text").to_owned());
        }
        let protocol = result["protocol"].as_str().expect("a text").to_owned();
        Self { protocol, frames, rest: result.clone() }
    }

    fn frame(&self, cause: &str) -> Frame {
        let text = self.frames.get(cause).and_then(|frames| frames.first()).unwrap_or_else(|| panic!("no {cause}"));
        read(text).unwrap_or_else(|error| panic!("{cause}: {error}: {text}"))
    }

    fn command(&self, cause: &str) -> Command {
        match self.frame(cause) {
            Frame::Command(command) => command,
            other => panic!("{cause}: {other:?}"),
        }
    }

    fn change(&self, cause: &str) -> Change {
        self.command(cause).change
    }
}

fn libraries() -> (Library, Library) {
    let call = house::call();
    let report = ErrorReport { msg: "InvalidMessage", details: "x", content: Some("{"), ..ErrorReport::default() };
    let frames = [
        envelope(MessageType::SessionNew, "first", None, session_new(&call, &SessionStart::default())),
        envelope(MessageType::CallStatus, "a", None, call_status(&call, None)),
        envelope(MessageType::VerbStatus, "b", None, verb_status(VerbPhase::Starting, "say", None)),
        envelope(MessageType::Error, "c", None, error(&report)),
        envelope(MessageType::VerbHook, "d", Some("/done"), action(&call, None, &Outcome::Done)),
        envelope(MessageType::VerbHook, "last", Some("/nobody"), call.body()),
    ];
    let result = house::node("sockets.cjs", &json!({"frames": frames, "audio": sound()}));
    (Library::of(&result["old"]), Library::of(&result["sdk"]))
}

fn participant(action: ParticipantAction) -> Change {
    Change::Participant(action)
}

fn names(verbs: &[jambonz::verbs::Instruction]) -> Vec<&str> {
    verbs.iter().map(|instruction| instruction.verb.name()).collect()
}

/// What both libraries can say, and say alike.
fn common(library: &Library) {
    let Frame::Ack { msgid, answer: Answer::Verbs(verbs) } = library.frame("ack with verbs") else { panic!() };
    assert_eq!((msgid.as_str(), names(&verbs)), ("first", vec!["answer", "say", "conference"]));
    let Change::Instructions { verbs, queue: false } = library.change("redirect") else { panic!() };
    let [instruction] = verbs.as_slice() else { panic!() };
    assert!(matches!(&instruction.verb, Verb::Conference(room) if room.speak_only_to.as_deref() == Some("agent")));
    let Change::Instructions { verbs, queue: true } = library.change("append") else { panic!() };
    assert_eq!(names(&verbs), ["play", "hangup"]);
    assert_eq!(library.change("tag"), participant(ParticipantAction::Tag("customer".to_owned())));
    assert_eq!(library.change("untag"), participant(ParticipantAction::Untag));
    assert_eq!(library.change("uncoach"), participant(ParticipantAction::Uncoach));
    let coach = participant(ParticipantAction::Coach("agent".to_owned()));
    assert_eq!(library.command("coach"), Command { call_sid: None, change: coach.clone() });
    assert_eq!(library.command("coach another call"), Command { call_sid: Some(OTHER.to_owned()), change: coach });
    assert_eq!(library.change("mute status"), Change::Mute(false));
    assert_eq!(library.change("conference mute"), Change::ConferenceMute(false));
    assert_eq!(library.change("listen"), Change::Listen(StreamStatus::Silence));
    let whisper = library.command("whisper");
    assert!(matches!(&whisper.change, Change::Whisper(verbs) if names(verbs) == ["say"]));
    assert_eq!(whisper.call_sid.as_deref(), Some(OTHER));
    assert_eq!(library.change("dtmf"), Change::Dtmf { keys: "5".to_owned() });
    assert!(matches!(library.change("customer data"), Change::Tag(data) if data.to_string() == r#"{"orderId":7}"#));
    assert_eq!(library.change("tokens"), Change::Tokens);
    for (cause, name) in [("clear", "tts:clear"), ("tool output", "llm:tool-output")] {
        assert_eq!(library.change(cause), Change::Unsupported(name.to_owned()));
    }
    for (cause, verb) in [("sip decline", "sip:decline"), ("sip refer", "sip:refer")] {
        let Change::Instructions { verbs, .. } = library.change(cause) else { panic!() };
        assert_eq!(names(&verbs), [verb]);
    }
    assert_eq!(library.frame("reply"), Frame::Ack { msgid: "d".to_owned(), answer: Answer::Nothing });
    // Every frame was read by one of the assertions, or is at least understood.
    for text in library.frames.values().flatten() {
        assert!(read(text).is_ok() || library.frames.get("empty").is_some_and(|empty| empty.contains(text)), "{text}");
    }
    assert_eq!(library.protocol, SUBPROTOCOL);
    assert_eq!(library.rest["errors"], json!([]));
    let told = json!([
        ["call:status", "in-progress"],
        ["verb:status", "starting"],
        ["jambonz:error", "InvalidMessage"],
        ["/done", house::call().call_sid]
    ]);
    assert_eq!(library.rest["hooks"], told);
}

#[test]
fn what_the_libraries_send_is_understood_and_what_is_sent_they_understand() {
    let (old, sdk) = libraries();
    common(&old);
    common(&sdk);

    assert_eq!(old.change("mute"), participant(ParticipantAction::Mute));
    assert_eq!(old.change("hold"), participant(ParticipantAction::Hold(None)));
    assert_eq!(old.change("call status word"), Change::End(CallEnd::Completed));
    assert_eq!(old.change("call status"), Change::End(CallEnd::NoAnswer));
    assert_eq!(old.change("mute word"), Change::Mute(true));
    assert_eq!(old.change("conference mute word"), Change::ConferenceMute(true));
    assert_eq!(old.change("conference mute short"), Change::ConferenceMute(false));
    assert_eq!(old.change("conference hold word"), Change::ConferenceHold(Hold { on: true, wait_hook: None }));
    let unhold = Hold { on: false, wait_hook: Some(Hook::plain("/w")) };
    assert_eq!(old.change("conference hold"), Change::ConferenceHold(unhold));
    assert_eq!(old.change("listen word"), Change::Listen(StreamStatus::Pause));
    assert!(matches!(old.change("dub"), Change::Dub(dub) if (dub.gain_db + 10.0).abs() < 1e-9));
    assert_eq!(old.change("record"), Change::Record);
    assert!(matches!(old.change("sip request"), Change::SipRequest(request) if request.method == "INFO"));
    let hooks = Change::CallHook { call: Some(Hook::plain("/next")), child: Some(Hook::plain("/child")) };
    assert_eq!(old.change("redirect hook"), hooks);
    for (cause, name) in [
        ("media path", "media:path"),
        ("boost", "boostAudioSignal"),
        ("transcribe", "transcribe:status"),
        ("flush", "tts:flush"),
    ] {
        assert_eq!(old.change(cause), Change::Unsupported(name.to_owned()));
    }

    assert_eq!(sdk.change("kick"), participant(ParticipantAction::Kick));
    assert_eq!(sdk.change("hold"), participant(ParticipantAction::Hold(Some(Hook::plain("/w")))));
    assert!(matches!(sdk.change("whisper two"), Change::Whisper(verbs) if names(&verbs) == ["say", "play"]));
    assert!(matches!(sdk.change("room say"), Change::RoomSay(say)
        if say.id.as_deref() == Some("s1") && say.replace && say.sound.texts == ["hello room"]));
    assert!(matches!(sdk.change("room play"), Change::RoomPlay(play) if play.sound.urls == ["tone_stream://x"]));
    assert_eq!(sdk.change("record"), Change::Record);
    assert_eq!(sdk.change("redirect hook"), Change::CallHook { call: Some(Hook::plain("/next")), child: None });
    // The library makes an empty object of a word; nothing can be known from that.
    let error = read(&sdk.frames["empty"][0]).expect_err("nothing is in it");
    assert!(error.to_string().contains("conf_mute_status is missing; write one of: mute, unmute"), "{error}");
    // An application that has nothing more to say replaces the rest by nothing.
    assert_eq!(sdk.change("empty redirect"), Change::Instructions { verbs: Vec::new(), queue: false });
}

#[test]
fn no_key_of_the_first_message_takes_the_place_of_something_that_the_libraries_need() {
    let (old, sdk) = libraries();
    assert_eq!(old.rest["clashes"], json!([]));
    assert_eq!(sdk.rest["clashes"], json!([]));
}

/// What a program that takes sound is sent as text.
fn sound() -> [String; 5] {
    let call = house::call();
    let own = house::value(&json!({"sampleRate": 16000, "mine": [1]}));
    [
        audio::metadata(&call, 8000, "mono", own.as_object()),
        audio::dtmf('5', 160),
        audio::play_done(Some("one")),
        audio::mark("after", false),
        audio::mark("after", true),
    ]
    .map(|frame| frame.to_string())
}

#[test]
fn sound_streams_speak_as_the_library_does() {
    let result = house::node(
        "sockets.cjs",
        &json!({"frames": [envelope(
        MessageType::SessionNew, "last", None, house::call().body())], "audio": sound()}),
    );
    let result = &result["sound"];
    assert_eq!(result["protocol"], audio::SUBPROTOCOL);
    assert_eq!(result["metadata"][0]["mine"], json!([1]));
    assert_eq!(result["metadata"][1], house::call().call_sid);
    // The program's own word counts.
    assert_eq!(result["metadata"][2], 16000);
    let events = json!([
        ["dtmf", {"digit": "5", "duration": "160"}],
        ["playDone", {"id": "one"}],
        ["mark", {"name": "after", "event": "playout"}],
        ["mark", {"name": "after", "event": "cleared"}],
        ["audio", 320]
    ]);
    assert_eq!(result["events"], events);
    let clip = |format, sample_rate, id: Option<&str>, queue| {
        let (content, id) = ("AAAA".to_owned(), id.map(str::to_owned));
        FromProgram::PlayAudio(Clip { content, format, sample_rate, id, queue })
    };
    let frames: Vec<_> = result["frames"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|frame| audio::read(frame.as_str().expect("a text")).expect("it is understood"))
        .collect();
    let expected = [
        clip(ClipFormat::Raw, 16_000, Some("one"), true),
        clip(ClipFormat::Wav, 16_000, None, false),
        FromProgram::KillAudio,
        FromProgram::Mark("after".to_owned()),
        FromProgram::ClearMarks,
        FromProgram::Disconnect,
    ];
    assert_eq!(frames, expected);
}

//! What verb arrays run as.

use std::time::Duration;

use call::dialect::{Dialect, DocumentError, Purpose, QueueView};
use call::verb::*;
use conference::{Audience, Tag};
use jambonz::Jambonz;
use serde_json::{Value as Json, json};

const HTTP: &str = "https://app.example.com/calls/start?x=1#rc=3&rp=5xx";
const SOCKET: &str = "wss://app.example.com/ws";

fn http() -> Fetch {
    let auth = BasicAuth { username: "u".to_owned(), password: "p".to_owned() };
    Fetch { auth: Some(auth), ..Fetch::new(HTTP, Method::Post) }
}

fn socket() -> Fetch {
    Fetch::new(SOCKET, Method::Link)
}

fn read(base: &Fetch, purpose: &Purpose, document: &Json) -> Result<Option<Vec<Instruction>>, DocumentError> {
    let text = document.to_string();
    Jambonz::with_rooms_of(50).document(base, purpose, "application/json; charset=utf-8", text.as_bytes())
}

fn all(base: &Fetch, document: Json) -> Vec<Instruction> {
    read(base, &Purpose::Answer, &document).unwrap_or_else(|error| panic!("{error}")).expect("there are verbs")
}

fn one(base: &Fetch, verb: Json) -> Verb {
    let mut all = all(base, json!([verb]));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0).verb
}

fn speech(text: &str, voice: &str, language: &str, times: Times) -> Prompt {
    Prompt::Speech { text: text.to_owned(), voice: voice.to_owned(), language: language.to_owned(), times }
}

fn audio(url: &str, times: Times) -> Prompt {
    Prompt::Audio { url: url.to_owned(), times }
}

fn post(url: &str) -> Fetch {
    Fetch { url: url.to_owned(), ..http() }
}

#[test]
fn hooks_lead_to_the_applications_server_with_its_credentials_or_are_names_on_its_socket() {
    for (written, leads) in [
        (json!("/next"), post("https://app.example.com/next")),
        (json!("next#rc=5&rp=all"), post("https://app.example.com/calls/next#rc=5&rp=all")),
        (json!("https://b.example.com/x"), Fetch::new("https://b.example.com/x", Method::Post)),
        (
            json!({"url": "/q?a=1", "method": "GET", "username": "a", "password": "b"}),
            Fetch {
                url: "https://app.example.com/q?a=1".to_owned(),
                method: Method::Get,
                auth: Some(BasicAuth { username: "a".to_owned(), password: "b".to_owned() }),
            },
        ),
        (json!("wss://b.example.com/x"), Fetch::new("wss://b.example.com/x", Method::Link)),
    ] {
        assert_eq!(one(&http(), json!({"verb": "redirect", "actionHook": written})), Verb::Redirect(leads));
    }
    for (written, leads) in [
        ("/next", Fetch::new("/next", Method::Link)),
        ("event#1", Fetch::new("event#1", Method::Link)),
        ("https://b.example.com/x", Fetch::new("https://b.example.com/x", Method::Post)),
    ] {
        let Verb::Redirect(fetch) = one(&socket(), json!({"verb": "redirect", "actionHook": written})) else {
            panic!()
        };
        assert_eq!(fetch.is_own_link(), fetch.method == Method::Link);
        assert_eq!(fetch, leads);
    }
    // An application without an address of its own has absolute hooks alone.
    let none = Fetch::new("", Method::Post);
    let absolute = json!([{"verb": "redirect", "actionHook": "https://b.example.com/x"}]);
    assert!(read(&none, &Purpose::Answer, &absolute).is_ok());
    let relative = json!([{"verb": "answer"}, {"verb": "redirect", "actionHook": "/x"}]);
    let error = read(&none, &Purpose::Answer, &relative).unwrap_err().to_string();
    assert!(error.contains("element 1, redirect") && error.contains("/x"), "{error}");
}

#[test]
fn nothing_new_is_told_from_what_cannot_be_run() {
    let dialect = Jambonz::default();
    let action = Purpose::Action(Box::new(call::dialect::Outcome::Done), None);
    for (kind, body) in [("text/html", "OK"), ("application/json", "[]"), ("application/json", "{}"), ("", "")] {
        assert_eq!(dialect.document(&http(), &action, kind, body.as_bytes()), Ok(None), "{kind} {body}");
        assert_eq!(dialect.document(&socket(), &Purpose::Answer, kind, body.as_bytes()), Ok(None), "{kind} {body}");
        // A call by HTTP has nothing to go on with, and is refused.
        let error = dialect.document(&http(), &Purpose::Answer, kind, body.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("array of verbs"), "{error}");
    }
    for body in [r#"[{"verb":"sing"}]"#, "[", r#"{"verb":"hangup"}"#, r#"[{"verb":"say"},{"verb":"pause"}]"#] {
        let error = dialect.document(&http(), &action, "application/json", body.as_bytes());
        assert!(matches!(error, Err(DocumentError::Invalid(_))), "{body}: {error:?}");
    }
}

#[test]
fn hooks_of_waiting_calls_allow_few_verbs() {
    let queue = QueueView { queue: "q".to_owned(), waited_s: 0, size: 1, position: 0 };
    let queue = Purpose::QueueWait(Box::new(queue));
    let say = json!([{"verb": "say", "text": "a"}]);
    let leave = json!([{"verb": "tag", "data": {"a": 1}}, {"verb": "leave"}]);
    let press = json!([{"verb": "gather", "numDigits": 1}, {"verb": "hangup"}]);
    let dial = json!([{"verb": "dial", "target": [{"type": "phone", "number": "1"}]}]);
    for (purpose, document, allowed) in [
        (&Purpose::Wait, &say, true),
        (&Purpose::Wait, &leave, false),
        (&Purpose::Enter, &say, true),
        (&Purpose::Enter, &dial, false),
        (&queue, &leave, true),
        (&queue, &press, false),
        (&Purpose::Confirm, &press, true),
        (&Purpose::Confirm, &dial, false),
    ] {
        assert_eq!(read(&http(), purpose, document).is_ok(), allowed, "{purpose:?} {document}");
    }
}

#[test]
fn instructions_are_called_what_the_program_calls_them() {
    let run = all(&http(), json!([{"verb": "room", "name": "a", "id": "r"}, {"stream": {"url": "/s"}}]));
    let label = |at: usize| run[at].label.clone().expect("a label");
    assert_eq!(label(0), Label { verb: "conference".to_owned(), id: Some("r".to_owned()) });
    assert_eq!(label(1), Label { verb: "listen".to_owned(), id: None });
}

#[test]
fn say_and_play_are_heard_as_often_as_asked() {
    let say = |verb: Json| one(&http(), verb);
    assert_eq!(
        say(json!({"verb": "say", "text": "hello", "loop": 3})),
        Verb::Prompt(speech("hello", "", "", Times::Count(3)))
    );
    let synthesizer = json!({"vendor": "default", "language": "de-DE", "voice": "Hans", "gender": "MALE"});
    assert_eq!(
        say(json!({"verb": "say", "text": ["a", "b"], "loop": "forever", "synthesizer": synthesizer})),
        Verb::Prompt(speech("a b", "MAN", "de-DE", Times::Forever))
    );
    let Verb::Play(play) = say(json!({"verb": "say", "text": ["a", "b"]})) else { panic!("one instruction") };
    assert_eq!(play.prompts, [speech("a", "", "", Times::Count(1)), speech("b", "", "", Times::Count(1))]);
    let Verb::Play(play) = say(json!({"verb": "say", "text":
        "<speak version=\"1.0\">Ben &amp; <b>Jerry</b><break time=\"250ms\"/> now<break/></speak>"}))
    else {
        panic!("pauses are apart")
    };
    assert_eq!(
        play.prompts,
        [
            speech("Ben & Jerry", "", "", Times::Count(1)),
            Prompt::Silence(Duration::from_millis(250)),
            speech("now", "", "", Times::Count(1)),
            Prompt::Silence(Duration::from_millis(500)),
        ]
    );
    assert_eq!(
        one(&socket(), json!({"verb": "play", "url": "/hold.mp3", "loop": "forever"})),
        Verb::Prompt(audio("https://app.example.com/hold.mp3", Times::Forever))
    );
    let Verb::Play(play) = say(json!({"verb": "play", "url": ["https://a.example.com/1", "silence_stream://700"],
        "loop": 2, "timeoutSecs": 4, "actionHook": "/played", "id": "p"}))
    else {
        panic!("it has an end")
    };
    let round = [audio("https://a.example.com/1", Times::Count(1)), Prompt::Silence(Duration::from_millis(700))];
    assert_eq!(play.prompts, [round.clone(), round].concat());
    assert_eq!(play.limit, Some(Duration::from_secs(4)));
    assert_eq!(play.action, Some(Action { to: post("https://app.example.com/played"), id: Some("p".to_owned()) }));
    let Verb::Play(play) = say(json!({"verb": "play", "url": ["a", "b"], "loop": 4_000_000_000_u64})) else { panic!() };
    assert_eq!(play.prompts.len(), 1000);
    assert_eq!(
        say(json!({"verb": "pause", "length": 1.5})),
        Verb::Prompt(Prompt::Silence(Duration::from_millis(1500)))
    );
}

#[test]
fn gather_reports_its_outcome() {
    let Verb::Gather(gather) = one(
        &http(),
        json!({"verb": "gather", "id": "pin", "input": ["digits"], "numDigits": 4, "finishOnKey": "#", "timeout": 8,
            "interDigitTimeout": 3, "actionHook": "/pin", "say": {"text": "your pin"}, "play": {"url": "/beep.wav"}}),
    ) else {
        panic!()
    };
    assert_eq!(
        gather,
        Gather {
            prompts: vec![
                speech("your pin", "", "", Times::Count(1)),
                audio("https://app.example.com/beep.wav", Times::Count(1)),
            ],
            action: Some(Action { to: post("https://app.example.com/pin"), id: Some("pin".to_owned()) }),
            report: Report::Outcome,
            first_digit: Duration::from_secs(8),
            next_digit: Duration::from_secs(3),
            finish_on: Some('#'),
            min_digits: 4,
            max_digits: 4,
            valid: "0123456789*#ABCD".to_owned(),
            ..Gather::default()
        }
    );
    let Verb::Gather(gather) = one(
        &http(),
        json!({"verb": "gather", "input": ["speech"], "timeout": 0, "dtmfBargein": false, "speechTimeout": 2,
            "recognizer": {"vendor": "default", "language": "en-GB", "hints": ["yes"], "minConfidence": 0.5}}),
    ) else {
        panic!()
    };
    assert!(gather.first_digit > Duration::from_secs(86_400), "0 is no limit");
    assert_eq!(gather.valid, "", "keys are no speech");
    assert!(!gather.interrupts);
    assert_eq!(
        gather.speech.as_deref(),
        Some(&Understanding {
            language: "en-GB".to_owned(),
            hints: vec!["yes".to_owned()],
            min_confidence: 0.5,
            silence: Duration::from_secs(2),
        })
    );
}

#[test]
fn a_conference_joins_with_all_its_rules_at_once() {
    let Verb::Join(join) = one(
        &http(),
        json!({"verb": "conference", "id": "c", "name": "support-23", "memberTag": "supervisor", "speakOnlyTo": "agent",
            "joinMuted": true, "startConferenceOnEnter": false, "endConferenceOnExit": true, "endConferenceDuration": 9,
            "beep": true, "maxParticipants": 400, "distributeDtmf": true, "waitHook": "/wait", "enterHook": "/enter",
            "actionHook": "/left", "statusHook": "/status", "statusEvents": ["join", "end-talking"],
            "record": {"path": "s3://x"}, "listen": {"url": "/tap", "mixType": "mixed"}}),
    ) else {
        panic!()
    };
    let agents = Audience::tag(Tag::new("agent"));
    assert_eq!(join.room, "support-23");
    let entry = &join.entry;
    assert_eq!((entry.role, entry.tag.as_ref().map(Tag::as_str)), (None, Some("supervisor")));
    assert_eq!((entry.coaching, &entry.coach_audience), (true, &agents));
    assert!(entry.muted && !entry.start_on_enter && entry.end_on_exit && entry.relay_digits && !entry.held);
    assert_eq!(join.room_settings.policy.max_members, 50, "the server's limit");
    assert!(join.room_settings.policy.stay_alone && join.room_settings.record);
    assert_eq!(join.member_settings.max_members, Some(50), "no more than the server's limit");
    assert_eq!(join.member_settings.enter_sound, Notice::Beeps(1));
    assert_eq!(join.member_settings.exit_sound, Notice::Silent);
    assert_eq!(join.member_settings.end_grace, Some(Duration::from_secs(9)));
    assert!(!join.member_settings.moderator);
    assert!(join.member_settings.callbacks.is_some());
    assert_eq!(join.member_settings.callbacks, join.room_settings.callbacks);
    assert_eq!(join.hooks.wait, Some(post("https://app.example.com/wait")));
    assert_eq!(join.hooks.enter, Some(post("https://app.example.com/enter")));
    assert_eq!(join.hooks.action, Some(Action { to: post("https://app.example.com/left"), id: Some("c".to_owned()) }));
    let stream = join.hooks.stream.expect("the mix is streamed");
    assert_eq!((stream.url.as_str(), stream.mix), ("wss://app.example.com/tap", StreamMix::Mixed));
}

#[test]
fn start_conference_on_enter_has_three_meanings() {
    for (written, starts, moderates) in
        [(json!(true), true, true), (json!(false), false, false), (Json::Null, true, false)]
    {
        let verb = json!({"verb": "conference", "name": "a", "startConferenceOnEnter": written});
        let Verb::Join(join) = one(&http(), verb) else { panic!() };
        assert_eq!((join.entry.start_on_enter, join.member_settings.moderator), (starts, moderates), "{written}");
        assert!(!join.entry.coaching && !join.entry.muted && join.entry.tag.is_none());
        assert!(join.member_settings.callbacks.is_none() && !join.room_settings.record);
    }
    // Without events nothing is told.
    let Verb::Join(join) = one(&http(), json!({"verb": "conference", "name": "a", "statusHook": "/s"})) else {
        panic!()
    };
    assert_eq!(join.member_settings.callbacks, None);
}

#[test]
fn dial_connects_with_whom_it_can() {
    let run = all(
        &http(),
        json!([{"verb": "dial", "id": "d", "answerOnBridge": true, "callerId": "15550100", "timeout": 20, "timeLimit": 60,
            "headers": {"X-A": "1"}, "actionHook": "/done", "confirmHook": "/confirm", "dialMusic": "/ring.wav",
            "dtmfCapture": {"parentCall": ["*2", "x"], "childCall": ["#9"]}, "dtmfHook": "/keys", "referHook": "/refer",
            "tag": {"a": 1}, "listen": {"url": "wss://b.example.com/s"},
            "target": [
                {"type": "phone", "number": "+15550101", "trunk": "carrier", "headers": {"X-B": "2"}},
                {"type": "teams", "number": "1"},
                {"type": "sip", "sipUri": "sip:x@example.com", "auth": {"username": "a", "password": "b"},
                    "confirmHook": "/own"},
                {"type": "user", "name": "alice@sip.example.com"}]}]),
    );
    // What cannot be called is told, and the others are called.
    assert!(matches!(&run[0].verb, Verb::Unsupported(name) if name.contains("teams")), "{run:?}");
    let Verb::Connect(connect) = &run[1].verb else { panic!("{run:?}") };
    let kinds: Vec<_> = connect.targets.iter().map(|target| target.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            TargetKind::Number { number: "+15550101".to_owned(), trunk: Some("carrier".to_owned()) },
            TargetKind::Uri("sip:x@example.com".to_owned()),
            TargetKind::Endpoint("alice@sip.example.com".to_owned()),
        ]
    );
    assert_eq!(connect.targets[1].auth, Some(("a".to_owned(), "b".to_owned())));
    assert_eq!(connect.targets[1].confirm, Some(post("https://app.example.com/own")));
    assert_eq!(connect.targets[0].headers, [("X-B".to_owned(), "2".to_owned())]);
    assert!(connect.answer_on_bridge);
    assert_eq!(connect.caller_id.as_deref(), Some("15550100"));
    assert_eq!((connect.ring_timeout, connect.limit), (Duration::from_secs(20), Some(Duration::from_secs(60))));
    assert_eq!(connect.music.as_deref(), Some("https://app.example.com/ring.wav"));
    let hook = post("https://app.example.com/keys");
    assert_eq!(
        connect.keys,
        [
            KeyPattern { keys: "*2".to_owned(), callee: false, hook: hook.clone() },
            KeyPattern { keys: "#9".to_owned(), callee: true, hook },
        ]
    );
    assert_eq!(connect.attached.as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(connect.stream.as_ref().map(|stream| stream.url.as_str()), Some("wss://b.example.com/s"));
    let teams = all(&http(), json!([{"verb": "dial", "target": [{"type": "teams", "number": "1"}]}]));
    assert!(matches!(teams.as_slice(), [Instruction { verb: Verb::Unsupported(_), .. }]));
}

#[test]
fn the_other_verbs_run_as_what_they_say() {
    let left = |id: Option<&str>| Action { to: post("https://app.example.com/a"), id: id.map(str::to_owned) };
    for (document, verb) in [
        (json!({"verb": "answer"}), Verb::Answer),
        (json!({"verb": "alert", "message": "info=1"}), Verb::Ring("info=1".to_owned())),
        (
            json!({"verb": "enqueue", "name": "q", "actionHook": "/a", "waitHook": "/w", "id": "e"}),
            Verb::Enqueue(Box::new(Enqueue {
                name: "q".to_owned(),
                priority: i64::MAX,
                wait: Some(post("https://app.example.com/w")),
                action: Some(left(Some("e"))),
            })),
        ),
        (
            json!({"verb": "dequeue", "name": "q", "timeout": 4, "beep": true, "callSid": "x", "actionHook": "/a"}),
            Verb::Dequeue(Box::new(Dequeue {
                name: "q".to_owned(),
                call: Some("x".to_owned()),
                timeout: Some(Duration::from_secs(4)),
                beep: true,
                action: Some(left(None)),
            })),
        ),
        (json!({"verb": "leave"}), Verb::Leave),
        (json!({"verb": "dtmf", "dtmf": "1w2x#"}), Verb::SendDigits("12#".to_owned())),
        (json!({"verb": "tag", "data": {"b": 1, "a": [1.0]}}), Verb::Attach(r#"{"a":[1],"b":1}"#.to_owned())),
        (json!({"verb": "message", "to": "1", "from": "2", "actionHook": "/a"}), Verb::Message(Some(left(None)))),
        (
            json!({"verb": "sip:decline", "status": 486, "reason": "Busy", "headers": {"X-A": "1"}}),
            Verb::Hangup(Hangup {
                refusal: Some(Refusal::Status {
                    code: 486,
                    reason: Some("Busy".to_owned()),
                    headers: vec![("X-A".to_owned(), "1".to_owned())],
                }),
                ..Hangup::default()
            }),
        ),
        (
            json!({"verb": "sip:refer", "referTo": "sip:9@example.com", "referredBy": "me", "actionHook": "/a",
                "eventHook": "/w"}),
            Verb::Refer(Box::new(Refer {
                to: "sip:9@example.com".to_owned(),
                referred_by: Some("me".to_owned()),
                headers: Vec::new(),
                action: Some(left(None)),
                events: Some(post("https://app.example.com/w")),
            })),
        ),
        (
            json!({"verb": "hangup", "headers": {"X-A": 1}}),
            Verb::Hangup(Hangup { headers: vec![("X-A".to_owned(), "1".to_owned())], ..Hangup::default() }),
        ),
        (json!({"verb": "transcribe"}), Verb::Unsupported("transcribe".to_owned())),
        (
            json!({"verb": "dub", "action": "sayOnTrack", "track": "t", "say": "hi", "loop": true, "gain": "-10 dB"}),
            Verb::Dub(Dub {
                action: DubAction::Play,
                track: "t".to_owned(),
                prompts: vec![speech("hi", "", "", Times::Forever)],
                gain_db: -10.0,
            }),
        ),
    ] {
        assert_eq!(one(&http(), document.clone()), verb, "{document}");
    }
}

#[test]
fn a_stream_has_a_rate_that_there_is_and_says_so() {
    let Verb::Stream(stream) = one(
        &http(),
        json!({"verb": "listen", "id": "s", "url": "/audio", "sampleRate": 22_050, "mixType": "stereo", "passDtmf": true,
            "metadata": {"b": 1, "a": 2}, "wsAuth": {"username": "u", "password": "p"}, "finishOnKey": "#*",
            "maxLength": 7, "playBeep": true, "actionHook": "/a",
            "bidirectionalAudio": {"enabled": true, "streaming": true, "sampleRate": 16_000}}),
    ) else {
        panic!()
    };
    assert_eq!(
        *stream,
        Stream {
            url: "wss://app.example.com/audio".to_owned(),
            auth: Some(BasicAuth { username: "u".to_owned(), password: "p".to_owned() }),
            sample_rate: 24_000,
            mix: StreamMix::Stereo,
            metadata: Some(r#"{"a":2,"b":1}"#.to_owned()),
            digits: true,
            two_way: Some(TwoWay { streaming: true, sample_rate: 16_000 }),
            limit: Some(Duration::from_secs(7)),
            silence: None,
            finish_on: "#*".to_owned(),
            beep: true,
            action: Some(Action { to: post("https://app.example.com/a"), id: Some("s".to_owned()) }),
            id: Some("s".to_owned()),
        }
    );
    let Verb::Stream(off) =
        one(&http(), json!({"verb": "stream", "url": "wss://b.example.com/", "disableBidirectionalAudio": true}))
    else {
        panic!()
    };
    assert_eq!((off.two_way, off.sample_rate, off.mix), (None, 8000, StreamMix::Inbound));
}

#[test]
fn config_sets_what_it_names_and_leaves_the_rest() {
    let config = |config: Json| match one(&socket(), config) {
        Verb::Configure(settings) => *settings,
        other => panic!("{other:?}"),
    };
    assert_eq!(config(json!({"verb": "config"})), Settings::default());
    let set = config(json!({"verb": "config", "notifyEvents": true, "referHook": "/r",
        "sipRequestWithinDialogHook": "/s", "synthesizer": {"vendor": "default", "language": "fr-FR", "voice": "Zoé"},
        "listen": {"enable": true, "url": "wss://b.example.com/"},
        "bargeIn": {"enable": true, "sticky": true, "input": ["digits"], "actionHook": "/b"}}));
    assert_eq!(set.notify, Some(true));
    assert_eq!(set.voice, Some(Some(("Zoé".to_owned(), "fr-FR".to_owned()))));
    assert_eq!(set.refer_hook, Some(Fetch::new("/r", Method::Link)));
    assert_eq!(set.request_hook, Some(Fetch::new("/s", Method::Link)));
    assert!(matches!(set.stream, Some(StreamChange::Start(_))));
    let barge_in = set.barge_in.flatten().expect("input counts");
    assert_eq!(barge_in.action, Some(Fetch::new("/b", Method::Link).into()));
    assert!(set.barge_in_again && barge_in.report == Report::Outcome && barge_in.speech.is_none());
    let reset = config(json!({"verb": "config", "reset": ["synthesizer"], "listen": {"enable": false},
        "bargeIn": {"enable": false}}));
    assert_eq!((reset.voice, reset.barge_in), (Some(None), Some(None)));
    assert_eq!(reset.stream, Some(StreamChange::Stop));
}

#[test]
fn what_a_program_attaches_keeps_its_order() {
    let body = br#"[{"verb":"tag","data":{"b":1.0,"a":[{"d":1,"c":"\ud83d"}]}}]"#;
    let read = Jambonz::default().document(&http(), &Purpose::Answer, "application/json", body);
    let run = read.expect("it is good").expect("it is there");
    assert_eq!(run[0].verb, Verb::Attach(r#"{"b":1,"a":[{"d":1,"c":"\ud83d"}]}"#.to_owned()));
}

#[test]
fn sounds_may_be_documents_of_prompts() {
    let dialect = Jambonz::default();
    let heard = dialect.prompts("application/json", br#"[{"verb":"play","url":"https://a.example.com/1"}]"#);
    assert_eq!(heard, Ok(vec![audio("https://a.example.com/1", Times::Count(1))]));
    assert!(dialect.prompts("application/json", br#"[{"verb":"hangup"}]"#).is_err());
    assert!(matches!(dialect.prompts("text/html", b"<p>"), Err(DocumentError::WrongType(_))));
}

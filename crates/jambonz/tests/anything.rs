//! Whatever comes from outside: an answer or a clear error, never a panic.

use call::dialect::{Dialect, Purpose, QueueView};
use call::verb::{Fetch, Method};
use jambonz::Jambonz;
use jambonz::frames::read;
use jambonz::hook::{Base, Hook};
use jambonz::json::{Object, Text, Value};
use jambonz::rest::{create_call, room_tap, update_call};
use jambonz::verbs::{READ, document, instructions};
use proptest::prelude::*;

/// Names that mean something somewhere, so that generated objects get far.
const NAMES: &[&str] = &[
    "verb",
    "id",
    "text",
    "url",
    "loop",
    "length",
    "headers",
    "actionHook",
    "target",
    "type",
    "number",
    "sipUri",
    "name",
    "auth",
    "input",
    "numDigits",
    "timeout",
    "say",
    "play",
    "synthesizer",
    "recognizer",
    "vendor",
    "hints",
    "listen",
    "stream",
    "dtmf",
    "data",
    "status",
    "referTo",
    "track",
    "action",
    "gain",
    "message",
    "memberTag",
    "speakOnlyTo",
    "statusEvents",
    "maxParticipants",
    "endConferenceDuration",
    "record",
    "bidirectionalAudio",
    "sampleRate",
    "bargeIn",
    "command",
    "msgid",
    "callSid",
    "tag",
    "conferenceParticipantAction",
    "call_hook",
    "whisper",
    "call_status",
    "digit",
    "duration",
    "method",
    "to",
    "from",
    "app_json",
    "minConfidence",
    "vad",
    "amd",
    "dub",
    "dtmfCapture",
    "basicAuth",
    "priority",
    "from",
    "conf_hold_status",
    "wait_hook",
    "dial",
];
const WORDS: &[&str] = &[
    "ack",
    "command",
    "redirect",
    "whisper",
    "conf:participant-action",
    "tag",
    "coach",
    "hold",
    "mute",
    "completed",
    "phone",
    "sip",
    "digits",
    "forever",
    "addTrack",
    "POST",
    "dtmf",
    "sip:request",
    "room:say",
    "config",
    "tts:tokens",
    "",
    "a\u{0}b",
    "-10 dB",
    "https://a.example.com/x",
    "1e999",
    "user",
    "dub",
    "record",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Number),
        prop::sample::select(vec![0.0, -1.0, 1e300, f64::INFINITY, 3.0]).prop_map(Value::Number),
        prop::sample::select(WORDS).prop_map(Value::from),
        prop::sample::select(READ).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let name = prop_oneof![
            8 => prop::sample::select(NAMES).prop_map(Text::from),
            3 => prop::sample::select(READ).prop_map(Text::from),
            1 => any::<String>().prop_map(Text::from),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..8).prop_map(|entries| Value::Object(Object::from_entries(entries))),
        ]
    })
}

/// A verb with any properties.
fn verb() -> impl Strategy<Value = Value> {
    (prop::sample::select(READ), prop::collection::vec((prop::sample::select(NAMES), value()), 0..8)).prop_map(
        |(name, entries)| {
            let mut object = Object::new();
            for (key, value) in entries {
                object.set(key, value);
            }
            object.set("verb", name);
            Value::Object(object)
        },
    )
}

/// A frame with any command.
fn frame() -> impl Strategy<Value = Value> {
    (prop::sample::select(WORDS), value()).prop_map(|(command, data)| {
        let mut object = Object::new();
        object.set("type", "command");
        object.set("command", command);
        object.set("data", data);
        Value::Object(object)
    })
}

fn try_everything(value: &Value) {
    let text = value.to_string();
    for error in [
        instructions(value).err().map(|error| error.to_string()),
        document(text.as_bytes()).err().map(|error| error.to_string()),
        read(&text).err().map(|error| error.report(&text).to_string()),
        update_call(value).err().map(|error| error.to_string()),
        create_call(value).err().map(|error| error.to_string()),
        room_tap(value).err().map(|error| error.to_string()),
        jambonz::audio::read(&text).err().map(|error| error.to_string()),
        jambonz::environment::variables(value).err().map(|error| error.to_string()),
    ]
    .into_iter()
    .flatten()
    {
        assert!(!error.is_empty() && error.len() < 4000, "an error is short: {error}");
    }
}

/// What the engine would have of it, from applications of each kind.
fn run_everything(value: &Value) {
    let text = value.to_string();
    let dialect = Jambonz::with_rooms_of(100);
    let queue = QueueView { queue: "q".to_owned(), waited_s: 1, size: 1, position: 0 };
    let purposes = [Purpose::Answer, Purpose::Wait, Purpose::QueueWait(Box::new(queue)), Purpose::Confirm];
    for base in [
        Fetch::new("https://a.example.com/x?y#rc=2", Method::Post),
        Fetch::new("wss://a.example.com/x", Method::Link),
        Fetch::new("", Method::Get),
    ] {
        for purpose in &purposes {
            match dialect.document(&base, purpose, "application/json", text.as_bytes()) {
                Ok(_) => {}
                Err(error) => assert!(error.to_string().len() < 5000, "an error is short: {error}"),
            }
        }
        let _ = dialect.command(&base, &text);
        let _ = dialect.at_end(&base);
    }
    let _ = dialect.prompts("application/json", text.as_bytes());
    let _ = dialect.delivery(&text);
    let _ = dialect.profile(&serde_json::from_str(&text).unwrap_or_default());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_makes_a_reader_panic(value in value(), verb in verb(), frame in frame()) {
        try_everything(&value);
        try_everything(&Value::Array(vec![verb.clone()]));
        try_everything(&frame);
        for value in [value, Value::Array(vec![verb]), frame] {
            run_everything(&value);
        }
    }

    #[test]
    fn no_markup_makes_the_speaker_panic(parts in prop::collection::vec(prop_oneof![
        prop::sample::select(vec!["<speak>", "</speak>", "<break time=\"", "1e999s", "-3ms", "\"/>", "<", ">", "&amp;", "&", "<!--"])
            .prop_map(str::to_owned),
        any::<String>(),
    ], 0..12)) {
        let mut say = Object::new();
        say.set("verb", "say");
        say.set("text", format!("<speak>{}", parts.concat()));
        run_everything(&Value::Array(vec![say.into()]));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = document(&bytes);
        let _ = read(&text);
    }

    #[test]
    fn no_hook_makes_the_resolver_panic(text in any::<String>(), words in "[a-z:/.#?&=0-9@ ]{0,40}") {
        let base = Base::of(&Hook::plain("https://a.example.com/x")).expect("a good base");
        for text in [&text, &words] {
            let _ = Hook::plain(text.as_str()).resolve(&base);
            let _ = base.stream(text);
            let _ = Base::of(&Hook::plain(text.as_str()));
        }
    }
}

//! More than a call, a room or a stream takes: each too many is answered or counted, those before are done, and the call goes on.

use std::time::{Duration, Instant};

use base64::Engine;
use phone::{Call, CallError, EndCause, EventKind, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, hears, never_heard_since, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Exchange, Via};
use system_tests::program::{Reply, tone_wav};

/// A WAV file of a tenth of a second.
fn tenth(freq: u32) -> Vec<u8> {
    let mut file = tone_wav(freq, -20.0, 1);
    let bytes = 1_600_u32;
    file.truncate(44 + bytes as usize);
    file[4..8].copy_from_slice(&(36 + bytes).to_le_bytes());
    file[40..44].copy_from_slice(&bytes.to_le_bytes());
    file
}

async fn audible(what: &str, call: &Call, tone: u32) {
    assert!(call.ear().wait_heard(tone, -30.0, Instant::now(), SOON).await.is_some(), "{what}: {tone} Hz is not heard");
}

async fn metric(exchange: &Exchange, name: &str) -> f64 {
    exchange.office.server.metric(name).await.unwrap_or_else(|| panic!("there is no metric {name}"))
}

async fn message(call: &Call) {
    let kind = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    let answer = call.request("MESSAGE", kind, b"hello".to_vec()).await.unwrap();
    assert_eq!(answer.code, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_beside_the_instructions_are_eight_at_once_and_further_ones_are_counted() {
    let [music, whispered, _] = tones();
    let exchange = Exchange::open().await;
    let whisper = json!({ "whisper": { "verb": "play", "url": exchange.tone("/whisper.wav", whispered) } });
    let hooks =
        json!({ "verb": "config", "sipRequestWithinDialogHook": "/in-dialog", "referHook": "/dial-refer/asked" });
    let play = json!({ "verb": "play", "url": exchange.tone("/music.wav", music), "loop": 60 });
    let caller = exchange.runs_via("caller", Via::Http, json!([hooks, play]), Mouth::Silence).await;
    exchange.app.hold("/in-dialog");
    let asks = |told: &Told| told.name == "/in-dialog";
    for _ in 0..8 {
        message(&caller.call).await;
    }
    exchange.app.told().expect_times("eight questions", 8, caller.mark, SOON, asks).await;
    assert_eq!(metric(&exchange, "aside_mailbox_overflows_total").await, 0.0);
    // Taken, and not passed on; of a transfer the phone is told that it is not done.
    message(&caller.call).await;
    assert_eq!(caller.call.refer("<sip:desk@example.com>", Vec::new()).await.unwrap().code, 202);
    let report = |kind: &EventKind| matches!(kind, EventKind::Request { method, body, .. } if method == "NOTIFY" && body.starts_with(b"SIP/2.0 503"));
    caller.call.wait_event(SOON, report).await.expect("the transfer's end is not reported");
    exchange.office.server.metric_becomes("aside_mailbox_overflows_total", 2.0).await;
    let unasked = exchange.app.told().matching(|told| told.name == "/dial-refer/asked");
    assert!(unasked.is_empty(), "{unasked:?}");
    // What is asked neither holds up the verbs nor the commands.
    audible("its verbs", &caller.call, music).await;
    let since = Instant::now();
    exchange.rest.update(&caller.sid, whisper).await;
    assert!(caller.call.ear().wait_heard(whispered, -30.0, since, SOON).await.is_some(), "no whisper");
    assert_eq!(exchange.app.told().matching(asks).len(), 8, "a ninth question was asked");
    exchange.app.release("/in-dialog");
    // Answers make room. They come one by one, so the first request after them may still be one too many.
    let mark = exchange.app.mark();
    let end = Instant::now() + SOON;
    while exchange.app.told().find(mark, Duration::from_millis(500), asks).await.is_none() {
        assert!(Instant::now() < end, "nothing is asked any more");
        message(&caller.call).await;
    }
    audible("after all", &caller.call, music).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_sounds_wait_for_a_room_and_the_next_are_told_and_counted() {
    let [first_tone, tone, c] = tones();
    let exchange = Exchange::open().await;
    let first = exchange.office.program.url("/first.wav");
    let short = exchange.office.program.url("/short.wav");
    exchange.office.program.reply("/first.wav", Reply::Plain(200, "audio/wav", tone_wav(first_tone, -20.0, 4)));
    exchange.office.program.reply("/short.wav", Reply::Plain(200, "audio/wav", tenth(tone)));
    let room = json!({ "name": "support", "statusEvents": ["play-start", "play-done"] });
    let one = exchange.joins("one", room.clone(), Mouth::Silence).await;
    let two = exchange.joins("two", room, voice(c)).await;
    let mark = exchange.app.mark();
    exchange.app.command(&one.call_uuid, "room:play", json!({ "url": first, "id": "first" }));
    exchange.app.event("", "play-start", mark).await;
    // Nine of each: a call has no more than sixteen loaded at once.
    for number in 0..9 {
        for member in [&one, &two] {
            let id = format!("{}-{number}", member.name);
            exchange.app.command(&member.call_uuid, "room:play", json!({ "url": short, "id": id }));
        }
    }
    let refused = |told: &Told| told.kind == "jambonz:error";
    exchange.app.told().expect_times("errors", 2, mark, SOON, refused).await;
    for error in exchange.app.told().matching(refused) {
        assert!(error.text("details").contains("16 sounds for the room wait already"), "{}", error.raw);
    }
    audible("while they wait", &one.call, c).await;
    let event = |name: &'static str| move |told: &Told| told.text("event") == name;
    exchange.app.told().expect_times("begins", 17, mark, SOON * 2, event("play-start")).await;
    exchange.app.told().expect_times("ends", 17, mark, SOON, event("play-done")).await;
    exchange.office.server.metric_becomes("aside_room_sounds_dropped_total", 2.0).await;
    // There is room again.
    let since = Instant::now();
    exchange.app.command(&two.call_uuid, "room:play", json!({ "url": first, "id": "again" }));
    for member in [&one, &two] {
        let heard = member.call.ear().wait_heard(first_tone, -30.0, since, SOON).await;
        assert!(heard.is_some(), "{} hears nothing that is played to the room any more", member.name);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sixth_track_is_refused_and_the_next_verb_runs() {
    let [kept, sixth, after] = tones();
    let exchange = Exchange::open().await;
    let [url_of_kept, url_of_sixth, url_of_after] = [("/kept.wav", kept), ("/sixth.wav", sixth), ("/after.wav", after)]
        .map(|(path, tone)| exchange.tone(path, tone));
    let track = |name: &str, url: &str| json!({ "verb": "dub", "action": "addTrack", "track": name, "play": url, "loop": true });
    let silent = |name: &str| json!({ "verb": "dub", "action": "addTrack", "track": name });
    let verbs = json!([
        { "verb": "answer" }, track("a", &url_of_kept), silent("b"), silent("c"), silent("d"), silent("e"),
        track("f", &url_of_sixth), { "verb": "play", "url": url_of_after, "loop": 60 },
    ]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    let error = exchange.app.hears(&caller.sid, "jambonz:error", caller.mark, |_| true).await;
    assert!(error.text("details").contains("at most 5 tracks"), "{}", error.raw);
    audible("the next verb", &caller.call, after).await;
    audible("the first track", &caller.call, kept).await;
    assert!(caller.call.ear().wait_more(50, SOON).await);
    never_heard_since("a sixth track", &caller.call, sixth, caller.call.ear().packets()[0].at).await;
    // One that is removed makes room.
    let dub = |data: Value| exchange.app.command(&caller.sid, "dub", data);
    dub(json!({ "action": "removeTrack", "track": "b" }));
    dub(json!({ "action": "addTrack", "track": "f", "play": url_of_sixth, "loop": true }));
    audible("after a removal", &caller.call, sixth).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_are_dialled_at_once_and_eleven_are_refused_where_they_are_written() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    let user = |name: &str| json!({ "type": "user", "name": format!("{name}@{}", exchange.office.account.realm) });
    let targets = |count: usize| {
        let others = (1..count).map(|number| user(&format!("nobody-{number}")));
        others.chain([user("agent")]).collect::<Vec<Value>>()
    };
    let dial = |count: usize| json!([{ "verb": "dial", "target": targets(count), "actionHook": "/dial/done" }]);
    // The first answer: the call is refused before anything runs.
    exchange.app.verbs("/call/eleven", dial(11));
    let phone = exchange.phone("eleven", Mouth::Silence).await;
    let eleven = exchange.dials("eleven", phone).await;
    match eleven.call.wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => {
            assert_eq!((&ended.cause, ended.code), (&EndCause::Refused, Some(480)), "{ended:?}");
        }
        other => panic!("{other:?}"),
    }
    let (warning, _) = exchange.native_event_after("warning", &eleven.sid, 0).await;
    let text = warning["payload"]["detail"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("target") && text.contains("10"), "{warning}");
    // A command: an error, and what runs goes on.
    exchange.client("agent").await;
    let agents = exchange.connect("agent", voice(a)).await;
    let play = json!([{ "verb": "play", "url": url, "loop": 60 }]);
    let caller = exchange.runs("caller", play, voice(c)).await;
    let mark = exchange.app.mark();
    exchange.app.command(&caller.sid, "redirect", dial(11));
    let error = exchange.app.hears(&caller.sid, "jambonz:error", mark, |_| true).await;
    assert!(error.text("details").contains("target") && error.text("details").contains("10"), "{}", error.raw);
    audible("what runs", &caller.call, music).await;
    // Ten are as many as there may be.
    exchange.app.command(&caller.sid, "redirect", dial(10));
    let agent = agents.incoming(SOON).await.expect("the tenth does not ring").answer().await.unwrap();
    let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
    hears("the tenth", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    agent.hangup().await.unwrap();
    let told = exchange.app.hears(&caller.sid, "/dial/done", mark, |_| true).await;
    assert_eq!(told.text("dial_call_status"), "completed", "{}", told.raw);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_sounds_of_a_streams_program_wait_behind_the_one_that_plays_and_the_next_is_counted() {
    let [first, waiting, late] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    let bidirectional = json!({ "enabled": true, "streaming": false, "sampleRate": 8_000 });
    let listen = json!([{ "verb": "listen", "url": exchange.app.ws("/stream"), "actionHook": "/listen/done", "bidirectionalAudio": bidirectional }]);
    let caller = exchange.runs("caller", listen, Mouth::Silence).await;
    let stream = exchange.app.sinks().stream("/stream", 0).await;
    stream.metadata().await;
    let clip = |file: &[u8], id: &str| {
        let content = base64::engine::general_purpose::STANDARD.encode(&file[44..]);
        stream.send(&json!({ "type": "playAudio", "data": { "audioContent": content, "audioContentType": "raw", "sampleRate": 8_000, "id": id, "queuePlay": true } }));
    };
    let since = Instant::now();
    clip(&tone_wav(first, -20.0, 3), "playing");
    for number in 1..=10 {
        clip(&tenth(waiting), &format!("waiting-{number}"));
    }
    clip(&tenth(late), "eleventh");
    let done = |id: String| {
        let stream = &stream;
        async move {
            let is = |frame: &Value| frame["type"] == "playDone" && frame["data"]["id"] == id.as_str();
            stream.text(&format!("the end of {id}"), 0, is).await
        }
    };
    done("playing".to_owned()).await;
    for number in 1..=10 {
        done(format!("waiting-{number}")).await;
    }
    for tone in [first, waiting] {
        assert!(caller.call.ear().wait_heard(tone, -30.0, since, SOON).await.is_some(), "{tone} Hz was not played");
    }
    exchange.office.server.metric_becomes("aside_stream_messages_dropped_total", 1.0).await;
    assert!(caller.call.ear().wait_more(50, SOON).await);
    never_heard_since("one too many", &caller.call, late, since).await;
    let ends = stream.log().matching(|brought| format!("{brought:?}").contains("eleventh"));
    assert!(ends.is_empty(), "{ends:?}");
    // There is room again.
    let again = Instant::now();
    clip(&tone_wav(late, -20.0, 1), "again");
    assert!(caller.call.ear().wait_heard(late, -30.0, again, SOON).await.is_some(), "nothing is played any more");
    done("again".to_owned()).await;
    exchange.closes().await;
}

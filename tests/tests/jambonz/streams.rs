//! `listen` and `stream`: sound of one call to a program, and back.

use std::time::{Duration, Instant};

use base64::Engine;
use phone::Mouth;
use phone::analysis::levels_20ms;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{FORBIDDEN, SETTLING, hears, never_heard_since, stays_silent, tones, voice};
use system_tests::jambonz::exchange::{Exchange, verb};
use system_tests::jambonz::sink::Stream;

/// L16 of a tone.
fn pcm(freq: u32, rate: u32, seconds: f64) -> Vec<u8> {
    let count = (f64::from(rate) * seconds) as u32;
    let sample = |index: u32| {
        let turn = std::f64::consts::TAU * f64::from(freq) * f64::from(index) / f64::from(rate);
        (3_276.7 * turn.sin()).round() as i16
    };
    (0..count).flat_map(|index| sample(index).to_le_bytes()).collect()
}

fn listen(exchange: &Exchange, more: Value) -> Value {
    let mut verb = json!({ "verb": "listen", "url": exchange.app.ws("/stream"), "actionHook": "/listen/done" });
    verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    verb
}

async fn streams(exchange: &Exchange) -> Stream {
    exchange.app.sinks().stream("/stream", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_its_metadata_and_brings_the_callers_sound_at_its_rate() {
    let [c, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    for (index, rate) in [8_000u32, 16_000, 48_000].into_iter().enumerate() {
        let mark = exchange.app.sinks().mark();
        let verbs =
            json!([listen(&exchange, json!({ "sampleRate": rate, "metadata": { "mine": index }, "mixType": "mono" }))]);
        let caller = exchange.runs(&format!("caller-{index}"), verbs, voice(c)).await;
        let stream = exchange.app.sinks().stream("/stream", mark).await;
        let metadata = stream.metadata().await;
        assert_eq!((&metadata["callSid"], &metadata["mine"]), (&json!(caller.sid), &json!(index)), "{metadata}");
        assert_eq!((&metadata["sampleRate"], &metadata["mixType"]), (&json!(rate), &json!("mono")), "{metadata}");
        stream.hears(c, rate, stream.began()).await;
        let from = Instant::now();
        stream.samples(from, rate as usize).await;
        let level = levels_20ms(&stream.at_8k(rate, from), c).median();
        assert!((level + 20.0).abs() < 1.0, "at {rate} Hz the caller is at {level:.1} dBFS");
        caller.call.hangup().await.unwrap();
        assert_eq!(stream.closed().await, 1000);
        let done = exchange.app.hears(&caller.sid, "/listen/done", caller.mark, |_| true).await;
        assert_eq!(done.text("call_status"), "completed", "{}", done.raw);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_plays_to_the_caller_marks_kills_and_disconnects() {
    let [one, two, after] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    let url_of_after = exchange.tone("/after.wav", after);
    let play = json!({ "verb": "play", "url": url_of_after });
    let bidirectional = json!({ "enabled": true, "streaming": false, "sampleRate": 8_000 });
    let verbs = json!([listen(&exchange, json!({ "bidirectionalAudio": bidirectional, "passDtmf": true })), play]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    let stream = streams(&exchange).await;
    stream.metadata().await;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let clip = |freq: u32, seconds: f64, id: &str| json!({ "type": "playAudio", "data": { "audioContent": base64(&pcm(freq, 8_000, seconds)), "audioContentType": "raw", "sampleRate": 8_000, "id": id, "queuePlay": true } });
    let since = Instant::now();
    stream.send(&clip(one, 1.0, "first"));
    stream.send(&json!({ "type": "mark", "data": { "name": "between" } }));
    stream.send(&clip(two, 30.0, "second"));
    stream.send(&json!({ "type": "mark", "data": { "name": "never" } }));
    assert!(caller.call.ear().wait_heard(one, -30.0, since, SOON).await.is_some(), "the first sound is not heard");
    let passed = stream.text("a mark", 0, |frame| frame["type"] == "mark").await;
    assert_eq!(passed["data"]["name"], "between", "{passed}");
    let done = stream.text("an end", 0, |frame| frame["type"] == "playDone").await;
    assert_eq!(done["data"]["id"], "first", "{done}");
    assert!(caller.call.ear().wait_heard(two, -30.0, since, SOON).await.is_some(), "the second sound is not heard");
    stream.send(&json!({ "type": "clearMarks" }));
    let cleared = stream.text("a cleared mark", 0, |frame| frame["data"]["name"] == "never").await;
    assert_eq!(cleared["data"]["event"], "cleared", "{cleared}");
    let killed = Instant::now();
    stream.send(&json!({ "type": "killAudio" }));
    let quiet = caller.call.ear().wait_quiet(two, -60.0, killed, Duration::from_millis(500), SOON).await;
    assert!(quiet.is_some(), "the sound goes on");
    caller.call.send_digits("5").await.unwrap();
    let digit = stream.text("a digit", 0, |frame| frame["event"] == "dtmf").await;
    assert_eq!(digit["dtmf"], "5", "{digit}");
    let since = Instant::now();
    stream.send(&json!({ "type": "disconnect" }));
    stream.closed().await;
    assert!(caller.call.ear().wait_heard(after, -30.0, since, SOON).await.is_some(), "the next verb does not run");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_streams_sound_back_and_what_is_no_sound_does_nothing() {
    let [one, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    let bidirectional = json!({ "enabled": true, "streaming": true, "sampleRate": 16_000 });
    let verbs = json!([listen(&exchange, json!({ "sampleRate": 16_000, "bidirectionalAudio": bidirectional }))]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    let stream = streams(&exchange).await;
    stream.metadata().await;
    for text in [
        "{",
        "[]",
        r#"{"type":"sing"}"#,
        r#"{"type":"playAudio"}"#,
        r#"{"type":"playAudio","data":{"audioContent":"%%%"}}"#,
    ] {
        stream.send_text(text);
    }
    // Half a sample, and its other half.
    stream.send_binary(&[0]);
    stream.send_binary(&[0]);
    stays_silent("after frames that are no sound", &caller.call, 25).await;
    let since = Instant::now();
    for part in pcm(one, 16_000, 2.0).chunks(640) {
        stream.send_binary(part);
    }
    assert!(caller.call.ear().wait_heard(one, -30.0, since, SOON).await.is_some(), "what is streamed is not heard");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_listens_to_a_member_hears_no_whisper_and_speaks_to_that_member_alone() {
    let [c, s, ai] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    for (index, rate) in [8_000u32, 16_000].into_iter().enumerate() {
        let mark = exchange.app.sinks().mark();
        let (name, supervisor) = (format!("agent-{index}"), format!("coach-{index}"));
        let bidirectional = json!({ "enabled": true, "streaming": true, "sampleRate": rate });
        let listen = json!({ "enable": true, "url": exchange.app.ws("/stream"), "mixType": "mixed", "bidirectionalAudio": bidirectional });
        let room = json!({ "name": "support", "memberTag": name });
        let verbs = json!([{ "verb": "config", "listen": listen }, verb(&name, room)]);
        let agent = exchange.runs(&name, verbs, Mouth::Silence).await;
        let agent = exchange.is_in(agent).await;
        let coach = exchange.joins(&supervisor, json!({ "name": "support", "speakOnlyTo": name }), voice(s)).await;
        let stream = exchange.app.sinks().stream("/stream", mark).await;
        stream.metadata().await;
        stream.hears(c, 8_000, stream.began()).await;
        let three = [customer.heard(Some(c)), agent.heard(None), coach.heard(Some(s))];
        let (a, k) = (name.as_str(), supervisor.as_str());
        hears("a human coach", &three, &[(a, "customer"), (a, k), (k, "customer")]).await;
        let whisper = levels_20ms(&stream.at_8k(8_000, stream.began()), s).max();
        assert!(
            whisper < phone::analysis::SILENT_20MS_DBFS,
            "{FORBIDDEN}: the stream hears a whisper at {whisper:.1} dBFS"
        );
        let since = Instant::now();
        let part = usize::try_from(rate / 25).unwrap_or_default();
        for part in pcm(ai, rate, 2.0).chunks(part) {
            stream.send_binary(part);
        }
        let heard = agent.call.ear().wait_heard(ai, -32.0, since, SOON).await;
        assert!(heard.is_some(), "at {rate} Hz the agent does not hear the program");
        for (who, call) in [("customer", &customer.call), (k, &coach.call)] {
            assert!(call.ear().wait_more(25, SOON).await);
            never_heard_since(&format!("{who}: what the program says to the agent"), call, ai, since).await;
        }
        let own = levels_20ms(&stream.at_8k(8_000, since), ai).max();
        assert!(own < phone::analysis::SILENT_20MS_DBFS, "{FORBIDDEN}: the program hears itself at {own:.1} dBFS");
        agent.leaves().await;
        coach.leaves().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_paused_silenced_and_resumed_and_ends_at_its_length_or_key() {
    let [c, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    let verbs = json!([listen(&exchange, json!({ "finishOnKey": "#" }))]);
    let caller = exchange.runs("caller", verbs, voice(c)).await;
    let stream = streams(&exchange).await;
    stream.hears(c, 8_000, stream.began()).await;
    exchange.rest.update(&caller.sid, json!({ "listen_status": "silence" })).await;
    let silenced = Instant::now() + SETTLING;
    let samples = stream.samples(silenced, 8_000).await;
    assert!(samples.iter().all(|sample| *sample == 0), "{FORBIDDEN}: a silenced stream has sound in it");
    exchange.app.command(&caller.sid, "listen:status", json!("resume"));
    stream.hears(c, 8_000, Instant::now()).await;
    exchange.rest.update(&caller.sid, json!({ "listen_status": "pause" })).await;
    let paused = Instant::now() + SETTLING;
    assert!(caller.call.ear().wait_more(50, SOON).await);
    assert!(stream.bytes_since(paused).is_empty(), "a paused stream brings sound");
    exchange.rest.update(&caller.sid, json!({ "listen_status": "resume" })).await;
    stream.hears(c, 8_000, Instant::now()).await;
    caller.call.send_digits("#").await.unwrap();
    let done = exchange.app.hears(&caller.sid, "/listen/done", caller.mark, |_| true).await;
    assert_eq!(done.text("digits"), "#", "{}", done.raw);
    stream.closed().await;

    let mark = exchange.app.sinks().mark();
    let short = exchange.runs("short", json!([listen(&exchange, json!({ "maxLength": 1 }))]), voice(c)).await;
    let stream = exchange.app.sinks().stream("/stream", mark).await;
    stream.closed().await;
    exchange.app.hears(&short.sid, "/listen/done", short.mark, |_| true).await;
    assert!(stream.began().elapsed() < Duration::from_secs(8));
    exchange.closes().await;
}

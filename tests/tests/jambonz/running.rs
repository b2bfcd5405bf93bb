//! How instructions follow one another: what replaces what, what waits for what, and what settings do to the next ones.

use std::time::{Duration, Instant};

use phone::Mouth;
use phone::analysis::{Track, rms_dbfs};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{SETTLING, carrying, never_heard_since, sent_apart, sounding, tones};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Exchange, Via};

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_ends_at_its_limit_and_the_hook_tells_how_much_was_heard() {
    let [long, after, _] = tones();
    let exchange = Exchange::open().await;
    let (first, second) = (exchange.tone("/long.wav", long), exchange.tone("/after.wav", after));
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let verbs = json!([
            { "verb": "play", "id": "p", "url": first, "loop": 30, "timeoutSecs": 2, "actionHook": "/play/done" },
            { "verb": "play", "url": second },
        ]);
        let begins = Instant::now();
        let caller = exchange.runs_via(&name, via, verbs, Mouth::Silence).await;
        let told = exchange.app.hears(&caller.sid, "/play/done", caller.mark, |_| true).await;
        assert_eq!((told.text("reason"), told.text("verb_id")), ("playCompleted", "p"), "{}", told.raw);
        let milliseconds = told.data["playback_milliseconds"].as_u64().unwrap_or_default();
        assert!((1_000..2_400).contains(&milliseconds), "{}", told.raw);
        assert_eq!(told.data["playback_seconds"].as_u64(), Some(milliseconds / 1_000), "{}", told.raw);
        let next =
            caller.call.ear().wait_heard(after, -30.0, begins, SOON).await.expect("the next verb does not run").at;
        let packets = carrying(&caller.call, long, begins);
        let heard = sounding(&packets);
        assert!((Duration::from_millis(1_000)..Duration::from_millis(2_400)).contains(&heard), "heard for {heard:?}");
        assert!(packets.last().is_some_and(|last| last.at < next), "both sound at once");
        caller.call.hangup().await.ok();
    }
    // A sound shorter than its limit ends by itself.
    let verbs = json!([{ "verb": "play", "url": first, "timeoutSecs": 20, "actionHook": "/play/short" }]);
    let caller = exchange.runs("short", verbs, Mouth::Silence).await;
    let told = exchange.app.hears(&caller.sid, "/play/short", caller.mark, |_| true).await;
    let milliseconds = told.data["playback_milliseconds"].as_u64().unwrap_or_default();
    assert!((900..1_300).contains(&milliseconds), "{}", told.raw);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_not_sent_and_everybody_is_told_so() {
    let [after, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/after.wav", after);
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let verbs = json!([
            { "verb": "message", "id": "m", "to": "15550100", "from": "15550101", "text": "hello", "actionHook": "/message/done" },
            { "verb": "play", "url": url },
        ]);
        let begins = Instant::now();
        let caller = exchange.runs_via(&name, via, verbs, Mouth::Silence).await;
        let told = exchange.app.hears(&caller.sid, "/message/done", caller.mark, |_| true).await;
        assert_eq!((told.text("message_status"), told.text("verb_id")), ("no carriers", "m"), "{}", told.raw);
        assert!(!told.text("message_failure_reason").is_empty(), "{}", told.raw);
        assert_eq!(told.text("message_sid").len(), 36, "{}", told.raw);
        if via == Via::Socket {
            let error = exchange.app.hears(&caller.sid, "jambonz:error", caller.mark, |_| true).await;
            assert_eq!((error.text("verb"), error.text("id")), ("message", "m"), "{}", error.raw);
        } else {
            let fault = exchange.native_event("call.fault", &caller.sid).await;
            assert!(fault.to_string().contains("message"), "{fault}");
        }
        let heard = caller.call.ear().wait_heard(after, -30.0, begins, SOON).await;
        assert!(heard.is_some(), "{via:?}: the next verb does not run");
        caller.call.hangup().await.ok();
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_instructions_run_after_those_that_run_and_others_replace_them() {
    let [one, two, three] = tones();
    let exchange = Exchange::open().await;
    let [first, second, third] =
        [("/one.wav", one), ("/two.wav", two), ("/three.wav", three)].map(|(path, tone)| exchange.tone(path, tone));
    let begins = Instant::now();
    let verbs = json!([{ "verb": "play", "url": first, "loop": 3 }, { "verb": "pause", "length": 0.4 }]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    let ear = caller.call.ear();
    assert!(ear.wait_heard(one, -30.0, begins, SOON).await.is_some(), "the first sound");
    let queue = |verbs: Value| json!({ "type": "command", "command": "redirect", "queueCommand": true, "data": verbs });
    let asked = Instant::now();
    exchange.app.send(&caller.sid, &queue(json!([{ "verb": "play", "url": second }])));
    exchange.app.send(&caller.sid, &queue(json!([{ "verb": "play", "url": third, "loop": 60 }])));
    assert!(ear.wait_heard(two, -30.0, asked, SOON).await.is_some(), "what was queued first does not run");
    assert!(ear.wait_heard(three, -30.0, asked, SOON).await.is_some(), "what was queued second does not run");
    let [of_one, of_two, of_three] = [one, two, three].map(|tone| carrying(&caller.call, tone, begins));
    let heard = sounding(&of_one);
    assert!((Duration::from_millis(2_800)..Duration::from_millis(3_900)).contains(&heard), "cut after {heard:?}");
    let pause = sent_apart(of_one.last().expect("it is heard"), &of_two[0]);
    assert!(pause >= Duration::from_millis(300), "the pause between them was left out: {pause:?}");
    let apart = sent_apart(&of_two[0], &of_three[0]);
    assert!((Duration::from_millis(800)..Duration::from_millis(4_000)).contains(&apart), "they are {apart:?} apart");
    // Without the word they replace what runs and what waits.
    exchange.app.send(&caller.sid, &queue(json!([{ "verb": "play", "url": first, "loop": 60 }])));
    let replaced = Instant::now();
    exchange.app.command(&caller.sid, "redirect", json!([{ "verb": "play", "url": second, "loop": 60 }]));
    assert!(ear.wait_heard(two, -30.0, replaced, SOON).await.is_some(), "the new instructions do not run");
    assert!(ear.wait_quiet(three, -50.0, replaced, SETTLING * 2, SOON).await.is_some(), "the old ones go on");
    assert!(ear.wait_more(50, SOON).await);
    never_heard_since("what was queued behind them", &caller.call, one, replaced).await;
    exchange.closes().await;
}

/// How long each sentence was, pauses in it included; between two of them is more silence than in any.
fn sentences(call: &phone::Call) -> Vec<Duration> {
    const BETWEEN: Duration = Duration::from_millis(400);
    let packets = call.ear().packets();
    let loud = |packet: &phone::Packet| rms_dbfs(&Track::new(std::slice::from_ref(packet)).samples) > -45.0;
    let mut found: Vec<[usize; 2]> = Vec::new();
    for (place, packet) in packets.iter().enumerate().filter(|(_, packet)| loud(packet)) {
        match found.last_mut() {
            Some([_, last]) if sent_apart(&packets[*last], packet) < BETWEEN => *last = place,
            _ => found.push([place, place]),
        }
    }
    found.iter().map(|[first, last]| sounding(&packets[*first..=*last])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_that_was_set_speaks_until_it_is_reset() {
    let exchange = Exchange::open().await;
    let say = |id: &str| json!({ "verb": "say", "id": id, "text": "7777777 and 9999999, thank you" });
    let pause = json!({ "verb": "pause", "length": 0.5 });
    let german = json!({ "verb": "config", "synthesizer": { "vendor": "default", "language": "de-DE" } });
    let verbs = json!([
        { "verb": "config", "notifyEvents": true },
        say("usual"), pause, german, say("set"), pause, say("still"), pause,
        { "verb": "config", "reset": ["recognizer"] }, say("other"), pause,
        { "verb": "config", "reset": ["synthesizer"] }, say("reset"), pause,
        german, say("again"), pause, { "verb": "config", "reset": "synthesizer" }, say("word"), pause,
    ]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    for id in ["usual", "set", "still", "other", "reset", "again", "word"] {
        let is = |told: &Told| told.text("id") == id && told.text("event") == "finished";
        exchange.app.hears_within(SOON * 2, &caller.sid, "verb:status", caller.mark, is).await;
    }
    assert!(caller.call.ear().wait_more(25, SOON).await);
    let lengths = sentences(&caller.call);
    let [usual, set, still, other, reset, again, word] = lengths[..] else {
        panic!("seven sentences, not {lengths:?}")
    };
    let alike = |one: Duration, two: Duration| one.abs_diff(two) <= Duration::from_millis(60);
    assert!(!alike(usual, set), "the two voices cannot be told apart by how long they speak: {lengths:?}");
    assert!(alike(set, still) && alike(set, other), "the setting does not last: {lengths:?}");
    assert!(alike(usual, reset), "the reset does nothing: {lengths:?}");
    assert!(alike(set, again) && alike(usual, word), "the second reset: {lengths:?}");
    exchange.closes().await;
}

//! When `gather` is content with the keys that were pressed, when it is not, and what they do to a prompt.

use std::time::{Duration, Instant};

use phone::Mouth;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{carrying, sounding, tones};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Calling, Exchange};

fn gather(more: Value) -> Value {
    let mut verb = json!({ "verb": "gather", "input": ["digits"], "actionHook": "/gather/done", "timeout": 30 });
    verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([verb])
}

async fn gathered(exchange: &Exchange, calling: &Calling, mark: usize) -> Told {
    exchange.app.hears(&calling.sid, "/gather/done", mark, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_counted_as_the_properties_say() {
    let exchange = Exchange::open().await;
    let verbs = json!([{ "verb": "answer" }, { "verb": "config", "notifyEvents": true }]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    let quickly = json!({ "interDigitTimeout": 0.8 });
    let and = |more: Value| {
        let mut both = quickly.clone();
        both.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        both
    };
    for (properties, keys, reason, digits) in [
        // Enough, and no more of them comes.
        (and(json!({ "minDigits": 2, "maxDigits": 5 })), "123", "dtmfDetected", "123"),
        (and(json!({ "minDigits": 3, "maxDigits": 5 })), "123", "dtmfDetected", "123"),
        // Not enough.
        (and(json!({ "minDigits": 4 })), "123", "timeout", "123"),
        (and(json!({ "numDigits": 4 })), "123", "timeout", "123"),
        // The most that are wanted: nothing is waited for.
        (json!({ "maxDigits": 3 }), "123", "dtmfDetected", "123"),
        (json!({ "minDigits": 1, "maxDigits": 2 }), "12", "dtmfDetected", "12"),
        (json!({ "numDigits": 1, "minDigits": 3, "maxDigits": 4 }), "1", "dtmfDetected", "1"),
        // The key that finishes is none of them; any other one is.
        (json!({ "finishOnKey": "*", "maxDigits": 10 }), "1#2*", "dtmfDetected", "1#2"),
        (json!({ "finishOnKey": "#" }), "#", "dtmfDetected", ""),
        (and(json!({ "maxDigits": 10 })), "1#", "dtmfDetected", "1#"),
    ] {
        let mark = exchange.app.mark();
        let verbs = gather(properties.clone());
        exchange.app.command(&caller.sid, "redirect", verbs);
        let begins = |told: &Told| told.text("event") == "starting" && told.text("name") == "gather";
        exchange.app.hears(&caller.sid, "verb:status", mark, begins).await;
        caller.call.send_digits(keys).await.unwrap();
        let told = gathered(&exchange, &caller, mark).await;
        assert_eq!((told.text("reason"), told.text("digits")), (reason, digits), "{properties}: {}", told.raw);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_and_each_further_one_have_their_own_time() {
    let exchange = Exchange::open().await;
    // Nothing at all: the whole timeout, though the time between keys is short.
    let begins = Instant::now();
    let verbs = gather(json!({ "timeout": 2, "interDigitTimeout": 0.5 }));
    let nobody = exchange.runs("nobody", verbs, Mouth::Silence).await;
    let told = gathered(&exchange, &nobody, nobody.mark).await;
    assert_eq!((told.text("reason"), told.text("digits")), ("timeout", ""), "{}", told.raw);
    assert!(told.at - begins >= Duration::from_secs(2), "after {:?}", told.at - begins);
    // A key, and then nothing: the time between keys, from the last one on, though the timeout is long.
    let slow = exchange.runs("slow", gather(json!({ "interDigitTimeout": 2.5 })), Mouth::Silence).await;
    for key in ["4", "2"] {
        slow.call.send_digits(key).await.unwrap();
        // Less than the time that is allowed, told by received sound; together it is more.
        assert!(slow.call.ear().wait_more(75, SOON).await);
    }
    let last = Instant::now();
    slow.call.send_digits("0").await.unwrap();
    let told = gathered(&exchange, &slow, slow.mark).await;
    assert_eq!((told.text("reason"), told.text("digits")), ("dtmfDetected", "420"), "{}", told.raw);
    let after = told.at - last;
    assert!((Duration::from_millis(2_400)..Duration::from_secs(8)).contains(&after), "after {after:?}");
    // A timeout of 0 is none: much later it is still waiting.
    let patient = exchange.runs("patient", gather(json!({ "timeout": 0, "numDigits": 1 })), Mouth::Silence).await;
    assert!(patient.call.ear().wait_more(6 * 50, SOON).await);
    assert!(
        exchange.app.told().matching(|told| told.call_sid == patient.sid && told.name == "/gather/done").is_empty()
    );
    patient.call.send_digits("5").await.unwrap();
    assert_eq!(gathered(&exchange, &patient, patient.mark).await.text("digits"), "5");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cuts_the_prompt_unless_it_may_not_and_counts_all_the_same() {
    let [prompt, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/prompt.wav", prompt);
    let play = json!({ "url": url, "loop": 4 });
    for (name, bargein) in [("cuts", json!({})), ("hears-it-out", json!({ "dtmfBargein": false }))] {
        let mut properties = json!({ "play": play, "numDigits": 2 });
        properties.as_object_mut().unwrap().extend(bargein.as_object().unwrap().clone());
        let caller = exchange.runs(name, gather(properties), Mouth::Silence).await;
        let ear = caller.call.ear();
        let begun = ear.wait_heard(prompt, -30.0, Instant::now() - SOON, SOON).await.expect("no prompt").at;
        caller.call.send_digits("1").await.unwrap();
        // It is over when half a second has none of it.
        assert!(ear.wait_quiet(prompt, -50.0, begun, Duration::from_millis(500), SOON).await.is_some());
        let heard = sounding(&carrying(&caller.call, prompt, begun));
        let expected = match name {
            "cuts" => Duration::ZERO..Duration::from_secs(3),
            _ => Duration::from_millis(3_800)..Duration::from_millis(4_600),
        };
        assert!(expected.contains(&heard), "{name}: the prompt was heard for {heard:?}");
        caller.call.send_digits("2").await.unwrap();
        let told = gathered(&exchange, &caller, caller.mark).await;
        assert_eq!((told.text("reason"), told.text("digits")), ("dtmfDetected", "12"), "{name}: {}", told.raw);
    }
    exchange.closes().await;
}

//! What counts beside the verbs that run: keys that `config` lets in with `bargeIn`.

use std::time::{Duration, Instant};

use phone::analysis::last_heard;
use phone::{Ear, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{hears, never_heard_since, tones, voice};
use system_tests::jambonz::app::{Answer, Told};
use system_tests::jambonz::exchange::{Calling, Exchange, Via, verb};

/// Asked when keys have been pressed.
const HOOK: &str = "/gather/keys";
/// Both ways to ask a program.
const BOTH: [Via; 2] = [Via::Socket, Via::Http];

fn with(mut value: Value, more: &Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

fn config(more: &Value) -> Value {
    let input = json!({ "input": ["digits"], "actionHook": HOOK });
    json!({ "verb": "config", "id": "b", "bargeIn": with(input, more) })
}

/// A tone of a second, for a minute.
fn long(url: &str) -> Value {
    json!({ "verb": "play", "url": url, "loop": 60 })
}

fn named(who: &str, via: Via) -> String {
    format!("{who}-{via:?}").to_lowercase()
}

fn times_asked(exchange: &Exchange, sid: &str) -> usize {
    exchange.app.told().matching(|told| told.call_sid == sid && told.name == HOOK).len()
}

async fn asked(exchange: &Exchange, sid: &str, mark: usize, digits: &str) -> Told {
    let told = exchange.app.hears(sid, HOOK, mark, |_| true).await;
    let seen = (told.text("reason"), told.text("digits"), told.text("verb_id"));
    assert_eq!(seen, ("dtmfDetected", digits, "b"), "{}", told.raw);
    assert_eq!(told.text("call_status"), "in-progress", "{}", told.raw);
    told
}

async fn is_heard(what: &str, ear: &Ear, tone: u32, since: Instant) {
    assert!(ear.wait_heard(tone, -30.0, since, SOON).await.is_some(), "{what}: {tone} Hz is not heard");
}

/// A tone that sounds when this is called ends: the last of it was heard so long after `since`.
async fn falls_silent(what: &str, ear: &Ear, tone: u32, since: Instant) -> Duration {
    let quiet = ear.wait_quiet(tone, -50.0, since, Duration::from_millis(500), SOON).await;
    assert!(quiet.is_some(), "{what}: {tone} Hz goes on");
    let last = last_heard(&ear.packets(), tone, Instant::now(), -30.0).expect("it was never heard").at;
    last.saturating_duration_since(since)
}

/// Presses a key, which does nothing: the tone goes on, no other is heard, and nobody is asked.
async fn does_nothing(exchange: &Exchange, caller: &Calling, key: &str, (tone, others): (u32, [u32; 2])) {
    let (before, since) = (times_asked(exchange, &caller.sid), Instant::now());
    caller.call.send_digits(key).await.unwrap();
    let ear = caller.call.ear();
    assert!(ear.wait_more(100, SOON).await);
    is_heard("after a key that does not count", &ear, tone, Instant::now()).await;
    for other in others {
        never_heard_since("after a key that does not count", &caller.call, other, since).await;
    }
    assert_eq!(times_asked(exchange, &caller.sid), before, "{}: the program was asked", caller.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_stops_a_long_sound_at_once_and_the_answer_replaces_the_rest() {
    let [one, two, rest] = tones();
    let exchange = Exchange::open().await;
    let [first, second, third] =
        [("/one.wav", one), ("/two.wav", two), ("/rest.wav", rest)].map(|(path, tone)| exchange.tone(path, tone));
    exchange.app.verbs(HOOK, json!([long(&second)]));
    for via in BOTH {
        let input = config(&json!({ "enable": true, "numDigits": 2, "interDigitTimeout": 30 }));
        let begins = Instant::now();
        let verbs = json!([input, long(&first), long(&third)]);
        let caller = exchange.runs_via(&named("caller", via), via, verbs, Mouth::Silence).await;
        let ear = caller.call.ear();
        is_heard("before any key", &ear, one, begins).await;
        let pressed = Instant::now();
        caller.call.send_digits("1").await.unwrap();
        let after = falls_silent("a key", &ear, one, pressed).await;
        assert!(after < Duration::from_secs(2), "{via:?}: it was heard {after:?} longer");
        // The second key is still to come: nobody is asked, and nothing else begins.
        assert_eq!(times_asked(&exchange, &caller.sid), 0, "{via:?}: one of two keys");
        for tone in [two, rest] {
            never_heard_since("one of two keys", &caller.call, tone, begins).await;
        }
        caller.call.send_digits("2").await.unwrap();
        let told = asked(&exchange, &caller.sid, caller.mark, "12").await;
        is_heard("the answer", &ear, two, told.at).await;
        assert!(ear.wait_more(50, SOON).await);
        never_heard_since("what was interrupted", &caller.call, one, told.at).await;
        never_heard_since("what was replaced", &caller.call, rest, begins).await;
        assert_eq!(times_asked(&exchange, &caller.sid), 1, "{via:?}");
        caller.call.hangup().await.unwrap();
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_complete_as_gathers_are_and_without_an_answer_the_next_verb_runs() {
    let [one, next, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let (first, second) = (exchange.tone("/one.wav", one), exchange.tone("/next.wav", next));
    let caller = exchange.runs("caller", json!([{ "verb": "answer" }]), Mouth::Silence).await;
    let ear = caller.call.ear();
    for (properties, keys, reason, digits, answer) in [
        (json!({ "numDigits": 3 }), "123", "dtmfDetected", "123", Answer::Nothing),
        (json!({ "finishOnKey": "#", "maxDigits": 10 }), "4*2#", "dtmfDetected", "4*2", Answer::Verbs(json!([]))),
        (json!({ "finishOnKey": "#" }), "#", "dtmfDetected", "", Answer::Nothing),
        (json!({ "maxDigits": 5, "interDigitTimeout": 0.8 }), "97", "dtmfDetected", "97", Answer::Nothing),
        (json!({ "minDigits": 3, "interDigitTimeout": 0.8 }), "97", "timeout", "97", Answer::Nothing),
    ] {
        exchange.app.answer(HOOK, answer);
        let (mark, since) = (exchange.app.mark(), Instant::now());
        let verbs = json!([config(&properties), long(&first), long(&second)]);
        exchange.app.command(&caller.sid, "redirect", verbs);
        is_heard("before any key", &ear, one, since).await;
        caller.call.send_digits(keys).await.unwrap();
        let told = exchange.app.hears(&caller.sid, HOOK, mark, |_| true).await;
        assert_eq!((told.text("reason"), told.text("digits")), (reason, digits), "{properties}: {}", told.raw);
        is_heard(&format!("{properties}: the next verb"), &ear, next, told.at).await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sticky_input_counts_again_until_it_is_switched_off() {
    let [one, two, three] = tones();
    let exchange = Exchange::open().await;
    let [first, second, third] =
        [("/one.wav", one), ("/two.wav", two), ("/three.wav", three)].map(|(path, tone)| exchange.tone(path, tone));
    for via in BOTH {
        let off = json!({ "verb": "config", "bargeIn": { "enable": false } });
        let answers = [json!([long(&second)]), json!([off, long(&third)])];
        exchange.app.answers(HOOK, answers.map(Answer::Verbs));
        let begins = Instant::now();
        let verbs = json!([config(&json!({ "enable": true, "sticky": true, "numDigits": 1 })), long(&first)]);
        let caller = exchange.runs_via(&named("caller", via), via, verbs, Mouth::Silence).await;
        let ear = caller.call.ear();
        is_heard("before any key", &ear, one, begins).await;
        for (key, before, then) in [("1", one, two), ("2", two, three)] {
            let (mark, pressed) = (exchange.app.mark(), Instant::now());
            caller.call.send_digits(key).await.unwrap();
            let told = asked(&exchange, &caller.sid, mark, key).await;
            is_heard("the answer", &ear, then, told.at).await;
            let after = falls_silent("a key", &ear, before, pressed).await;
            assert!(after < Duration::from_secs(2), "{via:?} {key}: it was heard {after:?} longer");
        }
        does_nothing(&exchange, &caller, "3", (three, [one, two])).await;
        caller.call.hangup().await.unwrap();
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_is_not_sticky_counts_once() {
    let [one, two, three] = tones();
    let exchange = Exchange::open().await;
    let [first, second, third] =
        [("/one.wav", one), ("/two.wav", two), ("/three.wav", three)].map(|(path, tone)| exchange.tone(path, tone));
    for (via, properties) in
        [(Via::Socket, json!({ "numDigits": 1 })), (Via::Http, json!({ "numDigits": 1, "sticky": false }))]
    {
        exchange.app.answers(HOOK, [json!([long(&second)]), json!([long(&third)])].map(Answer::Verbs));
        let begins = Instant::now();
        let verbs = json!([config(&properties), long(&first)]);
        let caller = exchange.runs_via(&named("caller", via), via, verbs, Mouth::Silence).await;
        let ear = caller.call.ear();
        is_heard("before any key", &ear, one, begins).await;
        let pressed = Instant::now();
        caller.call.send_digits("1").await.unwrap();
        let told = asked(&exchange, &caller.sid, caller.mark, "1").await;
        is_heard("the answer", &ear, two, told.at).await;
        falls_silent("a key", &ear, one, pressed).await;
        does_nothing(&exchange, &caller, "2", (two, [one, three])).await;
        caller.call.hangup().await.unwrap();
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_conference_asks_beside_and_only_verbs_in_the_answer_take_the_member_out() {
    let [c, b, after] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/after.wav", after);
    for via in BOTH {
        let (name, other) = (named("caller", via), named("other", via));
        let room = json!({ "name": named("support", via) });
        let other = exchange.joins_via(&other, via, room.clone(), voice(b)).await;
        let input = config(&json!({ "enable": true, "sticky": true, "numDigits": 1 }));
        let since = Instant::now();
        let calling = exchange.runs_via(&name, via, json!([input, verb(&name, room)]), voice(c)).await;
        let caller = exchange.is_in(calling).await;
        let both = [caller.heard(Some(c)), other.heard(Some(b))];
        let each_other = [(name.as_str(), other.name.as_str()), (other.name.as_str(), name.as_str())];
        hears("before any key", &both, &each_other).await;
        for (key, answer) in [("1", Answer::Nothing), ("2", Answer::Verbs(json!([])))] {
            exchange.app.answer(HOOK, answer);
            exchange.app.hold(HOOK);
            let mark = exchange.app.mark();
            caller.call.send_digits(key).await.unwrap();
            asked(&exchange, &caller.call_uuid, mark, key).await;
            hears(&format!("{via:?} {key}: the program thinks"), &both, &each_other).await;
            exchange.app.release(HOOK);
            hears(&format!("{via:?} {key}: the program wants nothing"), &both, &each_other).await;
        }
        let number = exchange.number_in(&caller.room, &caller.call_uuid).await;
        assert_eq!(number, caller.number, "{via:?}: the member is another");
        let done = format!("/conference/{name}");
        assert!(exchange.app.told().matching(|told| told.name == done).is_empty(), "{via:?}: it has left the room");
        never_heard_since("nobody has asked for it", &caller.call, after, since).await;
        exchange.app.verbs(HOOK, json!([long(&url)]));
        let mark = exchange.app.mark();
        caller.call.send_digits("3").await.unwrap();
        let told = asked(&exchange, &caller.call_uuid, mark, "3").await;
        is_heard("the answer", &caller.call.ear(), after, told.at).await;
        exchange.native_event("member.left", &caller.call_uuid).await;
        hears(&format!("{via:?}: out of the room"), &both, &[]).await;
        assert_eq!(times_asked(&exchange, &caller.call_uuid), 3, "{via:?}");
        for member in [&caller, &other] {
            member.leaves().await;
        }
    }
    exchange.closes().await;
}

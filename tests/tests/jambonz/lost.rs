//! An application that never comes back: its call ends after the last attempt, whatever it does, and nobody else notices.

use std::time::{Duration, Instant};

use phone::analysis::{levels_1s, levels_20ms};
use phone::{Call, EndCause, Mouth};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, never_heard_since, tones, voice};
use system_tests::jambonz::app::Answer;
use system_tests::jambonz::exchange::Exchange;
use system_tests::jambonz::legs::Legs;

/// Attempts after 0.5, 1, 2 and 4 s, one after the other.
const SOUGHT: Duration = Duration::from_millis(7_500);

/// The call ends when the last attempt has failed: no sooner, and not much later.
async fn ends_in_time(what: &str, call: &Call, cut: Instant) {
    let ended = call.wait_ended(SOON * 2).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let took = cut.elapsed();
    assert_eq!(ended.cause, EndCause::RemoteHangup, "{what}: {ended:?}");
    assert!((SOUGHT..SOUGHT * 2).contains(&took), "{what}: ended after {took:?}");
}

/// The tone was in every second from the cut to the end.
fn heard_to_the_end(what: &str, call: &Call, tone: u32, cut: Instant) {
    let samples = phone::analysis::Track::new(&call.ear().since(cut)).samples;
    assert!(samples.len() >= 7 * 8_000, "{what}: {} samples are too few to judge", samples.len());
    let faintest = levels_1s(&samples, tone).min();
    assert!(faintest > -21.0, "{what}: {tone} Hz was at {faintest:.1} dBFS in one of the seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_call_does_it_ends_when_its_application_stays_away() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    let url = exchange.tone("/music.wav", music);
    let sounds = json!([{ "verb": "play", "url": url, "loop": 60 }]);
    for hook in ["/enqueue-wait/queued", "/conference-wait/held"] {
        exchange.app.verbs(hook, sounds.clone());
    }
    let enqueue = json!([{ "verb": "enqueue", "name": "support", "waitHook": "/enqueue-wait/queued" }]);
    let gather =
        json!([{ "verb": "gather", "input": ["digits"], "numDigits": 3, "timeout": 60, "actionHook": "/gather/done" }]);
    let listen = json!([{ "verb": "listen", "url": exchange.app.ws("/stream"), "actionHook": "/listen/done" }]);
    let queued = exchange.runs("queued", enqueue, Mouth::Silence).await;
    let asked = exchange.runs("asked", gather, Mouth::Silence).await;
    let listening = exchange.runs("listening", sounds, Mouth::Silence).await;
    let streaming = exchange.runs("streaming", listen, voice(c)).await;
    let stream = exchange.app.sinks().stream("/stream", 0).await;
    stream.hears(c, 8_000, stream.began()).await;
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    let witness = exchange.joins("witness", json!({ "name": "support" }), Mouth::Silence).await;
    let held = exchange.joins("held", json!({ "name": "support" }), voice(c)).await;
    exchange.action(&held, json!({ "action": "hold", "wait_hook": "/conference-wait/held" })).await;
    let quiet = Instant::now() + SETTLING;
    for call in [&queued.call, &listening.call, &held.call] {
        assert!(call.ear().wait_heard(music, -30.0, quiet, SOON).await.is_some(), "no music");
    }
    let paths = ["queued", "asked", "listening", "streaming", "held"];
    for name in paths {
        exchange.app.answer(&format!("/call/{name}"), Answer::Refuse(503));
    }
    let cut = Instant::now();
    for sid in [&queued.sid, &asked.sid, &listening.sid, &streaming.sid, &held.call_uuid] {
        exchange.app.vanish(sid);
    }
    // A key is no answer: nobody is there who could be told.
    asked.call.send_digits("1").await.unwrap();
    tokio::join!(
        ends_in_time("in a queue", &queued.call, cut),
        ends_in_time("in a gather", &asked.call, cut),
        ends_in_time("in a play", &listening.call, cut),
        ends_in_time("in a stream", &streaming.call, cut),
        ends_in_time("on hold", &held.call, cut),
    );
    for name in paths {
        let path = format!("/call/{name}");
        let tries = exchange.app.told().matching(|told| told.kind == "refused" && told.name == path).len();
        assert_eq!(tries, 4, "{name}: five connections in all");
    }
    for (what, call) in [("in a queue", &queued.call), ("in a play", &listening.call), ("on hold", &held.call)] {
        heard_to_the_end(what, call, music, cut);
    }
    assert_eq!(stream.closed().await, 1000);
    let streamed = stream.at_8k(8_000, cut);
    assert!(streamed.len() >= 7 * 8_000 - 2_000, "the stream brought {} samples meanwhile", streamed.len());
    assert!((levels_20ms(&streamed, c).median() + 20.0).abs() < 1.0, "the stream lost the caller's voice");
    // Nobody else noticed, and nothing is left behind.
    for (who, call) in [("agent", &agent.call), ("witness", &witness.call)] {
        for tone in [c, music] {
            never_heard_since(who, call, tone, quiet).await;
        }
        let stream = phone::analysis::continuity(&call.ear().packets());
        assert!(stream.is_lossless() && stream.ssrcs.len() == 1, "{who}: {stream}");
    }
    hears("the room", &[agent.heard(Some(a)), witness.heard(None)], &[("witness", "agent")]).await;
    let queues = exchange.rest.get(&exchange.rest.path("/Queues")).await;
    let left =
        queues.as_array().unwrap().iter().any(|queue| !matches!(queue["length"].to_string().as_str(), "0" | "\"0\""));
    assert!(!left, "somebody is still in a queue: {queues}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ringing_callee_rings_no_more_and_an_adult_leg_leaves_the_other_where_it_is() {
    let [c, a, w] = tones();
    let exchange = Exchange::open().await;
    let Legs { caller, phone: _phone, call: agent, sid: adult } = exchange.adult(voice(c), voice(a)).await;
    let witness = exchange.joins("witness", json!({ "name": "three" }), voice(w)).await;
    exchange.client("callee").await;
    let callee = exchange.connect("callee", Mouth::Silence).await;
    let target = json!([{ "type": "user", "name": format!("callee@{}", exchange.office.account.realm) }]);
    let dial = json!([{ "verb": "dial", "target": target, "answerOnBridge": true }]);
    exchange.app.verbs("/call/dialling", dial);
    let phone = exchange.phone("dialling", Mouth::Silence).await;
    let dialling = exchange.dials("dialling", phone).await;
    let ringing = callee.incoming(SOON).await.expect("the callee does not ring");

    let three = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }, witness.heard(Some(w))];
    let everybody: Vec<(&str, &str)> =
        [("caller", "agent"), ("caller", "witness"), ("witness", "caller"), ("witness", "agent")].to_vec();
    let mut all = everybody.clone();
    all.extend([("agent", "caller"), ("agent", "witness")]);
    hears("before", &three, &all).await;
    for path in ["/call/adult", "/call/dialling"] {
        exchange.app.answer(path, Answer::Refuse(503));
    }
    let cut = Instant::now();
    exchange.app.vanish(&adult);
    exchange.app.vanish(&dialling.sid);
    hears("while it is sought", &three, &all).await;
    let cancelled = async {
        let ended = ringing.wait_cancelled(SOON * 2).await.expect("it still rings");
        assert!(cut.elapsed() >= SOUGHT, "the callee's phone was silenced after {:?}: {ended:?}", cut.elapsed());
    };
    tokio::join!(ends_in_time("an adult leg", &agent, cut), cancelled);
    let refused = dialling.call.wait_ended(SOON).await.expect("a caller without an application goes on");
    assert_eq!((&refused.cause, refused.code), (&EndCause::Refused, Some(480)), "{refused:?}");
    let two = [caller.heard(Some(c)), witness.heard(Some(w))];
    hears("after it", &two, &[("caller", "witness"), ("witness", "caller")]).await;
    // The parent's own connection is as it was.
    let cursor = exchange.cursor().await;
    exchange.app.action(&caller.sid, json!({ "action": "tag", "tag": "still" }));
    exchange.native_event_after("member.tagged", &caller.sid, cursor).await;
    exchange.closes().await;
}

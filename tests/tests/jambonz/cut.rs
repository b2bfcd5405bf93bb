//! The connection to an application is cut while its call waits, is asked, hears, streams, is held, or goes on by itself: what happens when it
//! comes back. When it does not: `lost`.

use std::time::{Duration, Instant};

use phone::Mouth;
use phone::analysis::levels_1s;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, carrying, hears, never_heard_since, sounding, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Calling, Exchange, verb};
use system_tests::jambonz::legs::Legs;

/// Cuts a call's connection; the acknowledgement of its return waits until [`returns`].
async fn cut(exchange: &Exchange, path: &str, sid: &str) -> (Told, usize) {
    exchange.app.hold(path);
    let mark = exchange.app.mark();
    exchange.app.vanish(sid);
    let is = |told: &Told| told.kind == "session:reconnect" && told.call_sid == sid;
    let back = exchange.app.told().expect("a reconnection", mark, SOON, is).await;
    (back, mark)
}

/// Acknowledges it. Nothing else may have been said over the new connection before.
fn returns(exchange: &Exchange, path: &str, back: &Told) {
    let said = exchange.app.told().matching(|told| told.socket == back.socket && told.kind != "opened");
    assert_eq!(said.iter().map(|told| told.kind.as_str()).collect::<Vec<_>>(), ["session:reconnect"], "{said:?}");
    exchange.app.release(path);
}

async fn runs(exchange: &Exchange, name: &str, verbs: Value, mouth: Mouth) -> (Calling, String) {
    let calling = exchange.runs(name, verbs, mouth).await;
    (calling, format!("/call/{name}"))
}

/// A tone was in every second of an ear between two instants.
fn without_a_gap(what: &str, call: &phone::Call, tone: u32, since: Instant, until: Instant) {
    let packets: Vec<_> = call.ear().since(since).into_iter().filter(|packet| packet.at < until).collect();
    let samples = phone::analysis::Track::new(&packets).samples;
    assert!(samples.len() >= 8_000, "{what}: {} samples are too few to judge", samples.len());
    let faintest = levels_1s(&samples, tone).min();
    assert!(faintest > -21.0, "{what}: {tone} Hz was at {faintest:.1} dBFS in one of the seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_queue_stays_there_and_is_taken_out_while_his_application_is_away() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/queue.wav", music);
    exchange.app.verbs("/enqueue-wait/waiting", json!([{ "verb": "play", "url": url, "loop": 3 }]));
    let enqueue = json!([{ "verb": "enqueue", "name": "support", "waitHook": "/enqueue-wait/waiting", "actionHook": "/enqueue/waiting" }]);
    let (waiting, path) = runs(&exchange, "waiting", enqueue, voice(c)).await;
    assert!(waiting.call.ear().wait_heard(music, -30.0, Instant::now(), SOON).await.is_some(), "no music");
    let since = Instant::now();
    let (back, mark) = cut(&exchange, &path, &waiting.sid).await;
    returns(&exchange, &path, &back);
    // He is asked again over the new connection, as somebody who has waited, and heard the music all the time.
    let asked =
        exchange.app.hears(&waiting.sid, "/enqueue-wait/waiting", mark, |told| told.socket == back.socket).await;
    assert_eq!((&asked.data["queue_size"], &asked.data["queue_position"]), (&json!(1), &json!(0)), "{}", asked.raw);
    without_a_gap("in the queue", &waiting.call, music, since, asked.at);
    // Away again: whoever takes him out does not wait for his application.
    exchange.app.verbs("/call/agent", json!([{ "verb": "dequeue", "name": "support" }]));
    let phone = exchange.phone("agent", voice(a)).await;
    let (back, mark) = cut(&exchange, &path, &waiting.sid).await;
    let agent = exchange.dials("agent", phone).await;
    agent.answered().await;
    let two = [waiting.heard(Some(c)), agent.heard(Some(a))];
    let heard = agent.call.ear().wait_heard(c, -30.0, Instant::now(), SOON).await;
    assert!(heard.is_some(), "they are not connected while one application is away");
    returns(&exchange, &path, &back);
    hears("taken out", &two, &[("waiting", "agent"), ("agent", "waiting")]).await;
    agent.call.hangup().await.unwrap();
    let told = exchange.app.hears(&waiting.sid, "/enqueue/waiting", mark, |_| true).await;
    assert_eq!((told.text("queue_result"), told.socket), ("bridged", back.socket), "{}", told.raw);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pressed_heard_and_streamed_while_the_application_is_away_counts_when_it_is_back() {
    let [played, after, c] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/stream");
    let (url, url_of_after) = (exchange.tone("/played.wav", played), exchange.tone("/after.wav", after));
    let next = json!([{ "verb": "play", "url": url_of_after, "loop": 30 }]);
    for hook in ["/gather/done", "/play/done", "/listen/done"] {
        exchange.app.verbs(hook, next.clone());
    }
    let gather =
        json!([{ "verb": "gather", "input": ["digits"], "numDigits": 3, "timeout": 30, "actionHook": "/gather/done" }]);
    let play = json!([{ "verb": "play", "url": url, "loop": 3, "actionHook": "/play/done" }]);
    let listen = json!([{ "verb": "listen", "url": exchange.app.ws("/stream"), "actionHook": "/listen/done" }]);
    let (asked, path_asked) = runs(&exchange, "asked", gather, Mouth::Silence).await;
    let (streaming, path_streaming) = runs(&exchange, "streaming", listen, voice(c)).await;
    let stream = exchange.app.sinks().stream("/stream", 0).await;
    stream.hears(c, 8_000, stream.began()).await;
    let (listening, path_listening) = runs(&exchange, "listening", play, Mouth::Silence).await;
    let began =
        listening.call.ear().wait_heard(played, -30.0, Instant::now() - SOON, SOON).await.expect("nothing plays");
    asked.call.send_digits("4").await.unwrap();
    let since = Instant::now();

    let ((of_listening, mark), (of_asked, _), (of_streaming, _)) = tokio::join!(
        cut(&exchange, &path_listening, &listening.sid),
        cut(&exchange, &path_asked, &asked.sid),
        cut(&exchange, &path_streaming, &streaming.sid),
    );
    asked.call.send_digits("71").await.unwrap();
    // Its own connection is none of the application's.
    stream.hears(c, 8_000, Instant::now()).await;
    assert!(!stream.is_closed());
    stream.send(&json!({ "type": "disconnect" }));
    stream.closed().await;
    // To the end of its three seconds, though nobody could be told of it.
    let quiet = listening.call.ear().wait_quiet(played, -50.0, began.at, Duration::from_millis(300), SOON).await;
    assert!(quiet.is_some(), "it goes on after its end");
    let lasted = sounding(&carrying(&listening.call, played, began.at));
    assert!(lasted > Duration::from_millis(2_700), "it was heard for {lasted:?}");
    returns(&exchange, &path_asked, &of_asked);
    returns(&exchange, &path_streaming, &of_streaming);
    returns(&exchange, &path_listening, &of_listening);

    for (calling, hook, back) in [
        (&asked, "/gather/done", &of_asked),
        (&streaming, "/listen/done", &of_streaming),
        (&listening, "/play/done", &of_listening),
    ] {
        let told = exchange.app.hears(&calling.sid, hook, mark, |_| true).await;
        assert_eq!(told.socket, back.socket, "{hook} came over another connection: {}", told.raw);
        let heard = calling.call.ear().wait_heard(after, -30.0, since, SOON).await;
        assert!(heard.is_some(), "what {hook} answers is not run");
        if hook == "/gather/done" {
            assert_eq!((told.text("reason"), told.text("digits")), ("dtmfDetected", "471"), "{}", told.raw);
        }
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_hold_stays_there_and_hears_his_wait_hook_over_the_next_connection() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/hold.wav", music);
    exchange.app.verbs("/conference-wait/held", json!([{ "verb": "play", "url": url, "loop": 2 }]));
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    let held = exchange.joins("held", json!({ "name": "support" }), voice(c)).await;
    let hold = json!({ "action": "hold", "wait_hook": "/conference-wait/held" });
    exchange.action(&held, hold).await;
    let since = Instant::now() + SETTLING;
    assert!(held.call.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "no music on hold");
    let (back, mark) = cut(&exchange, "/call/held", &held.call_uuid).await;
    returns(&exchange, "/call/held", &back);
    let asked = |told: &Told| told.socket == back.socket;
    exchange.app.hears(&held.call_uuid, "/conference-wait/held", mark, asked).await;
    let asked_again = Instant::now();
    assert!(held.call.ear().wait_heard(music, -30.0, asked_again, SOON).await.is_some(), "no music any more");
    for (who, call, tone) in [("held", &held.call, a), ("agent", &agent.call, c), ("agent", &agent.call, music)] {
        never_heard_since(who, call, tone, since).await;
    }
    exchange.app.action(&held.call_uuid, json!({ "action": "unhold" }));
    let two = [held.heard(Some(c)), agent.heard(Some(a))];
    hears("released", &two, &[("held", "agent"), ("agent", "held")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_that_goes_on_by_itself_has_a_connection_of_its_own_that_comes_back_by_itself() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let Legs { caller, phone: _phone, call: agent, sid: adult } = exchange.adult(voice(c), voice(a)).await;
    let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
    let both = [("caller", "agent"), ("agent", "caller")];
    hears("each by itself, in one room", &two, &both).await;
    for sid in [&adult, &caller.sid] {
        let other = if *sid == adult { &caller.sid } else { &adult };
        let path = if *sid == adult { "/call/adult" } else { "/call/caller" };
        let (back, mark) = cut(&exchange, path, sid).await;
        assert_eq!(back.text("call_sid"), sid, "{}", back.raw);
        // The other one's connection stands.
        let cursor = exchange.cursor().await;
        exchange.app.action(other, json!({ "action": "tag", "tag": "other" }));
        exchange.native_event_after("member.tagged", other, cursor).await;
        hears("while one is away", &two, &both).await;
        returns(&exchange, path, &back);
        let cursor = exchange.cursor().await;
        exchange.app.action(sid, json!({ "action": "tag", "tag": "back" }));
        exchange.native_event_after("member.tagged", sid, cursor).await;
        let more = exchange.app.told().all()[mark..].iter().filter(|told| told.kind == "session:reconnect").count();
        assert_eq!(more, 1, "somebody else's connection was opened again too");
    }
    hears("after all", &two, &both).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_hooks_answer_that_is_lost_with_its_connection_is_an_empty_one() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let hook = |name: &str| format!("/enqueue-wait/{name}");
    exchange.app.hold(&hook("queued"));
    let enqueue = json!([{ "verb": "enqueue", "name": "support", "waitHook": hook("queued") }]);
    let queued = exchange.runs("queued", enqueue, voice(c)).await;
    exchange.app.hold("/conference-wait/early");
    let early = json!({ "name": "support", "startConferenceOnEnter": false, "waitHook": "/conference-wait/early" });
    let early = exchange.runs("early", json!([verb("early", early)]), voice(c)).await;
    exchange.app.hears(&queued.sid, &hook("queued"), queued.mark, |_| true).await;
    exchange.app.hears(&early.sid, "/conference-wait/early", early.mark, |_| true).await;
    for calling in [&queued, &early] {
        let path = format!("/call/{}", calling.name);
        let (back, _) = cut(&exchange, &path, &calling.sid).await;
        returns(&exchange, &path, &back);
        system_tests::ears::stays_silent(&calling.name, &calling.call, 50).await;
    }
    let agent = exchange.runs("agent", json!([{ "verb": "dequeue", "name": "support" }]), voice(a)).await;
    let two = [queued.heard(Some(c)), agent.heard(Some(a))];
    hears("taken out of silence", &two, &[("queued", "agent"), ("agent", "queued")]).await;
    let starter = exchange.joins("starter", json!({ "name": "support" }), voice(a)).await;
    let two = [early.heard(Some(c)), starter.heard(Some(a))];
    hears("started", &two, &[("early", "starter"), ("starter", "early")]).await;
    exchange.closes().await;
}

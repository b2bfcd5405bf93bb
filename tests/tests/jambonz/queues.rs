//! `enqueue`, `dequeue` and `leave`.

use std::time::Instant;

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{hears, never_heard_since, tones, voice};
use system_tests::jambonz::exchange::{Exchange, Via};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_enqueued_hears_his_hook_until_somebody_takes_him_out_of_the_queue() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    let url_of_queue = exchange.tone("/queue.wav", music);
    let play = json!([{ "verb": "play", "url": url_of_queue }]);
    for via in [Via::Socket, Via::Http] {
        let name = |who: &str| format!("{who}-{via:?}").to_lowercase();
        let (queue, wait, done) =
            (name("support"), format!("/enqueue-wait/{}", name("x")), format!("/enqueue/{}", name("x")));
        exchange.app.verbs(&wait, play.clone());
        let enqueue = json!([{ "verb": "enqueue", "name": queue, "waitHook": wait, "actionHook": done }]);
        let first = exchange.runs_via(&name("first"), via, enqueue.clone(), voice(c)).await;
        let asked = exchange.app.hears(&first.sid, &wait, first.mark, |_| true).await;
        assert_eq!((&asked.data["queue_size"], &asked.data["queue_position"]), (&json!(1), &json!(0)), "{}", asked.raw);
        assert!(asked.text("queue_sid").contains(&queue) && asked.data["queue_time"].is_u64(), "{}", asked.raw);
        let second = exchange.runs_via(&name("second"), via, enqueue, Mouth::Silence).await;
        let asked = exchange.app.hears(&second.sid, &wait, second.mark, |_| true).await;
        assert_eq!((&asked.data["queue_size"], &asked.data["queue_position"]), (&json!(2), &json!(1)), "{}", asked.raw);
        assert!(first.call.ear().wait_heard(music, -30.0, Instant::now(), SOON).await.is_some());
        let queues = exchange.rest.get(&exchange.rest.path("/Queues")).await;
        let length = queues
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == queue.as_str())
            .map(|one| one["length"].clone());
        assert!(length == Some(json!("2")) || length == Some(json!(2)), "{queues}");

        let dequeue = json!([{ "verb": "dequeue", "name": queue, "actionHook": format!("/dequeue/{}", name("x")) }]);
        let agent = exchange.runs_via(&name("agent"), via, dequeue, voice(a)).await;
        let two = [first.heard(Some(c)), agent.heard(Some(a)), second.heard(None)];
        let (f, g) = (first.name.as_str(), agent.name.as_str());
        hears(&format!("{via:?}: the first in the queue is taken"), &two, &[(f, g), (g, f)]).await;
        first.call.hangup().await.unwrap();
        let told = exchange.app.hears(&first.sid, &done, first.mark, |_| true).await;
        assert_eq!(told.text("queue_result"), "bridged", "{}", told.raw);
        let told = exchange.app.hears(&agent.sid, &format!("/dequeue/{}", name("x")), agent.mark, |_| true).await;
        assert_eq!(told.text("dequeue_result"), "complete", "{}", told.raw);
        second.call.hangup().await.unwrap();
        let told = exchange.app.hears(&second.sid, &done, second.mark, |_| true).await;
        assert_eq!(told.text("queue_result"), "hangup", "{}", told.raw);
        agent.call.hangup().await.ok();
    }
    assert_eq!(exchange.rest.get(&exchange.rest.path("/Queues")).await, json!([]), "the queues are empty");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_queue_goes_on_with_his_verbs() {
    let [after, c, _] = tones();
    let exchange = Exchange::open().await;
    let url_of_after = exchange.tone("/after.wav", after);
    exchange.app.verbs("/enqueue-wait/leaver", json!([{ "verb": "pause", "length": 0.5 }, { "verb": "leave" }]));
    let verbs = json!([
        { "verb": "enqueue", "name": "support", "waitHook": "/enqueue-wait/leaver", "actionHook": "/enqueue/leaver" },
        { "verb": "play", "url": url_of_after },
    ]);
    let leaver = exchange.runs("leaver", verbs, voice(c)).await;
    let told = exchange.app.hears(&leaver.sid, "/enqueue/leaver", leaver.mark, |_| true).await;
    assert_eq!(told.text("queue_result"), "leave", "{}", told.raw);
    assert!(leaver.call.ear().wait_heard(after, -30.0, Instant::now() - SOON, SOON).await.is_some());
    // An empty queue: nobody comes within the time.
    let verbs = json!([{ "verb": "dequeue", "name": "support", "timeout": 1, "actionHook": "/dequeue/agent" }]);
    let agent = exchange.runs("agent", verbs, Mouth::Silence).await;
    let told = exchange.app.hears(&agent.sid, "/dequeue/agent", agent.mark, |_| true).await;
    assert_eq!(told.text("dequeue_result"), "timeout", "{}", told.raw);
    never_heard_since("nobody was in the queue", &agent.call, c, agent.call.ear().packets()[0].at).await;
    exchange.closes().await;
}

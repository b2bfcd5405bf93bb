//! Which call is taken out of a queue, and what is heard before both are connected.

use std::time::{Duration, Instant};

use phone::Mouth;
use phone::analysis::first_heard;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{SETTLING, hears, never_heard_since, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Calling, Exchange, Via};

/// What a beep sounds like, Hz.
const BEEP: u32 = 880;

/// Somebody waits in the queue, in silence; returns when he was told his place.
async fn waits(exchange: &Exchange, name: &str, more: Value, mouth: Mouth) -> Calling {
    waits_with(exchange, name, json!([{ "verb": "pause", "length": 0.3 }]), more, mouth).await
}

/// As [`waits`], and hears this meanwhile.
async fn waits_with(exchange: &Exchange, name: &str, hears: Value, more: Value, mouth: Mouth) -> Calling {
    exchange.app.verbs(&format!("/enqueue-wait/{name}"), hears);
    let mut verb = json!({
        "verb": "enqueue", "name": "support", "waitHook": format!("/enqueue-wait/{name}"),
        "actionHook": format!("/enqueue/{name}"),
    });
    verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let calling = exchange.runs(name, json!([verb]), mouth).await;
    exchange.app.hears(&calling.sid, &format!("/enqueue-wait/{name}"), calling.mark, |_| true).await;
    calling
}

fn beeped(calling: &Calling, since: Instant) -> bool {
    first_heard(&calling.call.ear().packets(), BEEP, since, -30.0).is_some()
}

fn dequeue(more: Value) -> Value {
    let mut verb = json!({ "verb": "dequeue", "name": "support", "actionHook": "/dequeue/agent" });
    verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    verb
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_taken_by_priority_then_in_the_order_in_which_they_came() {
    let [x, y, z] = tones();
    let exchange = Exchange::open().await;
    // Without a priority one is last, though he came first; of equals the earlier is taken first.
    let plain = waits(&exchange, "plain", json!({}), voice(x)).await;
    let late = waits(&exchange, "late", json!({ "priority": 5 }), voice(y)).await;
    let urgent = waits(&exchange, "urgent", json!({ "priority": 1 }), voice(z)).await;
    let later = waits(&exchange, "later", json!({ "priority": 5 }), Mouth::Silence).await;
    // Each is told his place as it is by now.
    for (calling, place) in [(&urgent, 0), (&late, 1), (&later, 2), (&plain, 3)] {
        let hook = format!("/enqueue-wait/{}", calling.name);
        let now = |told: &Told| told.data["queue_size"] == 4 && told.data["queue_position"] == place;
        exchange.app.hears(&calling.sid, &hook, calling.mark, now).await;
    }
    let verbs: Vec<Value> = (0..4).map(|_| dequeue(json!({}))).collect();
    let agent = exchange.runs("agent", json!(verbs), Mouth::Silence).await;
    let mut mark = agent.mark;
    let waiting = [(&urgent, Some(z)), (&late, Some(y)), (&later, None), (&plain, Some(x))];
    for (turn, (calling, tone)) in waiting.iter().enumerate() {
        match tone {
            // The agent alone, and him alone: the others are in nobody's ear.
            Some(_) => {
                let in_line = waiting[turn..].iter().map(|(calling, tone)| calling.heard(*tone));
                let people: Vec<_> = std::iter::once(agent.heard(None)).chain(in_line).collect();
                hears(&calling.name, &people, &[("agent", calling.name.as_str())]).await;
            }
            None => {
                let gone = |told: &Told| told.data["queue_position"] == 0;
                let next = &waiting[turn + 1].0;
                exchange.app.hears(&next.sid, &format!("/enqueue-wait/{}", next.name), mark, gone).await;
            }
        }
        mark = exchange.app.mark();
        calling.call.hangup().await.unwrap();
        let told = exchange.app.hears(&calling.sid, &format!("/enqueue/{}", calling.name), mark, |_| true).await;
        assert_eq!(told.text("queue_result"), "bridged", "{}", told.raw);
        let told = exchange.app.hears(&agent.sid, "/dequeue/agent", mark, |_| true).await;
        assert_eq!(told.text("dequeue_result"), "complete", "{}", told.raw);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_taken_by_its_sid_before_all_others_and_the_order_of_the_others_stays() {
    let [x, y, z] = tones();
    let exchange = Exchange::open().await;
    let first = waits(&exchange, "first", json!({}), voice(x)).await;
    let wanted = waits(&exchange, "wanted", json!({}), voice(y)).await;
    let third = waits(&exchange, "third", json!({}), voice(z)).await;
    for via in [Via::Socket, Via::Http] {
        let name = format!("agent-{via:?}").to_lowercase();
        let (sid, who) = if via == Via::Socket { (&wanted.sid, &wanted) } else { (&third.sid, &third) };
        let verbs = json!([dequeue(json!({ "callSid": sid, "timeout": 20 }))]);
        let agent = exchange.runs_via(&name, via, verbs, Mouth::Silence).await;
        let people = [agent.heard(None), first.heard(Some(x)), wanted.heard(Some(y)), third.heard(Some(z))];
        let alone = [(name.as_str(), who.name.as_str())];
        if via == Via::Socket {
            hears("the second of three", &people, &alone).await;
        } else {
            // The second one has gone.
            hears("the last of two", &[people[0], people[1], people[3]], &alone).await;
        }
        who.call.hangup().await.unwrap();
        exchange
            .app
            .hears(&agent.sid, "/dequeue/agent", agent.mark, |told| told.text("dequeue_result") == "complete")
            .await;
        agent.call.hangup().await.ok();
    }
    // A call that is in no queue, or not in this one: nobody comes, and nobody else is taken.
    let gone = exchange.runs("gone", json!([dequeue(json!({ "callSid": wanted.sid, "timeout": 1 }))]), Mouth::Silence);
    let gone = gone.await;
    let told = exchange.app.hears(&gone.sid, "/dequeue/agent", gone.mark, |_| true).await;
    assert_eq!(told.text("dequeue_result"), "timeout", "{}", told.raw);
    never_heard_since("nobody else is taken", &gone.call, x, gone.call.ear().packets()[0].at).await;
    let queues = exchange.rest.get(&exchange.rest.path("/Queues")).await;
    assert!(queues.to_string().contains("support"), "the first one has lost his place: {queues}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_call_has_it_as_soon_as_it_comes_unless_his_time_is_up() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let begins = Instant::now();
    let hurried = exchange.runs("hurried", json!([dequeue(json!({ "timeout": 2 }))]), voice(a)).await;
    let patient = exchange.runs("patient", json!([dequeue(json!({ "timeout": 60 }))]), voice(a)).await;
    let told = exchange.app.hears(&hurried.sid, "/dequeue/agent", hurried.mark, |_| true).await;
    assert_eq!(told.text("dequeue_result"), "timeout", "{}", told.raw);
    let after = told.at - begins;
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&after), "his time was up after {after:?}");
    let caller = exchange.runs("caller", json!([{ "verb": "enqueue", "name": "support" }]), voice(c)).await;
    let three = [hurried.heard(None), patient.heard(Some(a)), caller.heard(Some(c))];
    hears("he who still waits has it", &three, &[("patient", "caller"), ("caller", "patient")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beep_tells_the_one_who_waited_that_he_is_connected_and_nobody_hears_one_without() {
    let [music, a, _] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    let play = json!([{ "verb": "play", "url": url, "loop": 60 }]);
    for beep in [true, false] {
        let (waiting, taking) = (format!("waits-{beep}"), format!("takes-{beep}"));
        let caller = waits_with(&exchange, &waiting, play.clone(), json!({}), Mouth::Silence).await;
        let since = Instant::now();
        assert!(caller.call.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "no music in the queue");
        let verbs = json!([dequeue(json!({ "beep": beep }))]);
        let agent = exchange.runs(&taking, verbs, voice(a)).await;
        let connected = caller.call.ear().wait_heard(a, -30.0, since, SOON).await.expect("they are not connected").at;
        if beep {
            let ear = caller.call.ear();
            let at = ear.wait_heard(BEEP, -30.0, since, SOON).await.expect("no beep").at;
            assert!(at <= connected, "the beep comes {:?} after the agent's voice", at - connected);
            let quiet = ear.wait_quiet(music, -60.0, connected, SETTLING * 2, SOON).await;
            assert!(quiet.is_some(), "the music goes on");
        } else {
            assert!(caller.call.ear().wait_more(25, SOON).await);
            assert!(!beeped(&caller, since), "nobody has asked for a beep");
        }
        // His alone: who takes the call has asked for it.
        assert!(agent.call.ear().wait_more(25, SOON).await);
        assert!(!beeped(&agent, since), "the taker hears the beep");
        for calling in [agent, caller] {
            calling.call.hangup().await.unwrap();
        }
    }
    exchange.closes().await;
}

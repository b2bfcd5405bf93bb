//! What programs want of a call before it is connected: in a queue, while its `dial` rings, while it is asked to confirm. It
//! holds from the first sample on.

use phone::Mouth;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, hears, stays_silent, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Calling, Exchange, Via};

/// Both ways to ask a program.
const BOTH: [Via; 2] = [Via::Socket, Via::Http];

fn named(who: &str, via: Via) -> String {
    format!("{who}-{via:?}").to_lowercase()
}

/// A `dial` of the user `agent`.
fn dial(exchange: &Exchange, more: Value) -> Value {
    let target = json!([{ "type": "user", "name": format!("agent@{}", exchange.office.account.realm) }]);
    let mut verb = json!({ "verb": "dial", "target": target, "answerOnBridge": true });
    verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    verb
}

/// Somebody speaks in the queue, and hears nothing there.
async fn waits(exchange: &Exchange, via: Via, tone: u32) -> Calling {
    let (name, hook) = (named("caller", via), format!("/enqueue-wait/{via:?}"));
    exchange.app.verbs(&hook, json!([{ "verb": "pause", "length": 0.3 }]));
    let enqueue = json!({ "verb": "enqueue", "name": "support", "waitHook": hook });
    let caller = exchange.runs_via(&name, via, json!([enqueue]), voice(tone)).await;
    exchange.app.hears(&caller.sid, &hook, caller.mark, |_| true).await;
    caller
}

/// Somebody takes the caller out of the queue; returns when both are connected.
async fn takes(exchange: &Exchange, via: Via, caller: &Calling, tone: u32) -> Calling {
    let dequeue = json!([{ "verb": "dequeue", "name": "support", "timeout": 20 }]);
    let agent = exchange.runs_via(&named("agent", via), via, dequeue, voice(tone)).await;
    for sid in [&agent.sid, &caller.sid] {
        exchange.native_event("member.joined", sid).await;
    }
    agent
}

async fn both_end(callings: [&Calling; 2]) {
    for calling in callings {
        calling.call.hangup().await.ok();
        calling.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_muted_in_a_queue_is_never_heard_by_who_takes_him_until_he_is_unmuted() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    for via in BOTH {
        let caller = waits(&exchange, via, c).await;
        exchange.rest.update(&caller.sid, json!({ "mute_status": "mute" })).await;
        let agent = takes(&exchange, via, &caller, a).await;
        let (first, second) = (caller.name.as_str(), agent.name.as_str());
        let two = [caller.heard(Some(c)), agent.heard(Some(a))];
        hears(&format!("{via:?}: muted"), &two, &[(first, second)]).await;
        stays_silent(&format!("{via:?}: taken, and still muted"), &agent.call, 75).await;
        exchange.rest.update(&caller.sid, json!({ "mute_status": "unmute" })).await;
        hears(&format!("{via:?}: unmuted"), &two, &[(first, second), (second, first)]).await;
        both_end([&caller, &agent]).await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_held_in_a_queue_neither_hears_nor_is_heard_by_who_takes_him_until_he_is_released() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    for via in BOTH {
        let caller = waits(&exchange, via, c).await;
        exchange.rest.update(&caller.sid, json!({ "conf_hold_status": "hold" })).await;
        let agent = takes(&exchange, via, &caller, a).await;
        for (who, calling) in [("who takes him", &agent), ("he", &caller)] {
            stays_silent(&format!("{via:?}: on hold {who} hears something"), &calling.call, 75).await;
        }
        exchange.rest.update(&caller.sid, json!({ "conf_hold_status": "unhold" })).await;
        let (first, second) = (caller.name.as_str(), agent.name.as_str());
        let two = [caller.heard(Some(c)), agent.heard(Some(a))];
        hears(&format!("{via:?}: released"), &two, &[(first, second), (second, first)]).await;
        both_end([&caller, &agent]).await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_muted_while_his_dial_rings_is_never_heard_until_he_is_unmuted() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    exchange.client("agent").await;
    let agent_phone = exchange.connect("agent", voice(a)).await;
    for via in BOTH {
        let name = named("caller", via);
        exchange.app.verbs(&format!("/call/{name}"), json!([dial(&exchange, json!({}))]));
        let phone = exchange.phone_via(&name, via, voice(c)).await;
        let caller = exchange.dials(&name, phone).await;
        let rings = agent_phone.incoming(SOON).await.expect("the phone does not ring");
        rings.ring().await.unwrap();
        exchange.rest.update(&caller.sid, json!({ "mute_status": "mute" })).await;
        let agent = rings.answer().await.unwrap();
        caller.answered().await;
        let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
        hears(&format!("{via:?}: muted"), &two, &[(name.as_str(), "agent")]).await;
        stays_silent(&format!("{via:?}: connected with a caller who is muted"), &agent, 75).await;
        exchange.rest.update(&caller.sid, json!({ "mute_status": "unmute" })).await;
        let each_other = [("agent", name.as_str()), (name.as_str(), "agent")];
        hears(&format!("{via:?}: unmuted"), &two, &each_other).await;
        agent.hangup().await.unwrap();
        caller.call.hangup().await.ok();
        caller.ended().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callee_who_is_muted_while_he_is_asked_to_confirm_is_never_heard_until_he_is_unmuted() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    exchange.client("agent").await;
    let agent_phone = exchange.connect("agent", voice(a)).await;
    let verbs = json!([dial(&exchange, json!({ "confirmHook": "/confirm" }))]);
    for via in BOTH {
        let name = named("caller", via);
        exchange.app.hold("/confirm");
        exchange.app.verbs(&format!("/call/{name}"), verbs.clone());
        let phone = exchange.phone_via(&name, via, Mouth::Silence).await;
        let caller = exchange.dials(&name, phone).await;
        let agent = agent_phone.incoming(SOON).await.expect("the phone does not ring").answer().await.unwrap();
        let is_child = |told: &Told| told.text("parent_call_sid") == caller.sid;
        let child = exchange.app.told().expect("the called leg", caller.mark, SOON, is_child).await;
        let child = child.text("call_sid").to_owned();
        exchange.app.hears("", "/confirm", caller.mark, |_| true).await;
        exchange.rest.update(&child, json!({ "mute_status": "mute" })).await;
        exchange.app.release("/confirm");
        caller.answered().await;
        exchange.native_event("member.joined", &child).await;
        stays_silent(&format!("{via:?}: connected with a callee who is muted"), &caller.call, 75).await;
        // The connection is one all the same: the callee hears.
        caller.call.say(voice(c)).await.unwrap();
        let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
        hears(&format!("{via:?}: muted"), &two, &[("agent", name.as_str())]).await;
        stays_silent(&format!("{via:?}: still muted"), &caller.call, 1).await;
        exchange.rest.update(&child, json!({ "mute_status": "unmute" })).await;
        let each_other = [("agent", name.as_str()), (name.as_str(), "agent")];
        hears(&format!("{via:?}: unmuted"), &two, &each_other).await;
        agent.hangup().await.unwrap();
        caller.call.hangup().await.ok();
        caller.ended().await;
    }
    exchange.closes().await;
}

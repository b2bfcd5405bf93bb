//! What an account's `queue_event_hook` is told: who comes to its queues, who goes, and why.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phone::{CallOptions, Mouth, Transport};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::jambonz::app::{Answer, App, Told};
use system_tests::jambonz::exchange::{Calling, Exchange, Via};
use system_tests::jambonz::rest::Rest;
use system_tests::jambonz::schemas;
use system_tests::office::registered;
use system_tests::server::{PASSWORD, text};
use system_tests::{LATER, SOON};

/// The hook's path.
const HOOK: &str = "/queue-event";

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Sets the account's hook, or takes it away.
async fn tells(rest: &Rest, hook: Value) {
    let reply = rest.request(Method::PUT, &rest.path(""), Some(json!({ "queue_event_hook": hook }))).await;
    assert_eq!(reply.status, 204, "{reply:?}");
}

fn post(app: &App) -> Value {
    json!({ "url": app.http(HOOK), "method": "POST" })
}

fn enqueue(name: &str) -> Value {
    json!({
        "verb": "enqueue", "name": "support", "waitHook": format!("/enqueue-wait/{name}"),
        "actionHook": format!("/enqueue/{name}"),
    })
}

/// Somebody who is enqueued; returns when he was told his place.
async fn waits(exchange: &Exchange, name: &str, via: Via) -> Calling {
    exchange.app.verbs(&format!("/enqueue-wait/{name}"), json!([{ "verb": "pause", "length": 0.5 }]));
    let calling = exchange.runs_via(name, via, json!([enqueue(name)]), Mouth::Silence).await;
    exchange.app.hears(&calling.sid, &format!("/enqueue-wait/{name}"), calling.mark, |_| true).await;
    calling
}

fn events(app: &App, sid: &str) -> Vec<Told> {
    app.told().matching(|told| told.name == HOOK && (sid.is_empty() || told.call_sid == sid))
}

/// What the hook is told of a call: everything in it, and that it comes once.
async fn told(app: &App, (rest, sid): (&Rest, &str), (event, length): (&str, u32), why: Option<&str>) -> u64 {
    let told = app.hears(sid, HOOK, 0, |told| told.text("event") == event).await;
    let time = format!("{event}_time");
    let at = told.data[&time].as_u64().unwrap_or_else(|| panic!("no {time}: {}", told.raw));
    let mut body = json!({
        "event": event, "account_sid": rest.account(), "call_sid": sid, "queue": "support", "length": length,
    });
    body[&time] = at.into();
    if let Some(why) = why {
        body["leave_reason"] = why.into();
    }
    assert_eq!(told.data, body, "{}", told.raw);
    assert_eq!((told.kind.as_str(), told.method.as_str()), ("http", "POST"), "{}", told.raw);
    let kind = told.headers.get("content-type").map(String::as_str).unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{:?}", told.headers);
    let times = events(app, sid).iter().filter(|told| told.text("event") == event).count();
    assert_eq!(times, 1, "{event} of {sid} came {times} times");
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_enqueued_and_goes_by_whichever_way_is_told_once_with_the_reason() {
    let exchange = Exchange::open().await;
    let (app, rest) = (&exchange.app, &exchange.rest);
    let begins = now();
    tells(rest, post(app)).await;
    let first = waits(&exchange, "first", Via::Socket).await;
    let came = told(app, (rest, &first.sid), ("join", 1), None).await;
    assert!((begins..=now()).contains(&came), "{came} is not between {begins} and {}", now());
    let second = waits(&exchange, "second", Via::Http).await;
    told(app, (rest, &second.sid), ("join", 2), None).await;
    let third = waits(&exchange, "third", Via::Socket).await;
    told(app, (rest, &third.sid), ("join", 3), None).await;
    let fourth = waits(&exchange, "fourth", Via::Http).await;
    told(app, (rest, &fourth.sid), ("join", 4), None).await;
    assert_eq!(events(app, "").len(), 4, "nobody has gone yet");

    let dequeue = json!([{ "verb": "dequeue", "name": "support", "actionHook": "/dequeue/agent" }]);
    let agent = exchange.runs("agent", dequeue, Mouth::Silence).await;
    let went = told(app, (rest, &first.sid), ("leave", 3), Some("dequeued")).await;
    assert!((came..=now()).contains(&went), "{went} is not between {came} and {}", now());
    // The end of the connection is nothing that happens in the queue.
    first.call.hangup().await.unwrap();
    app.hears(&agent.sid, "/dequeue/agent", agent.mark, |told| told.text("dequeue_result") == "complete").await;
    // He hangs up; he has other instructions; his own wait program leaves.
    second.call.hangup().await.unwrap();
    told(app, (rest, &second.sid), ("leave", 2), Some("abandoned")).await;
    app.command(&third.sid, "redirect", json!([{ "verb": "pause", "length": 60 }]));
    told(app, (rest, &third.sid), ("leave", 1), Some("abandoned")).await;
    app.verbs("/enqueue-wait/fourth", json!([{ "verb": "leave" }]));
    told(app, (rest, &fourth.sid), ("leave", 0), Some("abandoned")).await;
    for sid in [&first.sid, &second.sid, &fourth.sid] {
        exchange.native_event("call.ended", sid).await;
    }
    // Told behind all others, so that nothing else can be on its way.
    let last = waits(&exchange, "last", Via::Socket).await;
    told(app, (rest, &last.sid), ("join", 1), None).await;
    let all: Vec<String> = events(app, "").iter().map(|told| told.raw.clone()).collect();
    assert_eq!(all.len(), 9, "{all:#?}");
    assert!(events(app, &agent.sid).is_empty(), "who takes a call was never in the queue");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_is_told_of_its_own_queues_alone() {
    let exchange = Exchange::open().await;
    let elsewhere = App::start().await;
    let account = exchange.office.server.account("theirs").await;
    let theirs = exchange.key_of(&account).await;
    tells(&exchange.rest, post(&exchange.app)).await;
    tells(&theirs, post(&elsewhere)).await;
    // Somebody of theirs in a queue of the same name.
    let link = json!({ "url": elsewhere.ws("/call/them"), "method": "WS" });
    let application = json!({
        "name": "them", "account_sid": theirs.account(), "call_hook": link, "call_status_hook": link,
    });
    let application = theirs.create("/Applications", application).await;
    let client = json!({
        "account_sid": theirs.account(), "username": "them", "password": PASSWORD, "is_active": true,
        "allow_direct_app_calling": true,
    });
    theirs.create("/Clients", client).await;
    elsewhere.verbs("/call/them", json!([enqueue("them")]));
    elsewhere.verbs("/enqueue-wait/them", json!([{ "verb": "pause", "length": 0.5 }]));
    let phone = registered(&exchange.office.server, "them", &account.realm, Mouth::Silence, Transport::Udp).await;
    let call = phone.call(&format!("app-{application}"), CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let them = elsewhere.hears("", "/enqueue-wait/them", 0, |_| true).await.call_sid;
    told(&elsewhere, (&theirs, &them), ("join", 1), None).await;

    let ours = waits(&exchange, "ours", Via::Socket).await;
    told(&exchange.app, (&exchange.rest, &ours.sid), ("join", 1), None).await;
    let agent = exchange.runs("agent", json!([{ "verb": "dequeue", "name": "support" }]), Mouth::Silence).await;
    told(&exchange.app, (&exchange.rest, &ours.sid), ("leave", 0), Some("dequeued")).await;
    call.hangup().await.unwrap();
    told(&elsewhere, (&theirs, &them), ("leave", 0), Some("abandoned")).await;
    agent.call.hangup().await.unwrap();
    for (app, sid) in [(&exchange.app, &ours.sid), (&elsewhere, &them)] {
        let all: Vec<String> = events(app, "").iter().map(|told| told.raw.clone()).collect();
        assert_eq!((all.len(), events(app, sid).len()), (2, 2), "{all:#?}");
    }
    // Each is signed with the account's own secret.
    let secret = text(&theirs.get(&theirs.path("/WebhookSecret")).await, "webhook_secret");
    assert_ne!(secret, exchange.secret);
    schemas::judge(&elsewhere.told().all(), &secret).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_told_again_and_without_a_hook_nobody_is_told() {
    let exchange = Exchange::open().await;
    let (app, rest) = (&exchange.app, &exchange.rest);
    tells(rest, post(app)).await;
    app.answers(HOOK, [Answer::Http(503, "text/plain", "later".to_owned()), Answer::Nothing]);
    let caller = waits(&exchange, "caller", Via::Socket).await;
    let is = |told: &Told| told.name == HOOK && told.call_sid == caller.sid;
    app.told().expect_times("an event that was refused once", 2, 0, LATER, is).await;
    let both = events(app, &caller.sid);
    assert_eq!(both[0].raw, both[1].raw, "the same is told again");
    assert!(both[1].at - both[0].at >= Duration::from_millis(100), "the program has time to recover");
    // Nobody wants to know any more.
    tells(rest, Value::Null).await;
    caller.call.hangup().await.unwrap();
    let done = app.hears(&caller.sid, "/enqueue/caller", caller.mark, |_| true).await;
    assert_eq!(done.text("queue_result"), "hangup", "{}", done.raw);
    exchange.native_event("call.ended", &caller.sid).await;
    tells(rest, post(app)).await;
    let next = waits(&exchange, "next", Via::Http).await;
    told(app, (rest, &next.sid), ("join", 1), None).await;
    assert_eq!(events(app, &caller.sid).len(), 2, "told without a hook");
    exchange.closes().await;
}

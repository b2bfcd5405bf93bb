//! What phones of the jambonz dialect reach without an application that says so, and what programs are told while two calls are connected.

use phone::{Call, CallError, CallOptions, EndCause, Mouth, Phone};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, hears, tones, voice};
use system_tests::jambonz::exchange::Exchange;
use system_tests::server::PASSWORD;

async fn client(exchange: &Exchange, name: &str, mouth: Mouth) -> Phone {
    exchange.client(name).await;
    exchange.connect(name, mouth).await
}

async fn rings(phone: &Phone) -> Call {
    phone.incoming(SOON).await.expect("the phone does not ring").answer().await.unwrap()
}

async fn refused(phone: &Phone, number: &str, options: CallOptions) -> Option<u16> {
    match phone.call(number, options).unwrap().wait_answered(SOON).await {
        Err(CallError::Ended(ended)) if ended.cause == EndCause::Refused => ended.code,
        other => panic!("{number}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_dials_rooms_queues_applications_and_others_by_name() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let alice = client(&exchange, "alice", voice(a)).await;
    let dials = async |number: &str, options: CallOptions| {
        let call = alice.call(number, options).unwrap();
        call.wait_answered(SOON).await.unwrap_or_else(|error| panic!("{number}: {error}"));
        call
    };
    // A room: she starts it, as a moderator.
    let waits = json!({ "name": "lobby", "startConferenceOnEnter": false });
    let waiting =
        exchange.runs("waiting", json!([system_tests::jambonz::exchange::verb("waiting", waits)]), voice(c)).await;
    let call = dials("conference-lobby", CallOptions::default()).await;
    let two = [waiting.heard(Some(c)), Heard { name: "alice", call: &call, tone: Some(a) }];
    let each_other = [("waiting", "alice"), ("alice", "waiting")];
    hears("a room by name", &two, &each_other).await;
    exchange.rest.update(&waiting.sid, json!({ "conf_mute_status": "mute" })).await;
    hears("one who is no moderator mutes himself", &two, &[("waiting", "alice")]).await;
    call.hangup().await.unwrap();
    waiting.call.hangup().await.unwrap();

    // A queue.
    let queued = exchange.runs("queued", json!([{ "verb": "enqueue", "name": "support" }]), voice(c)).await;
    let call = dials("queue-support", CallOptions::default()).await;
    let two = [queued.heard(Some(c)), Heard { name: "alice", call: &call, tone: Some(a) }];
    hears("a queue by name", &two, &[("queued", "alice"), ("alice", "queued")]).await;
    call.hangup().await.unwrap();

    // Another client.
    let bob = client(&exchange, "bob", voice(c)).await;
    let call = alice.call("bob", CallOptions::default()).unwrap();
    let answered = rings(&bob).await;
    call.wait_answered(SOON).await.unwrap();
    let two =
        [Heard { name: "bob", call: &answered, tone: Some(c) }, Heard { name: "alice", call: &call, tone: Some(a) }];
    hears("another client by name", &two, &[("bob", "alice"), ("alice", "bob")]).await;
    call.hangup().await.unwrap();

    // An application, by a header; one with instructions of its own is asked nothing.
    let hook = json!({ "url": exchange.app.ws("/never-asked"), "method": "WS" });
    let verbs = json!([{ "verb": "conference", "name": "by-json" }]).to_string();
    let sid = exchange.application("by-json", hook.clone(), hook, json!({ "app_json": verbs })).await;
    let call = dials("whatever", CallOptions::with_headers(&[("X-Application-Sid", &sid)])).await;
    let guest = exchange.joins("guest", json!({ "name": "by-json" }), voice(c)).await;
    let two = [guest.heard(Some(c)), Heard { name: "alice", call: &call, tone: Some(a) }];
    hears("an application of instructions", &two, &[("guest", "alice"), ("alice", "guest")]).await;
    let asked = exchange.app.told().matching(|told| told.name == "/never-asked" && told.kind == "session:new");
    assert!(asked.is_empty(), "{asked:?}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_leave_reaches_nothing_by_name() {
    let exchange = Exchange::open().await;
    let body = json!({
        "account_sid": exchange.rest.account(), "username": "mallory", "password": PASSWORD,
        "allow_direct_app_calling": false, "allow_direct_queue_calling": false, "allow_direct_user_calling": false,
    });
    exchange.rest.create("/Clients", body).await;
    let mallory = exchange.connect("mallory", Mouth::Silence).await;
    let _bob = client(&exchange, "bob", Mouth::Silence).await;
    let hook = json!({ "url": exchange.app.ws("/call/any"), "method": "WS" });
    let sid = exchange.application("any", hook.clone(), hook, json!({})).await;
    for number in ["conference-lobby", "queue-support", "bob", &format!("app-{sid}")] {
        assert_eq!(refused(&mallory, number, CallOptions::default()).await, Some(403), "{number}");
    }
    let by_header = CallOptions::with_headers(&[("X-Application-Sid", &sid)]);
    assert_eq!(refused(&mallory, "whatever", by_header).await, Some(403));
    assert!(exchange.app.told().is_empty(), "an application was asked: {:?}", exchange.app.told().all());
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_either_side_are_told_while_both_are_connected_and_the_answer_replaces_the_instructions() {
    let [c, a, music] = tones();
    let exchange = Exchange::open().await;
    let agents = client(&exchange, "agent", voice(a)).await;
    let realm = &exchange.office.account.realm;
    let dial = json!([{
        "verb": "dial", "target": [{ "type": "user", "name": format!("agent@{realm}") }], "answerOnBridge": true,
        "dtmfCapture": { "parentCall": ["*9"], "childCall": ["*1", "#"] }, "dtmfHook": "/dial-dtmf/keys",
        "actionHook": "/dial/done",
    }]);
    exchange.app.verbs("/call/caller", dial);
    let phone = exchange.phone("caller", voice(c)).await;
    let caller = exchange.dials("caller", phone).await;
    let agent = rings(&agents).await;
    caller.answered().await;
    let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
    hears("connected", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    let told = async |mark: usize| exchange.app.hears("", "/dial-dtmf/keys", mark, |_| true).await;
    let mark = exchange.app.mark();
    agent.send_digits("5*1").await.unwrap();
    assert_eq!(told(mark).await.text("dtmf"), "*1");
    hears("and they go on", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    let url = exchange.tone("/music.wav", music);
    exchange.app.verbs("/dial-dtmf/keys", json!([{ "verb": "play", "url": url, "loop": 20 }]));
    let mark = exchange.app.mark();
    caller.call.send_digits("*9").await.unwrap();
    let keys: Value = told(mark).await.data["dtmf"].clone();
    assert_eq!(keys, "*9");
    agent.wait_ended(SOON).await.expect("the other side is hung up");
    let since = std::time::Instant::now();
    assert!(caller.call.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "the answer's verbs do not run");
    exchange.closes().await;
}

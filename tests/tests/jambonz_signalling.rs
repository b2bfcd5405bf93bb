//! Transfers and other SIP requests of the jambonz dialect, both ways; and what a dial says while it rings and when its time is up.

#[path = "jambonz/unmoved.rs"]
mod unmoved;

use std::time::{Duration, Instant};

use phone::{Call, EventKind, Mouth, OnRefer, Phone, PhoneConfig};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{never_heard_since, tones, voice};
use system_tests::jambonz::exchange::{Calling, Exchange};
use system_tests::program::Reply;
use system_tests::server::PASSWORD;

/// A phone that does this with a REFER.
async fn referable(exchange: &Exchange, name: &str, on_refer: OnRefer) -> Phone {
    let hook = json!({ "url": exchange.app.ws(&format!("/call/{name}")), "method": "WS" });
    exchange.application(name, hook.clone(), hook, json!({})).await;
    exchange.client(name).await;
    let mut config = PhoneConfig::new(exchange.office.server.at().sip_udp, name, PASSWORD);
    config.domain = exchange.office.account.realm.clone();
    config.on_refer = on_refer;
    let phone = Phone::start(config).await.unwrap();
    phone.register(600).await.unwrap();
    phone
}

async fn runs(exchange: &Exchange, name: &str, on_refer: OnRefer, verbs: Value) -> Calling {
    exchange.app.verbs(&format!("/call/{name}"), verbs);
    let phone = referable(exchange, name, on_refer).await;
    let calling = exchange.dials(name, phone).await;
    calling.answered().await;
    calling
}

/// A request that a phone received.
async fn received(call: &Call, wanted: &str) -> (Vec<(String, String)>, String) {
    // Reports of a transfer come one after the other; the last one counts.
    let last = |body: &[u8]| wanted != "NOTIFY" || !body.starts_with(b"SIP/2.0 1");
    let is =
        |kind: &EventKind| matches!(kind, EventKind::Request { method, body, .. } if method == wanted && last(body));
    match call.wait_event(SOON, is).await.unwrap_or_else(|error| panic!("no {wanted}: {error}")).kind {
        EventKind::Request { headers, body, .. } => {
            let field = |name: &str| (name.to_owned(), headers.get(name).unwrap_or_default().to_owned());
            let fields = ["Refer-To", "Referred-By", "X-Case", "Content-Type", "Subscription-State"].map(field);
            (fields.to_vec(), String::from_utf8_lossy(&body).into_owned())
        }
        other => panic!("{other:?}"),
    }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_referred_elsewhere_and_the_hooks_are_told_how_it_goes() {
    let exchange = Exchange::open().await;
    exchange.office.program.reply("/refer-event", Reply::Plain(200, "text/plain", Vec::new()));
    let verb = json!([{
        "verb": "sip:refer", "referTo": "sip:desk@example.com", "referredBy": "sip:us@example.com", "headers": { "X-Case": "7" },
        "actionHook": "/sip-refer/done", "eventHook": exchange.office.program.url("/refer-event"),
    }]);
    let caller = runs(&exchange, "caller", OnRefer::Accept(vec![100, 180, 200]), verb.clone()).await;
    let (fields, _) = received(&caller.call, "REFER").await;
    assert!(field(&fields, "Refer-To").contains("sip:desk@example.com"), "{fields:?}");
    assert!(field(&fields, "Referred-By").contains("sip:us@example.com"), "{fields:?}");
    assert_eq!(field(&fields, "X-Case"), "7");
    let done = exchange.app.hears(&caller.sid, "/sip-refer/done", caller.mark, |_| true).await;
    let told = (&done.data["refer_status"], &done.data["final_referred_call_status"]);
    assert_eq!(told, (&json!(202), &json!(200)), "{}", done.raw);
    let asked = exchange.office.program.asked();
    asked.expect("a report to the event hook", 0, SOON, |asked| asked.path == "/refer-event").await;

    let stubborn = runs(&exchange, "stubborn", OnRefer::Refuse(603), verb).await;
    let done = exchange.app.hears(&stubborn.sid, "/sip-refer/done", stubborn.mark, |_| true).await;
    assert_eq!((&done.data["refer_status"], &done.data["final_referred_call_status"]), (&json!(603), &Value::Null));
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_when_a_phone_sends_a_refer_and_decides() {
    let [music, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    let waits = json!([{ "verb": "config", "referHook": "/dial-refer/asked" }, { "verb": "pause", "length": 60 }]);
    exchange.app.verbs("/dial-refer/asked", json!([{ "verb": "play", "url": url, "loop": 20 }]));
    let caller = exchange.runs("caller", waits, Mouth::Silence).await;
    let since = Instant::now();
    let answer = caller.call.refer("<sip:desk@example.com>", Vec::new()).await.unwrap();
    assert_eq!(answer.code, 202);
    let asked = exchange.app.hears(&caller.sid, "/dial-refer/asked", caller.mark, |_| true).await;
    let details = &asked.data["refer_details"];
    assert_eq!((&details["refer_to_user"], &details["referring_call_sid"]), (&json!("desk"), &json!(caller.sid)));
    assert!(caller.call.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "the answer's verbs do not run");
    let (fields, body) = received(&caller.call, "NOTIFY").await;
    assert!(body.starts_with("SIP/2.0 200"), "{body}");
    assert!(field(&fields, "Subscription-State").starts_with("terminated"), "{fields:?}");
    // Where nobody asked for it, it is declined.
    let plain = exchange.runs("plain", json!([{ "verb": "pause", "length": 60 }]), Mouth::Silence).await;
    let answer = plain.call.refer("<sip:desk@example.com>", Vec::new()).await;
    let code = match answer {
        Ok(answer) => answer.code,
        Err(phone::CallError::Refused { code, .. }) => code,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(code, 603);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_program_makes_has_its_hooks_from_the_answer_on_and_decides_one_refer_at_a_time() {
    let exchange = Exchange::open().await;
    exchange.client("desk").await;
    let desk = exchange.connect("desk", Mouth::Silence).await;
    exchange.app.verbs("/call/dialled", json!([{ "verb": "pause", "length": 60 }]));
    exchange.app.hold("/dial-refer/asked");
    let body = json!({
        "from": "15083084809", "to": { "type": "user", "name": format!("desk@{}", exchange.office.account.realm) },
        "call_hook": exchange.app.http("/call/dialled"), "referHook": exchange.app.http("/dial-refer/asked"),
        "sipRequestWithinDialogHook": exchange.app.http("/in-dialog"),
    });
    let path = exchange.rest.path("/Calls");
    let made = exchange.rest.request(reqwest::Method::POST, &path, Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let sid = made.json["sid"].as_str().unwrap().to_owned();
    let call = desk.incoming(SOON).await.expect("the phone does not ring").answer().await.unwrap();
    exchange.app.hears(&sid, "/call/dialled", 0, |_| true).await;
    call.request("MESSAGE", vec![("Content-Type".to_owned(), "text/plain".to_owned())], b"hello".to_vec())
        .await
        .unwrap();
    exchange.app.hears(&sid, "/in-dialog", 0, |_| true).await;
    assert_eq!(call.refer("<sip:one@example.com>", Vec::new()).await.unwrap().code, 202);
    exchange.app.hears(&sid, "/dial-refer/asked", 0, |_| true).await;
    let code = match call.refer("<sip:two@example.com>", Vec::new()).await {
        Ok(answer) => answer.code,
        Err(phone::CallError::Refused { code, .. }) => code,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(code, 491, "while the first is being decided");
    exchange.app.release("/dial-refer/asked");
    let (_, body) = received(&call, "NOTIFY").await;
    assert!(body.starts_with("SIP/2.0 200"), "{body}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_within_the_dialog_go_both_ways() {
    let exchange = Exchange::open().await;
    let waits = json!([
        { "verb": "config", "sipRequestWithinDialogHook": "/in-dialog" }, { "verb": "pause", "length": 60 },
    ]);
    let caller = exchange.runs("caller", waits, Mouth::Silence).await;
    let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned()), ("X-Case".to_owned(), "7".to_owned())];
    caller.call.request("MESSAGE", headers, b"hello".to_vec()).await.unwrap();
    let told = exchange.app.hears(&caller.sid, "/in-dialog", caller.mark, |_| true).await;
    assert!(told.raw.contains("MESSAGE") && told.raw.contains("hello"), "{}", told.raw);
    let body = json!({ "sip_request": { "method": "INFO", "content_type": "text/plain", "content": "news", "headers": { "X-Case": "8" } } });
    let reply = exchange.rest.try_update(&caller.sid, body).await;
    assert_eq!((reply.status, &reply.json["status"]), (200, &json!(200)), "{reply:?}");
    let (fields, body) = received(&caller.call, "INFO").await;
    assert_eq!((field(&fields, "X-Case"), field(&fields, "Content-Type"), body.as_str()), ("8", "text/plain", "news"));
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_plays_its_music_until_the_answer_and_ends_at_its_limit() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    exchange.client("agent").await;
    let agents = exchange.connect("agent", voice(a)).await;
    let url = exchange.tone("/ringing.wav", music);
    let name = format!("agent@{}", exchange.office.account.realm);
    let dial = json!([{
        "verb": "dial", "target": [{ "type": "user", "name": name }], "dialMusic": url, "timeLimit": 3,
        "callerId": "15550100", "headers": { "X-Case": "7" }, "actionHook": "/dial/done",
    }]);
    let caller = exchange.runs("caller", dial, voice(c)).await;
    let since = Instant::now();
    let incoming = agents.incoming(SOON).await.expect("the agent's phone does not ring");
    assert_eq!(incoming.headers().get("X-Case"), Some("7"));
    assert!(incoming.from().contains("15550100"), "{}", incoming.from());
    assert!(caller.call.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "no music while it rings");
    // From before the answer on: nothing can be too late for this.
    let answered = Instant::now();
    let agent = incoming.answer().await.unwrap();
    assert!(caller.call.ear().wait_heard(a, -30.0, answered, SOON).await.is_some(), "they are not connected");
    assert!(agent.ear().wait_heard(c, -30.0, answered, SOON).await.is_some(), "they are not connected");
    never_heard_since("the caller's music", &agent, music, answered).await;
    agent.wait_ended(SOON).await.expect("the limit ends the connection");
    assert!(answered.elapsed() >= Duration::from_millis(2_500), "it ended after {:?}", answered.elapsed());
    let done = exchange.app.hears(&caller.sid, "/dial/done", caller.mark, |_| true).await;
    assert_eq!((done.text("dial_call_status"), done.text("call_status")), ("completed", "in-progress"), "{}", done.raw);
    assert_eq!(done.data["duration"].as_u64(), Some(3), "{}", done.raw);
    // The caller's own call goes on.
    assert!(caller.call.ear().wait_more(25, SOON).await);
    exchange.closes().await;
}

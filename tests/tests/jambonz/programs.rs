//! Calls that programs make and look at: `POST`, `GET` and `DELETE …/Calls`, with plain requests and with both REST packages.

use phone::Mouth;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{hears, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::clients::Clients;
use system_tests::jambonz::exchange::{Exchange, verb};

async fn ringing_phone(exchange: &Exchange, name: &str, mouth: Mouth) -> phone::Phone {
    exchange.client(name).await;
    exchange.connect(name, mouth).await
}

fn user(exchange: &Exchange, name: &str) -> Value {
    json!({ "type": "user", "name": format!("{name}@{}", exchange.office.account.realm) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_calls_somebody_into_a_room_and_its_hooks_tell_how_it_goes() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let agent = ringing_phone(&exchange, "agent", voice(a)).await;
    let caller = exchange.joins("caller", json!({ "name": "support" }), voice(c)).await;
    exchange.app.verbs("/call/dialled", json!([verb("dialled", json!({ "name": "support", "memberTag": "agent" }))]));
    let path = exchange.rest.path("/Calls");
    let mark = exchange.app.mark();
    let body = json!({
        "from": "15083084809", "to": user(&exchange, "agent"), "call_hook": exchange.app.ws("/call/dialled"),
        "call_status_hook": exchange.app.http("/call-status/dialled"), "tag": { "orderId": 9 },
        "headers": { "X-Test": "1" }, "timeout": 30,
    });
    let made = exchange.rest.request(Method::POST, &path, Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let sid = made.json["sid"].as_str().unwrap().to_owned();
    assert!(made.json["callId"].is_string(), "{made:?}");
    let incoming = agent.incoming(SOON).await.expect("the phone does not ring");
    incoming.ring().await.unwrap();
    assert!(exchange.app.told().matching(|told| told.kind == "session:new" && told.call_sid == sid).is_empty());
    let call = incoming.answer().await.unwrap();
    let session = exchange.app.hears(&sid, "session:new", mark, |_| true).await;
    assert_eq!(
        (session.text("direction"), session.text("call_status"), &session.data["customerData"]["orderId"]),
        ("outbound", "in-progress", &json!(9)),
        "{}",
        session.raw
    );
    assert!(session.data.get("sip").is_none(), "{}", session.raw);
    exchange.native_event("member.joined", &sid).await;
    let two = [caller.heard(Some(c)), system_tests::ears::Heard { name: "agent", call: &call, tone: Some(a) }];
    hears("in the room", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    let statuses = |told: &[Told]| -> Vec<String> {
        told.iter()
            .filter(|told| told.name == "/call-status/dialled")
            .map(|told| told.text("call_status").to_owned())
            .collect()
    };
    // It is listed, counted and shown.
    for list in [path.clone(), format!("{path}/")] {
        let listed = exchange.rest.get(&list).await;
        let mine = listed.as_array().unwrap().iter().find(|one| one["call_sid"] == sid.as_str()).unwrap().clone();
        assert_eq!((&mine["direction"], &mine["call_status"]), (&json!("outbound"), &json!("in-progress")), "{mine}");
        assert!(mine["sip_status"].is_u64() && mine.get("customerData").is_none(), "{mine}");
    }
    let listed = exchange.rest.get(&format!("{path}?direction=inbound")).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let count = exchange.rest.get(&exchange.rest.path("/CallCount")).await;
    assert_eq!(count, json!({ "inbound": 1, "outbound": 1 }));
    let shown = exchange.rest.get(&format!("{path}/{sid}")).await;
    assert_eq!((&shown["call_sid"], &shown["account_sid"]), (&json!(sid), &json!(exchange.rest.account())), "{shown}");
    // DELETE hangs up.
    let gone = exchange.rest.request(Method::DELETE, &format!("{path}/{sid}"), None).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""), "{gone:?}");
    call.wait_ended(SOON).await.unwrap();
    exchange
        .app
        .told()
        .expect("completed", mark, SOON, |told| {
            told.name == "/call-status/dialled" && told.text("call_status") == "completed"
        })
        .await;
    let told = statuses(&exchange.app.told().all());
    assert_eq!(told.last().map(String::as_str), Some("completed"), "{told:?}");
    for status in ["trying", "ringing", "in-progress"] {
        assert!(told.contains(&status.to_owned()), "{told:?}");
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_calls_that_cannot_be_made_say_why() {
    let exchange = Exchange::open().await;
    ringing_phone(&exchange, "agent", Mouth::Silence).await;
    let to = user(&exchange, "agent");
    let hook = exchange.app.http("/call/x");
    let path = exchange.rest.path("/Calls");
    for (body, what) in [
        (json!({}), "nothing"),
        (json!({ "from": "1", "to": to }), "no application"),
        (json!({ "to": to, "call_hook": hook }), "no from"),
        (json!({ "from": "1", "call_hook": hook }), "no to"),
        (json!({ "from": "1", "to": { "type": "carrier pigeon" }, "call_hook": hook }), "an unknown type"),
        (json!({ "from": "1", "to": { "type": "user" }, "call_hook": hook }), "no name"),
        (json!({ "from": "1", "to": to, "call_hook": "/relative" }), "a relative hook"),
        (
            json!({ "from": "1", "to": to, "application_sid": "7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01" }),
            "no such application",
        ),
    ] {
        let reply = exchange.rest.request(Method::POST, &path, Some(body)).await;
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
        assert!(!reply.msg().is_empty(), "{what}: {reply:?}");
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_rest_packages_make_list_change_and_end_calls() {
    let exchange = Exchange::open().await;
    let agent = ringing_phone(&exchange, "agent", Mouth::Silence).await;
    exchange.app.verbs("/call/dialled", json!([{ "verb": "pause", "length": 60 }]));
    let mut clients = Clients::start(&exchange).await;
    for client in ["sdk", "node"] {
        let body = json!([{
            "from": "15083084809", "to": user(&exchange, "agent"),
            "call_hook": exchange.app.http("/call/dialled"), "call_status_hook": exchange.app.http("/call-status/dialled"),
        }]);
        let sid = clients.rest(client, "calls.create", body).await.unwrap();
        let sid = sid.as_str().unwrap().to_owned();
        let call = agent.incoming(SOON).await.unwrap().answer().await.unwrap();
        exchange.app.hears(&sid, "/call/dialled", 0, |_| true).await;
        let list = clients.rest(client, "calls.list", json!([])).await.unwrap();
        assert!(list.to_string().contains(&sid), "{client}: {list}");
        let one = if client == "sdk" { "calls.get" } else { "calls.retrieve" };
        let shown = clients.rest(client, one, json!([sid])).await.unwrap();
        assert_eq!(shown["call_sid"], sid.as_str(), "{client}: {shown}");
        let unknown = clients.rest(client, one, json!(["7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01"])).await.unwrap_err();
        assert!(
            unknown["message"].as_str().unwrap().contains(if client == "sdk" { "404" } else { "not found" }),
            "{unknown}"
        );
        if client == "sdk" {
            assert_eq!(
                clients.rest(client, "calls.count", json!([])).await.unwrap(),
                json!({ "inbound": 0, "outbound": 1 })
            );
            assert_eq!(clients.rest(client, "conferences.list", json!([])).await.unwrap(), json!([]));
            assert_eq!(clients.rest(client, "queues.list", json!([])).await.unwrap(), json!([]));
            clients.rest(client, "calls.mute", json!([sid, "mute"])).await.unwrap();
            clients.rest(client, "calls.delete", json!([sid])).await.unwrap();
        } else {
            clients.rest(client, "calls.update", json!([sid, { "mute_status": "mute" }])).await.unwrap();
            clients.rest(client, "calls.update", json!([sid, { "call_status": "completed" }])).await.unwrap();
        }
        call.wait_ended(SOON).await.unwrap();
    }
    // The packages' own paths for applications.
    let body = json!([{ "name": "by-package", "account_sid": exchange.rest.account(),
        "call_hook": { "url": exchange.app.http("/call/dialled"), "method": "POST" },
        "call_status_hook": { "url": exchange.app.http("/call-status/x"), "method": "POST" } }]);
    let application = clients.rest("node", "applications.create", body).await.unwrap();
    let listed = clients.rest("node", "applications.list", json!([])).await.unwrap();
    assert!(listed.to_string().contains(application.as_str().unwrap()), "{listed}");
    let shown = clients.rest("node", "applications.retrieve", json!([application])).await.unwrap();
    assert_eq!(shown["name"], "by-package", "{shown}");
    clients.rest("node", "applications.delete", json!([application])).await.unwrap();
    let refused =
        clients.rest("node", "messages.create", json!([{ "from": "1", "to": "2", "text": "x" }])).await.unwrap_err();
    assert!(!refused["message"].as_str().unwrap_or_default().is_empty(), "{refused}");
    exchange.closes_after(&clients).await;
}

//! Environment variables of applications: found by OPTIONS, kept in the application, told with every call.

use phone::Mouth;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::jambonz::app::{Answer, Told};
use system_tests::jambonz::clients::{Clients, Library};
use system_tests::jambonz::exchange::{Exchange, Via};

async fn discover(exchange: &Exchange, url: &str) -> system_tests::jambonz::rest::Reply {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("url", url).finish();
    exchange.rest.request(Method::GET, &format!("/AppEnv?{query}"), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_variables_are_asked_for_at_its_own_address_by_http_and_by_websocket() {
    let exchange = Exchange::open().await;
    let declared = json!({
        "ROOM_NAME": { "type": "string", "description": "The room", "default": "lobby" },
        "PIN": { "type": "number", "description": "", "required": true, "obscure": true },
        "/other": { "X": { "type": "string", "description": "of another path" } },
    });
    let shown = json!({
        "ROOM_NAME": { "type": "string", "description": "The room", "default": "lobby", "required": false, "obscure": false },
        "PIN": { "type": "number", "description": "", "required": true, "obscure": true },
    });
    exchange.app.answer("/app", Answer::Http(200, "application/json", declared.to_string()));
    for url in [exchange.app.http("/app"), exchange.app.ws("/app")] {
        let mark = exchange.app.mark();
        let reply = discover(&exchange, &url).await;
        assert_eq!((reply.status, &reply.json), (200, &shown), "{url}: {reply:?}");
        let asked = exchange.app.told().all().split_off(mark);
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!((asked[0].method.as_str(), asked[0].name.as_str()), ("OPTIONS", "/app"), "{asked:?}");
    }
    // The vendor's own package says them of a WebSocket application, whatever its path.
    let clients = Clients::start(&exchange).await;
    let reply = discover(&exchange, &clients.url(Library::Sdk, "/call/any")).await;
    let lobby = json!({ "ROOM_NAME": shown["ROOM_NAME"] });
    assert_eq!((reply.status, &reply.json), (200, &lobby), "{reply:?}");
    // One without any does not know the question.
    let reply = discover(&exchange, &clients.url(Library::NodeClientWs, "/call/any")).await;
    assert_eq!(reply.status, 502, "{reply:?}");
    exchange.closes_after(&clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_says_nothing_useful_of_its_variables_is_named_in_the_answer() {
    let exchange = Exchange::open().await;
    for (number, answer) in [
        Answer::Http(404, "text/plain", "no".to_owned()),
        Answer::Http(500, "application/json", "{}".to_owned()),
        Answer::Http(200, "text/html", "<p>hello</p>".to_owned()),
        Answer::Http(200, "application/json", "[]".to_owned()),
        Answer::Http(200, "application/json", r#"{"ROOM_NAME":"lobby"}"#.to_owned()),
        Answer::Http(200, "application/json", format!("{{\"A\":{{\"description\":\"{}\"}}}}", "x".repeat(70_000))),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/bad-{number}");
        exchange.app.answer(&path, answer.clone());
        let reply = discover(&exchange, &exchange.app.http(&path)).await;
        assert_eq!(reply.status, 502, "{answer:?}: {reply:?}");
        assert!(!reply.msg().is_empty(), "{answer:?}: {reply:?}");
    }
    let nobody = exchange.app.http("/x").replace(&exchange.app.port().to_string(), "9");
    assert_eq!(discover(&exchange, &nobody).await.status, 502);
    for url in ["", "/relative", "ftp://callcenter.test/", "nonsense"] {
        let reply = discover(&exchange, url).await;
        assert_eq!(reply.status, 400, "{url}: {reply:?}");
        assert!(!reply.msg().is_empty(), "{url}: {reply:?}");
    }
    // Where programs may not be, nobody is asked.
    let reply = discover(&exchange, "http://169.254.169.254/latest").await;
    assert!(matches!(reply.status, 400 | 502), "{reply:?}");
    assert!(reply.msg().contains("169.254.169.254") || reply.msg().contains("private"), "{reply:?}");
    let stranger = exchange.rest.with_token("not-a-key");
    let reply = stranger.request(Method::GET, "/AppEnv?url=http://callcenter.test/", None).await;
    assert_eq!(reply.status, 401, "{reply:?}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_was_given_comes_with_the_first_message_of_each_call_as_it_was_written() {
    let exchange = Exchange::open().await;
    let values: Value = json!({ "ROOM_NAME": "vip", "PIN": 7, "camelCase": true, "deep_key": "äöü \"x\"" });
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let path = format!("/call/{name}");
        let (url, method) = match via {
            Via::Socket => (exchange.app.ws(&path), "WS"),
            Via::Http => (exchange.app.http(&path), "POST"),
        };
        let hook = json!({ "url": url, "method": method });
        let states = json!({ "url": exchange.app.http(&format!("/call-status/{name}")), "method": "POST" });
        let sid = exchange.application(&name, hook, states, json!({ "env_vars": values })).await;
        exchange.client(&name).await;
        exchange.app.verbs(&path, json!([{ "verb": "answer" }, { "verb": "pause", "length": 30 }]));
        for (round, expected) in [&values, &json!({ "ROOM_NAME": "other" })].into_iter().enumerate() {
            if round == 1 {
                let change = json!({ "env_vars": expected });
                let reply = exchange.rest.request(Method::PUT, &format!("/Applications/{sid}"), Some(change)).await;
                assert_eq!(reply.status, 204, "{reply:?}");
            }
            let phone = exchange.connect(&name, Mouth::Silence).await;
            let caller = exchange.dials(&name, phone).await;
            caller.answered().await;
            let asked = |told: &Told| told.call_sid == caller.sid && told.name == path;
            let first = exchange.app.told().matching(asked);
            assert_eq!(&first[0].data["env_vars"], expected, "{via:?}: {}", first[0].raw);
            // Later messages do not repeat it.
            caller.call.hangup().await.unwrap();
            let done = exchange
                .app
                .told()
                .expect("completed", caller.mark, system_tests::SOON, |told| {
                    told.call_sid == caller.sid && told.text("call_status") == "completed"
                })
                .await;
            assert!(done.data.get("env_vars").is_none(), "{}", done.raw);
        }
    }
    exchange.closes().await;
}

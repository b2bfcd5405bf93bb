//! Keys and accounts: who may do nothing at all, and who may do nothing to others.

use phone::Mouth;
use reqwest::Method;
use serde_json::json;
use system_tests::ears::{hears, stays_silent, tones, voice};
use system_tests::jambonz::exchange::Exchange;
use system_tests::server::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_unauthorized_everywhere() {
    let exchange = Exchange::open().await;
    let caller = exchange.joins("caller", json!({ "name": "support" }), Mouth::Silence).await;
    let call = format!("/Calls/{}", caller.call_uuid);
    let key = exchange.rest.token().to_owned();
    let longer = format!("{key}x");
    for token in
        ["", "x", "00000000-0000-4000-8000-000000000000", &longer, &key[1..], exchange.office.account.key.as_str()]
    {
        let rest = exchange.rest.with_token(token);
        for (method, path) in [
            (Method::GET, rest.path("/Calls")),
            (Method::GET, rest.path("/Conferences")),
            (Method::PUT, rest.path(&call)),
            (Method::DELETE, rest.path(&call)),
            (Method::POST, rest.room("support", "/listen")),
            (Method::GET, "/Accounts".to_owned()),
            (Method::POST, "/ApiKeys".to_owned()),
        ] {
            let body = (method != Method::GET).then(|| json!({ "mute_status": "mute" }));
            let reply = rest.request(method.clone(), &path, body).await;
            assert_eq!(
                (reply.status, reply.text.as_str()),
                (401, "Unauthorized"),
                "{token:?} {method} {path}: {reply:?}"
            );
        }
    }
    let shown = exchange.office.native.get(&format!("/rooms/{}", caller.room)).await;
    assert_eq!(shown["member_list"][0]["muted"], false, "{shown}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_sids_are_not_found_and_its_paths_are_forbidden() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    let theirs = exchange.another("theirs").await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), Mouth::Silence).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), Mouth::Silence).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(s)).await;
    let uncoach = json!({ "conferenceParticipantAction": { "action": "uncoach" } });
    let call = format!("/Calls/{}", coach.call_uuid);
    // Under their own account the sid is unknown.
    for (method, path, body) in [
        (Method::GET, theirs.path(&call), None),
        (Method::PUT, theirs.path(&call), Some(uncoach.clone())),
        (Method::POST, theirs.path(&call), Some(uncoach.clone())),
        (Method::DELETE, theirs.path(&call), None),
        (Method::POST, theirs.room("support", "/listen"), Some(json!({ "url": exchange.app.ws("/tap") }))),
        (Method::DELETE, theirs.room("support", "/listen"), None),
    ] {
        let reply = theirs.request(method.clone(), &path, body).await;
        assert_eq!(reply.status, 404, "{method} {path}: {reply:?}");
    }
    // Our account is not theirs to ask about.
    let trespass = theirs.of_account(exchange.rest.account());
    for (method, path, body) in [
        (Method::GET, trespass.path("/Calls"), None),
        (Method::GET, trespass.path("/Conferences"), None),
        (Method::GET, trespass.path("/Queues"), None),
        (Method::GET, trespass.path("/WebhookSecret"), None),
        (Method::GET, trespass.path(""), None),
        (Method::GET, trespass.path("/ApiKeys"), None),
        (Method::PUT, trespass.path(&call), Some(uncoach.clone())),
        (Method::DELETE, trespass.path(&call), None),
        (
            Method::POST,
            trespass.path("/Calls"),
            Some(json!({ "from": "1", "to": { "type": "user", "name": "x" }, "call_hook": "http://x.example/" })),
        ),
        (Method::POST, trespass.room("support", "/listen"), Some(json!({ "url": exchange.app.ws("/tap") }))),
    ] {
        let reply = theirs.request(method.clone(), &path, body).await;
        assert_eq!(reply.status, 403, "{method} {path}: {reply:?}");
        assert_eq!(reply.msg(), "insufficient permissions", "{method} {path}: {reply:?}");
    }
    // Things of ours by sid, at the top level.
    for kind in ["/Applications", "/Clients"] {
        let ours = exchange.rest.get(kind).await;
        let first = ours.as_array().unwrap()[0].clone();
        let sid = ["application_sid", "client_sid"].iter().find_map(|name| first[*name].as_str()).unwrap().to_owned();
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let reply = theirs
                .request(method.clone(), &format!("{kind}/{sid}"), (method == Method::PUT).then(|| json!({})))
                .await;
            assert!(matches!(reply.status, 403 | 404), "{method} {kind}: {reply:?}");
        }
        let listed = theirs.get(kind).await;
        assert!(!listed.to_string().contains(&sid), "{listed}");
        let body = json!({ "name": "intruder", "username": "intruder", "password": PASSWORD, "account_sid": exchange.rest.account(),
            "call_hook": { "url": "http://x.example/" }, "call_status_hook": { "url": "http://x.example/" } });
        let made = theirs.request(Method::POST, kind, Some(body)).await;
        assert!(matches!(made.status, 400 | 403), "{kind} in another's account: {made:?}");
    }
    assert!(exchange.app.sinks().all().is_empty(), "a stranger's tap was opened");
    let three = [customer.heard(None), agent.heard(None), coach.heard(Some(s))];
    hears("after all attempts", &three, &[("agent", "coach")]).await;
    stays_silent("the customer", &customer.call, 25).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sids_that_are_none_and_calls_that_are_unknown_or_over_have_the_vendors_answers() {
    let exchange = Exchange::open().await;
    let rest = &exchange.rest;
    let mute = || Some(json!({ "mute_status": "mute" }));
    for (method, body) in [(Method::GET, None), (Method::PUT, mute()), (Method::POST, mute()), (Method::DELETE, None)] {
        for sid in ["x", "7d3b0c1e-6f5a-4a62-9d0e", "..%2F..%2FAccounts"] {
            let reply = rest.request(method.clone(), &rest.path(&format!("/Calls/{sid}")), body.clone()).await;
            assert_eq!((reply.status, reply.msg()), (400, "Bad request"), "{method} {sid}: {reply:?}");
        }
        let path = rest.path("/Calls/7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01");
        let reply = rest.request(method.clone(), &path, body).await;
        assert_eq!((reply.status, reply.text.as_str()), (404, "Not Found"), "{method}: {reply:?}");
    }
    // A live call that is in no room takes the action and does nothing, as the vendor's does.
    let caller = exchange.runs("caller", json!([{ "verb": "pause", "length": 60 }]), Mouth::Silence).await;
    rest.action(&caller.sid, json!({ "action": "coach", "tag": "agent" })).await;
    caller.call.hangup().await.unwrap();
    exchange.native_event("call.ended", &caller.sid).await;
    let over = rest.try_update(&caller.sid, json!({ "mute_status": "mute" })).await;
    assert!(matches!(over.status, 404 | 422), "{over:?}");
    let shown = rest.get(&rest.path(&format!("/Calls/{}", caller.sid))).await;
    assert_eq!(shown["call_status"], "completed", "{shown}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_shown_once_and_deleted_keys_are_dead() {
    let exchange = Exchange::open().await;
    let rest = &exchange.rest;
    let made = rest.request(Method::POST, "/ApiKeys", Some(json!({ "account_sid": rest.account() }))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (sid, token) = (made.json["sid"].as_str().unwrap(), made.json["token"].as_str().unwrap());
    let other = rest.with_token(token);
    assert_eq!(other.get(&other.path("/Calls")).await, json!([]));
    let listed = rest.get(&rest.path("/ApiKeys")).await;
    assert!(listed.to_string().contains(sid) && !listed.to_string().contains(token), "{listed}");
    let gone = rest.request(Method::DELETE, &format!("/ApiKeys/{sid}"), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(other.request(Method::GET, &other.path("/Calls"), None).await.status, 401);
    let expired =
        rest.request(Method::POST, "/ApiKeys", Some(json!({ "account_sid": rest.account(), "expiry_secs": 1 }))).await;
    assert_eq!(expired.status, 201, "{expired:?}");
    let short = rest.with_token(expired.json["token"].as_str().unwrap());
    let end = std::time::Instant::now() + system_tests::SOON;
    while short.request(Method::GET, &short.path("/Calls"), None).await.status != 401 {
        assert!(std::time::Instant::now() < end, "a key outlives its time");
        // A key's end has no event to wait for.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    exchange.closes().await;
}

//! Who may ask, and how often.

use std::time::Duration;

use jambonz::rest::Rate;
use serde_json::{Value as Json, json};

use crate::desk::Desk;

#[tokio::test]
async fn without_a_good_key_there_is_nothing_but_unauthorized() {
    let desk = Desk::open().await;
    let paths =
        ["/Accounts", &format!("/Accounts/{}/Calls", desk.sid()), "/Applications/", "/ApiKeys", "/AppEnv?url=x"];
    let basic = format!("Basic {}", desk.key);
    let hash = format!("Bearer {}", desk.store.bearer_keys(Some(desk.account.id)).await.unwrap()[0].hash);
    for authorization in
        [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Bearer x"), Some(&*basic), Some(&*hash)]
    {
        for path in paths {
            let said = desk.send(authorization, "GET", path, String::new()).await;
            assert_eq!((said.status, said.text.as_str()), (401, "Unauthorized"), "{authorization:?} {path}");
            assert!(said.kind.starts_with("text/plain"), "{said:?}");
        }
    }
}

#[tokio::test]
async fn a_key_is_shown_once_works_at_once_and_can_be_deleted() {
    let desk = Desk::open().await;
    let path = format!("/Accounts/{}/ApiKeys", desk.sid());
    for (path, body) in [(&*path, Json::Null), ("/ApiKeys", json!({ "account_sid": desk.sid(), "expiry_secs": 60 }))] {
        let made = desk.ask("POST", path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        let (sid, token) = (made["sid"].as_str().unwrap(), made["token"].as_str().unwrap());
        assert_eq!((sid.len(), token.len()), (36, 36));
        assert_eq!(desk.ask_as(token, "GET", &format!("/Accounts/{}", desk.sid()), Json::Null).await.status, 200);
        let list = desk.get(&format!("/Accounts/{}/ApiKeys", desk.sid())).await;
        assert!(list.text.contains(sid) && !list.text.contains(token), "{list:?}");
        assert_eq!(desk.ask_as(&desk.others_key, "DELETE", &format!("/ApiKeys/{sid}"), Json::Null).await.status, 404);
        let gone = desk.ask("DELETE", &format!("/ApiKeys/{sid}"), Json::Null).await;
        assert_eq!((gone.status, gone.text.as_str()), (204, ""));
        assert_eq!(desk.ask_as(token, "GET", "/Accounts", Json::Null).await.status, 401);
    }
    // An account makes no key for another, nor one for all.
    let stolen = json!({ "account_sid": desk.other.id.to_string() });
    assert_eq!(desk.ask("POST", "/ApiKeys", stolen).await.status, 403);
    let own = desk.ask("POST", "/ApiKeys", json!({})).await.json();
    let seen = desk.ask_as(own["token"].as_str().unwrap(), "GET", "/Accounts", Json::Null).await.json();
    assert_eq!(seen.as_array().map(Vec::len), Some(1), "{seen}");
    for wrong in [json!(0), json!(-5), json!("x"), json!(1e300)] {
        assert_eq!(desk.ask("POST", "/ApiKeys", json!({ "expiry_secs": wrong })).await.status, 400);
    }
    // The operator makes both.
    let body = json!({ "account_sid": desk.other.id.to_string() });
    assert_eq!(desk.ask_as(&desk.operator, "POST", "/ApiKeys", body).await.status, 201);
    let all = desk.ask_as(&desk.operator, "POST", "/ApiKeys", json!({})).await.json();
    let seen = desk.ask_as(all["token"].as_str().unwrap(), "GET", "/Accounts", Json::Null).await.json();
    assert_eq!(seen.as_array().map(Vec::len), Some(2), "{seen}");
    let foreign = desk.ask("DELETE", &format!("/ApiKeys/{}", all["sid"].as_str().unwrap()), Json::Null).await;
    assert_eq!(foreign.status, 404, "the operator's key is none of an account's");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up() {
    let desk = Desk::with_rate(Rate { burst: 3, window: Duration::from_secs(3600) }).await;
    for _ in 0..3 {
        assert_eq!(desk.get("/Accounts").await.status, 200);
    }
    let refused = desk.get("/Accounts").await;
    assert_eq!(refused.status, 429);
    assert!(refused.msg().contains("too many requests"));
    assert_eq!(desk.ask_as(&desk.others_key, "GET", "/Accounts", Json::Null).await.status, 200);
    assert_eq!(desk.ask_as(&desk.operator, "GET", "/Accounts", Json::Null).await.status, 200);
}

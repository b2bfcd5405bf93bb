//! What the jambonz REST interface needs of the store: keys without a trace of the token, ids that belong to one account.

mod support;

use std::time::Duration;

use serde_json::json;
use store::{
    Account, Application, BearerKey, Dialect, Endpoint, Gateway, Life, Method, NewEvent, Number, Page, Store,
    StoreConfig, StoreError, TimeRange, Transport, Trunk,
};
use support::{Directory, account, at, call, open};

#[tokio::test]
async fn a_bearer_key_leads_to_its_account_and_is_in_the_file_only_as_a_hash() {
    let directory = Directory::new();
    let path = directory.file("aside.db");
    let store = Store::open(&path, StoreConfig::default()).expect("open");
    let owner = account(&store, "a").await;
    let (key, token) = BearerKey::generate(Some(owner), at(0));
    let (operator, operators_token) = BearerKey::generate(None, at(0));
    let (mut short, shorts_token) = BearerKey::generate(Some(owner), at(1));
    short.expires_at = Some(at(10));
    let batch =
        store.batch().put_bearer_key(key.clone()).put_bearer_key(operator.clone()).put_bearer_key(short.clone());
    batch.commit().await.expect("stored");
    assert_eq!(token.reveal().len(), 36);

    let found = |token: &str, now| {
        let (store, token) = (store.clone(), token.to_owned());
        async move { store.authenticate_bearer_key(&token, now).await.expect("read") }
    };
    assert_eq!(found(token.reveal(), at(5)).await, Some(key.clone()));
    assert_eq!(found(operators_token.reveal(), at(5)).await, Some(operator.clone()));
    assert_eq!(found(shorts_token.reveal(), at(9)).await, Some(short.clone()));
    assert_eq!(found(shorts_token.reveal(), at(10)).await, None, "it has expired");
    for wrong in ["", &key.hash, &key.sid.to_string(), &token.reveal().to_uppercase()] {
        assert_eq!(found(wrong, at(5)).await, None, "{wrong}");
    }
    assert_eq!(store.bearer_keys(Some(owner)).await, Ok(vec![key.clone(), short]));
    assert_eq!(store.bearer_keys(None).await, Ok(vec![operator.clone()]));

    assert!(key.needs_touch(at(5)));
    store.batch().touch_bearer_key(key.sid, at(5)).commit().await.expect("noted");
    let touched = store.bearer_key(key.sid).await.expect("read").expect("there");
    assert!(!touched.needs_touch(at(5).plus(Duration::from_secs(59))) && touched.needs_touch(at(66)));

    let other = account(&store, "b").await;
    for wrong in [Some(other), None] {
        let refused = store.batch().delete_bearer_key(wrong, key.sid).commit().await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    let mut disabled = store.account(owner).await.expect("read").expect("there");
    disabled.enabled = false;
    store.batch().put_account(disabled).commit().await.expect("stored");
    assert_eq!(found(token.reveal(), at(5)).await, None, "its account is disabled");
    store.batch().delete_bearer_key(Some(owner), key.sid).commit().await.expect("deleted");
    assert_eq!(store.bearer_key(key.sid).await, Ok(None));
    store.shutdown().await.expect("shutdown");
    for entry in std::fs::read_dir(path.parent().expect("a directory")).expect("readable") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        for token in [&token, &operators_token, &shorts_token] {
            let wanted = token.reveal().as_bytes();
            assert!(!bytes.windows(wanted.len()).any(|part| part == wanted), "the token is in the file");
        }
    }
}

#[tokio::test]
async fn sids_lead_to_rows_of_their_own_account_alone() {
    let store = open();
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let (endpoint, number) = (Endpoint::new(a, "alice", at(0)), Number::new(a, "14155550100", at(0)));
    store.batch().put_endpoint(endpoint.clone(), None).put_number(number.clone()).commit().await.expect("stored");
    assert_eq!(store.endpoint_by_sid(a, endpoint.sid).await, Ok(Some(endpoint.clone())));
    assert_eq!(store.number_by_sid(a, number.sid).await, Ok(Some(number.clone())));
    assert_eq!(store.endpoint_by_sid(b, endpoint.sid).await, Ok(None));
    assert_eq!(store.number_by_sid(b, number.sid).await, Ok(None));
    let stolen = Endpoint { account: b, endpoint_id: store::id::endpoint_id(), username: "bob".to_owned(), ..endpoint };
    let refused = store.batch().put_endpoint(stolen, None).commit().await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_web_socket_is_a_method_of_jambonz_applications_alone() {
    let store = open();
    let owner = account(&store, "a").await;
    let mut app = Application::new(owner, "app", Dialect::Plivo, "http://app.test/", at(0));
    app.answer_method = Method::Ws;
    let refused = store.batch().put_application(app.clone()).commit().await;
    assert!(matches!(refused, Err(StoreError::Invalid { what: "method", .. })), "{refused:?}");
    app.dialect = Dialect::Jambonz;
    store.batch().put_application(app.clone()).commit().await.expect("stored");
    assert_eq!(store.application(owner, &app.app_id).await, Ok(Some(app)));
}

#[tokio::test]
async fn gateways_are_kept_with_their_trunk() {
    let store = open();
    let owner = account(&store, "a").await;
    let mut carrier = Trunk::new(owner, "carrier", at(0));
    let gateway = Gateway {
        sid: store::id::uuid(),
        address: "192.0.2.0".to_owned(),
        netmask: 24,
        port: None,
        transport: Transport::Udp,
        inbound: true,
        outbound: false,
        active: true,
    };
    carrier.set_gateways(vec![gateway.clone()]).expect("a gateway");
    store.batch().put_trunk(carrier.clone()).commit().await.expect("stored");
    let kept = store.trunk(owner, carrier.id).await.expect("read").expect("there");
    assert_eq!(kept.gateways(), [gateway]);
    assert_eq!(store.trunk_sources().await, Ok(vec!["192.0.2.0/24".parse().expect("block")]));
}

#[tokio::test]
async fn ended_calls_and_warnings_are_listed_from_a_time_on_for_their_account_alone() {
    let store = open();
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let ended = |account, end| store::CallRecord { state: Life::Ended, ended_at: Some(at(end)), ..call(account) };
    let (early, late, live, other) = (ended(a, 10), ended(a, 30), call(a), ended(b, 30));
    let warning = |account, when| NewEvent {
        account,
        room: None,
        call: None,
        kind: "warning".to_owned(),
        payload: json!({ "detail": when }),
        created_at: at(when),
    };
    let mut batch = store.batch();
    for call in [&early, &late, &live, &other] {
        batch = batch.put_call(call.clone());
    }
    let batch = batch.append_event(warning(a, 10)).append_event(warning(a, 30)).append_event(warning(b, 30));
    batch.append_event(NewEvent { kind: "call.ended".to_owned(), ..warning(a, 30) }).commit().await.expect("stored");
    assert_eq!(store.ended_calls(a, at(20)).await, Ok(vec![late.clone()]));
    assert_eq!(store.ended_calls(a, at(10)).await, Ok(vec![late, early]));
    let when = |gte| TimeRange { gte: Some(at(gte)), ..TimeRange::default() };
    let told = store.warnings(a, when(0), Page::first(1)).await.expect("read");
    assert_eq!((told.total, told.items[0].created_at), (2, at(30)));
    assert_eq!(store.warnings(a, when(20), Page::default()).await.map(|list| list.total), Ok(1));
}

#[tokio::test]
async fn a_realm_is_a_domain_and_none_that_all_accounts_share() {
    let shared = ["phone.plivo.com".to_owned()];
    assert_eq!(Account::check_realm("Sip.Example.COM", &shared).as_deref(), Ok("sip.example.com"));
    for wrong in ["", "a b", "a..b", "-é.test", "Phone.Plivo.com"] {
        assert!(Account::check_realm(wrong, &shared).is_err(), "{wrong}");
    }
}

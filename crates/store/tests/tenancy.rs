//! Promise: every row is under an account; no id of another account is ever answered, changed or deleted.

mod support;

use serde_json::json;
use store::{
    Account, ActorKind, Application, Binding, CallerIdRules, Credential, Dialect, Endpoint, EventId, LedgerEntry,
    LedgerId, LedgerKind, MemberFilter, Number, Page, RoomFilter, RoomStatus, SHARED_REALMS, StoreError, Transport,
    Trunk, TrunkGrant,
};
use support::{account, at, call, delivery, event, member, open, room};

fn trunk(account: store::AccountId) -> Trunk {
    Trunk {
        sources: vec!["192.0.2.0/24".parse().expect("block")],
        host: Some("sip.carrier.test".to_owned()),
        port: Some(5060),
        transport: Transport::Udp,
        username: Some("user".to_owned()),
        password: Some(store::Secret::new("pass")),
        caller_id: CallerIdRules::default(),
        allowed_prefixes: vec!["1415".to_owned(), "44".to_owned()],
        max_calls_per_second: 2,
        max_concurrent: 10,
        ..Trunk::new(account, "carrier", at(0))
    }
}

#[tokio::test]
async fn two_accounts_have_rooms_of_the_same_name() {
    let store = open();
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let (hall_a, hall_b) = (room(a, "hall"), room(b, "hall"));
    store.batch().put_room(hall_a.clone()).put_room(hall_b.clone()).commit().await.expect("both are stored");
    assert_eq!(store.live_room(a, "hall").await, Ok(Some(hall_a.clone())));
    assert_eq!(store.live_room(b, "hall").await, Ok(Some(hall_b)));

    // In one account the name is taken until that life ends.
    let again = room(a, "hall");
    let taken = store.batch().put_room(again.clone()).commit().await;
    assert!(matches!(taken, Err(StoreError::Conflict { what: "storing a room", .. })), "{taken:?}");
    let mut ended = hall_a;
    (ended.status, ended.ended_at) = (RoomStatus::Ended, Some(at(5)));
    store.batch().put_room(ended.clone()).put_room(again.clone()).commit().await.expect("the name is free again");
    assert_eq!(store.live_room(a, "hall").await, Ok(Some(again)));
    assert_eq!(store.room(a, ended.id).await, Ok(Some(ended)));
}

#[tokio::test]
async fn ids_of_another_account_are_never_answered() {
    let store = open();
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let (hall, leg) = (room(a, "hall"), call(a));
    let inside = member(&hall, 1, store.reserve_member_ids(a, 1).await.expect("reserved"), leg.id);
    let application = Application::new(a, "app", Dialect::Plivo, "http://app.test/answer", at(0));
    let mut endpoint = Endpoint::new(a, "alice", at(0));
    endpoint.app_id = Some(application.app_id.clone());
    let credentials = Credential::derive("alice", "pw", ["a.sip.test", SHARED_REALMS[0]]);
    let binding = Binding {
        account: a,
        endpoint_id: endpoint.endpoint_id.clone(),
        contact: "sip:alice@192.0.2.7:5060".to_owned(),
        source: "192.0.2.7:5060".to_owned(),
        transport: "udp".to_owned(),
        call_id: "c1".to_owned(),
        cseq: 1,
        user_agent: None,
        path: vec![],
        expires_at: at(3600),
        updated_at: at(0),
    };
    let carrier = trunk(a);
    let number = Number {
        app_id: Some(application.app_id.clone()),
        trunk: Some(carrier.id),
        ..Number::new(a, "14155550123", at(0))
    };
    let entry = LedgerEntry {
        id: LedgerId(0),
        account: a,
        room: hall.id,
        shard: 0,
        tick: 5,
        at: at(1),
        who_kind: ActorKind::Server,
        who_id: "rule".to_owned(),
        command_id: None,
        kind: LedgerKind::Snapshot,
        change: json!({}),
    };
    let (key, _) = store::ApiKey::generate(a, "k", store::Scopes::default(), at(0));
    let done = store
        .batch()
        .put_room(hall.clone())
        .put_call(leg.clone())
        .put_member(inside.clone())
        .put_application(application.clone())
        .put_endpoint(endpoint.clone(), Some(credentials))
        .put_binding(binding.clone())
        .put_trunk(carrier.clone())
        .put_number(number.clone())
        .put_api_key(key.clone())
        .append_ledger(entry)
        .append_event(event(a, Some(hall.id), "room.created"))
        .deliver(delivery(a, hall.id, "http://hook.test", "x", at(0)))
        .commit()
        .await
        .expect("stored");
    let callback = done.delivery_ids[0];
    let all = MemberFilter::default();

    // The owner finds every row.
    assert_eq!(store.room(a, hall.id).await, Ok(Some(hall.clone())));
    assert_eq!(store.call(a, leg.id).await, Ok(Some(leg.clone())));
    assert_eq!(store.member(a, hall.id, inside.member_id).await, Ok(Some(inside.clone())));
    assert_eq!(store.members(a, hall.id, all, Page::default()).await.map(|list| list.items), Ok(vec![inside.clone()]));
    assert_eq!(store.members_of_call(a, leg.id).await, Ok(vec![inside.clone()]));
    assert_eq!(store.application(a, &application.app_id).await, Ok(Some(application.clone())));
    assert_eq!(store.application_by_sid(a, application.sid).await, Ok(Some(application.clone())));
    assert_eq!(store.endpoint(a, &endpoint.endpoint_id).await, Ok(Some(endpoint.clone())));
    assert_eq!(store.bindings(a, &endpoint.endpoint_id, at(1)).await, Ok(vec![binding.clone()]));
    assert_eq!(store.trunk(a, carrier.id).await, Ok(Some(carrier.clone())));
    assert_eq!(store.number(a, &number.number).await, Ok(Some(number.clone())));
    assert_eq!(store.api_key(a, &key.id).await, Ok(Some(key.clone())));
    assert_eq!(store.ledger_at(a, hall.id, at(2)).await.map(|view| view.base.is_some()), Ok(true));
    assert!(store.delivery(a, callback).await.expect("read").is_some());

    // The other account finds none.
    assert_eq!(store.room(b, hall.id).await, Ok(None));
    assert_eq!(store.rooms(b, RoomFilter::default(), Page::default()).await.map(|list| list.total), Ok(0));
    assert_eq!(store.call(b, leg.id).await, Ok(None));
    assert_eq!(store.calls(b, store::CallFilter::default(), Page::default()).await.map(|list| list.total), Ok(0));
    assert_eq!(store.member(b, hall.id, inside.member_id).await, Ok(None));
    assert_eq!(store.members(b, hall.id, all, Page::default()).await.map(|list| list.total), Ok(0));
    assert_eq!(store.members_of_call(b, leg.id).await, Ok(vec![]));
    assert_eq!(store.application(b, &application.app_id).await, Ok(None));
    assert_eq!(store.application_by_sid(b, application.sid).await, Ok(None));
    assert_eq!(store.application_by_name(b, "app").await, Ok(None));
    assert_eq!(store.endpoint(b, &endpoint.endpoint_id).await, Ok(None));
    assert_eq!(store.endpoint_by_username(b, "alice").await, Ok(None));
    assert_eq!(store.bindings(b, &endpoint.endpoint_id, at(1)).await, Ok(vec![]));
    assert_eq!(store.account_bindings(b, at(1)).await, Ok(vec![]));
    assert_eq!(store.trunk(b, carrier.id).await, Ok(None));
    assert_eq!(store.usable_trunks(b).await, Ok(vec![]));
    assert_eq!(store.number(b, &number.number).await, Ok(None));
    assert_eq!(store.api_key(b, &key.id).await, Ok(None));
    assert_eq!(store.ledger_at(b, hall.id, at(2)).await, Ok(store::LedgerView::default()));
    assert_eq!(store.ledger_between(b, hall.id, at(0), at(9), LedgerId(0), 10).await, Ok(vec![]));
    assert_eq!(store.events_after(b, None, EventId(0), 10).await.map(|page| page.events), Ok(vec![]));
    assert_eq!(store.events_after(b, Some(hall.id), EventId(0), 10).await.map(|page| page.events), Ok(vec![]));
    assert_eq!(store.delivery(b, callback).await, Ok(None));

    // Nor does it change or delete any.
    for batch in [
        store.batch().delete_application(b, &application.app_id),
        store.batch().delete_endpoint(b, &endpoint.endpoint_id),
        store.batch().delete_binding(b, &endpoint.endpoint_id, &binding.contact),
        store.batch().delete_trunk(b, carrier.id),
        store.batch().delete_number(b, &number.number),
        store.batch().delete_api_key(b, &key.id),
    ] {
        let refused = batch.commit().await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    assert!(matches!(store.mark_done(b, callback, at(1)).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.mark_failed(b, callback, at(1), "x").await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.mark_retry(b, callback, 0, at(1), at(2), "x").await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.replay(b, callback, at(1)).await, Err(StoreError::NotFound { .. })));
    let grant = TrunkGrant {
        account: b,
        trunk: carrier.id,
        allowed_prefixes: vec!["44".to_owned()],
        max_calls_per_second: 1,
        max_concurrent: 1,
    };
    assert!(store.batch().grant_trunk(b, grant.clone()).commit().await.is_err(), "nobody gives himself leave");

    // A row of B with A's id, or pointing at A's rows, takes nothing from A.
    let mut stolen_room = room(b, "hall");
    stolen_room.id = hall.id;
    let mut stolen_call = call(b);
    stolen_call.id = leg.id;
    store.batch().put_room(stolen_room).put_call(stolen_call).commit().await.expect("B's own rows");
    assert_eq!(store.room(a, hall.id).await, Ok(Some(hall.clone())));
    assert_eq!(store.call(a, leg.id).await, Ok(Some(leg.clone())));
    let mut stolen_app = application.clone();
    stolen_app.account = b;
    assert!(matches!(store.batch().put_application(stolen_app).commit().await, Err(StoreError::Conflict { .. })));
    let mut stolen_number = number.clone();
    (stolen_number.account, stolen_number.app_id, stolen_number.trunk) = (b, None, None);
    stolen_number.sid = store::id::uuid();
    assert!(matches!(store.batch().put_number(stolen_number.clone()).commit().await, Err(StoreError::Conflict { .. })));
    stolen_number.number = "14155550199".to_owned();
    stolen_number.app_id = Some(application.app_id.clone());
    assert!(matches!(
        store.batch().put_number(stolen_number.clone()).commit().await,
        Err(StoreError::MissingReference { .. })
    ));
    (stolen_number.app_id, stolen_number.trunk) = (None, Some(carrier.id));
    assert!(matches!(store.batch().put_number(stolen_number).commit().await, Err(StoreError::MissingReference { .. })));
    let mut foreign_member = member(&hall, 9, 9, leg.id);
    (foreign_member.account, foreign_member.room) = (b, store::RoomId::generate());
    assert!(matches!(
        store.batch().put_member(foreign_member).commit().await,
        Err(StoreError::MissingReference { .. })
    ));

    // With leave, B uses the trunk, within both lists.
    store.batch().grant_trunk(a, grant.clone()).commit().await.expect("A gives leave");
    let usable = store.usable_trunks(b).await.expect("read").remove(0);
    assert_eq!(usable.grant, Some(grant));
    assert!(usable.permits("442071234567") && !usable.permits("14155550123") && !usable.permits("33123456789"));
    assert!(store.usable_trunks(a).await.expect("read")[0].permits("14155550123"));
    store.batch().withdraw_trunk(a, b, carrier.id).commit().await.expect("and takes it back");
    assert_eq!(store.usable_trunks(b).await, Ok(vec![]));
}

#[tokio::test]
async fn a_username_is_one_account_s_in_a_shared_realm_and_free_in_private_ones() {
    let store = open();
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let alice_a = Endpoint::new(a, "alice", at(0));
    let alice_b = Endpoint::new(b, "alice", at(0));
    let realms = |own: &'static str| Credential::derive("alice", "secret", [own, SHARED_REALMS[0]]);
    store.batch().put_endpoint(alice_a.clone(), Some(realms("a.sip.test"))).commit().await.expect("stored");
    let taken = store.batch().put_endpoint(alice_b.clone(), Some(realms("b.sip.test"))).commit().await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    assert_eq!(store.endpoint(b, &alice_b.endpoint_id).await, Ok(None), "nothing of it is kept");
    let own = Credential::derive("alice", "other", ["B.sip.test"]);
    store.batch().put_endpoint(alice_b.clone(), Some(own)).commit().await.expect("stored");

    let (found, credential) = store.resolve_endpoint("phone.plivo.com", "alice").await.expect("read").expect("found");
    assert_eq!((found.account, credential.realm.as_str()), (a, "phone.plivo.com"));
    let (found, _) = store.resolve_endpoint("b.SIP.test", "alice").await.expect("read").expect("found");
    assert_eq!(found.account, b);
    assert_eq!(store.resolve_endpoint("app.plivo.com", "alice").await, Ok(None));

    let mut disabled = alice_a.clone();
    disabled.enabled = false;
    store.batch().put_endpoint(disabled, None).commit().await.expect("stored");
    assert_eq!(store.resolve_endpoint("a.sip.test", "alice").await, Ok(None));
    let mut renamed = alice_a;
    renamed.username = "bob".to_owned();
    let refused = store.batch().put_endpoint(renamed, None).commit().await;
    assert!(matches!(refused, Err(StoreError::Invalid { what: "username", .. })), "{refused:?}");
}

#[tokio::test]
async fn sub_accounts_belong_to_their_main_account() {
    let store = open();
    let main = Account::new("main", None, at(0));
    let sub = main.new_sub("sub", at(1));
    let other = Account::new("other", None, at(0));
    store
        .batch()
        .put_account(main.clone())
        .put_account(sub.clone())
        .put_account(other.clone())
        .commit()
        .await
        .expect("stored");
    assert!(main.auth_id.starts_with("MA") && sub.auth_id.starts_with("SA") && sub.auth_id.len() == 20);
    assert_eq!(store.sub_accounts(main.id).await, Ok(vec![sub.clone()]));
    assert_eq!(store.accounts(Page::default()).await.map(|list| list.total), Ok(2));
    let nested = sub.new_sub("nested", at(2));
    assert_eq!(nested.parent, Some(main.id));
    let nested = Account { parent: Some(sub.id), ..nested };
    assert!(matches!(
        store.batch().put_account(nested).commit().await,
        Err(StoreError::Invalid { what: "parent", .. })
    ));

    let mut application = Application::new(other.id, "app", Dialect::Plivo, "http://app.test/", at(0));
    application.sub_account = Some(sub.id);
    let refused = store.batch().put_application(application.clone()).commit().await;
    assert_eq!(refused, Err(StoreError::MissingReference { what: "storing an application" }));
    application.account = main.id;
    store.batch().put_application(application.clone()).commit().await.expect("stored");
    assert_eq!(
        store.applications(main.id, Some(sub.id), Page::default()).await.map(|list| list.items),
        Ok(vec![application])
    );

    assert_eq!(store.authenticate(&sub.auth_id, sub.auth_token.reveal()).await, Ok(Some(sub.clone())));
    assert_eq!(store.authenticate(&sub.auth_id, main.auth_token.reveal()).await, Ok(None));
    assert_eq!(store.authenticate("MAAAAAAAAAAAAAAAAAAA", "nobody has this token").await, Ok(None));
    let disabled = Account { enabled: false, ..main.clone() };
    store.batch().put_account(disabled).commit().await.expect("stored");
    assert_eq!(store.authenticate(&main.auth_id, main.auth_token.reveal()).await, Ok(None));
    assert_eq!(store.authenticate(&sub.auth_id, sub.auth_token.reveal()).await, Ok(None), "nor its sub-accounts");
}

//! What lets people in from a browser: invitations that work once, links without a trace of their token.

mod support;

use serde_json::json;
use store::{
    Account, AccountId, ApiKey, Application, Dialect, INVITATIONS, Invitation, Link, NewEvent, Page, RoomId, Scope,
    Store, StoreConfig, StoreError,
};
use support::{Directory, account, at, open};

async fn with_app(store: &Store, name: &str) -> (AccountId, Application) {
    let owner = account(store, name).await;
    let app = Application::new(owner, "shop", Dialect::Plivo, "https://shop.example/answer", at(0));
    store.batch().put_application(app.clone()).commit().await.expect("stored");
    (owner, app)
}

#[tokio::test]
async fn an_invitation_lets_one_in_and_nobody_after() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let (invitation, token) = Invitation::generate(owner, room, "agent", "key1", at(0), at(600));
    store.batch().put_invitation(invitation.clone()).commit().await.expect("stored");
    assert_eq!(token.reveal().len(), 64, "32 bytes");
    for wrong in ["", invitation.hash.as_str(), &token.reveal().to_uppercase()] {
        assert_eq!(store.redeem_invitation(wrong, at(1)).await, Ok(None), "{wrong}");
    }
    let (one, two) =
        tokio::join!(store.redeem_invitation(token.reveal(), at(1)), store.redeem_invitation(token.reveal(), at(1)));
    let taken: Vec<Invitation> = [one, two].into_iter().filter_map(|taken| taken.expect("answered")).collect();
    assert_eq!(taken, [invitation]);
}

#[tokio::test]
async fn an_invitation_that_expired_or_whose_account_is_disabled_lets_nobody_in() {
    let store = open();
    let owner = account(&store, "a").await;
    for disabled in [false, true] {
        let (invitation, token) = Invitation::generate(owner, RoomId::generate(), "agent", "key1", at(0), at(600));
        store.batch().put_invitation(invitation).commit().await.expect("stored");
        let mut row: Account = store.account(owner).await.expect("read").expect("there");
        row.enabled = !disabled;
        store.batch().put_account(row).commit().await.expect("stored");
        let now = if disabled { at(1) } else { at(600) };
        assert_eq!(store.redeem_invitation(token.reveal(), now).await, Ok(None));
    }
}

#[tokio::test]
async fn open_invitations_are_limited_and_expired_ones_make_room() {
    let store = open();
    let owner = account(&store, "a").await;
    let make = |created, expires| Invitation::generate(owner, RoomId::generate(), "agent", "k", created, expires).0;
    let mut batch = store.batch();
    for _ in 0..INVITATIONS {
        batch = batch.put_invitation(make(at(0), at(600)));
    }
    batch.commit().await.expect("stored");
    let refused = store.batch().put_invitation(make(at(1), at(601))).commit().await;
    assert!(matches!(refused, Err(StoreError::Invalid { what: "invitation", .. })), "{refused:?}");
    store.batch().put_invitation(make(at(600), at(1_200))).commit().await.expect("the others have expired");
}

#[tokio::test]
async fn a_link_leads_to_its_account_until_it_expires_and_only_its_hash_is_kept() {
    let directory = Directory::new();
    let path = directory.file("aside.db");
    let store = Store::open(&path, StoreConfig::default()).expect("open");
    let (owner, app) = with_app(&store, "a").await;
    let (mut link, token) = Link::generate(owner, "help", at(0));
    link.app_id = Some(app.app_id.clone());
    link.expires_at = Some(at(100));
    store.batch().put_link(link.clone()).commit().await.expect("stored");
    assert_eq!(store.resolve_link(token.reveal(), at(99)).await, Ok(Some(link.clone())));
    assert_eq!(store.resolve_link(token.reveal(), at(100)).await, Ok(None), "it has expired");
    assert_eq!(store.resolve_link(&link.hash, at(1)).await, Ok(None), "the hash is not the token");
    store.batch().touch_link(owner, link.id, at(5)).commit().await.expect("noted");
    let touched = store.link(owner, link.id).await.expect("read").expect("there");
    assert_eq!(touched, Link { last_used_at: Some(at(5)), ..link.clone() });
    let listed = store.links(owner, Page::first(10)).await.expect("read");
    assert_eq!((listed.items, listed.total), (vec![touched], 1));
    store.shutdown().await.expect("shutdown");
    for entry in std::fs::read_dir(path.parent().expect("a directory")).expect("readable") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("readable");
        let found = bytes.windows(token.reveal().len()).any(|window| window == token.reveal().as_bytes());
        assert!(!found, "the token is in a file");
    }
}

#[tokio::test]
async fn a_link_leads_to_one_thing_of_its_own_account() {
    let store = open();
    let (owner, app) = with_app(&store, "a").await;
    let other = account(&store, "b").await;
    let put = |link: Link| store.batch().put_link(link).commit();
    let (nowhere, _) = Link::generate(owner, "one", at(0));
    assert!(matches!(put(nowhere.clone()).await, Err(StoreError::Invalid { .. })));
    let both = Link { app_id: Some(app.app_id.clone()), number: Some("15550100".to_owned()), ..nowhere.clone() };
    assert!(matches!(put(both).await, Err(StoreError::Invalid { .. })));
    let stolen = Link { app_id: Some(app.app_id.clone()), ..Link::generate(other, "one", at(0)).0 };
    assert!(matches!(put(stolen).await, Err(StoreError::MissingReference { .. })));
    let good = Link { app_id: Some(app.app_id.clone()), ..nowhere };
    put(good.clone()).await.expect("stored");
    let twin = Link { number: Some("15550100".to_owned()), ..Link::generate(owner, "one", at(0)).0 };
    assert!(matches!(put(twin).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.link(other, good.id).await, Ok(None), "of another account");
    let refused = store.batch().delete_link(other, good.id).commit().await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    let used = store.batch().delete_application(owner, &app.app_id).commit().await;
    assert!(matches!(used, Err(StoreError::InUse { .. })), "{used:?}");
    store.batch().delete_link(owner, good.id).commit().await.expect("deleted");
    store.batch().delete_application(owner, &app.app_id).commit().await.expect("deleted");
}

#[tokio::test]
async fn the_last_events_of_a_room_are_its_own_in_order() {
    let store = open();
    let owner = account(&store, "a").await;
    let (one, two) = (RoomId::generate(), RoomId::generate());
    let mut batch = store.batch();
    for index in 0..20 {
        batch = batch.append_event(NewEvent {
            account: owner,
            room: [Some(one), Some(two), None][index % 3],
            call: None,
            kind: format!("k{index}"),
            payload: json!({}),
            created_at: at(0),
        });
    }
    batch.commit().await.expect("stored");
    let kinds = |events: Vec<store::Event>| events.into_iter().map(|event| event.kind).collect::<Vec<_>>();
    assert_eq!(kinds(store.last_events(owner, one, 3).await.expect("read")), ["k12", "k15", "k18"]);
    assert_eq!(store.last_events(owner, one, 100).await.expect("read").len(), 7);
    assert_eq!(store.last_events(account(&store, "b").await, one, 9).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_key_is_good_for_its_own_account_until_it_expires_is_deleted_or_the_account_is_disabled() {
    let store = open();
    let (owner, other) = (account(&store, "a").await, account(&store, "b").await);
    let main: Account = store.account(owner).await.expect("read").expect("there");
    let sub = main.new_sub("s", at(0));
    let scopes = [Scope::Monitor].into_iter().collect();
    let (mut key, _) = ApiKey::generate(sub.id, "desk", scopes, at(0));
    key.expires_at = Some(at(100));
    let batch = store.batch().put_account(sub.clone()).put_api_key(key.clone());
    batch.commit().await.expect("stored");
    let good =
        async |account, seconds| store.good_api_key(account, &key.id, at(seconds)).await.expect("read").is_some();
    assert!(good(owner, 99).await && good(sub.id, 99).await, "a sub-account's key is its main account's too");
    assert!(!good(other, 99).await && !good(owner, 100).await);
    store.batch().put_account(Account { enabled: false, ..sub.clone() }).commit().await.expect("stored");
    assert!(!good(owner, 99).await, "its account is disabled");
    store.batch().put_account(sub).delete_api_key(key.account, &key.id).commit().await.expect("stored");
    assert!(!good(owner, 99).await, "deleted");
}

#[tokio::test]
async fn a_link_is_found_by_its_name_however_many_came_after_it() {
    let store = open();
    let (owner, app) = with_app(&store, "a").await;
    let mut batch = store.batch();
    for index in 0..=store::PAGE_LIMIT {
        let (mut link, _) = Link::generate(owner, format!("link-{index}"), at(i64::from(index)));
        link.app_id = Some(app.app_id.clone());
        batch = batch.put_link(link);
    }
    batch.commit().await.expect("stored");
    let oldest = store.link_by_name(owner, "link-0").await.expect("read").expect("there");
    assert_eq!(oldest.name, "link-0");
    assert_eq!(store.link_by_name(owner, "none").await, Ok(None));
    assert_eq!(store.link_by_name(account(&store, "b").await, "link-0").await, Ok(None), "another's");
}

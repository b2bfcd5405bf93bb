//! What is stored comes back as it was, in lists, by time, and only as long as it should.

mod support;

use serde_json::json;
use store::{
    Account, ActorKind, ApiKey, Application, CallFilter, Credential, Dialect, Direction, Endpoint, EventId,
    LedgerEntry, LedgerId, LedgerKind, Life, MemberFilter, Number, Page, PruneBefore, RoomFilter, RoomStatus, Scope,
    Scopes, Secret, StoreError, TimeRange, normalise_number,
};
use support::{account, at, call, delivery, event, member, open, room};

#[tokio::test]
async fn the_ledger_says_what_held_at_a_time() {
    let store = open();
    let owner = account(&store, "a").await;
    let hall = store::RoomId::generate();
    let entry = |second: i64, kind: LedgerKind, change: &str| LedgerEntry {
        id: LedgerId(0),
        account: owner,
        room: hall,
        shard: 1,
        tick: second * 50,
        at: at(second),
        who_kind: ActorKind::Key,
        who_id: "k1".to_owned(),
        command_id: Some(change.to_owned()),
        kind,
        change: json!({ "is": change }),
    };
    let history = [
        entry(10, LedgerKind::Snapshot, "s10"),
        entry(11, LedgerKind::Delta, "d11"),
        entry(12, LedgerKind::Refused, "r12"),
        entry(13, LedgerKind::Delta, "d13"),
        entry(20, LedgerKind::Snapshot, "s20"),
        entry(20, LedgerKind::Delta, "d20"),
        entry(25, LedgerKind::Delta, "d25"),
    ];
    let batch = history.iter().cloned().fold(store.batch(), store::Batch::append_ledger);
    let ids = batch.commit().await.expect("stored").ledger_ids;
    assert_eq!(ids.len(), history.len());
    for (second, base, changes) in [
        (9, None, vec![]),
        (10, Some("s10"), vec![]),
        (12, Some("s10"), vec!["d11"]),
        (19, Some("s10"), vec!["d11", "d13"]),
        (20, Some("s20"), vec!["d20"]),
        (99, Some("s20"), vec!["d20", "d25"]),
    ] {
        let view = store.ledger_at(owner, hall, at(second)).await.expect("read");
        assert_eq!(view.base.and_then(|entry| entry.command_id).as_deref(), base, "at {second}");
        let found: Vec<_> = view.changes.into_iter().filter_map(|entry| entry.command_id).collect();
        assert_eq!(found, changes, "at {second}");
    }
    let between = store.ledger_between(owner, hall, at(11), at(20), LedgerId(0), 10).await.expect("read");
    assert_eq!(
        between.iter().map(|entry| entry.command_id.as_deref().unwrap_or("")).collect::<Vec<_>>(),
        ["d11", "r12", "d13"]
    );
    assert_eq!(between[0], LedgerEntry { id: ids[1], ..history[1].clone() });
    let rest = store.ledger_between(owner, hall, at(11), at(20), between[1].id, 10).await.expect("read");
    assert_eq!(rest, between[2..]);
}

#[tokio::test]
async fn the_event_stream_is_read_from_a_cursor_and_tells_of_gaps() {
    let store = open();
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let hall = store::RoomId::generate();
    let mut batch = store.batch();
    for n in 0..10 {
        let mut new = event(if n % 2 == 0 { a } else { b }, (n % 4 == 0).then_some(hall), &format!("e{n}"));
        new.created_at = at(n);
        batch = batch.append_event(new);
    }
    let ids = batch.commit().await.expect("stored").event_ids;
    let kinds = |page: &store::EventPage| page.events.iter().map(|event| event.kind.clone()).collect::<Vec<_>>();
    let page = store.events_after(a, None, EventId(0), 3).await.expect("read");
    assert_eq!((kinds(&page), page.next, page.gap), (vec!["e0".to_owned(), "e2".into(), "e4".into()], ids[4], false));
    let page = store.events_after(a, None, page.next, 3).await.expect("read");
    assert_eq!((kinds(&page), page.next), (vec!["e6".to_owned(), "e8".into()], ids[9]));
    let page = store.events_after(a, Some(hall), EventId(0), 100).await.expect("read");
    assert_eq!(kinds(&page), ["e0", "e4", "e8"]);

    let pruned = store.prune(PruneBefore { events: Some(at(5)), ..PruneBefore::default() }).await.expect("pruned");
    assert_eq!(pruned.events, 5);
    let page = store.events_after(a, None, ids[0], 100).await.expect("read");
    assert_eq!((kinds(&page), page.gap), (vec!["e6".to_owned(), "e8".into()], true));
    assert!(!store.events_after(a, None, page.next, 100).await.expect("read").gap);
    store.prune(PruneBefore { events: Some(at(100)), ..PruneBefore::default() }).await.expect("pruned");
    let fresh = store.batch().append_event(event(a, None, "new")).commit().await.expect("stored").event_ids[0];
    assert!(fresh > ids[9], "a cursor is never used again");
}

#[tokio::test]
async fn lists_are_filtered_paged_and_counted() {
    let store = open();
    let owner = account(&store, "a").await;
    let mut batch = store.batch();
    for n in 0..30 {
        let mut row = room(owner, &format!("room {n}"));
        row.created_at = at(n);
        if n % 3 == 0 {
            (row.status, row.ended_at) = (RoomStatus::Ended, Some(at(n + 100)));
            row.termination_cause = Some(if n % 2 == 0 { "alone" } else { "empty" }.to_owned());
        }
        let mut leg = call(owner);
        leg.initiated_at = at(n);
        leg.direction = if n % 2 == 0 { Direction::Inbound } else { Direction::Outbound };
        if n < 10 {
            (leg.state, leg.ended_at, leg.hangup_cause) = (Life::Ended, Some(at(n + 50)), Some("normal".to_owned()));
        }
        batch = batch.put_room(row).put_call(leg);
    }
    batch.commit().await.expect("stored");
    let page = store.rooms(owner, RoomFilter::default(), Page { limit: 7, offset: 28 }).await.expect("read");
    assert_eq!(
        (page.total, page.items.iter().map(|room| room.name.as_str()).collect::<Vec<_>>()),
        (30, vec!["room 1", "room 0"])
    );
    let wanted = RoomFilter {
        status: Some(RoomStatus::Ended),
        termination_causes: vec!["alone".to_owned(), "empty".to_owned()],
        created: TimeRange { gte: Some(at(6)), lt: Some(at(27)), ..TimeRange::default() },
        ended: TimeRange { gt: Some(at(106)), lte: Some(at(124)), ..TimeRange::default() },
        ..RoomFilter::default()
    };
    let page = store.rooms(owner, wanted, Page::default()).await.expect("read");
    assert_eq!(page.items.iter().map(|room| room.created_at).collect::<Vec<_>>(), [24, 21, 18, 15, 12, 9].map(at));
    let alone = RoomFilter { termination_causes: vec!["alone".to_owned()], ..RoomFilter::default() };
    assert_eq!(store.rooms(owner, alone, Page::default()).await.map(|page| page.total), Ok(5));
    let named = RoomFilter { name: Some("room 4".to_owned()), ..RoomFilter::default() };
    assert_eq!(store.rooms(owner, named, Page::default()).await.map(|page| page.total), Ok(1));
    let ended = CallFilter {
        state: Some(Life::Ended),
        direction: Some(Direction::Inbound),
        hangup_cause: Some("normal".to_owned()),
        ..CallFilter::default()
    };
    assert_eq!(store.calls(owner, ended, Page::default()).await.map(|page| page.total), Ok(5));
    assert_eq!(store.live_calls(owner).await.map(|calls| calls.len()), Ok(20));
}

#[tokio::test]
async fn a_call_and_a_member_are_replaced_as_they_change() {
    let store = open();
    let owner = account(&store, "a").await;
    let (hall, mut leg) = (room(owner, "hall"), call(owner));
    let first_id = store.reserve_member_ids(owner, 1).await.expect("reserved");
    assert_eq!(
        (store.reserve_member_ids(owner, 10).await, store.reserve_member_ids(owner, 1).await),
        (Ok(first_id + 1), Ok(first_id + 11))
    );
    let mut inside = member(&hall, 1, first_id, leg.id);
    let again = member(&hall, 2, first_id + 1, leg.id);
    store
        .batch()
        .put_room(hall.clone())
        .put_call(leg.clone())
        .put_member(inside.clone())
        .commit()
        .await
        .expect("stored");
    leg.answered_at = Some(at(2));
    leg.state = Life::Ended;
    assert!(matches!(
        store.batch().put_call(leg.clone()).commit().await,
        Err(StoreError::Invalid { what: "call", .. })
    ));
    leg.ended_at = Some(at(3));
    (leg.hangup_cause, leg.extra) = (Some("Normal Hangup".to_owned()), json!({"tag": {"a": [1, null]}}));
    inside.exit_time = Some(at(3));
    inside.exit_cause = Some("Participant Call Hangup".to_owned());
    store
        .batch()
        .put_call(leg.clone())
        .put_member(inside.clone())
        .put_member(again.clone())
        .commit()
        .await
        .expect("stored");
    assert_eq!(store.call(owner, leg.id).await, Ok(Some(leg.clone())));
    assert_eq!(store.members_of_call(owner, leg.id).await, Ok(vec![again.clone(), inside]));
    let present = MemberFilter { present: true, call: Some(leg.id) };
    assert_eq!(
        store.members(owner, hall.id, present, Page::default()).await.map(|page| page.items),
        Ok(vec![again.clone()])
    );
    let same_id = member(&hall, 3, again.member_id, leg.id);
    assert!(matches!(store.batch().put_member(same_id).commit().await, Err(StoreError::Conflict { .. })));
}

#[tokio::test]
async fn an_api_key_works_until_it_expires_and_is_not_stored() {
    let store = open();
    let owner = Account::new("a", None, at(0));
    let scopes: Scopes = [Scope::Monitor, Scope::Read].into_iter().collect();
    let (mut key, shown) = ApiKey::generate(owner.id, "console", scopes, at(0));
    key.expires_at = Some(at(100));
    key.room_pattern = Some("sales-*".to_owned());
    store.batch().put_account(owner.clone()).put_api_key(key.clone()).commit().await.expect("stored");
    let found = store.authenticate_api_key(shown.reveal(), at(99)).await.expect("read").expect("valid");
    assert_eq!(found, key);
    assert!(found.scopes.contains(Scope::Monitor) && !found.scopes.contains(Scope::Coach));
    assert!(found.permits_room("sales-1") && !found.permits_room("support-1"));
    assert!(shown.reveal().starts_with(&found.prefix()));
    assert!(found.needs_touch(at(99)));
    store.batch().touch_api_key(owner.id, &key.id, at(99)).commit().await.expect("noted");
    let touched = store.api_key(owner.id, &key.id).await.expect("read").expect("kept");
    assert!(!touched.needs_touch(at(120)) && touched.needs_touch(at(159)));

    assert_eq!(store.authenticate_api_key(shown.reveal(), at(100)).await, Ok(None), "expired");
    let mut wrong = shown.reveal().to_owned();
    wrong.replace_range(wrong.len() - 1.., if wrong.ends_with('0') { "1" } else { "0" });
    for wrong in [wrong.as_str(), "", "aside_", "aside_x_y", &key.prefix()] {
        assert_eq!(store.authenticate_api_key(wrong, at(1)).await, Ok(None), "{wrong:?}");
    }
    let mut files = std::fs::read(store.path()).expect("the file");
    let mut log = store.path().as_os_str().to_owned();
    log.push("-wal");
    files.extend(std::fs::read(log).expect("the log"));
    let secret = shown.reveal().rsplit('_').next().expect("a secret").as_bytes();
    assert!(!files.windows(secret.len()).any(|window| window == secret), "the secret is in the files");
    assert!(files.windows(64).any(|window| window == key.hash.as_bytes()), "its hash is");

    let disabled = Account { enabled: false, ..owner };
    store.batch().put_account(disabled).commit().await.expect("stored");
    assert_eq!(store.authenticate_api_key(shown.reveal(), at(1)).await, Ok(None), "the account is disabled");
}

#[test]
fn secrets_are_neither_printed_nor_serialised() {
    let account = Account::new("a", None, at(0));
    let token = account.auth_token.reveal();
    assert_eq!(token.len(), 40);
    assert!(!format!("{account:?}").contains(token));
    assert!(!serde_json::to_string(&account).expect("json").contains(token));
    assert!(account.auth_token.matches(token) && !account.auth_token.matches(&token[1..]));
    assert_eq!(serde_json::from_str::<Secret>("\"x\"").expect("json").reveal(), "x");
}

#[test]
fn credentials_are_those_of_rfc_7616() {
    // RFC 7616 §3.9.1 gives user, realm and password; the digests are its response's first ingredient.
    let found = Credential::derive("Mufasa", "Circle of Life", ["http-auth@example.org"]);
    assert_eq!(found[0].ha1_md5.reveal(), "3d78807defe7de2157e2b0b6573a855f");
    assert_eq!(found[0].ha1_sha256.reveal(), "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
}

#[tokio::test]
async fn an_application_in_use_is_not_deleted_and_there_is_one_default() {
    let store = open();
    let owner = account(&store, "a").await;
    let mut first = Application::new(owner, "first", Dialect::Plivo, "http://app.test/1", at(0));
    let mut second = Application::new(owner, "second", Dialect::Jambonz, "wss://app.test/2", at(1));
    (first.default_number_app, second.default_number_app) = (true, true);
    let mut endpoint = Endpoint::new(owner, store::id::endpoint_username("alice"), at(0));
    endpoint.app_id = Some(first.app_id.clone());
    let digits = normalise_number("+1 (415) 555-0123").expect("a number");
    let number = Number { app_id: Some(first.app_id.clone()), ..Number::new(owner, digits, at(0)) };
    store
        .batch()
        .put_application(first.clone())
        .put_application(second.clone())
        .put_endpoint(endpoint.clone(), None)
        .put_number(number)
        .commit()
        .await
        .expect("stored");
    assert_eq!(store.default_number_application(owner).await, Ok(Some(second.clone())));
    assert_eq!(
        store.application(owner, &first.app_id).await.map(|app| app.map(|app| app.default_number_app)),
        Ok(Some(false))
    );
    let refused = store.batch().delete_application(owner, &first.app_id).commit().await;
    let by = format!("the endpoint {:?} and the number \"14155550123\"", endpoint.username);
    assert_eq!(refused, Err(StoreError::InUse { what: "deleting an application", by }));
    let again = Application::new(owner, "first", Dialect::Plivo, "http://app.test/3", at(2));
    let refused = store.batch().put_application(again).commit().await;
    let words = refused.expect_err("the name is taken").to_string();
    assert_eq!(words, "storing an application: the name \"first\" is already in use; choose another");
    store
        .batch()
        .detach_application(owner, &first.app_id)
        .delete_application(owner, &first.app_id)
        .commit()
        .await
        .expect("deleted");
    assert_eq!(
        store.resolve_number("14155550123").await.map(|number| number.map(|number| number.app_id)),
        Ok(Some(None))
    );
    assert_eq!(
        store.endpoint(owner, &endpoint.endpoint_id).await.map(|found| found.map(|found| found.app_id)),
        Ok(Some(None))
    );
    for wrong in ["", "+", "12", "1234567890123456", "+1415x", "1+2345"] {
        assert!(normalise_number(wrong).is_err(), "{wrong:?} should be refused");
    }
}

#[tokio::test]
async fn pruning_removes_what_is_over_and_old_and_nothing_else() {
    let store = open();
    let owner = account(&store, "a").await;
    let mut batch = store.batch();
    let mut kept = Vec::new();
    for n in 0..1500i64 {
        let mut leg = call(owner);
        if n % 3 > 0 {
            (leg.state, leg.ended_at) = (Life::Ended, Some(at(n)));
        }
        if n % 3 == 0 || n >= 1200 {
            kept.push(leg.id);
        }
        batch = batch.put_call(leg);
    }
    let (mut old, live) = (room(owner, "old"), room(owner, "live"));
    (old.status, old.ended_at) = (RoomStatus::Ended, Some(at(5)));
    let leg = store::CallId::generate();
    batch = batch
        .put_room(old.clone())
        .put_room(live.clone())
        .put_member(member(&old, 1, 1, leg))
        .put_member(member(&live, 1, 2, leg));
    batch = batch
        .append_event(event(owner, None, "x"))
        .deliver(delivery(owner, old.id, "http://hook.test", "done", at(0)))
        .deliver(delivery(owner, old.id, "http://hook.test", "pending", at(0)));
    let callbacks = batch.commit().await.expect("stored").delivery_ids;
    assert_eq!(store.mark_done(owner, callbacks[0], at(1)).await, Ok(true));
    let pruned = store.prune(PruneBefore::all(at(1200))).await.expect("pruned");
    assert_eq!((pruned.calls, pruned.rooms, pruned.deliveries, pruned.events), (800, 1, 1, 1));
    assert_eq!(
        store.calls(owner, CallFilter::default(), Page::default()).await.map(|page| page.total),
        Ok(kept.len() as u64)
    );
    for id in kept.iter().step_by(50) {
        assert!(store.call(owner, *id).await.expect("read").is_some());
    }
    assert_eq!(store.members_of_call(owner, leg).await.map(|members| members.len()), Ok(1));
    assert_eq!(store.room(owner, live.id).await, Ok(Some(live)));
    assert_eq!(store.pending_deliveries(owner).await, Ok(1));
    assert_eq!(store.prune(PruneBefore::all(at(1200))).await, Ok(store::Pruned::default()));
}

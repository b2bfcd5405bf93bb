//! Promise: a batch is committed whole or not at all, and answered after the commit.

mod support;

use std::time::Duration;

use store::{Secret, StoreConfig, StoreError};
use support::{account, at, call, delivery, event, member, open, open_with, room};

#[tokio::test]
async fn a_failing_operation_undoes_its_batch_and_no_other() {
    let store = open();
    let owner = account(&store, "a").await;
    let hall = room(owner, "hall");
    let stranger = room(owner, "elsewhere");
    let leg = call(owner);

    let before =
        store.batch().put_room(hall.clone()).append_event(event(owner, Some(hall.id), "room.created")).commit();
    // The member's room is not stored: the last operation fails, after others of the batch succeeded.
    let broken = store
        .batch()
        .put_call(leg.clone())
        .append_event(event(owner, None, "never"))
        .deliver(delivery(owner, hall.id, "http://hook.test/", "never", at(1)))
        .put_member(member(&stranger, 1, 1, leg.id))
        .commit();
    let after = store.batch().put_setting("after", Secret::new("kept")).commit();

    let before = before.await.expect("the batch before is kept");
    assert_eq!(broken.await, Err(StoreError::MissingReference { what: "storing a member" }));
    after.await.expect("the batch after is kept");

    assert_eq!(store.room(owner, hall.id).await, Ok(Some(hall)));
    assert_eq!(store.call(owner, leg.id).await, Ok(None));
    assert_eq!(store.pending_deliveries(owner).await, Ok(0));
    let events = store.events_after(owner, None, store::EventId(0), 10).await.expect("events");
    assert_eq!(events.events.iter().map(|event| event.id).collect::<Vec<_>>(), before.event_ids);
    assert_eq!(store.setting("after").await, Ok(Some(Secret::new("kept"))));
}

#[tokio::test]
async fn batches_are_committed_in_the_order_of_their_commits() {
    let store = open();
    let owner = account(&store, "a").await;
    let pending: Vec<_> =
        (0..200).map(|n| store.batch().append_event(event(owner, None, &format!("e{n}"))).commit()).collect();
    let mut last = store::EventId(0);
    for batch in pending {
        let id = batch.await.expect("committed").event_ids[0];
        assert!(id > last);
        last = id;
    }
    let page = store.events_after(owner, None, store::EventId(0), 1000).await.expect("events");
    assert_eq!(
        page.events.iter().map(|event| event.kind.clone()).collect::<Vec<_>>(),
        (0..200).map(|n| format!("e{n}")).collect::<Vec<_>>()
    );
    assert_eq!(*store.watch_events().borrow(), last);
    assert!(store.stats().groups < 201, "batches queued together share transactions: {:?}", store.stats());
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing_it_took() {
    let store = open_with(StoreConfig { write_queue: 2, group: 1, ..StoreConfig::default() });
    let blocker = rusqlite::Connection::open(store.path()).expect("a second connection");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("the write lock is taken");
    let mut taken = Vec::new();
    // The writer holds as many as may wait: the fifth at the latest is refused.
    let refused = loop {
        let key = format!("k{}", taken.len());
        let mut batch = store.batch().put_setting(&key, Secret::new("v")).commit();
        match tokio::time::timeout(Duration::ZERO, &mut batch).await {
            Ok(result) => break result,
            Err(_) => taken.push((key, batch)),
        }
        assert!(taken.len() <= 4, "the queue took more than it may");
    };
    assert_eq!(refused, Err(StoreError::Busy { queue: "write", capacity: 2 }));
    assert_eq!(store.stats().write_refused, 1);
    blocker.execute_batch("ROLLBACK").expect("the write lock is released");
    for (key, batch) in taken {
        batch.await.expect("what was taken is committed");
        assert_eq!(store.setting(&key).await, Ok(Some(Secret::new("v"))));
    }
}

#[tokio::test]
async fn a_batch_that_nobody_awaits_is_committed_all_the_same() {
    let store = open();
    drop(store.batch().put_setting("k", Secret::new("v")).commit());
    store.batch().commit().await.expect("an empty batch is fine");
    assert_eq!(store.setting("k").await, Ok(Some(Secret::new("v"))));
}

#[tokio::test]
async fn an_oversized_batch_is_refused() {
    let store = open_with(StoreConfig { batch_limit: 2, ..StoreConfig::default() });
    let batch = (0..3).fold(store.batch(), |batch, n| batch.put_setting(&format!("k{n}"), Secret::new("v")));
    assert_eq!(batch.commit().await, Err(StoreError::BatchTooLarge { size: 3, limit: 2 }));
    assert_eq!(store.setting("k0").await, Ok(None));
}

#[tokio::test]
async fn after_shutdown_writes_are_refused() {
    let store = open();
    let before = store.batch().put_setting("k", Secret::new("v")).commit();
    store.shutdown().await.expect("shutdown");
    before.await.expect("what was queued before is committed");
    assert_eq!(store.batch().put_setting("k", Secret::new("w")).commit().await, Err(StoreError::Closed));
    assert_eq!(store.shutdown().await, Err(StoreError::Closed));
}

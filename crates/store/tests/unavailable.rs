//! Promise: while the database takes no writes, what is owed waits in its order, and everything else is told so at once.

mod support;

use std::time::{Duration, Instant};

use store::{EventId, PATIENCE, Secret, Store, StoreConfig, StoreError, Trouble};
use support::{Directory, account, event, open, open_with};

const LONG: Duration = Duration::from_secs(30);

fn lock(store: &Store) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(store.path()).expect("a second connection");
    other.busy_timeout(LONG).expect("it waits for the lock");
    other.execute_batch("BEGIN IMMEDIATE").expect("the write lock is taken");
    other
}

/// Waits until the store refuses what is not owed.
async fn refuses(store: &Store) {
    let end = Instant::now() + LONG;
    while store.ready().is_ok() {
        assert!(Instant::now() < end, "it never says that it takes nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_owed_outlives_a_lock_of_any_length_and_the_rest_is_refused() {
    let store = open();
    let owner = account(&store, "a").await;
    let other = lock(&store);
    let owed =
        |n: u32| store.batch().append_event(event(owner, None, &format!("e{n}"))).owe().expect("there are places");
    let mut told: Vec<_> = (0..3).map(owed).collect();
    let wish = store.batch().put_setting("wish", Secret::new("v")).commit();
    let begun = Instant::now();
    let refused = wish.await;
    assert!(begun.elapsed() < PATIENCE * 4, "refused after {:?}", begun.elapsed());
    assert!(
        matches!(refused, Err(StoreError::Unavailable { what: "committing a batch", trouble: Trouble::Locked })),
        "{refused:?}"
    );
    refuses(&store).await;
    let words = store.ready().expect_err("it takes nothing").to_string();
    assert!(words.contains("locked") && words.contains("then try again"), "{words}");
    let wish = store.batch().put_setting("wish", Secret::new("v")).commit();
    let refused = tokio::time::timeout(Duration::ZERO, wish).await.expect("it is refused at once");
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    told.extend((3..6).map(owed));
    let condition = store.condition();
    assert!(condition.waiting >= 6, "{condition:?}");
    assert!(condition.oldest.is_some_and(|oldest| oldest >= PATIENCE), "{condition:?}");
    assert!(condition.failing.is_some_and(|(since, trouble)| since >= PATIENCE && trouble == Trouble::Locked));
    // Longer than SQLite itself would have waited.
    let end = begun + Duration::from_secs(6);
    tokio::time::sleep_until(end.into()).await;
    other.execute_batch("ROLLBACK").expect("the lock is released");
    for (n, written) in told.into_iter().enumerate() {
        written.await.unwrap_or_else(|error| panic!("e{n} was lost: {error}"));
    }
    let page = store.events_after(owner, None, EventId(0), 100).await.expect("events");
    let kinds: Vec<_> = page.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["e0", "e1", "e2", "e3", "e4", "e5"], "each once, in order");
    assert_eq!((store.ready(), store.condition().failing), (Ok(()), None));
    assert_eq!(store.setting("wish").await, Ok(None), "what was refused was not done");
    store.batch().put_setting("wish", Secret::new("v")).commit().await.expect("it takes writes again");
    assert!(store.stats().failed_groups > 0);
}

#[tokio::test]
async fn what_finds_no_place_in_the_queue_is_given_back_and_waits_for_its_turn() {
    let store = open_with(StoreConfig { write_queue: 2, group: 1, ..StoreConfig::default() });
    let owner = account(&store, "a").await;
    let other = lock(&store);
    let mut taken = Vec::new();
    let given_back = loop {
        let kind = format!("e{}", taken.len());
        match store.batch().append_event(event(owner, None, &kind)).owe() {
            Ok(pending) => taken.push(pending),
            Err(batch) => break batch,
        }
        assert!(taken.len() < 100, "the queue has no end");
    };
    let in_turn = tokio::spawn(async move { given_back.owe_in_turn().await.await });
    other.execute_batch("ROLLBACK").expect("the lock is released");
    let count = taken.len();
    for pending in taken {
        pending.await.expect("committed");
    }
    in_turn.await.expect("no panic").expect("committed in its turn");
    let page = store.events_after(owner, None, EventId(0), 1000).await.expect("events");
    let kinds: Vec<_> = page.events.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(kinds, (0..=count).map(|n| format!("e{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_that_cannot_write_still_closes() {
    let directory = Directory::new();
    let store = Store::open(directory.file("aside.db"), StoreConfig::default()).expect("opens");
    let owner = account(&store, "a").await;
    let other = lock(&store);
    let owed = store.batch().append_event(event(owner, None, "owed")).owe().expect("there is a place");
    let closed = tokio::time::timeout(LONG, store.shutdown()).await.expect("it closes");
    assert!(matches!(closed, Err(StoreError::Unavailable { .. })), "{closed:?}");
    assert!(
        matches!(owed.await, Err(StoreError::Unavailable { trouble: Trouble::Locked, .. })),
        "it says what was lost"
    );
    other.execute_batch("ROLLBACK").expect("the lock is released");
}

//! Promise: nothing owed is lost; callbacks keep their order per lane; a dead destination delays only its own lane, at most 60 s.

mod support;

use std::collections::HashMap;

use store::{
    AccountId, Body, Delivery, DeliveryFilter, DeliveryId, DeliveryState, EventId, Page, Retry, RoomId, Store,
    StoreConfig, StoreError, Timestamp,
};
use support::{Directory, account, at, delivery, event, open, open_with};

const DEAD: &str = "http://dead.test/hook";
const GOOD: &str = "http://good.test/hook";

async fn queue(store: &Store, owner: AccountId, room: RoomId, url: &str, note: &str, now: Timestamp) -> DeliveryId {
    let batch =
        store.batch().append_event(event(owner, Some(room), note)).deliver(delivery(owner, room, url, note, now));
    batch.commit().await.expect("queued").delivery_ids[0]
}

fn note(delivery: &Delivery) -> &str {
    match &delivery.body {
        Body::Form(pairs) => &pairs[0].1,
        Body::Json(_) => panic!("a form was queued"),
    }
}

async fn claim(store: &Store, now: Timestamp) -> Vec<Delivery> {
    store.claim_due(now, 100).await.expect("claimed").deliveries
}

#[tokio::test]
async fn a_lane_keeps_its_order_and_only_its_head_is_handed_out() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    for n in ["1", "2", "3"] {
        queue(&store, owner, room, GOOD, n, at(0)).await;
    }
    // Another path, port spelt out: the same lane.
    queue(&store, owner, room, "http://GOOD.test:80/other", "4", at(0)).await;
    for wanted in ["1", "2", "3", "4"] {
        let claimed = claim(&store, at(0)).await;
        assert_eq!(claimed.iter().map(note).collect::<Vec<_>>(), [wanted]);
        assert_eq!(claim(&store, at(0)).await, vec![], "nothing passes what is under way");
        assert_eq!(store.mark_done(owner, claimed[0].id, at(0)).await, Ok(true));
    }
    assert_eq!(claim(&store, at(1000)).await, vec![]);
    assert_eq!(store.pending_deliveries(owner).await, Ok(0));
}

#[tokio::test]
async fn rooms_and_destinations_do_not_wait_for_each_other() {
    let store = open();
    let owner = account(&store, "a").await;
    let (hall, other) = (RoomId::generate(), RoomId::generate());
    queue(&store, owner, hall, DEAD, "hall dead", at(0)).await;
    queue(&store, owner, hall, GOOD, "hall good", at(0)).await;
    queue(&store, owner, other, DEAD, "other dead", at(0)).await;
    let claimed = claim(&store, at(0)).await;
    assert_eq!(claimed.iter().map(note).collect::<Vec<_>>(), ["hall dead", "hall good", "other dead"]);
}

/// Plays a sender that looks once a second: `DEAD` always fails at once, `GOOD` succeeds. Returns when each was first tried.
async fn play(store: &Store, owner: AccountId, from: i64, to: i64) -> HashMap<String, i64> {
    let mut first_tried = HashMap::new();
    for second in from..to {
        loop {
            let claimed = claim(store, at(second)).await;
            if claimed.is_empty() {
                break;
            }
            for delivery in claimed {
                first_tried.entry(note(&delivery).to_owned()).or_insert(second);
                if delivery.url == DEAD {
                    let next = at(second + 5);
                    let outcome =
                        store.mark_retry(owner, delivery.id, delivery.attempts, at(second), next, "refused").await;
                    assert!(matches!(outcome, Ok(Retry::At(_) | Retry::GaveUp)), "{outcome:?}");
                } else {
                    assert_eq!(store.mark_done(owner, delivery.id, at(second)).await, Ok(true));
                }
            }
        }
    }
    first_tried
}

#[tokio::test]
async fn a_dead_destination_delays_its_own_lane_by_at_most_60_s_and_no_other() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    for second in 0..8 {
        queue(&store, owner, room, DEAD, &format!("dead {second}"), at(second)).await;
        queue(&store, owner, room, GOOD, &format!("good {second}"), at(second)).await;
    }
    let first_tried = play(&store, owner, 8, 300).await;
    for second in 0..8 {
        assert_eq!(first_tried[&format!("good {second}")], 8, "the other lane never waits");
        let waited = first_tried[&format!("dead {second}")] - 8;
        assert!(waited <= 60, "dead {second} was first tried {waited} s after the lane could move");
    }
    assert!(first_tried["dead 1"] >= 8 + 40, "the first one got most of its minute");
    let failed = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
    let failed = store.deliveries(owner, failed, Page::first(100)).await.expect("read");
    assert_eq!(failed.total, 8, "all are set aside, none lost");
    assert!(failed.items.iter().all(|delivery| delivery.last_error.as_deref() == Some("refused")));
    assert_eq!(store.stats().deliveries_given_up, 8);
}

#[tokio::test]
async fn a_sender_that_never_answers_holds_its_lane_no_longer_either() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let stuck = queue(&store, owner, room, DEAD, "stuck", at(0)).await;
    queue(&store, owner, room, DEAD, "behind", at(0)).await;
    let mut passed_at = None;
    for second in 0..200 {
        // Whatever is claimed is never answered.
        if claim(&store, at(second)).await.iter().any(|delivery| note(delivery) == "behind") {
            passed_at = Some(second);
            break;
        }
    }
    assert_eq!(passed_at, Some(60));
    let stuck = store.delivery(owner, stuck).await.expect("read").expect("kept");
    assert_eq!((stuck.state, stuck.attempts), (DeliveryState::Failed, 3));
    // It got through after all.
    assert_eq!(store.mark_done(owner, stuck.id, at(61)).await, Ok(true));
    assert_eq!(store.delivery(owner, stuck.id).await.expect("read").expect("kept").state, DeliveryState::Done);
}

#[tokio::test]
async fn the_answer_of_an_attempt_whose_claim_ran_out_changes_nothing() {
    let store = open();
    let owner = account(&store, "a").await;
    let id = queue(&store, owner, RoomId::generate(), DEAD, "slow", at(0)).await;
    let first = claim(&store, at(0)).await.remove(0);
    let second = claim(&store, at(20)).await.remove(0);
    assert_eq!((first.attempts, second.attempts), (1, 2));
    assert_eq!(store.mark_retry(owner, id, first.attempts, at(21), at(22), "late").await, Ok(Retry::Stale));
    assert_eq!(claim(&store, at(25)).await, vec![], "the second attempt is still under way");
    assert_eq!(store.mark_retry(owner, id, second.attempts, at(26), at(27), "now").await, Ok(Retry::At(at(27))));
    let third = claim(&store, at(27)).await.remove(0);
    assert_eq!((third.id, third.first_failed_at, third.last_error.as_deref()), (id, Some(at(26)), Some("now")));
}

#[tokio::test]
async fn a_failed_callback_can_be_replayed_behind_the_rest_of_its_lane() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let first = queue(&store, owner, room, GOOD, "first", at(0)).await;
    queue(&store, owner, room, GOOD, "second", at(0)).await;
    queue(&store, owner, room, GOOD, "third", at(0)).await;
    assert_eq!(claim(&store, at(0)).await[0].id, first);
    assert_eq!(
        store.replay(owner, first, at(0)).await,
        Err(StoreError::NotFound { what: "replaying a failed callback" })
    );
    assert_eq!(store.mark_failed(owner, first, at(0), "410 Gone").await, Ok(true));
    assert_eq!(store.mark_failed(owner, first, at(0), "410 Gone").await, Ok(false));
    store.replay(owner, first, at(100)).await.expect("replayed");
    assert_eq!(store.pending_deliveries(owner).await, Ok(3));
    let mut seen = Vec::new();
    while let Some(delivery) = claim(&store, at(100)).await.pop() {
        seen.push(note(&delivery).to_owned());
        store.mark_done(owner, delivery.id, at(100)).await.expect("done");
    }
    assert_eq!(seen, ["second", "third", "first"]);
}

#[tokio::test]
async fn a_restart_makes_every_pending_callback_due_again_with_a_fresh_limit() {
    let directory = Directory::new();
    let path = directory.file("aside.db");
    let store = Store::open(&path, StoreConfig::default()).expect("open");
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let first = queue(&store, owner, room, GOOD, "first", at(0)).await;
    queue(&store, owner, room, GOOD, "second", at(0)).await;
    assert_eq!(claim(&store, at(0)).await.len(), 1);
    store.shutdown().await.expect("shutdown");

    // Long after the minute is over.
    let store = Store::open(&path, StoreConfig::default()).expect("reopen");
    let claimed = claim(&store, at(10_000)).await.remove(0);
    assert_eq!((claimed.id, claimed.attempts, claimed.give_up_at), (first, 2, Some(at(10_060))));
    let outcome = store.mark_retry(owner, first, 2, at(10_001), at(10_030), "not up yet").await;
    assert_eq!(outcome, Ok(Retry::At(at(10_030))));
}

#[tokio::test]
async fn the_sender_learns_when_to_look_again() {
    let store = open();
    let owner = account(&store, "a").await;
    let mut changes = store.watch_outbox();
    assert_eq!(store.claim_due(at(0), 10).await.expect("claimed").next_due, None);
    changes.mark_unchanged();
    let id = queue(&store, owner, RoomId::generate(), GOOD, "later", at(50)).await;
    assert!(changes.has_changed().expect("open"), "a new callback wakes the sender");
    let early = store.claim_due(at(0), 10).await.expect("claimed");
    assert_eq!((early.deliveries, early.next_due), (vec![], Some(at(50))));
    let claimed = store.claim_due(at(50), 10).await.expect("claimed");
    assert_eq!((claimed.deliveries[0].id, claimed.next_due), (id, Some(at(70))), "the end of the claim");
}

#[tokio::test]
async fn a_full_outbox_refuses_the_batch_and_counts_it() {
    let store = open_with(StoreConfig { outbox_limit: 2, ..StoreConfig::default() });
    let owner = account(&store, "a").await;
    let other = account(&store, "b").await;
    let room = RoomId::generate();
    let first = queue(&store, owner, room, GOOD, "1", at(0)).await;
    queue(&store, owner, room, GOOD, "2", at(0)).await;
    let third = store
        .batch()
        .put_setting("recorded", store::Secret::new("yes"))
        .append_event(event(owner, None, "3"))
        .deliver(delivery(owner, room, GOOD, "3", at(0)));
    assert_eq!(third.clone().commit().await, Err(StoreError::OutboxFull { account: owner, limit: 2 }));
    assert_eq!(store.setting("recorded").await, Ok(None));
    assert_eq!((store.stats().outbox_refused, store.pending_deliveries(owner).await), (1, Ok(2)));
    queue(&store, other, room, GOOD, "another account's", at(0)).await;
    assert_eq!(third.clone().without_deliveries().commit().await.map(|done| done.event_ids.len()), Ok(1));
    store.mark_done(owner, first, at(0)).await.expect("done");
    third.commit().await.expect("there is room again");
}

#[tokio::test]
async fn a_callback_needs_an_event_and_a_web_address() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let orphan = store.batch().deliver(delivery(owner, room, GOOD, "x", at(0))).commit().await;
    assert!(matches!(orphan, Err(StoreError::Invalid { what: "delivery", .. })), "{orphan:?}");
    let nowhere = store
        .batch()
        .append_event(event(owner, None, "x"))
        .deliver(delivery(owner, room, "hook", "x", at(0)))
        .commit()
        .await;
    assert!(matches!(nowhere, Err(StoreError::Invalid { what: "callback URL", .. })), "{nowhere:?}");
    assert_eq!(store.events_after(owner, None, EventId(0), 10).await.map(|page| page.events), Ok(vec![]));
}

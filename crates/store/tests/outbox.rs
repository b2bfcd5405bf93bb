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

/// Queues `count` callbacks, each with an event of its own; how many found a place.
async fn queue_many(store: &Store, owner: AccountId, url: &str, count: u64, now: Timestamp) -> u64 {
    let mut queued = 0;
    for _ in 0..count {
        let batch = store.batch().append_event(event(owner, None, "x")).deliver(delivery(
            owner,
            RoomId::generate(),
            url,
            "x",
            now,
        ));
        queued +=
            batch.commit().await.expect("an event is kept whatever becomes of its callbacks").delivery_ids.len() as u64;
    }
    queued
}

#[tokio::test]
async fn however_many_destinations_are_dead_a_healthy_one_finds_places_for_its_callbacks() {
    let store = open_with(StoreConfig { outbox_limit: 60, ..StoreConfig::default() });
    let owner = account(&store, "a").await;
    let dead = |n: u64| format!("http://dead-{n}.test/");
    for n in 0..4 {
        queue_many(&store, owner, &dead(n), 100, at(0)).await;
    }
    assert!(store.pending_deliveries(owner).await.expect("read") < 60);
    let healthy = queue(&store, owner, RoomId::generate(), GOOD, "healthy", at(1)).await;
    assert!(claim(&store, at(1)).await.iter().any(|delivery| delivery.id == healthy));
    // Nor does it matter to other accounts.
    let other = account(&store, "b").await;
    assert_eq!(queue_many(&store, other, GOOD, 30, at(1)).await, 30);
}

#[tokio::test]
async fn a_destination_has_a_limit_of_its_own_and_what_is_dropped_is_counted_and_told_by_an_event() {
    let store = open_with(StoreConfig { destination_limit: 3, ..StoreConfig::default() });
    let owner = account(&store, "a").await;
    assert_eq!(queue_many(&store, owner, DEAD, 3, at(0)).await, 3);
    // The second callback of this change has a place, the first has none; what else the change says is kept.
    let batch = store.batch().put_setting("recorded", store::Secret::new("yes")).append_event(event(owner, None, "y"));
    let batch = batch.deliver(delivery(owner, RoomId::generate(), DEAD, "dropped", at(0)));
    let done = batch.deliver(delivery(owner, RoomId::generate(), GOOD, "kept", at(0))).commit().await.expect("kept");
    assert_eq!((done.delivery_ids.len(), done.dropped_deliveries), (1, 1));
    assert!(store.setting("recorded").await.expect("read").is_some());
    let kept = store.delivery(owner, done.delivery_ids[0]).await.expect("read").expect("there");
    assert_eq!((note(&kept), kept.event), ("kept", done.event_ids[0]), "it tells of its own event");

    let told = async || -> Vec<u64> {
        let page = store.events_after(owner, None, EventId(0), 1000).await.expect("read");
        let told = page.events.into_iter().filter(|event| event.kind == "callbacks.dropped");
        told.map(|event| {
            assert_eq!(event.payload["destination"], "http://dead.test:80");
            event.payload["dropped"].as_u64().expect("a number")
        })
        .collect()
    };
    assert_eq!(told().await, [1]);
    assert_eq!(queue_many(&store, owner, DEAD, 5, at(30)).await, 0);
    assert_eq!(told().await, [1], "the next ones are told together");
    assert_eq!(queue_many(&store, owner, DEAD, 1, at(61)).await, 0);
    assert_eq!(told().await, [1, 6]);
    assert_eq!(queue_many(&store, owner, DEAD, 2, at(62)).await, 0);
    let first = claim(&store, at(62)).await.into_iter().find(|delivery| delivery.url == DEAD).expect("claimed");
    store.mark_done(owner, first.id, at(62)).await.expect("done");
    assert_eq!(queue_many(&store, owner, DEAD, 1, at(63)).await, 1, "its place is free again");
    assert_eq!(told().await, [1, 6], "a place that is free again tells no sooner");
    // Nothing more happens there: what is left is told all the same.
    claim(&store, at(120)).await;
    assert_eq!(told().await, [1, 6]);
    claim(&store, at(121)).await;
    assert_eq!(told().await, [1, 6, 2]);
    claim(&store, at(1000)).await;
    assert_eq!(told().await, [1, 6, 2], "and once");
    assert_eq!(store.stats().callbacks_dropped, 9);
}

#[tokio::test]
async fn a_destination_that_flaps_at_its_limit_is_told_of_once_a_minute() {
    let store = open_with(StoreConfig { destination_limit: 1, ..StoreConfig::default() });
    let owner = account(&store, "a").await;
    for second in 0..10 {
        assert_eq!(queue_many(&store, owner, DEAD, 1, at(second)).await, 1);
        assert_eq!(queue_many(&store, owner, DEAD, 1, at(second)).await, 0);
        let under_way = claim(&store, at(second)).await;
        assert_eq!(store.mark_done(owner, under_way[0].id, at(second)).await, Ok(true));
    }
    let told = async || {
        let page = store.events_after(owner, None, EventId(0), 1000).await.expect("read");
        let told = page.events.into_iter().filter(|event| event.kind == "callbacks.dropped");
        told.map(|event| event.payload["dropped"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(told().await, [Some(1)]);
    assert_eq!(queue_many(&store, owner, DEAD, 1, at(60)).await, 1);
    assert_eq!(told().await, [Some(1), Some(9)], "a callback that finds a place tells of those before that did not");
}

#[tokio::test]
async fn destinations_that_are_owed_nothing_are_forgotten() {
    let lane_limit = std::time::Duration::from_secs(3600);
    let store = open_with(StoreConfig { outbox_limit: 1, lane_limit, ..StoreConfig::default() });
    let owner = account(&store, "a").await;
    assert_eq!(queue_many(&store, owner, GOOD, 1, at(0)).await, 1);
    for n in 0..20 {
        assert_eq!(queue_many(&store, owner, &format!("http://dead{n}.test/"), 2, at(0)).await, 0);
    }
    let known = || {
        let conn = rusqlite::Connection::open(store.path()).expect("a second connection");
        conn.query_row("SELECT count(*) FROM outbox_destinations", [], |row| row.get::<_, i64>(0)).expect("counted")
    };
    claim(&store, at(59)).await;
    assert_eq!(known(), 21);
    claim(&store, at(60)).await; // tells of the second drops
    claim(&store, at(120)).await;
    assert_eq!(known(), 1, "only the one that is owed something is left");
}

#[tokio::test]
async fn a_replay_needs_a_place_too() {
    let store = open_with(StoreConfig { destination_limit: 1, ..StoreConfig::default() });
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let first = queue(&store, owner, room, DEAD, "1", at(0)).await;
    store.mark_failed(owner, first, at(0), "no").await.expect("set aside");
    let second = queue(&store, owner, room, DEAD, "2", at(0)).await;
    let full = StoreError::OutboxFull { account: owner, destination: "http://dead.test:80".to_owned() };
    assert_eq!(store.replay(owner, first, at(1)).await, Err(full));
    assert_eq!(store.delivery(owner, first).await.map(|row| row.map(|row| row.state)), Ok(Some(DeliveryState::Failed)));
    store.mark_done(owner, second, at(1)).await.expect("done");
    assert_eq!(store.replay(owner, first, at(1)).await, Ok(()));
}

#[tokio::test]
async fn a_callback_needs_an_event_and_a_web_address() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let orphan = store.batch().deliver(delivery(owner, room, GOOD, "x", at(0))).commit().await;
    assert!(matches!(orphan, Err(StoreError::Invalid { what: "delivery", .. })), "{orphan:?}");
    assert_eq!(store.events_after(owner, None, EventId(0), 10).await.map(|page| page.events), Ok(vec![]));
    // What happened is kept, and so are the callbacks of others.
    let nowhere = store
        .batch()
        .append_event(event(owner, None, "x"))
        .deliver(delivery(owner, room, "hook?token=s3cret", "lost", at(0)))
        .deliver(delivery(owner, room, GOOD, "kept", at(0)))
        .commit()
        .await
        .expect("one bad URL undoes nothing");
    assert_eq!((nowhere.delivery_ids.len(), nowhere.dropped_deliveries), (1, 1));
    assert_eq!(claim(&store, at(0)).await.iter().map(note).collect::<Vec<_>>(), ["kept"]);
    let events = store.events_after(owner, None, EventId(0), 10).await.expect("read").events;
    assert_eq!(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["x", "callbacks.dropped"]);
    assert_eq!(events[1].payload, serde_json::json!({ "destination": "no http or https URL", "dropped": 1 }));
    assert_eq!(store.stats().callbacks_dropped, 1);
}

#[tokio::test]
async fn urls_in_every_spelling_that_can_be_asked_are_queued_in_the_lane_of_their_server() {
    let store = open();
    let owner = account(&store, "a").await;
    let room = RoomId::generate();
    let mut lanes = Vec::new();
    for url in ["https://a.b/", "https:/a.b", "https:a.b", "https:///a.b", "https:\\\\a.b"] {
        let id = queue(&store, owner, room, url, url, at(0)).await;
        lanes.push(store.delivery(owner, id).await.expect("read").expect("there").lane);
    }
    lanes.dedup();
    assert_eq!(lanes, [format!("{owner} room {room} https://a.b:443")]);
}

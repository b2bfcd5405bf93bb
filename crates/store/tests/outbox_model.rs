//! The outbox against a model of it that is a few vectors, under random histories.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use store::{AccountId, DeliveryId, Retry, RoomId, Store, StoreConfig};
use support::{account, at, delivery, event, open};

const LANE_LIMIT: i64 = 60;
const CLAIM: i64 = 20;

#[derive(Clone, Debug)]
enum Step {
    Queue { lane: usize },
    Wait { seconds: i64 },
    Claim { limit: u32 },
    Done { pick: usize },
    Retry { pick: usize, delay: i64 },
    Fail { pick: usize },
    Replay { pick: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize).prop_map(|lane| Step::Queue { lane }),
        3 => (0..45i64).prop_map(|seconds| Step::Wait { seconds }),
        5 => (1..5u32).prop_map(|limit| Step::Claim { limit }),
        2 => any::<usize>().prop_map(|pick| Step::Done { pick }),
        3 => (any::<usize>(), 0..70i64).prop_map(|(pick, delay)| Step::Retry { pick, delay }),
        1 => any::<usize>().prop_map(|pick| Step::Fail { pick }),
        1 => any::<usize>().prop_map(|pick| Step::Replay { pick }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Pending,
    Done,
    Failed,
}

#[derive(Debug)]
struct Item {
    lane: usize,
    state: State,
    attempts: u32,
    due: i64,
    queued: i64,
    give_up: Option<i64>,
}

/// Lanes are lists of ids in order; the head of a list is the lane's head.
#[derive(Default)]
struct Model {
    items: BTreeMap<DeliveryId, Item>,
    lanes: [Vec<DeliveryId>; 3],
    now: i64,
}

impl Model {
    fn queue(&mut self, id: DeliveryId, lane: usize) {
        let item = Item { lane, state: State::Pending, attempts: 0, due: self.now, queued: self.now, give_up: None };
        self.items.insert(id, item);
        self.lanes[lane].push(id);
    }

    fn leave(&mut self, id: DeliveryId, state: State) {
        let item = self.items.get_mut(&id).expect("known");
        item.state = state;
        self.lanes[item.lane].retain(|other| *other != id);
    }

    fn claim(&mut self, limit: u32) -> Vec<(DeliveryId, u32)> {
        let mut claimed = Vec::new();
        loop {
            let mut due: Vec<(i64, DeliveryId)> =
                self.lanes.iter().filter_map(|lane| lane.first()).map(|id| (self.items[id].due, *id)).collect();
            due.retain(|(due, _)| *due <= self.now);
            due.sort();
            due.truncate(limit as usize - claimed.len());
            if due.is_empty() {
                return claimed;
            }
            for (_, id) in due {
                if self.items[&id].give_up.is_some_and(|end| end <= self.now) {
                    self.leave(id, State::Failed);
                    continue;
                }
                let lane = &self.lanes[self.items[&id].lane];
                let behind = lane.get(1).map(|next| self.items[next].queued + LANE_LIMIT);
                let now = self.now;
                let item = self.items.get_mut(&id).expect("known");
                // One attempt whatever happens; then as long as it and the one behind it have time.
                let first = item.give_up.is_none();
                let give_up = *item.give_up.get_or_insert_with(|| behind.unwrap_or(i64::MAX).min(now + LANE_LIMIT));
                item.due = if first { now + CLAIM } else { give_up.min(now + CLAIM) };
                item.attempts += 1;
                claimed.push((id, item.attempts));
            }
        }
    }

    fn retry(&mut self, id: DeliveryId, attempt: u32, delay: i64) -> Retry {
        let (now, item) = (self.now, self.items.get_mut(&id).expect("known"));
        let Some(give_up) = item.give_up.filter(|_| item.state == State::Pending && item.attempts == attempt) else {
            return Retry::Stale;
        };
        item.due = now + delay;
        if item.due >= give_up {
            self.leave(id, State::Failed);
            return Retry::GaveUp;
        }
        Retry::At(at(now + delay))
    }
}

async fn compare(store: &Store, owner: AccountId, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let rooms = [RoomId::generate(), RoomId::generate(), RoomId::generate()];
    let mut model = Model::default();
    let mut handed_out: Vec<(DeliveryId, u32)> = Vec::new();
    for step in steps {
        let chosen = |pick: usize| handed_out.get(pick % handed_out.len().max(1)).copied();
        match step {
            Step::Queue { lane } => {
                let new = delivery(owner, rooms[lane], "http://hook.test/", "x", at(model.now));
                let done = store.batch().append_event(event(owner, None, "x")).deliver(new).commit().await;
                model.queue(done.expect("queued").delivery_ids[0], lane);
            }
            Step::Wait { seconds } => model.now += seconds,
            Step::Claim { limit } => {
                let claim = store.claim_due(at(model.now), limit).await.expect("claimed");
                let got: Vec<_> = claim.deliveries.iter().map(|delivery| (delivery.id, delivery.attempts)).collect();
                prop_assert_eq!(&got, &model.claim(limit));
                let next = model.lanes.iter().filter_map(|lane| lane.first()).map(|id| model.items[id].due).min();
                prop_assert_eq!(claim.next_due, next.map(at));
                handed_out.extend(got);
            }
            Step::Done { pick } => {
                let Some((id, _)) = chosen(pick) else {
                    continue;
                };
                let news = model.items[&id].state != State::Done;
                model.leave(id, State::Done);
                prop_assert_eq!(store.mark_done(owner, id, at(model.now)).await, Ok(news));
            }
            Step::Retry { pick, delay } => {
                let Some((id, attempt)) = chosen(pick) else {
                    continue;
                };
                let outcome = model.retry(id, attempt, delay);
                let (now, next) = (at(model.now), at(model.now + delay));
                prop_assert_eq!(store.mark_retry(owner, id, attempt, now, next, "no").await, Ok(outcome));
            }
            Step::Fail { pick } => {
                let Some((id, _)) = chosen(pick) else {
                    continue;
                };
                let news = model.items[&id].state == State::Pending;
                if news {
                    model.leave(id, State::Failed);
                }
                prop_assert_eq!(store.mark_failed(owner, id, at(model.now), "no").await, Ok(news));
            }
            Step::Replay { pick } => {
                let Some((id, _)) = chosen(pick) else {
                    continue;
                };
                let failed = model.items[&id].state == State::Failed;
                prop_assert_eq!(store.replay(owner, id, at(model.now)).await.is_ok(), failed);
                if failed {
                    let now = model.now;
                    let item = model.items.get_mut(&id).expect("known");
                    (item.state, item.due, item.queued, item.give_up) = (State::Pending, now, now, None);
                    model.lanes[item.lane].push(id);
                }
            }
        }
        let pending = model.lanes.iter().map(|lane| lane.len() as u64).sum::<u64>();
        prop_assert_eq!(store.pending_deliveries(owner).await, Ok(pending));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn lanes_behave_as_lists(steps in prop::collection::vec(step(), 1..120)) {
        assert_eq!((StoreConfig::default().lane_limit.as_secs(), StoreConfig::default().claim.as_secs()), (60, 20));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let store = open();
            let owner = account(&store, "a").await;
            compare(&store, owner, steps).await
        })?;
    }
}

//! The live rooms of an account as all who watch them share it: looked at once for all, and only while somebody watches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use axum::body::Bytes;
use call::command::AccountRef;
use call::engine::Engine;
use call::room::{LiveRoom, RoomHandle};
use store::AccountId;
use tokio::time::Instant;

use super::caller::Caller;
use super::overview::{GlanceRoom, glance};

/// Shortest time between two looks.
const EVERY: Duration = Duration::from_millis(250);

/// The walls that somebody looks at, by account.
#[derive(Debug, Default)]
pub struct Walls {
    held: Mutex<HashMap<AccountId, Weak<Wall>>>,
}

/// An account's live rooms.
pub struct Wall {
    account: AccountRef,
    state: Mutex<State>,
}

impl std::fmt::Debug for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wall").field("account", &self.account).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    /// How often rooms had changed when their list was made.
    changes: Option<u64>,
    rooms: Vec<(RoomHandle, Arc<LiveRoom>)>,
    shown: Arc<Shown>,
    next: Option<Instant>,
}

/// What is to be seen, until the next look.
#[derive(Default)]
pub(super) struct Shown {
    rooms: Vec<Seen>,
    /// All of it as it is sent: most keys are for all rooms.
    pub(super) frame: OnceLock<Bytes>,
}

struct Seen {
    room: Arc<GlanceRoom>,
    live: Arc<LiveRoom>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Walls {
    /// The wall of the caller's account.
    pub fn of(&self, caller: &Caller) -> Arc<Wall> {
        let mut held = locked(&self.held);
        if let Some(wall) = held.get(&caller.account.id).and_then(Weak::upgrade) {
            return wall;
        }
        held.retain(|_, wall| wall.strong_count() > 0);
        let wall = Arc::new(Wall { account: caller.account_ref(), state: Mutex::default() });
        held.insert(caller.account.id, Arc::downgrade(&wall));
        wall
    }
}

impl Wall {
    /// What is to be seen, and when to look again.
    pub(super) fn look(&self, engine: &Engine) -> (Arc<Shown>, Instant) {
        let mut state = locked(&self.state);
        let now = Instant::now();
        if let Some(next) = state.next.filter(|next| now < *next) {
            return (Arc::clone(&state.shown), next);
        }
        // Read before the rooms are: what changes meanwhile is found the next time.
        let changes = Some(*engine.watch_rooms().borrow());
        if state.changes != changes {
            state.rooms = rooms(engine, &self.account);
            state.changes = changes;
        }
        let seen = |(handle, live): &(RoomHandle, Arc<LiveRoom>)| Seen {
            room: Arc::new(glance(live, handle)),
            live: Arc::clone(live),
        };
        let rooms = state.rooms.iter().map(seen).collect();
        state.shown = Arc::new(Shown { rooms, frame: OnceLock::new() });
        let next = now + EVERY;
        state.next = Some(next);
        (Arc::clone(&state.shown), next)
    }
}

fn rooms(engine: &Engine, account: &AccountRef) -> Vec<(RoomHandle, Arc<LiveRoom>)> {
    let live = |handle: RoomHandle| {
        let live = handle.live();
        (handle, live)
    };
    let mut rooms: Vec<_> = engine.rooms(account).into_iter().map(live).collect();
    rooms.retain(|(_, live)| live.room.ended_at.is_none());
    rooms.sort_by(|(left, _), (right, _)| (left.name(), left.uuid()).cmp(&(right.name(), right.uuid())));
    rooms
}

impl Shown {
    /// The rooms that the key is for, at most so many, and how many further ones there are.
    pub(super) fn to(&self, caller: &Caller, most: usize) -> (Vec<Arc<GlanceRoom>>, usize) {
        let mut rooms: Vec<Arc<GlanceRoom>> = self
            .rooms
            .iter()
            .filter(|seen| caller.may_see_live(&seen.live))
            .map(|seen| Arc::clone(&seen.room))
            .collect();
        let more = rooms.len().saturating_sub(most);
        rooms.truncate(most);
        (rooms, more)
    }
}

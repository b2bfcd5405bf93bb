//! Who is where: the producing ends of all rings, and the order of things on the control side.
//!
//! One lock guards it, held for microseconds and never by a shard. Changes of a room queue here only while a leg is on its way
//! from another shard; requests for such a leg wait with it and follow it in order.

mod changes;
mod dispatcher;
mod legs;
mod rooms;
mod taps;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::RoomChange;
use crate::config::MediaConfig;
use crate::id::Key;
use crate::leg::{Leg, LegStats};
use crate::meter::Meter;
use crate::metrics::MediaMetrics;
use crate::shard::command::{Applied, Command, LegOp, Reply};
use crate::shard::max_buses;
use crate::tap::TapOf;
use crate::{LegId, MediaError, PlayerId, RoomId, TapId};

pub(crate) use dispatcher::Dispatcher;

/// Changes that may wait for one room, and requests for one leg.
const QUEUE: usize = 64;

/// A request that waits for its leg.
enum Waiting {
    Op(Box<LegOp>),
    Remove(Reply<LegStats>),
}

struct LegEntry {
    shard: u16,
    key: Key,
    room: Option<(RoomId, u16)>,
    /// On its way to this place of the room's shard.
    moving: Option<(u16, Key)>,
    /// Between two shards: here.
    transit: Option<Box<Leg>>,
    /// The room whose change it waits for.
    claimed: Option<RoomId>,
    waiting: VecDeque<Waiting>,
    removing: bool,
    /// As its last update says.
    wide: bool,
    /// Whether it has, or was sent, the ways to other rates.
    lifted: bool,
    meter: Option<Meter>,
}

impl LegEntry {
    fn is_settled(&self) -> bool {
        self.moving.is_none() && self.claimed.is_none() && self.waiting.is_empty()
    }
}

struct Queued {
    change: RoomChange,
    reply: Reply<Applied>,
    started: bool,
}

enum Step {
    Change(Box<Queued>),
    Close(Reply<Applied>),
}

struct RoomEntry {
    shard: u16,
    key: Key,
    seats: Vec<Option<LegId>>,
    players: BTreeMap<PlayerId, u64>,
    queue: VecDeque<Step>,
    taps: Vec<TapId>,
    /// Of the last change sent.
    revision: u64,
    failed: bool,
    closing: bool,
}

/// What became of a room's first waiting step.
enum Progress {
    Done,
    Blocked,
}

pub(crate) struct Directory {
    shards: Vec<Dispatcher>,
    legs: HashMap<LegId, LegEntry>,
    /// How many of them have Opus or G.722.
    wide: usize,
    rooms: HashMap<RoomId, RoomEntry>,
    taps: HashMap<TapId, TapOf>,
    taps_of_legs: HashMap<LegId, Vec<TapId>>,
    /// Rooms with waiting steps and legs with waiting requests or in transit.
    busy_rooms: BTreeSet<RoomId>,
    busy_legs: BTreeSet<LegId>,
    max_members: usize,
    max_buses: usize,
    max_legs: usize,
    max_wide: usize,
    max_rooms: usize,
    starts: u64,
    handovers: u64,
    strangers: u64,
    /// Commands whose boxes have not come back.
    pub outstanding: usize,
}

impl Directory {
    pub(super) fn new(shards: Vec<Dispatcher>, config: &MediaConfig) -> Self {
        Self {
            shards,
            legs: HashMap::new(),
            wide: 0,
            rooms: HashMap::new(),
            taps: HashMap::new(),
            taps_of_legs: HashMap::new(),
            busy_rooms: BTreeSet::new(),
            busy_legs: BTreeSet::new(),
            max_members: config.max_members_per_room,
            max_buses: max_buses(config),
            max_legs: config.max_legs_per_shard,
            max_wide: config.max_wide_legs,
            max_rooms: config.max_rooms_per_shard,
            starts: 0,
            handovers: 0,
            strangers: 0,
            outstanding: 0,
        }
    }

    fn shard(&mut self, shard: u16) -> Result<&mut Dispatcher, MediaError> {
        self.shards.get_mut(usize::from(shard)).ok_or(MediaError::Config("there is no such shard"))
    }

    /// Puts a command into a ring that has room for it.
    fn push(&mut self, shard: u16, command: Command, comes_back: bool) {
        let pushed = self.shard(shard).is_ok_and(|d| d.commands.push(command).is_ok());
        self.outstanding += usize::from(pushed && comes_back);
    }

    fn quietest(&self) -> u16 {
        let load = |d: &Dispatcher| (d.legs.used() + d.rooms.used(), d.legs.used());
        self.shards.iter().enumerate().min_by_key(|(_, d)| load(d)).map_or(0, |(at, _)| at as u16)
    }

    /// Goes on with everything that waited for a ring, a shard or another room.
    pub(super) fn pump(&mut self) {
        let legs: Vec<LegId> = self.busy_legs.iter().copied().collect();
        for leg in legs {
            self.go_on(leg);
        }
        let rooms: Vec<RoomId> = self.busy_rooms.iter().copied().collect();
        for room in rooms {
            self.advance(room);
        }
    }

    pub(super) fn metrics(&self) -> MediaMetrics {
        MediaMetrics {
            shards: self.shards.iter().map(|d| d.counters.read()).collect(),
            handovers: self.handovers,
            strangers_in_plans: self.strangers,
            taps: self.tap_count() as u64,
            ..MediaMetrics::default()
        }
    }

    #[cfg(any(test, feature = "mutations"))]
    pub(super) fn inject_fault(&mut self, id: RoomId, fault: crate::RoomFault) -> Result<(), MediaError> {
        let room = self.rooms.get(&id).ok_or(MediaError::NoRoom(id))?;
        let (shard, room) = (room.shard, room.key);
        self.shard(shard)?.admit(1)?;
        self.push(shard, Command::Fault { room, fault }, false);
        Ok(())
    }
}

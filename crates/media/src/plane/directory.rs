//! Who is where: the producing ends of all rings, and the order of things on the control side.
//!
//! One lock guards it, held for microseconds and never by a shard. Changes of a room queue here only while a leg is on its way
//! from another shard; requests for such a leg wait with it and follow it in order.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::RoomChange;
use super::compile::{self, Members};
use crate::config::MediaConfig;
use crate::id::Key;
use crate::leg::{Leg, LegStats};
use crate::metrics::{Counters, MediaMetrics};
use crate::player::{PlayChange, PlayerChange, Track};
use crate::shard::command::{Applied, Change, Closing, Command, LegCommand, LegOp, Outcome, Removal, Reply};
use crate::shard::room::Room;
use crate::shard::{MAX_PLAYERS, max_buses};
use crate::{LegId, MediaError, PlayerId, RoomId};

/// Changes that may wait for one room, and requests for one leg.
const QUEUE: usize = 64;

/// Free places of a slab and the generations given out.
struct Places {
    free: Vec<u32>,
    generations: Vec<u32>,
    most: usize,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { free: Vec::new(), generations: Vec::new(), most }
    }

    fn available(&self) -> usize {
        self.free.len() + (self.most - self.generations.len())
    }

    fn take(&mut self) -> Option<Key> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.generations.len() < self.most => {
                self.generations.push(0);
                (self.generations.len() - 1) as u32
            }
            None => return None,
        };
        let generation = self.generations.get_mut(index as usize)?;
        *generation = generation.wrapping_add(1);
        Some(Key { index, generation: *generation })
    }

    fn give_back(&mut self, key: Key) {
        self.free.push(key.index);
    }

    fn used(&self) -> usize {
        self.generations.len() - self.free.len()
    }
}

/// One shard as the control side sees it.
pub(crate) struct Dispatcher {
    commands: rtrb::Producer<Command>,
    counters: Arc<Counters>,
    legs: Places,
    rooms: Places,
}

impl Dispatcher {
    pub(super) fn new(commands: rtrb::Producer<Command>, counters: Arc<Counters>, config: &MediaConfig) -> Self {
        Self {
            commands,
            counters,
            legs: Places::new(config.max_legs_per_shard),
            rooms: Places::new(config.max_rooms_per_shard),
        }
    }

    fn admit(&self, commands: usize) -> Result<(), MediaError> {
        if self.commands.slots() < commands {
            return Err(MediaError::Busy("the shard's command queue is full"));
        }
        Ok(())
    }
}

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
    rooms: HashMap<RoomId, RoomEntry>,
    /// Rooms with waiting steps and legs with waiting requests or in transit.
    busy_rooms: BTreeSet<RoomId>,
    busy_legs: BTreeSet<LegId>,
    max_members: usize,
    max_buses: usize,
    max_legs: usize,
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
            rooms: HashMap::new(),
            busy_rooms: BTreeSet::new(),
            busy_legs: BTreeSet::new(),
            max_members: config.max_members_per_room,
            max_buses: max_buses(config),
            max_legs: config.max_legs_per_shard,
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

    pub(super) fn add_leg(&mut self, id: LegId, leg: Box<Leg>, shard: Option<u16>) -> Result<(), MediaError> {
        let shard = shard.unwrap_or_else(|| self.quietest());
        let limit = self.max_legs;
        let dispatcher = self.shard(shard)?;
        dispatcher.admit(1)?;
        let key = dispatcher.legs.take().ok_or(MediaError::Limit { what: "legs on a shard", limit })?;
        self.push(shard, Command::AddLeg { leg, key }, false);
        let entry = LegEntry {
            shard,
            key,
            room: None,
            moving: None,
            transit: None,
            claimed: None,
            waiting: VecDeque::new(),
            removing: false,
        };
        self.legs.insert(id, entry);
        Ok(())
    }

    pub(super) fn leg_op(&mut self, id: LegId, op: LegOp) -> Result<(), MediaError> {
        self.request(id, Waiting::Op(Box::new(op)))
    }

    pub(super) fn remove_leg(&mut self, id: LegId, reply: Reply<LegStats>) -> Result<(), MediaError> {
        self.request(id, Waiting::Remove(reply))
    }

    fn request(&mut self, id: LegId, request: Waiting) -> Result<(), MediaError> {
        let entry = self.legs.get_mut(&id).filter(|e| !e.removing).ok_or(MediaError::NoLeg(id))?;
        let removal = matches!(request, Waiting::Remove(_));
        if entry.is_settled() {
            let shard = entry.shard;
            self.shard(shard)?.admit(1)?;
            self.send_request(id, request);
        } else {
            if entry.waiting.len() >= QUEUE {
                return Err(MediaError::Busy("too many requests wait for a leg on its way to another shard"));
            }
            entry.waiting.push_back(request);
            entry.removing |= removal;
            self.busy_legs.insert(id);
        }
        Ok(())
    }

    /// Sends a request for a settled leg to a ring that has room.
    fn send_request(&mut self, id: LegId, request: Waiting) {
        let Some(entry) = self.legs.get_mut(&id) else { return };
        let (shard, key) = (entry.shard, entry.key);
        let command = match request {
            Waiting::Op(op) => Command::Leg(Box::new(LegCommand { id, key, op: *op, applied: None })),
            Waiting::Remove(reply) => {
                entry.removing = true;
                self.unseat(id);
                Command::RemoveLeg(Box::new(Removal { id, key, leg: None, reply }))
            }
        };
        self.push(shard, command, true);
    }

    /// Frees the leg's seat.
    fn unseat(&mut self, id: LegId) {
        let Some((room, seat)) = self.legs.get_mut(&id).and_then(|e| e.room.take()) else { return };
        if let Some(room) = self.rooms.get_mut(&room) {
            if let Some(place) = room.seats.get_mut(usize::from(seat)) {
                *place = None;
            }
            while room.seats.last().is_some_and(Option::is_none) {
                room.seats.pop();
            }
        }
    }

    pub(super) fn open_room(&mut self, id: RoomId, shard: Option<u16>) -> Result<(), MediaError> {
        let shard = shard.unwrap_or_else(|| self.quietest());
        let limit = self.max_rooms;
        let dispatcher = self.shard(shard)?;
        dispatcher.admit(1)?;
        let key = dispatcher.rooms.take().ok_or(MediaError::Limit { what: "rooms on a shard", limit })?;
        self.push(shard, Command::OpenRoom(Box::new(Room::new(id, key))), false);
        let entry = RoomEntry {
            shard,
            key,
            seats: Vec::new(),
            players: BTreeMap::new(),
            queue: VecDeque::new(),
            revision: 0,
            failed: false,
            closing: false,
        };
        self.rooms.insert(id, entry);
        Ok(())
    }

    /// A room that takes requests, with room for one more.
    fn open_for(&mut self, id: RoomId) -> Result<(), MediaError> {
        let room = self.rooms.get(&id).filter(|r| !r.closing).ok_or(MediaError::NoRoom(id))?;
        let (shard, waiting, failed) = (room.shard, room.queue.len(), room.failed);
        if failed {
            return Err(MediaError::RoomFailed(id));
        }
        if waiting >= QUEUE {
            return Err(MediaError::Busy("too many changes of a room wait"));
        }
        self.shard(shard)?.admit(waiting + 1)
    }

    pub(super) fn close_room(&mut self, id: RoomId, reply: Reply<Applied>) -> Result<(), MediaError> {
        if let Err(error) = self.open_for(id) {
            if matches!(error, MediaError::RoomFailed(_)) {
                self.rooms.remove(&id);
            }
            return Err(error);
        }
        if let Some(room) = self.rooms.get_mut(&id) {
            room.closing = true;
            room.queue.push_back(Step::Close(reply));
        }
        self.advance(id);
        Ok(())
    }

    pub(super) fn change_room(
        &mut self,
        id: RoomId,
        change: RoomChange,
        reply: Reply<Applied>,
    ) -> Result<(), MediaError> {
        self.open_for(id)?;
        compile::check(id, &change.plan, self.max_members, self.max_buses)?;
        // A leg that leaves or stops playing may be gone already; one that enters may not.
        for leg in &change.join {
            self.legs.get(leg).filter(|e| !e.removing).ok_or(MediaError::NoLeg(*leg))?;
        }
        if let Some(room) = self.rooms.get_mut(&id) {
            room.queue.push_back(Step::Change(Box::new(Queued { change, reply, started: false })));
        }
        self.advance(id);
        Ok(())
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

    /// Sends on a leg in transit, then the requests that waited for it.
    fn go_on(&mut self, id: LegId) {
        let Some(entry) = self.legs.get_mut(&id) else {
            self.busy_legs.remove(&id);
            return;
        };
        if let (Some((shard, key)), true) = (entry.moving, entry.transit.is_some()) {
            let room = self.shards.get(usize::from(shard)).is_some_and(|d| d.commands.slots() > 0);
            if !room {
                return;
            }
            if let Some(leg) = entry.transit.take() {
                (entry.shard, entry.key, entry.moving) = (shard, key, None);
                self.handovers += 1;
                self.push(shard, Command::AddLeg { leg, key }, false);
            }
        }
        loop {
            let Some(entry) = self.legs.get_mut(&id) else { return };
            if entry.moving.is_some() || entry.claimed.is_some() {
                return;
            }
            let shard = entry.shard;
            if entry.waiting.is_empty() {
                self.busy_legs.remove(&id);
                return;
            }
            if self.shard(shard).is_ok_and(|d| d.admit(1).is_err()) {
                return;
            }
            let next = self.legs.get_mut(&id).and_then(|e| e.waiting.pop_front());
            if let Some(request) = next {
                self.send_request(id, request);
            }
        }
    }

    /// Takes a room's steps as far as they go.
    fn advance(&mut self, id: RoomId) {
        while let Some(step) = self.rooms.get_mut(&id).and_then(|r| r.queue.pop_front()) {
            let progress = match step {
                Step::Close(reply) => self.close_now(id, reply),
                Step::Change(queued) => self.change_now(id, queued),
            };
            if let Progress::Blocked = progress {
                self.busy_rooms.insert(id);
                return;
            }
        }
        self.busy_rooms.remove(&id);
    }

    fn put_back(&mut self, id: RoomId, step: Step) -> Progress {
        if let Some(room) = self.rooms.get_mut(&id) {
            room.queue.push_front(step);
        }
        Progress::Blocked
    }

    fn close_now(&mut self, id: RoomId, reply: Reply<Applied>) -> Progress {
        let Some(room) = self.rooms.get(&id) else { return Progress::Done };
        if room.failed {
            self.rooms.remove(&id);
            let _ = reply.send(Err(MediaError::RoomFailed(id)));
            return Progress::Done;
        }
        let (shard, key) = (room.shard, room.key);
        if self.shard(shard).is_ok_and(|d| d.admit(1).is_err()) {
            return self.put_back(id, Step::Close(reply));
        }
        for leg in self.members(id) {
            self.unseat(leg);
        }
        self.push(shard, Command::CloseRoom(Box::new(Closing { id, key, room: None, applied: None, reply })), true);
        Progress::Done
    }

    fn members(&self, id: RoomId) -> Vec<LegId> {
        self.rooms.get(&id).map_or_else(Vec::new, |r| r.seats.iter().flatten().copied().collect())
    }

    /// Legs of a change that are still there.
    fn alive(&self, legs: &[LegId]) -> Vec<LegId> {
        let mut alive: Vec<LegId> = Vec::with_capacity(legs.len());
        for leg in legs {
            if !alive.contains(leg) && self.legs.get(leg).is_some_and(|e| !e.removing) {
                alive.push(*leg);
            }
        }
        alive
    }

    fn change_now(&mut self, id: RoomId, mut queued: Box<Queued>) -> Progress {
        let Some(room) = self.rooms.get(&id) else { return Progress::Done };
        let (shard, failed) = (room.shard, room.failed);
        // One that is being removed enters no more, but is let go of all the same.
        let claimed = queued.change.join.clone();
        let join = self.alive(&queued.change.join);
        if !queued.started {
            match self.start(id, shard, &queued.change, &join) {
                Ok(true) => queued.started = true,
                Ok(false) => return self.put_back(id, Step::Change(queued)),
                Err(error) => {
                    let _ = queued.reply.send(Err(error));
                    return Progress::Done;
                }
            }
        }
        let on_the_way = join.iter().any(|l| self.legs.get(l).is_some_and(|e| e.moving.is_some()));
        if on_the_way || self.shard(shard).is_ok_and(|d| d.admit(1).is_err()) {
            return self.put_back(id, Step::Change(queued));
        }
        if failed {
            let _ = queued.reply.send(Err(MediaError::RoomFailed(id)));
        } else {
            self.submit(id, shard, *queued, &join);
        }
        for leg in claimed {
            if let Some(entry) = self.legs.get_mut(&leg).filter(|entry| entry.claimed == Some(id)) {
                entry.claimed = None;
            }
            self.go_on(leg);
        }
        Progress::Done
    }

    /// Claims the legs that join and calls those on other shards. False if it cannot start yet; an error changed nothing.
    fn start(&mut self, id: RoomId, shard: u16, change: &RoomChange, join: &[LegId]) -> Result<bool, MediaError> {
        let current = self.rooms.get(&id).map_or(0, |r| r.revision);
        if change.plan.revision < current {
            return Err(MediaError::StalePlan { room: id, offered: change.plan.revision, current });
        }
        let members = self.members(id);
        let entering = join.iter().filter(|l| !members.contains(l)).count();
        let leaving = change.leave.iter().filter(|l| members.contains(l)).count();
        if members.len() + entering > self.max_members + leaving {
            return Err(MediaError::Limit { what: "members in a room", limit: self.max_members });
        }
        self.check_players(id, change)?;
        let settled = |e: &LegEntry| e.is_settled() || (e.claimed == Some(id) && e.moving.is_none());
        if join.iter().any(|l| self.legs.get(l).is_some_and(|e| !settled(e))) {
            return Ok(false);
        }
        let away: Vec<(LegId, u16, Key)> = join
            .iter()
            .filter_map(|l| self.legs.get(l).map(|e| (*l, e.shard, e.key)))
            .filter(|(_, at, _)| *at != shard)
            .collect();
        let limit = self.max_legs;
        if self.shard(shard)?.legs.available() < away.len() {
            return Err(MediaError::Limit { what: "legs on a shard", limit });
        }
        for from in 0..self.shards.len() as u16 {
            let calls = away.iter().filter(|(_, at, _)| *at == from).count();
            if calls > 0 && self.shard(from)?.admit(calls).is_err() {
                return Ok(false);
            }
        }
        for leg in join {
            if let Some(entry) = self.legs.get_mut(leg) {
                entry.claimed = Some(id);
            }
        }
        for (leg, from, key) in away {
            let Some(place) = self.shard(shard)?.legs.take() else { continue };
            self.unseat(leg);
            if let Some(entry) = self.legs.get_mut(&leg) {
                entry.moving = Some((shard, place));
            }
            self.push(from, Command::TakeLeg { leg, key }, true);
        }
        Ok(true)
    }

    fn check_players(&self, id: RoomId, change: &RoomChange) -> Result<(), MediaError> {
        let Some(room) = self.rooms.get(&id) else { return Ok(()) };
        let mut after: BTreeSet<PlayerId> = room.players.keys().copied().collect();
        for (player, what) in &change.players {
            match what {
                PlayerChange::Start(_) => after.insert(*player),
                // One that ended by itself has gone already; stopping it is nothing wrong.
                PlayerChange::Stop => after.remove(player),
            };
        }
        if after.len() > MAX_PLAYERS {
            return Err(MediaError::Limit { what: "players in a room", limit: MAX_PLAYERS });
        }
        Ok(())
    }

    /// Compiles a change whose legs are all here and sends it.
    fn submit(&mut self, id: RoomId, shard: u16, queued: Queued, join: &[LegId]) {
        let RoomChange { plan, leave, plays, players, .. } = queued.change;
        let members = self.members(id);
        let mut plays: Vec<(Key, Option<Track>)> = plays
            .into_iter()
            .filter(|(leg, _)| members.contains(leg) || join.contains(leg))
            .filter_map(|(leg, play)| {
                let key = self.legs.get(&leg)?.key;
                Some((key, if let PlayChange::Start(play) = play { Some(Track::new(play)) } else { None }))
            })
            .collect();
        plays.shrink_to_fit();
        let mut leaving = Vec::new();
        for leg in self.alive(&leave) {
            let here = self.legs.get(&leg).filter(|e| e.room.is_some_and(|(room, _)| room == id)).map(|e| e.key);
            if let Some(key) = here {
                leaving.push(key);
                self.unseat(leg);
            }
        }
        let mut joining = Vec::new();
        for leg in join {
            let Some(entry) = self.legs.get(leg) else { continue };
            if entry.room.is_some_and(|(room, _)| room == id) {
                continue;
            }
            let key = entry.key;
            self.unseat(*leg);
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            let seat = room.seats.iter().position(Option::is_none).unwrap_or(room.seats.len());
            if seat == room.seats.len() {
                room.seats.push(None);
            }
            if let Some(place) = room.seats.get_mut(seat) {
                *place = Some(*leg);
            }
            joining.push((*leg, key, seat as u16));
            if let Some(entry) = self.legs.get_mut(leg) {
                entry.room = Some((id, seat as u16));
            }
        }
        let mut starts = HashMap::new();
        for (player, what) in players {
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            match what {
                PlayerChange::Start(play) => {
                    self.starts += 1;
                    room.players.insert(player, self.starts);
                    starts.insert(player, Track::new(play));
                }
                PlayerChange::Stop => {
                    room.players.remove(&player);
                    starts.remove(&player);
                }
            }
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.revision = plan.revision;
        let keys: HashMap<LegId, Key> =
            room.seats.iter().flatten().filter_map(|l| self.legs.get(l).map(|e| (*l, e.key))).collect();
        let members = Members { seats: &room.seats, keys: &keys, players: &room.players };
        let (compiled, strangers) = compile::compile(&plan, &members, starts);
        self.strangers += strangers;
        let change = Change {
            id,
            key: room.key,
            revision: plan.revision,
            join: joining,
            leave: leaving,
            plays,
            plan: Some(Box::new(compiled)),
            outcome: Outcome::Waiting,
            reply: queued.reply,
        };
        self.push(shard, Command::Change(Box::new(change)), true);
    }

    /// A leg has come out of its old shard.
    pub(super) fn taken(&mut self, id: LegId, leg: Option<Box<Leg>>) {
        let Some(entry) = self.legs.get_mut(&id) else { return };
        let (shard, key) = (entry.shard, entry.key);
        match leg {
            Some(leg) => {
                entry.transit = Some(leg);
                self.busy_legs.insert(id);
            }
            // It was not where it should have been. It is lost to us; whoever asks is told so.
            None => {
                if let Some((to, place)) = entry.moving {
                    self.legs.remove(&id);
                    if let Ok(dispatcher) = self.shard(to) {
                        dispatcher.legs.give_back(place);
                    }
                }
            }
        }
        if let Ok(dispatcher) = self.shard(shard) {
            dispatcher.legs.give_back(key);
        }
    }

    /// A leg has been removed.
    pub(super) fn removed(&mut self, id: LegId) {
        if let Some(entry) = self.legs.remove(&id)
            && let Ok(dispatcher) = self.shard(entry.shard)
        {
            dispatcher.legs.give_back(entry.key);
        }
    }

    /// A room has been closed; `by_shard` unless it had failed before.
    pub(super) fn closed(&mut self, id: RoomId, by_shard: bool) {
        if let Some(entry) = self.rooms.remove(&id).filter(|_| by_shard)
            && let Ok(dispatcher) = self.shard(entry.shard)
        {
            dispatcher.rooms.give_back(entry.key);
        }
    }

    /// A room's tick failed: its legs are on their own.
    pub(super) fn failed(&mut self, id: RoomId) {
        for leg in self.members(id) {
            self.unseat(leg);
        }
        let Some(entry) = self.rooms.get_mut(&id) else { return };
        entry.failed = true;
        let (shard, key) = (entry.shard, entry.key);
        if let Ok(dispatcher) = self.shard(shard) {
            dispatcher.rooms.give_back(key);
        }
    }

    /// A change came back without having been applied: those it let in are where they were before, without a room.
    pub(super) fn refused(&mut self, change: &Change) {
        for (leg, key, seat) in &change.join {
            let entry = self.legs.get(leg);
            if entry.is_some_and(|e| e.key == *key && e.room == Some((change.id, *seat))) {
                self.unseat(*leg);
            }
        }
    }

    /// A player ended by itself.
    pub(super) fn player_ended(&mut self, room: RoomId, player: PlayerId, serial: u64) {
        if let Some(room) = self.rooms.get_mut(&room)
            && room.players.get(&player) == Some(&serial)
        {
            room.players.remove(&player);
        }
    }

    pub(super) fn shard_of(&self, leg: LegId) -> Option<u16> {
        self.legs.get(&leg).filter(|e| e.moving.is_none()).map(|e| e.shard)
    }

    pub(super) fn metrics(&self) -> MediaMetrics {
        MediaMetrics {
            shards: self.shards.iter().map(|d| d.counters.read()).collect(),
            handovers: self.handovers,
            strangers_in_plans: self.strangers,
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

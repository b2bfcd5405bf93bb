//! Rooms: opened, closed, and taken through their waiting steps one after the other.

use std::collections::{BTreeMap, VecDeque};

use super::{Directory, Progress, QUEUE, Queued, RoomEntry, Step};
use crate::plane::{RoomChange, compile};
use crate::shard::command::{Applied, Closing, Command, Reply};
use crate::shard::room::Room;
use crate::{LegId, MediaError, PlayerId, RoomId};

impl Directory {
    pub(in crate::plane) fn open_room(&mut self, id: RoomId, shard: Option<u16>) -> Result<(), MediaError> {
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
            taps: Vec::new(),
            revision: 0,
            failed: false,
            closing: false,
        };
        self.rooms.insert(id, entry);
        Ok(())
    }

    /// A room that takes requests, with room for one more.
    pub(super) fn open_for(&mut self, id: RoomId) -> Result<(), MediaError> {
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

    pub(in crate::plane) fn close_room(&mut self, id: RoomId, reply: Reply<Applied>) -> Result<(), MediaError> {
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

    pub(in crate::plane) fn change_room(
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

    /// Takes a room's steps as far as they go.
    pub(super) fn advance(&mut self, id: RoomId) {
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

    pub(super) fn put_back(&mut self, id: RoomId, step: Step) -> Progress {
        if let Some(room) = self.rooms.get_mut(&id) {
            room.queue.push_front(step);
        }
        Progress::Blocked
    }

    pub(super) fn close_now(&mut self, id: RoomId, reply: Reply<Applied>) -> Progress {
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

    pub(super) fn members(&self, id: RoomId) -> Vec<LegId> {
        self.rooms.get(&id).map_or_else(Vec::new, |r| r.seats.iter().flatten().copied().collect())
    }

    /// A room has been closed; `by_shard` unless it had failed before.
    pub(in crate::plane) fn closed(&mut self, id: RoomId, by_shard: bool) {
        self.forget_room_taps(id);
        if let Some(entry) = self.rooms.remove(&id).filter(|_| by_shard)
            && let Ok(dispatcher) = self.shard(entry.shard)
        {
            dispatcher.rooms.give_back(entry.key);
        }
    }

    /// A room's tick failed: its legs are on their own.
    pub(in crate::plane) fn failed(&mut self, id: RoomId) {
        for leg in self.members(id) {
            self.unseat(leg);
        }
        self.forget_room_taps(id);
        let Some(entry) = self.rooms.get_mut(&id) else { return };
        entry.failed = true;
        let (shard, key) = (entry.shard, entry.key);
        if let Ok(dispatcher) = self.shard(shard) {
            dispatcher.rooms.give_back(key);
        }
    }

    /// A player ended by itself.
    pub(in crate::plane) fn player_ended(&mut self, room: RoomId, player: PlayerId, serial: u64) {
        if let Some(room) = self.rooms.get_mut(&room)
            && room.players.get(&player) == Some(&serial)
        {
            room.players.remove(&player);
        }
    }
}

//! Taps: which there are and what they are on.

use super::Directory;
use crate::leg::Extras;
use crate::plane::{MAX_LEG_TAPS, MAX_ROOM_TAPS};
use crate::shard::command::{Applied, Command, LegOp, Reply, RoomTap};
use crate::tap::{Tap, TapOf};
use crate::{LegId, MediaError, RoomId, TapId};

impl Directory {
    /// Opens a tap; an error changed nothing.
    pub(in crate::plane) fn open_tap(
        &mut self,
        of: TapOf,
        tap: Box<Tap>,
        spare: Box<Extras>,
    ) -> Result<(), MediaError> {
        let id = tap.id;
        match of {
            TapOf::Leg { leg, .. } => {
                if self.taps_of_legs.get(&leg).is_some_and(|taps| taps.len() >= MAX_LEG_TAPS) {
                    return Err(MediaError::Limit { what: "taps on a leg", limit: MAX_LEG_TAPS });
                }
                self.leg_op(leg, LegOp::OpenTap(Some(tap), Some(spare)))?;
                self.taps_of_legs.entry(leg).or_default().push(id);
            }
            TapOf::Room(room) => {
                self.open_for(room)?;
                // One for each member, and the room's own.
                let limit = self.max_members + MAX_ROOM_TAPS;
                let entry = self.rooms.get_mut(&room).ok_or(MediaError::NoRoom(room))?;
                if entry.taps.len() >= limit {
                    return Err(MediaError::Limit { what: "taps on a room", limit });
                }
                entry.taps.push(id);
                let (shard, key) = (entry.shard, entry.key);
                let open = RoomTap { room: key, id, tap: Some(tap), applied: None, reply: None };
                self.push(shard, Command::RoomTap(Box::new(open)), true);
            }
        }
        self.taps.insert(id, of);
        Ok(())
    }

    /// Closes a tap; an error changed nothing.
    pub(in crate::plane) fn close_tap(&mut self, id: TapId, reply: Reply<Applied>) -> Result<(), MediaError> {
        match self.taps.get(&id).copied().ok_or(MediaError::NoTap(id))? {
            TapOf::Leg { leg, .. } => {
                self.leg_op(leg, LegOp::CloseTap(id, None, reply))?;
                if let Some(taps) = self.taps_of_legs.get_mut(&leg) {
                    taps.retain(|tap| *tap != id);
                    if taps.is_empty() {
                        self.taps_of_legs.remove(&leg);
                    }
                }
            }
            TapOf::Room(room) => {
                let entry = self.rooms.get(&room).ok_or(MediaError::NoTap(id))?;
                let (shard, key) = (entry.shard, entry.key);
                self.shard(shard)?.admit(1)?;
                let close = RoomTap { room: key, id, tap: None, applied: None, reply: Some(reply) };
                self.push(shard, Command::RoomTap(Box::new(close)), true);
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.taps.retain(|tap| *tap != id);
                }
            }
        }
        self.taps.remove(&id);
        Ok(())
    }

    /// A leg has gone, and its taps with it.
    pub(super) fn forget_taps_of(&mut self, leg: LegId) {
        for tap in self.taps_of_legs.remove(&leg).unwrap_or_default() {
            self.taps.remove(&tap);
        }
    }

    /// A room has gone, and its taps with it.
    pub(super) fn forget_room_taps(&mut self, room: RoomId) {
        let taps = self.rooms.get_mut(&room).map(|entry| std::mem::take(&mut entry.taps)).unwrap_or_default();
        for tap in taps {
            self.taps.remove(&tap);
        }
    }

    /// How many taps there are.
    pub(in crate::plane) fn tap_count(&self) -> usize {
        self.taps.len()
    }
}

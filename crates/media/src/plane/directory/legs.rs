//! Legs: added, asked, removed, and on their way from one shard to another.

use std::collections::VecDeque;

use audio::Format;

use super::{Directory, LegEntry, QUEUE, Waiting};
use crate::convert::{Lift, Rate};
use crate::id::Key;
use crate::leg::{Leg, LegStats, Refit};
use crate::meter::Meter;
use crate::shard::command::{Applied, Command, LegCommand, LegOp, Removal, Reply};
use crate::{LegId, MediaError, RoomId};

impl Directory {
    pub(in crate::plane) fn add_leg(&mut self, id: LegId, leg: Box<Leg>, shard: Option<u16>) -> Result<(), MediaError> {
        let shard = shard.unwrap_or_else(|| self.quietest());
        let wide = leg.wide.is_some();
        self.admit_wide(wide)?;
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
            wide,
            lifted: wide,
            meter: None,
        };
        self.legs.insert(id, entry);
        self.wide += usize::from(wide);
        Ok(())
    }

    /// Lets go of a leg's entry.
    fn forget(&mut self, id: LegId) -> Option<LegEntry> {
        let entry = self.legs.remove(&id)?;
        self.wide -= usize::from(entry.wide);
        Some(entry)
    }

    /// Whether another wide leg may be.
    fn admit_wide(&self, wide: bool) -> Result<(), MediaError> {
        let limit = self.max_wide;
        if wide && self.wide >= limit {
            return Err(MediaError::Limit { what: "legs with Opus or G.722", limit });
        }
        Ok(())
    }

    pub(in crate::plane) fn is_wide(&self, id: LegId) -> bool {
        self.legs.get(&id).is_some_and(|entry| entry.wide)
    }

    /// Changes a leg as `refit` says.
    pub(in crate::plane) fn update_leg(
        &mut self,
        id: LegId,
        refit: Box<Refit>,
        reply: Reply<Applied>,
    ) -> Result<(), MediaError> {
        let format = refit.update.format.map(|(format, _)| format);
        let wide = format.map(|format| !matches!(format, Format::Narrow(_)));
        self.admit_wide(wide == Some(true) && !self.is_wide(id))?;
        let lifted = refit.lift.is_some();
        self.leg_op(id, LegOp::Update(refit, reply))?;
        if let (Some(wide), Some(entry)) = (wide, self.legs.get_mut(&id)) {
            self.wide -= usize::from(std::mem::replace(&mut entry.wide, wide));
            self.wide += usize::from(wide);
            entry.lifted |= lifted;
        }
        Ok(())
    }

    /// The meter of a leg; an error changed nothing.
    pub(in crate::plane) fn meter(&mut self, id: LegId) -> Result<Meter, MediaError> {
        let entry = self.legs.get(&id).filter(|e| !e.removing).ok_or(MediaError::NoLeg(id))?;
        if let Some(meter) = &entry.meter {
            return Ok(meter.clone());
        }
        let meter = Meter::new();
        self.leg_op(id, LegOp::Show(meter.clone()))?;
        if let Some(entry) = self.legs.get_mut(&id) {
            entry.meter = Some(meter.clone());
        }
        Ok(meter)
    }

    /// What narrow legs of a room need to be heard at other rates and have not been given yet, if `wide` or a member is wide.
    pub(super) fn lifts(&mut self, room: RoomId, wide: bool) -> Vec<(Key, Option<Box<Lift>>)> {
        let members = self.members(room);
        if !wide && !members.iter().any(|leg| self.is_wide(*leg)) {
            return Vec::new();
        }
        let mut lifts = Vec::new();
        for leg in members {
            let Some(entry) = self.legs.get_mut(&leg) else { continue };
            if !std::mem::replace(&mut entry.lifted, true) {
                lifts.push((entry.key, Some(Lift::of(Rate::Narrow))));
            }
        }
        lifts
    }

    pub(in crate::plane) fn leg_op(&mut self, id: LegId, op: LegOp) -> Result<(), MediaError> {
        self.request(id, Waiting::Op(Box::new(op)))
    }

    pub(in crate::plane) fn remove_leg(&mut self, id: LegId, reply: Reply<LegStats>) -> Result<(), MediaError> {
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
    pub(super) fn send_request(&mut self, id: LegId, request: Waiting) {
        let Some(entry) = self.legs.get_mut(&id) else { return };
        let (shard, key) = (entry.shard, entry.key);
        let command = match request {
            Waiting::Op(mut op) => {
                let room = entry.room.map(|(room, _)| room);
                if let (LegOp::Update(refit, _), Some(room)) = (&mut *op, room)
                    && refit.wide.is_some()
                {
                    refit.others = self.lifts(room, true);
                }
                Command::Leg(Box::new(LegCommand { id, key, op: *op, applied: None }))
            }
            Waiting::Remove(reply) => {
                entry.removing = true;
                self.unseat(id);
                Command::RemoveLeg(Box::new(Removal { id, key, leg: None, reply }))
            }
        };
        self.push(shard, command, true);
    }

    /// Frees the leg's seat.
    pub(super) fn unseat(&mut self, id: LegId) {
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

    /// Sends on a leg in transit, then the requests that waited for it.
    pub(super) fn go_on(&mut self, id: LegId) {
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

    /// A leg has come out of its old shard.
    pub(in crate::plane) fn taken(&mut self, id: LegId, leg: Option<Box<Leg>>) {
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
                    self.forget(id);
                    self.forget_taps_of(id);
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
    pub(in crate::plane) fn removed(&mut self, id: LegId) {
        self.forget_taps_of(id);
        if let Some(entry) = self.forget(id)
            && let Ok(dispatcher) = self.shard(entry.shard)
        {
            dispatcher.legs.give_back(entry.key);
        }
    }

    pub(in crate::plane) fn shard_of(&self, leg: LegId) -> Option<u16> {
        self.legs.get(&leg).filter(|e| e.moving.is_none()).map(|e| e.shard)
    }
}

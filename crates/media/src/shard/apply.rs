//! Commands at work: each is whole between two ticks.

use std::time::Duration;

use super::command::{Applied, Change, Command, LegCommand, LegOp, Outcome, Playing, RoomTap, Up};
use super::plan_state::Compiled;
use super::room::Room;
use super::{SLOTS, ShardCore, wide};
use crate::convert::Lift;
use crate::id::Key;
use crate::leg::{Context, Home};
use crate::mutation::{self, Mutation};
use crate::net::Net;

impl ShardCore {
    pub(super) fn obey(&mut self, command: Command, now: Duration, slot: u64, net: &mut impl Net) {
        let answer = match command {
            Command::AddLeg { mut leg, key } => {
                // Packets it brought from another shard are older than anything that happens here from now on.
                self.kit.arrivals = self.kit.arrivals.max(leg.newest_mark().saturating_add(1));
                leg.settle_in(slot);
                match self.legs.put(key, leg) {
                    None => {
                        self.kit.counters.legs.one();
                        let place = self.wheel.quietest();
                        self.seat_alone(key, place);
                        return;
                    }
                    // The place is taken: the control side never does this; the leg goes back rather than being lost.
                    Some(leg) => Up::Taken { leg: leg.id, taken: Some(leg) },
                }
            }
            Command::TakeLeg { leg, key } => {
                // Its seat keeps the old key: generations guard it.
                self.detach(key, false);
                let taken = self.legs.take(key);
                self.kit.counters.legs.less(u64::from(taken.is_some()));
                Up::Taken { leg, taken }
            }
            Command::RemoveLeg(mut removal) => {
                self.detach(removal.key, false);
                self.with_leg(removal.key, now, slot, |leg, cx| leg.report(net, cx, true));
                removal.leg = self.legs.take(removal.key);
                self.kit.counters.legs.less(u64::from(removal.leg.is_some()));
                Up::Removed(removal)
            }
            Command::Leg(mut command) => {
                self.obey_leg(&mut command, slot, net);
                Up::Leg(command)
            }
            Command::OpenRoom(room) => {
                let key = room.key;
                match self.rooms.put(key, room) {
                    None => {
                        self.kit.counters.rooms.one();
                        return;
                    }
                    Some(room) => Up::RoomFailed { room, payload: Box::new("the room's place is taken") },
                }
            }
            Command::CloseRoom(mut closing) => {
                let place = self.rooms.get_mut(closing.key).and_then(|r| r.slot);
                let first = self.first_tick(place, slot);
                self.scatter(closing.key);
                closing.room = self.rooms.take(closing.key);
                if closing.room.is_some() {
                    self.kit.counters.rooms.less(1);
                    closing.applied = Some(first);
                }
                Up::Closed(closing)
            }
            Command::Change(mut change) => {
                self.change(&mut change, now, slot, net);
                Up::Changed(change)
            }
            Command::RoomTap(mut command) => {
                self.obey_tap(&mut command, slot);
                Up::RoomTap(command)
            }
            #[cfg(any(test, feature = "mutations"))]
            Command::Fault { room, fault } => {
                if let Some(room) = self.rooms.get_mut(room) {
                    room.fault = Some(fault);
                }
                return;
            }
        };
        // There is room: it was looked for before the command was taken.
        let _ = self.up.push(answer);
    }

    /// The first tick of a wheel place that is still to come, the present sub-slot included.
    fn first_tick(&self, place: Option<u8>, slot: u64) -> Applied {
        let place = place.map_or(slot % SLOTS, u64::from);
        let due = slot + (place + SLOTS - slot % SLOTS) % SLOTS;
        Applied {
            shard: self.id,
            tick: due / SLOTS,
            at_micros: self.kit.utc_zero.saturating_add(i64::try_from(due).unwrap_or(i64::MAX).saturating_mul(1_000)),
        }
    }

    /// Runs something on a leg with a tick's context.
    fn with_leg(
        &mut self,
        key: Key,
        now: Duration,
        slot: u64,
        act: impl FnOnce(&mut crate::leg::Leg, &mut Context<'_>),
    ) {
        let Some(leg) = self.legs.get_mut(key) else { return };
        act(leg, &mut self.kit.context(now, slot));
    }

    fn obey_leg(&mut self, command: &mut LegCommand, slot: u64, net: &mut impl Net) {
        let home = self.legs.get_mut(command.key).map(|leg| leg.home);
        let place = match home {
            Some(Home::Alone { slot }) => Some(slot),
            Some(Home::Room { room, .. }) => self.rooms.get_mut(room).and_then(|r| r.slot),
            _ => None,
        };
        let first = self.first_tick(place, slot);
        if let LegOp::Update(refit, _) = &mut command.op {
            if refit.wide.is_some() || refit.jitter.is_some() {
                self.part(command.key);
            }
            self.lift(&mut refit.others);
        }
        let Some(leg) = self.legs.get_mut(command.key) else {
            self.kit.counters.stale_commands.one();
            return;
        };
        match &mut command.op {
            LegOp::Update(refit, _) => leg.update(refit, net, slot),
            LegOp::Play(Playing { lane, track, spare }, _) => leg.swap_player(*lane, track, spare),
            LegOp::Stop(lane, which, stopped, _) => *stopped = leg.stop_player(*lane, *which),
            LegOp::OpenTap(tap, spare) => leg.open_tap(tap, spare),
            LegOp::CloseTap(tap, closed, _) => *closed = leg.close_tap(*tap),
            LegOp::Digits(digits, taken, _) => *taken = leg.push_digits(digits),
            LegOp::Relay(digit, _) => {
                leg.relay_digit(*digit, self.kit.arrivals);
                self.kit.arrivals += 1;
            }
            // The box for the counters was made by the caller; filling it allocates nothing.
            LegOp::Stats(stats, _) => *stats = Some(leg.stats()),
            LegOp::Show(meter) => leg.show(meter.clone()),
        }
        // Ends that commands cause are told at once: more may come before the next tick than a leg can owe.
        leg.tell(&mut self.kit.notes);
        command.applied = Some(first);
    }

    fn obey_tap(&mut self, command: &mut RoomTap, slot: u64) {
        let place = self.rooms.get_mut(command.room).and_then(|r| r.slot);
        let first = self.first_tick(place, slot);
        let Some(room) = self.rooms.get_mut(command.room) else {
            self.kit.counters.stale_commands.one();
            return;
        };
        match command.tap.take() {
            Some(tap) => room.taps.add(tap),
            None => command.tap = room.taps.remove(command.id),
        }
        command.applied = Some(first);
    }

    /// Lets go of an encoder that a leg shares with others of its room.
    fn part(&mut self, key: Key) {
        let Some(leg) = self.legs.get_mut(key) else { return };
        let Home::Room { room, seat } = leg.home else { return };
        if leg.wide.is_some()
            && let Some(room) = self.rooms.get_mut(room)
        {
            wide::part(&room.plan, room.key, &mut self.legs, usize::from(seat));
        }
    }

    /// Gives narrow legs their ways to other rates.
    fn lift(&mut self, lifts: &mut [(Key, Option<Box<Lift>>)]) {
        for (key, lift) in lifts {
            if let Some(leg) = self.legs.get_mut(*key).filter(|leg| leg.lift.is_none()) {
                leg.lift = lift.take();
            }
        }
    }

    /// Takes a leg off the wheel or out of its room. `vacate`: whoever comes back to its seat is new there.
    fn detach(&mut self, key: Key, vacate: bool) {
        self.part(key);
        let Some(leg) = self.legs.get_mut(key) else { return };
        match std::mem::replace(&mut leg.home, Home::Nowhere) {
            Home::Nowhere => {}
            Home::Alone { slot } => {
                self.wheel.remove_leg(slot, key.index);
                self.wheel.add_load(slot, -1);
            }
            Home::Room { room: room_key, seat } => {
                let Some(room) = self.rooms.get_mut(room_key) else { return };
                room.members = room.members.saturating_sub(1);
                if vacate {
                    room.plan.vacate(seat);
                }
                let Some(slot) = room.slot else { return };
                self.wheel.add_load(slot, -1);
                if room.members == 0 {
                    room.slot = None;
                    self.wheel.remove_room(slot, room_key.index);
                }
            }
        }
    }

    fn seat_alone(&mut self, key: Key, slot: u8) {
        if let Some(leg) = self.legs.get_mut(key) {
            if leg.failed {
                return;
            }
            leg.home = Home::Alone { slot };
            self.wheel.add_leg(slot, key.index);
            self.wheel.add_load(slot, 1);
        }
    }

    /// Turns everyone out of a room; they go on alone in the same sub-slot.
    pub(super) fn scatter(&mut self, room_key: Key) {
        let Some(room) = self.rooms.get_mut(room_key) else { return };
        let (slot, seats) = (room.slot, room.plan.seats.len());
        for seat in 0..seats {
            let leg = self.rooms.get_mut(room_key).and_then(|r| r.plan.seats.get(seat)?.leg);
            let Some(key) = leg else { continue };
            let here = Home::Room { room: room_key, seat: seat as u16 };
            if self.legs.get_mut(key).is_some_and(|leg| leg.home == here) {
                self.detach(key, true);
                let place = slot.unwrap_or_else(|| self.wheel.quietest());
                self.seat_alone(key, place);
            }
        }
    }

    fn change(&mut self, change: &mut Change, now: Duration, slot: u64, net: &mut impl Net) {
        let Some(room) = self.rooms.get_mut(change.key) else {
            self.kit.counters.stale_commands.one();
            change.outcome = Outcome::Gone;
            // As the control side takes it: they have left where they were.
            for (_, key, _) in &change.join {
                if self.legs.get_mut(*key).is_some_and(|leg| matches!(leg.home, Home::Room { .. })) {
                    self.detach(*key, true);
                    let place = self.wheel.quietest();
                    self.seat_alone(*key, place);
                }
            }
            return;
        };
        let current = room.later.as_ref().map_or(room.plan.revision, |later| later.revision);
        if change.revision < current {
            self.kit.counters.stale_plans.one();
            change.outcome = Outcome::Stale(current);
            return;
        }
        let place = room.slot;
        for key in &change.leave {
            let leaves = self
                .legs
                .get_mut(*key)
                .is_some_and(|l| matches!(l.home, Home::Room { room, .. } if room == change.key));
            if leaves {
                self.detach(*key, true);
                let place = place.unwrap_or_else(|| self.wheel.quietest());
                self.seat_alone(*key, place);
            }
        }
        for (_, key, seat) in &change.join {
            self.enter(change.key, *key, *seat);
        }
        self.lift(&mut change.lifts);
        for (key, track) in &mut change.plays {
            if let Some(leg) = self.legs.get_mut(*key) {
                leg.swap_player(0, track, &mut None);
                leg.tell(&mut self.kit.notes);
            }
        }
        if let Some(plan) = change.plan.take() {
            change.plan = self.adopt(change.key, plan, now, slot, net);
        }
        self.kit.counters.changes.one();
        let place = self.rooms.get_mut(change.key).and_then(|r| r.slot);
        change.outcome = Outcome::Applied(self.first_tick(place, slot));
    }

    fn enter(&mut self, room_key: Key, key: Key, seat: u16) {
        let alive = self.legs.get_mut(key).is_some_and(|leg| !leg.failed);
        if !alive {
            return;
        }
        self.detach(key, true);
        let Some(room) = self.rooms.get_mut(room_key) else { return };
        room.members += 1;
        let slot = match room.slot {
            Some(slot) => slot,
            None => {
                let slot = self.wheel.quietest();
                room.slot = Some(slot);
                self.wheel.add_room(slot, room_key.index);
                slot
            }
        };
        self.wheel.add_load(slot, 1);
        if let Some(leg) = self.legs.get_mut(key) {
            leg.home = Home::Room { room: room_key, seat };
        }
    }

    /// Puts a plan in force and answers the one before. What newly heard sources still have in the kernel is read first, so that
    /// it counts as older than the change.
    fn adopt(
        &mut self,
        key: Key,
        mut plan: Box<Compiled>,
        now: Duration,
        slot: u64,
        net: &mut impl Net,
    ) -> Option<Box<Compiled>> {
        let room = self.rooms.get_mut(key)?;
        plan.widen_from(&room.plan);
        for seat in plan.widened() {
            if let Some(leg) = plan.seats.get(seat).and_then(|s| s.leg) {
                self.with_leg(leg, now, slot, |leg, cx| leg.drain(net, cx));
            }
        }
        plan.bind(self.kit.arrivals);
        for seat in plan.widened() {
            let leg = plan.seats.get(seat).and_then(|s| s.leg).and_then(|leg| self.legs.get_mut(leg));
            if let Some(wide) = leg.and_then(|leg| leg.wide.as_deref_mut()) {
                wide.fence(self.kit.arrivals);
            }
        }
        let room = self.rooms.get_mut(key)?;
        plan.part_from(&mut room.plan, |leg| self.legs.get(leg)?.opus_terms());
        room.carry_players(&mut plan, &self.kit.counters);
        if mutation::active(Mutation::StalePlan) {
            room.later = Some(plan);
            return None;
        }
        let mut old = std::mem::replace(&mut room.plan, plan);
        if mutation::active(Mutation::PlanInTwoHalves) {
            std::mem::swap(&mut room.plan.listeners, &mut old.listeners);
            room.half = Some(std::mem::take(&mut old.listeners));
        }
        Some(old)
    }
}

/// What mutations put off until a tick has passed.
pub(super) fn finish_mutations(room: &mut Room) {
    if let Some(plan) = room.later.take() {
        *room.plan = *plan;
    }
    if let Some(listeners) = room.half.take() {
        room.plan.listeners = listeners;
    }
}

//! A room's tick: every leg's frame in, each bus summed once, and for each listener the sum of its buses without itself.

use super::plan_state::{Compiled, NONE};
use super::room::Room;
use super::slab::Slab;
use super::wide::{self, Wideband};
use crate::TapId;
use crate::fact::Note;
use crate::id::Key;
use crate::leg::{Context, Heard, Home, Leg};
use crate::mutation::{self, Mutation};
use crate::net::Net;
use crate::player::FRAME;
use crate::tap::TapFrame;

/// Classes whose encoded mixes are kept for the tick; further ones are encoded for each listener.
pub(super) const CACHED: usize = 64;

/// How many seats ahead a large room's legs are fetched.
const AHEAD: usize = 4;

/// What a seat does in this tick.
#[derive(Clone, Copy)]
pub(super) struct SeatTick {
    pub present: bool,
    pub takes_part: bool,
    /// At 8 kHz.
    pub heard: Heard,
}

const ABSENT: SeatTick = SeatTick { present: false, takes_part: false, heard: Heard::NOTHING };

struct Encoded {
    stamp: u64,
    len: usize,
    bytes: [u8; FRAME * 2],
}

struct Class {
    stamp: u64,
    sources: u32,
    /// The bus that is all it hears in this tick; else `sum` holds the sum of several.
    only: Option<usize>,
    sum: [i32; FRAME],
    /// By codec.
    encoded: [Encoded; 3],
}

/// Memory of a shard's mixing, used by one room after the other.
pub(crate) struct Scratch {
    pub(super) frames: Vec<[i16; FRAME]>,
    pub(super) seats: Vec<SeatTick>,
    pub(super) sounding: Vec<u64>,
    sums: Vec<[i32; FRAME]>,
    sources: Vec<u32>,
    classes: Vec<Class>,
    stamp: u64,
    /// What is mixed above 8 kHz.
    pub(super) wideband: Wideband,
}

impl Scratch {
    pub(crate) fn new(max_members: usize, max_buses: usize) -> Self {
        let class = || Class {
            stamp: 0,
            sources: 0,
            only: None,
            sum: [0; FRAME],
            encoded: std::array::from_fn(|_| Encoded { stamp: 0, len: 0, bytes: [0; FRAME * 2] }),
        };
        Self {
            frames: vec![[0; FRAME]; max_members],
            seats: vec![ABSENT; max_members],
            sounding: vec![0; super::plan_state::words_for(max_members)],
            sums: vec![[0; FRAME]; max_buses],
            sources: vec![0; max_buses],
            classes: (0..=CACHED).map(|_| class()).collect(),
            stamp: 0,
            wideband: Wideband::new(max_members, max_buses),
        }
    }

    fn begin(&mut self, buses: u16, seats: usize) {
        if !mutation::active(Mutation::BusCacheNotInvalidated) || self.stamp == 0 {
            self.stamp += 1;
        }
        if let Some(sources) = self.sources.get_mut(..usize::from(buses)) {
            sources.fill(0);
        }
        self.sounding.fill(0);
        self.wideband.present = false;
        if let Some(seats) = self.seats.get_mut(..seats) {
            seats.fill(ABSENT);
        }
    }

    pub(super) fn add(&mut self, bus: u16, frame: &[i16; FRAME]) {
        add(&mut self.sums, &mut self.sources, bus, frame);
    }

    /// Sums a class's buses, once per tick; answers where.
    fn sum_class(&mut self, class: u16, plan: &Compiled) -> usize {
        let at = usize::from(class).min(CACHED);
        let Some(place) = self.classes.get_mut(at) else { return at };
        if place.stamp == self.stamp && at < CACHED {
            return at;
        }
        place.stamp = self.stamp;
        place.sources = 0;
        if at == CACHED {
            for encoded in &mut place.encoded {
                encoded.stamp = 0;
            }
        }
        place.only = None;
        for bus in plan.listeners.buses_of(class) {
            let bus = usize::from(*bus);
            let (Some(sum), Some(&sources)) = (self.sums.get(bus), self.sources.get(bus)) else { continue };
            if sources == 0 || bus >= usize::from(plan.buses) {
                continue;
            }
            if place.sources == 0 {
                place.only = Some(bus);
            } else {
                if let Some(first) = place.only.take().and_then(|bus| self.sums.get(bus)) {
                    place.sum = *first;
                }
                audio::mixer::accumulate_bus(&mut place.sum, sum);
            }
            place.sources += sources;
        }
        at
    }
}

impl Scratch {
    /// Adds to `sum` what the plan lets a tap hear in this tick; whether there is any.
    fn add_tapped(&mut self, plan: &Compiled, tap: TapId, sum: &mut [i32; FRAME], cx: &Context<'_>) -> bool {
        if mutation::active(Mutation::TapHearsAll) {
            return self.add_all(plan, sum);
        }
        let Some(row) = plan.row_of(tap) else { return false };
        let Some(class) = plan.listeners.class(row) else { return false };
        let at = self.sum_class(class, plan);
        let Some(mix) = self.classes.get(at).filter(|mix| mix.sources > 0) else { return false };
        let total = mix.only.and_then(|bus| self.sums.get(bus)).unwrap_or(&mix.sum);
        audio::mixer::accumulate_bus(sum, total);
        if plan.has_new() && !mutation::active(Mutation::WideningNotDelayed) {
            let oldest = |source: usize| self.seats.get(source).map_or(0, |s| s.heard.oldest);
            for source in plan.withheld(row, &self.sounding, oldest) {
                // Only what is on one of its buses is in the sum.
                cx.counters.withheld_frames.one();
                if let Some(frame) = self.frames.get(source) {
                    audio::subtract(sum, frame);
                }
            }
        }
        true
    }

    fn add_all(&self, plan: &Compiled, sum: &mut [i32; FRAME]) -> bool {
        let mut any = false;
        for (bus, _) in self.sums.iter().zip(&self.sources).take(usize::from(plan.buses)).filter(|(_, n)| **n > 0) {
            audio::mixer::accumulate_bus(sum, bus);
            any = true;
        }
        any
    }
}

/// Gives the taps on a leg what the leg sounds and hears in this tick.
fn tap_leg(plan: &Compiled, scratch: &mut Scratch, leg: &mut Leg, seat: usize, tick: SeatTick, cx: &Context<'_>) {
    let own = scratch.frames.get(seat).filter(|_| tick.heard.sound).copied();
    leg.give_taps(own.as_ref(), cx, |tap, sum| scratch.add_tapped(plan, tap, sum, cx));
}

/// Gives the room's own taps their frame.
fn tap_room(room: &mut Room, scratch: &mut Scratch, cx: &Context<'_>) {
    let Room { plan, taps, .. } = room;
    taps.each(|tap| {
        let mut frame = TapFrame::silence(cx.slot / super::SLOTS);
        let mut sum = [0i32; FRAME];
        if scratch.add_tapped(plan, tap.id, &mut sum, cx) {
            audio::saturate_into(&sum, &mut frame.outbound);
        }
        tap.put(frame, cx.counters);
    });
}

/// Adds a frame to a bus.
fn add(sums: &mut [[i32; FRAME]], sources: &mut [u32], bus: u16, frame: &[i16; FRAME]) {
    let bus = usize::from(bus);
    let (Some(sum), Some(sources)) = (sums.get_mut(bus), sources.get_mut(bus)) else { return };
    if *sources == 0 {
        for (total, sample) in sum.iter_mut().zip(frame) {
            *total = i32::from(*sample);
        }
    } else {
        audio::accumulate(sum, frame);
    }
    *sources += 1;
}

/// The leg in a seat, if it still is there.
pub(super) fn seated(legs: &mut Slab<Leg>, key: Key, room: Key, seat: usize) -> Option<&mut Leg> {
    let leg = legs.get_mut(key)?;
    let here = Home::Room { room, seat: seat as u16 };
    ((leg.home == here && !leg.failed) || mutation::active(Mutation::SlotReused)).then_some(leg)
}

/// Runs one tick of a room.
pub(crate) fn tick(
    room: &mut Room,
    legs: &mut Slab<Leg>,
    scratch: &mut Scratch,
    net: &mut impl Net,
    cx: &mut Context<'_>,
) {
    let key = room.key;
    scratch.begin(room.plan.buses, room.plan.seats.len());
    take_in(room, legs, scratch, net, cx);
    #[cfg(any(test, feature = "mutations"))]
    fail_as_told(room);
    play(room, scratch);
    if scratch.wideband.present {
        wide::prepare(room, legs, scratch, cx);
    }
    for seat in 0..room.plan.seats.len() {
        let tick = scratch.seats.get(seat).copied().unwrap_or(ABSENT);
        if !tick.present {
            continue;
        }
        let Some(leg) = room.plan.seats.get(seat).and_then(|s| s.leg).and_then(|k| seated(legs, k, key, seat)) else {
            continue;
        };
        if tick.takes_part {
            if scratch.wideband.is_wide(seat) {
                wide::send(leg, seat, &mut scratch.wideband, net, cx);
            } else {
                give_out(&room.plan, scratch, leg, seat, net, cx);
            }
            if leg.is_tapped() {
                tap_leg(&room.plan, scratch, leg, seat, tick, cx);
            }
        }
        leg.housekeeping(net, cx);
    }
    if !room.taps.is_empty() {
        tap_room(room, scratch, cx);
    }
    room.plan.mature(|leg, mark| {
        if let Some(leg) = legs.get_mut(leg) {
            leg.forget_before(mark);
        }
    });
    room.owed.flush(cx.notes);
}

/// Receives and decodes every leg's frame, and puts what sounds on its bus.
fn take_in(room: &Room, legs: &mut Slab<Leg>, scratch: &mut Scratch, net: &mut impl Net, cx: &mut Context<'_>) {
    for (at, seat) in room.plan.seats.iter().enumerate() {
        if let Some(leg) = room.plan.seats.get(at + AHEAD).and_then(|seat| legs.get(seat.leg?)) {
            leg.fetch_ahead();
        }
        let Some(leg) = seat.leg.and_then(|k| seated(legs, k, room.key, at)) else { continue };
        leg.receive(net, cx);
        let takes_part = leg.take_part(cx.slot);
        let mut heard = Heard::NOTHING;
        if leg.wide.is_some() {
            if let Some(tick) = scratch.seats.get_mut(at) {
                *tick = SeatTick { present: true, takes_part, heard };
            }
            if takes_part {
                scratch.wideband.pull(leg, at, seat.relay, (room.plan.buses, room.plan.seats.len()), cx);
            }
            continue;
        }
        let Some(frame) = scratch.frames.get_mut(at) else { continue };
        if takes_part {
            heard = leg.pull(cx, seat.relay, frame);
        }
        if let Some(tick) = scratch.seats.get_mut(at) {
            *tick = SeatTick { present: true, takes_part, heard };
        }
        if heard.sound && seat.bus != NONE {
            add(&mut scratch.sums, &mut scratch.sources, seat.bus, frame);
            if let Some(word) = scratch.sounding.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
    }
}

/// Puts the room's players on their buses.
fn play(room: &mut Room, scratch: &mut Scratch) {
    for (at, player) in room.plan.players.iter_mut().enumerate() {
        let Some(track) = &mut player.track else { continue };
        let mut frame = [0; FRAME];
        if track.fill(&mut frame) && player.bus != NONE {
            scratch.add(player.bus, &frame);
            if scratch.wideband.present {
                scratch.wideband.keep_player(at, &frame);
            }
        }
        // The sound stays with the plan until the next change takes it out; its owner is told once.
        if track.is_done() && !player.told {
            player.told = room.owed.add(Note::PlayerEnded {
                room: room.id,
                player: player.id,
                serial: player.serial,
                completed: true,
            });
        }
    }
}

/// Mixes for one listener and sends.
fn give_out(
    plan: &Compiled,
    scratch: &mut Scratch,
    leg: &mut Leg,
    seat: usize,
    net: &mut impl Net,
    cx: &mut Context<'_>,
) {
    let mut private = [0i16; FRAME];
    let has_private = leg.has_player() && leg.private_frame(&mut private);
    let mut class = plan.listeners.class(seat);
    if class.is_none() && mutation::active(Mutation::UnplannedLegHears) && !plan.listeners.classes.is_empty() {
        class = Some(0);
    }
    let Some(class) = class else {
        return leg.send_private(net, cx, &private, has_private);
    };
    let at = scratch.sum_class(class, plan);
    let Scratch { frames, seats, sounding, sums, classes, stamp, .. } = scratch;
    let Some(mix) = classes.get_mut(at) else { return };
    let total = mix.only.and_then(|bus| sums.get(bus)).unwrap_or(&mix.sum);
    let bit = |words: &[u64]| words.get(seat / 64).is_some_and(|w| w >> (seat % 64) & 1 == 1);
    let own = bit(sounding) && plan.listeners.hears(class, seat) && !mutation::active(Mutation::SelfNotSubtracted);
    if mix.sources == u32::from(own) {
        return leg.send_private(net, cx, &private, has_private);
    }
    let oldest = |source: usize| seats.get(source).map_or(0, |s| s.heard.oldest);
    let compare = plan.has_new() && !mutation::active(Mutation::WideningNotDelayed);
    let any_withheld = compare && plan.withheld(seat, sounding, oldest).next().is_some();
    let shared_private = has_private && mutation::active(Mutation::PrivatePlayerShared);
    if own && !any_withheld && !has_private {
        // The most frequent case, in one go.
        let Some(frame) = frames.get(seat) else { return };
        let mut out = [0i16; FRAME];
        audio::mixer::saturate_difference(total, frame, &mut out);
        return leg.send_mix(net, cx, &out);
    }
    if own || any_withheld || (has_private && !shared_private) {
        let mut sum = *total;
        if own && let Some(frame) = frames.get(seat) {
            audio::subtract(&mut sum, frame);
        }
        if any_withheld {
            for source in plan.withheld(seat, sounding, oldest) {
                cx.counters.withheld_frames.one();
                if let Some(frame) = frames.get(source) {
                    audio::subtract(&mut sum, frame);
                }
            }
        }
        if has_private {
            audio::accumulate(&mut sum, &private);
        }
        let mut frame = [0i16; FRAME];
        audio::saturate_into(&sum, &mut frame);
        return leg.send_mix(net, cx, &frame);
    }
    let codec = leg.codec();
    let Some(encoded) = mix.encoded.get_mut(codec as usize) else { return };
    if encoded.stamp == *stamp && !shared_private {
        cx.counters.shared_encodes.one();
    } else {
        let mut frame = [0i16; FRAME];
        if shared_private {
            let mut sum = *total;
            audio::accumulate(&mut sum, &private);
            audio::saturate_into(&sum, &mut frame);
        } else {
            audio::saturate_into(total, &mut frame);
        }
        encoded.len = codec.encode(&frame, &mut encoded.bytes);
        encoded.stamp = *stamp;
        cx.counters.encodes.one();
    }
    leg.send_encoded(net, cx, encoded.bytes.get(..encoded.len).unwrap_or(&[]));
}

#[cfg(any(test, feature = "mutations"))]
fn fail_as_told(room: &mut Room) {
    use super::command::RoomFault;
    match room.fault.take() {
        Some(RoomFault::Panic) => panic!("injected fault in {}", room.id),
        Some(RoomFault::Busy(time)) => {
            let start = std::time::Instant::now();
            while start.elapsed() < time {
                std::hint::spin_loop();
            }
        }
        None => {}
    }
}

//! Rooms with wide listeners or sources: mixing at each listener's own rate.
//!
//! A source is converted to a rate only if somebody hears it there in this tick; narrow listeners of narrow sources go the same way
//! as in any other room, whoever else is in it.

mod g722;
mod groups;
mod hall;
mod shape;

pub(crate) use groups::part;

use super::MAX_PLAYERS;
use super::mix::{Scratch, SeatTick, seated};
use super::plan_state::NONE;
use super::room::Room;
use super::slab::Slab;
use crate::convert::{LONGEST_FRAME, Rate};
use crate::leg::{Context, Heard, Leg};
use crate::player::FRAME;
use groups::Groups;
use hall::Hall;
use shape::Shape;

/// Memory of a shard's mixing above 8 kHz.
pub(crate) struct Wideband {
    wide: Hall,
    full: Hall,
    /// Whether a wide leg takes part in this tick.
    pub present: bool,
    /// By seat: its rate; and what a wide listener gets.
    rates: Vec<Rate>,
    shapes: Vec<Shape>,
    groups: Groups,
    /// What the room's players gave in this tick.
    players: [[i16; FRAME]; MAX_PLAYERS],
    playing: [bool; MAX_PLAYERS],
    /// Seats that a narrow listener or a tap hears.
    wanted_narrow: Vec<u64>,
}

impl Wideband {
    pub(crate) fn new(max_members: usize, max_buses: usize) -> Self {
        Self {
            wide: Hall::new(Rate::Wide, max_members, max_buses),
            full: Hall::new(Rate::Full, max_members, max_buses),
            present: false,
            rates: vec![Rate::Narrow; max_members],
            shapes: vec![Shape::NONE; max_members],
            groups: Groups::new(max_members),
            players: [[0; FRAME]; MAX_PLAYERS],
            playing: [false; MAX_PLAYERS],
            wanted_narrow: vec![0; super::plan_state::words_for(max_members)],
        }
    }

    /// A wide leg is there: what the room needs beyond 8 kHz is made ready, once per tick.
    fn begin(&mut self, buses: u16, seats: usize) {
        if std::mem::replace(&mut self.present, true) {
            return;
        }
        self.wide.begin(buses, seats);
        self.full.begin(buses, seats);
        self.groups.begin();
        self.wanted_narrow.fill(0);
        self.playing = [false; MAX_PLAYERS];
        for (rate, shape) in self.rates.iter_mut().zip(&mut self.shapes).take(seats) {
            (*rate, *shape) = (Rate::Narrow, Shape::NONE);
        }
    }

    fn hall(&mut self, rate: Rate) -> Option<&mut Hall> {
        match rate {
            Rate::Narrow => None,
            Rate::Wide => Some(&mut self.wide),
            Rate::Full => Some(&mut self.full),
        }
    }

    /// Decodes a wide leg's frame into its place.
    pub(crate) fn pull(&mut self, leg: &mut Leg, seat: usize, relay: bool, room: (u16, usize), cx: &mut Context<'_>) {
        self.begin(room.0, room.1);
        let rate = leg.rate();
        if let Some(place) = self.rates.get_mut(seat) {
            *place = rate;
        }
        let Some(hall) = self.hall(rate) else { return };
        hall.listens = true;
        let heard = leg.pull_wide(cx, relay, hall.frame_mut(seat));
        if let Some(place) = hall.heard.get_mut(seat) {
            *place = heard;
        }
    }

    /// Keeps what a room's player gave, for its wide listeners.
    pub(crate) fn keep_player(&mut self, at: usize, frame: &[i16; FRAME]) {
        if let (Some(place), Some(playing)) = (self.players.get_mut(at), self.playing.get_mut(at)) {
            (*place, *playing) = (*frame, true);
        }
    }

    /// Whether a seat is a wide listener's.
    pub(crate) fn is_wide(&self, seat: usize) -> bool {
        self.present && self.rates.get(seat).is_some_and(|rate| *rate != Rate::Narrow)
    }
}

/// Carries sources to the rates at which they are heard, mixes for every wide listener and encodes what is to be sent.
pub(crate) fn prepare(room: &mut Room, legs: &mut Slab<Leg>, scratch: &mut Scratch, cx: &mut Context<'_>) {
    room.plan.key();
    want(room, legs, scratch);
    convert(room, legs, scratch, cx);
    convert_players(room, scratch, cx);
    shape::shape(room, legs, scratch, cx);
    groups::settle(room, legs, &mut scratch.wideband, cx);
    groups::encode(room, legs, &mut scratch.wideband, cx);
}

/// Sends a wide listener what was made for it.
pub(crate) fn send(
    leg: &mut Leg,
    seat: usize,
    wideband: &mut Wideband,
    net: &mut impl crate::net::Net,
    cx: &mut Context<'_>,
) {
    let packet = wideband.shapes.get(seat).and_then(|shape| wideband.groups.packet(shape.packet));
    leg.send_wide(net, cx, packet);
}

/// Who is heard at which rate.
fn want(room: &Room, legs: &mut Slab<Leg>, scratch: &mut Scratch) {
    let plan = &room.plan;
    let Scratch { seats, wideband, .. } = scratch;
    for (at, tick) in seats.iter().enumerate().take(plan.seats.len()) {
        if !tick.takes_part {
            continue;
        }
        let rate = wideband.rates.get(at).copied().unwrap_or(Rate::Narrow);
        match rate {
            Rate::Narrow => plan.add_wanted(at, &mut wideband.wanted_narrow),
            Rate::Wide => want_at(&mut wideband.wide, plan, at),
            Rate::Full => want_at(&mut wideband.full, plan, at),
        }
        // Taps are at 8 kHz; one on a leg hears the leg itself.
        let tapped = rate != Rate::Narrow
            && plan
                .seats
                .get(at)
                .and_then(|s| s.leg)
                .and_then(|key| legs.get_mut(key))
                .is_some_and(|leg| leg.is_tapped());
        if let Some(word) = wideband.wanted_narrow.get_mut(at / 64).filter(|_| tapped) {
            *word |= 1 << (at % 64);
        }
    }
    for tap in 0..plan.taps.len() {
        plan.add_wanted(plan.seats.len() + tap, &mut wideband.wanted_narrow);
    }
}

fn want_at(hall: &mut Hall, plan: &super::plan_state::Compiled, seat: usize) {
    plan.add_wanted(seat, &mut hall.wanted);
    if plan.players.is_empty() {
        return;
    }
    let Some(class) = plan.listeners.class(seat) else { return };
    for bus in plan.listeners.buses_of(class) {
        if let Some(wanted) = hall.wanted_buses.get_mut(usize::from(*bus)) {
            *wanted = true;
        }
    }
}

/// Brings every source to the rates at which it is heard.
fn convert(room: &Room, legs: &mut Slab<Leg>, scratch: &mut Scratch, cx: &mut Context<'_>) {
    for (at, seat) in room.plan.seats.iter().enumerate() {
        if !scratch.seats.get(at).is_some_and(|tick| tick.takes_part) {
            continue;
        }
        let from = scratch.wideband.rates.get(at).copied().unwrap_or(Rate::Narrow);
        if from != Rate::Narrow
            && let Some(hall) = scratch.wideband.hall(from)
        {
            let heard = hall.heard.get(at).copied().unwrap_or(Heard::NOTHING);
            // Nobody else hears it at its own rate: it need not be summed there.
            hall.add_seat(at, if hall.wants(at) { seat.bus } else { NONE }, heard);
        }
        for to in Rate::ALL {
            if to == from || !is_wanted(&scratch.wideband, to, at) {
                continue;
            }
            let Some(leg) = seat.leg.and_then(|key| seated(legs, key, room.key, at)) else { continue };
            let Some(converter) = leg.lift.as_deref_mut().and_then(|lift| lift.to(from, to)) else {
                cx.counters.unconverted.one();
                continue;
            };
            let Scratch { frames, seats, wideband, .. } = scratch;
            let Wideband { wide, full, .. } = wideband;
            let (source, heard): (&[i16], Heard) = match from {
                Rate::Narrow => {
                    (frames.get(at).map_or(&[][..], |f| &f[..]), seats.get(at).map_or(Heard::NOTHING, |s| s.heard))
                }
                Rate::Wide => (wide.frame(at), wide.heard.get(at).copied().unwrap_or(Heard::NOTHING)),
                Rate::Full => (full.frame(at), full.heard.get(at).copied().unwrap_or(Heard::NOTHING)),
            };
            let mut out = [0i16; LONGEST_FRAME];
            let Some(out) = out.get_mut(..to.frame()) else { continue };
            let heard = converter.run(cx.slot, heard.sound.then_some(source), heard.oldest, out);
            cx.counters.conversions.add(u64::from(heard.sound));
            match scratch.wideband.hall(to) {
                None if heard.sound => put_narrow(scratch, at, seat.bus, heard, out),
                None => {}
                Some(hall) => {
                    if heard.sound {
                        hall.frame_mut(at).copy_from_slice(out);
                    }
                    hall.add_seat(at, seat.bus, heard);
                }
            }
        }
    }
}

fn is_wanted(wideband: &Wideband, to: Rate, seat: usize) -> bool {
    match to {
        Rate::Narrow => wideband.wanted_narrow.get(seat / 64).is_some_and(|word| word >> (seat % 64) & 1 == 1),
        Rate::Wide => wideband.wide.wants(seat),
        Rate::Full => wideband.full.wants(seat),
    }
}

/// A wide source's sound at 8 kHz takes the place that a narrow one's has.
fn put_narrow(scratch: &mut Scratch, at: usize, bus: u16, heard: Heard, samples: &[i16]) {
    let (Some(frame), Some(tick)) = (scratch.frames.get_mut(at), scratch.seats.get_mut(at)) else { return };
    frame.copy_from_slice(samples);
    *tick = SeatTick { heard, ..*tick };
    if bus == NONE {
        return;
    }
    let frame = *frame;
    scratch.add(bus, &frame);
    if let Some(word) = scratch.sounding.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

/// Brings the room's players to the rates at which they are heard.
fn convert_players(room: &mut Room, scratch: &mut Scratch, cx: &mut Context<'_>) {
    let Wideband { wide, full, players, playing, .. } = &mut scratch.wideband;
    for (at, player) in room.plan.players.iter_mut().enumerate().take(MAX_PLAYERS) {
        let narrow = players.get(at).filter(|_| playing.get(at) == Some(&true)).map(|frame| &frame[..]);
        for hall in [&mut *wide, &mut *full] {
            if player.bus == NONE || !hall.wanted_buses.get(usize::from(player.bus)).is_some_and(|wanted| *wanted) {
                continue;
            }
            let Some(converter) = player.lift.as_deref_mut().and_then(|l| l.to(Rate::Narrow, hall.rate)) else {
                continue;
            };
            let mut out = [0i16; LONGEST_FRAME];
            let Some(out) = out.get_mut(..hall.rate.frame()) else { continue };
            if converter.run(cx.slot, narrow, 0, out).sound {
                cx.counters.conversions.one();
                hall.add(player.bus, out);
            }
        }
    }
}

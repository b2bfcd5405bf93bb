//! Mixing at one rate above 8 kHz: every source that somebody hears at this rate, each bus summed once, each class of listeners
//! mixed once.

use crate::convert::Rate;
use crate::leg::Heard;
use crate::shard::mix::CACHED;
use crate::shard::plan_state::{Compiled, NONE, words_for};

/// What a class's mix is in this tick.
#[derive(Clone, Copy, Default)]
struct Class {
    stamp: u64,
    sources: u32,
    /// Whether its samples have been made.
    made: bool,
}

/// Memory of a rate, used by one room after the other.
pub(crate) struct Hall {
    pub rate: Rate,
    len: usize,
    /// By seat: its sound at this rate, and what is known of it.
    frames: Vec<i16>,
    pub heard: Vec<Heard>,
    pub sounding: Vec<u64>,
    /// Seats that somebody hears at this rate.
    pub wanted: Vec<u64>,
    /// By bus.
    sums: Vec<i32>,
    sources: Vec<u32>,
    /// By bus, whether somebody hears it at this rate.
    pub wanted_buses: Vec<bool>,
    classes: Vec<Class>,
    class_sums: Vec<i32>,
    class_frames: Vec<i16>,
    /// By seat: mixes that are one listener's own.
    mixes: Vec<i16>,
    /// Whether anybody listens or sounds at this rate in this tick.
    pub listens: bool,
    stamp: u64,
}

/// One of many rows of samples.
fn row<T>(all: &[T], at: usize, len: usize) -> &[T] {
    all.get(at * len..(at + 1) * len).unwrap_or(&[])
}

fn row_mut<T>(all: &mut [T], at: usize, len: usize) -> &mut [T] {
    all.get_mut(at * len..(at + 1) * len).unwrap_or(&mut [])
}

impl Hall {
    /// Memory that is never touched costs nothing: it comes zeroed from the system.
    pub(super) fn new(rate: Rate, max_members: usize, max_buses: usize) -> Self {
        let len = rate.frame();
        Self {
            rate,
            len,
            frames: vec![0; max_members * len],
            heard: vec![Heard::NOTHING; max_members],
            sounding: vec![0; words_for(max_members)],
            wanted: vec![0; words_for(max_members)],
            sums: vec![0; max_buses * len],
            sources: vec![0; max_buses],
            wanted_buses: vec![false; max_buses],
            classes: vec![Class::default(); CACHED + 1],
            class_sums: vec![0; (CACHED + 1) * len],
            class_frames: vec![0; (CACHED + 1) * len],
            mixes: vec![0; max_members * len],
            listens: false,
            stamp: 0,
        }
    }

    pub(super) fn begin(&mut self, buses: u16, seats: usize) {
        self.stamp += 1;
        self.listens = false;
        self.sounding.fill(0);
        self.wanted.fill(0);
        for sources in self.sources.iter_mut().take(usize::from(buses)) {
            *sources = 0;
        }
        for wanted in self.wanted_buses.iter_mut().take(usize::from(buses)) {
            *wanted = false;
        }
        for heard in self.heard.iter_mut().take(seats) {
            *heard = Heard::NOTHING;
        }
    }

    pub(crate) fn frame(&self, seat: usize) -> &[i16] {
        row(&self.frames, seat, self.len)
    }

    pub(crate) fn frame_mut(&mut self, seat: usize) -> &mut [i16] {
        row_mut(&mut self.frames, seat, self.len)
    }

    pub(super) fn wants(&self, seat: usize) -> bool {
        self.wanted.get(seat / 64).is_some_and(|word| word >> (seat % 64) & 1 == 1)
    }

    pub(super) fn sounds(&self, seat: usize) -> bool {
        self.sounding.get(seat / 64).is_some_and(|word| word >> (seat % 64) & 1 == 1)
    }

    /// A seat's frame stands in its place: puts it on its bus.
    pub(super) fn add_seat(&mut self, seat: usize, bus: u16, heard: Heard) {
        if let Some(place) = self.heard.get_mut(seat) {
            *place = heard;
        }
        if !heard.sound || bus == NONE {
            return;
        }
        let frame = row(&self.frames, seat, self.len);
        add(&mut self.sums, &mut self.sources, bus, frame);
        if let Some(word) = self.sounding.get_mut(seat / 64) {
            *word |= 1 << (seat % 64);
        }
    }

    /// Puts a player's frame on its bus.
    pub(super) fn add(&mut self, bus: u16, frame: &[i16]) {
        add(&mut self.sums, &mut self.sources, bus, frame);
    }

    /// Sums a class's buses, once per tick (beyond [`CACHED`] classes, each time); answers where, and of how many sources.
    pub(super) fn sum_class(&mut self, class: u16, plan: &Compiled) -> (usize, u32) {
        let at = usize::from(class).min(CACHED);
        let Some(place) = self.classes.get_mut(at) else { return (at, 0) };
        if place.stamp == self.stamp && at < CACHED {
            return (at, place.sources);
        }
        *place = Class { stamp: self.stamp, sources: 0, made: false };
        let sum = row_mut(&mut self.class_sums, at, self.len);
        for bus in plan.listeners.buses_of(class) {
            let bus = usize::from(*bus);
            let sources = self.sources.get(bus).copied().unwrap_or(0);
            if sources == 0 || bus >= usize::from(plan.buses) {
                continue;
            }
            let part = row(&self.sums, bus, self.len);
            if place.sources == 0 {
                sum.copy_from_slice(part);
            } else {
                audio::mixer::accumulate_bus(sum, part);
            }
            place.sources += sources;
        }
        (at, place.sources)
    }

    /// Makes the samples of a class whose sum stands, once per tick.
    pub(super) fn make_class(&mut self, at: usize) {
        if let Some(class) = self.classes.get_mut(at)
            && !std::mem::replace(&mut class.made, true)
        {
            audio::saturate_into(row(&self.class_sums, at, self.len), row_mut(&mut self.class_frames, at, self.len));
        }
    }

    pub(super) fn class_frame(&self, at: usize) -> &[i16] {
        row(&self.class_frames, at, self.len)
    }

    pub(super) fn class_sum(&self, at: usize) -> &[i32] {
        row(&self.class_sums, at, self.len)
    }

    pub(super) fn mix(&self, seat: usize) -> &[i16] {
        row(&self.mixes, seat, self.len)
    }

    pub(super) fn mix_mut(&mut self, seat: usize) -> &mut [i16] {
        row_mut(&mut self.mixes, seat, self.len)
    }
}

fn add(sums: &mut [i32], sources: &mut [u32], bus: u16, frame: &[i16]) {
    let bus = usize::from(bus);
    let Some(count) = sources.get_mut(bus) else { return };
    let sum = row_mut(sums, bus, frame.len());
    if *count == 0 {
        for (total, sample) in sum.iter_mut().zip(frame) {
            *total = i32::from(*sample);
        }
    } else {
        audio::accumulate(sum, frame);
    }
    *count += 1;
}

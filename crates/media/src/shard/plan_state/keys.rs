//! Who is alike: listeners with equal keys hear the same sources, withheld in the same ticks, as long as a plan is in force.

use super::{Compiled, bits, get, set};
use crate::id::Key;

/// Mixes a number into a hash.
fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash >> 29
}

impl Compiled {
    /// Makes sure that every seat has its key.
    pub(crate) fn key(&mut self) {
        if std::mem::replace(&mut self.keyed, true) {
            return;
        }
        let seats = self.seats.len();
        for at in 0..seats {
            let mut key = mix(0x6865_6172_6572_7321, u64::from(self.listeners.class(at).map_or(u32::MAX, u32::from)));
            let fresh = self.seats.get(at).filter(|seat| seat.left_listener > 0).map(|seat| seat.bound_listener);
            for word in 0..self.words {
                let row = at * self.words + word;
                let new = get(&self.new_listener, row) | get(&self.new_source, row);
                // Nobody hears himself, but those who came with him hear him as he hears them.
                let own = if fresh.is_some() && at / 64 == word { 1u64 << (at % 64) } else { 0 };
                let own = own & self.listeners.audible_word(at, word);
                for bit in bits(&[new | own]) {
                    let source = word * 64 + bit;
                    let bound = if source == at { fresh.unwrap_or(0) } else { get(&self.bounds, at * seats + source) };
                    key = mix(mix(key, source as u64), bound);
                }
            }
            if let Some(place) = self.keys.get_mut(at) {
                *place = key;
            }
        }
    }

    /// The key of a seat, after [`Self::key`].
    pub(crate) fn key_of(&self, seat: usize) -> u64 {
        get(&self.keys, seat)
    }

    /// Notes which listeners part from those they were alike with under the plan before: of each set that had one key, those whose
    /// key now differs from that of its first seat. `terms`: what was agreed about a leg's encoder, if it can be shared; legs
    /// with different ones never do.
    pub(crate) fn part_from<S: PartialEq>(&mut self, old: &mut Self, terms: impl Fn(Key) -> Option<S>) {
        let of = |plan: &Self, seat: usize| plan.seats.get(seat).and_then(|seat| terms(seat.leg?));
        if !(0..self.seats.len()).any(|seat| of(self, seat).is_some()) {
            return;
        }
        old.key();
        self.key();
        for at in 0..self.seats.len().min(old.seats.len()) {
            let Some(own) = of(self, at).filter(|_| self.is_same(at)) else { continue };
            let first = (0..at).find(|&first| {
                self.is_same(first) && old.key_of(first) == old.key_of(at) && of(self, first).as_ref() == Some(&own)
            });
            if first.is_some_and(|first| self.key_of(first) != self.key_of(at)) {
                set(&mut self.parted, at);
            }
        }
    }

    /// Whether a seat has just parted; true once.
    pub(crate) fn take_parted(&mut self, seat: usize) -> bool {
        let Some(word) = self.parted.get_mut(seat / 64) else { return false };
        let parted = *word >> (seat % 64) & 1 == 1;
        *word &= !(1 << (seat % 64));
        parted
    }

    /// Whether `class` hears anything beside the microphones of two seats.
    pub(crate) fn hears_a_third(&self, class: u16, one: usize, other: usize) -> bool {
        let of = |seat: usize, word: usize| if seat / 64 == word { 1u64 << (seat % 64) } else { 0 };
        let row = usize::from(class) * self.listeners.words;
        let microphone = (0..self.listeners.words)
            .any(|word| get(&self.listeners.audible, row + word) & !of(one, word) & !of(other, word) != 0);
        microphone || self.players.iter().any(|p| self.listeners.buses_of(class).contains(&p.bus))
    }
}

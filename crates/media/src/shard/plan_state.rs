//! A plan as a shard uses it: seats instead of names, bitsets instead of lists, and which hearing is still too new.
//!
//! Compiled and freed outside the shard. Applying one allocates nothing: all it needs is inside.

use crate::convert::Lift;
use crate::id::Key;
use crate::net::os::fetch_ahead;
use crate::player::Track;
use crate::{PlayerId, TapId};

/// No bus, or no class.
pub(crate) const NONE: u16 = u16::MAX;

/// Ticks after which a widened source's older packets are dropped instead of compared: far longer than any buffer holds.
const MATURE: u16 = 100;

/// A place for a leg in a room, for as long as the leg is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub leg: Option<Key>,
    /// The bus its microphone sounds on, or [`NONE`].
    pub bus: u16,
    /// Whether its digits sound in its own frame.
    pub relay: bool,
    /// As a listener it hears sources marked in `new_listener` only from packets not older than this.
    bound_listener: u64,
    /// As a source it is heard by listeners marked in `new_source` only from packets not older than this.
    bound_source: u64,
    left_listener: u16,
    left_source: u16,
}

impl Seat {
    /// A seat that neither sounds nor relays.
    pub(crate) fn of(leg: Option<Key>) -> Self {
        Self { leg, bus: NONE, relay: false, bound_listener: 0, bound_source: 0, left_listener: 0, left_source: 0 }
    }
}

/// A tap that the plan names. As a listener its row comes after those of the seats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TapSeat {
    pub tap: TapId,
    /// The seat of the leg that the tap is on, or [`NONE`].
    pub seat: u16,
    /// As [`Seat::bound_listener`] and its time.
    bound_listener: u64,
    left_listener: u16,
}

impl TapSeat {
    pub(crate) fn new(tap: TapId, seat: u16) -> Self {
        Self { tap, seat, bound_listener: 0, left_listener: 0 }
    }
}

/// Listeners with the same buses share a class.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// By row, first the seats, then the taps; [`NONE`] hears nothing.
    pub class_of: Vec<u16>,
    /// Range of each class in `buses`.
    pub classes: Vec<std::ops::Range<u32>>,
    pub buses: Vec<u16>,
    /// By class, `words` each: seats whose microphone is on one of its buses.
    pub audible: Vec<u64>,
    pub words: usize,
}

impl Listeners {
    pub(crate) fn class(&self, row: usize) -> Option<u16> {
        self.class_of.get(row).copied().filter(|c| *c != NONE)
    }

    pub(crate) fn buses_of(&self, class: u16) -> &[u16] {
        let Some(range) = self.classes.get(usize::from(class)) else { return &[] };
        self.buses.get(range.start as usize..range.end as usize).unwrap_or(&[])
    }

    fn audible_word(&self, row: usize, word: usize) -> u64 {
        let Some(class) = self.class(row) else { return 0 };
        if word >= self.words {
            return 0;
        }
        self.audible.get(usize::from(class) * self.words + word).copied().unwrap_or(0)
    }

    /// Whether `class` hears the microphone of `seat`.
    pub(crate) fn hears(&self, class: u16, seat: usize) -> bool {
        let word = seat / 64;
        word < self.words
            && self.audible.get(usize::from(class) * self.words + word).is_some_and(|w| w >> (seat % 64) & 1 == 1)
    }
}

/// A player of the room.
#[derive(Debug)]
pub(crate) struct RoomPlayer {
    pub id: PlayerId,
    /// Which start of it.
    pub serial: u64,
    pub bus: u16,
    pub track: Option<Track>,
    /// The ways to the rates of wide listeners; a player goes on with those it has.
    pub lift: Option<Box<Lift>>,
    /// Started by this very change, rather than going on.
    pub fresh: bool,
    /// Whether its end has been told.
    pub told: bool,
}

/// The compiled plan and the state that belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub revision: u64,
    pub buses: u16,
    pub seats: Vec<Seat>,
    /// In ascending order of their ids.
    pub taps: Vec<TapSeat>,
    pub listeners: Listeners,
    pub players: Vec<RoomPlayer>,
    words: usize,
    /// By listener's row: sources it hears only since it came itself, or only since they were opened to it.
    new_listener: Vec<u64>,
    new_source: Vec<u64>,
    /// By listener's row and source, for the pairs above: what arrived before stays unheard. One for each pair, so that
    /// admitting a listener draws no line anew for those admitted before.
    bounds: Vec<u64>,
    /// Seats unchanged from the plan before; seats that somebody newly hears; and sources to be bound.
    same: Vec<u64>,
    widened: Vec<u64>,
    bind_sources: Vec<u64>,
    any_new: bool,
    /// By seat: sources it has been given but has not yet heard in a tick; they are to come in softly.
    fresh: Vec<u64>,
    any_fresh: bool,
    /// By seat: listeners with equal keys hear the same sources, withheld in the same ticks, as long as this plan is in force.
    keys: Vec<u64>,
    keyed: bool,
    /// Seats that shared a key with an earlier seat under the plan before and do not now.
    parted: Vec<u64>,
}

/// The bound of a pair that is about to be drawn.
const UNBOUND: u64 = u64::MAX;

pub(crate) fn words_for(seats: usize) -> usize {
    seats.div_ceil(64)
}

fn bits(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let bit = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            Some(at * 64 + bit)
        })
    })
}

fn set(words: &mut [u64], bit: usize) {
    if let Some(word) = words.get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}

fn get(words: &[u64], at: usize) -> u64 {
    words.get(at).copied().unwrap_or(0)
}

/// Mixes a number into a hash.
fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash >> 29
}

impl Compiled {
    /// A plan for these seats with all the memory it will need.
    pub(crate) fn new(
        revision: u64,
        buses: u16,
        seats: Vec<Seat>,
        taps: Vec<TapSeat>,
        listeners: Listeners,
        players: Vec<RoomPlayer>,
    ) -> Self {
        let words = words_for(seats.len());
        let rows = seats.len() + taps.len();
        Self {
            revision,
            buses,
            words,
            new_listener: vec![0; rows * words],
            new_source: vec![0; rows * words],
            bounds: vec![0; rows * seats.len()],
            same: vec![0; words],
            widened: vec![0; words],
            bind_sources: vec![0; words],
            any_new: false,
            fresh: vec![0; seats.len() * words],
            any_fresh: false,
            keys: vec![0; seats.len()],
            keyed: false,
            parted: vec![0; words],
            seats,
            taps,
            listeners,
            players,
        }
    }

    /// Starts to bring what a tick reads into the cache, beside the plan itself; of large rooms, the beginning.
    pub(crate) fn fetch_ahead(&self) {
        const BEGINNING: usize = 512;
        fetch_ahead(&self.seats[..], BEGINNING);
        fetch_ahead(&self.listeners.class_of[..], BEGINNING);
        fetch_ahead(&self.listeners.classes[..], BEGINNING);
        fetch_ahead(&self.listeners.buses[..], BEGINNING);
        fetch_ahead(&self.listeners.audible[..], BEGINNING);
    }

    /// The row of a tap that the plan names.
    pub(crate) fn row_of(&self, tap: TapId) -> Option<usize> {
        let at = self.taps.binary_search_by_key(&tap, |t| t.tap).ok()?;
        Some(self.seats.len() + at)
    }

    fn is_same(&self, seat: usize) -> bool {
        get(&self.same, seat / 64) >> (seat % 64) & 1 == 1
    }

    /// The row that a listener had in the plan before, if it has been there since. A tap on a leg is as new as the leg.
    fn row_before(&self, row: usize, old: &Self) -> Option<usize> {
        let Some(tap) = row.checked_sub(self.seats.len()).and_then(|at| self.taps.get(at)) else {
            return self.is_same(row).then_some(row);
        };
        let before = old.row_of(tap.tap)?;
        (tap.seat == NONE || self.is_same(usize::from(tap.seat))).then_some(before)
    }

    /// Compares with the plan before: which pairs may hear each other only now. Pairs that were too new stay so.
    pub(crate) fn widen_from(&mut self, old: &Self) {
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let Some(before) = old.seats.get(at) else { continue };
            if seat.leg.is_some() && before.leg == seat.leg {
                set(&mut self.same, at);
                seat.bound_listener = before.bound_listener;
                seat.bound_source = before.bound_source;
                seat.left_listener = before.left_listener;
                seat.left_source = before.left_source;
            }
        }
        let seats = self.seats.len();
        for listener in 0..seats + self.taps.len() {
            let row_before = self.row_before(listener, old);
            let mut newly_any = false;
            for word in 0..self.words {
                let own = if listener < seats && listener / 64 == word { 1u64 << (listener % 64) } else { 0 };
                let now = self.listeners.audible_word(listener, word) & !own;
                let before = row_before.map_or(0, |row| old.listeners.audible_word(row, word) & get(&self.same, word));
                let newly = now & !before;
                let kept = now & before;
                let row = listener * self.words + word;
                let old_row = |rows: &[u64]| match row_before {
                    Some(before) if word < old.words => get(rows, before * old.words + word),
                    _ => 0,
                };
                let (mut by_listener, mut by_source) =
                    (old_row(&old.new_listener) & kept, old_row(&old.new_source) & kept);
                if row_before.is_some() {
                    by_source |= newly;
                    if let Some(w) = self.bind_sources.get_mut(word) {
                        *w |= newly;
                    }
                } else {
                    by_listener |= newly;
                    newly_any |= newly != 0;
                }
                if let (Some(l), Some(s)) = (self.new_listener.get_mut(row), self.new_source.get_mut(row)) {
                    (*l, *s) = (by_listener, by_source);
                }
                if let Some(fresh) = self.fresh.get_mut(row).filter(|_| listener < seats) {
                    *fresh = newly | (old_row(&old.fresh) & kept);
                    self.any_fresh |= *fresh != 0;
                }
                for bit in bits(&[by_listener | by_source]) {
                    let source = word * 64 + bit;
                    let bound = match (newly >> bit & 1, row_before) {
                        (0, Some(before)) => get(&old.bounds, before * old.seats.len() + source),
                        _ => UNBOUND,
                    };
                    if let Some(pair) = self.bounds.get_mut(listener * seats + source) {
                        *pair = bound;
                    }
                }
                if let Some(w) = self.widened.get_mut(word) {
                    *w |= newly;
                }
                self.any_new |= by_listener | by_source != 0;
            }
            let fresh = if newly_any { MATURE } else { 0 };
            match (self.taps.get_mut(listener.wrapping_sub(seats)), row_before) {
                (Some(tap), Some(before)) => {
                    if let Some(old) = old.taps.get(before.wrapping_sub(old.seats.len())) {
                        (tap.bound_listener, tap.left_listener) = (old.bound_listener, old.left_listener);
                    }
                }
                (Some(tap), None) => tap.left_listener = fresh,
                (None, Some(_)) => {}
                (None, None) => {
                    if let Some(seat) = self.seats.get_mut(listener) {
                        seat.left_listener = fresh;
                    }
                }
            }
        }
    }

    /// The seats whose microphones somebody newly hears.
    pub(crate) fn widened(&self) -> impl Iterator<Item = usize> + '_ {
        bits(&self.widened)
    }

    /// Draws the line: what arrived before `bound` stays unheard by those who hear it only now.
    pub(crate) fn bind(&mut self, bound: u64) {
        for pair in &mut self.bounds {
            if *pair == UNBOUND {
                *pair = bound;
            }
        }
        for at in 0..self.seats.len() {
            let stayed = self.is_same(at);
            let as_source = get(&self.bind_sources, at / 64) >> (at % 64) & 1 == 1;
            if let Some(seat) = self.seats.get_mut(at) {
                if !stayed {
                    seat.bound_listener = bound;
                }
                if as_source {
                    seat.bound_source = bound;
                    seat.left_source = MATURE;
                }
            }
        }
        for tap in &mut self.taps {
            // One that was there before carries its line from then.
            if tap.bound_listener == 0 {
                tap.bound_listener = bound;
            }
        }
    }

    /// Whether any pair is still too new.
    pub(crate) fn has_new(&self) -> bool {
        self.any_new
    }

    /// The sources among `sounding` that `listener` may not hear in this tick, by the oldest packet in each source's frame.
    pub(crate) fn withheld<'a>(
        &'a self,
        listener: usize,
        sounding: &'a [u64],
        oldest: impl Fn(usize) -> u64 + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let row = listener * self.words;
        (0..self.words)
            .flat_map(move |word| {
                let both =
                    (get(&self.new_listener, row + word) | get(&self.new_source, row + word)) & get(sounding, word);
                let mut rest = both;
                std::iter::from_fn(move || {
                    if rest == 0 {
                        return None;
                    }
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    Some(word * 64 + bit)
                })
            })
            .filter(move |&source| {
                let bound = self.bounds.get(listener * self.seats.len() + source).copied().unwrap_or(UNBOUND);
                oldest(source) < bound
            })
    }

    /// Ends a tick: pairs that have been new for long become plain ones, after `forget(seat, mark)` has made sure that nothing
    /// older can ever be heard of that seat.
    pub(crate) fn mature(&mut self, mut forget: impl FnMut(Key, u64)) {
        if !self.any_new {
            return;
        }
        let mut any_done = false;
        let rows = self.seats.len() + self.taps.len();
        for at in 0..self.seats.len() {
            let Some(seat) = self.seats.get_mut(at) else { continue };
            let listener_done = seat.left_listener == 1;
            let source_done = seat.left_source == 1;
            seat.left_listener = seat.left_listener.saturating_sub(1);
            seat.left_source = seat.left_source.saturating_sub(1);
            let (bound_listener, bound_source, own) = (seat.bound_listener, seat.bound_source, seat.leg);
            if listener_done {
                self.listener_matured(at, bound_listener, &mut forget);
            }
            if source_done {
                if let Some(leg) = own {
                    forget(leg, bound_source);
                }
                for listener in 0..rows {
                    if let Some(word) = self.new_source.get_mut(listener * self.words + at / 64) {
                        *word &= !(1 << (at % 64));
                    }
                }
            }
            any_done |= listener_done || source_done;
        }
        for at in 0..self.taps.len() {
            let Some(tap) = self.taps.get_mut(at) else { continue };
            let done = tap.left_listener == 1;
            tap.left_listener = tap.left_listener.saturating_sub(1);
            let bound = tap.bound_listener;
            if done {
                self.listener_matured(self.seats.len() + at, bound, &mut forget);
            }
            any_done |= done;
        }
        if any_done {
            self.keyed = false;
            self.any_new = self.new_listener.iter().chain(&self.new_source).any(|w| *w != 0);
        }
    }

    fn listener_matured(&mut self, row: usize, bound: u64, forget: &mut impl FnMut(Key, u64)) {
        if let Some(words) = self.new_listener.get_mut(row * self.words..(row + 1) * self.words) {
            for source in bits(words) {
                if let Some(leg) = self.seats.get(source).and_then(|s| s.leg) {
                    forget(leg, bound);
                }
            }
            words.fill(0);
        }
    }

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
    /// key now differs from that of its first seat. `settings`: those of a leg's encoder, if it is one that can be shared; legs
    /// with different ones never do.
    pub(crate) fn part_from<S: PartialEq>(&mut self, old: &mut Self, settings: impl Fn(Key) -> Option<S>) {
        let of = |plan: &Self, seat: usize| plan.seats.get(seat).and_then(|seat| settings(seat.leg?));
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

    /// Whether any seat has a source that it has not heard yet.
    pub(crate) fn has_fresh(&self) -> bool {
        self.any_fresh
    }

    /// A source that `seat` was given and now hears for the first time, or could; true once. `from`: where to go on looking.
    pub(crate) fn next_fresh(&self, seat: usize, from: usize) -> Option<usize> {
        (from / 64..self.words).find_map(|word| {
            let mask = if word == from / 64 { u64::MAX << (from % 64) } else { u64::MAX };
            let rest = get(&self.fresh, seat * self.words + word) & mask;
            (rest != 0).then(|| word * 64 + rest.trailing_zeros() as usize)
        })
    }

    /// The seat hears the source from now on as it is.
    pub(crate) fn settle_fresh(&mut self, seat: usize, source: usize) {
        if let Some(word) = self.fresh.get_mut(seat * self.words + source / 64) {
            *word &= !(1 << (source % 64));
        }
    }

    /// Whether a source's frame of this age is withheld from a listener.
    pub(crate) fn is_withheld(&self, listener: usize, source: usize, oldest: u64) -> bool {
        let at = listener * self.words + source / 64;
        let new = (get(&self.new_listener, at) | get(&self.new_source, at)) >> (source % 64) & 1 == 1;
        new && oldest < self.bounds.get(listener * self.seats.len() + source).copied().unwrap_or(UNBOUND)
    }

    /// Adds to `wanted` the seats that `row` hears, but its own.
    pub(crate) fn add_wanted(&self, row: usize, wanted: &mut [u64]) {
        for (at, word) in wanted.iter_mut().enumerate().take(self.words) {
            let own = if row < self.seats.len() && row / 64 == at { 1u64 << (row % 64) } else { 0 };
            *word |= self.listeners.audible_word(row, at) & !own;
        }
    }

    /// Whether `class` hears anything beside the microphones of two seats.
    pub(crate) fn hears_a_third(&self, class: u16, one: usize, other: usize) -> bool {
        let of = |seat: usize, word: usize| if seat / 64 == word { 1u64 << (seat % 64) } else { 0 };
        let row = usize::from(class) * self.listeners.words;
        let microphone = (0..self.listeners.words)
            .any(|word| get(&self.listeners.audible, row + word) & !of(one, word) & !of(other, word) != 0);
        microphone || self.players.iter().any(|p| self.listeners.buses_of(class).contains(&p.bus))
    }

    /// The seat's leg leaves for another room: whoever sits here next is new to everyone.
    pub(crate) fn vacate(&mut self, seat: u16) {
        if let Some(seat) = self.seats.get_mut(usize::from(seat)) {
            seat.leg = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seats by (leg, bus); listeners by seat with their buses.
    fn compiled(seats: &[(u32, u16)], listeners: &[&[u16]]) -> Compiled {
        let seats: Vec<Seat> =
            seats.iter().map(|&(index, bus)| Seat { bus, ..Seat::of(Some(Key { index, generation: 1 })) }).collect();
        let words = words_for(seats.len());
        let mut table = Listeners { words, ..Listeners::default() };
        for (class, buses) in listeners.iter().enumerate() {
            table.class_of.push(class as u16);
            let start = table.buses.len() as u32;
            table.buses.extend_from_slice(buses);
            table.classes.push(start..table.buses.len() as u32);
            let mut row = vec![0; words];
            for (at, seat) in seats.iter().enumerate() {
                if buses.contains(&seat.bus) {
                    set(&mut row, at);
                }
            }
            table.audible.extend(row);
        }
        Compiled::new(1, 4, seats, Vec::new(), table, Vec::new())
    }

    fn withheld(plan: &Compiled, listener: usize, oldest: u64) -> Vec<usize> {
        plan.withheld(listener, &[u64::MAX; 2], |_| oldest).collect()
    }

    fn next(mut plan: Compiled, before: &Compiled, bound: u64) -> Compiled {
        plan.widen_from(before);
        plan.bind(bound);
        plan
    }

    #[test]
    fn who_joins_hears_and_is_heard_only_from_then_on() {
        let first = next(compiled(&[(1, 0), (2, 0)], &[&[0], &[0]]), &Compiled::default(), 10);
        assert_eq!(withheld(&first, 0, 9), [1]);
        assert_eq!(withheld(&first, 0, 10), Vec::<usize>::new());
        let second = next(compiled(&[(1, 0), (2, 0), (3, 0)], &[&[0], &[0], &[0]]), &first, 20);
        assert_eq!(withheld(&second, 0, 15), [2], "the first pair keeps its own line");
        assert_eq!(withheld(&second, 2, 15), [0, 1]);
        assert_eq!(second.widened().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_whisper_that_becomes_public_is_new_to_those_who_did_not_hear_it() {
        // Seat 2 whispers on bus 1 to seat 0, then speaks on bus 0 to both.
        let start = next(compiled(&[(1, 0), (2, 0), (3, 1)], &[&[0, 1], &[0], &[0]]), &Compiled::default(), 0);
        let public = next(compiled(&[(1, 0), (2, 0), (3, 0)], &[&[0], &[0], &[0]]), &start, 50);
        assert_eq!(withheld(&public, 1, 49), [2], "the customer hears no buffered whisper");
        assert_eq!(withheld(&public, 0, 49), Vec::<usize>::new(), "the agent heard it all along");
        let again = next(compiled(&[(1, 0), (2, 0), (3, 1)], &[&[0, 1], &[0], &[0]]), &public, 60);
        assert_eq!(withheld(&again, 1, 0), Vec::<usize>::new(), "narrowed: no pair left to be new");
        let public = next(compiled(&[(1, 0), (2, 0), (3, 0)], &[&[0], &[0], &[0]]), &again, 70);
        assert_eq!(withheld(&public, 1, 69), [2]);
    }

    #[test]
    fn a_seat_taken_by_another_leg_inherits_nothing() {
        let start = next(compiled(&[(1, 0), (2, 0)], &[&[0], &[0]]), &Compiled::default(), 0);
        let other = next(compiled(&[(1, 0), (7, 0)], &[&[0], &[0]]), &start, 30);
        assert_eq!(withheld(&other, 0, 29), [1]);
        assert_eq!(withheld(&other, 1, 29), [0]);
    }

    #[test]
    fn maturing_forgets_the_old_before_it_stops_comparing() {
        let mut plan = next(compiled(&[(1, 0), (2, 0)], &[&[0], &[0]]), &Compiled::default(), 10);
        let mut forgotten = Vec::new();
        for _ in 0..MATURE {
            assert_eq!(withheld(&plan, 0, 9), [1]);
            plan.mature(|key, mark| forgotten.push((key.index, mark)));
        }
        assert_eq!(forgotten, [(2, 10), (1, 10)]);
        assert!(!plan.has_new());
        assert!(withheld(&plan, 0, 9).is_empty());
    }

    #[test]
    fn more_than_sixty_four_seats_keep_their_bits_apart() {
        let seats: Vec<(u32, u16)> = (0..100).map(|n| (n, u16::from(n >= 90))).collect();
        let everyone: Vec<&[u16]> = (0..100).map(|_| &[0u16][..]).collect();
        let start = next(compiled(&seats, &everyone), &Compiled::default(), 0);
        let open: Vec<(u32, u16)> = (0..100).map(|n| (n, 0)).collect();
        let plan = next(compiled(&open, &everyone), &start, 5);
        assert_eq!(withheld(&plan, 3, 4), (90..100).collect::<Vec<_>>());
        assert_eq!(withheld(&plan, 95, 4), (90..100).filter(|n| *n != 95).collect::<Vec<_>>());
    }
}

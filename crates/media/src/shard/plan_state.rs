//! A plan as a shard uses it: seats instead of names, bitsets instead of lists, and which hearing is still too new.
//!
//! Compiled and freed outside the shard. Applying one allocates nothing: all it needs is inside.

mod fresh;
mod keys;
mod widening;

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

    /// The seat's leg leaves for another room: whoever sits here next is new to everyone.
    pub(crate) fn vacate(&mut self, seat: u16) {
        if let Some(seat) = self.seats.get_mut(usize::from(seat)) {
            seat.leg = None;
        }
    }
}

#[cfg(test)]
mod tests;

//! From one plan to the next: who hears whom only now, from which packets on, and when that is history.

use super::{Compiled, MATURE, NONE, UNBOUND, bits, get, set};
use crate::id::Key;

impl Compiled {
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
}

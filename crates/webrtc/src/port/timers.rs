//! Deadlines of a thread's legs.
//!
//! A leg's deadline moves with every packet, mostly to later. It has at most one live entry: one that comes due too early is put
//! off instead of every move being written.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Key;

#[derive(Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Instant, Key)>>);

impl Timers {
    /// Sees to it that the leg is looked at by `at`; `scheduled` is the leg's own note of its live entry.
    pub(crate) fn set(&mut self, key: Key, at: Instant, scheduled: &mut Option<Instant>) {
        if scheduled.is_none_or(|earlier| at < earlier) {
            *scheduled = Some(at);
            self.0.push(Reverse((at, key)));
        }
    }

    /// The next entry that is due. It is the leg's live one only if the leg's note says the same time.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(Instant, Key)> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }

    /// When the next entry is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }
}

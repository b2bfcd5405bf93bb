//! Sources that a seat was given and has not yet heard: they come in softly.

use super::{Compiled, get};

impl Compiled {
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
}

//! Numbers that peers should not guess, and that a simulator can repeat.

use std::hash::{BuildHasher, Hasher};

/// A small generator (splitmix64): one seed, one sequence.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Seeded from the operating system's entropy, by way of the standard library's hasher keys.
    pub(crate) fn from_system() -> Self {
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(0x6d65_6469_6173_6964);
        Self::new(hasher.finish())
    }

    /// A generator of its own for `stream`, independent of how often others were asked.
    pub(crate) fn fork(seed: u64, stream: u64) -> Self {
        let mut base = Self::new(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let state = base.next();
        Self::new(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..bound; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64 }
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        ((self.next() >> 11) as f64) / ((1u64 << 53) as f64) < p
    }
}

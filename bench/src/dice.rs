//! Chance that can be repeated.

/// Numbers that look random and are the same for each seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Thrown from this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One in 0 to 1.
    pub fn part(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn a_seed_always_throws_the_same() {
        let mut dice = Dice::new(7);
        let thrown: Vec<usize> = (0..8).map(|_| dice.below(100)).collect();
        assert_eq!(thrown, THROWN);
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&dice.part())));
    }

    /// What seed 7 throws below 100: published figures were measured with these throws.
    const THROWN: [usize; 8] = [87, 4, 46, 3, 74, 5, 98, 82];
}

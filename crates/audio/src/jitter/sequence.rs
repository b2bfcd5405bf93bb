//! Which RTP sequence numbers were seen: duplicates exactly, losses as RFC 3550 counts them (expected − received).

/// Numbers remembered behind the newest.
const WINDOW: u64 = 128;
/// A leap of more than this is a new start, not a loss (RFC 3550 A.1 uses the same figure).
const DROPOUT: i64 = 3_000;
/// So many old numbers in a row are a new start as well: a sender that began again (RFC 3550 A.1 wants two).
const NEW_START: u8 = 2;

#[derive(Debug, Clone, Default)]
pub(crate) struct Sequence {
    started: bool,
    newest: u16,
    /// Bit n: newest − n was seen.
    seen: u128,
    /// The number that would follow the last old one, and how many in a row those are.
    old: (u16, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// In order, after this many missing ones.
    New {
        missing: u32,
    },
    /// Fills a gap that was counted as missing.
    Filled,
    /// Older than what is remembered.
    Ancient,
    Duplicate,
}

impl Sequence {
    fn starting(number: u16) -> Self {
        Self { started: true, newest: number, seen: 1, old: (0, 0) }
    }

    pub(crate) fn see(&mut self, number: u16) -> Seen {
        if !self.started {
            *self = Self::starting(number);
            return Seen::New { missing: 0 };
        }
        let step = number.wrapping_sub(self.newest) as i16 as i64;
        if step > 0 {
            self.newest = number;
            self.old = (0, 0);
            if step > DROPOUT {
                self.seen = 1;
                return Seen::New { missing: 0 };
            }
            self.seen = if step < WINDOW as i64 { self.seen << step } else { 0 } | 1;
            return Seen::New { missing: step as u32 - 1 };
        }
        let behind = -step;
        if behind > DROPOUT {
            *self = Self::starting(number);
            return Seen::New { missing: 0 };
        }
        if behind >= WINDOW as i64 {
            let in_a_row = if self.old.0 == number { self.old.1 + 1 } else { 1 };
            self.old = (number.wrapping_add(1), in_a_row);
            if in_a_row < NEW_START {
                return Seen::Ancient;
            }
            *self = Self::starting(number);
            return Seen::New { missing: 0 };
        }
        let bit = 1u128 << behind;
        if self.seen & bit != 0 {
            return Seen::Duplicate;
        }
        self.seen |= bit;
        Seen::Filled
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap_loss_reorder_and_duplicate_are_told_apart() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.see(65_534), Seen::New { missing: 0 });
        assert_eq!(sequence.see(1), Seen::New { missing: 2 });
        assert_eq!(sequence.see(65_535), Seen::Filled);
        assert_eq!(sequence.see(65_535), Seen::Duplicate);
        assert_eq!(sequence.see(1), Seen::Duplicate);
        assert_eq!(sequence.see(0), Seen::Filled);
        assert_eq!(sequence.see(65_000), Seen::Ancient);
        assert_eq!(sequence.see(20_000), Seen::New { missing: 0 });
        assert_eq!(sequence.see(10_000), Seen::New { missing: 0 });
    }

    #[test]
    fn a_sender_that_begins_again_a_little_back_is_followed_and_one_old_packet_is_not() {
        for back in [200, 500, 1_000, 2_999] {
            let mut sequence = Sequence::default();
            let newest = 5_000;
            assert_eq!(sequence.see(newest), Seen::New { missing: 0 });
            let first = newest - back;
            assert_eq!(sequence.see(first), Seen::Ancient);
            assert_eq!(sequence.see(newest + 1), Seen::New { missing: 0 }, "one old packet changes nothing");
            assert_eq!(sequence.see(first + 40), Seen::Ancient, "nor do two that do not follow each other");
            assert_eq!(sequence.see(first + 41), Seen::New { missing: 0 });
            assert_eq!(sequence.see(first + 42), Seen::New { missing: 0 });
        }
    }
}

//! Which RTP sequence numbers were seen: duplicates exactly, losses as RFC 3550 counts them (expected − received).

/// Numbers remembered behind the newest.
const WINDOW: u64 = 128;
/// A leap of more than this is a new start, not a loss (RFC 3550 A.1 uses the same figure).
const DROPOUT: i64 = 3_000;

#[derive(Debug, Clone, Default)]
pub(super) struct Sequence {
    started: bool,
    newest: u16,
    /// Bit n: newest − n was seen.
    seen: u128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
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
    pub(super) fn see(&mut self, number: u16) -> Seen {
        if !self.started {
            *self = Self { started: true, newest: number, seen: 1 };
            return Seen::New { missing: 0 };
        }
        let step = number.wrapping_sub(self.newest) as i16 as i64;
        if step > 0 {
            self.newest = number;
            if step > DROPOUT {
                self.seen = 1;
                return Seen::New { missing: 0 };
            }
            self.seen = if step < WINDOW as i64 { self.seen << step } else { 0 } | 1;
            return Seen::New { missing: step as u32 - 1 };
        }
        let behind = -step;
        if behind > DROPOUT {
            *self = Self { started: true, newest: number, seen: 1 };
            return Seen::New { missing: 0 };
        }
        if behind >= WINDOW as i64 {
            return Seen::Ancient;
        }
        let bit = 1u128 << behind;
        if self.seen & bit != 0 {
            return Seen::Duplicate;
        }
        self.seen |= bit;
        Seen::Filled
    }

    pub(super) fn reset(&mut self) {
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
}

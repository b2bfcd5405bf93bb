//! Sampling rates of a mix, and what carries a source from one to another.
//!
//! A converter belongs to one source and one rate. Its filter remembers 4 ms: a frame it makes counts as old as the frame before
//! it, and after a tick in which nobody wanted it it starts from nothing. So no listener ever hears, through a filter's tail,
//! sound that came before he was let in.

use audio::{Format, Resampler};

use crate::leg::Heard;
use crate::mutation::{self, Mutation};
use crate::shard::SLOTS;

/// Samples of a tick at the highest rate.
pub(crate) const LONGEST_FRAME: usize = Rate::Full.frame();

/// A sampling rate that mixes are made at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// 8 kHz.
    Narrow = 0,
    /// 16 kHz.
    Wide = 1,
    /// 48 kHz.
    Full = 2,
}

impl Rate {
    pub(crate) const ALL: [Self; 3] = [Self::Narrow, Self::Wide, Self::Full];

    pub(crate) fn of(format: Format) -> Self {
        match format {
            Format::Narrow(_) => Self::Narrow,
            Format::G722 => Self::Wide,
            Format::Opus => Self::Full,
        }
    }

    pub(crate) const fn hz(self) -> u32 {
        match self {
            Self::Narrow => 8_000,
            Self::Wide => 16_000,
            Self::Full => 48_000,
        }
    }

    /// Samples of a tick.
    pub(crate) const fn frame(self) -> usize {
        self.hz() as usize / 50
    }
}

/// One source's way to one rate.
#[derive(Debug)]
pub(crate) struct Converter {
    from: Rate,
    resampler: Resampler,
    /// The oldest arrival number in the frame before, silent or not: how long anything is withheld must not tell whether it sounds.
    tail: u64,
    /// Whether the filter holds anything but silence.
    loaded: bool,
    /// The sub-slot it last ran in.
    ran: u64,
}

impl Converter {
    /// `None` if there is nothing to convert.
    pub(crate) fn new(from: Rate, to: Rate) -> Option<Self> {
        let resampler = Resampler::new(from.hz(), to.hz()).filter(|_| from != to)?;
        Some(Self { from, resampler, tail: u64::MAX, loaded: false, ran: 0 })
    }

    /// Converts the frame of this tick (none: silence, which lets the tail sound) into `out`, whole; what came of it. Nothing of it
    /// sounds: `out` may hold anything.
    pub(crate) fn run(&mut self, slot: u64, frame: Option<&[i16]>, oldest: u64, out: &mut [i16]) -> Heard {
        // A leg that changes its place on the wheel waits for up to a tick and a half.
        if slot.saturating_sub(self.ran) > SLOTS + SLOTS / 2 {
            self.tail = u64::MAX;
            if std::mem::take(&mut self.loaded) {
                self.resampler.reset();
            }
        }
        self.ran = slot;
        let tail = std::mem::replace(&mut self.tail, oldest);
        let oldest = if mutation::active(Mutation::TailCountsAsNew) { oldest } else { tail.min(oldest) };
        let was_loaded = std::mem::replace(&mut self.loaded, frame.is_some());
        let silence = [0; LONGEST_FRAME];
        let input = match frame {
            Some(frame) => frame,
            None if !was_loaded => return Heard { sound: false, oldest },
            None => silence.get(..self.from.frame()).unwrap_or(&[]),
        };
        let written = self.resampler.process(input, out);
        if let Some(rest) = out.get_mut(written..) {
            rest.fill(0);
        }
        Heard { sound: frame.is_some() || out.iter().any(|s| *s != 0), oldest }
    }
}

/// A source's converters to the rates that are not its own. Made outside the tick.
#[derive(Debug)]
pub(crate) struct Lift {
    from: Rate,
    to: [Option<Converter>; 3],
}

impl Lift {
    pub(crate) fn of(from: Rate) -> Box<Self> {
        Box::new(Self { from, to: Rate::ALL.map(|to| Converter::new(from, to)) })
    }

    /// The converter to a rate, if this is what lifts sources of `from`.
    pub(crate) fn to(&mut self, from: Rate, to: Rate) -> Option<&mut Converter> {
        if self.from != from {
            return None;
        }
        self.to.get_mut(to as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_counts_as_old_as_the_frame_it_comes_from() {
        let mut up = Converter::new(Rate::Narrow, Rate::Full).expect("a ratio");
        let mut out = [0; 960];
        assert_eq!(up.run(100, Some(&[9_000; 160]), 7, &mut out).oldest, 7);
        assert_eq!(up.run(120, Some(&[9_000; 160]), 9, &mut out).oldest, 7, "the filter still holds the frame before");
        assert_eq!(up.run(140, Some(&[9_000; 160]), 9, &mut out).oldest, 9);
        let tail = up.run(160, None, u64::MAX, &mut out);
        assert!(tail.sound && tail.oldest == 9, "the end of the sound comes out of the filter");
        assert!(!up.run(180, None, u64::MAX, &mut out).sound);
    }

    #[test]
    fn a_converter_that_nobody_wanted_starts_from_nothing() {
        for (from, to) in [(Rate::Narrow, Rate::Full), (Rate::Full, Rate::Narrow), (Rate::Wide, Rate::Full)] {
            let (mut fresh, mut used) =
                (Converter::new(from, to).expect("a ratio"), Converter::new(from, to).expect("a ratio"));
            let (mut a, mut b) = ([0; 960], [0; 960]);
            let loud: Vec<i16> = (0..from.frame()).map(|n| if n % 5 < 2 { 20_000 } else { -9_000 }).collect();
            used.run(20, Some(&loud), 1, &mut b[..to.frame()]);
            let soft = vec![100; from.frame()];
            let heard = used.run(60, Some(&soft), 5, &mut b[..to.frame()]);
            fresh.run(60, Some(&soft), 5, &mut a[..to.frame()]);
            assert_eq!(heard.oldest, 5);
            assert_eq!(a, b, "{from:?} to {to:?}");
        }
    }
}

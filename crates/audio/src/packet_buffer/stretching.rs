//! Changes of delay while sound goes on: a few samples, or a pitch period, are inserted or deleted, in silence first.

use super::{Decoder, PacketBuffer};
use crate::conceal::similarity;

/// The longest stretch inserted or deleted at once, ms.
const LONGEST_LAG_MS: usize = 20;
/// The longest cross-fade, ms.
const LONGEST_FADE_MS: usize = 10;
/// Peaks below this are silence to the ear (−44 dBFS): anything may be inserted or deleted there.
const QUIET: u16 = 200;
/// Likeness from which on two periods join unheard.
const ALIKE: f32 = 0.8;
/// Samples of the longest pull at 48 kHz.
const LONGEST_PULL: usize = 960;

impl<D: Decoder> PacketBuffer<D> {
    /// An eighth of a millisecond: the smallest change.
    const SMALLEST_LAG: usize = D::RATE as usize / 8_000;
    /// The shortest pitch period looked for: 2.5 ms.
    const SHORTEST_LAG: usize = 20 * Self::SMALLEST_LAG;

    /// Brings the next `len` samples nearer to the delay that is wanted: `lack` samples more of it.
    pub(super) fn stretch(&mut self, lack: i64, len: usize) {
        if lack.unsigned_abs() < Self::SMALLEST_LAG as u64 || !self.config.time_scaling {
            self.unequal = 0;
            return;
        }
        self.unequal = self.unequal.saturating_add(1);
        if len < Self::SHORTEST_LAG {
            return;
        }
        let inserting = lack > 0;
        let most = lack.unsigned_abs().min((LONGEST_LAG_MS * Self::MS) as u64) as usize;
        let most = if inserting { most.min(len) } else { most.min(self.decode_ahead(len + most).saturating_sub(len)) };
        let nature =
            if inserting { self.line.nature_around(most, len) } else { self.line.nature_around(0, len + most) };
        if most < Self::SMALLEST_LAG || nature.concealed {
            return;
        }
        if let Some(lag) = self.lag(inserting, len, most) {
            self.apply(inserting, len, lag);
        }
    }

    /// Decodes packets that follow without a hole until `len` samples wait; answers how many do.
    fn decode_ahead(&mut self, len: usize) -> usize {
        while self.line.pending() < len
            && let (Some(first), Some(head)) = (self.waiting.first(), self.head)
            && first.start == head
            && !self.is_too_dear(&first)
        {
            self.decode_first();
        }
        self.line.pending().min(len)
    }

    /// How many samples to insert or delete now, if any.
    fn lag(&self, inserting: bool, len: usize, most: usize) -> Option<usize> {
        let (behind, ahead) = if inserting { (most, len) } else { (0, len + most) };
        if self.line.around(behind, ahead).iter().all(|s| s.unsigned_abs() < QUIET) {
            return Some(most);
        }
        let waited = self.unequal;
        if most < Self::SHORTEST_LAG {
            // An eighth of a millisecond, stretched over the frame, is a shift of pitch for 20 ms that nobody hears.
            let patience = if inserting { 3 } else { 15 };
            return (waited > patience && waited.is_multiple_of(3)).then_some(Self::SMALLEST_LAG);
        }
        if (!inserting && waited <= 10) || waited.is_multiple_of(2) {
            return None;
        }
        let window = len.min(LONGEST_FADE_MS * Self::MS);
        let line = self.line.around(behind, ahead);
        let here = &line[behind..behind + window];
        let likeness = |lag: usize, stride| {
            let there = if inserting { behind - lag } else { lag };
            similarity(here, &line[there..there + window], stride)
        };
        let best = |lags: &mut dyn Iterator<Item = usize>, stride| {
            lags.map(|lag| (likeness(lag, stride), lag)).fold((f32::MIN, most), |a, b| if b.0 > a.0 { b } else { a })
        };
        // At eight kilohertz first, then around the best.
        let step = Self::SMALLEST_LAG;
        let coarse = best(&mut (Self::SHORTEST_LAG..=most).step_by(step), step).1;
        let near = coarse.saturating_sub(step).max(Self::SHORTEST_LAG)..=(coarse + step).min(most);
        let (likeness, lag) = best(&mut near.clone(), step);
        (likeness >= ALIKE || waited > 12).then_some(lag)
    }

    /// Plays the next `len` samples while the timeline advances by `lag` less, or more.
    fn apply(&mut self, inserting: bool, len: usize, lag: usize) {
        let mut out = [0i16; LONGEST_PULL];
        let out = &mut out[..len];
        // Single samples are spread over the whole frame, periods over at most 10 ms.
        let fade = if lag < Self::SHORTEST_LAG { len } else { len.min(LONGEST_FADE_MS * Self::MS) };
        let (behind, ahead) = if inserting { (lag, len) } else { (0, len + lag) };
        let line = self.line.around(behind, ahead);
        let (from, to) = if inserting { (lag, 0) } else { (0, lag) };
        for (at, sample) in out.iter_mut().enumerate() {
            let (old, new) = (f32::from(line[from + at]), f32::from(line[to + at]));
            let weight = if at >= fade { 1.0 } else { (at as f32 + 0.5) / fade as f32 };
            *sample = (old + (new - old) * weight) as i16;
        }
        let nature = self.line.nature_around(behind, ahead);
        let consumed = if inserting {
            self.stats.inserted_samples += lag as u64;
            len - lag
        } else {
            self.stats.deleted_samples += lag as u64;
            len + lag
        };
        self.line.replace(consumed, out, nature);
    }
}

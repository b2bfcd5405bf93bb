//! A gate for wide sources: an open microphone is never digital silence, and what nobody speaks into must not cost an encode.
//!
//! It looks back to the start of the frame in which sound begins, so that nothing of an onset is lost: the frame passes whole but for
//! a ramp that ends before the first loud sample.

use crate::level::rms_dbfs;

/// Loudness is judged in blocks of 5 ms; ramps are as long.
const BLOCKS_PER_SECOND: usize = 200;
/// A single peak this far above the threshold is sound too, however short.
const PEAK_DB: f32 = 14.0;

/// How a gate behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateConfig {
    /// 5 ms louder than this are sound, dBFS; default −50.
    pub threshold_dbfs: f32,
    /// How long it stays open after the last sound, ms; default 400.
    pub hangover_ms: u32,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { threshold_dbfs: -50.0, hangover_ms: 400 }
    }
}

/// A gate over the frames of one source. Closed at first.
#[derive(Debug, Clone)]
pub struct Gate {
    config: GateConfig,
    /// Samples of a block.
    block: usize,
    hangover: usize,
    /// A peak above this opens.
    peak: u16,
    /// Samples for which it stays open; 0: closed.
    left: usize,
}

impl Gate {
    /// A gate for frames at `rate` Hz.
    pub fn new(rate: u32, config: GateConfig) -> Self {
        let rate = rate.max(BLOCKS_PER_SECOND as u32) as usize;
        let peak = 32_767.0 * 10f32.powf((config.threshold_dbfs + PEAK_DB) / 20.0);
        let hangover = rate * config.hangover_ms as usize / 1_000;
        Self { config, block: rate / BLOCKS_PER_SECOND, hangover, peak: peak as u16, left: 0 }
    }

    /// Passes a frame, or makes it exact zero; answers whether it passed. The frame in which the gate closes ends in a ramp.
    pub fn process(&mut self, frame: &mut [i16]) -> bool {
        let was_open = self.left > 0;
        let mut blocks = frame.chunks(self.block);
        if let Some(first) = blocks.position(|block| self.is_loud(block)) {
            let start = first * self.block;
            let last = blocks.rposition(|block| self.is_loud(block)).map_or(first, |more| first + 1 + more);
            if !was_open {
                let ramp = start.min(self.block);
                for (at, sample) in frame[..ramp].iter_mut().enumerate() {
                    *sample = (i32::from(*sample) * at as i32 / ramp as i32) as i16;
                }
            }
            let since = frame.len() - ((last + 1) * self.block).min(frame.len());
            // At least the next frame passes, so that it can end in a ramp.
            self.left = self.hangover.saturating_sub(since).max(1);
            return true;
        }
        if !was_open {
            frame.fill(0);
            return false;
        }
        self.left = self.left.saturating_sub(frame.len());
        if self.left == 0 {
            let ramp = self.block.min(frame.len());
            let from = frame.len() - ramp;
            for (at, sample) in frame[from..].iter_mut().enumerate() {
                *sample = (i32::from(*sample) * (ramp - 1 - at) as i32 / ramp as i32) as i16;
            }
        }
        true
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.left > 0
    }

    /// Closes at once, as for another source.
    pub fn reset(&mut self) {
        self.left = 0;
    }

    fn is_loud(&self, block: &[i16]) -> bool {
        let peak = block.iter().fold(0, |peak: u16, s| peak.max(s.unsigned_abs()));
        // A block whose peak is below the threshold's root mean square need not be measured.
        peak > self.peak || (peak > 0 && rms_dbfs(block) > self.config.threshold_dbfs)
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

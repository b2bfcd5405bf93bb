//! Meters: how loud a leg is, for whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const SPEAKING: u32 = 1 << 8;
const NO_SOUND: u32 = 0xff;
/// What is added to a level so that it is no negative number.
const OFFSET: f32 = 120.0;

/// How loud a leg is: written by its shard in each tick, read by anyone at any time.
#[derive(Clone, Debug)]
pub struct Meter(Arc<AtomicU32>);

impl Meter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU32::new(NO_SOUND)))
    }

    /// Level of what came from the far side in the last tick, −120 to 3 dBFS (0: a full-scale sine); `None`: no sound.
    #[must_use]
    pub fn level(&self) -> Option<i8> {
        let level = self.0.load(Ordering::Relaxed) & 0xff;
        (level != NO_SOUND).then(|| (level as i16 - OFFSET as i16) as i8)
    }

    /// Whether somebody speaks there now.
    #[must_use]
    pub fn speaking(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SPEAKING != 0
    }

    /// Tells the frame of a tick; none: no sound.
    pub(crate) fn tell(&self, frame: Option<&[i16]>, speaking: bool) {
        let level = frame.map_or(NO_SOUND, |frame| (audio::level::rms_dbfs(frame) + OFFSET).clamp(0.0, 123.0) as u32);
        self.0.store(level | if speaking { SPEAKING } else { 0 }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_tells_level_and_speech() {
        let meter = Meter::new();
        assert_eq!((meter.level(), meter.speaking()), (None, false));
        let mut frame = [0; 960];
        audio::Tone::new(1_000.0, -20.0, 48_000).fill(&mut frame);
        meter.tell(Some(&frame), true);
        assert_eq!((meter.level(), meter.speaking()), (Some(-20), true));
        meter.tell(Some(&[0; 160]), false);
        assert_eq!((meter.level(), meter.speaking()), (Some(-120), false));
        meter.tell(None, false);
        assert_eq!(meter.level(), None);
    }
}

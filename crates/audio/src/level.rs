//! Loudness of a frame, and when somebody starts and stops speaking. Only ever reported: no gate touches the audio.

/// What [`rms_dbfs`] answers for exact silence.
pub const SILENCE_DBFS: f32 = -120.0;

/// Root-mean-square level in dBFS (0 dBFS = full-scale sine); [`SILENCE_DBFS`] for silence or an empty frame.
pub fn rms_dbfs(frame: &[i16]) -> f32 {
    let energy: i64 = frame.chunks(1_024).map(|c| c.iter().map(|&s| s as i64 * s as i64).sum::<i64>()).sum();
    if energy == 0 {
        return SILENCE_DBFS;
    }
    let mean = energy as f64 / frame.len() as f64;
    // A full-scale sine has a mean square of peak² / 2.
    (10.0 * (mean * 2.0 / (32_767.0f64 * 32_767.0)).log10()).max(SILENCE_DBFS as f64) as f32
}

/// Somebody started or stopped speaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechEvent {
    /// Speech was confirmed; it began this many milliseconds before the end of the frame that confirmed it.
    Started {
        /// Look-back in ms.
        ago_ms: u32,
    },
    /// Speech ended this many milliseconds before the end of the frame that confirmed it.
    Stopped {
        /// Look-back in ms.
        ago_ms: u32,
    },
}

/// An energy detector over a noise floor that it learns: a start needs 60 ms above the threshold, a stop 400 ms below it.
#[derive(Debug, Clone)]
pub struct SpeechDetector {
    rate: u32,
    /// Learned noise floor in dBFS.
    floor: f32,
    speaking: bool,
    /// Length of the run of frames that contradict `speaking`, in ms.
    run_ms: u32,
    attack_ms: u32,
    hangover_ms: u32,
}

/// Never speech, however quiet the room.
const QUIETEST_SPEECH: f32 = -50.0;
/// Speech stands out of the noise by this much.
const MARGIN_DB: f32 = 9.0;

impl SpeechDetector {
    /// A detector for frames at `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Self::with_times(rate, 60, 400)
    }

    /// A detector whose start takes `attack_ms` of sound and whose stop takes `hangover_ms` of quiet.
    pub fn with_times(rate: u32, attack_ms: u32, hangover_ms: u32) -> Self {
        Self { rate: rate.max(1_000), floor: -60.0, speaking: false, run_ms: 0, attack_ms, hangover_ms }
    }

    /// Whether speech is going on.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// The learned noise floor in dBFS.
    pub fn noise_floor(&self) -> f32 {
        self.floor
    }

    /// The level of a frame to within 0.02 dB, for a tenth of the price: sums in single precision, no logarithm.
    fn level(frame: &[i16]) -> f32 {
        const LANES: usize = 16;
        let mut sums = [0f32; LANES];
        let (whole, rest) = frame.as_chunks::<LANES>();
        for chunk in whole {
            for (sum, &sample) in sums.iter_mut().zip(chunk) {
                let sample = f32::from(sample);
                *sum += sample * sample;
            }
        }
        let rest: f32 = rest.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
        let energy = sums.iter().sum::<f32>() + rest;
        if energy == 0.0 {
            return SILENCE_DBFS;
        }
        let mean = energy / frame.len() as f32 * (2.0 / (32_767.0 * 32_767.0));
        decibels(mean).max(SILENCE_DBFS)
    }

    /// Takes the next frame (any length up to a second); answers a change if there is one.
    pub fn update(&mut self, frame: &[i16]) -> Option<SpeechEvent> {
        let ms = (frame.len() as u32).saturating_mul(1_000) / self.rate;
        let level = Self::level(frame);
        let loud = level > self.threshold();
        // Down at once, up slowly (3 dB/s): a talker must not become his own floor.
        if level < self.floor {
            self.floor += 0.3 * (level.max(-70.0) - self.floor);
        } else {
            self.floor = (self.floor + ms as f32 * 0.003).min(level).min(-30.0);
        }
        if loud == self.speaking {
            self.run_ms = 0;
            return None;
        }
        self.run_ms += ms;
        let needed = if self.speaking { self.hangover_ms } else { self.attack_ms };
        if self.run_ms < needed {
            return None;
        }
        let ago_ms = std::mem::take(&mut self.run_ms);
        self.speaking = loud;
        Some(if loud { SpeechEvent::Started { ago_ms } } else { SpeechEvent::Stopped { ago_ms } })
    }

    fn threshold(&self) -> f32 {
        // 3 dB lower while speaking, so that soft syllables do not end a word.
        let margin = if self.speaking { MARGIN_DB - 3.0 } else { MARGIN_DB };
        (self.floor + margin).max(QUIETEST_SPEECH)
    }
}

/// 10 · log₁₀ of a positive number: the exponent as it stands, the mantissa by a polynomial (error below 0.01 dB).
fn decibels(power: f32) -> f32 {
    let bits = power.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000) - 1.0;
    // log₂(1 + m), exact at 0 and 1.
    let fraction = m * (1.440_053 + m * (-0.693_786 + m * (0.366_766 - m * 0.113_033)));
    (exponent as f32 + fraction) * std::f32::consts::LOG10_2 * 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::Tone;
    use proptest::prelude::*;

    fn run(detector: &mut SpeechDetector, level: f64, frames: usize) -> Vec<(usize, SpeechEvent)> {
        let mut tone = Tone::new(300.0, level, 8_000);
        let mut frame = [0i16; 160];
        (0..frames)
            .filter_map(|i| {
                tone.fill(&mut frame);
                detector.update(&frame).map(|e| (i, e))
            })
            .collect()
    }

    #[test]
    fn speech_over_noise_starts_once_and_stops_once_with_its_look_back() {
        let mut detector = SpeechDetector::new(8_000);
        assert_eq!(run(&mut detector, -55.0, 100), vec![]);
        assert_eq!(run(&mut detector, -20.0, 100), vec![(2, SpeechEvent::Started { ago_ms: 60 })]);
        // Pauses inside a sentence are bridged.
        assert_eq!(run(&mut detector, -55.0, 15), vec![]);
        assert_eq!(run(&mut detector, -20.0, 10), vec![]);
        assert_eq!(run(&mut detector, -55.0, 50), vec![(19, SpeechEvent::Stopped { ago_ms: 400 })]);
    }

    #[test]
    fn the_detectors_level_is_the_level() {
        for power in 1..200_000 {
            let power = power as f32 * 1e-5;
            assert!((decibels(power) - 10.0 * power.log10()).abs() < 0.02, "{power}");
        }
        for level in -100..=0 {
            let mut frame = [0i16; 167];
            Tone::new(300.0, f64::from(level), 8_000).fill(&mut frame);
            assert!((SpeechDetector::level(&frame) - rms_dbfs(&frame)).abs() < 0.02, "{level}");
        }
        assert_eq!(SpeechDetector::level(&[]), SILENCE_DBFS);
    }

    #[test]
    fn a_click_is_not_speech_and_steady_noise_becomes_the_floor() {
        let mut detector = SpeechDetector::new(8_000);
        assert_eq!(run(&mut detector, -10.0, 2), vec![]);
        assert_eq!(run(&mut detector, -70.0, 20), vec![]);
        let events = run(&mut detector, -40.0, 1_000);
        assert!(
            matches!(events[..], [(_, SpeechEvent::Started { .. }), (_, SpeechEvent::Stopped { .. })]),
            "{events:?}"
        );
    }

    proptest! {
        #[test]
        fn level_of_a_sine_is_its_level(level in -60.0f64..0.0, freq in 200.0f64..3_000.0) {
            let mut frame = vec![0i16; 8_000];
            Tone::new(freq, level, 8_000).fill(&mut frame);
            prop_assert!((rms_dbfs(&frame) as f64 - level).abs() < 0.2);
        }

        #[test]
        fn starts_and_stops_alternate_on_any_input(frames in prop::collection::vec((any::<i16>(), 0usize..481), 0..200)) {
            let mut detector = SpeechDetector::new(8_000);
            let mut speaking = false;
            for (value, len) in frames {
                if let Some(event) = detector.update(&vec![value; len]) {
                    prop_assert_eq!(matches!(event, SpeechEvent::Started { .. }), !speaking);
                    speaking = !speaking;
                }
                prop_assert!(detector.noise_floor().is_finite());
            }
        }
    }
}

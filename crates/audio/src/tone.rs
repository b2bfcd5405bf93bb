//! Sine generators: single and multiple tones, the beeps, ringback. 0 dBFS is a full-scale sine (peak 32 767).

use std::f64::consts::TAU;

/// Peak amplitude of a sine of this level. 0 dBFS → 32 767.
pub fn amplitude(level_dbfs: f64) -> f64 {
    32_767.0 * 10f64.powf(level_dbfs / 20.0)
}

/// A sine. Its phase is an integer count of mHz-samples, so it never drifts however long it runs.
#[derive(Debug, Clone)]
pub struct Tone {
    /// Numerator of the phase: phase = `turn / whole` of a period.
    turn: u64,
    step: u64,
    whole: u64,
    amplitude: f64,
}

impl Tone {
    /// A sine of `freq_hz` (kept to 1 mHz) at `level_dbfs` for a sampling `rate` in Hz, starting at phase 0.
    pub fn new(freq_hz: f64, level_dbfs: f64, rate: u32) -> Self {
        let whole = rate.max(1) as u64 * 1_000;
        Self {
            turn: 0,
            step: (freq_hz.max(0.0) * 1_000.0).round() as u64 % whole,
            whole,
            amplitude: amplitude(level_dbfs),
        }
    }

    /// The next sample, before rounding.
    pub fn next_sample(&mut self) -> f64 {
        let value = self.amplitude * (TAU * self.turn as f64 / self.whole as f64).sin();
        self.turn += self.step;
        if self.turn >= self.whole {
            self.turn -= self.whole;
        }
        value
    }

    /// Fills a frame.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = round(self.next_sample());
        }
    }

    /// Adds the tone to a frame, saturating.
    pub fn add_to(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = sample.saturating_add(round(self.next_sample()));
        }
    }
}

pub(crate) fn round(value: f64) -> i16 {
    value.round() as i16 // saturates
}

/// Up to four sines at once.
#[derive(Debug, Clone)]
pub struct MultiTone {
    tones: [Option<Tone>; 4],
}

impl MultiTone {
    /// The first four of `freqs_hz`, each at `level_dbfs`.
    pub fn new(freqs_hz: &[f64], level_dbfs: f64, rate: u32) -> Self {
        let mut freqs = freqs_hz.iter();
        Self { tones: std::array::from_fn(|_| freqs.next().map(|&f| Tone::new(f, level_dbfs, rate))) }
    }

    /// The next sample, before rounding.
    pub fn next_sample(&mut self) -> f64 {
        self.tones.iter_mut().flatten().map(Tone::next_sample).sum()
    }

    /// Fills a frame, saturating.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = round(self.next_sample());
        }
    }
}

/// Names of the built-in beeps: one tone, or two with a short pause.
pub const BEEPS: [&str; 2] = ["beep:1", "beep:2"];

/// The built-in sound of this name as 8 kHz samples, `None` if there is no such name.
///
/// `beep:1` is 200 ms of 880 Hz; `beep:2` is 120 ms of 880 Hz, 60 ms of silence, 160 ms of 1 174.7 Hz. Both at −14 dBFS, each
/// tone with raised-cosine ramps of 20 ms.
pub fn beep(name: &str) -> Option<Vec<i16>> {
    let parts: &[(f64, usize)] = match name {
        "beep:1" => &[(880.0, 200)],
        "beep:2" => &[(880.0, 120), (0.0, 60), (1_174.7, 160)],
        _ => return None,
    };
    let mut samples = Vec::new();
    for &(freq, ms) in parts {
        let mut tone = Tone::new(freq, -14.0, 8_000);
        let len = ms * 8;
        samples.extend((0..len).map(|i| round(tone.next_sample() * ramp(i, len, 160))));
    }
    Some(samples)
}

/// A raised-cosine gain that opens over the first `edge` of `len` samples and closes over the last.
pub(crate) fn ramp(index: usize, len: usize, edge: usize) -> f64 {
    let from_edge = index.min(len.saturating_sub(1 + index));
    if from_edge >= edge { 1.0 } else { 0.5 - 0.5 * (TAU * 0.5 * (from_edge as f64 + 0.5) / edge as f64).cos() }
}

/// Ringback tone with its cadence, from the start of the first ring, without end.
#[derive(Debug, Clone)]
pub struct Ringback {
    tones: MultiTone,
    on: u32,
    period: u32,
    edge: u32,
    at: u32,
}

impl Ringback {
    /// North America: 440 + 480 Hz at −19 dBFS each, 2 s on, 4 s off.
    pub fn us(rate: u32) -> Self {
        Self::cadence(MultiTone::new(&[440.0, 480.0], -19.0, rate), rate, 2, 6)
    }

    /// Europe (ETSI): 425 Hz at −16 dBFS, 1 s on, 4 s off.
    pub fn european(rate: u32) -> Self {
        Self::cadence(MultiTone::new(&[425.0], -16.0, rate), rate, 1, 5)
    }

    fn cadence(tones: MultiTone, rate: u32, on_s: u32, period_s: u32) -> Self {
        let rate = rate.max(1_000);
        Self { tones, on: on_s * rate, period: period_s * rate, edge: rate / 200, at: 0 }
    }

    /// Fills a frame and moves on.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = if self.at < self.on {
                round(self.tones.next_sample() * ramp(self.at as usize, self.on as usize, self.edge as usize))
            } else {
                0
            };
            self.at = (self.at + 1) % self.period;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn full_scale_is_zero_dbfs_and_does_not_clip() {
        let mut frame = [0i16; 8_000];
        Tone::new(1_000.0, 0.0, 8_000).fill(&mut frame);
        assert_eq!(frame.iter().max(), Some(&32_767));
        assert_eq!(frame.iter().min(), Some(&-32_767));
        assert!(crate::level::rms_dbfs(&frame).abs() < 0.01);
    }

    #[test]
    fn a_tone_has_not_drifted_after_a_simulated_day() {
        let mut tone = Tone::new(441.7, -6.0, 8_000);
        let first = tone.clone().next_sample();
        // 10 s hold a whole number of periods of any frequency in steps of 0.1 Hz.
        for _ in 0..80_000 * 30 {
            tone.next_sample();
        }
        assert_eq!(tone.next_sample(), first);
    }

    #[test]
    fn beeps_start_and_end_without_a_click_and_stay_below_minus_13_dbfs() {
        for name in BEEPS {
            let samples = beep(name).expect(name);
            assert!(samples[0].abs() < 50 && samples[samples.len() - 1].abs() < 50);
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            assert!((6_000..7_400).contains(&peak), "{name} {peak}");
            let step = samples.windows(2).map(|w| (w[1] as i32 - w[0] as i32).abs()).max().unwrap_or(0);
            assert!(step < 6_600, "{name} {step}");
        }
        assert_eq!(beep("beep:3"), None);
    }

    #[test]
    fn ringback_keeps_its_cadence() {
        let mut ring = Ringback::us(8_000);
        let mut samples = vec![0i16; 8_000 * 12];
        for frame in samples.chunks_mut(160) {
            ring.fill(frame);
        }
        for (second, chunk) in samples.chunks(8_000).enumerate() {
            let rings = second % 6 < 2;
            assert_eq!(chunk.iter().any(|&s| s != 0), rings, "second {second}");
        }
    }

    proptest! {
        #[test]
        fn frames_of_any_length_join_to_the_same_sine(cuts in prop::collection::vec(1usize..500, 1..20)) {
            let total: usize = cuts.iter().sum();
            let mut whole = vec![0i16; total];
            Tone::new(697.0, -10.0, 8_000).fill(&mut whole);
            let mut tone = Tone::new(697.0, -10.0, 8_000);
            let mut joined = Vec::new();
            for cut in cuts {
                let mut part = vec![0i16; cut];
                tone.fill(&mut part);
                joined.extend(part);
            }
            prop_assert_eq!(whole, joined);
        }
    }
}

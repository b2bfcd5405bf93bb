//! Microphone files, and what is in the samples that a tab received.

use std::f64::consts::TAU;
use std::path::Path;

/// Hz of microphone files and of what tabs receive.
pub const RATE: u32 = 48_000;
/// Samples of 20 ms.
const FRAME: usize = 960;

/// What a tab's microphone gives, for ever.
#[derive(Clone, Debug)]
pub enum Microphone {
    /// Digital silence.
    Silence,
    /// A sine at −20 dBFS. Its frequency should be a multiple of 50 Hz: then a frame of 20 ms holds whole periods.
    Tone(u32),
    /// These samples at 48 kHz, again and again.
    Samples(Vec<i16>),
}

impl Microphone {
    pub(super) fn file(&self, path: &Path) -> String {
        let samples = match self {
            Self::Silence => vec![0; RATE as usize],
            Self::Tone(freq) => {
                let sample = |at: u32| {
                    let phase = TAU * f64::from(*freq) * f64::from(at) / f64::from(RATE);
                    (phase.sin() * 3_276.7).round() as i16
                };
                (0..RATE * 10).map(sample).collect()
            }
            Self::Samples(samples) => samples.clone(),
        };
        if let Err(error) = std::fs::write(path, wav(&samples)) {
            panic!("{} cannot be written: {error}", path.display());
        }
        path.display().to_string()
    }
}

/// A WAV file: 48 kHz, mono, 16 bits.
fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes = samples.len() as u32 * 2;
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * 2).to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

/// Samples that a tab received.
#[derive(Clone, Debug)]
pub struct Heard {
    samples: Vec<i16>,
}

impl Heard {
    /// These samples, 48 kHz mono.
    pub fn of(samples: Vec<i16>) -> Self {
        Self { samples }
    }

    /// The samples.
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    pub(super) fn keep(&mut self, count: usize) {
        self.samples.truncate(count);
    }

    /// Level of a tone in each whole 20 ms, dBFS (a full-scale sine is 0).
    pub fn levels(&self, freq: u32) -> Vec<f64> {
        self.samples.chunks_exact(FRAME).map(|frame| level(frame, freq)).collect()
    }

    /// The median of these.
    pub fn median(&self, freq: u32) -> f64 {
        let mut levels = self.levels(freq);
        levels.sort_by(f64::total_cmp);
        levels.get(levels.len() / 2).copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// The loudest of these.
    pub fn loudest(&self, freq: u32) -> f64 {
        self.levels(freq).into_iter().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Level of a tone in a frame, dBFS, through a Hann window: its neighbours are not part of it.
fn level(frame: &[i16], freq: u32) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in frame.iter().enumerate() {
        let window = 1.0 - (TAU * (at as f64 + 0.5) / frame.len() as f64).cos();
        let phase = TAU * f64::from(freq) * at as f64 / f64::from(RATE);
        let value = f64::from(*sample) / 32_767.0 * window;
        re += value * phase.cos();
        im -= value * phase.sin();
    }
    20.0 * (2.0 * re.hypot(im) / frame.len() as f64).max(1e-9).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_measured_at_its_level_and_others_are_not_in_it() {
        let sample = |at: u32| ((TAU * 1_000.0 * f64::from(at) / f64::from(RATE)).sin() * 3_276.7).round() as i16;
        let heard = Heard::of((0..9_600).map(sample).collect());
        assert!((heard.median(1_000) + 20.0).abs() < 0.1, "{}", heard.median(1_000));
        assert!(heard.loudest(1_400) < -85.0, "{}", heard.loudest(1_400));
    }
}

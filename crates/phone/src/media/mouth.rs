//! What a line says.

use std::path::Path;
use std::sync::Arc;

use crate::analysis::on_grid;
use crate::codec::{Codec, FRAME, RATE};

/// What a line says, from a frame boundary on.
#[derive(Debug, Clone)]
pub enum Mouth {
    /// No packets at all.
    Off,
    /// Packets of the codec's silence word.
    Silence,
    /// One sine.
    Tone {
        /// Hz.
        freq: u32,
        /// Level; 0 is a full-scale sine.
        dbfs: f64,
    },
    /// Several sines at once: (Hz, dBFS) each.
    Tones(Vec<(u32, f64)>),
    /// Samples at 8 kHz; silence after the last one unless repeated.
    Pcm {
        /// The samples.
        samples: Arc<[i16]>,
        /// Begin again at the end.
        repeat: bool,
    },
}

impl Mouth {
    /// A WAV file (16-bit PCM, any rate, channels mixed) as [`Mouth::Pcm`].
    pub fn wav(path: &Path, repeat: bool) -> std::io::Result<Self> {
        let samples = crate::voice::wav_to_8k(&std::fs::read(path)?)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{}: {e}", path.display())))?;
        Ok(Self::Pcm { samples: samples.into(), repeat })
    }
}

/// A mouth compiled for a codec.
#[derive(Debug)]
pub(super) enum Speech {
    Off,
    /// The same payload every frame: silence, or tones on the grid.
    Constant(Vec<u8>),
    Sines {
        parts: Vec<(u32, f64)>,
        at: u64,
    },
    Pcm {
        samples: Arc<[i16]>,
        at: usize,
        repeat: bool,
    },
}

impl Speech {
    pub(super) fn new(mouth: &Mouth, codec: Codec) -> Self {
        let tones = |parts: Vec<(u32, f64)>| {
            if parts.iter().all(|&(f, _)| on_grid(f, FRAME)) {
                Self::Constant(codec.encode(&sines(&parts, 0)))
            } else {
                Self::Sines { parts, at: 0 }
            }
        };
        match mouth {
            Mouth::Off => Self::Off,
            Mouth::Silence => Self::Constant(vec![codec.silence_word(); FRAME * codec.bytes_per_sample()]),
            Mouth::Tone { freq, dbfs } => tones(vec![(*freq, *dbfs)]),
            Mouth::Tones(parts) => tones(parts.clone()),
            Mouth::Pcm { samples, repeat } => Self::Pcm { samples: Arc::clone(samples), at: 0, repeat: *repeat },
        }
    }

    /// The next 20 ms, or `None` to send nothing.
    pub(super) fn frame(&mut self, codec: Codec) -> Option<Vec<u8>> {
        match self {
            Self::Off => None,
            Self::Constant(payload) => Some(payload.clone()),
            Self::Sines { parts, at } => {
                let frame = sines(parts, *at);
                *at += FRAME as u64;
                Some(codec.encode(&frame))
            }
            Self::Pcm { samples, at, repeat } => {
                let mut frame = [0i16; FRAME];
                let mut spoke = false;
                for slot in &mut frame {
                    if *at >= samples.len() && *repeat {
                        *at = 0;
                    }
                    if let Some(&s) = samples.get(*at) {
                        (*slot, spoke) = (s, true);
                        *at += 1;
                    }
                }
                // A-law has no zero: its silence word is not what zero samples after the end must become by accident of rounding.
                Some(if spoke {
                    codec.encode(&frame)
                } else {
                    vec![codec.silence_word(); FRAME * codec.bytes_per_sample()]
                })
            }
        }
    }
}

fn sines(parts: &[(u32, f64)], at: u64) -> Vec<i16> {
    (0..FRAME as u64)
        .map(|i| {
            // Whole periods are taken off first so that precision does not fade over hours.
            let sum: f64 = parts
                .iter()
                .map(|&(f, dbfs)| {
                    let cycles = (u64::from(f) * ((at + i) % u64::from(RATE))) % u64::from(RATE);
                    32_767.0 * 10f64.powf(dbfs / 20.0) * (std::f64::consts::TAU * cycles as f64 / f64::from(RATE)).sin()
                })
                .sum();
            sum.round().clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::level_dbfs;

    fn second(mouth: &Mouth) -> Vec<i16> {
        let mut s = Speech::new(mouth, Codec::L16);
        (0..50).flat_map(|_| Codec::L16.decode(&s.frame(Codec::L16).unwrap())).collect()
    }

    #[test]
    fn tones_on_and_off_the_20_ms_grid_run_without_a_seam() {
        for freq in [1200u32, 1234] {
            let s = second(&Mouth::Tone { freq, dbfs: -10.0 });
            assert!((level_dbfs(&s, freq) + 10.0).abs() < 0.05);
            // A seam at frame boundaries would show at multiples of 50 Hz around the tone.
            assert!(level_dbfs(&s, freq + 50) < -80.0);
        }
    }

    #[test]
    fn pcm_repeats_or_ends_in_silence() {
        let samples: Arc<[i16]> = vec![1000i16; 100].into();
        assert!(second(&Mouth::Pcm { samples: Arc::clone(&samples), repeat: true }).iter().all(|&s| s == 1000));
        let once = second(&Mouth::Pcm { samples, repeat: false });
        assert!(once[..100].iter().all(|&s| s == 1000) && once[100..].iter().all(|&s| s == 0));
    }
}

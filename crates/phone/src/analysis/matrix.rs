//! Who hears whom, measured: one verdict per pair of ear and tone.

use std::fmt;
use std::time::{Duration, Instant};

use super::stream::{StreamError, Track};
use super::tones::{SILENT_1S_DBFS, SILENT_20MS_DBFS, levels_1s, levels_20ms};
use crate::rtp::Packet;

/// One ear: a name and what it received.
#[derive(Debug, Clone, Copy)]
pub struct Ears<'a> {
    /// Whose.
    pub name: &'a str,
    /// Packets in arrival order.
    pub packets: &'a [Packet],
}

/// One mouth: a name and the tone it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker<'a> {
    /// Whose.
    pub name: &'a str,
    /// Hz, on the 50 Hz grid.
    pub freq: u32,
}

/// The judgement of one pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Heard all the time, at this median level (dBFS).
    Heard {
        /// Median of 20 ms windows.
        level: f64,
    },
    /// Below −45 dBFS in every 20 ms window and below −65 dBFS in every second.
    Silent {
        /// Loudest 20 ms window.
        below: f64,
    },
    /// Heard in some windows only: a leak if it should be silent, a gap if it should be heard.
    Partly {
        /// Quietest 20 ms window.
        min: f64,
        /// Loudest 20 ms window.
        max: f64,
        /// Loudest one-second window (−140 if the span is shorter).
        max_1s: f64,
    },
}

impl Verdict {
    /// Is it [`Verdict::Heard`]?
    pub fn is_heard(&self) -> bool {
        matches!(self, Self::Heard { .. })
    }

    /// Is it [`Verdict::Silent`]?
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Heard { level } => format!("{level:.1} dBFS"),
            Self::Silent { .. } => "silent".to_owned(),
            Self::Partly { min, max, .. } => format!("partly {min:.0}…{max:.0}"),
        };
        f.pad(&text)
    }
}

/// One measured pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The ear.
    pub listener: String,
    /// The mouth.
    pub speaker: String,
    /// Its tone, Hz.
    pub freq: u32,
    /// The judgement.
    pub verdict: Verdict,
}

/// What should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expect {
    /// Heard at any level above −45 dBFS.
    Heard,
    /// Heard at this level ± tolerance, dB.
    HeardAt {
        /// dBFS.
        level: f64,
        /// dB.
        tolerance: f64,
    },
    /// Silent.
    Silent,
}

/// A pair that is not as it should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{listener} ← {speaker}: expected {expected:?}, measured {measured:?}")]
pub struct Mismatch {
    /// The ear.
    pub listener: String,
    /// The mouth.
    pub speaker: String,
    /// What should be.
    pub expected: Expect,
    /// What is (`None`: the pair was not measured).
    pub measured: Option<Verdict>,
}

/// All pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct HearingMatrix {
    /// One cell per ear and tone, ears first.
    pub cells: Vec<Cell>,
}

impl HearingMatrix {
    /// The verdict of one pair.
    pub fn verdict(&self, listener: &str, speaker: &str) -> Option<Verdict> {
        self.cells.iter().find(|c| c.listener == listener && c.speaker == speaker).map(|c| c.verdict)
    }

    /// Compares with what should be: (listener, speaker, expectation). All mismatches are returned.
    pub fn check(&self, expected: &[(&str, &str, Expect)]) -> Result<(), Vec<Mismatch>> {
        let wrong: Vec<_> = expected
            .iter()
            .filter_map(|&(listener, speaker, expected)| {
                let measured = self.verdict(listener, speaker);
                let right = match (expected, measured) {
                    (Expect::Heard, Some(v)) => v.is_heard(),
                    (Expect::HeardAt { level, tolerance }, Some(Verdict::Heard { level: l })) => {
                        (l - level).abs() <= tolerance
                    }
                    (Expect::Silent, Some(v)) => v.is_silent(),
                    _ => false,
                };
                (!right).then(|| Mismatch { listener: listener.into(), speaker: speaker.into(), expected, measured })
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl fmt::Display for HearingMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut speakers: Vec<(&str, u32)> = Vec::new();
        let mut listeners: Vec<&str> = Vec::new();
        for c in &self.cells {
            if !speakers.contains(&(c.speaker.as_str(), c.freq)) {
                speakers.push((&c.speaker, c.freq));
            }
            if !listeners.contains(&c.listener.as_str()) {
                listeners.push(&c.listener);
            }
        }
        write!(f, "{:<14}", "hears →")?;
        for (name, freq) in &speakers {
            write!(f, " {:>18}", format!("{name} ({freq} Hz)"))?;
        }
        for l in listeners {
            write!(f, "\n{l:<14}")?;
            for (s, _) in &speakers {
                match self.verdict(l, s) {
                    Some(v) => write!(f, " {v:>18}")?,
                    None => write!(f, " {:>18}", "–")?,
                }
            }
        }
        Ok(())
    }
}

/// Why there is no matrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// An ear's stream is broken.
    #[error("{name}: {source}; measure between other instants or look for packet loss")]
    Stream {
        /// Whose ear.
        name: String,
        /// How.
        source: StreamError,
    },
    /// After the guard nothing is left, or less than one window.
    #[error("{name}: {packets} packets between the two instants after the guard; at least 2 are needed")]
    TooShort {
        /// Whose ear.
        name: String,
        /// Packets found.
        packets: usize,
    },
}

/// Measures every ear against every tone, over packets that arrived from `from + guard` until `to`. Speakers must say their tone during the
/// whole span; a phone's own tone in its own ear is measured like any other. Lost packets are an error: loopback loses none.
pub fn matrix(
    ears: &[Ears<'_>],
    speakers: &[Speaker<'_>],
    from: Instant,
    to: Instant,
    guard: Duration,
) -> Result<HearingMatrix, MatrixError> {
    let from = from + guard;
    let mut cells = Vec::with_capacity(ears.len() * speakers.len());
    for ear in ears {
        let begin = ear.packets.partition_point(|p| p.at < from);
        let end = ear.packets.partition_point(|p| p.at < to).max(begin);
        let span = ear.packets.get(begin..end).unwrap_or_default();
        if span.len() < 2 {
            return Err(MatrixError::TooShort { name: ear.name.into(), packets: span.len() });
        }
        let track = Track::complete(span).map_err(|source| MatrixError::Stream { name: ear.name.into(), source })?;
        for s in speakers {
            let verdict = judge(&track.samples, s.freq);
            cells.push(Cell { listener: ear.name.into(), speaker: s.name.into(), freq: s.freq, verdict });
        }
    }
    Ok(HearingMatrix { cells })
}

fn judge(samples: &[i16], freq: u32) -> Verdict {
    let short = levels_20ms(samples, freq);
    let (min, max, max_1s) = (short.min(), short.max(), levels_1s(samples, freq).max());
    if max < SILENT_20MS_DBFS && max_1s < SILENT_1S_DBFS {
        Verdict::Silent { below: max }
    } else if min >= SILENT_20MS_DBFS {
        Verdict::Heard { level: short.median() }
    } else {
        Verdict::Partly { min, max, max_1s }
    }
}

//! What an ear heard, as a score: which tone, how long, how loud, one after another.

use std::fmt;

use phone::analysis::{Track, exact_silence, level_dbfs, levels_20ms, rms_dbfs};
use phone::{Call, Content, Packet};

/// Level of every tone of these tests, dBFS.
pub const LEVEL: f64 = -20.0;
/// How far from it a file's tone may be heard, dB.
const TOLERANCE: f64 = 1.0;
/// A tone counts as heard from this level on, dBFS.
const HEARD: f64 = -32.0;
/// Half a window: what an edge may be wrong by, several times over.
const EDGE_MS: u64 = 40;
/// What fetching a sound may take on a busy machine before it is heard.
const FETCH_MS: u64 = 2_500;
/// Samples of 10 ms.
const STEP: usize = 80;

/// A stretch of one tone, or of none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// Hz; `None`: nothing.
    pub tone: Option<u32>,
    /// How long.
    pub ms: u64,
    /// Its level, dBFS.
    pub level: f64,
}

/// What should be heard next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// This tone for so long, ms.
    Tone(u32, u64),
    /// A tone that goes on to the end of the recording, for so long at least, ms.
    On(u32, u64),
    /// Nothing for so long, ms; longer by what fetching the next sound takes, and shorter by a tenth at most: a server that was starved skips
    /// ticks, and a recording has no samples of those at a pause's edges.
    Pause(u64),
}

/// What one ear heard.
#[derive(Debug, Clone)]
pub struct Score {
    notes: Vec<Note>,
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            match note.tone {
                Some(tone) => writeln!(f, "  {tone} Hz {} ms at {:.1} dBFS", note.ms, note.level)?,
                None => writeln!(f, "  nothing {} ms (at most {:.1} dBFS)", note.ms, note.level)?,
            }
        }
        Ok(())
    }
}

/// All samples that a call has received. Ticks that a starved server skipped in a pause are silence here, so that the pause is as long as it
/// was; a sound goes on where it was, so nothing of it is missing.
///
/// # Panics
/// If packets are missing.
pub fn recording(call: &Call) -> Vec<i16> {
    let packets = call.ear().packets();
    let track = match Track::complete(&packets) {
        Ok(track) => track,
        Err(error) => panic!("no whole recording: {error}"),
    };
    let audio: Vec<&Packet> = packets.iter().filter(|packet| matches!(packet.content, Content::Audio(_))).collect();
    let in_order = audio.windows(2).all(|two| two[1].header.sequence.wrapping_sub(two[0].header.sequence) < 0x8000);
    if !in_order || audio.len() != track.frames.len() {
        return track.samples;
    }
    let mut samples = Vec::with_capacity(track.samples.len());
    let mut before: Option<(&Packet, usize)> = None;
    for (packet, (from, count, _)) in audio.into_iter().zip(track.frames) {
        if let Some((before, long)) = before.filter(|(before, _)| before.header.ssrc == packet.header.ssrc)
            && [before, packet].into_iter().all(|one| exact_silence(std::slice::from_ref(one)).is_ok())
        {
            let apart = packet.header.timestamp.wrapping_sub(before.header.timestamp) as usize;
            samples.resize(samples.len() + apart.saturating_sub(long), 0);
        }
        samples.extend_from_slice(&track.samples[from..from + count]);
        before = Some((packet, count));
    }
    samples
}

impl Score {
    /// Of everything that a call has received, over these tones.
    pub fn of(call: &Call, tones: &[u32]) -> Self {
        Self::read(&recording(call), tones)
    }

    /// Of samples.
    pub fn read(samples: &[i16], tones: &[u32]) -> Self {
        let levels: Vec<(u32, Vec<f64>)> =
            tones.iter().map(|tone| (*tone, levels_20ms(samples, *tone).levels)).collect();
        let steps = levels.first().map_or(0, |(_, levels)| levels.len());
        let mut notes: Vec<(Option<u32>, usize, usize)> = Vec::new();
        for step in 0..steps {
            let loudest = levels
                .iter()
                .filter_map(|(tone, levels)| Some((*tone, *levels.get(step)?)))
                .filter(|(_, level)| *level >= HEARD)
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .map(|(tone, _)| tone);
            match notes.last_mut() {
                Some((tone, _, end)) if *tone == loudest => *end = step + 1,
                _ => notes.push((loudest, step, step + 1)),
            }
        }
        let notes = notes.into_iter().map(|(tone, from, to)| {
            let inside = samples.get(from * STEP..((to + 1) * STEP).min(samples.len())).unwrap_or(&[]);
            let middle = inside.get(2 * STEP..inside.len().saturating_sub(2 * STEP)).unwrap_or(&[]);
            let level = match tone {
                Some(tone) => levels_20ms(middle, tone).median(),
                None => middle.chunks(2 * STEP).map(rms_dbfs).fold(f64::MIN, f64::max),
            };
            Note { tone, ms: (to - from) as u64 * 10, level }
        });
        Self { notes: notes.collect() }
    }

    /// The stretches.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How long a tone was heard in all, ms.
    pub fn total(&self, tone: u32) -> u64 {
        self.notes.iter().filter(|note| note.tone == Some(tone)).map(|note| note.ms).sum()
    }

    /// That exactly this was heard, in this order, tones at their level and pauses silent. What was silent before the first
    /// and after the last wanted tone does not count, unless it is wanted.
    ///
    /// # Panics
    /// If it was otherwise.
    pub fn is(&self, what: &str, wanted: &[Want]) {
        let mut heard = self.notes.as_slice();
        if !matches!(wanted.first(), Some(Want::Pause(_)))
            && let [Note { tone: None, .. }, rest @ ..] = heard
        {
            heard = rest;
        }
        if !matches!(wanted.last(), Some(Want::Pause(_)))
            && let [rest @ .., Note { tone: None, .. }] = heard
        {
            heard = rest;
        }
        assert_eq!(heard.len(), wanted.len(), "{what}: {wanted:?} was wanted, this was heard:\n{self}");
        for (note, want) in heard.iter().zip(wanted) {
            let fits = match *want {
                Want::Tone(tone, ms) => {
                    note.tone == Some(tone) && note.ms.abs_diff(ms) <= EDGE_MS && is_level(note.level)
                }
                Want::On(tone, ms) => note.tone == Some(tone) && note.ms >= ms && is_level(note.level),
                Want::Pause(ms) => {
                    note.tone.is_none()
                        && ((ms - ms / 10).saturating_sub(EDGE_MS)..=ms + FETCH_MS).contains(&note.ms)
                        && note.level < -60.0
                }
            };
            assert!(fits, "{what}: {want:?} was wanted; this was heard:\n{self}");
        }
    }
}

fn is_level(level: f64) -> bool {
    (level - LEVEL).abs() <= TOLERANCE
}

/// Samples of a WAV or any sound must be heard as they are: how alike two recordings are at their best offset, −1 to 1.
pub fn likeness(heard: &[i16], expected: &[i16]) -> f64 {
    let energy = |samples: &[i16]| samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>();
    let begins = |samples: &[i16]| samples.iter().position(|s| s.unsigned_abs() > 200).unwrap_or(0);
    let (start, first) = (begins(heard), begins(expected));
    let expected = expected.get(first..).unwrap_or(&[]);
    let mut best = f64::MIN;
    for shift in 0..=400 {
        let from = (start + shift).saturating_sub(200);
        let part = heard.get(from..(from + expected.len()).min(heard.len())).unwrap_or(&[]);
        let dot: f64 = part.iter().zip(expected).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        best = best.max(dot / (energy(part) * energy(expected)).sqrt().max(1.0));
    }
    best
}

/// Stretches of sound of any kind, as (ms from the beginning, ms long); what is silent for less than `join_ms` is part of one.
pub fn bursts(samples: &[i16], join_ms: u64) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for (index, frame) in samples.chunks(STEP).enumerate() {
        if rms_dbfs(frame) < -45.0 {
            continue;
        }
        let at = index as u64 * 10;
        match found.last_mut() {
            Some((from, ms)) if at <= *from + *ms + join_ms => *ms = at + 10 - *from,
            _ => found.push((at, 10)),
        }
    }
    found
}

/// A WAV file of one tone at [`LEVEL`], 16 bits.
pub fn wav(rate: u32, channels: u16, tone: u32, ms: u64) -> Vec<u8> {
    let peak = 32_767.0 * 10f64.powf(LEVEL / 20.0);
    let count = u64::from(rate) * ms / 1_000;
    let samples: Vec<i16> = (0..count)
        .flat_map(|index| {
            let turn = std::f64::consts::TAU * f64::from(tone) * index as f64 / f64::from(rate);
            vec![(peak * turn.sin()).round() as i16; usize::from(channels)]
        })
        .collect();
    audio::wav::write_interleaved(&samples, rate, channels)
}

#[test]
fn a_score_is_read_from_samples() {
    let mut samples = vec![0; 4_000];
    for (rate, tone) in [(8_000, 600), (8_000, 900)] {
        let file = wav(rate, 1, tone, 500);
        samples.extend(audio::wav::read(&file).unwrap().samples);
        samples.extend([0; 1_600]);
    }
    let score = Score::read(&samples, &[600, 900]);
    score.is("a score", &[Want::Tone(600, 500), Want::Pause(200), Want::Tone(900, 500)]);
    for wrong in [
        vec![Want::Tone(600, 500), Want::Tone(900, 500)],
        vec![Want::Tone(600, 300), Want::Pause(200), Want::Tone(900, 500)],
        vec![Want::Tone(900, 500), Want::Pause(200), Want::Tone(600, 500)],
        vec![Want::Tone(600, 500), Want::Pause(400), Want::Tone(900, 500)],
    ] {
        assert!(std::panic::catch_unwind(|| score.is("a wrong one", &wrong)).is_err(), "{wrong:?}");
    }
    assert!(level_dbfs(&samples[4_800..6_400], 600) > -21.0);
    assert_eq!(bursts(&samples, 50).len(), 2);
    assert_eq!(bursts(&samples, 300).len(), 1);
    let (one, other) = (&samples[4_000..8_000], &samples[9_600..13_600]);
    assert!(likeness(&samples, one) > 0.99 && likeness(one, other) < 0.1);
}

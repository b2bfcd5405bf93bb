//! Recorded human speech: prompts of Debian's `asterisk-core-sounds-*-g722` packages, put together to sentences of 6 to 8 s.
//!
//! `bench/quality/run --speech` fetches them. Each folder of prompts is one voice.

use std::path::{Path, PathBuf};

use audio::G722Decoder;
use serde::Serialize;

use crate::dice::Dice;
use crate::failure::{Failure, Result, Tried};

/// Hz of prompts and sentences.
pub const RATE: usize = 16_000;
/// Where the packages put prompts, in the folder they are unpacked to.
const SOUNDS: &str = "usr/share/asterisk/sounds";
/// Lengths of prompts that are taken: 1.2 to 5.5 s (8 000 bytes are a second). Shorter ones are words, longer ones lists and jokes.
const PROMPT_BYTES: std::ops::RangeInclusive<u64> = 9_600..=44_000;
const LEAST: usize = 6 * RATE;
const MOST: usize = 8 * RATE;
/// Prompts that are tried to complete a sentence before another is begun.
const TRIES: usize = 40;
/// Between two prompts of a sentence.
const PAUSE: usize = RATE / 4;
/// 5 ms quieter than this are no speech, dBFS.
const SPEECH_DBFS: f32 = -45.0;
/// Level of the speech in a sentence, dBFS (a full-scale sine is 0): 26 dB below the overload point, as P.830 has it.
const LEVEL_DBFS: f32 = -23.0;

/// A sentence of one voice.
#[derive(Clone, Debug)]
pub struct Sentence {
    /// The folder its prompts come from, which names language, sex and speaker.
    pub voice: String,
    /// File names of its prompts.
    pub prompts: Vec<String>,
    /// Samples at [`RATE`].
    pub samples: Vec<i16>,
}

/// One voice with its prompts in a shuffled order.
pub struct Voice {
    name: String,
    prompts: Vec<PathBuf>,
    next: usize,
}

/// The voices in a folder that the packages were unpacked to, in alphabetical order.
///
/// # Errors
/// There are none.
pub fn voices(folder: &Path, seed: u64) -> Result<Vec<Voice>> {
    let sounds = folder.join(SOUNDS);
    let what = format!("reading {} (bench/quality/run --speech fetches it)", sounds.display());
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&sounds).tried(&what)?.flatten().map(|e| e.path()).collect();
    folders.sort();
    let mut voices = Vec::new();
    for folder in folders {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut prompts: Vec<PathBuf> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .filter(|p| speaks(p))
            .collect();
        prompts.sort();
        let mut dice = Dice::new(seed ^ name.bytes().fold(7, |sum, b| sum * 31 + u64::from(b)));
        for at in (1..prompts.len()).rev() {
            prompts.swap(at, dice.below(at + 1));
        }
        if prompts.len() >= 4 {
            voices.push(Voice { name, prompts, next: 0 });
        }
    }
    if voices.len() < 3 {
        return Err(Failure::Machine(format!("{} has no three voices; {what}", sounds.display())));
    }
    Ok(voices)
}

fn speaks(path: &Path) -> bool {
    let bytes = path.metadata().map_or(0, |data| data.len());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let noise = ["beep", "tone", "monkeys"].iter().any(|word| name.contains(word));
    name.ends_with(".g722") && PROMPT_BYTES.contains(&bytes) && !noise
}

impl Voice {
    /// The next sentence; prompts come again when all were said.
    ///
    /// # Errors
    /// A prompt cannot be read.
    pub fn sentence(&mut self) -> Result<Sentence> {
        let mut sentence = Sentence { voice: self.name.clone(), prompts: Vec::new(), samples: Vec::new() };
        let mut tries = 0;
        for _ in 0..self.prompts.len() * 2 {
            let path = &self.prompts[self.next % self.prompts.len()];
            self.next += 1;
            let prompt = level(spoken(decode(path)?));
            let pause = if sentence.samples.is_empty() { 0 } else { PAUSE };
            if sentence.samples.len() + pause + prompt.len() > MOST {
                tries += 1;
                if tries == TRIES {
                    tries = 0;
                    sentence.samples.clear();
                    sentence.prompts.clear();
                }
                continue;
            }
            sentence.samples.resize(sentence.samples.len() + pause, 0);
            sentence.samples.extend(prompt);
            sentence.prompts.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            if sentence.samples.len() >= LEAST {
                return Ok(sentence);
            }
        }
        Err(Failure::Machine(format!("the prompts of {} make no sentence of 6 to 8 s", self.name)))
    }
}

fn decode(path: &Path) -> Result<Vec<i16>> {
    let bytes = std::fs::read(path).tried(&path.display().to_string())?;
    let mut samples = vec![0; bytes.len() * 2];
    let count = G722Decoder::new().decode(&bytes, &mut samples);
    samples.truncate(count);
    Ok(samples)
}

/// Blocks of 5 ms that are speech.
fn speech(samples: &[i16]) -> impl DoubleEndedIterator<Item = (usize, &[i16])> {
    let block = RATE / 200;
    let blocks: Vec<&[i16]> = samples.chunks(block).collect();
    let loud = move |samples: &&[i16]| audio::level::rms_dbfs(samples) > SPEECH_DBFS;
    blocks.into_iter().enumerate().filter(move |(_, samples)| loud(samples)).map(move |(at, s)| (at * block, s))
}

/// Without the silence before and after, but for 30 ms.
fn spoken(samples: Vec<i16>) -> Vec<i16> {
    let margin = RATE * 30 / 1_000;
    let first = speech(&samples).next().map_or(0, |(at, _)| at.saturating_sub(margin));
    let last = speech(&samples).next_back().map_or(0, |(at, _)| (at + margin).min(samples.len()));
    samples.get(first..last.max(first)).unwrap_or_default().to_vec()
}

/// At the usual level.
fn level(mut samples: Vec<i16>) -> Vec<i16> {
    let (mut power, mut count) = (0.0f64, 0usize);
    for (_, block) in speech(&samples) {
        power += block.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
        count += block.len();
    }
    if count > 0 && power > 0.0 {
        let wanted = 32_767.0 / 2f64.sqrt() * 10f64.powf(f64::from(LEVEL_DBFS) / 20.0);
        let gain = wanted / (power / count as f64).sqrt();
        for sample in &mut samples {
            *sample = (f64::from(*sample) * gain).round().clamp(-32_768.0, 32_767.0) as i16;
        }
    }
    samples
}

/// What is written beside the files.
#[derive(Serialize)]
struct Written {
    voice: String,
    prompts: Vec<String>,
    file: String,
    seconds: f64,
    /// Where it begins in the microphone's file.
    start_s: f64,
}

/// Silence in the microphone's file before the first sentence, and after each, s.
const LEAD: usize = 2;
const GAP: usize = 1;

/// Writes `count` sentences, voices in turn, each as a 16 kHz file, all of them as a microphone's file at 48 kHz (`microphone.wav`), as much
/// silence (`silence.wav`), and a list (`sentences.json`).
///
/// # Errors
/// The prompts are not there, or the folder cannot be written.
pub fn write(prompts: &Path, out: &Path, count: usize, seed: u64) -> Result<()> {
    let mut voices = voices(prompts, seed)?;
    std::fs::create_dir_all(out).tried(&out.display().to_string())?;
    let save = |name: &str, bytes: Vec<u8>| std::fs::write(out.join(name), bytes).tried(&format!("writing {name}"));
    let mut track = vec![0i16; LEAD * RATE];
    let mut list = Vec::new();
    let places = voices.len();
    for n in 0..count {
        let Some(voice) = voices.get_mut(n % places) else { continue };
        let sentence = voice.sentence()?;
        let file = format!("{:02}-{}.wav", n, sentence.voice);
        save(&file, audio::wav::write(&sentence.samples, RATE as u32))?;
        list.push(Written {
            seconds: sentence.samples.len() as f64 / RATE as f64,
            start_s: track.len() as f64 / RATE as f64,
            voice: sentence.voice,
            prompts: sentence.prompts,
            file,
        });
        track.extend(&sentence.samples);
        track.resize(track.len() + GAP * RATE, 0);
    }
    let track = audio::resample::convert(&track, RATE as u32, 48_000);
    save("silence.wav", audio::wav::write(&vec![0; 48_000], 48_000))?;
    save("microphone.wav", audio::wav::write(&track, 48_000))?;
    let list = serde_json::to_vec_pretty(&list).map_err(|e| Failure::Machine(e.to_string()))?;
    save("sentences.json", list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_around_a_prompt_is_cut_and_its_level_set() {
        let tone = |n: usize| ((n as f64 * 0.3).sin() * 3_000.0) as i16;
        let mut samples = vec![0; RATE];
        samples.extend((0..RATE).map(tone));
        samples.resize(3 * RATE, 0);
        let kept = spoken(samples);
        assert!((RATE..RATE + RATE / 10).contains(&kept.len()), "{}", kept.len());
        let levelled = level(kept);
        let middle = audio::level::rms_dbfs(&levelled[RATE / 4..RATE / 2]);
        assert!((middle - LEVEL_DBFS).abs() < 0.3, "{middle}");
    }
}

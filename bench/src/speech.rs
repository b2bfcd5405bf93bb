//! What members say: three voices that take turns, with the level changes of speech, encoded before anything is measured.

use audio::{Codec, FRAME_8K};

/// Frames of a conversation before it starts over: 12 s.
const FRAMES: usize = 600;
/// Who talks when, in frames: customer, agent, supervisor.
const TURNS: [std::ops::Range<usize>; 3] = [0..230, 235..440, 445..590];

/// A conversation of three, in G.711 µ-law.
pub struct Conversation {
    voices: Vec<[u8; FRAME_8K]>,
}

struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / f64::from(1u32 << 23) - 1.0
    }
}

impl Conversation {
    /// The same one each time. Whoever does not talk sends the noise of his line, so that no microphone is digital silence.
    pub fn new() -> Self {
        let mut voices = Vec::with_capacity(3 * FRAMES);
        for (who, turn) in TURNS.iter().enumerate() {
            let mut noise = Noise(who as u32 + 1);
            let pitch = [118.0, 205.0, 150.0][who];
            let (mut phase, mut smooth) = (0.0f64, 0.0f64);
            for frame in 0..FRAMES {
                let mut samples = [0i16; FRAME_8K];
                for (n, sample) in samples.iter_mut().enumerate() {
                    let t = (frame * FRAME_8K + n) as f64 / 8_000.0;
                    // Syllables at about four a second, each rising and falling; words of some syllables.
                    let syllable = (std::f64::consts::PI * 4.1 * t + who as f64).sin().abs().powf(0.6);
                    let word = if (t * 1.3 + who as f64).fract() < 0.82 { 1.0 } else { 0.05 };
                    let talking = if turn.contains(&frame) { syllable * word } else { 0.0 };
                    phase = (phase + pitch * (1.0 + 0.08 * (t * 2.3).sin()) / 8_000.0).fract();
                    smooth += 0.35 * (noise.next() - smooth);
                    let voiced: f64 = (1..=9)
                        .map(|h| {
                            (std::f64::consts::TAU * phase * f64::from(h)).sin()
                                / (1.0 + (f64::from(h) - 4.0).powi(2) * 0.4)
                        })
                        .sum();
                    *sample = (talking * (voiced * 5_000.0 + smooth * 900.0) + smooth * 14.0) as i16;
                }
                let mut words = [0u8; FRAME_8K];
                Codec::Pcmu.encode(&samples, &mut words);
                voices.push(words);
            }
        }
        Self { voices }
    }

    /// The frame that a member says at a tick.
    pub fn frame(&self, member: usize, tick: usize) -> &[u8; FRAME_8K] {
        &self.voices[(member % 3) * FRAMES + tick % FRAMES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_talks_at_a_time_and_levels_change_as_in_speech() {
        let conversation = Conversation::new();
        let level = |member, tick| {
            let mut samples = [0i16; FRAME_8K];
            Codec::Pcmu.decode(conversation.frame(member, tick), &mut samples);
            f64::from(audio::level::rms_dbfs(&samples))
        };
        for (who, turn) in TURNS.iter().enumerate() {
            let own: Vec<f64> = turn.clone().map(|tick| level(who, tick)).collect();
            let loudest = own.iter().copied().fold(f64::MIN, f64::max);
            let quietest = own.iter().copied().fold(f64::MAX, f64::min);
            assert!((-25.0..-3.0).contains(&loudest), "member {who}: {loudest} dBFS");
            assert!(loudest - quietest > 15.0, "member {who}: {quietest} to {loudest} dBFS");
            for other in (0..3).filter(|other| *other != who) {
                assert!(
                    turn.clone().all(|tick| (-85.0..-55.0).contains(&level(other, tick))),
                    "{other} while {who} talks"
                );
            }
        }
    }
}

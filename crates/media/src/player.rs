//! Players: a leg's private one and those of a room. They give whole frames and know nothing of who hears them.

use crate::{PlayId, Sound};

/// Samples of a tick.
pub(crate) const FRAME: usize = audio::FRAME_8K;

/// How often a sound plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// So many times; 0 counts as 1.
    Times(u32),
    /// Until stopped.
    Forever,
}

/// Something to play.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// Repeated in the fact that tells its end.
    pub id: PlayId,
    /// What.
    pub sound: Sound,
    /// How often.
    pub repeat: Repeat,
    /// Gain in dB, held to −60 … +12.
    pub gain_db: f32,
}

impl Play {
    /// Plays `sound` once as it is.
    #[must_use]
    pub fn once(id: PlayId, sound: Sound) -> Self {
        Self { id, sound, repeat: Repeat::Times(1), gain_db: 0.0 }
    }

    /// Plays `sound` over and over as it is.
    #[must_use]
    pub fn forever(id: PlayId, sound: Sound) -> Self {
        Self { id, sound, repeat: Repeat::Forever, gain_db: 0.0 }
    }
}

/// What to do with a leg's private player.
#[derive(Clone, Debug, PartialEq)]
pub enum PlayChange {
    /// Starts, replacing what plays.
    Start(Play),
    /// Stops what plays.
    Stop,
}

/// What to do with a player of a room.
#[derive(Clone, Debug, PartialEq)]
pub enum PlayerChange {
    /// Starts, replacing what this player plays. It is heard by those whom the plan allows. `id` is not reported.
    Start(Play),
    /// Stops.
    Stop,
}

/// A sound being played.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub id: PlayId,
    sound: Sound,
    at: usize,
    /// Plays left after the present one; `None` without end.
    left: Option<u32>,
    /// Q12; 4 096 is unity.
    gain: i32,
}

impl Track {
    pub(crate) fn new(play: Play) -> Self {
        let gain_db = if play.gain_db.is_finite() { play.gain_db.clamp(-60.0, 12.0) } else { 0.0 };
        let gain = (10f32.powf(gain_db / 20.0) * 4_096.0).round() as i32;
        let left = match play.repeat {
            Repeat::Times(n) => Some(n.saturating_sub(1)),
            Repeat::Forever => None,
        };
        Self { id: play.id, sound: play.sound, at: 0, left, gain }
    }

    /// Fills a frame, with silence after the end. Whether any of it sounds.
    pub(crate) fn fill(&mut self, out: &mut [i16; FRAME]) -> bool {
        let samples = self.sound.samples();
        let mut rest = &mut out[..];
        while !rest.is_empty() {
            if self.at >= samples.len() {
                match &mut self.left {
                    _ if samples.is_empty() => break,
                    None => {}
                    Some(0) => break,
                    Some(left) => *left -= 1,
                }
                self.at = 0;
            }
            let ready = samples.get(self.at..).unwrap_or(&[]);
            let count = ready.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            for (sample, &source) in now.iter_mut().zip(ready) {
                *sample = if self.gain == 4_096 {
                    source
                } else {
                    ((i32::from(source) * self.gain) >> 12).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
                };
            }
            self.at += count;
            rest = later;
        }
        rest.fill(0);
        out.iter().any(|s| *s != 0)
    }

    /// The sound, for freeing it elsewhere.
    pub(crate) fn into_sound(self) -> Sound {
        self.sound
    }

    /// Whether all of it has been played.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.sound.samples().len() && (self.left == Some(0) || self.sound.samples().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(repeat: Repeat, gain_db: f32, samples: &[i16], count: usize) -> (Vec<i16>, bool) {
        let sound = Sound::from_samples(samples);
        let mut track = Track::new(Play { id: PlayId(1), sound, repeat, gain_db });
        let mut all = Vec::new();
        for _ in 0..count {
            let mut frame = [99; FRAME];
            track.fill(&mut frame);
            all.extend_from_slice(&frame);
        }
        (all, track.is_done())
    }

    #[test]
    fn a_sound_repeats_without_a_gap_and_ends_in_silence() {
        let samples: Vec<i16> = (1..=100).collect();
        let (all, done) = frames(Repeat::Times(3), 0.0, &samples, 2);
        assert!(done);
        assert_eq!(all[..300], samples.repeat(3)[..]);
        assert!(all[300..].iter().all(|s| *s == 0));
        let (all, done) = frames(Repeat::Forever, 0.0, &samples, 10);
        assert!(!done);
        assert_eq!(all[1_500..1_600], samples[..]);
    }

    #[test]
    fn nothing_to_play_ends_at_once_even_forever() {
        assert_eq!(frames(Repeat::Forever, 0.0, &[], 1), (vec![0; FRAME], true));
    }

    #[test]
    fn gain_scales_and_clips() {
        let (all, _) = frames(Repeat::Times(1), 6.020_6, &[1_000, 30_000], 1);
        assert_eq!(all[..2], [2_000, 32_767]);
    }
}

//! Players: a leg's private one and those of a room. They give whole frames and know nothing of who hears them.

use crate::feed::{Feed, FeedEnd};
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

/// What a player can play.
#[derive(Clone, Debug, PartialEq)]
pub enum Playable {
    /// A sound that is there whole.
    Sound(Sound),
    /// One that is made while it plays.
    Feed(Feed),
}

impl From<Sound> for Playable {
    fn from(sound: Sound) -> Self {
        Self::Sound(sound)
    }
}

impl From<Feed> for Playable {
    fn from(feed: Feed) -> Self {
        Self::Feed(feed)
    }
}

/// Something to play.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// Repeated in the fact that tells its end.
    pub id: PlayId,
    /// What.
    pub sound: Playable,
    /// How often. A feed plays once, until its writer is dropped.
    pub repeat: Repeat,
    /// Gain in dB, held to −60 … +12.
    pub gain_db: f32,
    /// Whether taps of the leg do not hear it: a whisper, or what a program itself plays. Nothing to a player of a room, which is
    /// heard as the plan says.
    pub hidden: bool,
}

impl Play {
    /// Plays `sound` once as it is.
    #[must_use]
    pub fn once(id: PlayId, sound: impl Into<Playable>) -> Self {
        Self { id, sound: sound.into(), repeat: Repeat::Times(1), gain_db: 0.0, hidden: false }
    }

    /// Plays `sound` over and over as it is.
    #[must_use]
    pub fn forever(id: PlayId, sound: impl Into<Playable>) -> Self {
        Self { repeat: Repeat::Forever, ..Self::once(id, sound) }
    }

    /// The same, unheard by taps of the leg.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }
}

/// What to do with a leg's first private player (lane 0).
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

/// What a track plays. Made and freed outside the tick.
#[derive(Debug)]
pub(crate) enum Material {
    Sound(Sound),
    Feed(Box<FeedEnd>),
}

/// A sound being played.
#[derive(Debug)]
pub(crate) struct Track {
    pub id: PlayId,
    material: Material,
    at: usize,
    /// Plays left after the present one; `None` without end.
    left: Option<u32>,
    /// Q12; 4 096 is unity.
    gain: i32,
    pub hidden: bool,
}

const UNITY: i32 = 4_096;

fn scaled(sample: i16, gain: i32) -> i16 {
    ((i32::from(sample) * gain) >> 12).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

impl Track {
    pub(crate) fn new(play: Play) -> Self {
        let gain_db = if play.gain_db.is_finite() { play.gain_db.clamp(-60.0, 12.0) } else { 0.0 };
        let gain = (10f32.powf(gain_db / 20.0) * UNITY as f32).round() as i32;
        let left = match play.repeat {
            Repeat::Times(n) => Some(n.saturating_sub(1)),
            Repeat::Forever => None,
        };
        let material = match play.sound {
            Playable::Sound(sound) => Material::Sound(sound),
            Playable::Feed(feed) => {
                feed.take().map_or_else(|| Material::Sound(Sound::from_samples(&[])), Material::Feed)
            }
        };
        Self { id: play.id, material, at: 0, left, gain, hidden: play.hidden }
    }

    /// Fills a frame, with silence after the end. Whether any of it sounds.
    pub(crate) fn fill(&mut self, out: &mut [i16; FRAME]) -> bool {
        match &mut self.material {
            Material::Sound(_) => self.fill_from_sound(out),
            Material::Feed(feed) => {
                let count = feed.fill(out);
                let (now, later) = out.split_at_mut(count);
                if self.gain != UNITY {
                    now.iter_mut().for_each(|sample| *sample = scaled(*sample, self.gain));
                }
                later.fill(0);
            }
        }
        out.iter().any(|s| *s != 0)
    }

    fn fill_from_sound(&mut self, out: &mut [i16; FRAME]) {
        let Material::Sound(sound) = &self.material else { return };
        let samples = sound.samples();
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
                *sample = if self.gain == UNITY { source } else { scaled(source, self.gain) };
            }
            self.at += count;
            rest = later;
        }
        rest.fill(0);
    }

    /// What it played, for freeing it elsewhere.
    pub(crate) fn into_material(self) -> Material {
        self.material
    }

    /// Whether all of it has been played.
    pub(crate) fn is_done(&self) -> bool {
        match &self.material {
            Material::Sound(sound) => {
                self.at >= sound.samples().len() && (self.left == Some(0) || sound.samples().is_empty())
            }
            Material::Feed(feed) => feed.is_done(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(repeat: Repeat, gain_db: f32, samples: &[i16], count: usize) -> (Vec<i16>, bool) {
        let sound = Sound::from_samples(samples);
        let mut track = Track::new(Play { repeat, gain_db, ..Play::once(PlayId(1), sound) });
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

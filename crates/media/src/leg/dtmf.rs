//! Relayed digits: a key the far side pressed, sounding in its own frame as two tones.

use audio::DtmfTone;

use super::Leg;
use crate::convert::LONGEST_FRAME;

const QUEUE: usize = 8;
/// Shortest tone a listener's equipment detects reliably, and the longest worth relaying, in ms.
const SHORTEST_MS: u32 = 80;
const LONGEST_MS: u32 = 2_000;
/// Silence between tones, in ticks.
const GAP_TICKS: u8 = 3;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    digit: char,
    duration_ms: u32,
    mark: u64,
}

/// The digits of one leg that still have to sound.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Whether there is anything below.
    busy: bool,
    gap: u8,
    sounds: Box<Sounds>,
}

#[derive(Debug)]
struct Sounds {
    waiting: [Option<Waiting>; QUEUE],
    playing: Option<(DtmfTone, u64)>,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self { busy: false, gap: 0, sounds: Box::new(Sounds { waiting: [None; QUEUE], playing: None }) }
    }

    /// Whether a digit sounds or waits.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Queues a digit whose earliest packet had arrival number `mark`; false if too many wait.
    pub(crate) fn add(&mut self, digit: char, duration_ms: u32, mark: u64) -> bool {
        match self.sounds.waiting.iter_mut().find(|w| w.is_none()) {
            Some(place) => {
                *place = Some(Waiting { digit, duration_ms, mark });
                self.busy = true;
                true
            }
            None => false,
        }
    }

    /// Forgets everything, as when digits are not relayed any more.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.busy) {
            self.gap = 0;
            *self.sounds = Sounds { waiting: [None; QUEUE], playing: None };
        }
    }

    /// Forgets digits older than an arrival number, one that is sounding included.
    pub(crate) fn forget_before(&mut self, mark: u64) {
        if !self.busy {
            return;
        }
        let Sounds { waiting, playing } = &mut *self.sounds;
        if playing.as_ref().is_some_and(|(_, of)| *of < mark) {
            *playing = None;
        }
        for place in &mut *waiting {
            if place.is_some_and(|w| w.mark < mark) {
                *place = None;
            }
        }
        // What is left moves up, in its order.
        for at in 1..QUEUE {
            for back in (1..=at).rev() {
                if waiting[back - 1].is_none() {
                    waiting.swap(back - 1, back);
                }
            }
        }
    }

    /// Adds what sounds now to a frame of the leg's rate; the arrival number it stems from, if anything sounded.
    pub(crate) fn add_to(&mut self, frame: &mut [i16], hz: u32) -> Option<u64> {
        if !self.busy {
            return None;
        }
        let Sounds { waiting, playing } = &mut *self.sounds;
        if playing.is_none() {
            if self.gap > 0 {
                self.gap -= 1;
                return None;
            }
            let Some(next) = waiting[0].take() else {
                self.busy = false;
                return None;
            };
            waiting.rotate_left(1);
            let duration = next.duration_ms.clamp(SHORTEST_MS, LONGEST_MS);
            *playing = DtmfTone::new(next.digit, duration, hz).map(|tone| (tone, next.mark));
        }
        let (tone, mark) = playing.as_mut()?;
        let mark = *mark;
        let mut sound = [0i16; LONGEST_FRAME];
        let sound = sound.get_mut(..frame.len())?;
        tone.fill(sound);
        if tone.is_done() {
            *playing = None;
            self.gap = GAP_TICKS;
        }
        for (sample, add) in frame.iter_mut().zip(sound) {
            *sample = sample.saturating_add(*add);
        }
        Some(mark)
    }
}

impl Leg {
    /// A key pressed elsewhere than in the media, as the packet of arrival number `mark`.
    pub(crate) fn relay_digit(&mut self, digit: char, mark: u64) {
        self.newest_mark = self.newest_mark.max(mark);
        self.relay.add(digit, SHORTEST_MS, mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_sound_one_after_another_with_their_own_marks() {
        let mut relay = Relay::new();
        assert!(relay.add('1', 40, 7) && relay.add('2', 100, 9));
        let marks: Vec<Option<u64>> = (0..14).map(|_| relay.add_to(&mut [0; 160], 8_000)).collect();
        let expected = [vec![Some(7); 4], vec![None; 3], vec![Some(9); 5], vec![None; 2]].concat();
        assert_eq!(marks, expected);
    }

    #[test]
    fn old_digits_are_forgotten_and_newer_ones_kept_in_order() {
        let mut relay = Relay::new();
        for (digit, mark) in [('1', 3), ('2', 9), ('3', 4), ('4', 8)] {
            assert!(relay.add(digit, 100, mark));
        }
        assert_eq!(relay.add_to(&mut [0; 160], 8_000), Some(3));
        relay.forget_before(8);
        let mut marks: Vec<u64> = (0..30).filter_map(|_| relay.add_to(&mut [0; 160], 8_000)).collect();
        marks.dedup();
        assert_eq!(marks, [9, 8]);
    }

    #[test]
    fn a_flood_of_digits_is_bounded() {
        let mut relay = Relay::new();
        assert_eq!((0..20).filter(|n| relay.add('5', 100, *n)).count(), QUEUE);
    }
}

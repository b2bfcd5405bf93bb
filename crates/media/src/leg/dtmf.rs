//! Relayed digits: a key the far side pressed, sounding in its own frame as two tones.

use audio::DtmfTone;

use crate::player::FRAME;

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
    waiting: [Option<Waiting>; QUEUE],
    playing: Option<(DtmfTone, u64)>,
    gap: u8,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self { waiting: [None; QUEUE], playing: None, gap: 0 }
    }

    /// Queues a digit whose earliest packet had arrival number `mark`; false if too many wait.
    pub(crate) fn add(&mut self, digit: char, duration_ms: u32, mark: u64) -> bool {
        match self.waiting.iter_mut().find(|w| w.is_none()) {
            Some(place) => {
                *place = Some(Waiting { digit, duration_ms, mark });
                true
            }
            None => false,
        }
    }

    /// Forgets everything, as when digits are not relayed any more.
    pub(crate) fn clear(&mut self) {
        if self.playing.is_some() || self.waiting[0].is_some() {
            *self = Self::new();
        }
    }

    /// Forgets digits older than an arrival number, one that is sounding included.
    pub(crate) fn forget_before(&mut self, mark: u64) {
        if self.playing.as_ref().is_some_and(|(_, of)| *of < mark) {
            self.playing = None;
        }
        for place in &mut self.waiting {
            if place.is_some_and(|w| w.mark < mark) {
                *place = None;
            }
        }
        // What is left moves up, in its order.
        for at in 1..QUEUE {
            for back in (1..=at).rev() {
                if self.waiting[back - 1].is_none() {
                    self.waiting.swap(back - 1, back);
                }
            }
        }
    }

    /// Adds what sounds now to a frame; the arrival number it stems from, if anything sounded.
    pub(crate) fn add_to(&mut self, frame: &mut [i16; FRAME]) -> Option<u64> {
        if self.playing.is_none() {
            if self.gap > 0 {
                self.gap -= 1;
                return None;
            }
            let next = self.waiting[0].take()?;
            self.waiting.rotate_left(1);
            let duration = next.duration_ms.clamp(SHORTEST_MS, LONGEST_MS);
            self.playing = DtmfTone::new(next.digit, duration, 8_000).map(|tone| (tone, next.mark));
        }
        let (tone, mark) = self.playing.as_mut()?;
        let mark = *mark;
        let mut sound = [0i16; FRAME];
        tone.fill(&mut sound);
        if tone.is_done() {
            self.playing = None;
            self.gap = GAP_TICKS;
        }
        for (sample, add) in frame.iter_mut().zip(sound) {
            *sample = sample.saturating_add(add);
        }
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_sound_one_after_another_with_their_own_marks() {
        let mut relay = Relay::new();
        assert!(relay.add('1', 40, 7) && relay.add('2', 100, 9));
        let marks: Vec<Option<u64>> = (0..14).map(|_| relay.add_to(&mut [0; FRAME])).collect();
        let expected = [vec![Some(7); 4], vec![None; 3], vec![Some(9); 5], vec![None; 2]].concat();
        assert_eq!(marks, expected);
    }

    #[test]
    fn old_digits_are_forgotten_and_newer_ones_kept_in_order() {
        let mut relay = Relay::new();
        for (digit, mark) in [('1', 3), ('2', 9), ('3', 4), ('4', 8)] {
            assert!(relay.add(digit, 100, mark));
        }
        assert_eq!(relay.add_to(&mut [0; FRAME]), Some(3));
        relay.forget_before(8);
        let mut marks: Vec<u64> = (0..30).filter_map(|_| relay.add_to(&mut [0; FRAME])).collect();
        marks.dedup();
        assert_eq!(marks, [9, 8]);
    }

    #[test]
    fn a_flood_of_digits_is_bounded() {
        let mut relay = Relay::new();
        assert_eq!((0..20).filter(|n| relay.add('5', 100, *n)).count(), QUEUE);
    }
}

//! Keys that a phone tells twice, by RFC 4733 and by SIP INFO, count once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far apart the two may come.
const APART: Duration = Duration::from_millis(500);
/// Keys remembered; nobody presses more in that time.
const MOST: usize = 32;

/// How a key was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// RFC 4733, when it was let go after so long.
    Event(Duration),
    /// SIP INFO.
    Info,
}

struct Press {
    digit: char,
    by_event: bool,
    from: Instant,
    until: Instant,
}

/// The keys of one phone.
#[derive(Default)]
pub(super) struct Keys {
    /// Those that the other way has not told of.
    single: VecDeque<Press>,
    /// Whether it has told of a key both ways.
    both_ways: bool,
}

impl Keys {
    /// Whether this is a key press that was not told yet.
    pub(super) fn is_new(&mut self, digit: char, by: By, now: Instant) -> bool {
        let (by_event, held) = match by {
            By::Event(held) => (true, held),
            By::Info => (false, Duration::ZERO),
        };
        let from = now.checked_sub(held).unwrap_or(now);
        let twin = self.single.iter().position(|press| {
            press.digit == digit
                && press.by_event != by_event
                && press.until + APART >= from
                && press.from <= now + APART
        });
        if let Some(index) = twin {
            self.single.remove(index);
            self.both_ways = true;
            return false;
        }
        if self.single.len() >= MOST {
            self.single.pop_front();
        }
        self.single.push_back(Press { digit, by_event, from, until: now });
        true
    }

    /// Whether the phone tells of its keys both ways: what it tells by SIP INFO comes with its sound as well.
    pub(super) fn come_with_sound(&self) -> bool {
        self.both_ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_key_told_both_ways_counts_once_in_either_order() {
        let (mut keys, at) = (Keys::default(), Instant::now() + ms(60_000));
        assert!(keys.is_new('5', By::Event(ms(100)), at) && !keys.come_with_sound());
        assert!(!keys.is_new('5', By::Info, at + ms(400)) && keys.come_with_sound());
        assert!(keys.is_new('5', By::Info, at + ms(5_000)));
        assert!(!keys.is_new('5', By::Event(ms(100)), at + ms(5_300)));
        // Told when it was pressed, and held long.
        assert!(keys.is_new('7', By::Info, at + ms(10_000)));
        assert!(!keys.is_new('7', By::Event(ms(3_000)), at + ms(13_000)));
    }

    #[test]
    fn the_same_key_pressed_twice_counts_twice_whichever_ways_tell_of_it() {
        let at = Instant::now() + ms(60_000);
        let mut keys = Keys::default();
        let told = [(By::Event(ms(60)), 0), (By::Info, 20), (By::Event(ms(60)), 150), (By::Info, 170)];
        assert_eq!(told.iter().filter(|(by, after)| keys.is_new('1', *by, at + ms(*after))).count(), 2);
        for by in [By::Event(ms(60)), By::Info] {
            let mut keys = Keys::default();
            assert_eq!((0..4).filter(|index| keys.is_new('1', by, at + ms(index * 100))).count(), 4);
        }
    }

    #[test]
    fn another_key_and_a_later_press_are_presses_of_their_own() {
        let (mut keys, at) = (Keys::default(), Instant::now() + ms(60_000));
        assert!(keys.is_new('1', By::Event(ms(60)), at));
        assert!(keys.is_new('2', By::Info, at + ms(10)));
        assert!(keys.is_new('1', By::Info, at + ms(501)), "a press half a second later is another one");
    }

    #[test]
    fn keys_remembered_are_bounded() {
        let (mut keys, at) = (Keys::default(), Instant::now());
        for _ in 0..1_000 {
            keys.is_new('1', By::Info, at);
        }
        assert_eq!(keys.single.len(), MOST);
    }
}

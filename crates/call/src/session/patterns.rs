//! Keys that a program wants to know of while two calls are connected.

use std::time::{Duration, Instant};

use crate::verb::KeyPattern;

/// A longer pause between two keys begins anew.
const PAUSE: Duration = Duration::from_secs(3);

/// Watches for patterns in the keys of both sides.
pub(super) struct KeyWatch {
    patterns: Vec<KeyPattern>,
    caller: Pressed,
    callee: Pressed,
}

#[derive(Default)]
struct Pressed {
    keys: String,
    last: Option<Instant>,
}

impl KeyWatch {
    pub(super) fn new(patterns: Vec<KeyPattern>) -> Self {
        let patterns = patterns.into_iter().filter(|pattern| !pattern.keys.is_empty()).collect();
        Self { patterns, caller: Pressed::default(), callee: Pressed::default() }
    }

    /// A key was pressed: the pattern that it completes, the longest if there are several. What has counted once does not
    /// count again.
    pub(super) fn pressed(&mut self, by_callee: bool, key: char, now: Instant) -> Option<&KeyPattern> {
        let own = |pattern: &&KeyPattern| pattern.callee == by_callee;
        let longest = self.patterns.iter().filter(own).map(|pattern| pattern.keys.len()).max()?;
        let pressed = if by_callee { &mut self.callee } else { &mut self.caller };
        if pressed.last.is_some_and(|last| now.saturating_duration_since(last) > PAUSE) {
            pressed.keys.clear();
        }
        pressed.last = Some(now);
        pressed.keys.push(key);
        while pressed.keys.len() > longest {
            pressed.keys.remove(0);
        }
        let complete = self.patterns.iter().filter(own).filter(|pattern| pressed.keys.ends_with(&pattern.keys));
        let found = complete.max_by_key(|pattern| pattern.keys.len());
        if found.is_some() {
            pressed.keys.clear();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::{Fetch, Method};

    fn watch(patterns: &[(&str, bool)]) -> KeyWatch {
        let hook = Fetch::new("/keys", Method::Link);
        let pattern = |(keys, callee): &(&str, bool)| KeyPattern {
            keys: (*keys).to_owned(),
            callee: *callee,
            hook: hook.clone(),
        };
        KeyWatch::new(patterns.iter().map(pattern).collect())
    }

    fn press(watch: &mut KeyWatch, by_callee: bool, keys: &str, from: Instant, every: u64) -> Vec<String> {
        let times = (0..).map(|index| from + Duration::from_millis(index * every));
        let mut found = Vec::new();
        for (key, at) in keys.chars().zip(times) {
            found.extend(watch.pressed(by_callee, key, at).map(|pattern| pattern.keys.clone()));
        }
        found
    }

    #[test]
    fn a_pattern_is_found_wherever_it_stands_and_counts_once() {
        let now = Instant::now();
        let mut keys = watch(&[("*2", false), ("11", false), ("", false)]);
        assert_eq!(press(&mut keys, false, "5*23*2", now, 100), ["*2", "*2"]);
        assert_eq!(press(&mut keys, false, "111", now, 100), ["11"]);
        assert_eq!(press(&mut keys, false, "1", now, 100), ["11"]);
    }

    #[test]
    fn the_longest_of_several_is_meant() {
        let mut keys = watch(&[("2", false), ("*2", false)]);
        assert_eq!(press(&mut keys, false, "2*2", Instant::now(), 100), ["2", "*2"]);
    }

    #[test]
    fn each_side_has_its_own_patterns_and_keys() {
        let now = Instant::now();
        let mut keys = watch(&[("*1", false), ("*2", true)]);
        assert!(press(&mut keys, false, "*2", now, 100).is_empty());
        assert!(press(&mut keys, true, "1", now, 100).is_empty());
        assert_eq!(press(&mut keys, true, "*2", now, 100), ["*2"]);
    }

    #[test]
    fn keys_far_apart_are_no_pattern_and_few_are_remembered() {
        let now = Instant::now();
        let mut keys = watch(&[("*2", false)]);
        assert!(press(&mut keys, false, "*2", now, 3_001).is_empty());
        press(&mut keys, false, &"9".repeat(1_000), now, 10);
        assert!(keys.caller.keys.len() <= 2);
    }
}

//! Many histories, on two threads; a history that fails is made as short as it can be.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::history::History;
use super::stage::{Breach, Score, play};
use super::verdict::{Seen, judge};

/// A history that broke a promise, shortened.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The shortened history; its seed makes the long one.
    pub history: History,
    /// What it broke.
    pub breach: Breach,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history, breach } = self;
        writeln!(f, "seed {}: at {} ms: {}", history.seed, breach.at, breach.what)?;
        writeln!(f, "again: ASIDE_SEED={} (and as a written history:)", history.seed)?;
        for (phone, line) in history.lines.iter().enumerate() {
            writeln!(f, "  phone {phone}: {line:?}")?;
        }
        writeln!(f, "  {:?} {:?}", history.rooms, history.buffers)?;
        let mut at = 0;
        for (gap, act) in &history.acts {
            at += gap;
            writeln!(f, "  {at:5} ms (+{gap}): {act:?}")?;
        }
        write!(f, "  {:5} ms: the end", at + history.tail)
    }
}

/// Plays and judges one history.
///
/// # Errors
/// What it broke.
pub fn examine(history: &History) -> Result<Seen, Breach> {
    examine_as(history, &Score::EXACT)
}

/// The same, with the rule compared or not.
///
/// # Errors
/// What it broke.
pub fn examine_as(history: &History, score: &Score<'_>) -> Result<Seen, Breach> {
    judge(&play(history, score)?, history.buffers.initial)
}

/// Shortens a failing history: first from its end, then by every act that can be missed.
pub fn shorten(history: &History, fails: impl Fn(&History) -> Option<Breach>) -> Failure {
    let mut best = Failure {
        history: history.clone(),
        breach: fails(history).unwrap_or_else(|| Breach::new(0, "it does not fail again")),
    };
    let attempt = |candidate: History, best: &mut Failure| match fails(&candidate) {
        Some(breach) => {
            *best = Failure { history: candidate, breach };
            true
        }
        None => false,
    };
    let (mut low, mut high) = (0, history.acts.len());
    while low < high {
        let middle = (low + high) / 2;
        let mut candidate = history.clone();
        let cut: u64 = candidate.acts.drain(middle..).map(|(gap, _)| gap).sum();
        candidate.tail += cut;
        if attempt(candidate, &mut best) { high = middle } else { low = middle + 1 }
    }
    let mut at = best.history.acts.len();
    while at > 0 {
        at -= 1;
        let mut candidate = best.history.clone();
        let (gap, _) = candidate.acts.remove(at);
        match candidate.acts.get_mut(at) {
            Some(next) => next.0 += gap,
            None => candidate.tail += gap,
        }
        attempt(candidate, &mut best);
    }
    let over = best.breach.at + 40;
    let mut candidate = best.history.clone();
    let acts: u64 = candidate.acts.iter().map(|(gap, _)| gap).sum();
    candidate.tail = candidate.tail.min(over.saturating_sub(acts).max(1));
    attempt(candidate, &mut best);
    best
}

/// Examines the histories of these seeds on two threads.
///
/// # Errors
/// The first that failed.
pub fn run(first: u64, count: u64) -> Result<Seen, Box<Failure>> {
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    let result: Mutex<Result<Seen, Box<Failure>>> = Mutex::new(Ok(Seen::default()));
    let work = || {
        let mut seen = Seen::default();
        let mut failed = None;
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let history = History::random(seed);
            match examine(&history) {
                Ok(more) => seen.add(&more),
                Err(_) => {
                    stop.store(true, Ordering::Relaxed);
                    failed = Some(Box::new(shorten(&history, |h| examine(h).err())));
                }
            }
        }
        let mut result = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (failed, &mut *result) {
            (Some(failure), whole @ Ok(_)) => *whole = Err(failure),
            (None, Ok(whole)) => whole.add(&seen),
            _ => {}
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A number from the environment.
#[must_use]
pub fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.trim().parse().ok())
}

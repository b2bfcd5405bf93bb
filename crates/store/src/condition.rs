//! How the writing goes: shared by the writer, who knows, and everybody who must not wait for a database that takes nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Result, StoreError, Trouble};

/// How long commits may have been failing before ordinary writes are refused at once; what is owed
/// ([`crate::Batch::owe`]) still waits in its order.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long one transaction may take before the disk counts as failing, without a word from it.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a closing store goes on trying.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// How the writing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Batches that are not committed yet.
    pub waiting: usize,
    /// How long the oldest of them has been waiting, at least.
    pub oldest: Option<Duration>,
    /// For how long commits have been failing, and why the last one did. `None` if the last one succeeded.
    pub failing: Option<(Duration, Trouble)>,
}

/// The same, as it changes.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failing: Option<(Instant, Trouble)>,
    /// Since when the writer has had something in hand that is not committed.
    busy: Option<Instant>,
    in_hand: usize,
    closing: Option<Instant>,
}

impl State {
    fn failing(&self) -> Option<(Duration, Trouble)> {
        let silent = || {
            let since = self.busy?.elapsed();
            (since > SILENCE).then_some((since, Trouble::Silent))
        };
        self.failing.as_ref().map(|(since, trouble)| (since.elapsed(), trouble.clone())).or_else(silent)
    }
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer has so many writes in hand.
    pub fn in_hand(&self, count: usize) {
        let mut state = self.state();
        state.in_hand = count;
        state.busy = match count {
            0 => None,
            _ => state.busy.or_else(|| Some(Instant::now())),
        };
    }

    /// A transaction was committed; returns for how long none was.
    pub fn committed(&self) -> Option<Duration> {
        let mut state = self.state();
        state.busy = None;
        state.failing.take().map(|(since, _)| since.elapsed())
    }

    /// A transaction failed; returns whether the one before had not.
    pub fn failed(&self, trouble: Trouble) -> bool {
        let mut state = self.state();
        let since = state.failing.as_ref().map(|(since, _)| *since);
        state.failing = Some((since.unwrap_or_else(Instant::now), trouble));
        since.is_none()
    }

    pub fn is_failing(&self) -> bool {
        self.state().failing.is_some()
    }

    /// Nothing new comes after this.
    pub fn closing(&self) {
        self.state().closing.get_or_insert_with(Instant::now);
    }

    /// Whether the time of a closing store is up.
    pub fn given_up(&self) -> bool {
        self.state().closing.is_some_and(|since| since.elapsed() > LAST_TRIES)
    }

    /// Refuses what could only wait.
    pub fn ready(&self, what: &'static str) -> Result<()> {
        match self.state().failing() {
            Some((since, trouble)) if since > PATIENCE => Err(StoreError::Unavailable { what, trouble }),
            _ => Ok(()),
        }
    }

    /// How it goes, with `queued` more before the writer.
    pub fn read(&self, queued: usize) -> Condition {
        let state = self.state();
        Condition {
            waiting: queued.saturating_add(state.in_hand),
            oldest: state.busy.map(|since| since.elapsed()),
            failing: state.failing(),
        }
    }
}

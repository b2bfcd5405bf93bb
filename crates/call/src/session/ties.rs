//! What ties a call to others: one that it has dialled, one that has dialled it, one that it meets in a queue.

use std::time::Duration;

use super::CallMailbox;
use super::bridge::{Connection, DialledBy};
use super::queue::Queueing;
use crate::dialect::Outcome;

/// What a call has to do with others.
#[derive(Default)]
pub(super) struct Ties {
    /// What it has dialled.
    pub(super) connection: Option<Connection>,
    /// Who has dialled it, while it is his callee.
    pub(super) dialled_by: Option<DialledBy>,
    /// What it has to do with a queue.
    pub(super) queueing: Option<Queueing>,
    /// How the instruction went that was broken off last, until somebody is told.
    pub(super) parting: Option<Outcome>,
}

impl Ties {
    /// The way to the call at the other end of the connection that this call has made.
    pub(super) fn callee(&self) -> Option<CallMailbox> {
        self.connection.as_ref()?.callee()
    }

    /// Whether this call has dialled that one.
    pub(super) fn has_dialled(&self, call: &str) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.has_dialled(call))
    }

    /// Whether what the call has dialled has this dial's number.
    pub(super) fn is_dial(&self, dial: u64) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.is_dial(dial))
    }

    /// How the instruction under way went, if it ended now, or had been broken off just before.
    pub(super) fn outcome_at_end(&mut self, now: Duration) -> Outcome {
        let dialled = self.connection.as_ref().map(|connection| connection.outcome(now));
        let parting = self.parting.take();
        dialled.or_else(|| self.queueing_outcome(now)).or(parting).unwrap_or(Outcome::Done)
    }

    /// How it went in the queue, if that ended now by this call's doing.
    pub(super) fn queueing_outcome(&self, now: Duration) -> Option<Outcome> {
        self.queueing.as_ref().map(|queueing| queueing.outcome(now))
    }
}

//! What ties a call to others: one that it has dialled, one that has dialled it, one that it meets in a queue.

use std::time::Duration;

use super::CallMailbox;
use super::bridge::Connection;
use super::callee::{DialledBy, Expected, Later};
use super::queue::Queueing;
use crate::command::Next;
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

    /// What the call does when whoever has dialled it is in the room, if it still waits for that: not any more.
    pub(super) fn expected(&mut self) -> Option<Expected> {
        self.dialled_by.as_mut().and_then(DialledBy::expected)
    }

    /// The same, of the dial of this number.
    pub(super) fn expected_for(&mut self, dial: u64) -> Option<Expected> {
        self.dialled_by.as_mut().filter(|by| by.is_dial(dial)).and_then(DialledBy::expected)
    }

    /// Puts a command off while the call waits for whoever has dialled it; else it is given back.
    pub(super) fn put_off(&mut self, later: Later) -> Option<Later> {
        match &mut self.dialled_by {
            Some(by) => by.put_off(later),
            None => Some(later),
        }
    }

    /// What this call goes on with when its callee has left, if that is said.
    pub(super) fn then(&mut self) -> Option<&mut Next> {
        self.connection.as_mut().and_then(|connection| connection.then.as_mut())
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

//! What the control side asks of a thread.

use tokio::sync::oneshot;

use super::Key;
use super::leg::{Gate, Making};
use crate::agent::{Credentials, Remote};
use crate::error::WebRtcError;

/// How a command ended.
pub(crate) type Done<T> = oneshot::Sender<Result<T, WebRtcError>>;

/// A command.
pub(crate) enum Command {
    /// A leg is there.
    Add { making: Box<Making>, done: Done<()> },
    /// The answer to the first offer, ours.
    Answer { key: Key, remote: Box<Remote>, candidates: Vec<str0m::Candidate>, gate: Gate, done: Done<()> },
    /// They restart ICE; these are our new credentials.
    Restart {
        key: Key,
        remote: Box<Remote>,
        credentials: Credentials,
        candidates: Vec<str0m::Candidate>,
        gate: Gate,
        done: Done<()>,
    },
    /// Directions changed; there may be more candidates.
    Change { key: Key, candidates: Vec<str0m::Candidate>, gate: Gate, done: Done<()> },
    /// A candidate of theirs.
    Candidate { key: Key, candidate: Box<str0m::Candidate> },
}

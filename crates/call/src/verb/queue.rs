//! Queues: calls that wait until somebody takes them.

use std::time::Duration;

use super::{Action, Fetch};

/// Longest name of a queue, bytes.
pub const LONGEST_QUEUE_NAME: usize = 256;

/// Waits in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    /// The queue's name in the account.
    pub name: String,
    /// Lower ones come first; calls of the same priority in the order of arrival.
    pub priority: i64,
    /// Asked again and again for what to hear.
    pub wait: Option<Fetch>,
    /// Told how the waiting ended.
    pub action: Option<Action>,
}

/// Takes a call out of a queue and connects both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dequeue {
    /// The queue's name in the account.
    pub name: String,
    /// This call, wherever it stands; `None`: the first.
    pub call: Option<String>,
    /// How long to wait for a call; `None`: for ever.
    pub timeout: Option<Duration>,
    /// The waiting call hears a beep before it is connected.
    pub beep: bool,
    /// Told how it ended.
    pub action: Option<Action>,
}

/// How waiting in, or taking from, a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueEnd {
    /// Somebody took the call, and the connection is over.
    Bridged,
    /// The wait program left the queue.
    Left,
    /// The caller hung up.
    Hangup,
    /// It could not go on.
    Error,
    /// The taker's connection is over.
    Complete,
    /// Nobody was in the queue in time.
    Timeout,
}

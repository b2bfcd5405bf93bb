//! How an instruction went: what its action is told.

use crate::verb::{CallStatus, QueueEnd};

/// How an instruction went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing more to say.
    Done,
    /// Somebody was called.
    Dialled(Dialled),
    /// Input was collected.
    Gathered(Gathered),
    /// Something was played.
    Played {
        /// Whether it played at all.
        completed: bool,
        /// Milliseconds that were heard.
        heard_ms: u64,
    },
    /// Sound was streamed.
    Streamed {
        /// Seconds.
        seconds: u64,
        /// The key that ended it.
        key: Option<char>,
    },
    /// The call waited in a queue.
    Enqueued {
        /// The queue's id.
        queue: String,
        /// Seconds of waiting.
        waited_s: u64,
        /// How that ended.
        end: QueueEnd,
    },
    /// The call took another out of a queue.
    Dequeued(QueueEnd),
    /// The caller was to be moved.
    Referred {
        /// The status that the REFER was answered with.
        status: u16,
        /// What the last NOTIFY said.
        last: Option<u16>,
    },
    /// A text message was not sent: its id, and why.
    Unsent(String, String),
}

/// How a call to somebody went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// How it ended: completed once both were connected.
    pub status: CallStatus,
    /// The callee's last status.
    pub sip_status: u16,
    /// The leg that was connected, or the last that was tried.
    pub call: Option<String>,
    /// Its SIP Call-ID.
    pub call_id: Option<String>,
    /// Seconds of connection.
    pub seconds: Option<u64>,
}

/// What was collected.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathered {
    /// What ended it.
    pub end: InputEnd,
    /// What was pressed.
    pub digits: Option<String>,
    /// What was said.
    pub speech: Option<Understood>,
    /// What went wrong.
    pub error: Option<String>,
}

/// What ended a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEnd {
    /// Digits.
    Digits,
    /// Speech.
    Speech,
    /// Neither in time.
    Timeout,
    /// The recogniser failed, or there is none.
    Error,
    /// Speech that was not understood well enough.
    Unclear,
}

/// What was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Understood {
    /// BCP 47.
    pub language: String,
    /// Text and confidence, 0 to 1; the best first.
    pub alternatives: Vec<(String, f64)>,
}

/// A call's place in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// The queue's id.
    pub queue: String,
    /// Seconds that the call has waited.
    pub waited_s: u64,
    /// How many wait.
    pub size: usize,
    /// From 0.
    pub position: usize,
}

/// Where the far side wants a call to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referred {
    /// The `Refer-To` URI.
    pub to: String,
    /// The `Referred-By` URI.
    pub by: Option<String>,
    /// Who sent it: its `User-Agent`.
    pub agent: Option<String>,
}

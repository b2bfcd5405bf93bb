//! Why calls end, in no dialect's numbers.

use serde::{Deserialize, Serialize};

/// Who or what ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupSource {
    /// The calling side.
    Caller,
    /// The called side.
    Callee,
    /// This server.
    Server,
}

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupCause {
    /// One side hung up.
    Normal(HangupSource),
    /// The caller gave up before the answer.
    Cancelled,
    /// The instructions ended.
    EndOfInstructions,
    /// Hung up by a verb.
    Instructed,
    /// A scheduled hang-up.
    Scheduled,
    /// A program asked for it.
    Requested,
    /// The room ended, and nothing said what comes then.
    RoomEnded,
    /// Removed from the room, and nothing said what comes then.
    Kicked,
    /// It came by a key of the native API, and the key is not good for that any more.
    KeyLost,
    /// Another destination answered first.
    LostRace,
    /// The confirmation key was not pressed.
    NotConfirmed,
    /// It rang too long.
    RingTimeout,
    /// Nobody answered (408, 480, 487).
    NoAnswer,
    /// Busy (486, 600).
    Busy,
    /// Refused (403, 603 and others).
    Rejected,
    /// No phone is registered for that endpoint.
    NotRegistered,
    /// No such destination (404, 484, 604), or no trunk may be used for it.
    NoRoute,
    /// No common codec or unusable session description (488).
    Incompatible,
    /// No sound came for too long.
    MediaTimeout,
    /// The longest duration passed.
    MaxDuration,
    /// The other side or the network failed (5xx, transport).
    NetworkFailure,
    /// The server has no place for its sound (503).
    Overloaded,
    /// The instructions could not be had or run.
    Instructions(InstructionsFault),
    /// The server restarted.
    Restart,
    /// The server is being stopped.
    Shutdown,
    /// No room in the room, or it ended meanwhile.
    RoomRefused,
}

/// What was wrong with instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct InstructionsFault {
    /// Which request.
    pub at: FaultAt,
    /// What.
    pub kind: FaultKind,
}

/// The request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAt {
    /// Answer URL, its fallback counted in.
    Answer,
    /// Action URL of a verb.
    Action,
    /// A transfer.
    Transfer,
    /// A redirect.
    Redirect,
}

/// The kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Not 2xx, or no answer in time.
    Http,
    /// Not a document, or one that cannot be run.
    Document,
    /// Not a URL, or one that may not be asked.
    Url,
}

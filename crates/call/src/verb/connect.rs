//! Calling somebody and connecting both.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Action, Fetch};
use crate::dialect::Params;

/// Calls somebody and connects both, in a room without a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Connect {
    /// Who is called, all at once; the first to answer (and confirm) is connected.
    pub targets: Vec<Target>,
    /// The caller is answered when the callee has answered, not before.
    pub answer_on_bridge: bool,
    /// The number shown; `None`: the caller's own.
    pub caller_id: Option<String>,
    /// The name shown.
    pub caller_name: Option<String>,
    /// Give up after ringing this long.
    pub ring_timeout: Duration,
    /// Longest connection.
    pub limit: Option<Duration>,
    /// Heard by the caller in place of ringback: a sound file's URL.
    pub music: Option<String>,
    /// Headers of the INVITE.
    pub headers: Params,
    /// Asked for what a callee hears before he is connected.
    pub confirm: Option<Fetch>,
    /// Told how it went.
    pub action: Option<Action>,
    /// Told keys that were pressed while both are connected, by pattern.
    pub keys: Vec<KeyPattern>,
    /// Asked when either side sends a REFER.
    pub refer_hook: Option<Fetch>,
    /// Sound of the callee's call to a program.
    pub stream: Option<Box<super::Stream>>,
    /// What requests about the callee's call carry of the program's own: JSON text.
    pub attached: Option<String>,
}

/// Keys that a program wants to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// The keys, one after the other.
    pub keys: String,
    /// Pressed by the callee instead of the caller.
    pub callee: bool,
    /// Told; its instructions replace the caller's.
    pub hook: Fetch,
}

/// Somebody to be called.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Who.
    pub kind: TargetKind,
    /// Headers of the INVITE, besides those of all.
    pub headers: Params,
    /// Asked for what this callee hears before he is connected.
    pub confirm: Option<Fetch>,
    /// Credentials for a challenge.
    pub auth: Option<(String, String)>,
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetKind {
    /// A number; by this trunk, if one is named.
    Number {
        /// Digits, with or without `+`.
        number: String,
        /// The trunk's name.
        trunk: Option<String>,
    },
    /// A SIP URI.
    Uri(String),
    /// An endpoint of the account: a name, with or without the realm.
    Endpoint(String),
}

/// What became of a call, in the words of SIP's outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// INVITE received or sent.
    Trying,
    /// 180.
    Ringing,
    /// Answered.
    InProgress,
    /// Answered, and over.
    Completed,
    /// It could not be made.
    Failed,
    /// 486, 600, 603.
    Busy,
    /// Nobody answered in time, or the caller gave up.
    NoAnswer,
}

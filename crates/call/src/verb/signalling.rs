//! What SIP is asked to do with a call.

use std::time::Duration;

use super::{Action, Fetch};
use crate::dialect::Params;

/// How to end a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hangup {
    /// Refuses a call that has not been answered.
    pub refusal: Option<Refusal>,
    /// Not now but this long from now; the instructions go on.
    pub after: Option<Duration>,
    /// Headers of the BYE.
    pub headers: Params,
}

/// How a call that has not been answered is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// SIP 603.
    Rejected,
    /// SIP 486.
    Busy,
    /// Another final status.
    Status {
        /// 400 to 699.
        code: u16,
        /// Reason phrase.
        reason: Option<String>,
        /// Headers of the answer.
        headers: Params,
    },
}

/// Moves the caller elsewhere (RFC 3515).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer {
    /// SIP URI, or a user at the caller's own host.
    pub to: String,
    /// The `Referred-By` header's URI (RFC 3892).
    pub referred_by: Option<String>,
    /// Headers of the REFER.
    pub headers: Params,
    /// Told how it went.
    pub action: Option<Action>,
    /// Told each NOTIFY.
    pub events: Option<Fetch>,
}

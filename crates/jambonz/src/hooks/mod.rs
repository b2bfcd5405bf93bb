//! The bodies of hooks, by HTTP and over the socket alike.
//!
//! Names are snake_case; only `customerData`, `sip`, `env_vars` and what programs put into them keep their own spelling.
//! Every body validates against the vendor's `callbacks` schemas, and prints (by `to_string`) as JavaScript would print it, so
//! that its signature holds.

mod action;
mod call;
mod conference;
mod dial;
mod queue;
mod session;
mod time;
mod verb;

pub use action::{Outcome, Speech, action};
pub use call::{CallDirection, CallInfo, CallStatus, TerminatedBy, call_status};
pub use conference::{Happening, conference_sid, conference_status};
pub use dial::{ReferDetails, dial_dtmf, dial_refer};
pub use queue::{QueueEvent, QueuePosition, queue_event, queue_wait};
pub use session::{Defaults, SessionStart, SipRequest, adulting, session_new};
pub use time::iso;
pub use verb::{ErrorReport, VerbPhase, error, refer_event, verb_status};

#[cfg(test)]
mod tests;

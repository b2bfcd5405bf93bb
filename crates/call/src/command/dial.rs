//! Calls to be made: members to be added, and calls that run instructions of their own.

use std::time::Duration;

use super::RoomRef;
use crate::dialect::Params;
use crate::verb::{Fetch, Instruction, Join, Settings, Target};

/// What members already in hear while a leg is dialled, if they are alone or wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DialMusic {
    /// A ringback tone.
    #[default]
    Ringback,
    /// Nothing.
    Silent,
    /// What this URL says.
    Url(Fetch),
}

/// One number or SIP URI to be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// A number (with or without `+`) or a `sip:` URI.
    pub to: String,
    /// Give up after ringing this long.
    pub ring_timeout: Duration,
    /// Wait before dialling.
    pub delay: Duration,
}

/// Asks a callee whether he takes the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// He must press a key.
    Key {
        /// Which.
        key: char,
        /// What he hears meanwhile.
        sound: Option<Fetch>,
    },
    /// This program's instructions run; he takes the call unless they hang up.
    Program(Fetch),
}

/// A member to be dialled: the first destination to answer (and confirm) enters, the others are cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Caller id, digits or a SIP user.
    pub from: String,
    /// Display name.
    pub caller_name: String,
    /// Whom to dial, at once or after their delays.
    pub destinations: Vec<Destination>,
    /// Headers for the INVITE, `X-PH-` prefix included.
    pub headers: Params,
    /// Ask the callee first.
    pub confirm: Option<Confirm>,
    /// What the others hear.
    pub dial_music: DialMusic,
    /// Where the legs' states are told.
    pub state_callback: Option<Fetch>,
    /// Digits sent after the answer (`w` waits 0.5 s, `W` 1 s).
    pub send_digits: Option<String>,
}

/// Who is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Newcomer {
    /// Somebody who is dialled.
    Dialled(Box<Dial>),
    /// A live call, by its UUID: it leaves what it does.
    Call(String),
}

/// A request to add a member.
#[derive(Clone, Debug, PartialEq)]
pub struct AddMember {
    /// The room. By name it is opened if no live one has it.
    pub room: RoomRef,
    /// Who.
    pub who: Newcomer,
    /// With which rules; `join.room` is ignored.
    pub join: Join,
    /// The dialect that asks, for its callbacks.
    pub dialect: &'static str,
}

/// One leg of an [`Added`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedCall {
    /// Whom.
    pub to: String,
    /// Caller id.
    pub from: String,
    /// The leg.
    pub call_uuid: String,
    /// Its member number, for a call that was live already.
    pub member: Option<i64>,
}

/// What became of a request to add a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The request's id; a single leg has the same UUID.
    pub request_uuid: String,
    /// The legs, in the order asked for.
    pub calls: Vec<AddedCall>,
    /// The room.
    pub room_uuid: String,
}

/// A call to be made by a program, under an application.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceCall {
    /// Whom.
    pub target: Target,
    /// The number shown: digits, or a SIP user.
    pub from: String,
    /// The name shown.
    pub caller_name: String,
    /// Give up after ringing this long.
    pub ring_timeout: Duration,
    /// Longest call.
    pub limit: Option<Duration>,
    /// What requests carry of the program's own: JSON text of an object.
    pub attached: Option<String>,
    /// Asked for instructions when it is answered.
    pub application: Fetch,
    /// Or these are run.
    pub run: Option<Vec<Instruction>>,
    /// Told what becomes of the call.
    pub status: Option<Fetch>,
    /// The application, for records.
    pub app_id: Option<String>,
    /// Its UUID.
    pub app_sid: Option<String>,
    /// The application's settings, in the dialect's words.
    pub settings: serde_json::Value,
    /// What holds for this call from its answer on.
    pub settings_of_call: Option<Box<Settings>>,
    /// The dialect.
    pub dialect: &'static str,
}

/// A call that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its UUID.
    pub call: String,
    /// Its SIP Call-ID.
    pub call_id: String,
}

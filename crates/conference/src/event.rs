//! What happened in a room, in order.

use serde::{Deserialize, Serialize};

use crate::audience::Tag;
use crate::member::{MemberId, PlayerId};

/// Why a room ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Nobody is left.
    Empty,
    /// One member was left, and may not stay alone.
    Alone,
    /// A member whose departure ends the room left.
    EndOnExit,
    /// The longest duration passed.
    MaxDuration,
    /// It did not start in time.
    NotStarted,
    /// A program ended it.
    Requested,
    /// The server stops, or restarted after a fault.
    Restart,
    /// The room's media failed.
    Fault,
}

/// Why a member left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveCause {
    /// Its call ended.
    Hangup,
    /// A program removed it.
    Kicked,
    /// Its call went elsewhere.
    Transferred,
    /// The room ended.
    RoomEnded,
}

/// One thing that happened. The order is the order in which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The room exists.
    Opened,
    /// Members are connected from now on.
    Started,
    /// The room is over; every member has left.
    Ended(EndCause),
    /// A member is in.
    Joined(MemberId),
    /// A member takes part from now on: it is in, the room has started, and it is prepared.
    Admitted(MemberId),
    /// A member is out.
    Left(MemberId, LeaveCause),
    /// Muted or unmuted.
    Muted(MemberId, bool),
    /// Put on hold or taken off it; by a takeover too.
    Held(MemberId, bool),
    /// Started or stopped coaching.
    Coaching(MemberId, bool),
    /// Coaches, and its audience changed.
    CoachAudience(MemberId),
    /// Its free tag changed.
    Tagged(MemberId, Option<Tag>),
    /// Took the call over, or gave it back.
    Takeover(MemberId, bool),
    /// A room player is gone.
    PlayerRemoved(PlayerId),
}

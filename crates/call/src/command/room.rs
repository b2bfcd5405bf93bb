//! What may be asked of a live room and its members.

use conference::{Audience, Tag};

use crate::dialect::{MemberView, RoomView};
use crate::verb::Stream;

/// A live room.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSnapshot {
    /// The room.
    pub room: RoomView,
    /// Its members, in order of entry.
    pub members: Vec<MemberView>,
    /// Legs being dialled.
    pub expected: u32,
    /// A change was answered as pending, and the media plane still has not applied it: what is said here may not be heard
    /// yet.
    pub pending: bool,
}

/// A change of members' rules; `None` leaves a rule as it is. All of it holds from the same tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChange {
    /// Mute or unmute.
    pub mute: Option<bool>,
    /// Hold or unhold.
    pub hold: Option<bool>,
    /// Start or stop coaching.
    pub coach: Option<bool>,
    /// Whom it coaches.
    pub coach_audience: Option<Audience>,
    /// Set or clear the free tag.
    pub tag: Option<Option<Tag>>,
    /// Make deaf or hearing.
    pub deaf: Option<bool>,
}

/// What a command did. The audio has changed and the events are committed when this is returned, unless `confirmed` is
/// false: then the media plane had not answered, or the database had not committed, within a second and the change, or its
/// record, is pending; it will come in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Whether the shard has applied it and all of it is recorded.
    pub confirmed: bool,
    /// The shard.
    pub shard: u16,
    /// Its tick from which the change holds.
    pub tick: u64,
    /// That tick in UTC, microseconds since 1970.
    pub at: i64,
}

/// A supervisor's mode by name; see [`conference::Mode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeName {
    /// Hears all, heard by nobody.
    Monitor,
    /// Heard by those he coaches.
    Whisper,
    /// Heard by all.
    Barge,
    /// Heard by all, the agents set aside.
    Takeover,
    /// Gives a takeover back, then monitors.
    Stop,
}

/// A supervisor's mode, as the native API asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeCommand {
    /// The supervisor's member number.
    pub member: i64,
    /// The mode.
    pub mode: ModeName,
    /// The agents that a takeover sets aside, by number; empty: all of them.
    pub agents: Vec<i64>,
    /// The same id twice is done once.
    pub command_id: Option<String>,
}

/// A tap on a room.
#[derive(Clone, Debug, PartialEq)]
pub struct TapRoom {
    /// Where the sound goes, and how.
    pub stream: Stream,
    /// Each member's sound by itself, in place of the mix.
    pub members: bool,
}

/// A tap that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    /// Its id.
    pub id: String,
    /// It ran already.
    pub known: bool,
}

/// Who hears whom at one instant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HearingMatrix {
    /// The shard's tick from which it holds; 0 before anybody has heard anything.
    pub tick: u64,
    /// That tick in UTC, microseconds since 1970.
    pub at: i64,
    /// Some change has not been confirmed by the shard: the rows are what will be heard, the tick that of the last change
    /// that was confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// One row per listener: its number, role, and the numbers of the members it hears.
    pub rows: Vec<HearingRow>,
}

/// What one member hears.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HearingRow {
    /// The listener's member number.
    pub listener: i64,
    /// Its role.
    pub role: Option<String>,
    /// Its call.
    pub call_uuid: String,
    /// The members it hears.
    pub hears: Vec<i64>,
}

//! What programs may ask of rooms and calls, in no dialect's words.

use std::time::Duration;

use conference::{Audience, Tag};
use store::ActorKind;

use crate::dialect::{CallView, MemberView, Params, RoomView};
use crate::verb::{Dub, Fetch, Instruction, Join, Prompt, Refusal, Settings, Stream, StreamChange};

/// An account as commands name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountRef {
    /// The store's id of the main account: rooms and calls are under it.
    pub id: String,
    /// The auth id that asks: main or sub-account.
    pub auth_id: String,
}

impl AccountRef {
    /// Whether what belongs to `auth_id` may be seen: a main account sees all of its own, a sub-account its own alone.
    pub fn sees(&self, auth_id: &str) -> bool {
        !self.auth_id.starts_with("SA") || self.auth_id == auth_id
    }
}

/// Which room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RoomRef {
    /// The live room of this name.
    Name(String),
    /// A room life.
    Uuid(String),
}

/// Which members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// All of them.
    All,
    /// These, by [`MemberView::number`].
    Members(Vec<i64>),
    /// All that are no moderators.
    NoModerators,
}

/// Who asks: written into the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// What kind of asker.
    pub kind: ActorKind,
    /// The key's id, the application's id, the endpoint.
    pub id: String,
}

impl Asker {
    /// The server itself: timers, rules, restarts.
    pub fn server() -> Self {
        Self { kind: ActorKind::Server, id: String::new() }
    }
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

/// A live call to be changed by a program.
#[derive(Clone, Debug, PartialEq)]
pub enum CallCommand {
    /// End it.
    Hangup(Option<Refusal>),
    /// Give up a call that is not answered yet.
    Cancel,
    /// Run other instructions.
    Transfer(Fetch),
    /// Run these: in place of the rest, or (`queue`) after it.
    Instructions {
        /// Which.
        run: Vec<Instruction>,
        /// After the rest.
        queue: bool,
    },
    /// Other instructions for a call and for the one that it has dialled, which go on without each other.
    Split {
        /// For the call itself.
        parent: Option<Next>,
        /// For the dialled call.
        child: Option<Next>,
    },
    /// Change the member that the call is; of no effect if it is none.
    Member(MemberChange),
    /// Hold or unhold the member; held, it hears what this program says.
    Hold {
        /// Hold.
        on: bool,
        /// Asked again and again for what to hear.
        wait: Option<Fetch>,
    },
    /// Mute or unmute the member; all that are no moderators, if it is one.
    MuteRoom(bool),
    /// Remove the member.
    Kick,
    /// Mute or unmute the call's microphone, in a room or not.
    Mute(bool),
    /// Let the caller, and nobody else, hear these.
    Whisper(Vec<Prompt>),
    /// Send digits to the other side.
    SendDigits(String),
    /// What requests carry of the program's own: JSON text of an object.
    Attach(String),
    /// Change a track.
    Dub(Dub),
    /// Change the stream of sound.
    Stream(StreamChange),
    /// Set what holds for the rest of the call.
    Configure(Box<Settings>),
    /// Let the room that the call is in hear these; the program's name for it.
    RoomSound {
        /// What.
        prompts: Vec<Prompt>,
        /// Speech.
        spoken: bool,
        /// The program's name for it.
        id: Option<String>,
    },
    /// Send a request within the dialog.
    Request {
        /// `INFO`, `MESSAGE`, `NOTIFY`, …
        method: String,
        /// Of the body.
        content_type: Option<String>,
        /// The body.
        body: String,
        /// Further headers.
        headers: Params,
    },
    /// Something that is understood and not done here: its name.
    Unsupported(String),
}

impl CallCommand {
    /// What it is, without what it says: digits, texts and URLs are nobody else's business.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hangup(_) => "hang-up",
            Self::Cancel => "cancel",
            Self::Transfer(_) => "transfer",
            Self::Instructions { .. } => "instructions",
            Self::Split { .. } => "split",
            Self::Member(_) => "member",
            Self::Hold { .. } => "hold",
            Self::MuteRoom(_) => "mute of the room",
            Self::Kick => "kick",
            Self::Mute(_) => "mute",
            Self::Whisper(_) => "whisper",
            Self::SendDigits(_) => "digits",
            Self::Attach(_) => "data",
            Self::Dub(_) => "track",
            Self::Stream(_) => "stream",
            Self::Configure(_) => "settings",
            Self::RoomSound { .. } => "sound for the room",
            Self::Request { .. } => "request within the dialog",
            Self::Unsupported(_) => "something that is not done here",
        }
    }
}

/// Where instructions come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// They are asked for.
    Fetch(Fetch),
    /// These.
    Run(Vec<Instruction>),
}

/// What a command to a call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallChanged {
    /// The answer to a request within the dialog: status and reason.
    pub sip: Option<(u16, String)>,
}

/// A call to be made by a program, under an application.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceCall {
    /// Whom.
    pub target: crate::verb::Target,
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

/// Why a command was refused. Nothing has changed then, and no side effect is under way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such thing in this account.
    #[error("{what} {id:?} is not there; it may have ended")]
    NotFound {
        /// `room`, `member`, `call`.
        what: &'static str,
        /// The id asked for.
        id: String,
    },
    /// The state of the room or call forbids it.
    #[error("{0}")]
    Conflict(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Not allowed: no trunk permission, no caller id…
    #[error("{0}")]
    Forbidden(String),
    /// A limit is reached.
    #[error("the server is at its limit ({0}); try again in a second")]
    Busy(&'static str),
    /// The account has as many of something as it may have.
    #[error(
        "the account has {limit} {what} at once, the most it may have; end some, or raise [server] max_{what}_per_account"
    )]
    OverLimit {
        /// `calls`, `rooms`.
        what: &'static str,
        /// How many it may have.
        limit: usize,
    },
    /// What is asked for would have to be recorded, and the database takes no writes: locked, disk full.
    #[error("{0}")]
    Unavailable(String),
    /// The database or media plane failed.
    #[error("the server could not do it ({0}); see its log")]
    Failed(String),
}

impl From<store::StoreError> for CommandError {
    fn from(error: store::StoreError) -> Self {
        match error {
            store::StoreError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            store::StoreError::Busy { .. } => Self::Busy("requests to the database"),
            error => Self::Failed(error.to_string()),
        }
    }
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

/// A call and what may be known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSnapshot {
    /// The call.
    pub call: CallView,
    /// The room it is in.
    pub room_uuid: Option<String>,
}

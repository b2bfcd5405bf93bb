//! The seam between the engine and a dialect: a dialect is a pure translation. It parses documents to verbs, words
//! requests and callbacks, and signs them; it performs no request and decides no hearing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use conference::{EndCause, LeaveCause, MemberId, Role, Tag};

use crate::cause::HangupCause;
use crate::verb::{Fetch, Join, Method, Prompt, Verb};

/// Parameters of a request, in the order in which they are written. Keys may repeat.
pub type Params = Vec<(String, String)>;

/// A dialect. One value serves all accounts.
pub trait Dialect: Send + Sync + 'static {
    /// Its name in records: `plivo`, `jambonz`.
    fn name(&self) -> &'static str;

    /// The parameters of a request for instructions.
    fn request(&self, call: &CallView, purpose: &Purpose) -> Params;

    /// Instructions from the answer to such a request.
    fn document(&self, content_type: &str, body: &[u8]) -> Result<Vec<Verb>, DocumentError>;

    /// Prompts from a document that music and sound URLs may answer with; verbs other than prompts are left out.
    fn prompts(&self, content_type: &str, body: &[u8]) -> Result<Vec<Prompt>, DocumentError>;

    /// Headers that sign a request. `url` is what is asked for (no fragment; the query as sent for GET).
    fn sign(&self, keys: &SigningKeys, method: Method, url: &str, params: &Params) -> Vec<(String, String)>;

    /// What a happening is worth to this dialect's programs: the callbacks to deliver, in order.
    fn callbacks(&self, happening: &Happening<'_>) -> Vec<Callback>;

    /// Delivery limits that the URL asks for, for example in its fragment.
    fn delivery(&self, url: &str) -> DeliveryOptions;
}

/// Why a document cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Neither a document of the dialect nor sound.
    #[error("the answer is of type {0:?}; answer with application/xml")]
    WrongType(String),
    /// Not well formed.
    #[error("the document is broken at byte {offset}: {problem}; check that it is well formed and within the limits")]
    Malformed {
        /// Where.
        offset: usize,
        /// What.
        problem: String,
    },
    /// A verb that does not exist here.
    #[error("unknown verb {0:?}; see the support table for the verbs that are understood")]
    UnknownVerb(String),
    /// A bad attribute or child.
    #[error("{verb}: attribute {attribute} is {value:?}; {remedy}")]
    BadAttribute {
        /// The verb.
        verb: String,
        /// The attribute.
        attribute: String,
        /// What it was.
        value: String,
        /// What it may be.
        remedy: String,
    },
}

/// What a request for instructions is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// The call's first instructions.
    Answer,
    /// The same, after the first URL failed.
    Fallback,
    /// After digits were gathered.
    Digits(String),
    /// A redirect.
    Redirect,
    /// A program moved the call to other instructions.
    Transfer,
    /// After the call left a room.
    LeftRoom(Box<Departure>),
    /// A sound or music URL.
    Sound,
}

/// A stay in a room that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Departure {
    /// The room's id.
    pub room: String,
    /// Its name.
    pub room_name: String,
    /// The member as it left.
    pub member: MemberView,
}

/// The secrets that sign requests.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    /// The (sub-)account's token.
    pub token: String,
    /// The main account's token; the same for a main account.
    pub main_token: String,
}

/// How a callback may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// Longest time to connect.
    pub connect: Duration,
    /// Longest time for the whole exchange.
    pub total: Duration,
    /// Further attempts at once, for requests whose answer is awaited.
    pub retries: u32,
    /// Retry after a refused or timed-out connection.
    pub retry_connect: bool,
    /// Retry after a timed-out answer.
    pub retry_timeout: bool,
    /// Retry after 4xx.
    pub retry_4xx: bool,
    /// Retry after 5xx.
    pub retry_5xx: bool,
}

/// A request that nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Where to.
    pub to: Fetch,
    /// What it says.
    pub params: Params,
}

/// Which way a call was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The other side called us.
    Inbound,
    /// We called.
    Outbound,
}

/// What a call is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Not answered.
    Ringing,
    /// Answered.
    InProgress,
    /// Over.
    Ended,
}

/// A call as a dialect sees it. Times are UTC, in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallView {
    /// The call's UUID: Plivo's CallUUID, jambonz' call_sid.
    pub uuid: String,
    /// The account's auth id (main or sub-account).
    pub auth_id: String,
    /// The main account's auth id.
    pub main_auth_id: String,
    /// Which way.
    pub direction: Direction,
    /// Caller, digits without `+` or a SIP URI.
    pub from: String,
    /// Callee, the same.
    pub to: String,
    /// Caller's display name.
    pub caller_name: String,
    /// What it is doing.
    pub state: CallState,
    /// The request that made an outbound call.
    pub request_uuid: Option<String>,
    /// `X-PH-…` headers of an inbound INVITE, as received.
    pub headers: Params,
    /// When it began.
    pub began_at: i64,
    /// When it was answered.
    pub answered_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Why it ended.
    pub cause: Option<HangupCause>,
    /// Where its own state events go (outbound legs a program asked for).
    pub state_callback: Option<Fetch>,
    /// Where its end is told (`hangup_url`).
    pub hangup_callback: Option<Fetch>,
}

/// A room as a dialect sees it. Times are UTC, in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomView {
    /// The UUID of this life.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// The account's auth id.
    pub auth_id: String,
    /// Whether members are connected.
    pub started: bool,
    /// When it was opened.
    pub opened_at: i64,
    /// When it started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Why it ended.
    pub end_cause: Option<EndCause>,
    /// [`crate::verb::RoomSettings::callbacks`].
    pub callbacks: Option<serde_json::Value>,
    /// Whether the last member may stay.
    pub stay_alone: bool,
    /// Members at once.
    pub max_members: u32,
    /// Longest life, seconds.
    pub max_duration_s: Option<u64>,
}

/// A member as a dialect sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its number in the account's count, unique for all rooms (Plivo's `MemberID`).
    pub number: i64,
    /// Its id in the room.
    pub id: MemberId,
    /// Its role.
    pub role: Option<Role>,
    /// Its free tag.
    pub tag: Option<Tag>,
    /// The call.
    pub call_uuid: String,
    /// Whom the call is with, digits or a SIP URI.
    pub address: String,
    /// Caller of the call.
    pub from: String,
    /// Callee of the call.
    pub to: String,
    /// Which way the call was set up.
    pub direction: Direction,
    /// Whether it coaches.
    pub coaching: bool,
    /// Muted.
    pub muted: bool,
    /// On hold, by a takeover too.
    pub held: bool,
    /// When it entered, UTC microseconds; `None`: it never did.
    pub joined_at: Option<i64>,
    /// When it left.
    pub left_at: Option<i64>,
    /// Why it left.
    pub leave_cause: Option<LeaveCause>,
    /// Starts the room.
    pub start_on_enter: bool,
    /// Ends the room.
    pub end_on_exit: bool,
    /// [`crate::verb::MemberSettings::callbacks`].
    pub callbacks: Option<serde_json::Value>,
}

impl MemberView {
    /// Somebody who is dialled to become a member: no number, no time of entry.
    pub fn expected(join: &Join, call_uuid: &str, from: &str, to: &str) -> Self {
        let entry = &join.entry;
        Self {
            number: 0,
            id: MemberId(0),
            role: entry.role,
            tag: entry.tag.clone(),
            call_uuid: call_uuid.to_owned(),
            address: to.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            direction: Direction::Outbound,
            coaching: entry.coaching,
            muted: entry.muted,
            held: entry.held,
            joined_at: None,
            left_at: None,
            leave_cause: None,
            start_on_enter: entry.start_on_enter,
            end_on_exit: entry.end_on_exit,
            callbacks: join.member_settings.callbacks.clone(),
        }
    }
}

/// What happened, with what there is to say about it.
#[derive(Clone, Debug)]
pub struct Happening<'a> {
    /// When, UTC microseconds.
    pub at: i64,
    /// The running number in the room (rooms) or call (calls), from 1.
    pub sequence: u64,
    /// What.
    pub kind: &'a Kind,
    /// The room, for what happens in one.
    pub room: Option<&'a RoomView>,
    /// The member it concerns; for the room's own events the member who caused them, or the last.
    pub member: Option<&'a MemberView>,
    /// The call it concerns.
    pub call: Option<&'a CallView>,
}

/// The kinds of happenings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call of ours rings on the other side.
    CallRinging,
    /// A call was answered.
    CallAnswered,
    /// A call is over.
    CallEnded,
    /// A room was opened.
    RoomOpened,
    /// Its members are connected.
    RoomStarted,
    /// It is over.
    RoomEnded,
    /// A member entered.
    Joined,
    /// A member left, or a dialled one never came (no join time).
    Left,
    /// Muted (true) or unmuted.
    Muted(bool),
    /// Held or not.
    Held(bool),
    /// Coaching or not.
    Coaching(bool),
    /// The tag changed.
    Tagged,
    /// Took the call over, or gave it back.
    Takeover(bool),
    /// Speaks, or has stopped.
    Speaking(bool),
    /// Pressed a key.
    Digit(char),
    /// A program asked for a member to be dialled or moved in.
    AddInitiated,
    /// That was done, or failed, in words.
    AddCompleted(String),
    /// Something that an operator should know; in words, with the remedy.
    Warning(String),
}

impl Kind {
    /// The name in the event log and the native API, for example `member.joined`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CallRinging => "call.ringing",
            Self::CallAnswered => "call.answered",
            Self::CallEnded => "call.ended",
            Self::RoomOpened => "room.opened",
            Self::RoomStarted => "room.started",
            Self::RoomEnded => "room.ended",
            Self::Joined => "member.joined",
            Self::Left => "member.left",
            Self::Muted(true) => "member.muted",
            Self::Muted(false) => "member.unmuted",
            Self::Held(true) => "member.held",
            Self::Held(false) => "member.unheld",
            Self::Coaching(true) => "member.coaching_started",
            Self::Coaching(false) => "member.coaching_stopped",
            Self::Tagged => "member.tagged",
            Self::Takeover(true) => "member.takeover_started",
            Self::Takeover(false) => "member.takeover_stopped",
            Self::Speaking(true) => "member.speaking_started",
            Self::Speaking(false) => "member.speaking_stopped",
            Self::Digit(_) => "member.digit",
            Self::AddInitiated => "member.add_initiated",
            Self::AddCompleted(_) => "member.add_completed",
            Self::Warning(_) => "warning",
        }
    }
}

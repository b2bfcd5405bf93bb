//! Calls, rooms and members as a dialect sees them.

use std::sync::Arc;

use conference::{EndCause, LeaveCause, MemberId, Role, Tag};
use serde::{Deserialize, Serialize};

use super::Params;
use crate::cause::HangupCause;
use crate::ticket::Holder;
use crate::verb::{Fetch, Join};

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

impl CallView {
    /// A call that has just begun.
    pub fn new(uuid: String, account: String, direction: Direction, began_at: i64) -> Self {
        Self {
            uuid,
            auth_id: String::new(),
            main_auth_id: String::new(),
            account,
            direction,
            from: String::new(),
            to: String::new(),
            caller_name: String::new(),
            state: CallState::Ringing,
            request_uuid: None,
            sip: SipView { status: 100, reason: "Trying".to_owned(), ..SipView::default() },
            parent: None,
            app_sid: None,
            attached: None,
            room: None,
            origin: None,
            application: None,
            headers: Vec::new(),
            began_at,
            answered_at: None,
            ended_at: None,
            cause: None,
            state_callback: None,
            hangup_callback: None,
            webrtc: false,
            endpoint: None,
            ticket: None,
        }
    }
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
    /// The store's id of the main account, a UUID.
    #[serde(default)]
    pub account: String,
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
    /// What signalling knows.
    #[serde(default)]
    pub sip: SipView,
    /// The call that dialled this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The application's UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_sid: Option<String>,
    /// What requests carry of the program's own: JSON text of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<String>,
    /// The room it is in, by UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// What it was made from; of no interest once it has its first instructions.
    #[serde(skip)]
    pub origin: Option<Arc<Origin>>,
    /// The application's own address, in a snapshot of a live call: what hooks are relative to.
    #[serde(skip)]
    pub application: Option<Fetch>,
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
    /// Whether its media is a browser's.
    #[serde(skip)]
    pub webrtc: bool,
    /// The endpoint that it is with, by its id.
    #[serde(skip)]
    pub endpoint: Option<String>,
    /// Who came with a ticket.
    #[serde(skip)]
    pub ticket: Option<Arc<Holder>>,
}

/// What signalling knows of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SipView {
    /// SIP Call-ID.
    pub call_id: String,
    /// The last status: 100, 180, 200, …
    pub status: u16,
    /// Its reason phrase.
    pub reason: String,
    /// Where signalling comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<std::net::SocketAddr>,
    /// The trunk's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// `X-` headers of the BYE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bye: Params,
}

/// What a call was made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The INVITE of a call that came in.
    pub invite: Option<Invite>,
    /// The application's settings, in the dialect's words.
    pub settings: serde_json::Value,
}

/// An INVITE as it was received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Invite {
    /// The request URI.
    pub uri: String,
    /// All headers, in order.
    pub headers: Params,
    /// The body.
    pub body: String,
    /// `udp`, `tcp`, …
    pub transport: String,
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
    /// Members that take part.
    #[serde(default)]
    pub members: u32,
    /// It has no name: it connects two calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unnamed: bool,
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
    /// In, and takes part.
    #[serde(default)]
    pub admitted: bool,
    /// [`crate::verb::MemberSettings::callbacks`].
    pub callbacks: Option<serde_json::Value>,
}

impl RoomView {
    /// A room that has just been opened.
    pub(crate) fn opened(uuid: &str, name: &str, auth_id: &str, unnamed: bool, at: i64) -> Self {
        Self {
            uuid: uuid.to_owned(),
            name: name.to_owned(),
            auth_id: auth_id.to_owned(),
            started: false,
            opened_at: at,
            started_at: None,
            ended_at: None,
            end_cause: None,
            callbacks: None,
            stay_alone: false,
            members: 0,
            unnamed,
            max_members: 0,
            max_duration_s: None,
        }
    }
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
            admitted: false,
            callbacks: join.member_settings.callbacks.clone(),
        }
    }
}

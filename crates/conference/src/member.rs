//! Members: who is in the room, and with which rules.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audience::{Audience, Tag};

/// A member of one room life. Small, counted from 1, never reused in that life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MemberId(pub u32);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A player that sounds in the room (an announcement, an entry beep). Never reused in a room life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlayerId(pub u32);

/// A recorder or tap on the room. Never reused in a room life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TapId(pub u32);

/// A leg that is being dialled and sounds already. Never reused in a room life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EarlyId(pub u32);

/// What a member is in the call. Fixed at entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves the customer; is who a coaching supervisor speaks to.
    Agent,
    /// Listens in, whispers, speaks to all, takes over.
    Supervisor,
    /// Whom the call is for.
    Customer,
}

impl Role {
    /// The role's name, in lower case, as a tag would spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Supervisor => "supervisor",
            Self::Customer => "customer",
        }
    }

    /// The role of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Agent, Self::Supervisor, Self::Customer]
            .into_iter()
            .find(|role| name.eq_ignore_ascii_case(role.as_str()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All rules with which a member enters: they hold from its first sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its role; members of a jambonz room have none.
    pub role: Option<Role>,
    /// Its free tag.
    pub tag: Option<Tag>,
    /// Whom it speaks to while it coaches.
    pub coach_audience: Audience,
    /// Whether it coaches from the start: is heard by [`Entry::coach_audience`] alone.
    pub coaching: bool,
    /// Heard by nobody.
    pub muted: bool,
    /// Heard by nobody, and hears its hold music alone.
    pub held: bool,
    /// Hears nothing of the room.
    pub deaf: bool,
    /// Its entry starts the room.
    pub start_on_enter: bool,
    /// Its departure ends the room.
    pub end_on_exit: bool,
    /// Its key presses are heard as tones, by whoever may hear it.
    pub relay_digits: bool,
    /// It is in, and takes no part before [`crate::Room::admit`]: it hears something of its own first.
    pub preparing: bool,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            role: None,
            tag: None,
            coach_audience: Audience::coached(),
            coaching: false,
            muted: false,
            held: false,
            deaf: false,
            start_on_enter: true,
            end_on_exit: false,
            relay_digits: false,
            preparing: false,
        }
    }
}

/// The sound that a member alone hears, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrivateSound {
    /// The room has not started, or the member is alone in it.
    Wait,
    /// The member is on hold.
    Hold,
}

/// A member as the room sees it. Fields are what was asked for; what holds (with a takeover counted in) is asked of the
/// [`crate::Room`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number in this room life.
    pub id: MemberId,
    /// Its role.
    pub role: Option<Role>,
    /// Its free tag.
    pub tag: Option<Tag>,
    /// Whom it speaks to while it coaches.
    pub coach_audience: Audience,
    /// Whether it coaches.
    pub coaching: bool,
    /// Muted.
    pub muted: bool,
    /// On hold, a takeover not counted in.
    pub held: bool,
    /// Deaf.
    pub deaf: bool,
    /// Ends the room when it leaves, a takeover not counted in.
    pub end_on_exit: bool,
    /// It started the room on entry, or would have.
    pub start_on_enter: bool,
    /// Digits are relayed as sound.
    pub relay_digits: bool,
    /// In, and takes no part yet.
    pub preparing: bool,
    /// When the room ends, should this member's departure end it later than at once.
    pub(crate) end_deferred_to: Option<Duration>,
    /// When it entered.
    pub joined_at: Duration,
}

impl Member {
    pub(crate) fn new(id: MemberId, entry: Entry, now: Duration) -> Self {
        Self {
            id,
            role: entry.role,
            tag: entry.tag,
            coach_audience: entry.coach_audience,
            coaching: entry.coaching,
            muted: entry.muted,
            held: entry.held,
            deaf: entry.deaf,
            end_on_exit: entry.end_on_exit,
            start_on_enter: entry.start_on_enter,
            relay_digits: entry.relay_digits,
            preparing: entry.preparing,
            end_deferred_to: None,
            joined_at: now,
        }
    }

    /// Whom its microphone permits now.
    pub fn audience(&self) -> &Audience {
        if self.coaching { &self.coach_audience } else { &Audience::Everyone }
    }

    /// Whether it is heard by some only, should it speak.
    pub fn is_whispering(&self) -> bool {
        self.audience().is_whisper()
    }

    /// Whether it counts as an agent: by role, or by a free tag of that name.
    pub fn is_agent(&self) -> bool {
        counts_as_agent(self.role, self.tag.as_ref())
    }
}

/// Whether somebody of this role and free tag counts as an agent: by role, or by a tag of that name.
pub fn counts_as_agent(role: Option<Role>, tag: Option<&Tag>) -> bool {
    role == Some(Role::Agent) || tag.is_some_and(|tag| tag.as_str() == Role::Agent.as_str())
}

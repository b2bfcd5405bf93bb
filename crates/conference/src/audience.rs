//! Whom a source permits, and what a listener is for.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::member::{MemberId, Role, TapId};

/// A free tag: any short text a program gives a member (jambonz `memberTag`). Compared byte for byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Tag(Arc<str>);

impl Tag {
    /// A tag of this text.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Tag {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.as_str().to_owned()
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:?})", &self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One part of an [`Audience::Only`]; a listener who matches any of them is in the audience.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Clause {
    /// Whoever carries this free tag, or has the role of this name.
    Tag(Tag),
    /// Whoever has this role, or carries a free tag of its name. [`Role::Supervisor`] also matches whoever is whispering,
    /// customers excepted.
    Role(Role),
    /// One member.
    Member(MemberId),
    /// One recorder or tap.
    Tap(TapId),
}

/// Whom a source permits to hear it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Every listener of the room.
    Everyone,
    /// The union of these clauses; nobody when empty. A source with such an audience is a *whisper*.
    Only(Vec<Clause>),
}

impl Audience {
    /// Heard by no one.
    pub const NOBODY: Self = Self::Only(Vec::new());

    /// Heard by members carrying `tag` alone (jambonz `speakOnlyTo`).
    pub fn tag(tag: Tag) -> Self {
        Self::Only(vec![Clause::Tag(tag)])
    }

    /// The coaching supervisor's audience: agents and supervisors (Plivo `coachMode`).
    pub fn coached() -> Self {
        Self::Only(vec![Clause::Role(Role::Agent), Clause::Role(Role::Supervisor)])
    }

    /// Whether a source with this audience whispers.
    pub fn is_whisper(&self) -> bool {
        !matches!(self, Self::Everyone)
    }
}

/// What a listener is for: which of the sources that permit it does it take in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wants {
    /// Everything it may hear.
    Mix,
    /// One member's microphone alone.
    Track(MemberId),
    /// Everything it may hear except whispers.
    MixWithoutWhispers,
    /// What this member's ear hears of the room, whispers left out: the outbound side of a call's tap.
    EarOf(MemberId),
}

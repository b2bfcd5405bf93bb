//! What programs may ask of rooms and calls, in no dialect's words: who asks, of what, and why it is refused.

mod call;
mod dial;
mod room;

use store::ActorKind;

pub use call::{CallChanged, CallCommand, CallSnapshot, Next};
pub use dial::{AddMember, Added, AddedCall, Confirm, Destination, Dial, DialMusic, Newcomer, PlaceCall, Placed};
pub use room::{
    Applied, HearingMatrix, HearingRow, MemberChange, ModeCommand, ModeName, RoomSnapshot, TapRoom, Tapped,
};

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
    /// These, by [`crate::dialect::MemberView::number`].
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

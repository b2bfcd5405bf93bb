//! What can be dialled by name.

/// What an endpoint means by the name that it dialled, in place of its own application's instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// An application of the account, by its UUID.
    Application(String),
    /// The first call of a queue.
    Queue(String),
    /// A room, which it starts, and in which it is a moderator.
    Room(String),
    /// Another endpoint, if there is one of this user name.
    Endpoint(String),
}

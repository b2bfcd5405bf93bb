//! A program that is reached by a connection of its own for each call: what is said to it and what it says. The protocol is a
//! dialect's and knows no sockets ([`Protocol`]); a task ([`start`]) owns the WebSocket and does what the protocol says.

mod protocol;
mod task;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use protocol::{Output, Protocol};
pub use task::{LinkHandle, start};

pub(crate) use task::start_in;

use crate::dialect::Purpose;

/// A request for instructions.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Repeated in the answer. The asker's own: [`LinkHandle`] gives the protocol another one, unique in the link.
    pub number: u64,
    /// The call that asks.
    pub call: String,
    /// What for.
    pub purpose: Purpose,
    /// The hook, as the program wrote it.
    pub hook: String,
    /// JSON text of an object.
    pub body: String,
}

/// Something that needs no instructions in return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tell {
    /// The message's type, in the dialect's words.
    pub message: &'static str,
    /// The call that it is about.
    pub call: String,
    /// The hook, as the program wrote it.
    pub hook: Option<String>,
    /// JSON text of an object.
    pub body: String,
}

/// Why a link ends on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The call is over, or has another application now.
    Over,
    /// The program's first instructions cannot be run.
    BadInstructions,
}

/// Why there is no answer. Instructions go on with what they have, unless the question was a vital one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// None came in time.
    #[error("the application did not answer in time; it must acknowledge every message that asks for it")]
    Late,
    /// The connection was lost before the answer came; the question is not repeated.
    #[error("the connection to the application was lost before it answered")]
    Interrupted,
    /// The program has closed the connection on purpose.
    #[error("the application has closed the connection and is not asked any more")]
    Left,
    /// The program is gone for good.
    #[error("the application is gone")]
    Lost,
    /// The link is over.
    #[error("the connection to the application is over, as the call is")]
    Over,
    /// The hook is on another connection than the call's own.
    #[error("a hook on another WebSocket than the application's own is not asked; redirect the call there instead")]
    Elsewhere,
    /// Too many questions and messages wait.
    #[error("too many messages to the application wait already; it takes them too slowly")]
    Full,
}

/// What a call hears of its program, in the order in which the program said it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer to an [`Ask`].
    Answered {
        /// The asker's number.
        number: u64,
        /// What was asked.
        purpose: Purpose,
        /// A document, for [`crate::dialect::Dialect::document`], as JSON; or none: nothing new.
        answer: Result<Option<String>, NoAnswer>,
    },
    /// The program commands something. Only the link's owner hears these.
    Command {
        /// Of which call; of the link's own if it names none.
        call: Option<String>,
        /// The frame, well formed in the dialect.
        frame: String,
    },
    /// The program has closed the connection on purpose: what it has said goes on, nothing more comes. Only the owner hears
    /// this.
    Left,
    /// The program is gone for good: why. Only the owner hears this.
    Lost(String),
}

/// Whoever hears events.
#[async_trait]
pub trait Listener: Send + Sync + 'static {
    /// Takes an event, as soon as there is room for it. Meanwhile the program is not read from. False: nobody listens any
    /// more.
    async fn hear(&self, event: Event) -> bool;
}

#[async_trait]
impl<M: From<Event> + Send + 'static> Listener for mpsc::Sender<M> {
    async fn hear(&self, event: Event) -> bool {
        self.send(event.into()).await.is_ok()
    }
}

#[cfg(test)]
mod tests;

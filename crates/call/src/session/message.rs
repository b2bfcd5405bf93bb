//! What a call's task is told.

use conference::LeaveCause;
use media::{PlayId, Sound};
use tokio::sync::{mpsc, oneshot};

use crate::cause::{FaultAt, HangupCause};
use crate::command::{CallCommand, CallSnapshot, CommandError};
use crate::dialect::{Departure, Purpose};
use crate::hooks::HookError;
use crate::room::{Joined, RoomHandle};
use crate::sound::SoundFault;
use crate::verb::{Join, Verb};

/// A command or fact for a call.
pub(crate) enum CallMessage {
    Media(LegFact),
    LeftRoom(Box<Departure>, LeaveCause),
    Command(CallCommand, oneshot::Sender<Result<(), CommandError>>),
    Move {
        join: Box<Join>,
        room: RoomHandle,
        dialect: &'static str,
        reply: oneshot::Sender<Result<Joined, CommandError>>,
    },
    Snapshot(oneshot::Sender<CallSnapshot>),
    Fetched(Box<Fetched>),
    Loaded(u64, Box<Result<Sound, SoundFault>>),
    End(HangupCause),
}

/// What the media plane tells of a leg.
#[derive(Clone, Debug)]
pub(crate) enum LegFact {
    Digit(char),
    PlayEnded(PlayId),
    Speaking(bool),
    Timeout,
    Failed(String),
}

/// The answer to a request for instructions.
pub(crate) struct Fetched {
    pub purpose: Purpose,
    pub at: FaultAt,
    pub result: Result<Vec<Verb>, HookError>,
}

/// How many messages may wait for one call.
pub(crate) const MAILBOX: usize = 256;

/// The way to a call's task. Cheap to clone.
#[derive(Clone)]
pub struct CallMailbox {
    sender: mpsc::Sender<CallMessage>,
}

impl CallMailbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<CallMessage>) {
        let (sender, messages) = mpsc::channel(MAILBOX);
        (Self { sender }, messages)
    }

    /// Puts a message in without waiting; false if the mailbox is full.
    pub(crate) fn offer(&self, message: CallMessage) -> bool {
        !matches!(self.sender.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Puts a message in; false if the call is over.
    pub(crate) async fn send(&self, message: CallMessage) -> bool {
        self.sender.send(message).await.is_ok()
    }
}

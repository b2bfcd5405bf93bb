//! What a call's task is told.

use conference::{LeaveCause, MemberId};
use media::PlayId;
use tokio::sync::{mpsc, oneshot};

use crate::cause::{FaultAt, HangupCause};
use crate::command::{Asker, CallChanged, CallCommand, CallSnapshot, CommandError};
use crate::dialect::{Departure, Purpose, Understood};
use crate::hooks::HookError;
use crate::link;
use crate::room::{Joined, RoomHandle};
use crate::sound::{Heard, SoundFault};
use crate::verb::{Fetch, Instruction, Join, Label};

use super::asked::Asked;
use super::prompts::Lane;
use super::stream::Slot;
use super::{bridge, queue, split};
use crate::stream::Ended;

/// A command or fact for a call.
pub(crate) enum CallMessage {
    Media(LegFact),
    LeftRoom(Box<Departure>, LeaveCause),
    /// The room that the call is in has started.
    RoomStarted(String),
    /// Whether the call is on hold in its room, or what it hears there.
    Hold(Box<HoldTold>),
    Command(CallCommand, Asker, oneshot::Sender<Result<CallChanged, CommandError>>),
    Move {
        join: Box<Join>,
        room: RoomHandle,
        dialect: &'static str,
        reply: oneshot::Sender<Result<Joined, CommandError>>,
    },
    Snapshot(oneshot::Sender<CallSnapshot>),
    Fetched(Box<Fetched>),
    /// What somebody said, by the number of the listening.
    Understood(u64, Result<Understood, String>),
    /// This stream of sound, by its number, is over.
    StreamEnded(Slot, u64, Ended),
    /// A command of the call's program was refused, or an instruction of this label failed.
    Refused(CommandError, Option<Label>),
    /// What the call's program says.
    Link(Box<link::Event>),
    /// What the call's dial reports, or its callee.
    Bridge(bridge::Report),
    /// What queues tell.
    Queue(queue::Report),
    /// It leaves the call that dialled it, and goes on by itself.
    GoOn(Box<split::GoOn>),
    /// How the far side, by the transfer's number, answers its REFER: with this status, or not.
    ReferAnswered(u64, Result<u16, String>),
    Loaded(Lane, Asked, Box<Result<Heard, SoundFault>>),
    /// The far side's browser has ended the call's media.
    PeerLeft,
    End(HangupCause),
}

/// What the media plane tells of a leg.
#[derive(Clone, Debug)]
pub(crate) enum LegFact {
    /// Which, and how long it was held.
    Digit(char, std::time::Duration),
    PlayEnded(PlayId),
    Speaking(bool),
    Timeout,
    Failed(String),
}

/// What a room tells of a member's hold.
pub(crate) struct HoldTold {
    pub room: String,
    pub member: MemberId,
    /// Greater than that of whatever the room told before.
    pub number: u64,
    pub held: bool,
    /// Asked again and again for what it hears meanwhile.
    pub wait: Option<Fetch>,
}

/// The answer to a request for instructions.
pub(crate) struct Fetched {
    /// Which program asked, and its number of the request.
    pub asked: Asked,
    pub purpose: Purpose,
    pub at: FaultAt,
    pub result: Result<Option<Vec<Instruction>>, HookError>,
}

impl From<link::Event> for CallMessage {
    fn from(event: link::Event) -> Self {
        Self::Link(Box::new(event))
    }
}

/// Where an answer goes that is given only when this is recorded: it goes on from here by itself.
pub(super) fn answer_after<T: Send + 'static>(
    recorded: Option<oneshot::Receiver<()>>,
    reply: oneshot::Sender<T>,
) -> oneshot::Sender<T> {
    let Some(recorded) = recorded else { return reply };
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        if let Ok(answer) = told.await {
            // An error means that the room is over.
            let _ = recorded.await;
            drop(reply.send(answer));
        }
    });
    tell
}

/// How many messages may wait for one call.
pub(crate) const MAILBOX: usize = 256;

/// The way to a call's task. Cheap to clone.
#[derive(Clone)]
pub struct CallMailbox {
    sender: mpsc::Sender<CallMessage>,
}

impl CallMailbox {
    /// The way for what must be heard in order.
    pub(crate) fn sender(&self) -> mpsc::Sender<CallMessage> {
        self.sender.clone()
    }

    pub(crate) fn new() -> (Self, mpsc::Receiver<CallMessage>) {
        let (sender, messages) = mpsc::channel(MAILBOX);
        (Self { sender }, messages)
    }

    /// Puts a command in without waiting; false if the mailbox is full.
    pub(crate) fn offer(&self, message: CallMessage) -> bool {
        !matches!(self.sender.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Puts in what may be lost, while there is room to spare; false if there is none.
    pub(crate) fn spare(&self, message: CallMessage) -> bool {
        self.sender.capacity() > MAILBOX / 4 && self.offer(message)
    }

    /// Puts in what must arrive: it waits for a place by itself if need be. Whoever owes a message owes it once, so that
    /// no more wait than there are members and prompts.
    pub(crate) fn owe(&self, message: CallMessage) {
        if let Err(mpsc::error::TrySendError::Full(message)) = self.sender.try_send(message) {
            let sender = self.sender.clone();
            // A call that ends meanwhile is owed nothing any more.
            tokio::spawn(async move { sender.send(message).await.ok() });
        }
    }

    /// Puts a message in; false if the call is over.
    pub(crate) async fn send(&self, message: CallMessage) -> bool {
        self.sender.send(message).await.is_ok()
    }
}

//! Publishes what happened in a room, in order: waits until the shard has applied a change, commits its events,
//! callbacks, records and ledger entry in one piece, then answers whoever asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::command::{Applied, Asker, CommandError, HearingMatrix};
use crate::engine::Inner;
use crate::records::{Happened, LedgerNote, RoomRows};
use crate::session::{CallMailbox, CallMessage};

use super::handle::{Joined, RoomHandle};

/// How long a shard may take before a change is answered as pending.
const CONFIRMATION: Duration = Duration::from_secs(1);

pub(super) type Change = Pin<Box<dyn Future<Output = Result<media::Applied, media::MediaError>> + Send>>;

/// Something to be published.
pub(super) struct Publication {
    /// Resolves when the shard has applied the change; `None` where nothing changes.
    pub change: Option<Change>,
    /// What happened, in order.
    pub records: Vec<Happened>,
    /// The rows of the room and its members as they now are.
    pub rows: Option<RoomRows>,
    /// Who hears whom from now on.
    pub hearing: Option<HearingMatrix>,
    /// Who asked.
    pub by: Asker,
    /// The command's id.
    pub command_id: Option<String>,
    /// Done when all is committed, in order.
    pub after: Vec<After>,
    /// The room is over with this.
    pub last: bool,
}

/// What follows a commit.
pub(super) enum After {
    Applied(oneshot::Sender<Result<Applied, CommandError>>),
    Joined(oneshot::Sender<Result<Joined, CommandError>>, conference::MemberId, i64),
    Left(oneshot::Sender<()>),
    Expected(oneshot::Sender<Result<(), CommandError>>),
    Notify(CallMailbox, Box<CallMessage>),
}

pub(super) async fn publish(
    inner: Arc<Inner>,
    me: RoomHandle,
    mut publications: mpsc::Receiver<Publication>,
    gone: watch::Sender<bool>,
) {
    let (account, room) = (me.account().to_owned(), me.uuid().to_owned());
    let mut latest = Applied { confirmed: true, shard: 0, tick: 0, at: inner.clock.utc() };
    while let Some(publication) = publications.recv().await {
        let Publication { change, records, rows, hearing, by, command_id, after, last } = publication;
        let applied = match change {
            None => Applied { at: inner.clock.utc(), ..latest },
            Some(change) => confirm(&inner, &me, change, latest, last).await,
        };
        latest = applied;
        let at = applied.at;
        let ledger = hearing.map(|matrix| LedgerNote {
            applied,
            by: by.clone(),
            command_id,
            hearing: HearingMatrix { tick: applied.tick, at, ..matrix },
        });
        let ledger = ledger.map(|note| (room.clone(), note));
        let records = inner.records.record_all(&account, at, &records).await;
        if let Err(error) = inner.records.commit_room(&account, rows, records, ledger).await {
            // The change is in force; the answer says so, and the log says what is missing.
            tracing::error!(account, room, %error, "what happened in the room could not be recorded; check the database");
        }
        for step in after {
            step.run(applied);
        }
        if last {
            break;
        }
    }
    inner.rooms.forget(&room);
    gone.send_replace(true);
}

async fn confirm(inner: &Inner, me: &RoomHandle, change: Change, latest: Applied, last: bool) -> Applied {
    let room = me.uuid();
    let pending = |at| Applied { confirmed: false, at, ..latest };
    match tokio::time::timeout(CONFIRMATION, change).await {
        Ok(Ok(applied)) => Applied { confirmed: true, shard: applied.shard, tick: applied.tick, at: applied.at_micros },
        Ok(Err(error)) => {
            tracing::warn!(room, %error, "the media plane did not apply a change; the plan in force is sent again");
            if !last && !me.resend() {
                tracing::error!(room, "the room is too busy to send its plan again");
            }
            pending(inner.clock.utc())
        }
        Err(_) => {
            tracing::warn!(room, "the media plane has not confirmed a change within 1 s");
            pending(inner.clock.utc())
        }
    }
}

impl After {
    /// Tells whoever waits that nothing was done.
    pub(super) fn refuse(self, error: &CommandError) {
        match self {
            Self::Applied(reply) => drop(reply.send(Err(error.clone()))),
            Self::Joined(reply, ..) => drop(reply.send(Err(error.clone()))),
            Self::Expected(reply) => drop(reply.send(Err(error.clone()))),
            Self::Left(_) | Self::Notify(..) => {}
        }
    }

    fn run(self, applied: Applied) {
        // Whoever no longer waits for an answer has gone away; that is his right.
        match self {
            Self::Applied(reply) => drop(reply.send(Ok(applied))),
            Self::Joined(reply, member, number) => drop(reply.send(Ok(Joined { member, number, applied }))),
            Self::Left(reply) => drop(reply.send(())),
            Self::Expected(reply) => drop(reply.send(Ok(()))),
            Self::Notify(mailbox, message) => mailbox.owe(*message),
        }
    }
}

//! Publishes what happened in a room, in order: waits until the shard has applied a change, commits its events,
//! callbacks, records and ledger entry in one piece, then answers whoever asked. What takes longer than a second is answered
//! as pending and comes later, in its order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::command::{Applied, Asker, CommandError, HearingMatrix, Tapped};
use crate::engine::Inner;
use crate::journal::{self, Journal};
use crate::records::{Happened, LedgerNote, RoomRows};
use crate::session::{CallMailbox, CallMessage};

use super::handle::{InForce, Joined, RoomHandle};
use super::live::LiveRoom;

/// How long the shard and the database may take before a change is answered as pending.
const CONFIRMATION: Duration = journal::ANSWER;

pub(super) type Change = Pin<Box<dyn Future<Output = Result<media::Applied, media::MediaError>> + Send>>;

/// Something to be published.
pub(super) struct Publication {
    /// Resolves when the shard has applied the change; `None` where nothing changes.
    pub change: Option<Change>,
    /// When the change was put into the shard's queue: every change has a second from there, however many wait.
    pub sent: Instant,
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
    /// Done, in order, when all is committed or will be.
    pub after: Vec<After>,
    /// Answered as soon as the shard has applied all that was changed before.
    pub left: Vec<oneshot::Sender<()>>,
    /// What people see of the room from then on; without its tick.
    pub live: Option<Box<LiveRoom>>,
    /// The room is over with this.
    pub last: bool,
}

/// What follows a commit, or the answer that it is pending.
pub(super) enum After {
    Applied(oneshot::Sender<Result<Applied, CommandError>>),
    Joined(oneshot::Sender<Result<Joined, CommandError>>, conference::MemberId, i64, bool),
    Recorded(oneshot::Sender<()>),
    Tapped(oneshot::Sender<Result<Tapped, CommandError>>, Tapped),
    Untapped(oneshot::Sender<Result<bool, CommandError>>, bool),
    Expected(oneshot::Sender<Result<(), CommandError>>),
    /// Who hears whom, without the tick from which it holds.
    Hearing(oneshot::Sender<Result<HearingMatrix, CommandError>>, HearingMatrix),
    Notify(CallMailbox, Box<CallMessage>),
}

pub(super) async fn publish(
    inner: Arc<Inner>,
    me: RoomHandle,
    mut publications: mpsc::Receiver<Publication>,
    gone: watch::Sender<bool>,
) {
    let (account, room) = (me.account().to_owned(), me.uuid().to_owned());
    let mut journal = Journal::new(me.identity.backlog.clone());
    let mut latest = Applied { confirmed: true, shard: 0, tick: 0, at: inner.clock.utc() };
    while let Some(publication) = publications.recv().await {
        let Publication { change, sent, records, rows, hearing, by, command_id, after, left, live, last } = publication;
        let applied = match change {
            None => {
                let confirmed = me.identity.pending.load(Ordering::Relaxed) == 0;
                Applied { confirmed, at: inner.clock.utc(), ..latest }
            }
            Some(change) => confirm(&inner, &me, change, sent + CONFIRMATION, latest, (last, hearing.is_some())).await,
        };
        left.into_iter().for_each(now);
        if let Some(live) = live {
            me.show(*live, applied.shard);
        }
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
        let until = journal::answer_by(sent);
        let recorded = match inner.records.of_room(&account, rows, records, ledger).await {
            Ok(batch) if batch.is_empty() => true,
            Ok(batch) => journal.write(&inner, &room, batch, until).await,
            Err(error) => {
                // The change is in force; the answer says so, and the log says what is missing.
                tracing::error!(account, room, %error, "what happened in the room cannot be recorded");
                true
            }
        };
        let answer = Applied { confirmed: applied.confirmed && recorded, ..applied };
        for step in after {
            step.run(answer, &me);
        }
        if last {
            break;
        }
    }
    // The next room of this name must not be recorded before this one's end.
    journal.queued().await;
    inner.rooms.forget(&room);
    gone.send_replace(true);
}

/// Whoever no longer waits has gone away.
fn now(waiting: oneshot::Sender<()>) {
    let _ = waiting.send(());
}

/// Answers `left` as soon as the shard has applied the change, or a second has passed: not only when it is this change's
/// turn to be recorded.
pub(super) fn letting_go(mut change: Change, sent: Instant, left: Vec<oneshot::Sender<()>>) -> Change {
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let in_time = tokio::time::timeout_at(sent + CONFIRMATION, &mut change).await.ok();
        left.into_iter().for_each(now);
        let outcome = match in_time {
            Some(outcome) => outcome,
            None => change.await,
        };
        drop(tell.send(outcome));
    });
    Box::pin(async move { told.await.unwrap_or(Err(media::MediaError::Stopped)) })
}

async fn confirm(
    inner: &Inner,
    me: &RoomHandle,
    mut change: Change,
    deadline: Instant,
    latest: Applied,
    (last, heard_differently): (bool, bool),
) -> Applied {
    let room = me.uuid();
    let pending = |at| Applied { confirmed: false, at, ..latest };
    match tokio::time::timeout_at(deadline, &mut change).await {
        Ok(Ok(applied)) => {
            if heard_differently {
                me.holds_from(applied.tick, applied.at_micros);
            }
            Applied { confirmed: true, shard: applied.shard, tick: applied.tick, at: applied.at_micros }
        }
        Ok(Err(error)) => {
            dropped(me, &error, last);
            pending(inner.clock.utc())
        }
        Err(_) => {
            tracing::warn!(room, "the media plane has not confirmed a change within 1 s");
            let me = me.clone();
            me.identity.pending.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                match change.await {
                    Ok(applied) if heard_differently => me.holds_from(applied.tick, applied.at_micros),
                    Ok(_) => {}
                    Err(error) => dropped(&me, &error, last),
                }
                me.identity.pending.fetch_sub(1, Ordering::Relaxed);
                me.show_confirmed();
            });
            pending(inner.clock.utc())
        }
    }
}

fn dropped(me: &RoomHandle, error: &media::MediaError, last: bool) {
    let room = me.uuid();
    tracing::warn!(room, %error, "the media plane did not apply a change; the plan in force is sent again");
    if !last && !me.resend() {
        tracing::error!(room, "the room is too busy to send its plan again");
    }
}

impl After {
    /// Tells whoever waits that nothing was done.
    pub(super) fn refuse(self, error: &CommandError) {
        match self {
            Self::Applied(reply) => drop(reply.send(Err(error.clone()))),
            Self::Joined(reply, ..) => drop(reply.send(Err(error.clone()))),
            Self::Expected(reply) => drop(reply.send(Err(error.clone()))),
            Self::Tapped(reply, _) => drop(reply.send(Err(error.clone()))),
            Self::Untapped(reply, _) => drop(reply.send(Err(error.clone()))),
            Self::Hearing(reply, _) => drop(reply.send(Err(error.clone()))),
            Self::Recorded(_) | Self::Notify(..) => {}
        }
    }

    fn run(self, applied: Applied, room: &RoomHandle) {
        // Whoever no longer waits for an answer has gone away; that is his right.
        match self {
            Self::Applied(reply) => drop(reply.send(Ok(applied))),
            Self::Joined(reply, member, number, started) => {
                drop(reply.send(Ok(Joined { member, number, applied, started })));
            }
            Self::Recorded(reply) => drop(reply.send(())),
            Self::Expected(reply) => drop(reply.send(Ok(()))),
            Self::Tapped(reply, tapped) => drop(reply.send(Ok(tapped))),
            Self::Untapped(reply, was) => drop(reply.send(Ok(was))),
            Self::Hearing(reply, matrix) => {
                let InForce { tick, at } = room.in_force();
                let pending = room.identity.pending.load(Ordering::Relaxed) > 0;
                drop(reply.send(Ok(HearingMatrix { tick, at, pending, ..matrix })));
            }
            Self::Notify(mailbox, message) => mailbox.owe(*message),
        }
    }
}

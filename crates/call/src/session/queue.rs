//! Waits in queues, and takes calls out of them. Both meet in a room of their own; the departure of either ends it.

use std::time::Duration;

use conference::LeaveCause;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::coming::Coming;
use super::interlude::Waiting;
use super::{CallMailbox, CallMessage, Session};
use crate::dialect::{Kind, Outcome, Purpose, QueueView};
use crate::engine::queue_owner;
use crate::interpreter::Interpreter;
use crate::queues::{Taken, Ticket};
use crate::room::RoomHandle;
use crate::verb::{Dequeue, Enqueue, Fetch, LONGEST_QUEUE_NAME, Prompt, QueueEnd, Verb};

/// What a call has to do with a queue.
pub(super) enum Queueing {
    /// It waits in one.
    Waits(Waits),
    /// Somebody took it out, and both are connected.
    WasTaken { queue: String, waited: Duration },
    /// It waits for a call of one.
    Seeks(Seeks),
    /// It has one, and both are connected or about to be.
    Took { seeks: Seeks, taken: Taken, met: bool },
}

/// A call in a queue.
pub(super) struct Waits {
    ticket: Ticket,
    since: Duration,
    /// Asked for what to hear.
    wait: Option<Fetch>,
    /// Somebody has taken it, and waits in this room.
    meeting: Option<Meeting>,
}

/// A call that takes another out of a queue.
pub(super) struct Seeks {
    /// Unlike that of any other such attempt: an older one's reports concern nobody.
    number: u64,
    owner: String,
    name: String,
    wanted: Option<String>,
    beep: bool,
    /// Tells when the time is up.
    until: Option<AbortOnDropHandle<()>>,
}

/// Where a call that was taken out of a queue is waited for.
pub(crate) struct Meeting {
    room: RoomHandle,
    /// It hears a beep first.
    beep: bool,
    /// Answered when it is in the room; dropped if it will not come.
    reply: oneshot::Sender<()>,
}

/// What queues tell a call. Those for one that takes a call say the attempt's number first.
pub(crate) enum Report {
    /// There is a call.
    Found(u64, Taken),
    /// That call is in the room, or will not come.
    Met(u64, bool),
    /// Nobody came in time.
    TimeUp(u64),
    /// To a call that waits: somebody has taken it.
    Meet(Meeting),
}

impl Session {
    pub(super) async fn enqueue(&mut self, enqueue: Enqueue) {
        let Enqueue { name, priority, wait, action: _ } = enqueue;
        if name.is_empty() || name.len() > LONGEST_QUEUE_NAME {
            self.warn(format!("a queue's name has 1 to {LONGEST_QUEUE_NAME} bytes; the call is in none")).await;
            let end = QueueEnd::Error;
            return self.queue_over(&Outcome::Enqueued { queue: String::new(), waited_s: 0, end });
        }
        let (owner, uuid) = (queue_owner(&self.view.account, &self.view.auth_id), self.view.uuid.clone());
        let (ticket, length) = self.inner.queues.enter(&owner, &name, priority, &uuid, self.mailbox.clone());
        let since = self.inner.clock.monotonic();
        self.ties.queueing = Some(Queueing::Waits(Waits { ticket, since, wait, meeting: None }));
        self.rooms.coming = Some(Coming::new(false));
        self.happened(Kind::Queue(true, name, length)).await;
        self.hear_queue().await;
    }

    /// Hears what the program has for those who wait.
    async fn hear_queue(&mut self) {
        let Some(Queueing::Waits(Waits { wait: Some(wait), .. })) = &self.ties.queueing else { return };
        let wait = wait.clone();
        if let Some(view) = self.place_in_queue() {
            self.wait_with(Waiting::Queue, Interpreter::looping(wait, Purpose::QueueWait(Box::new(view)))).await;
        }
    }

    pub(super) async fn dequeue(&mut self, dequeue: Dequeue) {
        let Dequeue { name, call, timeout, beep, action: _ } = dequeue;
        if name.is_empty() || name.len() > LONGEST_QUEUE_NAME {
            self.warn(format!("a queue's name has 1 to {LONGEST_QUEUE_NAME} bytes; nobody is taken out")).await;
            return self.queue_over(&Outcome::Dequeued(QueueEnd::Error));
        }
        let number = self.inner.next_dial();
        let owner = queue_owner(&self.view.account, &self.view.auth_id);
        let mailbox = self.mailbox.clone();
        let until = timeout.map(|timeout| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::time::sleep(timeout).await;
                mailbox.owe(CallMessage::Queue(Report::TimeUp(number)));
            }))
        });
        self.seek(Seeks { number, owner, name, wanted: call, beep, until });
    }

    fn seek(&mut self, seeks: Seeks) {
        let (number, mailbox, taker) = (seeks.number, self.mailbox.clone(), self.view.uuid.clone());
        let (owner, name, wanted) = (seeks.owner.clone(), seeks.name.clone(), seeks.wanted.clone());
        self.ties.queueing = Some(Queueing::Seeks(seeks));
        self.rooms.coming = Some(Coming::new(false));
        let told = move |taken| mailbox.owe(CallMessage::Queue(Report::Found(number, taken)));
        self.inner.queues.wait(&owner, &name, &taker, wanted, Box::new(told));
    }

    /// What queues tell.
    pub(super) async fn queue_reported(&mut self, report: Report) {
        match report {
            Report::Found(number, taken) => {
                // A call that nobody wants any more goes back when it is dropped.
                if let Some(seeks) = self.seeks(number) {
                    self.take_out(seeks, taken).await;
                }
            }
            Report::Met(number, met) => self.met(number, met).await,
            Report::TimeUp(number) => {
                let Some(seeks) = self.seeks(number) else { return };
                if self.inner.queues.stop_waiting(&seeks.owner, &seeks.name, &self.view.uuid) {
                    self.queue_over(&Outcome::Dequeued(QueueEnd::Timeout));
                } else {
                    // A call was found in time: that is the next thing to be told.
                    self.ties.queueing = Some(Queueing::Seeks(seeks));
                }
            }
            Report::Meet(meeting) => self.meet(meeting).await,
        }
    }

    /// The attempt of this number, taken out, if the call is still at it.
    fn seeks(&mut self, number: u64) -> Option<Seeks> {
        match self.ties.queueing.take() {
            Some(Queueing::Seeks(seeks)) if seeks.number == number => Some(seeks),
            other => {
                self.ties.queueing = other;
                None
            }
        }
    }

    /// Opens a room, and has the call come there.
    async fn take_out(&mut self, seeks: Seeks, taken: Taken) {
        let number = seeks.number;
        let (reply, there) = oneshot::channel();
        let entered = match self.open_bridge() {
            Ok(room) => self.enter_bridge(&room).await.map(|()| Meeting { room, beep: seeks.beep, reply }),
            Err(error) => Err(error),
        };
        let meeting = match entered {
            Ok(meeting) => meeting,
            Err(error) => {
                self.warn(format!("a call of the queue could not be connected: {error}")).await;
                self.step_out(LeaveCause::Transferred).await;
                return self.queue_over(&Outcome::Dequeued(QueueEnd::Error));
            }
        };
        if let Some(waiting) = taken.mailbox() {
            waiting.offer(CallMessage::Queue(Report::Meet(meeting)));
        }
        self.ties.queueing = Some(Queueing::Took { seeks, taken, met: false });
        let mailbox: CallMailbox = self.mailbox.clone();
        tokio::spawn(async move {
            let met = there.await.is_ok();
            mailbox.owe(CallMessage::Queue(Report::Met(number, met)));
        });
    }

    async fn met(&mut self, number: u64, came: bool) {
        match self.ties.queueing.take() {
            Some(Queueing::Took { seeks, taken, .. }) if seeks.number == number && came => {
                self.ties.queueing = Some(Queueing::Took { seeks, taken, met: true });
            }
            Some(Queueing::Took { seeks, taken, met: false }) if seeks.number == number => {
                self.step_out(LeaveCause::Transferred).await;
                let in_time = seeks.until.as_ref().is_none_or(|until| !until.is_finished());
                if taken.has_left() && in_time {
                    // It hung up in this very moment: the next one is as good.
                    self.seek(seeks);
                } else if taken.has_left() {
                    self.queue_over(&Outcome::Dequeued(QueueEnd::Timeout));
                } else {
                    self.warn("the call that was taken out of the queue did not come; it waits there again".to_owned())
                        .await;
                    self.queue_over(&Outcome::Dequeued(QueueEnd::Error));
                }
            }
            other => self.ties.queueing = other,
        }
    }

    /// Somebody has taken this call out of its queue. Whoever hears nothing in return waits for it in vain.
    async fn meet(&mut self, meeting: Meeting) {
        let Some(Queueing::Waits(waits)) = &mut self.ties.queueing else { return };
        let beep = meeting.beep;
        waits.meeting = Some(meeting);
        if beep {
            self.wait_with(Waiting::Meeting, Interpreter::of(vec![Verb::Prompt(Prompt::Beep).into()])).await;
        } else {
            self.go_to_meeting().await;
        }
    }

    /// Enters the room where it is waited for.
    pub(super) async fn go_to_meeting(&mut self) {
        self.end_interlude().await;
        let Some(Queueing::Waits(waits)) = &mut self.ties.queueing else { return };
        let Some(meeting) = waits.meeting.take() else { return };
        let entered = self.enter_bridge(&meeting.room).await;
        match (entered, self.ties.queueing.take()) {
            (Ok(()), Some(Queueing::Waits(waits))) => {
                self.left_queue(&waits.ticket).await;
                let waited = self.inner.clock.monotonic().saturating_sub(waits.since);
                self.ties.queueing = Some(Queueing::WasTaken { queue: waits.ticket.queue(), waited });
                // Whoever took it may have gone in this moment, and the room with him.
                let _ = meeting.reply.send(());
            }
            (Err(error), before) => {
                self.ties.queueing = before;
                drop(meeting);
                tracing::info!(call = self.view.uuid, %error, "a call was taken out of its queue in vain");
                self.hear_queue().await;
            }
            (Ok(()), other) => self.ties.queueing = other,
        }
    }

    async fn left_queue(&mut self, ticket: &Ticket) {
        let length = self.inner.queues.leave(ticket);
        self.happened(Kind::Queue(false, ticket.name().to_owned(), length)).await;
    }

    /// The wait program leaves the queue.
    pub(super) async fn leave_queue(&mut self) {
        match self.ties.queueing.take() {
            Some(Queueing::Waits(waits)) => {
                self.end_interlude().await;
                self.left_queue(&waits.ticket).await;
                let outcome = waits.outcome(QueueEnd::Left, self.inner.clock.monotonic());
                self.queue_over(&outcome);
            }
            other => self.ties.queueing = other,
        }
    }

    pub(super) fn place_in_queue(&self) -> Option<QueueView> {
        let Some(Queueing::Waits(waits)) = &self.ties.queueing else { return None };
        let (position, size) = self.inner.queues.place(&waits.ticket);
        let waited_s = self.inner.clock.monotonic().saturating_sub(waits.since).as_secs();
        Some(QueueView { queue: waits.ticket.queue(), waited_s, size, position })
    }

    /// Takes the call out of its queue, or whatever it has to do with one.
    pub(super) async fn abandon_queue(&mut self) {
        let outcome = self.ties.queueing_outcome(self.inner.clock.monotonic());
        self.ties.parting = outcome.or(self.ties.parting.take());
        match self.ties.queueing.take() {
            Some(Queueing::Waits(waits)) => {
                self.rooms.coming = None;
                self.left_queue(&waits.ticket).await;
            }
            Some(Queueing::Seeks(seeks)) => {
                self.rooms.coming = None;
                self.inner.queues.stop_waiting(&seeks.owner, &seeks.name, &self.view.uuid);
            }
            // The other's connection ends with this call's departure from the room.
            Some(Queueing::WasTaken { .. } | Queueing::Took { .. }) | None => {}
        }
    }

    /// The call is out of the room where it met another; false: it was in another room.
    pub(super) fn left_meeting(&mut self) -> bool {
        let outcome = match self.ties.queueing.take() {
            Some(Queueing::WasTaken { queue, waited }) => bridged(&queue, waited),
            Some(Queueing::Took { taken, met, .. }) => Outcome::Dequeued(took(&taken, met)),
            other => {
                self.ties.queueing = other;
                return false;
            }
        };
        self.queue_over(&outcome);
        true
    }

    fn queue_over(&mut self, outcome: &Outcome) {
        self.rooms.coming = None;
        self.programs.own.done(outcome, self.inner.clock.monotonic());
    }
}

impl Queueing {
    /// How it went, if it ended now by this call's doing.
    pub(super) fn outcome(&self, now: Duration) -> Outcome {
        match self {
            Self::Waits(waits) => waits.outcome(QueueEnd::Hangup, now),
            Self::WasTaken { queue, waited } => bridged(queue, *waited),
            Self::Seeks(_) => Outcome::Dequeued(QueueEnd::Hangup),
            Self::Took { taken, met, .. } => Outcome::Dequeued(took(taken, *met)),
        }
    }
}

impl Waits {
    fn outcome(&self, end: QueueEnd, now: Duration) -> Outcome {
        let waited_s = now.saturating_sub(self.since).as_secs();
        Outcome::Enqueued { queue: self.ticket.queue(), waited_s, end }
    }
}

fn bridged(queue: &str, waited: Duration) -> Outcome {
    Outcome::Enqueued { queue: queue.to_owned(), waited_s: waited.as_secs(), end: QueueEnd::Bridged }
}

/// Whether the taker's connection was one.
fn took(taken: &Taken, met: bool) -> QueueEnd {
    if met || taken.has_left() { QueueEnd::Complete } else { QueueEnd::Error }
}

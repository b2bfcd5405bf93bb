//! What shards send up, taken off their hands: answers to those who asked, facts to the receiver, boxes to be freed.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::Shared;
use crate::fact::Note;
use crate::leg::{Leg, LegStats};
use crate::shard::command::{Change, LegCommand, LegOp, Outcome, RoomTap, Up};
use crate::{Fact, MediaError};

/// Takes everything up from all shards. Polled: shards wake nobody.
pub(crate) struct Collector {
    shards: Vec<(rtrb::Consumer<Up>, rtrb::Consumer<Note>)>,
    facts: mpsc::Sender<Fact>,
    /// Facts of legs that are gone, and those that wait for the receiver.
    waiting: VecDeque<Fact>,
    most_waiting: usize,
    lost: u64,
}

impl Collector {
    pub(super) fn new(
        shards: Vec<(rtrb::Consumer<Up>, rtrb::Consumer<Note>)>,
        facts: mpsc::Sender<Fact>,
        capacity: usize,
    ) -> Self {
        Self { shards, facts, waiting: VecDeque::new(), most_waiting: capacity.saturating_mul(4), lost: 0 }
    }

    /// Takes what is there. Whether anything was.
    pub(crate) fn poll(&mut self, shared: &Shared) -> bool {
        let mut any = false;
        // Facts first: a leg's facts come before the answer that removed it.
        any |= self.poll_facts(shared);
        for shard in 0..self.shards.len() {
            while let Some(up) = self.shards.get_mut(shard).and_then(|(ups, _)| ups.pop().ok()) {
                any = true;
                // Freed after the lock: a leg closes its sockets.
                drop(self.take(up, shared));
            }
        }
        shared.lock().pump();
        self.hand_over();
        shared.facts_waiting.store(self.waiting.len() as u64, Ordering::Relaxed);
        any
    }

    /// Whether the plane has gone and nobody can hear of anything.
    fn poll_facts(&mut self, shared: &Shared) -> bool {
        let mut any = false;
        self.hand_over();
        for shard in 0..self.shards.len() {
            // While the receiver is full, facts stay where they arose.
            while self.waiting.is_empty() && self.facts.capacity() > 0 {
                let Some(note) = self.shards.get_mut(shard).and_then(|(_, notes)| notes.pop().ok()) else { break };
                any = true;
                if let Note::PlayerEnded { room, player, serial, completed: true } = note {
                    shared.lock().player_ended(room, player, serial);
                }
                self.tell(note.into());
            }
        }
        any
    }

    fn hand_over(&mut self) {
        while let Some(fact) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(fact)) = self.facts.try_send(fact) {
                self.waiting.push_front(fact);
                return;
            }
        }
    }

    fn tell(&mut self, fact: Fact) {
        if self.waiting.len() >= self.most_waiting {
            self.lost += 1;
            if self.lost.is_power_of_two() {
                tracing::warn!(lost = self.lost, "media facts are not being read; some of removed legs are lost");
            }
            return;
        }
        self.waiting.push_back(fact);
        self.hand_over();
    }

    fn take(&mut self, up: Up, shared: &Shared) -> Option<Box<dyn Any + Send>> {
        match up {
            Up::Spent(sound) => return Some(Box::new(sound)),
            Up::LegFailed { leg, payload } => {
                let message = describe(&*payload);
                tracing::error!(leg = leg.as_u64(), message, "a leg's tick failed");
                self.tell(Fact::LegFailed { leg, message });
                return None;
            }
            Up::RoomFailed { room, payload } => {
                let message = describe(&*payload);
                tracing::error!(room = room.id.as_u64(), message, "a room's tick failed; the room is closed");
                shared.lock().failed(room.id);
                self.tell(Fact::RoomFailed { room: room.id, message });
                return Some(Box::new(room.plan));
            }
            _ => {}
        }
        let mut directory = shared.lock();
        directory.outstanding = directory.outstanding.saturating_sub(1);
        match up {
            Up::Taken { leg, taken } => directory.taken(leg, taken),
            Up::Removed(mut removal) => {
                directory.removed(removal.id);
                drop(directory);
                let answer = removal.leg.as_ref().map(|leg| leg.stats()).ok_or(MediaError::NoLeg(removal.id));
                if let Some(leg) = removal.leg.take() {
                    for note in Leg::into_owed(leg) {
                        self.tell(note.into());
                    }
                }
                let _ = removal.reply.send(answer);
            }
            Up::Leg(command) => {
                drop(directory);
                answer_leg(*command);
            }
            Up::Closed(mut closing) => {
                directory.closed(closing.id, closing.room.is_some());
                drop(directory);
                drop(closing.room.take());
                let _ = closing.reply.send(closing.applied.ok_or(MediaError::RoomFailed(closing.id)));
            }
            Up::RoomTap(command) => {
                drop(directory);
                let RoomTap { id, tap, applied, reply, .. } = *command;
                drop(tap);
                if let Some(reply) = reply {
                    let _ = reply.send(applied.ok_or(MediaError::NoTap(id)));
                }
            }
            Up::Changed(change) => {
                if !matches!(change.outcome, Outcome::Applied(_)) {
                    directory.refused(&change);
                }
                drop(directory);
                answer_change(*change);
            }
            Up::Spent(_) | Up::LegFailed { .. } | Up::RoomFailed { .. } => {}
        }
        None
    }
}

fn answer_leg(command: LegCommand) {
    let LegCommand { id, op, applied, .. } = command;
    let applied = applied.ok_or(MediaError::NoLeg(id));
    match op {
        LegOp::Update(_, reply)
        | LegOp::Play(_, reply)
        | LegOp::Stop(_, _, _, reply)
        | LegOp::Relay(_, reply)
        | LegOp::CloseTap(_, _, reply) => {
            let _ = reply.send(applied);
        }
        // A tap that found no leg ends here.
        LegOp::OpenTap(..) | LegOp::Show(_) => {}
        LegOp::Digits(_, taken, reply) => {
            let full = MediaError::Busy("too many digits wait on this leg");
            let _ = reply.send(applied.and_then(|a| if taken { Ok(a) } else { Err(full) }));
        }
        LegOp::Stats(stats, reply) => {
            let stats: Result<LegStats, MediaError> = applied.and_then(|_| stats.ok_or(MediaError::NoLeg(id)));
            let _ = reply.send(stats);
        }
    }
}

fn answer_change(change: Change) {
    let answer = match change.outcome {
        Outcome::Applied(applied) => Ok(applied),
        Outcome::Stale(current) => Err(MediaError::StalePlan { room: change.id, offered: change.revision, current }),
        Outcome::Gone | Outcome::Waiting => Err(MediaError::RoomFailed(change.id)),
    };
    let _ = change.reply.send(answer);
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

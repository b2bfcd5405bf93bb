//! A call that another has dialled, to be connected with it.
//!
//! Whoever wins the race has the caller told, and runs already while he waits for him: he may hang up, or go elsewhere.

use std::sync::Arc;
use std::time::Duration;

use conference::EndCause;
use tokio::sync::oneshot;

use super::bridge::{Report, Winner, bridge_join};
use super::commands::CommandReply;
use super::race::{Failure, unanswered};
use super::{CallMailbox, CallMessage, Session};
use crate::cause::HangupCause;
use crate::command::{Asker, CallCommand, CommandError};
use crate::dialect::{CallView, Dialled};
use crate::room::RoomHandle;
use crate::verb::{CallStatus, Fetch, Label, Stream, StreamChange, Verb};

/// Commands that may wait until a callee is connected.
const MOST_LATER: usize = 64;

/// What a dial for a connection comes down to, once somebody answers or nobody has.
pub(super) struct Callee {
    pub(super) room: RoomHandle,
    pub(super) dial: u64,
    /// Whether the caller hears what the callee says before he answers.
    pub(super) early_media: bool,
    /// The calling call.
    pub(super) caller: CallMailbox,
    pub(super) limit: Option<Duration>,
    pub(super) refer_hook: Option<Fetch>,
    pub(super) stream: Option<Box<Stream>>,
    /// The instruction that dialled him.
    pub(super) of: Option<Label>,
}

impl Callee {
    pub(super) async fn nobody_came(&self, failures: &[Failure]) {
        self.room.expectation_over(self.dial).await;
        self.caller.owe(CallMessage::Bridge(Report::Nobody(self.dial, unanswered(failures))));
    }

    /// Tells the caller that there is somebody, and runs his call: he enters the room when the caller is there.
    pub(super) async fn won_by(self: &Arc<Self>, mut session: Session) {
        let (reply, there) = oneshot::channel();
        let winner = Winner {
            call: session.view.uuid.clone(),
            call_id: session.view.sip.call_id.clone(),
            mailbox: session.mailbox.clone(),
            reply,
        };
        let expected = Some(Expected { callee: Arc::clone(self), later: Vec::new() });
        session.ties.dialled_by = Some(DialledBy { dial: self.dial, mailbox: self.caller.clone(), expected });
        self.caller.owe(CallMessage::Bridge(Report::Answered(self.dial, Box::new(winner))));
        let (dial, mailbox) = (self.dial, session.mailbox.clone());
        tokio::spawn(async move {
            let there = there.await.is_ok();
            mailbox.send(CallMessage::Bridge(Report::Caller(dial, there))).await;
        });
        session.run().await;
    }

    /// The callee has gone before he was in the room, or elsewhere: for the caller that is a connection that is over.
    pub(super) async fn missed(&self, view: &CallView) {
        self.room.expectation_over(self.dial).await;
        let connected = Dialled { seconds: Some(0), ..self.dialled(view, CallStatus::Completed, 200) };
        self.caller.owe(CallMessage::Bridge(Report::Nobody(self.dial, connected)));
    }

    fn dialled(&self, view: &CallView, status: CallStatus, sip_status: u16) -> Dialled {
        Dialled {
            status,
            sip_status,
            call: Some(view.uuid.clone()),
            call_id: Some(view.sip.call_id.clone()),
            seconds: None,
        }
    }
}

/// What a dialled call knows of the one that dialled it.
pub(super) struct DialledBy {
    pub(super) dial: u64,
    pub(super) mailbox: CallMailbox,
    /// What the call does when the caller is in the room; until then it waits for that.
    expected: Option<Expected>,
}

/// A callee who waits for his caller.
pub(super) struct Expected {
    pub(super) callee: Arc<Callee>,
    /// What programs ask of the call meanwhile: it is for a member, or follows what he does first.
    pub(super) later: Vec<Later>,
}

/// A command that waits.
pub(super) type Later = (CallCommand, Asker, CommandReply);

/// The call went elsewhere before its caller was there: what waited for that is not done.
pub(super) fn refuse_later(later: Vec<Later>) {
    for (.., reply) in later {
        let text = "the call was sent elsewhere before this could be done; ask again if it is still wanted";
        // Whoever asked may have gone away.
        drop(reply.send(Err(CommandError::Conflict(text.to_owned()))));
    }
}

impl DialledBy {
    /// What the call waits for, if it still does; from then on it does not.
    pub(super) fn expected(&mut self) -> Option<Expected> {
        self.expected.take()
    }

    /// Puts a command off while the call waits for its caller; else it is given back.
    pub(super) fn put_off(&mut self, later: Later) -> Option<Later> {
        let Some(expected) = &mut self.expected else { return Some(later) };
        match later {
            (CallCommand::Hangup(_) | CallCommand::Cancel, ..) => return Some(later),
            (_, _, reply) if expected.later.len() >= MOST_LATER => {
                drop(reply.send(Err(CommandError::Busy("commands waiting for one call"))));
            }
            later => expected.later.push(later),
        }
        None
    }

    pub(super) fn is_dial(&self, dial: u64) -> bool {
        self.dial == dial
    }
}

/// Ends the room after this long, if it is not over before.
fn end_after(room: RoomHandle, limit: Duration) {
    tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(limit) => {
                // One that has ended in this moment is what is wanted.
                let _ = room.end_because(EndCause::MaxDuration, Asker::server()).await;
            }
            () = room.gone() => {}
        }
    });
}

impl Session {
    /// The call that has dialled this one is in the room, or does not want it any more.
    pub(super) async fn caller_answered(&mut self, dial: u64, there: bool) {
        let Some(Expected { callee, later }) = self.ties.expected_for(dial) else { return };
        if !there {
            callee.room.expectation_over(dial).await;
            return self.finish(HangupCause::Cancelled, None).await;
        }
        self.rooms.destination = Some(callee.room.clone());
        self.transfers.hook.clone_from(&callee.refer_hook);
        let instructions = vec![Verb::Join(Box::new(bridge_join(&callee.room))).into()];
        self.programs.own.document(instructions, self.inner.clock.monotonic());
        self.run_steps().await;
        callee.room.expectation_over(dial).await;
        if self.rooms.stay.is_some() {
            self.connected(&callee).await;
        } else {
            let failed = callee.dialled(&self.view, CallStatus::Failed, 500);
            callee.caller.owe(CallMessage::Bridge(Report::Nobody(dial, failed)));
        }
        for (command, by, reply) in later {
            if self.life.over {
                // What is dropped tells whoever asked that the call is gone.
                break;
            }
            self.command(command, by, reply).await;
        }
    }

    async fn connected(&mut self, callee: &Callee) {
        if let Some(limit) = callee.limit {
            end_after(callee.room.clone(), limit);
        }
        if let Some(stream) = &callee.stream
            && let Err(error) = self.change_stream(StreamChange::Start(stream.clone()), callee.of.clone()).await
        {
            self.refused(error, callee.of.clone()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_asked_for_something_later_is_told_that_the_call_went_elsewhere() {
        let (reply, answer) = oneshot::channel();
        refuse_later(vec![(CallCommand::Mute(true), Asker::server(), reply)]);
        assert!(matches!(answer.await, Ok(Err(CommandError::Conflict(_)))));
    }
}

//! Two calls that were connected go on without each other.

use conference::LeaveCause;
use tokio::sync::oneshot;

use super::asked::Asked;
use super::{CallMessage, Session};
use crate::command::{CommandError, Next};
use crate::dialect::{CallView, Purpose};
use crate::verb::{Fetch, Method};

/// A dialled call goes on by itself.
pub(crate) struct GoOn {
    /// With these instructions.
    next: Next,
    /// The call that dialled it.
    parent: CallView,
    /// Answered when it is out of the connection.
    reply: oneshot::Sender<()>,
}

impl Session {
    /// Other instructions for this call and the one it has dialled. One of them without any goes on as if the other had hung
    /// up: this call with its next instruction, the dialled one ends.
    pub(super) async fn split(&mut self, parent: Option<Next>, child: Option<Next>) -> Result<(), CommandError> {
        if let Some(next) = child {
            let gone = || CommandError::Conflict("the call is connected to none that it has dialled".to_owned());
            let callee = self.ties.callee().ok_or_else(gone)?;
            let (reply, parted) = oneshot::channel();
            let go_on = GoOn { next, parent: self.view.clone(), reply };
            if !callee.offer(CallMessage::GoOn(Box::new(go_on))) {
                return Err(CommandError::Busy("messages waiting for one call"));
            }
            parted.await.map_err(|_| gone())?;
        }
        let Some(next) = parent else { return Ok(()) };
        self.abandon(LeaveCause::Transferred).await;
        self.control.placed = false;
        match next {
            Next::Fetch(fetch) => self.programs.own.transfer(fetch, self.inner.clock.monotonic()),
            Next::Run(run) => self.programs.own.document(run, self.inner.clock.monotonic()),
        }
        Ok(())
    }

    /// This call leaves the connection that somebody else has made, and goes on by itself.
    pub(super) async fn go_on(&mut self, go_on: GoOn) {
        let GoOn { next, parent, reply } = go_on;
        self.becomes_independent();
        self.abandon(LeaveCause::Transferred).await;
        self.control.placed = false;
        // Whoever asked may be gone; the call goes on all the same.
        let _ = reply.send(());
        match next {
            Next::Fetch(fetch) => {
                if fetch.method == Method::Link {
                    self.introduce(fetch.clone(), parent);
                }
                self.programs.own.transfer(fetch, self.inner.clock.monotonic());
            }
            Next::Run(run) => {
                let application = self.control.application.clone();
                if application.method == Method::Link {
                    self.introduce(application, parent);
                }
                self.programs.own.document(run, self.inner.clock.monotonic());
            }
        }
    }

    /// A dialled call that gets instructions of its own is as its application says when they are through.
    pub(super) fn becomes_independent(&mut self) {
        if self.ties.dialled_by.is_some() {
            self.follow_application();
        }
    }

    /// Tells the program, over a connection of the call's own, that the call is one by itself now.
    fn introduce(&mut self, program: Fetch, parent: CallView) {
        self.fetch(Asked::NOBODY, program, Purpose::Adulting(Box::new(parent)));
    }
}

//! Two calls that were connected go on without each other.

use conference::LeaveCause;
use tokio::sync::oneshot;

use super::asked::Asked;
use super::commands::CommandReply;
use super::{CallMessage, Session};
use crate::command::{CallChanged, CommandError, Next};
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
    ///
    /// The dialled call leaves the room first; that ends it, and lets this call go on. A callee who hangs up in this very
    /// moment has left as well.
    pub(super) async fn split(&mut self, parent: Option<Next>, child: Option<Next>, reply: CommandReply) {
        let Some(next) = child else {
            if let Some(next) = parent {
                self.abandon(LeaveCause::Transferred).await;
                self.go_on_with(next);
            }
            return drop(reply.send(Ok(CallChanged::default())));
        };
        let gone = || CommandError::Conflict("the call is connected to none that it has dialled".to_owned());
        let Some(callee) = self.ties.callee() else { return drop(reply.send(Err(gone()))) };
        let (tell, parted) = oneshot::channel();
        let go_on = GoOn { next, parent: self.view.clone(), reply: tell };
        if !callee.offer(CallMessage::GoOn(Box::new(go_on))) {
            return drop(reply.send(Err(CommandError::Busy("messages waiting for one call"))));
        }
        let goes_on = parent.is_some();
        if let Some(connection) = &mut self.ties.connection {
            connection.then = parent.or(connection.then.take());
        }
        tokio::spawn(async move {
            let done = parted.await.is_ok() || goes_on;
            drop(reply.send(if done { Ok(CallChanged::default()) } else { Err(gone()) }));
        });
    }

    /// The call, wherever it was, has other instructions.
    pub(super) fn go_on_with(&mut self, next: Next) {
        self.control.placed = false;
        match next {
            Next::Fetch(fetch) => self.programs.own.transfer(fetch, self.inner.clock.monotonic()),
            Next::Run(run) => self.programs.own.document(run, self.inner.clock.monotonic()),
        }
    }

    /// This call leaves the connection that somebody else has made, and goes on by itself.
    pub(super) async fn go_on(&mut self, go_on: GoOn) {
        let GoOn { next, parent, reply } = go_on;
        self.becomes_independent();
        self.abandon(LeaveCause::Transferred).await;
        // Whoever asked may be gone; the call goes on all the same.
        let _ = reply.send(());
        let program = match &next {
            Next::Fetch(fetch) => fetch.clone(),
            Next::Run(_) => self.control.application.clone(),
        };
        if program.method == Method::Link {
            self.introduce(program, parent);
        }
        self.go_on_with(next);
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

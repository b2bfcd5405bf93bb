//! Asks the call's program, by HTTP or over the call's own connection.

use std::sync::Arc;

use super::asked::{Asked, Program};
use super::message::Fetched;
use super::{CallMessage, Session};
use crate::cause::{FaultAt, FaultKind, HangupCause, InstructionsFault};
use crate::command::{CallCommand, CommandError};
use crate::dialect::{AtEnd, Body, Purpose};
use crate::hooks::HookError;
use crate::http::shown;
use crate::link::{self, Ask, Farewell, NoAnswer};
use crate::verb::{Fetch, Method};

/// Longest answer of a program that is only told something.
const TOLD: usize = 64 * 1024;

impl Session {
    /// Asks for instructions; the answer comes as a message, so that the call can end meanwhile.
    pub(super) fn fetch(&mut self, asked: Asked, fetch: Fetch, purpose: Purpose) {
        // What is heard while the call waits moves it nowhere; one that becomes a call of its own has moved.
        let own = asked.program == Program::Own || matches!(purpose, Purpose::Adulting(_));
        if own && self.moves_to(&fetch, &purpose) {
            self.change_application(fetch.clone());
        }
        let at = fault_at(&purpose);
        if fetch.method == Method::Link {
            if let Err(error) = self.ask_link(asked, &fetch, &purpose) {
                self.mailbox.owe(CallMessage::Fetched(Box::new(Fetched { asked, purpose, at, result: Err(error) })));
            }
            return;
        }
        let (hooks, mailbox, view) = (self.inner.hooks.clone(), self.mailbox.clone(), self.view.clone());
        let (account, dialect) = (self.view.account.clone(), self.control.dialect);
        let base = self.control.application.clone();
        tokio::spawn(async move {
            let result = hooks.instructions(&account, dialect, &view, &base, &fetch, &purpose).await;
            mailbox.send(CallMessage::Fetched(Box::new(Fetched { asked, purpose, at, result }))).await;
        });
    }

    /// Runs a document that stands for the application's first answer.
    pub(super) fn run_document(&mut self, asked: Asked, document: &str) {
        // Nobody is connected who could say what comes after it.
        self.programs.own.set_at_end(AtEnd::Hangup);
        let (purpose, at) = (Purpose::Answer, FaultAt::Answer);
        let result = self.document(&purpose, document.as_bytes());
        self.mailbox.owe(CallMessage::Fetched(Box::new(Fetched { asked, purpose, at, result })));
    }

    /// Whether other instructions mean another application: one that others are relative to from then on.
    fn moves_to(&self, fetch: &Fetch, purpose: &Purpose) -> bool {
        let other = matches!(purpose, Purpose::Fallback | Purpose::Redirect | Purpose::Transfer | Purpose::Adulting(_));
        other && !fetch.is_own_link() && *fetch != self.control.application
    }

    /// The call has another application from now on.
    fn change_application(&mut self, application: Fetch) {
        if let Some(link) = self.control.link.take()
            && !self.control.shares_link
        {
            link.end(Farewell::Over);
        }
        self.control.shares_link = false;
        self.inner.links.forget(&self.view.uuid);
        self.control.application = application;
        self.follow_application();
    }

    /// What its application decides.
    pub(super) fn follow_application(&mut self) {
        if let Ok(dialect) = self.inner.hooks.dialect(self.control.dialect) {
            self.programs.own.set_at_end(dialect.at_end(&self.control.application));
        }
    }

    /// The connection to the call's program, made if there is none.
    fn link(&mut self) -> Result<&link::LinkHandle, HookError> {
        if self.control.link.is_none() {
            let dialect = self.inner.hooks.dialect(self.control.dialect)?;
            let protocol = dialect.link(&self.control.application).ok_or(HookError::Link(NoAnswer::Over))?;
            let owner = Arc::new(self.mailbox.sender());
            let (http, counters) = (self.inner.http.clone(), Arc::clone(&self.inner.counters));
            let link = link::start_in(&self.inner.tasks, http, counters, protocol, owner);
            self.inner.links.add(&self.view.uuid, link.clone());
            self.control.link = Some(link);
        }
        self.control.link.as_ref().ok_or(HookError::Link(NoAnswer::Over))
    }

    fn ask_link(&mut self, asked: Asked, fetch: &Fetch, purpose: &Purpose) -> Result<(), HookError> {
        let own = fetch.is_own_link() || *fetch == self.control.application;
        if !own {
            return Err(HookError::Link(NoAnswer::Elsewhere));
        }
        // A document that stood for the first answer has no program behind it.
        let opens = matches!(
            purpose,
            Purpose::Answer | Purpose::Fallback | Purpose::Redirect | Purpose::Transfer | Purpose::Adulting(_)
        );
        if self.control.link.is_none() && !opens {
            return Err(HookError::Link(NoAnswer::Over));
        }
        let body = match self.inner.hooks.dialect(self.control.dialect)?.request(&self.view, purpose) {
            Body::Json(text) => text,
            Body::Nothing | Body::Form(_) => "{}".to_owned(),
        };
        let call = self.view.uuid.clone();
        let ask = Ask { number: asked.packed(), call, purpose: purpose.clone(), hook: fetch.url.clone(), body };
        Ok(self.link()?.ask(ask)?)
    }

    /// What the call's program says over its connection.
    pub(super) async fn link_said(&mut self, event: link::Event) {
        match event {
            link::Event::Answered { number, purpose, answer } => {
                let (asked, at) = (Asked::unpacked(number), fault_at(&purpose));
                let result = match answer {
                    Ok(None) => Ok(None),
                    Ok(Some(document)) => self.document(&purpose, document.as_bytes()),
                    Err(error) => Err(error.into()),
                };
                self.fetched(Fetched { asked, purpose, at, result }).await;
            }
            link::Event::Command { call, frame } => {
                let dialect = self.inner.hooks.dialect(self.control.dialect);
                let command = dialect.ok().and_then(|dialect| dialect.command(&self.control.application, &frame));
                if let Some(command) = command {
                    self.commanded(call, command).await;
                }
            }
            // What it has said goes on; what would have waited for it ends.
            link::Event::Left => {
                self.programs.own.set_at_end(AtEnd::Hangup);
                // Nothing is too much.
                let _ = self.programs.own.append(Vec::new(), self.inner.clock.monotonic());
            }
            link::Event::Lost(why) => {
                self.warn(format!("the call's application is gone: {why}; the call ends")).await;
                let fault = InstructionsFault { at: FaultAt::Answer, kind: FaultKind::Http };
                self.finish(HangupCause::Instructions(fault), None).await;
            }
        }
    }

    fn document(&self, purpose: &Purpose, document: &[u8]) -> Result<Option<Vec<crate::verb::Instruction>>, HookError> {
        let dialect = self.inner.hooks.dialect(self.control.dialect)?;
        Ok(dialect.document(&self.control.application, purpose, "application/json", document)?)
    }

    /// A command over the connection: for this call, or for one that it has dialled.
    async fn commanded(&mut self, call: Option<String>, command: CallCommand) {
        let (reply, done) = tokio::sync::oneshot::channel();
        let by = self.asker();
        let other = call.filter(|call| *call != self.view.uuid && self.is_family(call));
        match other.and_then(|call| self.inner.calls.get(&self.view.account, &call)) {
            // Two calls that wait for a place in one another's mailboxes would wait for ever.
            Some(mailbox) => {
                if !mailbox.offer(CallMessage::Command(command, by, reply)) {
                    return self.refused(CommandError::Busy("messages waiting for one call"), None).await;
                }
            }
            None => self.command(command, by, reply).await,
        }
        // Nobody waits for it; what went wrong is told.
        let mailbox = self.mailbox.clone();
        tokio::spawn(async move {
            if let Ok(Err(error)) = done.await {
                mailbox.send(CallMessage::Refused(error, None)).await;
            }
        });
    }

    /// Tells a program something whose answer is ignored.
    pub(super) fn tell(&mut self, fetch: Fetch, purpose: Purpose) {
        if fetch.method == Method::Link {
            // An answer to a number that nobody waits for is ignored.
            if let Err(error) = self.ask_link(Asked::NOBODY, &fetch, &purpose) {
                tracing::warn!(call = self.view.uuid, %error, "a program could not be told");
            }
            return;
        }
        let (hooks, view) = (self.inner.hooks.clone(), self.view.clone());
        let (account, dialect) = (self.view.account.clone(), self.control.dialect);
        // A server that stops waits for it: it may be the last that the program hears.
        self.inner.tasks.spawn(async move {
            if let Err(error) = hooks.ask(&account, dialect, &view, &fetch, &purpose, TOLD).await {
                tracing::warn!(account, call = view.uuid, url = shown(&fetch.url), %error, "a program could not be told");
            }
        });
    }
}

fn fault_at(purpose: &Purpose) -> FaultAt {
    match purpose {
        Purpose::Answer | Purpose::Fallback => FaultAt::Answer,
        Purpose::Redirect => FaultAt::Redirect,
        Purpose::Transfer => FaultAt::Transfer,
        _ => FaultAt::Action,
    }
}

//! Does what the interpreter says.

use super::message::Fetched;
use super::{CallMessage, Session};
use crate::cause::{FaultAt, FaultKind, HangupCause, InstructionsFault};
use crate::command::{Asker, CommandError};
use crate::dialect::Purpose;
use crate::hooks::HookError;
use crate::http::{HttpError, shown};
use crate::interpreter::Step;
use crate::room::JoinRequest;
use crate::verb::{Fetch, Join};

/// A room that ends while a call enters it is opened anew; this often, then it is an error.
const JOIN_ATTEMPTS: usize = 3;

impl Session {
    pub(super) async fn run_steps(&mut self) {
        while let Some(step) = self.interpreter.poll_step() {
            if self.ended {
                return;
            }
            match step {
                Step::Play(number, prompts) => {
                    if self.ensure_answered().await {
                        self.play(number, prompts).await;
                    }
                }
                Step::StopPlaying => self.stop_playing().await,
                Step::Answer => {
                    self.ensure_answered().await;
                }
                Step::Join(join) => {
                    if self.ensure_answered().await {
                        self.join(*join).await;
                    }
                }
                Step::Fetch(number, fetch, purpose) => self.fetch(number, fetch, purpose),
                Step::Tell(fetch, purpose) => self.tell(fetch, purpose),
                Step::Hangup(cause, refusal) => {
                    if let HangupCause::Instructions(_) = cause {
                        let text = "the instructions redirect in a loop; let them play something or enter a room";
                        self.warn(text.to_owned()).await;
                    }
                    self.finish(cause, refusal).await;
                }
            }
        }
    }

    /// Asks for instructions; the answer comes as a message, so that the call can end meanwhile.
    pub(super) fn fetch(&self, number: u64, fetch: Fetch, purpose: Purpose) {
        let at = match purpose {
            Purpose::Answer | Purpose::Fallback => FaultAt::Answer,
            Purpose::Redirect => FaultAt::Redirect,
            Purpose::Transfer => FaultAt::Transfer,
            _ => FaultAt::Action,
        };
        let (hooks, mailbox, view) = (self.inner.hooks.clone(), self.mailbox.clone(), self.view.clone());
        let (account, dialect) = (self.account.clone(), self.control.dialect);
        tokio::spawn(async move {
            let result = hooks.instructions(&account, dialect, &view, &fetch, &purpose).await;
            mailbox.send(CallMessage::Fetched(Box::new(Fetched { number, purpose, at, result }))).await;
        });
    }

    fn tell(&self, fetch: Fetch, purpose: Purpose) {
        let (hooks, view) = (self.inner.hooks.clone(), self.view.clone());
        let (account, dialect) = (self.account.clone(), self.control.dialect);
        tokio::spawn(async move {
            if let Err(error) = hooks.ask(&account, dialect, &view, &fetch, &purpose, 64 * 1024).await {
                tracing::warn!(account, call = view.uuid, url = shown(&fetch.url), %error, "a program could not be told");
            }
        });
    }

    pub(super) async fn fetched(&mut self, fetched: Fetched) {
        let Fetched { number, purpose, at, result } = fetched;
        if !self.interpreter.awaits(number) {
            return;
        }
        match result {
            Ok(verbs) => self.interpreter.document(verbs, self.inner.clock.monotonic()),
            Err(error) => {
                let fallback = self.control.fallback.take().filter(|_| purpose == Purpose::Answer);
                let follows = if fallback.is_some() { "the fallback URL is asked" } else { "the call ends" };
                self.warn(format!("no instructions for the call: {error}; {follows}")).await;
                match fallback {
                    Some(fallback) => self.fetch(number, fallback, Purpose::Fallback),
                    None => {
                        let kind = kind_of(&error);
                        self.finish(HangupCause::Instructions(InstructionsFault { at, kind }), None).await;
                    }
                }
            }
        }
    }

    async fn join(&mut self, join: Join) {
        let outcome = self.enter(join).await;
        if let Err(error) = &outcome {
            self.warn(format!("the call could not enter its room: {error}")).await;
            self.interpreter.join_failed(self.inner.clock.monotonic());
        }
        if let Some(moving) = self.moving.take() {
            drop(moving.send(outcome));
        }
    }

    async fn enter(&mut self, join: Join) -> Result<crate::room::Joined, CommandError> {
        self.step_out(conference::LeaveCause::Transferred).await;
        let leg = self.leg_id().ok_or_else(|| CommandError::Conflict("the call has no media".into()))?;
        let mut known = self.destination.take();
        // Whoever was asked for in this room life does not open another.
        let fixed = known.is_some();
        for _ in 0..JOIN_ATTEMPTS {
            let room = match known.take() {
                Some(room) => room,
                None => {
                    self.inner.find_or_open(&self.account, &self.view.auth_id, self.control.dialect, &join, None)?
                }
            };
            let by = Asker {
                kind: store::ActorKind::Application,
                id: self.control.app_id.clone().unwrap_or_else(|| self.view.auth_id.clone()),
            };
            let request = JoinRequest {
                join: join.clone(),
                call: self.view.clone(),
                leg,
                mailbox: self.mailbox.clone(),
                dialect: self.control.dialect,
                by,
                speaking: self.speaking,
            };
            match room.join(request).await {
                Ok(joined) => {
                    self.seat = Some((room, joined.member));
                    return Ok(joined);
                }
                // It ended in this very moment: its name is free as soon as its end is recorded.
                Err(CommandError::NotFound { what: "room", .. }) if !fixed => room.gone().await,
                Err(error) => return Err(error),
            }
        }
        Err(CommandError::Conflict(format!("room {:?} keeps ending", join.room)))
    }
}

fn kind_of(error: &HookError) -> FaultKind {
    match error {
        HookError::Http(HttpError::BadUrl { .. } | HttpError::Forbidden { .. }) => FaultKind::Url,
        HookError::Http(HttpError::TooLong { .. }) | HookError::Document(_) => FaultKind::Document,
        HookError::Http(_) | HookError::Account(_) | HookError::Dialect(_) | HookError::Store(_) => FaultKind::Http,
    }
}

//! Does what the interpreter says.

use std::sync::Arc;

use super::aside::ASIDE;
use super::interlude::Stay;
use super::message::{Asked, Fetched};
use super::prompts::{Lane, Playing};
use super::{CallMessage, Session};
use crate::cause::{FaultKind, HangupCause, InstructionsFault};
use crate::command::{CommandError, TapRoom};
use crate::dialect::Purpose;
use crate::hooks::HookError;
use crate::http::HttpError;
use crate::interpreter::Step;
use crate::room::JoinRequest;
use crate::stream;
use crate::verb::Join;

/// A room that ends while a call enters it is opened anew; this often, then it is an error.
const JOIN_ATTEMPTS: usize = 3;

impl Session {
    pub(super) async fn run_steps(&mut self) {
        loop {
            if self.ended {
                return;
            }
            match self.interpreter.poll_step() {
                Some(step) => self.step(step).await,
                None => {
                    if !self.interlude_step().await {
                        return;
                    }
                }
            }
        }
    }

    pub(super) async fn step(&mut self, step: Step) {
        match step {
            Step::Play(number, prompts) => {
                if self.ensure_answered().await {
                    self.play(Lane::Main, Playing::new(Asked { program: 0, number }, prompts)).await;
                }
            }
            Step::StopPlaying => self.stop_playing(Lane::Main).await,
            Step::Answer => {
                self.ensure_answered().await;
            }
            Step::Ring(text) => self.ring(&text).await,
            Step::Understand(speech) => self.understand(*speech).await,
            Step::StopUnderstanding => self.stop_understanding().await,
            Step::Join(join) => {
                if self.ensure_answered().await {
                    self.join(*join).await;
                }
            }
            Step::Connect(connect) => self.connect(*connect).await,
            Step::Enqueue(enqueue) => {
                if self.ensure_answered().await {
                    self.enqueue(*enqueue).await;
                }
            }
            Step::Dequeue(dequeue) => {
                if self.ensure_answered().await {
                    self.dequeue(*dequeue).await;
                }
            }
            Step::Stream(stream) => {
                if self.ensure_answered().await {
                    self.stream(*stream).await;
                }
            }
            Step::Refer(refer) => {
                if self.ensure_answered().await {
                    self.refer(*refer).await;
                }
            }
            Step::Abandon(action) => {
                self.abandon(conference::LeaveCause::Transferred).await;
                let outcome = self.outcome_at_end();
                if let Some(action) = action {
                    self.tell(action.to, Purpose::Action(Box::new(outcome), action.id));
                }
            }
            // Only what is heard in a queue can leave it.
            Step::LeaveQueue | Step::Through => {}
            Step::Dub(dub) => {
                if let Err(error) = self.dub(dub).await {
                    self.refused(error).await;
                }
            }
            Step::SendDigits(digits) => {
                if self.ensure_answered().await
                    && let Err(error) = self.send_digits(digits)
                {
                    self.refused(error).await;
                }
            }
            Step::Attach(data) => {
                if let Err(error) = self.attach(data) {
                    self.refused(error).await;
                }
            }
            Step::Configure(settings) => self.configure(*settings).await,
            Step::Fetch(number, fetch, purpose) => self.fetch(Asked { program: 0, number }, fetch, purpose),
            Step::Tell(fetch, purpose) => self.tell(fetch, purpose),
            Step::Happened(kind) => self.happened(kind).await,
            Step::Hangup(cause, refusal, headers) => {
                if let HangupCause::Instructions(_) = cause {
                    let text = "the instructions redirect in a loop; let them play something or enter a room";
                    self.warn(text.to_owned()).await;
                }
                self.farewell = headers;
                self.finish(cause, refusal).await;
            }
        }
    }

    async fn ring(&mut self, text: &str) {
        if self.view.answered_at.is_some() {
            return;
        }
        let headers = [("X-CallUUID".to_owned(), self.view.uuid.clone()), ("Alert-Info".to_owned(), text.to_owned())];
        if let Err(error) = self.leg.ring(&headers).await {
            self.refused(CommandError::Invalid(error.to_string())).await;
        }
    }

    pub(super) async fn fetched(&mut self, fetched: Fetched) {
        let Fetched { asked, purpose, at, result } = fetched;
        let now = self.inner.clock.monotonic();
        if asked.program == ASIDE {
            self.asides.remove(&asked.number);
            return self.answered_aside(&purpose, result).await;
        }
        let Some(program) = self.program(asked.program).filter(|program| program.awaits(asked.number)) else { return };
        let error = match result {
            Ok(instructions) => return program.answered(instructions, now),
            Err(error) => error,
        };
        if program.failed(now) {
            return self.warn(format!("a program did not answer: {error}; the instructions go on")).await;
        }
        // What is heard meanwhile does not decide over the call.
        if asked.program != 0 {
            return self.interlude_failed(&format!("a program did not answer: {error}")).await;
        }
        let fallback = self.control.fallback.take().filter(|_| purpose == Purpose::Answer);
        let follows = if fallback.is_some() { "the fallback URL is asked" } else { "the call ends" };
        self.warn(format!("no instructions for the call: {error}; {follows}")).await;
        match fallback {
            Some(fallback) => self.fetch(asked, fallback, Purpose::Fallback),
            None => {
                let kind = kind_of(&error);
                self.finish(HangupCause::Instructions(InstructionsFault { at, kind }), None).await;
            }
        }
    }

    async fn join(&mut self, join: Join) {
        let outcome = self.enter(join).await;
        let started = outcome.as_ref().ok().map(|joined| joined.started);
        if let Err(error) = &outcome {
            self.warn(format!("the call could not enter its room: {error}")).await;
            self.interpreter.join_failed(self.inner.clock.monotonic());
        }
        if let Some(moving) = self.moving.take() {
            drop(moving.send(outcome));
        }
        if let Some(started) = started {
            self.stream_room();
            self.begin_stay(started).await;
        }
    }

    /// Streams the room's mix, where the member wants that and nobody has begun it.
    fn stream_room(&self) {
        let Some(stay) = &self.stay else { return };
        let Some(stream) = stay.hooks.stream.clone() else { return };
        let (inner, room, mailbox) = (Arc::clone(&self.inner), stay.room.clone(), self.mailbox.clone());
        let dialect = self.control.dialect;
        tokio::spawn(async move {
            let tap = TapRoom { stream: *stream, members: false };
            if let Err(error) = stream::follow(&inner, room, tap, dialect).await {
                mailbox.send(CallMessage::Refused(error)).await;
            }
        });
    }

    pub(super) async fn enter(&mut self, mut join: Join) -> Result<crate::room::Joined, CommandError> {
        join.entry.preparing |= join.hooks.enter.is_some();
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
            let by = self.asker();
            let request = JoinRequest {
                join: join.clone(),
                call: self.view.clone(),
                leg,
                mailbox: self.mailbox.clone(),
                dialect: self.control.dialect,
                by,
                speaking: self.speaking,
                taps: self.outbound_taps(),
            };
            match room.join(request).await {
                Ok(joined) => {
                    self.view.room = Some(room.uuid().to_owned());
                    self.stay = Some(Stay {
                        room,
                        member: joined.member,
                        number: joined.number,
                        moderator: join.member_settings.moderator,
                        started: joined.started,
                        hooks: join.hooks,
                    });
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
        HookError::Http(_)
        | HookError::Link(_)
        | HookError::Account(_)
        | HookError::Dialect(_)
        | HookError::Store(_) => FaultKind::Http,
    }
}

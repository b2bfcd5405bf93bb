//! Does what the interpreter says.

use super::Session;
use super::asked::{Asked, Program};
use super::message::Fetched;
use super::prompts::{Lane, Playing};
use crate::cause::{FaultKind, HangupCause, InstructionsFault};
use crate::command::CommandError;
use crate::dialect::Purpose;
use crate::hooks::HookError;
use crate::http::HttpError;
use crate::interpreter::Step;

impl Session {
    pub(super) async fn run_steps(&mut self) {
        loop {
            if self.life.over {
                return;
            }
            match self.programs.own.poll_step() {
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
        let of = self.programs.own.label().cloned();
        match step {
            Step::Play(number, prompts) => {
                if self.ensure_answered().await {
                    self.play(Lane::Main, Playing::new(Asked::own(number), prompts)).await;
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
                    self.stream(*stream, of).await;
                }
            }
            Step::Refer(refer) => {
                if self.ensure_answered().await {
                    self.refer(*refer).await;
                }
            }
            Step::Abandon(action) => {
                self.abandon(conference::LeaveCause::Transferred).await;
                let outcome = self.ties.outcome_at_end(self.inner.clock.monotonic());
                if let Some(action) = action {
                    self.tell(action.to, Purpose::Action(Box::new(outcome), action.id));
                }
            }
            // Only what is heard in a queue can leave it.
            Step::LeaveQueue | Step::Through => {}
            Step::Dub(dub) => {
                if let Err(error) = self.dub(dub).await {
                    self.refused(error, of).await;
                }
            }
            Step::SendDigits(digits) => {
                if self.ensure_answered().await
                    && let Err(error) = self.send_digits(digits)
                {
                    self.refused(error, of).await;
                }
            }
            Step::Attach(data) => {
                if let Err(error) = self.attach(data) {
                    self.refused(error, of).await;
                }
            }
            Step::Configure(settings) => self.configure(*settings, of).await,
            Step::Fetch(number, fetch, purpose) => self.fetch(Asked::own(number), fetch, purpose),
            Step::AskBeside(fetch, purpose) => {
                if !self.ask_aside(fetch, purpose) {
                    self.refused(CommandError::Busy("questions to the program"), of).await;
                }
            }
            Step::Tell(fetch, purpose) => self.tell(fetch, purpose),
            Step::Happened(kind) => self.happened(kind).await,
            Step::Hangup(cause, refusal, headers) => {
                if let HangupCause::Instructions(_) = cause {
                    let text = "the instructions redirect in a loop; let them play something or enter a room";
                    self.warn(text.to_owned()).await;
                }
                self.far.farewell = headers;
                self.finish(cause, refusal).await;
            }
        }
    }

    pub(super) async fn fetched(&mut self, fetched: Fetched) {
        let Fetched { asked, purpose, at, result } = fetched;
        let now = self.inner.clock.monotonic();
        if asked.program == Program::Aside {
            return self.answered_aside(asked.number, &purpose, result).await;
        }
        let Some(program) = self.programs.get(asked.program).filter(|program| program.awaits(asked.number)) else {
            return;
        };
        let error = match result {
            Ok(instructions) => return program.answered(instructions, now),
            Err(error) => error,
        };
        if program.failed(now) {
            return self.warn(format!("a program did not answer: {error}; the instructions go on")).await;
        }
        // What is heard meanwhile does not decide over the call.
        if asked.program != Program::Own {
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

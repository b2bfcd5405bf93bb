//! Asks a callee whether he takes the call. Until he has pressed the key he is in no room: he hears the question alone, and
//! nobody hears him.

use std::future::pending;
use std::time::{Duration, Instant};

use sip::LegEvent;
use tokio::sync::oneshot;

use super::asked::Asked;
use super::dial::not_yet;
use super::keys::By;
use super::prompts::{Lane, Playing};
use super::race::Race;
use super::{CallMessage, LegFact, Session, sleep_until};
use crate::cause::HangupCause;
use crate::command::{CallCommand, CommandError, Confirm};
use crate::dialect::{Outcome, Purpose};
use crate::hooks::HookError;
use crate::http::HttpError;
use crate::interpreter::{Interpreter, Step};
use crate::verb::{Fetch, Gather, Prompt, Times, Verb};

/// How long he may think after he has heard the question.
const TO_THINK: Duration = Duration::from_secs(10);
/// How long it may take in all: a question may repeat itself for ever.
const IN_ALL: Duration = Duration::from_secs(120);
/// Longest document with the question, bytes.
const DOCUMENT: usize = 100 * 1024;

type Question = Result<Vec<Prompt>, HookError>;

impl Session {
    /// Returns when the key was pressed; an error says why the call ends instead.
    pub(super) async fn confirmed(&mut self, confirm: &Confirm, race: &Race) -> Result<(), HangupCause> {
        let (key, sound) = match confirm {
            Confirm::Key { key, sound } => (*key, sound.clone()),
            Confirm::Program(program) => return self.confirmed_by(program, race).await,
        };
        let mut question = self.question(sound);
        if question.is_none() {
            self.ask(key, Vec::new());
        }
        let end = Instant::now() + IN_ALL;
        loop {
            while let Some(step) = self.programs.own.poll_step() {
                match step {
                    Step::Play(number, prompts) => {
                        self.play(Lane::Main, Playing::new(Asked::own(number), prompts)).await;
                    }
                    Step::StopPlaying => self.stop_playing(Lane::Main).await,
                    Step::Answer => {}
                    // The time to think is over.
                    _ => return Err(HangupCause::NotConfirmed),
                }
            }
            let deadline = self.deadline();
            let pressed = tokio::select! {
                asked = heard(&mut question) => {
                    question = None;
                    let prompts = match asked {
                        Ok(prompts) => prompts,
                        Err(error) => {
                            self.warn(format!("the confirmation sound cannot be had: {error}")).await;
                            Vec::new()
                        }
                    };
                    self.ask(key, prompts);
                    None
                }
                event = self.far.leg.next() => match event {
                    Some(LegEvent::InfoDigit(digit)) => {
                        self.input.is_new(digit, By::Info).then_some(digit)
                    }
                    Some(LegEvent::Ended { by: sip::By::Remote, .. }) => return Err(HangupCause::NotConfirmed),
                    event => {
                        self.signalled(event).await;
                        None
                    }
                },
                message = self.messages.recv() => match message {
                    Some(CallMessage::Media(LegFact::Digit(digit, held))) => {
                        self.input.is_new(digit, By::Event(held)).then_some(digit)
                    }
                    Some(CallMessage::Command(command, _, reply)) if is_for_later(&command) => {
                        drop(reply.send(Err(not_yet())));
                        None
                    }
                    Some(CallMessage::Move { reply, .. }) => {
                        drop(reply.send(Err(not_yet())));
                        None
                    }
                    Some(message) => {
                        self.told(message).await;
                        None
                    }
                    None => return Err(HangupCause::NotConfirmed),
                },
                () = sleep_until(deadline) => {
                    self.time_passed().await;
                    None
                }
                () = sleep_until(Some(end)) => return Err(HangupCause::NotConfirmed),
                cause = race.given_up() => return Err(cause),
            };
            if let Some(digit) = pressed {
                self.stop_playing(Lane::Main).await;
                return if digit == key { Ok(()) } else { Err(HangupCause::NotConfirmed) };
            }
            if self.life.over {
                // It is over already; why is known.
                return Err(HangupCause::NotConfirmed);
            }
        }
    }

    /// Runs a program's instructions for the callee alone: he takes the call unless they hang up.
    async fn confirmed_by(&mut self, program: &Fetch, race: &Race) -> Result<(), HangupCause> {
        let own = std::mem::replace(&mut self.programs.own, Interpreter::once(program.clone(), Purpose::Confirm));
        let end = Instant::now() + IN_ALL;
        let outcome = loop {
            while let Some(step) = self.programs.own.poll_step() {
                match step {
                    Step::Through => break,
                    Step::Hangup(..) => return Err(HangupCause::NotConfirmed),
                    step if is_elsewhere(&step) => {
                        let text =
                            "a program that confirms a call takes it nowhere else; the verb is left out".to_owned();
                        let of = self.programs.own.label().cloned();
                        self.refused(CommandError::Invalid(text), of).await;
                        self.programs.own.done(&Outcome::Done, self.inner.clock.monotonic());
                    }
                    step => self.step(step).await,
                }
            }
            if self.programs.own.is_over() {
                break Ok(());
            }
            let deadline = self.deadline();
            tokio::select! {
                event = self.far.leg.next() => match event {
                    Some(LegEvent::Ended { by: sip::By::Remote, .. }) => return Err(HangupCause::NotConfirmed),
                    event => self.signalled(event).await,
                },
                message = self.messages.recv() => match message {
                    Some(CallMessage::Move { reply, .. }) => drop(reply.send(Err(not_yet()))),
                    Some(CallMessage::Command(command, _, reply)) if is_for_later(&command) => {
                        drop(reply.send(Err(not_yet())));
                    }
                    Some(message) => self.told(message).await,
                    None => return Err(HangupCause::NotConfirmed),
                },
                () = sleep_until(deadline) => self.time_passed().await,
                () = sleep_until(Some(end)) => return Err(HangupCause::NotConfirmed),
                cause = race.given_up() => return Err(cause),
            }
            if self.life.over {
                // It is over already; why is known.
                return Err(HangupCause::NotConfirmed);
            }
        };
        // What the question still listened for is not for the call's own instructions.
        self.stop_understanding().await;
        self.programs.own = own;
        outcome
    }

    /// Fetches what he is asked, in the background: he may hang up meanwhile, or another be faster.
    fn question(&self, sound: Option<Fetch>) -> Option<oneshot::Receiver<Question>> {
        let fetch = sound?;
        let (answer, question) = oneshot::channel();
        let (account, dialect, view) = (self.view.account.clone(), self.control.dialect, self.view.clone());
        let hooks = self.inner.hooks.clone();
        tokio::spawn(async move {
            let asked = hooks.ask(&account, dialect, &view, &fetch, &Purpose::Sound, DOCUMENT).await;
            let file = || vec![Prompt::Audio { url: fetch.url.clone(), times: Times::Count(1) }];
            let prompts = match asked {
                Ok(asked) => Ok(hooks.prompts(dialect, &asked).unwrap_or_else(|_| file())),
                Err(HookError::Http(HttpError::TooLong { .. })) => Ok(file()),
                Err(error) => Err(error),
            };
            // Nobody waits for it any more: the call is over.
            drop(answer.send(prompts));
        });
        Some(question)
    }

    fn ask(&mut self, key: char, prompts: Vec<Prompt>) {
        let gather = Gather {
            prompts,
            first_digit: TO_THINK,
            next_digit: TO_THINK,
            max_digits: 1,
            valid: key.to_string(),
            ..Gather::default()
        };
        self.programs.own.document(vec![Verb::Gather(gather).into()], self.inner.clock.monotonic());
    }
}

/// Whether a command is for a call that has been taken.
fn is_for_later(command: &CallCommand) -> bool {
    use CallCommand as C;
    // What is set now would be the question's, and over with it; nobody can be taken out of a room who is in none.
    matches!(command, C::Transfer(_) | C::Instructions { .. } | C::Split { .. } | C::Configure(_) | C::Kick)
}

/// Whether an instruction takes the call somewhere else.
fn is_elsewhere(step: &Step) -> bool {
    matches!(
        step,
        Step::Join(_) | Step::Connect(_) | Step::Enqueue(_) | Step::Dequeue(_) | Step::Stream(_) | Step::Refer(_)
    )
}

async fn heard(question: &mut Option<oneshot::Receiver<Question>>) -> Question {
    match question {
        // A task that is gone without a word has nothing to play.
        Some(question) => question.await.unwrap_or_else(|_| Ok(Vec::new())),
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::Settings;

    #[test]
    fn what_is_for_a_call_that_has_been_taken_is_not_for_one_that_is_asked() {
        for command in [CallCommand::Configure(Box::<Settings>::default()), CallCommand::Kick] {
            assert!(is_for_later(&command), "{command:?}");
        }
        for command in [CallCommand::Hangup(None), CallCommand::Attach("{}".to_owned())] {
            assert!(!is_for_later(&command), "{command:?}");
        }
    }
}

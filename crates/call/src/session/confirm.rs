//! Asks a callee whether he takes the call. Until he has pressed the key he is in no room: he hears the question alone, and
//! nobody hears him.

use std::future::pending;
use std::time::{Duration, Instant};

use sip::LegEvent;
use tokio::sync::oneshot;

use super::dial::{Race, not_yet};
use super::keys::By;
use super::{CallMessage, LegFact, Session, sleep_until};
use crate::cause::HangupCause;
use crate::command::{CallCommand, Confirm};
use crate::dialect::Purpose;
use crate::hooks::HookError;
use crate::http::HttpError;
use crate::interpreter::Step;
use crate::verb::{Gather, Prompt, Times, Verb};

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
        let mut question = self.question(confirm);
        if question.is_none() {
            self.ask(confirm.key, Vec::new());
        }
        let end = Instant::now() + IN_ALL;
        loop {
            while let Some(step) = self.interpreter.poll_step() {
                match step {
                    Step::Play(number, prompts) => self.play(number, prompts).await,
                    Step::StopPlaying => self.stop_playing().await,
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
                    self.ask(confirm.key, prompts);
                    None
                }
                event = self.leg.next() => match event {
                    Some(LegEvent::InfoDigit(digit)) => {
                        self.keys.is_new(digit, By::Info, Instant::now()).then_some(digit)
                    }
                    Some(LegEvent::Ended { by: sip::By::Remote, .. }) => return Err(HangupCause::NotConfirmed),
                    event => {
                        self.signalled(event).await;
                        None
                    }
                },
                message = self.messages.recv() => match message {
                    Some(CallMessage::Media(LegFact::Digit(digit, held))) => {
                        self.keys.is_new(digit, By::Event(held), Instant::now()).then_some(digit)
                    }
                    Some(CallMessage::Command(CallCommand::Transfer(_), reply)) => {
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
                self.stop_playing().await;
                return if digit == confirm.key { Ok(()) } else { Err(HangupCause::NotConfirmed) };
            }
            if self.ended {
                // It is over already; why is known.
                return Err(HangupCause::NotConfirmed);
            }
        }
    }

    /// Fetches what he is asked, in the background: he may hang up meanwhile, or another be faster.
    fn question(&self, confirm: &Confirm) -> Option<oneshot::Receiver<Question>> {
        let fetch = confirm.sound.clone()?;
        let (answer, question) = oneshot::channel();
        let (account, dialect, view) = (self.account.clone(), self.control.dialect, self.view.clone());
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
            action: None,
            follow: false,
            first_digit: TO_THINK,
            next_digit: TO_THINK,
            finish_on: None,
            max_digits: 1,
            valid: key.to_string(),
            invalid_sound: None,
            attempts: 1,
            beep: false,
        };
        self.interpreter.document(vec![Verb::Gather(gather)], self.inner.clock.monotonic());
    }
}

async fn heard(question: &mut Option<oneshot::Receiver<Question>>) -> Question {
    match question {
        // A task that is gone without a word has nothing to play.
        Some(question) => question.await.unwrap_or_else(|_| Ok(Vec::new())),
        None => pending().await,
    }
}

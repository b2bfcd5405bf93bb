//! Collects digits, and speech where somebody understands it.

use std::time::Duration;

use super::barge_in::is_clear;
use super::{Doing, Interpreter, Step};
use crate::dialect::{Gathered, InputEnd, Outcome, Purpose, Understood};
use crate::verb::{Gather, Prompt, Report, Times, Verb};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gathering {
    pub gather: Box<Gather>,
    pub attempt: u32,
    pub digits: String,
    /// The prompts' number while they sound.
    pub prompts: Option<u64>,
    /// When the wait for the next digit ends.
    pub deadline: Option<Duration>,
    /// It is input that was waited for beside the instructions.
    pub barge_in: bool,
}

impl Interpreter {
    /// The caller pressed a key.
    pub fn digit(&mut self, digit: char, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return self.digit_beside(digit, now) };
        let finishes = gathering.gather.finish_on == Some(digit);
        let counts = finishes || gathering.gather.valid.contains(digit);
        // A program that is told the outcome, whatever it is, asks for no second attempt.
        if !counts && gathering.gather.report == Report::Outcome {
            return;
        }
        self.hops = 0;
        if gathering.prompts.is_some() && gathering.gather.interrupts {
            gathering.prompts = None;
            self.steps.push_back(Step::StopPlaying);
        }
        let sounding = gathering.prompts.is_some();
        let gather = &gathering.gather;
        if finishes {
            self.end_of_digits(true, now);
        } else if !counts {
            // Keys that are no input have no outcome.
            if gather.report != Report::Outcome {
                self.invalid_input(now);
            }
        } else {
            gathering.digits.push(digit);
            if gathering.digits.chars().count() >= gather.max_digits {
                self.end_of_digits(false, now);
            } else if !sounding {
                gathering.deadline = Some(now + gather.next_digit);
            }
        }
    }

    /// Speech was understood, or not: why.
    pub fn understood(&mut self, heard: Result<Understood, String>, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return self.understood_beside(heard, now) };
        let Some(speech) = &gathering.gather.speech else { return };
        if gathering.barge_in && !is_clear(&heard, speech) {
            // The keys that he presses count all the same.
            let speech = speech.clone();
            return match heard {
                Ok(_) => self.steps.push_back(Step::Understand(speech)),
                Err(error) => {
                    gathering.gather.speech = None;
                    self.speech_fails_beside(&error);
                }
            };
        }
        let gathered = match heard {
            Ok(heard) => {
                let best = heard.alternatives.first().map_or(0.0, |(_, confidence)| *confidence);
                let end = if best < speech.min_confidence { InputEnd::Unclear } else { InputEnd::Speech };
                Gathered { end, digits: None, speech: Some(heard), error: None }
            }
            Err(error) => Gathered { end: InputEnd::Error, digits: None, speech: None, error: Some(error) },
        };
        // Nothing understood at once, again and again, is a loop as well.
        if gathered.speech.as_ref().is_some_and(|heard| !heard.alternatives.is_empty()) {
            self.hops = 0;
        }
        self.gathered(gathered, now);
    }

    pub(super) fn gather(&mut self, gather: Box<Gather>, attempt: u32, now: Duration) {
        self.suspend_barge_in();
        let mut heard = gather.prompts.clone();
        if gather.beep {
            heard.push(Prompt::Beep);
        }
        let speech = gather.speech.clone();
        let mut gathering =
            Gathering { gather, attempt, digits: String::new(), prompts: None, deadline: None, barge_in: false };
        if heard.is_empty() {
            self.steps.push_back(Step::Answer);
            gathering.deadline = Some(now + gathering.gather.first_digit);
        } else {
            gathering.prompts = Some(self.play(heard));
        }
        self.doing = Doing::Gathering(gathering);
        if let Some(speech) = speech {
            self.steps.push_back(Step::Understand(speech));
        }
    }

    pub(super) fn gathering_timed_out(&mut self, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        if gathering.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if gathering.digits.is_empty() {
            self.retry(now);
        } else {
            self.end_of_digits(false, now);
        }
    }

    /// `finished`: by the key that says that these are all.
    fn end_of_digits(&mut self, finished: bool, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        let digits = std::mem::take(&mut gathering.digits);
        let end = InputEnd::of_digits(&digits, finished, gathering.gather.min_digits);
        self.gathered(Gathered { end, digits: Some(digits), speech: None, error: None }, now);
    }

    fn invalid_input(&mut self, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        gathering.digits.clear();
        let sound = gathering.gather.invalid_sound.clone();
        let sound = sound.map(|url| Prompt::Audio { url, times: Times::Count(1) });
        if gathering.attempt >= gathering.gather.attempts {
            // He is told all the same, before the next verb.
            if let Some(sound) = sound {
                self.rest.push_front(Verb::Prompt(sound).into());
            }
            self.end_gathering();
            self.advance(now);
            return;
        }
        let mut gather = gathering.gather.clone();
        let attempt = gathering.attempt + 1;
        let original = gather.prompts.clone();
        if let Some(sound) = sound {
            gather.prompts.insert(0, sound);
        }
        self.gather(gather, attempt, now);
        if let Doing::Gathering(gathering) = &mut self.doing {
            gathering.gather.prompts = original;
        }
    }

    fn retry(&mut self, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        if gathering.attempt < gathering.gather.attempts {
            let (gather, attempt) = (gathering.gather.clone(), gathering.attempt + 1);
            return self.gather(gather, attempt, now);
        }
        let nothing = Gathered { end: InputEnd::Timeout, digits: None, speech: None, error: None };
        self.gathered(nothing, now);
    }

    /// Leaves the gathering; what still sounds of it, or listens for it, stops.
    pub(super) fn end_gathering(&mut self) {
        if let Doing::Gathering(gathering) = &self.doing {
            if gathering.prompts.is_some() {
                self.steps.push_back(Step::StopPlaying);
            }
            if gathering.gather.speech.is_some() {
                self.steps.push_back(Step::StopUnderstanding);
            }
        }
        self.doing = Doing::Nothing;
        self.listen_beside();
    }

    fn gathered(&mut self, gathered: Gathered, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        let (action, report) = (gathering.gather.action.take(), gathering.gather.report);
        if gathering.barge_in {
            self.barge_in_over();
        }
        self.end_gathering();
        match (action, report) {
            (Some(action), Report::Outcome) => {
                let purpose = Purpose::Action(Box::new(Outcome::Gathered(gathered)), action.id);
                self.fetch(action.to, purpose, now);
            }
            (Some(action), Report::DigitsFollowed) if gathered.digits.is_some() => {
                self.fetch(action.to, Purpose::Digits(gathered.digits.unwrap_or_default()), now);
            }
            (Some(action), Report::DigitsOnly) if gathered.digits.is_some() => {
                self.steps.push_back(Step::Tell(action.to, Purpose::Digits(gathered.digits.unwrap_or_default())));
                self.advance(now);
            }
            _ => self.advance(now),
        }
    }
}

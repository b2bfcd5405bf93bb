//! Input that counts beside the instructions.
//!
//! What the caller presses or says while he hears prompts, or nothing, ends those and is gathered like an instruction's own.
//! Where an instruction has taken the call (a room, a connection, a queue) it ends nothing: the program is asked beside, and
//! the call comes back only if the answer has other instructions. An instruction that gathers has all input to itself.

use std::time::Duration;

use super::gathering::Gathering;
use super::{Doing, Interpreter, Step};
use crate::dialect::{Gathered, InputEnd, Kind, Outcome, Purpose, Understood};
use crate::verb::{Gather, Label, Settings, Understanding};

/// Input that is waited for beside the instructions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BargeIn {
    gather: Box<Gather>,
    /// It is waited for anew when some has come.
    again: bool,
    /// The instruction that wanted it.
    label: Option<Label>,
    digits: String,
    /// When the wait for the next digit ends.
    deadline: Option<Duration>,
    /// Somebody listens for speech.
    listens: bool,
}

impl BargeIn {
    /// Begins anew.
    fn reset(&mut self) {
        self.digits.clear();
        self.deadline = None;
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.deadline
    }
}

impl Interpreter {
    /// Sets what holds for the rest of the call, as far as it concerns how instructions run.
    pub fn configure(&mut self, settings: &Settings, label: Option<Label>) {
        self.notify = settings.notify.unwrap_or(self.notify);
        let Some(input) = settings.barge_in.as_ref().filter(|_| self.doing != Doing::Over) else { return };
        self.end_barge_in();
        let Some(gather) = input else { return };
        self.barge_in = Some(BargeIn {
            gather: gather.clone(),
            again: settings.barge_in_again,
            label,
            digits: String::new(),
            deadline: None,
            listens: false,
        });
        // Nothing is pressed or said before that.
        self.steps.push_back(Step::Answer);
        self.listen_beside();
    }

    /// Input beside the instructions counts no more.
    pub fn end_barge_in(&mut self) {
        self.suspend_barge_in();
        self.barge_in = None;
        // What is being gathered because of it is gathered to its end.
        if let Doing::Gathering(gathering) = &mut self.doing {
            gathering.barge_in = false;
        }
    }

    /// An instruction gathers: what was pressed before is not its input, and nobody else listens.
    pub(super) fn suspend_barge_in(&mut self) {
        let Some(barge_in) = &mut self.barge_in else { return };
        barge_in.reset();
        if std::mem::take(&mut barge_in.listens) {
            self.steps.push_back(Step::StopUnderstanding);
        }
    }

    /// Listens for speech that is wanted beside the instructions, unless one of them gathers.
    pub(super) fn listen_beside(&mut self) {
        let Some(barge_in) = self.barge_in.as_mut().filter(|barge_in| !barge_in.listens) else { return };
        if let Some(speech) = &barge_in.gather.speech
            && !matches!(self.doing, Doing::Gathering(_) | Doing::Over)
        {
            barge_in.listens = true;
            self.steps.push_back(Step::Understand(speech.clone()));
        }
    }

    /// Input that was waited for beside the instructions has come.
    pub(super) fn barge_in_over(&mut self) {
        match &mut self.barge_in {
            Some(barge_in) if barge_in.again => barge_in.reset(),
            _ => self.barge_in = None,
        }
    }

    /// A key while no instruction gathers.
    pub(super) fn digit_beside(&mut self, digit: char, now: Duration) {
        let interrupts = self.gives_way();
        let Some(barge_in) = self.barge_in.as_mut().filter(|_| self.doing != Doing::Over) else { return };
        let finishes = barge_in.gather.finish_on == Some(digit);
        if !finishes && !barge_in.gather.valid.contains(digit) {
            return;
        }
        self.hops = 0;
        if interrupts {
            self.gather_beside(now);
            return self.digit(digit, now);
        }
        if !finishes {
            barge_in.digits.push(digit);
        }
        if finishes || barge_in.digits.chars().count() >= barge_in.gather.max_digits {
            self.digits_beside_end(finishes, now);
        } else {
            barge_in.deadline = Some(now + barge_in.gather.next_digit);
        }
    }

    /// Speech was understood, or not, that was listened for beside the instructions.
    pub(super) fn understood_beside(&mut self, heard: Result<Understood, String>, now: Duration) {
        let Some(barge_in) = self.barge_in.as_mut().filter(|barge_in| barge_in.listens) else { return };
        barge_in.listens = false;
        let clear = barge_in.gather.speech.as_ref().is_some_and(|speech| is_clear(&heard, speech));
        let heard = match heard {
            Ok(heard) if clear => heard,
            Ok(_) => return self.listen_beside(),
            Err(error) => return self.speech_fails_beside(&error),
        };
        self.hops = 0;
        self.input_beside(Gathered { end: InputEnd::Speech, digits: None, speech: Some(heard), error: None }, now);
    }

    /// Speech cannot be understood. Once more would fail at once, and for ever; keys still count.
    pub(super) fn speech_fails_beside(&mut self, error: &str) {
        let Some(barge_in) = &mut self.barge_in else { return };
        barge_in.gather.speech = None;
        let fault = Kind::Fault(format!("{error}; speech does not interrupt any more"), barge_in.label.clone());
        self.steps.push_back(Step::Happened(fault));
    }

    pub(super) fn barge_in_timed_out(&mut self, now: Duration) {
        let over = |barge_in: &BargeIn| barge_in.deadline.is_some_and(|deadline| now >= deadline);
        if self.barge_in.as_ref().is_some_and(over) {
            self.digits_beside_end(false, now);
        }
    }

    /// Whether what is being done ends when the caller presses or says something.
    fn gives_way(&self) -> bool {
        matches!(self.doing, Doing::Prompting(_) | Doing::Idle)
    }

    /// The caller has begun to press keys: from here on they are gathered as by an instruction.
    fn gather_beside(&mut self, now: Duration) {
        let Some(barge_in) = &mut self.barge_in else { return };
        let (gather, digits) = (barge_in.gather.clone(), std::mem::take(&mut barge_in.digits));
        let deadline = Some(now + gather.next_digit);
        barge_in.reset();
        // Whoever listens goes on for what is gathered now.
        barge_in.listens = false;
        self.break_off();
        self.doing =
            Doing::Gathering(Gathering { gather, attempt: 1, digits, prompts: None, deadline, barge_in: true });
    }

    /// `finished`: by the key that says that these are all.
    fn digits_beside_end(&mut self, finished: bool, now: Duration) {
        let Some(barge_in) = &mut self.barge_in else { return };
        let digits = std::mem::take(&mut barge_in.digits);
        let end = InputEnd::of_digits(&digits, finished, barge_in.gather.min_digits);
        self.input_beside(Gathered { end, digits: Some(digits), speech: None, error: None }, now);
    }

    fn input_beside(&mut self, gathered: Gathered, now: Duration) {
        let Some(barge_in) = &self.barge_in else { return };
        let action = barge_in.gather.action.clone();
        let interrupts = self.gives_way();
        if barge_in.listens && !barge_in.again {
            self.suspend_barge_in();
        }
        self.barge_in_over();
        if interrupts {
            self.break_off();
        }
        match action {
            Some(action) => {
                let purpose = Purpose::Action(Box::new(Outcome::Gathered(gathered)), action.id);
                match interrupts {
                    true => self.fetch(action.to, purpose, now),
                    false => self.steps.push_back(Step::AskBeside(action.to, purpose)),
                }
            }
            None if interrupts => self.advance(now),
            None => {}
        }
        self.listen_beside();
    }
}

/// Whether something was understood, and well enough.
pub(super) fn is_clear(heard: &Result<Understood, String>, speech: &Understanding) -> bool {
    let best = heard.as_ref().ok().and_then(|heard| heard.alternatives.first());
    best.is_some_and(|(_, confidence)| *confidence >= speech.min_confidence)
}

impl InputEnd {
    /// How an input of digits ended; `finished`: by the key that says that these are all.
    pub(super) fn of_digits(digits: &str, finished: bool, least: usize) -> Self {
        if finished || digits.chars().count() >= least { Self::Digits } else { Self::Timeout }
    }
}

//! Runs a call's instructions, one verb at a time. Sans-IO: inputs are told, time is an argument, what to do is polled.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cause::{FaultAt, FaultKind, HangupCause, InstructionsFault};
use crate::dialect::{Departure, Purpose};
use crate::verb::{Fetch, Gather, Hangup, Join, Prompt, Refusal, Times, Verb};

/// What the driver must do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Play these to the caller, answering the call first; tell [`Interpreter::prompts_ended`] with the number.
    Play(u64, Vec<Prompt>),
    /// Stop what is being played.
    StopPlaying,
    /// Answer the call, if it has not been: digits come only then.
    Answer,
    /// Enter a room, answering the call first; tell [`Interpreter::left_room`] afterwards.
    Join(Box<Join>),
    /// Ask for instructions; tell [`Interpreter::document`], or end the call when they cannot be had, while
    /// [`Interpreter::awaits`] the number.
    Fetch(u64, Fetch, Purpose),
    /// Tell a program something; its answer is ignored.
    Tell(Fetch, Purpose),
    /// End the call.
    Hangup(HangupCause, Option<Refusal>),
}

/// Redirects in a row before they count as a loop.
const MOST_HOPS: u32 = 30;

#[derive(Clone, Debug, PartialEq)]
enum Doing {
    Nothing,
    Prompting(u64),
    Gathering(Gathering),
    InRoom(Option<Fetch>),
    Fetching,
    Over,
}

#[derive(Clone, Debug, PartialEq)]
struct Gathering {
    gather: Box<Gather>,
    attempt: u32,
    digits: String,
    /// The prompts' number while they sound.
    prompts: Option<u64>,
    /// When the wait for the next digit ends.
    deadline: Option<Duration>,
}

/// The interpreter of one call.
#[derive(Clone, Debug)]
pub struct Interpreter {
    rest: VecDeque<Verb>,
    doing: Doing,
    steps: VecDeque<Step>,
    prompts: u64,
    fetches: u64,
    /// Requests in a row without anything heard, a wait for keys or a room.
    hops: u32,
    hangup_at: Option<Duration>,
    /// What ends the call when the instructions are through.
    at_end: HangupCause,
}

impl Default for Interpreter {
    fn default() -> Self {
        Self::new()
    }
}

impl Interpreter {
    /// An interpreter without instructions.
    pub fn new() -> Self {
        Self {
            rest: VecDeque::new(),
            doing: Doing::Fetching,
            steps: VecDeque::new(),
            prompts: 0,
            fetches: 0,
            hops: 0,
            hangup_at: None,
            at_end: HangupCause::EndOfInstructions,
        }
    }

    /// Whether the answer to the request of this number is still wanted; the call's first request has number 0. Newer
    /// instructions make an older answer worthless.
    pub fn awaits(&self, number: u64) -> bool {
        self.doing == Doing::Fetching && self.fetches == number
    }

    /// What to do next, if anything.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// New instructions replace whatever is left of the old ones.
    pub fn document(&mut self, verbs: Vec<Verb>, now: Duration) {
        if self.doing == Doing::Over {
            return;
        }
        if matches!(&self.doing, Doing::Prompting(_) | Doing::Gathering(Gathering { prompts: Some(_), .. })) {
            self.steps.push_back(Step::StopPlaying);
        }
        self.rest = verbs.into();
        self.doing = Doing::Nothing;
        self.advance(now);
    }

    /// A program moves the call to other instructions, which replace whatever is left of the old ones.
    pub fn transfer(&mut self, fetch: Fetch) {
        if self.doing == Doing::Over {
            return;
        }
        if matches!(&self.doing, Doing::Prompting(_) | Doing::Gathering(Gathering { prompts: Some(_), .. })) {
            self.steps.push_back(Step::StopPlaying);
        }
        self.rest.clear();
        // Somebody asked for it: however often, it is no loop of documents.
        self.hops = 0;
        self.fetch(fetch, Purpose::Transfer);
    }

    /// Something of the prompts has begun to sound: whatever follows is no loop.
    pub fn heard(&mut self) {
        self.hops = 0;
    }

    /// Prompts ended, or could not be played.
    pub fn prompts_ended(&mut self, number: u64, now: Duration) {
        match &mut self.doing {
            Doing::Prompting(current) if *current == number => {
                self.doing = Doing::Nothing;
                self.advance(now);
            }
            Doing::Gathering(gathering) if gathering.prompts == Some(number) => {
                gathering.prompts = None;
                gathering.deadline = Some(now + gathering.gather.first_digit);
            }
            _ => {}
        }
    }

    /// The caller pressed a key.
    pub fn digit(&mut self, digit: char, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        self.hops = 0;
        if gathering.prompts.take().is_some() {
            self.steps.push_back(Step::StopPlaying);
        }
        let gather = &gathering.gather;
        if gather.finish_on == Some(digit) {
            let digits = std::mem::take(&mut gathering.digits);
            self.gathered(digits, now);
        } else if !gather.valid.contains(digit) {
            self.invalid_input(now);
        } else {
            gathering.digits.push(digit);
            if gathering.digits.chars().count() >= gather.max_digits {
                let digits = std::mem::take(&mut gathering.digits);
                self.gathered(digits, now);
            } else {
                gathering.deadline = Some(now + gather.next_digit);
            }
        }
    }

    /// The call left its room. `at_end` says how the call ends if nothing follows.
    pub fn left_room(&mut self, departure: Departure, at_end: HangupCause, now: Duration) {
        let Doing::InRoom(on_exit) = &mut self.doing else { return };
        let on_exit = on_exit.take();
        self.doing = Doing::Nothing;
        self.hops = 0;
        match on_exit {
            Some(fetch) => self.fetch(fetch, Purpose::LeftRoom(Box::new(departure))),
            None => {
                if self.rest.is_empty() {
                    self.at_end = at_end;
                }
                self.advance(now);
            }
        }
    }

    /// The room could not be entered; the next verb runs.
    pub fn join_failed(&mut self, now: Duration) {
        if matches!(self.doing, Doing::InRoom(_)) {
            self.doing = Doing::Nothing;
            if self.rest.is_empty() {
                self.at_end = HangupCause::RoomRefused;
            }
            self.advance(now);
        }
    }

    /// The next instant at which [`Interpreter::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Duration> {
        let gathering = match &self.doing {
            Doing::Gathering(gathering) => gathering.deadline,
            _ => None,
        };
        [gathering, self.hangup_at].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.hangup_at.is_some_and(|at| now >= at) {
            self.hang_up(HangupCause::Scheduled, None);
            return;
        }
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        if gathering.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.hops = 0;
        if gathering.digits.is_empty() {
            self.retry(now);
        } else {
            let digits = std::mem::take(&mut gathering.digits);
            self.gathered(digits, now);
        }
    }

    fn advance(&mut self, now: Duration) {
        while self.doing == Doing::Nothing {
            let mut prompts = Vec::new();
            while let Some(Verb::Prompt(_)) = self.rest.front() {
                if let Some(Verb::Prompt(prompt)) = self.rest.pop_front() {
                    prompts.push(prompt);
                }
            }
            if !prompts.is_empty() {
                let number = self.play(prompts);
                self.doing = Doing::Prompting(number);
                return;
            }
            match self.rest.pop_front() {
                None => self.hang_up(self.at_end.clone(), None),
                Some(Verb::Prompt(_)) => {}
                Some(Verb::Gather(gather)) => self.gather(Box::new(gather), 1, now),
                Some(Verb::Join(join)) => {
                    self.doing = Doing::InRoom(join.member_settings.on_exit.clone());
                    self.steps.push_back(Step::Join(join));
                }
                Some(Verb::Redirect(fetch)) => self.fetch(fetch, Purpose::Redirect),
                Some(Verb::Hangup(Hangup { after: Some(after), .. })) => self.hangup_at = Some(now + after),
                Some(Verb::Hangup(Hangup { refusal, after: None })) => self.hang_up(HangupCause::Instructed, refusal),
            }
        }
    }

    fn play(&mut self, prompts: Vec<Prompt>) -> u64 {
        self.prompts += 1;
        self.steps.push_back(Step::Play(self.prompts, prompts));
        self.prompts
    }

    fn gather(&mut self, gather: Box<Gather>, attempt: u32, now: Duration) {
        let mut heard = gather.prompts.clone();
        if gather.beep {
            heard.push(Prompt::Beep);
        }
        let mut gathering = Gathering { gather, attempt, digits: String::new(), prompts: None, deadline: None };
        if heard.is_empty() {
            self.steps.push_back(Step::Answer);
            gathering.deadline = Some(now + gathering.gather.first_digit);
        } else {
            gathering.prompts = Some(self.play(heard));
        }
        self.doing = Doing::Gathering(gathering);
    }

    fn invalid_input(&mut self, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        gathering.digits.clear();
        let sound = gathering.gather.invalid_sound.clone();
        let sound = sound.map(|url| Prompt::Audio { url, times: Times::Count(1) });
        if gathering.attempt >= gathering.gather.attempts {
            // He is told all the same, before the next verb.
            if let Some(sound) = sound {
                self.rest.push_front(Verb::Prompt(sound));
            }
            self.doing = Doing::Nothing;
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
        if gathering.attempt >= gathering.gather.attempts {
            self.doing = Doing::Nothing;
            self.advance(now);
        } else {
            let (gather, attempt) = (gathering.gather.clone(), gathering.attempt + 1);
            self.gather(gather, attempt, now);
        }
    }

    fn gathered(&mut self, digits: String, now: Duration) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        let (action, follow) = (gathering.gather.action.take(), gathering.gather.follow);
        self.doing = Doing::Nothing;
        match action {
            Some(fetch) if follow => self.fetch(fetch, Purpose::Digits(digits)),
            Some(fetch) => {
                self.steps.push_back(Step::Tell(fetch, Purpose::Digits(digits)));
                self.advance(now);
            }
            None => self.advance(now),
        }
    }

    fn fetch(&mut self, fetch: Fetch, purpose: Purpose) {
        self.hops += 1;
        if self.hops > MOST_HOPS {
            let fault = InstructionsFault { at: FaultAt::Redirect, kind: FaultKind::Document };
            return self.hang_up(HangupCause::Instructions(fault), None);
        }
        self.fetches += 1;
        self.doing = Doing::Fetching;
        self.steps.push_back(Step::Fetch(self.fetches, fetch, purpose));
    }

    fn hang_up(&mut self, cause: HangupCause, refusal: Option<Refusal>) {
        if self.doing != Doing::Over {
            self.doing = Doing::Over;
            self.hangup_at = None;
            self.steps.push_back(Step::Hangup(cause, refusal));
        }
    }
}

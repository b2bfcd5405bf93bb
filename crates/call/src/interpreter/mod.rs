//! Runs a call's instructions, one at a time. Sans-IO: inputs are told, time is an argument, what to do is polled.
//!
//! The same interpreter runs the programs that are heard while a call waits: see [`Interpreter::looping`] and
//! [`Interpreter::once`].

mod barge_in;
mod gathering;
mod step;

use std::collections::VecDeque;
use std::time::Duration;

pub use step::Step;
use step::Steps;

use crate::cause::{FaultAt, FaultKind, HangupCause, InstructionsFault};
use crate::command::CommandError;
use crate::dialect::{AtEnd, Departure, Kind, Outcome, Purpose};
use crate::verb::{Action, Fetch, Hangup, Instruction, Label, Prompt, Refusal, Verb};
use barge_in::BargeIn;
use gathering::Gathering;

/// Requests in a row before they count as a loop.
const MOST_HOPS: u32 = 30;
/// Whoever waits this long between two requests goes round in no loop: however the call spends it, it is heard, rung or
/// waited for. A program that is heard again and again is asked no more often.
const BETWEEN_HOPS: Duration = Duration::from_secs(1);
/// Instructions of one call that may wait where others are added to them.
const MOST_WAITING: usize = 500;

/// Whether so many instructions may follow those that wait.
///
/// # Errors
/// [`CommandError::Conflict`]: they would be more than 500.
pub(crate) fn may_follow(waiting: usize, more: usize) -> Result<(), CommandError> {
    if more > 0 && waiting.saturating_add(more) > MOST_WAITING {
        let text = format!(
            "{waiting} instructions of the call wait already, and at most {MOST_WAITING} may: the {more} new ones were left \
             out; queue them when some have run, or replace the rest"
        );
        return Err(CommandError::Conflict(text));
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq)]
enum Doing {
    Nothing,
    Prompting(Prompting),
    Gathering(Gathering),
    /// In a room, a connection, a queue, a stream or a referral.
    Away(Away),
    /// A request is under way; whether its failure ends the call.
    Fetching {
        vital: bool,
        /// It is what a program hears again and again that was asked for.
        round: bool,
    },
    /// The instructions are through, and the call stays up.
    Idle,
    Over,
}

#[derive(Clone, Debug, PartialEq)]
struct Prompting {
    number: u64,
    action: Option<Action>,
    /// When it is enough.
    until: Option<Duration>,
    /// When it began to sound.
    since: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Away {
    /// Asked for instructions after a room.
    on_exit: Option<Fetch>,
    /// Told when it is over.
    action: Option<Action>,
}

/// What follows when the instructions are through.
#[derive(Clone, Debug, PartialEq)]
enum Follows {
    /// The call ends, for this cause.
    Hangup(HangupCause),
    /// The call stays up.
    Stay,
    /// They are asked for again.
    Again(Fetch, Purpose),
    /// Nothing.
    Nothing,
}

/// The interpreter of one call, or of a program that is heard while the call waits.
#[derive(Clone, Debug)]
pub struct Interpreter {
    rest: VecDeque<Instruction>,
    doing: Doing,
    /// What is being done, if programs are told.
    current: Option<Label>,
    notify: bool,
    /// Input that counts beside the instructions.
    barge_in: Option<BargeIn>,
    steps: Steps,
    prompts: u64,
    fetches: u64,
    /// Requests in a row, each [`BETWEEN_HOPS`] after the one before at most, and without a key or a word of the caller.
    hops: u32,
    /// When the last of them was made; the first is not made here, and counts from its answer.
    asked_at: Option<Duration>,
    hangup_at: Option<Duration>,
    follows: Follows,
}

impl Default for Interpreter {
    fn default() -> Self {
        Self::new()
    }
}

impl Interpreter {
    /// The interpreter of a call that waits for its first instructions.
    pub fn new() -> Self {
        Self {
            rest: VecDeque::new(),
            doing: Doing::Fetching { vital: true, round: false },
            current: None,
            notify: false,
            barge_in: None,
            steps: Steps::default(),
            prompts: 0,
            fetches: 0,
            hops: 0,
            asked_at: None,
            hangup_at: None,
            follows: Follows::Hangup(HangupCause::EndOfInstructions),
        }
    }

    /// A program that is asked for what to hear again and again, until it says nothing.
    pub fn looping(fetch: Fetch, purpose: Purpose) -> Self {
        let mut program = Self { follows: Follows::Again(fetch.clone(), purpose.clone()), ..Self::new() };
        program.ask(fetch, purpose);
        program
    }

    /// A program that is asked once for what to hear.
    pub fn once(fetch: Fetch, purpose: Purpose) -> Self {
        let mut program = Self { follows: Follows::Nothing, ..Self::new() };
        program.ask(fetch, purpose);
        program
    }

    /// A program that is heard once.
    pub fn of(instructions: Vec<Instruction>) -> Self {
        let mut program = Self { doing: Doing::Nothing, follows: Follows::Nothing, ..Self::new() };
        program.document(instructions, Duration::ZERO);
        program
    }

    /// What becomes of the call when its instructions are through.
    pub fn set_at_end(&mut self, at_end: AtEnd) {
        self.follows = match at_end {
            AtEnd::Hangup => Follows::Hangup(HangupCause::EndOfInstructions),
            AtEnd::Stay => Follows::Stay,
        };
    }

    /// Whether the answer to the request of this number is still wanted; the call's first request has number 0. Newer
    /// instructions make an older answer worthless.
    pub fn awaits(&self, number: u64) -> bool {
        matches!(self.doing, Doing::Fetching { .. }) && self.fetches == number
    }

    /// Whether the call is where an instruction took it: a room, a connection, a queue, a stream, a referral.
    pub fn is_away(&self) -> bool {
        matches!(self.doing, Doing::Away(_))
    }

    /// Whether nothing follows any more.
    pub fn is_over(&self) -> bool {
        self.doing == Doing::Over
    }

    /// What to do next, if anything.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// How programs are told of the instruction whose step was polled last, where that has a label.
    pub fn label(&self) -> Option<&Label> {
        self.steps.label()
    }

    /// The answer to the request that is under way: other instructions, or none to go on with the old ones.
    pub fn answered(&mut self, instructions: Option<Vec<Instruction>>, now: Duration) {
        let Doing::Fetching { round, .. } = self.doing else { return };
        self.asked_at.get_or_insert(now);
        match instructions {
            Some(instructions) => self.document(instructions, now),
            None => {
                // A program that is heard again and again and says nothing has nothing more to say.
                if round {
                    self.follows = Follows::Nothing;
                }
                self.doing = Doing::Nothing;
                self.advance(now);
            }
        }
    }

    /// The request that is under way failed. Whether the call goes on without its answer.
    pub fn failed(&mut self, now: Duration) -> bool {
        match self.doing {
            Doing::Fetching { vital: false, .. } => {
                self.answered(None, now);
                true
            }
            _ => false,
        }
    }

    /// New instructions replace whatever is left of the old ones.
    pub fn document(&mut self, instructions: Vec<Instruction>, now: Duration) {
        if self.doing == Doing::Over {
            return;
        }
        self.asked_at.get_or_insert(now);
        self.break_off();
        self.rest = instructions.into();
        self.advance(now);
    }

    /// New instructions follow the old ones.
    ///
    /// # Errors
    /// [`CommandError::Conflict`]: more than 500 would wait then. Nothing has changed.
    pub fn append(&mut self, instructions: Vec<Instruction>, now: Duration) -> Result<(), CommandError> {
        if self.doing == Doing::Over {
            return Ok(());
        }
        may_follow(self.rest.len(), instructions.len())?;
        self.rest.extend(instructions);
        if self.doing == Doing::Idle {
            self.doing = Doing::Nothing;
            self.advance(now);
        }
        Ok(())
    }

    /// What is done is broken off, and nothing follows before other instructions come.
    pub fn leave_off(&mut self) {
        if self.doing == Doing::Over {
            return;
        }
        self.break_off();
        self.rest.clear();
        self.instruction_over();
    }

    /// A program moves the call to other instructions, which replace whatever is left of the old ones.
    pub fn transfer(&mut self, fetch: Fetch, now: Duration) {
        if self.doing == Doing::Over {
            return;
        }
        self.break_off();
        self.rest.clear();
        // Somebody asked for it: however often, it is no loop of documents.
        self.hops = 0;
        self.fetch(fetch, Purpose::Transfer, now);
    }

    /// Something of the prompts has begun to sound.
    pub fn heard(&mut self, now: Duration) {
        if let Doing::Prompting(prompting) = &mut self.doing {
            prompting.since.get_or_insert(now);
        }
    }

    /// A sound, and not mere silence, has begun: whatever follows is no loop.
    pub fn sounded(&mut self) {
        self.hops = 0;
    }

    /// Prompts ended, or could not be played.
    pub fn prompts_ended(&mut self, number: u64, now: Duration) {
        match &mut self.doing {
            Doing::Prompting(current) if current.number == number => self.played(now),
            Doing::Gathering(gathering) if gathering.prompts == Some(number) => {
                gathering.prompts = None;
                let wait = if gathering.digits.is_empty() {
                    gathering.gather.first_digit
                } else {
                    gathering.gather.next_digit
                };
                gathering.deadline = Some(now + wait);
            }
            _ => {}
        }
    }

    /// The call left its room. `at_end` says how the call ends if nothing follows.
    pub fn left_room(&mut self, departure: Departure, at_end: HangupCause, now: Duration) {
        let Doing::Away(away) = &mut self.doing else { return };
        let away = std::mem::take(away);
        self.back(away, &Outcome::Done, Some(departure), at_end, now);
    }

    /// The room could not be entered; the action is told all the same, else the next verb runs.
    pub fn join_failed(&mut self, now: Duration) {
        let Doing::Away(away) = &mut self.doing else { return };
        let away = Away { on_exit: None, ..std::mem::take(away) };
        self.back(away, &Outcome::Done, None, HangupCause::RoomRefused, now);
    }

    /// A connection, queue, stream or referral is over.
    pub fn done(&mut self, outcome: &Outcome, now: Duration) {
        let Doing::Away(away) = &mut self.doing else { return };
        let away = std::mem::take(away);
        self.back(away, outcome, None, HangupCause::EndOfInstructions, now);
    }

    /// The call is over: who is to be told how its last instruction went, and what for.
    pub fn hung_up(&mut self, outcome: impl FnOnce() -> Outcome) -> Option<(Fetch, Purpose)> {
        let doing = std::mem::replace(&mut self.doing, Doing::Over);
        (self.hangup_at, self.barge_in) = (None, None);
        self.steps.clear();
        let action = match doing {
            Doing::Away(away) => away.action,
            _ => None,
        };
        action.map(|action| (action.to, Purpose::Action(Box::new(outcome()), action.id)))
    }

    /// The next instant at which [`Interpreter::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Duration> {
        let deadline = match &self.doing {
            Doing::Gathering(gathering) => gathering.deadline,
            Doing::Prompting(prompting) => prompting.until,
            _ => None,
        };
        let beside = self.barge_in.as_ref().and_then(BargeIn::next_timeout);
        [deadline, beside, self.hangup_at].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.hangup_at.is_some_and(|at| now >= at) {
            self.hang_up(HangupCause::Scheduled, None, Vec::new());
            return;
        }
        match &self.doing {
            Doing::Prompting(prompting) if prompting.until.is_some_and(|until| now >= until) => {
                self.steps.push_back(Step::StopPlaying);
                self.played(now);
            }
            Doing::Gathering(_) => self.gathering_timed_out(now),
            _ => {}
        }
        self.barge_in_timed_out(now);
    }

    /// Stops what is being done, for other instructions.
    fn break_off(&mut self) {
        match &self.doing {
            Doing::Prompting(_) => self.steps.push_back(Step::StopPlaying),
            Doing::Gathering(_) => self.end_gathering(),
            Doing::Away(away) => self.steps.push_back(Step::Abandon(away.action.clone())),
            _ => {}
        }
        self.doing = Doing::Nothing;
    }

    /// What plays is over.
    fn played(&mut self, now: Duration) {
        let Doing::Prompting(prompting) = std::mem::replace(&mut self.doing, Doing::Nothing) else { return };
        let Some(action) = prompting.action else { return self.advance(now) };
        let heard = prompting.since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let outcome = Outcome::Played {
            completed: prompting.since.is_some(),
            heard_ms: u64::try_from(heard.as_millis()).unwrap_or(u64::MAX),
        };
        self.fetch(action.to, Purpose::Action(Box::new(outcome), action.id), now);
    }

    /// The call is back from where an instruction took it.
    fn back(
        &mut self,
        away: Away,
        outcome: &Outcome,
        departure: Option<Departure>,
        at_end: HangupCause,
        now: Duration,
    ) {
        self.doing = Doing::Nothing;
        match (away.on_exit, departure, away.action) {
            (Some(fetch), Some(departure), _) => self.fetch(fetch, Purpose::LeftRoom(Box::new(departure)), now),
            (_, _, Some(action)) => {
                self.fetch(action.to, Purpose::Action(Box::new(outcome.clone()), action.id), now);
            }
            _ => {
                if let (true, Follows::Hangup(cause)) = (self.rest.is_empty(), &mut self.follows) {
                    *cause = at_end;
                }
                self.advance(now);
            }
        }
    }

    fn advance(&mut self, now: Duration) {
        while self.doing == Doing::Nothing {
            self.instruction_over();
            self.steps.are_of(None);
            let prompts = self.leading_prompts();
            if !prompts.is_empty() {
                self.prompt(prompts, None, None);
                return;
            }
            let Some(instruction) = self.rest.pop_front() else { return self.end_of_instructions(now) };
            if self.notify
                && let Some(label) = &instruction.label
            {
                self.current = Some(label.clone());
                self.steps.push_back(Step::Happened(Kind::Instruction(true, label.clone())));
            }
            self.run(instruction, now);
        }
    }

    fn instruction_over(&mut self) {
        if let Some(label) = self.current.take() {
            self.steps.push_back(Step::Happened(Kind::Instruction(false, label)));
        }
    }

    /// Prompts in a row are one, unless somebody wants to know where each begins, or input may end one and leave the rest.
    fn leading_prompts(&mut self) -> Vec<Prompt> {
        let mut prompts = Vec::new();
        while let Some(Instruction { verb: Verb::Prompt(_), label }) = self.rest.front()
            && !(self.notify && label.is_some())
            && self.barge_in.is_none()
        {
            if let Some(Instruction { verb: Verb::Prompt(prompt), .. }) = self.rest.pop_front() {
                prompts.push(prompt);
            }
        }
        prompts
    }

    fn run(&mut self, instruction: Instruction, now: Duration) {
        let Instruction { verb, label } = instruction;
        self.steps.are_of(label.clone());
        match verb {
            Verb::Prompt(prompt) => self.prompt(vec![prompt], None, None),
            Verb::Play(play) => self.prompt(play.prompts, play.action, play.limit.map(|limit| now + limit)),
            Verb::Gather(gather) => self.gather(Box::new(gather), 1, now),
            Verb::Join(join) => {
                let (on_exit, action) = (join.member_settings.on_exit.clone(), join.hooks.action.clone());
                self.away(Step::Join(join), Away { on_exit, action });
            }
            Verb::Connect(connect) => {
                let action = connect.action.clone();
                self.away(Step::Connect(connect), Away { on_exit: None, action });
            }
            Verb::Enqueue(enqueue) => {
                let action = enqueue.action.clone();
                self.away(Step::Enqueue(enqueue), Away { on_exit: None, action });
            }
            Verb::Dequeue(dequeue) => {
                let action = dequeue.action.clone();
                self.away(Step::Dequeue(dequeue), Away { on_exit: None, action });
            }
            Verb::Stream(stream) => {
                let action = stream.action.clone();
                self.away(Step::Stream(stream), Away { on_exit: None, action });
            }
            Verb::Refer(refer) => {
                let action = refer.action.clone();
                self.away(Step::Refer(refer), Away { on_exit: None, action });
            }
            Verb::Message(action) => {
                let why = "this server sends no text messages; send them through your carrier".to_owned();
                self.steps.push_back(Step::Happened(Kind::Fault(why.clone(), label)));
                if let Some(action) = action {
                    let outcome = Outcome::Unsent(String::new(), why);
                    self.fetch(action.to, Purpose::Action(Box::new(outcome), action.id), now);
                }
            }
            Verb::Unsupported(name) => {
                let text = format!("verb {name} is not run here; see the support table for the verbs that are");
                self.steps.push_back(Step::Happened(Kind::Fault(text, label)));
            }
            Verb::Leave => {
                // Nothing of the round is heard any more; a call that is in no queue goes on.
                if let Follows::Again(..) = self.follows {
                    self.rest.clear();
                    self.follows = Follows::Nothing;
                }
                self.steps.push_back(Step::LeaveQueue);
            }
            Verb::Dub(dub) => self.steps.push_back(Step::Dub(dub)),
            Verb::SendDigits(digits) => self.steps.push_back(Step::SendDigits(digits)),
            Verb::Attach(data) => self.steps.push_back(Step::Attach(data)),
            Verb::Configure(settings) => {
                self.configure(&settings, label);
                self.steps.push_back(Step::Configure(settings));
            }
            Verb::Answer => self.steps.push_back(Step::Answer),
            Verb::Ring(text) => self.steps.push_back(Step::Ring(text)),
            Verb::Redirect(fetch) => self.fetch(fetch, Purpose::Redirect, now),
            Verb::Hangup(Hangup { after: Some(after), .. }) => self.hangup_at = Some(now + after),
            Verb::Hangup(Hangup { refusal, after: None, headers }) => {
                self.hang_up(HangupCause::Instructed, refusal, headers);
            }
        }
    }

    fn away(&mut self, step: Step, away: Away) {
        self.doing = Doing::Away(away);
        self.steps.push_back(step);
    }

    fn prompt(&mut self, prompts: Vec<Prompt>, action: Option<Action>, until: Option<Duration>) {
        let number = self.play(prompts);
        self.doing = Doing::Prompting(Prompting { number, action, until, since: None });
    }

    fn play(&mut self, prompts: Vec<Prompt>) -> u64 {
        self.prompts += 1;
        self.steps.push_back(Step::Play(self.prompts, prompts));
        self.prompts
    }

    fn end_of_instructions(&mut self, now: Duration) {
        match self.follows.clone() {
            Follows::Hangup(cause) => self.hang_up(cause, None, Vec::new()),
            Follows::Stay => self.doing = Doing::Idle,
            Follows::Again(fetch, purpose) => {
                let since = self.asked_at.map_or(Duration::ZERO, |asked| now.saturating_sub(asked));
                // A round in which little is heard, or nothing, is not asked for at once again.
                match BETWEEN_HOPS.saturating_sub(since) {
                    Duration::ZERO => self.fetch(fetch, purpose, now),
                    rest => self.prompt(vec![Prompt::Silence(rest)], None, None),
                }
            }
            Follows::Nothing => {
                self.doing = Doing::Over;
                (self.hangup_at, self.barge_in) = (None, None);
                self.steps.push_back(Step::Through);
            }
        }
    }

    fn fetch(&mut self, fetch: Fetch, purpose: Purpose, now: Duration) {
        let before = self.asked_at.replace(now);
        if before.is_some_and(|before| now.saturating_sub(before) >= BETWEEN_HOPS) {
            self.hops = 0;
        }
        self.hops += 1;
        if self.hops > MOST_HOPS {
            let fault = InstructionsFault { at: FaultAt::Redirect, kind: FaultKind::Document };
            return self.hang_up(HangupCause::Instructions(fault), None, Vec::new());
        }
        self.ask(fetch, purpose);
    }

    fn ask(&mut self, fetch: Fetch, purpose: Purpose) {
        self.fetches += 1;
        let round = matches!(&self.follows, Follows::Again(again, what) if *again == fetch && *what == purpose);
        self.doing = Doing::Fetching { vital: purpose.is_vital(), round };
        self.steps.push_back(Step::Fetch(self.fetches, fetch, purpose));
    }

    fn hang_up(&mut self, cause: HangupCause, refusal: Option<Refusal>, headers: Vec<(String, String)>) {
        if self.doing != Doing::Over {
            self.doing = Doing::Over;
            (self.hangup_at, self.barge_in) = (None, None);
            self.steps.push_back(Step::Hangup(cause, refusal, headers));
        }
    }
}

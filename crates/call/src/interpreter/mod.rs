//! Runs a call's instructions, one at a time. Sans-IO: inputs are told, time is an argument, what to do is polled.
//!
//! The same interpreter runs the programs that are heard while a call waits: see [`Interpreter::looping`] and
//! [`Interpreter::once`].

mod barge_in;
mod gathering;
mod hops;
mod run;
mod step;

use std::collections::VecDeque;
use std::time::Duration;

pub use step::Step;
use step::Steps;

use crate::cause::HangupCause;
use crate::command::CommandError;
use crate::dialect::{AtEnd, Departure, Outcome, Purpose};
use crate::verb::{Action, Fetch, Instruction, Label};
use barge_in::BargeIn;
use gathering::Gathering;

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
    /// How many instructions have begun.
    begun: u64,
    prompts: u64,
    fetches: u64,
    /// Requests in a row, each [`hops::BETWEEN_HOPS`] after the one before at most, and without a key or a word of the caller.
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
            begun: 0,
            prompts: 0,
            fetches: 0,
            hops: 0,
            asked_at: None,
            hangup_at: None,
            follows: Follows::Hangup(HangupCause::EndOfInstructions),
        }
    }

    /// How many instructions have begun: an answer to what was asked beside one is too late when there is another.
    pub fn begun(&self) -> u64 {
        self.begun
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
    ///
    /// A driver has no use for it, as it took the call there itself; whoever checks this state machine has no other view of it.
    #[doc(hidden)]
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
}

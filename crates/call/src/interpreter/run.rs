//! Runs the verbs one after the other, and decides what follows when they are through.

use std::time::Duration;

use super::hops::BETWEEN_HOPS;
use super::{Away, Doing, Follows, Interpreter, Prompting, Step};
use crate::cause::HangupCause;
use crate::dialect::{Departure, Kind, Outcome, Purpose};
use crate::verb::{Action, Hangup, Instruction, Prompt, Refusal, Verb};

impl Interpreter {
    /// Stops what is being done, for other instructions.
    pub(super) fn break_off(&mut self) {
        match &self.doing {
            Doing::Prompting(_) => self.steps.push_back(Step::StopPlaying),
            Doing::Gathering(_) => self.end_gathering(),
            Doing::Away(away) => self.steps.push_back(Step::Abandon(away.action.clone())),
            _ => {}
        }
        self.doing = Doing::Nothing;
    }

    /// What plays is over.
    pub(super) fn played(&mut self, now: Duration) {
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
    pub(super) fn back(
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

    pub(super) fn advance(&mut self, now: Duration) {
        while self.doing == Doing::Nothing {
            self.begun += 1;
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

    pub(super) fn instruction_over(&mut self) {
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

    pub(super) fn play(&mut self, prompts: Vec<Prompt>) -> u64 {
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

    pub(super) fn hang_up(&mut self, cause: HangupCause, refusal: Option<Refusal>, headers: Vec<(String, String)>) {
        if self.doing != Doing::Over {
            self.doing = Doing::Over;
            (self.hangup_at, self.barge_in) = (None, None);
            self.steps.push_back(Step::Hangup(cause, refusal, headers));
        }
    }
}

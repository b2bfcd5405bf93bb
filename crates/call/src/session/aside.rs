//! Questions to a program beside the call's instructions: these go on, unless the answer has others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use conference::LeaveCause;

use super::Session;
use super::asked::{Asked, Program};
use crate::dialect::{Outcome, Purpose};
use crate::hooks::HookError;
use crate::verb::{Fetch, Instruction};

/// Questions of one call that may wait for their answers.
const MOST_ASIDES: usize = 8;
/// Nobody waits longer for an answer: one that has not come by then was lost with its connection.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// A question that waits.
#[derive(Clone, Copy)]
struct Waiting {
    since: Instant,
    /// How many instructions had begun when it was asked.
    begun: u64,
}

/// Questions beside the instructions.
#[derive(Default)]
pub(super) struct Asides {
    /// How many there have been.
    asked: u64,
    /// Those that wait for their answers.
    waiting: BTreeMap<u64, Waiting>,
    /// Told of requests within the dialog.
    pub(super) request_hook: Option<Fetch>,
}

impl Asides {
    /// The number of a question that is asked now; none: too many wait for their answers already.
    fn ask(&mut self, begun: u64, now: Instant) -> Option<u64> {
        self.waiting.retain(|_, asked| now.duration_since(asked.since) < FORGOTTEN);
        if self.waiting.len() >= MOST_ASIDES {
            return None;
        }
        self.asked += 1;
        self.waiting.insert(self.asked, Waiting { since: now, begun });
        Some(self.asked)
    }

    /// That question has its answer. Tells how many instructions had begun when it was asked.
    fn answered(&mut self, number: u64) -> Option<u64> {
        self.waiting.remove(&number).map(|asked| asked.begun)
    }
}

impl Session {
    /// Asks; instructions in the answer replace the call's. False: too many such questions wait for their answers already.
    pub(super) fn ask_aside(&mut self, fetch: Fetch, purpose: Purpose) -> bool {
        let Some(number) = self.asides.ask(self.programs.own.begun(), Instant::now()) else {
            self.inner.counters.mailbox_overflows.add(1);
            return false;
        };
        self.fetch(Asked { program: Program::Aside, number }, fetch, purpose);
        true
    }

    /// The answer to such a question. What input was worth is not asked any more when the call has gone on to something else.
    pub(super) async fn answered_aside(
        &mut self,
        number: u64,
        purpose: &Purpose,
        answer: Result<Option<Vec<Instruction>>, HookError>,
    ) {
        let asked_during = self.asides.answered(number);
        let of_input = matches!(purpose, Purpose::Action(outcome, _) if matches!(**outcome, Outcome::Gathered(_)));
        let late = of_input && asked_during != Some(self.programs.own.begun());
        if let Purpose::ReferredTo(_) = purpose {
            self.decide_referral(answer.is_ok()).await;
        }
        match answer {
            Ok(Some(_)) if late => {
                let words = "the answer to input came when other instructions ran already, and was passed over";
                self.warn(words.to_owned()).await;
            }
            Ok(Some(instructions)) => {
                self.abandon(LeaveCause::Transferred).await;
                self.control.placed = false;
                self.programs.own.document(instructions, self.inner.clock.monotonic());
            }
            Ok(None) => {}
            Err(error) => self.warn(format!("a program did not answer: {error}; the instructions go on")).await,
        }
    }
}

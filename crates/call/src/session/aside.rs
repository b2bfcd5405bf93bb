//! Questions to a program beside the call's instructions: these go on, unless the answer has others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use conference::LeaveCause;

use super::Session;
use super::asked::{Asked, Program};
use crate::dialect::Purpose;
use crate::hooks::HookError;
use crate::verb::{Fetch, Instruction};

/// Questions of one call that may wait for their answers.
const MOST_ASIDES: usize = 8;
/// Nobody waits longer for an answer: one that has not come by then was lost with its connection.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// Questions beside the instructions.
#[derive(Default)]
pub(super) struct Asides {
    /// How many there have been.
    asked: u64,
    /// Those that wait for their answers, and since when.
    waiting: BTreeMap<u64, Instant>,
    /// Told of requests within the dialog.
    pub(super) request_hook: Option<Fetch>,
}

impl Asides {
    /// The number of a question that is asked now; none: too many wait for their answers already.
    fn ask(&mut self, now: Instant) -> Option<u64> {
        self.waiting.retain(|_, asked| now.duration_since(*asked) < FORGOTTEN);
        if self.waiting.len() >= MOST_ASIDES {
            return None;
        }
        self.asked += 1;
        self.waiting.insert(self.asked, now);
        Some(self.asked)
    }

    /// That question has its answer.
    pub(super) fn answered(&mut self, number: u64) {
        self.waiting.remove(&number);
    }
}

impl Session {
    /// Asks; instructions in the answer replace the call's. False: too many such questions wait for their answers already.
    pub(super) fn ask_aside(&mut self, fetch: Fetch, purpose: Purpose) -> bool {
        let Some(number) = self.asides.ask(Instant::now()) else {
            self.inner.counters.mailbox_overflows.add(1);
            return false;
        };
        self.fetch(Asked { program: Program::Aside, number }, fetch, purpose);
        true
    }

    /// The answer to such a question.
    pub(super) async fn answered_aside(
        &mut self,
        purpose: &Purpose,
        answer: Result<Option<Vec<Instruction>>, HookError>,
    ) {
        if let Purpose::ReferredTo(_) = purpose {
            self.decide_referral(answer.is_ok()).await;
        }
        match answer {
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

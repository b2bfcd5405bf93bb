//! Questions to a program beside the call's instructions: these go on, unless the answer has others.

use std::time::{Duration, Instant};

use conference::LeaveCause;

use super::Session;
use super::message::Asked;
use crate::dialect::Purpose;
use crate::hooks::HookError;
use crate::verb::{Fetch, Instruction};

/// The program number of such questions: none of the call's programs has it.
pub(super) const ASIDE: u32 = u32::MAX - 3;
/// Questions of one call that may wait for their answers.
const MOST_ASIDES: usize = 8;
/// Nobody waits longer for an answer: one that has not come by then was lost with its connection.
const FORGOTTEN: Duration = Duration::from_secs(120);

impl Session {
    /// Asks; instructions in the answer replace the call's. False: too many such questions wait for their answers already.
    pub(super) fn ask_aside(&mut self, fetch: Fetch, purpose: Purpose) -> bool {
        let now = Instant::now();
        self.asides.retain(|_, asked| now.duration_since(*asked) < FORGOTTEN);
        if self.asides.len() >= MOST_ASIDES {
            self.inner.counters.mailbox_overflows.add(1);
            return false;
        }
        self.questions += 1;
        let number = self.questions;
        self.asides.insert(number, now);
        self.fetch(Asked { program: ASIDE, number }, fetch, purpose);
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
                self.interpreter.document(instructions, self.inner.clock.monotonic());
            }
            Ok(None) => {}
            Err(error) => self.warn(format!("a program did not answer: {error}; the instructions go on")).await,
        }
    }
}

//! Questions to a program beside the call's instructions: these go on, unless the answer has others.

use conference::LeaveCause;

use super::Session;
use super::message::Asked;
use crate::dialect::Purpose;
use crate::hooks::HookError;
use crate::verb::{Fetch, Instruction};

/// The program number of such questions: none of the call's programs has it.
pub(super) const ASIDE: u32 = u32::MAX - 3;

impl Session {
    /// Asks; instructions in the answer replace the call's.
    pub(super) fn ask_aside(&mut self, fetch: Fetch, purpose: Purpose) {
        self.questions += 1;
        let number = self.questions;
        self.fetch(Asked { program: ASIDE, number }, fetch, purpose);
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

//! Asks programs for instructions, and ends a call whose documents only lead to each other.

use std::time::Duration;

use super::{Doing, Follows, Interpreter, Step};
use crate::cause::{FaultAt, FaultKind, HangupCause, InstructionsFault};
use crate::dialect::Purpose;
use crate::verb::Fetch;

/// Requests in a row before they count as a loop.
const MOST_HOPS: u32 = 30;
/// Whoever waits this long between two requests goes round in no loop: however the call spends it, it is heard, rung or
/// waited for. A program that is heard again and again is asked no more often.
pub(super) const BETWEEN_HOPS: Duration = Duration::from_secs(1);

impl Interpreter {
    pub(super) fn fetch(&mut self, fetch: Fetch, purpose: Purpose, now: Duration) {
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

    pub(super) fn ask(&mut self, fetch: Fetch, purpose: Purpose) {
        self.fetches += 1;
        let round = matches!(&self.follows, Follows::Again(again, what) if *again == fetch && *what == purpose);
        self.doing = Doing::Fetching { vital: purpose.is_vital(), round };
        self.steps.push_back(Step::Fetch(self.fetches, fetch, purpose));
    }
}

//! How long a call lasts, and how it ends.

use std::time::{Duration, Instant};

use conference::LeaveCause;

use super::Session;
use crate::cause::HangupCause;
use crate::command::CommandError;
use crate::dialect::{CallState, Direction, Kind};
use crate::journal;
use crate::link::Farewell;
use crate::verb::Refusal;

/// What is said with the BYE to whoever came by a key that is not good any more (RFC 3326).
const KEY_LOST: &str = "the key is not good for this call any more";

/// How long a call lasts.
pub(super) struct Life {
    /// Longest time from the answer.
    limit: Duration,
    /// When that is over.
    over_at: Option<Instant>,
    /// It has ended.
    pub(super) over: bool,
}

impl Life {
    /// A call that is not answered.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, over_at: None, over: false }
    }

    /// It lasts no longer than this either, where that is said.
    pub(super) fn at_most(self, limit: Option<Duration>) -> Self {
        Self { limit: limit.map_or(self.limit, |limit| limit.min(self.limit)), ..self }
    }

    /// It is answered now.
    pub(super) fn answered(&mut self) {
        self.over_at = Some(Instant::now() + self.limit);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.over_at
    }

    /// Whether the longest time has passed.
    pub(super) fn is_past(&self, now: Instant) -> bool {
        self.over_at.is_some_and(|at| now >= at)
    }
}

impl Session {
    /// Ends the call: out of its room, off the media plane, signalled, recorded.
    pub(super) async fn finish(&mut self, cause: HangupCause, refusal: Option<Refusal>) {
        self.end(cause, refusal, false).await;
    }

    /// The same; `asked`: a program waits until it is recorded, though not for long.
    pub(super) async fn end(&mut self, cause: HangupCause, refusal: Option<Refusal>, asked: bool) {
        if std::mem::replace(&mut self.life.over, true) {
            return;
        }
        let outcome = self.ties.outcome_at_end(self.inner.clock.monotonic());
        let left = self.abandon(LeaveCause::Hangup).await;
        self.end_streams();
        if let Some(media) = self.sound.media.take() {
            self.inner.calls.forget_leg(media.id);
            self.inner.remove_leg(media.id).await;
        }
        let answered = self.view.answered_at.is_some();
        let signalled = match (answered, self.view.direction) {
            (false, Direction::Inbound) => {
                let Rejection { code, reason, headers } = self.rejection(&cause, refusal);
                (self.view.sip.status, self.view.sip.reason) = (code, reason.clone());
                self.far.leg.reject(code, Some(&reason), &headers).await
            }
            _ => {
                let why = (cause == HangupCause::KeyLost).then_some(KEY_LOST);
                self.far.leg.hangup_with(why, &self.far.farewell).await
            }
        };
        if let Err(error) = signalled {
            tracing::debug!(call = self.view.uuid, %error, "the other side was gone already");
        }
        self.view.state = CallState::Ended;
        self.view.ended_at = Some(self.inner.clock.utc());
        self.view.cause = Some(cause);
        let over = tokio::time::Instant::now();
        if let Some(left) = left {
            // That it left its room is told before its end; an error means that the room is over.
            let _ = left.await;
        }
        let until = if asked { journal::answer_by(over) } else { journal::moment(&self.inner) };
        self.happened_until(Kind::CallEnded, until).await;
        // Whoever waits for the end of the last instruction is told, and can say nothing more.
        if let Some((action, purpose)) = self.programs.own.hung_up(|| outcome) {
            self.tell(action, purpose);
        }
        if let Some(moving) = self.rooms.moving.take() {
            drop(moving.send(Err(CommandError::NotFound { what: "call", id: self.view.uuid.clone() })));
        }
    }

    /// The call has no use for its connection any more. What was told over it before is sent first.
    pub(super) fn let_go_of_application(&mut self) {
        self.inner.links.forget(&self.view.uuid);
        if let Some(link) = self.control.link.take()
            && !self.control.shares_link
        {
            let unanswered = self.view.answered_at.is_none();
            let bad = unanswered && matches!(self.view.cause, Some(HangupCause::Instructions(_)));
            link.end(if bad { Farewell::BadInstructions } else { Farewell::Over });
        }
    }
}

/// How a call is refused.
#[derive(Debug, PartialEq, Eq)]
struct Rejection {
    code: u16,
    reason: String,
    headers: Vec<(String, String)>,
}

impl Session {
    fn rejection(&self, cause: &HangupCause, refusal: Option<Refusal>) -> Rejection {
        let dialect = || self.inner.hooks.dialect(self.control.dialect).map(|dialect| dialect.refusal());
        Rejection::of(cause, refusal, || dialect().unwrap_or((500, "Instructions Unavailable")))
    }
}

impl Rejection {
    /// `instructions` is what the dialect says when there are none.
    fn of(cause: &HangupCause, refusal: Option<Refusal>, instructions: impl FnOnce() -> (u16, &'static str)) -> Self {
        let (code, reason) = match (refusal, cause) {
            (Some(Refusal::Status { code, reason, headers }), _) => {
                let reason = reason.unwrap_or_else(|| "Declined".to_owned());
                return Self { code, reason, headers };
            }
            (Some(Refusal::Busy), _) => (486, "Busy Here"),
            (Some(Refusal::Rejected), _) => (603, "Decline"),
            (None, HangupCause::NoRoute) => (404, "Not Found"),
            (None, HangupCause::Incompatible) => (488, "Not Acceptable Here"),
            (None, HangupCause::Instructions(_)) => instructions(),
            (None, HangupCause::Overloaded | HangupCause::Shutdown) => (503, "Service Unavailable"),
            (None, HangupCause::KeyLost) => (403, "Forbidden"),
            (None, _) => (480, "Temporarily Unavailable"),
        };
        let later = (*cause == HangupCause::Overloaded).then(|| ("Retry-After".to_owned(), "5".to_owned()));
        let headers = later.into_iter().filter(|_| code == 503).collect();
        Self { code, reason: reason.to_owned(), headers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_finds_no_place_is_told_when_to_come_again() {
        let of = |cause| Rejection::of(&cause, None, || (500, "none"));
        let full = of(HangupCause::Overloaded);
        assert_eq!((full.code, &full.headers[..]), (503, &[("Retry-After".to_owned(), "5".to_owned())][..]));
        assert_eq!((of(HangupCause::Shutdown).code, of(HangupCause::NetworkFailure).code), (503, 480));
        assert_eq!(of(HangupCause::KeyLost).code, 403);
        let busy = Rejection::of(&HangupCause::Overloaded, Some(Refusal::Busy), || (500, "none"));
        assert_eq!((busy.code, busy.headers.is_empty()), (486, true));
    }
}

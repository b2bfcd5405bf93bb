//! Calls that go out together: whoever answers first (and confirms) is wanted, the others are given up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::added::AddedMember;
use super::callee::Callee;
use super::coming::Coming;
use super::dial::Runner;
use super::placed::Placing;
use super::{Control, Session};
use crate::cause::HangupCause;
use crate::command::Confirm;
use crate::dialect::{CallView, Dialled, Params};
use crate::engine::Inner;
use crate::room::RoomHandle;
use crate::routing::Route;
use crate::verb::CallStatus;

/// A call to be made.
pub(super) struct Calling {
    pub(super) view: CallView,
    pub(super) control: Control,
    /// The way, or why there is none.
    pub(super) route: Result<Route, HangupCause>,
    /// Headers of the INVITE.
    pub(super) headers: Params,
    /// Credentials for a challenge, in place of the trunk's.
    pub(super) auth: Option<(String, String)>,
    /// Give up after ringing this long.
    pub(super) ring_timeout: Duration,
    /// Wait before dialling.
    pub(super) delay: Duration,
    /// Ask the callee first.
    pub(super) confirm: Option<Confirm>,
    /// Longest time from the answer.
    pub(super) limit: Option<Duration>,
    /// Told the Call-ID when the INVITE is sent; dropped if none will be.
    pub(super) sent: Option<oneshot::Sender<String>>,
}

/// What somebody is called for.
pub(super) enum Errand {
    /// A program wants him in a room.
    Member(Box<AddedMember>),
    /// A call is to be connected with him.
    Connection(Arc<Callee>),
    /// He is a call of its own, with its own instructions.
    Instructions(Box<Placing>),
}

/// What the calls of one dial share.
pub(super) struct Race {
    pub(super) errand: Errand,
    won: AtomicBool,
    running: AtomicUsize,
    lost: CancellationToken,
    /// How calls ended that were not connected.
    failures: Mutex<Vec<Failure>>,
}

/// A call that was not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) cause: HangupCause,
    pub(super) sip_status: u16,
    pub(super) call: String,
    pub(super) call_id: String,
}

impl Race {
    /// Makes all calls, each in a task of its own.
    pub(super) fn start(inner: &Arc<Inner>, errand: Errand, callings: Vec<Calling>) -> Arc<Self> {
        let race = Arc::new(Self {
            errand,
            won: AtomicBool::new(false),
            running: AtomicUsize::new(callings.len()),
            lost: CancellationToken::new(),
            failures: Mutex::default(),
        });
        for calling in callings {
            let (inner, race) = (Arc::clone(inner), Arc::clone(&race));
            tokio::spawn(async move {
                Runner::run(&inner, &race, calling).await;
                if race.running.fetch_sub(1, Ordering::AcqRel) == 1 && !race.won.load(Ordering::Acquire) {
                    race.nobody_came().await;
                }
            });
        }
        race
    }

    /// Nobody is wanted any more: what rings is cancelled.
    pub(super) fn give_up(&self) {
        self.lost.cancel();
    }

    /// Whether this is the first; then the others are given up.
    pub(super) fn wins(&self) -> bool {
        let first = !self.won.swap(true, Ordering::AcqRel);
        if first {
            self.lost.cancel();
        }
        first
    }

    /// Resolves when the call is not wanted any more: another was faster, whoever wanted it has given up, or the room is over.
    pub(super) async fn given_up(&self) -> HangupCause {
        let gone = async {
            match self.room() {
                Some(room) => room.gone().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.lost.cancelled() => match self.won.load(Ordering::Acquire) {
                true => HangupCause::LostRace,
                false => HangupCause::Cancelled,
            },
            () = gone => HangupCause::RoomEnded,
        }
    }

    fn room(&self) -> Option<&RoomHandle> {
        match &self.errand {
            Errand::Member(member) => Some(&member.room),
            Errand::Connection(callee) => Some(&callee.room),
            Errand::Instructions(_) => None,
        }
    }

    /// Whether the beginning of its calls is told.
    pub(super) fn tells_begin(&self) -> bool {
        !matches!(self.errand, Errand::Member(_))
    }

    /// Where what a callee says before his answer is heard in place of ringback, and the dial's number there.
    pub(super) fn early_room(&self) -> Option<(&RoomHandle, u64)> {
        match &self.errand {
            Errand::Member(member) => Some((&member.room, member.dial_id)).filter(|_| member.wants_early_media()),
            Errand::Connection(callee) => Some((&callee.room, callee.dial)).filter(|_| callee.early_media),
            Errand::Instructions(_) => None,
        }
    }

    /// How whoever answers goes on, if it is into a room.
    pub(super) fn coming(&self) -> Option<Coming> {
        match &self.errand {
            Errand::Member(member) => Some(Coming::new(member.moderates())),
            Errand::Connection(_) => Some(Coming::new(false)),
            Errand::Instructions(_) => None,
        }
    }

    /// A call is over that was never connected.
    pub(super) async fn absent(&self, call: &CallView) {
        if let Some(cause) = &call.cause {
            let failure = Failure {
                cause: cause.clone(),
                sip_status: call.sip.status,
                call: call.uuid.clone(),
                call_id: call.sip.call_id.clone(),
            };
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        }
        if let Errand::Member(member) = &self.errand {
            member.absent(call).await;
        }
    }

    /// Returns when what the room tells of an absence is recorded.
    pub(super) async fn absence_told(&self) {
        if let Errand::Member(member) = &self.errand {
            // An error means that the room is over.
            let _ = member.room.hearing().await;
        }
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn nobody_came(&self) {
        match &self.errand {
            Errand::Member(member) => member.nobody_came(&self.failures()).await,
            Errand::Connection(callee) => callee.nobody_came(&self.failures()).await,
            // Its end has been told already.
            Errand::Instructions(_) => {}
        }
    }

    /// Somebody has answered, confirmed, and won.
    pub(super) async fn won_by(&self, session: Session) {
        match &self.errand {
            Errand::Member(member) => member.won_by(session).await,
            Errand::Connection(callee) => callee.won_by(session).await,
            Errand::Instructions(placing) => placing.won_by(session).await,
        }
    }
}

/// How a dial went that connected nobody: as the last of its calls did.
pub(super) fn unanswered(failures: &[Failure]) -> Dialled {
    let last = failures.iter().rev().find(|failure| failure.cause != HangupCause::LostRace);
    let Some(last) = last else {
        return Dialled { status: CallStatus::Failed, sip_status: 500, call: None, call_id: None, seconds: None };
    };
    Dialled {
        status: status_of(&last.cause, last.sip_status),
        sip_status: last.sip_status,
        call: Some(last.call.clone()),
        call_id: Some(last.call_id.clone()).filter(|id| !id.is_empty()),
        seconds: None,
    }
}

/// What became of a call that was not connected.
fn status_of(cause: &HangupCause, sip_status: u16) -> CallStatus {
    match (cause, sip_status) {
        (HangupCause::Busy | HangupCause::NotConfirmed, _) | (HangupCause::Rejected, 603) => CallStatus::Busy,
        (
            HangupCause::NoAnswer
            | HangupCause::RingTimeout
            | HangupCause::Cancelled
            | HangupCause::Requested
            | HangupCause::RoomEnded
            | HangupCause::LostRace,
            _,
        ) => CallStatus::NoAnswer,
        _ => CallStatus::Failed,
    }
}

/// Why the other side's final answer ends a call.
pub(super) fn cause_of(code: u16) -> HangupCause {
    match code {
        408 | 480 | 487 => HangupCause::NoAnswer,
        486 | 600 => HangupCause::Busy,
        404 | 410 | 484 | 604 => HangupCause::NoRoute,
        415 | 488 | 606 => HangupCause::Incompatible,
        500..=599 => HangupCause::NetworkFailure,
        _ => HangupCause::Rejected,
    }
}

/// The status that a call ends with which nobody has answered with a final one.
pub(super) fn status_for(cause: &HangupCause) -> (u16, &'static str) {
    match cause {
        HangupCause::NotRegistered | HangupCause::NoRoute => (404, "Not Found"),
        HangupCause::Busy => (486, "Busy Here"),
        HangupCause::Rejected | HangupCause::NotConfirmed => (603, "Decline"),
        HangupCause::Incompatible => (488, "Not Acceptable Here"),
        HangupCause::NetworkFailure | HangupCause::Overloaded | HangupCause::MediaTimeout | HangupCause::Shutdown => {
            (503, "Service Unavailable")
        }
        _ => (487, "Request Terminated"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(cause: HangupCause, sip_status: u16) -> Failure {
        Failure { cause, sip_status, call: format!("call-{sip_status}"), call_id: "id".to_owned() }
    }

    #[test]
    fn a_dial_went_as_the_last_of_its_calls_did() {
        for (code, status) in [
            (486, CallStatus::Busy),
            (600, CallStatus::Busy),
            (603, CallStatus::Busy),
            (408, CallStatus::NoAnswer),
            (480, CallStatus::NoAnswer),
            (487, CallStatus::NoAnswer),
            (404, CallStatus::Failed),
            (403, CallStatus::Failed),
            (488, CallStatus::Failed),
            (503, CallStatus::Failed),
        ] {
            let dialled = unanswered(&[failure(HangupCause::Busy, 486), failure(cause_of(code), code)]);
            assert_eq!((dialled.status, dialled.sip_status), (status, code));
            assert_eq!(dialled.call.as_deref(), Some(format!("call-{code}").as_str()));
        }
    }

    #[test]
    fn a_call_without_a_final_answer_has_the_status_of_what_we_did() {
        for (cause, status, code) in [
            (HangupCause::RingTimeout, CallStatus::NoAnswer, 487),
            (HangupCause::Cancelled, CallStatus::NoAnswer, 487),
            (HangupCause::NotRegistered, CallStatus::Failed, 404),
            (HangupCause::NoRoute, CallStatus::Failed, 404),
            (HangupCause::NotConfirmed, CallStatus::Busy, 603),
            (HangupCause::NetworkFailure, CallStatus::Failed, 503),
            (HangupCause::Overloaded, CallStatus::Failed, 503),
        ] {
            let (code_for, _) = status_for(&cause);
            let dialled = unanswered(&[failure(cause.clone(), code_for)]);
            assert_eq!((dialled.status, dialled.sip_status), (status, code), "{cause:?}");
        }
        assert_eq!(unanswered(&[]).status, CallStatus::Failed);
    }

    #[test]
    fn whoever_lost_the_race_says_nothing_of_how_the_dial_went() {
        let dialled = unanswered(&[failure(HangupCause::Busy, 486), failure(HangupCause::LostRace, 487)]);
        assert_eq!((dialled.status, dialled.sip_status), (CallStatus::Busy, 486));
    }
}

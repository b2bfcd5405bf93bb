//! Members that a program adds to a room: every destination is dialled, the first to answer (and confirm) enters.

use std::sync::Arc;

use super::Control;
use super::Session;
use super::race::{Calling, Errand, Failure, Race};
use crate::cause::HangupCause;
use crate::command::{AccountRef, AddedCall, Dial, DialMusic};
use crate::dialect::{CallView, Direction, Kind, MemberView};
use crate::engine::Inner;
use crate::room::RoomHandle;
use crate::routing::Route;
use crate::verb::{Join, Verb};

/// What became of a member that was added.
pub(crate) const ENTERED: &str = "completed";
/// The same, if it found the room closed.
pub(crate) const NOT_ENTERED: &str = "failed: the room could not be entered";

/// Who is dialled, and as what.
pub(crate) struct DialledMember {
    pub account: AccountRef,
    /// The main account's auth id.
    pub main_auth_id: String,
    pub dial: Dial,
    pub join: Join,
    pub dialect: &'static str,
    pub dial_id: u64,
    pub request_uuid: String,
}

/// What a dial for a room comes down to, once somebody answers or nobody has.
pub(super) struct AddedMember {
    pub(super) room: RoomHandle,
    pub(super) dial_id: u64,
    join: Join,
    dial_music: DialMusic,
    confirms: bool,
    send_digits: Option<String>,
    /// The first of its calls.
    first: AddedCall,
}

/// Dials all destinations; `calls` and `routes` are in their order. The room must expect the member already.
pub(crate) fn dial_member(
    inner: &Arc<Inner>,
    room: RoomHandle,
    member: DialledMember,
    calls: Vec<AddedCall>,
    routes: Vec<Route>,
) {
    let Some(first) = calls.first().cloned() else { return };
    let DialledMember { account, main_auth_id, dial, join, dialect, dial_id, request_uuid } = member;
    let control = Control { placed: true, ..Control::of(dialect) };
    let callings = calls.into_iter().zip(routes).zip(&dial.destinations).map(|((call, route), to)| Calling {
        view: CallView {
            auth_id: account.auth_id.clone(),
            main_auth_id: main_auth_id.clone(),
            from: dial.from.clone(),
            to: to.to.clone(),
            caller_name: dial.caller_name.clone(),
            request_uuid: Some(request_uuid.clone()),
            state_callback: dial.state_callback.clone(),
            ..CallView::new(call.call_uuid, account.id.clone(), Direction::Outbound, inner.clock.utc())
        },
        control: control.clone(),
        route: Ok(route),
        headers: dial.headers.clone(),
        auth: None,
        ring_timeout: to.ring_timeout,
        delay: to.delay,
        confirm: dial.confirm.clone(),
        limit: None,
        sent: None,
    });
    let callings = callings.collect();
    let confirms = dial.confirm.is_some();
    let Dial { dial_music, send_digits, .. } = dial;
    let added = AddedMember { room, dial_id, join, dial_music, confirms, send_digits, first };
    Race::start(inner, Errand::Member(Box::new(added)), callings);
}

impl AddedMember {
    /// Whether what a callee says before his answer may be heard in place of ringback. Never of one who will not be heard by
    /// everybody, or not before he has pressed a key: he may be speaking as he picks up.
    pub(super) fn wants_early_media(&self) -> bool {
        let entry = &self.join.entry;
        let for_everybody = !entry.coaching && !entry.muted && !entry.held;
        self.dial_music == DialMusic::Ringback && !self.confirms && for_everybody
    }

    /// Whether he will be a moderator.
    pub(super) fn moderates(&self) -> bool {
        self.join.member_settings.moderator
    }

    /// Tells that a dialled member never came.
    pub(super) async fn absent(&self, call: &CallView) {
        let view = MemberView {
            left_at: call.ended_at,
            leave_cause: Some(conference::LeaveCause::Hangup),
            ..MemberView::expected(&self.join, &call.uuid, &call.from, &call.to)
        };
        self.room.tell(Kind::Left, Some(view), Some(call.clone())).await;
    }

    pub(super) async fn nobody_came(&self, failures: &[Failure]) {
        let absent = MemberView::expected(&self.join, &self.first.call_uuid, &self.first.from, &self.first.to);
        let outcome = outcome(failures).to_owned();
        self.room.tell(Kind::AddCompleted(outcome), Some(absent), None).await;
        self.room.expectation_over(self.dial_id).await;
    }

    pub(super) async fn won_by(&self, mut session: Session) {
        session.rooms.destination = Some(self.room.clone());
        if let Some(digits) = &self.send_digits {
            // A leg that has no media is over in this moment.
            let _ = session.send_digits(digits.clone());
        }
        let instructions = vec![Verb::Join(Box::new(self.join.clone())).into()];
        session.programs.own.document(instructions, session.inner.clock.monotonic());
        session.run_steps().await;
        self.entered(&session).await;
        session.run().await;
    }

    /// Tells how it went with the call that won.
    async fn entered(&self, session: &Session) {
        let call = &session.view;
        let outcome = if session.rooms.stay.is_some() { ENTERED } else { NOT_ENTERED };
        let absent = MemberView::expected(&self.join, &call.uuid, &call.from, &call.to);
        self.room.added(outcome, call, absent).await;
        self.room.expectation_over(self.dial_id).await;
        if session.rooms.stay.is_none() {
            self.absent(call).await;
        }
    }
}

/// What became of a dial that nobody won.
fn outcome(failures: &[Failure]) -> &'static str {
    let all = |wanted: fn(&HangupCause) -> bool| !failures.is_empty() && failures.iter().all(|one| wanted(&one.cause));
    if failures.iter().any(|failure| failure.cause == HangupCause::NotConfirmed) {
        "failed: not confirmed"
    } else if all(|cause| *cause == HangupCause::Busy) {
        "failed: busy"
    } else if all(|cause| *cause == HangupCause::Rejected) {
        "failed: rejected"
    } else if all(|cause| matches!(cause, HangupCause::NotRegistered | HangupCause::NoRoute)) {
        "failed: not reachable"
    } else {
        "failed: nobody answered"
    }
}

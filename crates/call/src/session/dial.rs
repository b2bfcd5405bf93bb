//! Calls that go out to become members: every destination is dialled, the first to answer (and confirm) enters, the
//! others are cancelled.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sip::{LegEvent, sdp};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::ringing::{Answered, Rings};
use super::{CallMailbox, CallMessage, Control, LegFact, Session, media_leg, record};
use crate::cause::{HangupCause, HangupSource};
use crate::command::{AccountRef, AddedCall, CallCommand, CallSnapshot, CommandError, Destination, Dial, DialMusic};
use crate::dialect::{CallState, CallView, Direction, Kind, MemberView};
use crate::engine::Inner;
use crate::journal::{self, Journal};
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

/// What the legs of one dial share.
pub(super) struct Race {
    pub(super) member: DialledMember,
    pub(super) room: RoomHandle,
    won: AtomicBool,
    running: AtomicUsize,
    lost: CancellationToken,
    /// Why legs ended that never entered.
    failures: Mutex<Vec<HangupCause>>,
}

/// Dials all destinations; `calls` and `routes` are in their order. The room must expect the member already.
pub(crate) fn dial_member(
    inner: &Arc<Inner>,
    room: RoomHandle,
    member: DialledMember,
    calls: Vec<AddedCall>,
    routes: Vec<Route>,
) {
    let race = Arc::new(Race {
        running: AtomicUsize::new(calls.len()),
        member,
        room,
        won: AtomicBool::new(false),
        lost: CancellationToken::new(),
        failures: Mutex::default(),
    });
    let Some(first) = calls.first().cloned() else { return };
    let destinations = race.member.dial.destinations.clone();
    for ((call, route), destination) in calls.into_iter().zip(routes).zip(destinations) {
        let (inner, race, first) = (Arc::clone(inner), Arc::clone(&race), first.clone());
        tokio::spawn(async move {
            Runner::run(&inner, &race, &call, &route, &destination).await;
            if race.running.fetch_sub(1, Ordering::AcqRel) == 1 && !race.won.load(Ordering::Acquire) {
                let absent = MemberView::expected(&race.member.join, &first.call_uuid, &first.from, &first.to);
                let outcome = race.outcome().to_owned();
                race.room.tell(Kind::AddCompleted(outcome), Some(absent), None).await;
                race.room.expectation_over(race.member.dial_id).await;
            }
        });
    }
}

impl Race {
    /// Resolves when the leg is not wanted any more: another was faster, or the room is over.
    pub(super) async fn given_up(&self) -> HangupCause {
        tokio::select! {
            () = self.lost.cancelled() => HangupCause::LostRace,
            () = self.room.gone() => HangupCause::RoomEnded,
        }
    }

    /// Whether what a callee says before his answer may be heard in place of ringback. Never of one who will not be heard by
    /// everybody, or not before he has pressed a key: he may be speaking as he picks up.
    pub(super) fn wants_early_media(&self) -> bool {
        let (dial, entry) = (&self.member.dial, &self.member.join.entry);
        let for_everybody = !entry.coaching && !entry.muted && !entry.held;
        dial.dial_music == DialMusic::Ringback && dial.confirm.is_none() && for_everybody
    }

    /// Tells that a dialled member never came.
    async fn absent(&self, call: &CallView) {
        if let Some(cause) = &call.cause {
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(cause.clone());
        }
        let view = MemberView {
            left_at: call.ended_at,
            leave_cause: Some(conference::LeaveCause::Hangup),
            ..MemberView::expected(&self.member.join, &call.uuid, &call.from, &call.to)
        };
        self.room.tell(Kind::Left, Some(view), Some(call.clone())).await;
    }

    /// What became of a dial that nobody won.
    fn outcome(&self) -> &'static str {
        let causes = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let all = |wanted: fn(&HangupCause) -> bool| !causes.is_empty() && causes.iter().all(wanted);
        if causes.contains(&HangupCause::NotConfirmed) {
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
}

/// One leg of a dial, until it is answered.
struct Runner<'a> {
    inner: &'a Arc<Inner>,
    race: &'a Arc<Race>,
    control: Control,
    view: CallView,
    mailbox: CallMailbox,
    messages: mpsc::Receiver<CallMessage>,
    sequence: u64,
    journal: Journal,
    /// Whether sound like speech comes from the leg, before its answer.
    speaking: bool,
    /// A program hung up and waits until it is done.
    hanging_up: Option<HangupReply>,
}

impl<'a> Runner<'a> {
    async fn run(inner: &'a Arc<Inner>, race: &'a Arc<Race>, call: &AddedCall, route: &Route, to: &Destination) {
        let (mailbox, messages) = CallMailbox::new();
        let member = &race.member;
        let view = CallView {
            uuid: call.call_uuid.clone(),
            auth_id: member.account.auth_id.clone(),
            main_auth_id: member.main_auth_id.clone(),
            direction: Direction::Outbound,
            from: member.dial.from.clone(),
            to: to.to.clone(),
            caller_name: member.dial.caller_name.clone(),
            state: CallState::Ringing,
            request_uuid: Some(member.request_uuid.clone()),
            headers: Vec::new(),
            began_at: inner.clock.utc(),
            answered_at: None,
            ended_at: None,
            cause: None,
            state_callback: member.dial.state_callback.clone(),
            hangup_callback: None,
        };
        let control = Control { dialect: member.dialect, app_id: None, fallback: None, placed: true };
        let mut runner = Self {
            inner,
            race,
            control,
            view,
            mailbox,
            messages,
            sequence: 0,
            journal: Journal::default(),
            speaking: false,
            hanging_up: None,
        };
        let ceilings = inner.config.call_ceilings();
        if let Err(full) = inner.calls.add(&call.call_uuid, &member.account.id, runner.mailbox.clone(), ceilings) {
            inner.count_refused_call(full);
            runner.failed(HangupCause::NetworkFailure).await;
            return;
        }
        inner.counters.calls_out.add(1);
        match runner.dial(route, to).await {
            Ok(answered) => runner.answered(answered).await,
            Err(cause) => {
                runner.failed(cause).await;
                inner.calls.forget(&call.call_uuid);
            }
        }
    }

    /// Waits for the leg's turn, then rings until somebody answers.
    async fn dial(&mut self, route: &Route, to: &Destination) -> Result<Answered, HangupCause> {
        tokio::select! {
            () = tokio::time::sleep(to.delay) => {}
            cause = self.race.given_up() => return Err(cause),
            cause = hung_up(&mut self.messages, &self.view, &mut self.speaking, &mut self.hanging_up) => return Err(cause),
        }
        let targets = self.inner.routing.targets(route);
        if targets.is_empty() {
            return Err(HangupCause::NotRegistered);
        }
        let place = self.inner.routing.take_place(route).map_err(|error| {
            tracing::warn!(call = self.view.uuid, %error, "a call was not placed");
            HangupCause::NoRoute
        })?;
        let mut rings = Rings::start(self.inner, self.race, &self.view, &self.mailbox, targets).await?;
        let answered = self.ring(&mut rings, to).await;
        // What is not answered is cancelled, and nobody hears it any more.
        rings.stop().await;
        let (leg, media, source) = answered?;
        Ok(Answered { leg, media, source, place })
    }

    async fn ring(
        &mut self,
        rings: &mut Rings,
        to: &Destination,
    ) -> Result<(sip::Leg, media_leg::MediaLeg, std::net::SocketAddr), HangupCause> {
        let over = tokio::time::sleep(to.ring_timeout);
        tokio::pin!(over);
        let mut rang = false;
        let mut worst = HangupCause::NoAnswer;
        while !rings.is_empty() {
            let event = tokio::select! {
                event = rings.next() => event,
                () = &mut over => return Err(HangupCause::RingTimeout),
                cause = self.race.given_up() => return Err(cause),
                cause = hung_up(&mut self.messages, &self.view, &mut self.speaking, &mut self.hanging_up) => return Err(cause),
            };
            let Some((mut ringing, event)) = event else { continue };
            match event {
                Some(event @ (LegEvent::Ringing { .. } | LegEvent::EarlyMedia(_))) => {
                    if !std::mem::replace(&mut rang, true) {
                        self.happened(Kind::CallRinging).await;
                    }
                    if let LegEvent::EarlyMedia(answer) = event {
                        rings.sounds(&mut ringing, &answer).await;
                    }
                    rings.listen(ringing);
                }
                Some(LegEvent::Answered(answer)) => {
                    let agreed = sdp::accept(&ringing.offer, &answer).map_err(|_| HangupCause::Incompatible)?;
                    let source = std::net::SocketAddr::new(ringing.peer, 0);
                    let (leg, media) = rings.answered(ringing, &agreed).await?;
                    return Ok((leg, media, source));
                }
                Some(LegEvent::Refused { code, .. }) => {
                    worst = cause_of(code);
                    rings.fell_silent(ringing).await;
                }
                Some(LegEvent::Ended { .. } | LegEvent::Cancelled) | None => {
                    worst = HangupCause::NetworkFailure;
                    rings.fell_silent(ringing).await;
                }
                Some(_) => rings.listen(ringing),
            }
        }
        Err(worst)
    }

    /// Makes a session of the answered leg: it asks for confirmation if wished, wins the race or loses it, and enters.
    async fn answered(mut self, answered: Answered) {
        let member = &self.race.member;
        self.view.state = CallState::InProgress;
        self.view.answered_at = Some(self.inner.clock.utc());
        self.happened(Kind::CallAnswered).await;
        let (account, Answered { leg, media, source, place }) = (member.account.id.clone(), answered);
        let far = (leg, source);
        let letters = (self.mailbox, self.messages);
        let session = Session::new(self.inner, account, self.control, self.view, far, letters);
        let mut session = Session {
            media: Some(media),
            sequence: self.sequence,
            journal: self.journal,
            speaking: self.speaking,
            destination: Some(self.race.room.clone()),
            over_at: Some(Instant::now() + session.limit),
            _place: place,
            ..session
        };
        if let Some(confirm) = &member.dial.confirm
            && let Err(cause) = session.confirmed(confirm, self.race).await
        {
            session.finish(cause, None).await;
            session.inner.calls.forget(&session.view.uuid);
            return self.race.absent(&session.view).await;
        }
        if self.race.won.swap(true, Ordering::AcqRel) {
            session.finish(HangupCause::LostRace, None).await;
            session.inner.calls.forget(&session.view.uuid);
            return self.race.absent(&session.view).await;
        }
        self.race.lost.cancel();
        if let Some(digits) = &member.dial.send_digits {
            session.send_digits(digits.clone());
        }
        let instructions = vec![Verb::Join(Box::new(member.join.clone()))];
        session.interpreter.document(instructions, session.inner.clock.monotonic());
        session.run_steps().await;
        self.race.entered(&session).await;
        session.run().await;
    }

    async fn failed(&mut self, cause: HangupCause) {
        self.view.state = CallState::Ended;
        self.view.ended_at = Some(self.inner.clock.utc());
        self.view.cause = Some(cause);
        let asked = self.hanging_up.take();
        let until =
            if asked.is_some() { journal::answer_by(Instant::now().into()) } else { journal::moment(self.inner) };
        self.happened_until(Kind::CallEnded, until).await;
        self.race.absent(&self.view).await;
        if let Some(reply) = asked {
            // Answered after what the room tells of it, which is the room's to record.
            let _ = tokio::time::timeout_at(until, self.race.room.hearing()).await;
            drop(reply.send(Ok(())));
        }
    }

    async fn happened(&mut self, kind: Kind) {
        self.happened_until(kind, journal::moment(self.inner)).await;
    }

    async fn happened_until(&mut self, kind: Kind, until: tokio::time::Instant) {
        self.sequence += 1;
        let about = (&self.control, &self.view, self.sequence);
        record(self.inner, &mut self.journal, &self.race.member.account.id, about, kind, until).await;
    }
}

impl Race {
    /// Tells how it went with the leg that won.
    async fn entered(&self, session: &Session) {
        let call = &session.view;
        let outcome = if session.seat.is_some() { ENTERED } else { NOT_ENTERED };
        let absent = MemberView::expected(&self.member.join, &call.uuid, &call.from, &call.to);
        self.room.added(outcome, call, absent).await;
        self.room.expectation_over(self.member.dial_id).await;
        if session.seat.is_none() {
            self.absent(call).await;
        }
    }
}

type HangupReply = oneshot::Sender<Result<(), CommandError>>;

/// Resolves when a program ends the call; everything else waits for the answer.
async fn hung_up(
    messages: &mut mpsc::Receiver<CallMessage>,
    view: &CallView,
    speaking: &mut bool,
    waiting: &mut Option<HangupReply>,
) -> HangupCause {
    loop {
        match messages.recv().await {
            Some(CallMessage::End(cause)) => return cause,
            Some(CallMessage::Command(CallCommand::Hangup(_), reply)) => {
                *waiting = Some(reply);
                return HangupCause::Requested;
            }
            Some(CallMessage::Snapshot(reply)) => {
                drop(reply.send(CallSnapshot { call: view.clone(), room_uuid: None }));
            }
            Some(CallMessage::Command(_, reply)) => drop(reply.send(Err(not_yet()))),
            Some(CallMessage::Move { reply, .. }) => drop(reply.send(Err(not_yet()))),
            Some(CallMessage::Media(LegFact::Speaking(now))) => *speaking = now,
            Some(CallMessage::Media(LegFact::Failed(why))) => {
                tracing::error!(call = view.uuid, why, "a leg's media failed before its answer; the call ends");
                return HangupCause::NetworkFailure;
            }
            // A key pressed before the answer means nothing.
            Some(_) => {}
            None => return HangupCause::Normal(HangupSource::Server),
        }
    }
}

/// Why a call that is being dialled cannot be sent elsewhere.
pub(super) fn not_yet() -> CommandError {
    CommandError::Conflict("the call has not been taken yet; wait for its answer and confirmation".to_owned())
}

fn cause_of(code: u16) -> HangupCause {
    match code {
        408 | 480 | 487 => HangupCause::NoAnswer,
        486 | 600 => HangupCause::Busy,
        404 | 410 | 484 | 604 => HangupCause::NoRoute,
        415 | 488 | 606 => HangupCause::Incompatible,
        500..=599 => HangupCause::NetworkFailure,
        _ => HangupCause::Rejected,
    }
}

impl Session {
    /// Sends digits to the other side, in the background.
    fn send_digits(&self, digits: String) {
        let (Some(leg), inner) = (self.leg_id(), Arc::clone(&self.inner)) else { return };
        tokio::spawn(async move {
            if let Err(error) = inner.media.send_digits(leg, &digits).await {
                tracing::warn!(%leg, %error, "digits could not be sent");
            }
        });
    }
}

//! Calls that go out to become members: every destination is dialled, the first to answer (and confirm) enters, the
//! others are cancelled.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sip::{LegEvent, Outgoing, Party, sdp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{CallMailbox, CallMessage, Control, Session, media_leg};
use crate::cause::{HangupCause, HangupSource};
use crate::command::{AccountRef, AddedCall, CallCommand, CallSnapshot, CommandError, Destination, Dial};
use crate::dialect::{CallState, CallView, Direction, Kind, MemberView, Purpose};
use crate::engine::Inner;
use crate::interpreter::Interpreter;
use crate::records::Happened;
use crate::room::RoomHandle;
use crate::routing::{Route, Targeted, TrunkPlace};
use crate::verb::{Gather, Join, Prompt, Verb};

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
struct Race {
    member: DialledMember,
    room: RoomHandle,
    won: AtomicBool,
    running: AtomicUsize,
    lost: CancellationToken,
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
    });
    let destinations = race.member.dial.destinations.clone();
    for ((call, route), destination) in calls.into_iter().zip(routes).zip(destinations) {
        let (inner, race) = (Arc::clone(inner), Arc::clone(&race));
        tokio::spawn(async move {
            Runner::run(&inner, &race, &call, &route, &destination).await;
            if race.running.fetch_sub(1, Ordering::AcqRel) == 1 && !race.won.load(Ordering::Acquire) {
                race.room.tell(Kind::AddCompleted("failed: nobody answered".into()), None, None).await;
                race.room.expectation_over(race.member.dial_id).await;
            }
        });
    }
}

/// One leg of a dial, until it is answered.
struct Runner<'a> {
    inner: &'a Arc<Inner>,
    race: &'a Arc<Race>,
    view: CallView,
    mailbox: CallMailbox,
    messages: mpsc::Receiver<CallMessage>,
    sequence: u64,
    /// A program hung up and waits until it is done.
    hanging_up: Option<HangupReply>,
}

/// The leg that answered.
struct Answered {
    leg: sip::Leg,
    media: media_leg::MediaLeg,
    source: std::net::SocketAddr,
    place: Option<TrunkPlace>,
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
        let mut runner = Self { inner, race, view, mailbox, messages, sequence: 0, hanging_up: None };
        if !inner.calls.add(&call.call_uuid, &member.account.id, runner.mailbox.clone(), inner.config.max_calls) {
            inner.counters.calls_refused.add(1);
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

    /// Rings until somebody answers.
    async fn dial(&mut self, route: &Route, to: &Destination) -> Result<Answered, HangupCause> {
        let race = self.race;
        tokio::select! {
            () = tokio::time::sleep(to.delay) => {}
            () = race.lost.cancelled() => return Err(HangupCause::LostRace),
            cause = hung_up(&mut self.messages, &self.view, &mut self.hanging_up) => return Err(cause),
        }
        let targets = self.inner.routing.targets(route);
        if targets.is_empty() {
            return Err(HangupCause::NotRegistered);
        }
        let place = self.inner.routing.take_place(route).map_err(|error| {
            tracing::warn!(call = self.view.uuid, %error, "a call was not placed");
            HangupCause::NoRoute
        })?;
        let mut legs = self.invite(targets).await?;
        let over = tokio::time::sleep(to.ring_timeout);
        tokio::pin!(over);
        let mut rang = false;
        let mut worst = HangupCause::NoAnswer;
        loop {
            let event = tokio::select! {
                Some(event) = legs.join_next() => event,
                () = &mut over => return Err(HangupCause::RingTimeout),
                () = race.lost.cancelled() => return Err(HangupCause::LostRace),
                cause = hung_up(&mut self.messages, &self.view, &mut self.hanging_up) => return Err(cause),
            };
            let Ok((mut ringing, event)) = event else { continue };
            match event {
                Some(LegEvent::Ringing { .. } | LegEvent::EarlyMedia(_)) => {
                    if !std::mem::replace(&mut rang, true) {
                        self.happened(Kind::CallRinging).await;
                    }
                    legs.spawn(listen(ringing));
                }
                Some(LegEvent::Answered(answer)) => {
                    let source = ringing.peer;
                    let Some(ports) = ringing.ports.take() else { continue };
                    let agreed = sdp::accept(&ringing.offer, &answer).map_err(|_| HangupCause::Incompatible)?;
                    let media = media_leg::add(self.inner, ports, ringing.local, &agreed, source)
                        .map_err(|_| HangupCause::NetworkFailure)?;
                    self.inner.calls.add_leg(media.id, self.mailbox.clone());
                    let source = std::net::SocketAddr::new(source, 0);
                    return Ok(Answered { leg: ringing.leg, media, source, place });
                }
                Some(LegEvent::Refused { code, .. }) => worst = cause_of(code),
                Some(LegEvent::Ended { .. } | LegEvent::Cancelled) | None => worst = HangupCause::NetworkFailure,
                Some(_) => drop(legs.spawn(listen(ringing))),
            }
            if legs.is_empty() {
                return Err(worst);
            }
        }
    }

    async fn invite(&self, targets: Vec<Targeted>) -> Result<JoinSet<(Ringing, Option<LegEvent>)>, HangupCause> {
        let mut legs = JoinSet::new();
        let domain = self.inner.routing.home_domain(&self.race.member.account.id).await;
        let dial = &self.race.member.dial;
        for mut target in targets {
            let peer = match target.aim(&self.inner.sip).await {
                Ok(peer) => peer,
                Err(error) => {
                    tracing::warn!(call = self.view.uuid, %error, "a destination was not found");
                    continue;
                }
            };
            let Ok(ports) = self.inner.media.reserve_ports() else { return Err(HangupCause::NetworkFailure) };
            let local = media_leg::capabilities(self.inner, &ports, peer);
            let offer = sdp::offer(&local);
            let user = target.from_user.clone().unwrap_or_else(|| user_of(&dial.from));
            let mut headers = dial.headers.clone();
            headers.push(("X-CallUUID".to_owned(), self.view.uuid.clone()));
            let outgoing = Outgoing {
                target: target.target,
                from: Party { user, host: domain.clone(), display: dial.caller_name.clone() },
                to: target.to,
                headers,
                offer: offer.clone(),
                auth: target.auth,
                route: target.route,
                transport: target.transport,
            };
            match self.inner.sip.invite(outgoing).await {
                Ok(leg) => drop(legs.spawn(listen(Ringing { leg, offer, local, ports: Some(ports), peer }))),
                Err(error) => tracing::warn!(call = self.view.uuid, %error, "an INVITE could not be sent"),
            }
        }
        if legs.is_empty() { Err(HangupCause::NoRoute) } else { Ok(legs) }
    }

    /// Makes a session of the answered leg: it asks for confirmation if wished, wins the race or loses it, and enters.
    async fn answered(mut self, answered: Answered) {
        let member = &self.race.member;
        self.view.state = CallState::InProgress;
        self.view.answered_at = Some(self.inner.clock.utc());
        self.happened(Kind::CallAnswered).await;
        let limit = member.dial.time_limit.unwrap_or(self.inner.config.max_call).min(self.inner.config.max_call);
        let mut session = Session {
            inner: Arc::clone(self.inner),
            account: member.account.id.clone(),
            control: Control { dialect: member.dialect, app_id: None, fallback: None, placed: true },
            view: self.view,
            leg: answered.leg,
            source: answered.source,
            offer: None,
            limit,
            media: Some(answered.media),
            interpreter: Interpreter::new(),
            seat: None,
            playing: None,
            plays: 0,
            sequence: self.sequence,
            mailbox: self.mailbox,
            messages: self.messages,
            moving: None,
            destination: Some(self.race.room.clone()),
            over_at: Some(Instant::now() + limit),
            digits: (0, 0),
            ended: false,
            _place: answered.place,
        };
        if let Some(confirm) = &member.dial.confirm
            && !session.confirmed(confirm, &self.race.lost).await
        {
            if !session.ended {
                let lost = self.race.lost.is_cancelled();
                let cause = if lost { HangupCause::LostRace } else { HangupCause::NotConfirmed };
                session.finish(cause, None).await;
            }
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
        let entered = session.seat.is_some();
        let outcome = if entered { "completed" } else { "failed: the room could not be entered" };
        self.race.room.tell(Kind::AddCompleted(outcome.into()), None, Some(session.view.clone())).await;
        self.race.room.expectation_over(member.dial_id).await;
        if !entered {
            self.race.absent(&session.view).await;
        }
        session.run().await;
    }

    async fn failed(&mut self, cause: HangupCause) {
        self.view.state = CallState::Ended;
        self.view.ended_at = Some(self.inner.clock.utc());
        self.view.cause = Some(cause);
        self.happened(Kind::CallEnded).await;
        self.race.absent(&self.view).await;
        if let Some(reply) = self.hanging_up.take() {
            drop(reply.send(Ok(())));
        }
    }

    async fn happened(&mut self, kind: Kind) {
        self.sequence += 1;
        let member = &self.race.member;
        let (at, account) = (self.inner.clock.utc(), &member.account.id);
        let happened = Happened {
            kind,
            sequence: self.sequence,
            room: None,
            member: None,
            call: Some(self.view.clone()),
            dialects: vec![member.dialect],
        };
        let records = self.inner.records.record(account, at, &happened).await.into_iter().collect();
        if let Err(error) = self.inner.records.commit_call(account, member.dialect, None, &self.view, records).await {
            tracing::error!(call = self.view.uuid, %error, "what happened to a call could not be recorded; check the database");
        }
    }
}

impl Race {
    /// Tells that a dialled member never came.
    async fn absent(&self, call: &CallView) {
        let view = MemberView {
            left_at: call.ended_at,
            leave_cause: Some(conference::LeaveCause::Hangup),
            ..MemberView::expected(&self.member.join, &call.uuid, &call.from, &call.to)
        };
        self.room.tell(Kind::Left, Some(view), Some(call.clone())).await;
    }
}

/// A leg that rings.
struct Ringing {
    leg: sip::Leg,
    offer: sdp::Session,
    local: sdp::Capabilities,
    ports: Option<media::Ports>,
    peer: IpAddr,
}

async fn listen(mut ringing: Ringing) -> (Ringing, Option<LegEvent>) {
    let event = ringing.leg.next().await;
    (ringing, event)
}

type HangupReply = oneshot::Sender<Result<(), CommandError>>;

/// Resolves when a program ends the call; everything else waits for the answer.
async fn hung_up(
    messages: &mut mpsc::Receiver<CallMessage>,
    view: &CallView,
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
            Some(CallMessage::Command(_, reply)) => {
                let text = "the call has not been answered yet; wait for its answer".to_owned();
                drop(reply.send(Err(CommandError::Conflict(text))));
            }
            Some(CallMessage::Move { reply, .. }) => {
                let text = "the call has not been answered yet; wait for its answer".to_owned();
                drop(reply.send(Err(CommandError::Conflict(text))));
            }
            Some(_) => {}
            None => return HangupCause::Normal(HangupSource::Server),
        }
    }
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

fn user_of(from: &str) -> String {
    let bare = from.strip_prefix("sip:").unwrap_or(from);
    bare.split('@').next().unwrap_or(bare).trim_start_matches('+').to_owned()
}

impl Session {
    /// Plays the confirmation sound and waits for the key; false if it is not pressed.
    async fn confirmed(&mut self, confirm: &crate::command::Confirm, lost: &CancellationToken) -> bool {
        let mut prompts = Vec::new();
        if let Some(fetch) = &confirm.sound {
            let (account, dialect) = (self.account.clone(), self.control.dialect);
            let hooks = self.inner.hooks.clone();
            match hooks.ask(&account, dialect, Some(&self.view), fetch, &Purpose::Sound, 100 * 1024).await {
                Ok(answer) => prompts = hooks.prompts(dialect, &answer).unwrap_or_else(|_| vec![audio(&fetch.url)]),
                Err(error) => self.warn(format!("the confirmation sound cannot be had: {error}")).await,
            }
        }
        let key = confirm.key;
        let gather = Gather {
            prompts,
            action: None,
            follow: false,
            first_digit: Duration::from_secs(10),
            next_digit: Duration::from_secs(5),
            finish_on: None,
            max_digits: 1,
            valid: key.to_string(),
            invalid_sound: None,
            attempts: 1,
            beep: false,
            log: true,
        };
        self.interpreter.document(vec![Verb::Gather(gather)], self.inner.clock.monotonic());
        self.awaiting_key(key, lost).await
    }

    async fn awaiting_key(&mut self, key: char, lost: &CancellationToken) -> bool {
        loop {
            while let Some(step) = self.interpreter.poll_step() {
                match step {
                    crate::interpreter::Step::Play(number, prompts) => self.play(number, prompts).await,
                    crate::interpreter::Step::StopPlaying => self.stop_playing().await,
                    crate::interpreter::Step::Answer => {}
                    _ => return false,
                }
            }
            let deadline = self.deadline();
            tokio::select! {
                event = self.leg.next() => self.signalled(event).await,
                message = self.messages.recv() => match message {
                    Some(CallMessage::Media(super::LegFact::Digit(digit))) => {
                        self.stop_playing().await;
                        return digit == key;
                    }
                    Some(message) => self.told(message).await,
                    None => return false,
                },
                () = super::sleep_until(deadline) => self.time_passed().await,
                () = lost.cancelled() => return false,
            }
            if self.ended {
                return false;
            }
        }
    }

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

fn audio(url: &str) -> Prompt {
    Prompt::Audio { url: url.to_owned(), times: crate::verb::Times::Count(1) }
}

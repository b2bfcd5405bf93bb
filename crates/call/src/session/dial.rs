//! One call that goes out, until it is answered: it rings, it may be cancelled, it wins its race or loses it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip::LegEvent;
use tokio::sync::{mpsc, oneshot};

use super::attached::attached;
use super::diary::Diary;
use super::far::FarSide;
use super::media_leg::MediaLeg;
use super::race::{Calling, Race, cause_of, status_for};
use super::ringing::{Answered, Rings};
use super::{CallMailbox, CallMessage, Control, LegFact, Session};
use crate::cause::{HangupCause, HangupSource};
use crate::command::{CallChanged, CallCommand, CallSnapshot, CommandError, Confirm};
use crate::dialect::{CallState, CallView, Kind, Params};
use crate::engine::Inner;
use crate::journal;
use crate::routing::Route;

/// A call that rings.
pub(super) struct Runner<'a> {
    inner: &'a Arc<Inner>,
    race: &'a Arc<Race>,
    control: Control,
    view: CallView,
    invite: Invite,
    ring_timeout: Duration,
    delay: Duration,
    confirm: Option<Confirm>,
    limit: Option<Duration>,
    sent: Option<oneshot::Sender<String>>,
    mailbox: CallMailbox,
    messages: mpsc::Receiver<CallMessage>,
    diary: Diary,
    /// Whether sound like speech comes from the leg, before its answer.
    speaking: bool,
    /// A program hung up and waits until it is done.
    hanging_up: Option<HangupReply>,
}

/// What the INVITEs of a call say besides what follows from the call.
pub(super) struct Invite {
    pub(super) headers: Params,
    pub(super) auth: Option<(String, String)>,
}

impl<'a> Runner<'a> {
    /// Makes the call, and lives it to its end.
    pub(super) async fn run(inner: &'a Arc<Inner>, race: &'a Arc<Race>, calling: Calling) {
        let (mailbox, messages) = CallMailbox::new();
        let Calling { view, mut control, route, headers, auth, ring_timeout, delay, confirm, limit, sent } = calling;
        if let Some(link) = &control.link {
            let own = link.for_call(Arc::new(mailbox.sender()));
            inner.links.add(&view.uuid, own.clone());
            control.link = Some(own);
        }
        let mut runner = Self {
            inner,
            race,
            control,
            view,
            invite: Invite { headers, auth },
            ring_timeout,
            delay,
            confirm,
            limit,
            sent,
            mailbox,
            messages,
            diary: Diary::default(),
            speaking: false,
            hanging_up: None,
        };
        let (uuid, ceilings) = (runner.view.uuid.clone(), inner.config.call_ceilings());
        if let Err(full) = inner.calls.add(&uuid, &runner.view.account, runner.mailbox.clone(), ceilings) {
            inner.count_refused_call(full);
            runner.failed(HangupCause::NetworkFailure).await;
            inner.links.forget(&uuid);
            return;
        }
        inner.counters.calls_out.add(1);
        match runner.dial(route).await {
            Ok(answered) => runner.answered(answered).await,
            Err(cause) => {
                runner.failed(cause).await;
                inner.calls.forget(&uuid);
                inner.links.forget(&uuid);
            }
        }
    }

    /// Waits for the call's turn, then rings until somebody answers.
    async fn dial(&mut self, route: Result<Route, HangupCause>) -> Result<Answered, HangupCause> {
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            cause = self.race.given_up() => return Err(cause),
            cause = hung_up(&mut self.messages, &mut self.view, &mut self.speaking, &mut self.hanging_up) => return Err(cause),
        }
        let route = route?;
        self.view.endpoint = route.endpoint().map(str::to_owned);
        let targets = self.inner.routing.targets(&route);
        if targets.is_empty() {
            return Err(HangupCause::NotRegistered);
        }
        let place = self.inner.routing.take_place(&route).map_err(|error| {
            tracing::warn!(call = self.view.uuid, %error, "a call was not placed");
            HangupCause::NoRoute
        })?;
        let rings = Rings::start(self.inner, self.race, &self.view, &self.mailbox, (targets, &self.invite)).await;
        if let Err(HangupCause::Rejected) = rings {
            self.status((403, "Forbidden"));
        }
        let mut rings = rings?;
        self.begun(rings.call_id()).await;
        let answered = self.ring(&mut rings).await;
        // What is not answered is cancelled, and nobody hears it any more.
        rings.stop().await;
        let (leg, media, source) = answered?;
        Ok(Answered { leg, media, source, place })
    }

    /// The INVITEs are out.
    async fn begun(&mut self, call_id: String) {
        self.view.sip.call_id.clone_from(&call_id);
        if self.race.tells_begin() {
            self.happened(Kind::CallBegun).await;
        }
        if let Some(sent) = self.sent.take() {
            // Whoever asked for the call may have gone away.
            let _ = sent.send(call_id);
        }
    }

    async fn ring(&mut self, rings: &mut Rings) -> Result<(sip::Leg, MediaLeg, SocketAddr), HangupCause> {
        let over = tokio::time::sleep(self.ring_timeout);
        tokio::pin!(over);
        let mut rang = false;
        let mut worst = HangupCause::NoAnswer;
        while !rings.is_empty() {
            let event = tokio::select! {
                event = rings.next() => event,
                () = &mut over => return Err(self.undone(HangupCause::RingTimeout)),
                cause = self.race.given_up() => return Err(self.undone(cause)),
                cause = hung_up(&mut self.messages, &mut self.view, &mut self.speaking, &mut self.hanging_up) => {
                    return Err(self.undone(cause));
                }
            };
            let Some((mut ringing, event)) = event else { continue };
            match event {
                Some(event @ (LegEvent::Ringing { .. } | LegEvent::EarlyMedia(_))) => {
                    if !std::mem::replace(&mut rang, true) {
                        let early = matches!(event, LegEvent::EarlyMedia(_) | LegEvent::Ringing { code: 183 });
                        self.status(if early { (183, "Session Progress") } else { (180, "Ringing") });
                        self.happened(Kind::CallRinging).await;
                    }
                    if let LegEvent::EarlyMedia(answer) = event {
                        rings.sounds(&mut ringing, &answer).await;
                    }
                    rings.listen(ringing);
                }
                Some(LegEvent::IceCandidates(fragment)) => {
                    Rings::candidates(&ringing, &fragment);
                    rings.listen(ringing);
                }
                Some(LegEvent::Answered(answer)) => {
                    let source = SocketAddr::new(ringing.peer, 0);
                    let (leg, media) = rings.answered(ringing, &answer).await?;
                    return Ok((leg, media, source));
                }
                Some(LegEvent::Refused { code, reason }) => {
                    worst = cause_of(code);
                    self.status((code, &reason));
                    rings.fell_silent(ringing).await;
                }
                Some(LegEvent::Ended { .. } | LegEvent::Cancelled) | None => {
                    worst = HangupCause::NetworkFailure;
                    self.status(status_for(&worst));
                    rings.fell_silent(ringing).await;
                }
                Some(_) => rings.listen(ringing),
            }
        }
        Err(worst)
    }

    fn status(&mut self, (code, reason): (u16, &str)) {
        (self.view.sip.status, self.view.sip.reason) = (code, reason.to_owned());
    }

    /// It is we who give the call up, whatever another phone of the same callee has said.
    fn undone(&mut self, cause: HangupCause) -> HangupCause {
        self.status(status_for(&cause));
        cause
    }

    /// Makes a session of the answered call: it asks for confirmation if wished, and wins the race or loses it.
    async fn answered(mut self, answered: Answered) {
        self.view.state = CallState::InProgress;
        self.view.answered_at = Some(self.inner.clock.utc());
        let Answered { leg, media, source, place } = answered;
        leg.call_id().clone_into(&mut self.view.sip.call_id);
        self.status((200, "OK"));
        self.happened(Kind::CallAnswered).await;
        let race = self.race;
        let far = FarSide { _place: place, ..FarSide::new(leg, source) };
        let letters = (self.mailbox, self.messages);
        let mut session = Session::new(self.inner, self.control, self.view, far, letters);
        session.diary = self.diary;
        session.view.webrtc = media.browser().is_some();
        session.sound.media = Some(media);
        session.input.speaking = self.speaking;
        session.life = session.life.at_most(self.limit);
        session.life.answered();
        session.rooms.coming = race.coming();
        let confirmed = match &self.confirm {
            Some(confirm) => session.confirmed(confirm, race).await,
            None => Ok(()),
        };
        match confirmed {
            Ok(()) if race.wins() => race.won_by(session).await,
            Ok(()) => session.unwanted(HangupCause::LostRace, race).await,
            Err(cause) => session.unwanted(cause, race).await,
        }
    }

    async fn failed(&mut self, cause: HangupCause) {
        if self.view.sip.status < 300 {
            self.status(status_for(&cause));
        }
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
            let _ = tokio::time::timeout_at(until, self.race.absence_told()).await;
            drop(reply.send(Ok(CallChanged::default())));
        }
    }

    async fn happened(&mut self, kind: Kind) {
        self.happened_until(kind, journal::moment(self.inner)).await;
    }

    async fn happened_until(&mut self, kind: Kind, until: tokio::time::Instant) {
        self.diary.record(self.inner, (&self.control, &self.view), kind, until).await;
    }
}

impl Session {
    /// The callee has answered, and is not connected.
    pub(super) async fn unwanted(mut self, cause: HangupCause, race: &Race) {
        self.finish(cause, None).await;
        self.inner.calls.forget(&self.view.uuid);
        self.let_go_of_application();
        // That it was answered says nothing of how the dial went.
        let (status, reason) = self.view.cause.as_ref().map_or((487, "Request Terminated"), status_for);
        (self.view.sip.status, self.view.sip.reason) = (status, reason.to_owned());
        race.absent(&self.view).await;
    }
}

type HangupReply = oneshot::Sender<Result<CallChanged, CommandError>>;

/// Resolves when a program ends the call; everything else waits for the answer.
async fn hung_up(
    messages: &mut mpsc::Receiver<CallMessage>,
    view: &mut CallView,
    speaking: &mut bool,
    waiting: &mut Option<HangupReply>,
) -> HangupCause {
    loop {
        match messages.recv().await {
            Some(CallMessage::End(cause)) => return cause,
            Some(CallMessage::Command(CallCommand::Hangup(_) | CallCommand::Cancel, _, reply)) => {
                *waiting = Some(reply);
                return HangupCause::Requested;
            }
            Some(CallMessage::Command(CallCommand::Attach(data), _, reply)) => {
                let done = attached(data).map(|data| view.attached = Some(data));
                drop(reply.send(done.map(|()| CallChanged::default())));
            }
            Some(CallMessage::Snapshot(reply)) => {
                drop(reply.send(CallSnapshot { call: view.clone(), room_uuid: None }));
            }
            Some(CallMessage::Command(_, _, reply)) => drop(reply.send(Err(not_yet()))),
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

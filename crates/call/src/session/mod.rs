//! Live calls: one task each. It owns the call's signalling and its leg on the media plane, runs its instructions, and
//! takes it into rooms and out of them.

mod confirm;
mod dial;
mod inbound;
mod keys;
mod media_leg;
mod message;
mod prompts;
mod ringing;
mod steps;

use std::sync::Arc;
use std::time::Instant;

use conference::{LeaveCause, MemberId};
use media::LegId;
use sip::LegEvent;
use tokio::sync::{mpsc, oneshot};

pub(crate) use dial::{DialledMember, ENTERED, NOT_ENTERED, dial_member};
pub(crate) use inbound::take;
pub use message::CallMailbox;
pub(crate) use message::{CallMessage, LegFact};

use crate::cause::{HangupCause, HangupSource};
use crate::command::{CallCommand, CallSnapshot, CommandError};
use crate::dialect::{CallState, CallView, Departure, Direction, Kind};
use crate::engine::Inner;
use crate::interpreter::Interpreter;
use crate::journal::{self, Journal};
use crate::records::Happened;
use crate::room::{Joined, MediaFact, RoomHandle};
use crate::verb::{Fetch, Refusal, Verb};

use keys::{By, Keys};
use message::answer_after;
use prompts::Playing;

/// What controls a call from outside its instructions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    /// The dialect its programs speak.
    pub dialect: &'static str,
    /// The application, for records.
    pub app_id: Option<String>,
    /// Asked when the answer URL fails.
    pub fallback: Option<Fetch>,
    /// A program put the call into its room, not the call's own instructions.
    pub placed: bool,
}

pub(crate) struct Session {
    inner: Arc<Inner>,
    account: String,
    control: Control,
    view: CallView,
    leg: sip::Leg,
    /// Where its signalling comes from.
    source: std::net::SocketAddr,
    /// Longest time from the answer.
    limit: std::time::Duration,
    /// The caller's offer, until it is answered.
    offer: Option<sip::sdp::Session>,
    media: Option<media_leg::MediaLeg>,
    interpreter: Interpreter,
    seat: Option<(RoomHandle, MemberId)>,
    playing: Option<Playing>,
    plays: u64,
    sequence: u64,
    journal: Journal,
    mailbox: CallMailbox,
    messages: mpsc::Receiver<CallMessage>,
    /// Whoever moved the call into a room waits here.
    moving: Option<oneshot::Sender<Result<Joined, CommandError>>>,
    /// The room of the next join, where it is known by more than its name.
    destination: Option<RoomHandle>,
    over_at: Option<Instant>,
    /// The second, and how many digits came in it.
    digits: (u64, u32),
    /// Keys that may be told a second time.
    keys: Keys,
    /// Whether sound like speech comes from its microphone.
    speaking: bool,
    ended: bool,
    /// The place it takes on a trunk.
    _place: Option<crate::routing::TrunkPlace>,
}

/// Digits taken per second; nobody presses more keys, and each one is recorded.
const MOST_DIGITS: u32 = 20;

impl Session {
    /// A call that is not answered and has no instructions yet. `far`: its dialog and where its signalling comes from.
    fn new(
        inner: &Arc<Inner>,
        account: String,
        control: Control,
        view: CallView,
        far: (sip::Leg, std::net::SocketAddr),
        (mailbox, messages): (CallMailbox, mpsc::Receiver<CallMessage>),
    ) -> Self {
        let (leg, source) = far;
        Self {
            inner: Arc::clone(inner),
            account,
            control,
            view,
            leg,
            source,
            limit: inner.config.max_call,
            offer: None,
            media: None,
            interpreter: Interpreter::new(),
            seat: None,
            playing: None,
            plays: 0,
            sequence: 0,
            journal: Journal::default(),
            mailbox,
            messages,
            moving: None,
            destination: None,
            over_at: None,
            digits: (0, 0),
            keys: Keys::default(),
            speaking: false,
            ended: false,
            _place: None,
        }
    }

    /// Runs the call to its end.
    async fn run(mut self) {
        self.run_steps().await;
        while !self.ended {
            let deadline = self.deadline();
            tokio::select! {
                event = self.leg.next() => self.signalled(event).await,
                message = self.messages.recv() => match message {
                    Some(message) => self.told(message).await,
                    None => self.finish(HangupCause::Normal(HangupSource::Server), None).await,
                },
                () = sleep_until(deadline) => self.time_passed().await,
            }
            self.run_steps().await;
        }
        self.inner.calls.forget(&self.view.uuid);
    }

    fn deadline(&self) -> Option<Instant> {
        let clock = &self.inner.clock;
        let instructions = self.interpreter.next_timeout().map(|at| clock.instant(at));
        let pause = self.playing.as_ref().and_then(|playing| playing.pause_until);
        [instructions, pause, self.over_at].into_iter().flatten().min()
    }

    async fn time_passed(&mut self) {
        let now = Instant::now();
        if self.over_at.is_some_and(|at| now >= at) {
            self.finish(HangupCause::MaxDuration, None).await;
            return;
        }
        self.interpreter.handle_timeout(self.inner.clock.monotonic());
        if self.playing.as_ref().and_then(|p| p.pause_until).is_some_and(|at| now >= at) {
            self.next_prompt().await;
        }
    }

    async fn signalled(&mut self, event: Option<LegEvent>) {
        match event {
            Some(LegEvent::Reoffer(offer)) => self.reoffered(offer).await,
            Some(LegEvent::Acked { answer: Some(answer) }) => self.answered_in_ack(answer).await,
            Some(LegEvent::InfoDigit(digit)) => {
                if !self.keys.is_new(digit, By::Info, Instant::now()) {
                    return;
                }
                if !self.takes_digit() {
                    return;
                }
                // Heard like one that came with the sound, which it may do as well; a leg that is gone has none to relay.
                if let Some(leg) = self.leg_id().filter(|_| !self.keys.come_with_sound()) {
                    drop(self.inner.media.relay_digit(leg, digit));
                }
                self.digit(digit);
            }
            Some(LegEvent::Cancelled) => self.finish(HangupCause::Cancelled, None).await,
            Some(LegEvent::Refused { .. }) => self.finish(HangupCause::NetworkFailure, None).await,
            Some(LegEvent::Ended { by, .. }) => {
                let cause = match by {
                    sip::By::Remote => HangupCause::Normal(self.far_side()),
                    sip::By::Local => HangupCause::Normal(HangupSource::Server),
                    sip::By::Timeout | sip::By::Transport => HangupCause::NetworkFailure,
                };
                self.finish(cause, None).await;
            }
            None => self.finish(HangupCause::NetworkFailure, None).await,
            Some(_) => {}
        }
    }

    fn far_side(&self) -> HangupSource {
        match self.view.direction {
            Direction::Inbound => HangupSource::Caller,
            Direction::Outbound => HangupSource::Callee,
        }
    }

    async fn told(&mut self, message: CallMessage) {
        match message {
            CallMessage::Media(fact) => self.media_fact(fact).await,
            CallMessage::LeftRoom(departure, cause) => self.left_room(*departure, cause),
            CallMessage::Command(command, reply) => self.command(command, reply).await,
            CallMessage::Move { join, room, dialect, reply } => {
                let recorded = self.step_out(LeaveCause::Transferred).await;
                self.control.dialect = dialect;
                self.control.placed = true;
                self.moving = Some(answer_after(recorded, reply));
                self.destination = Some(room);
                self.interpreter.document(vec![Verb::Join(join)], self.inner.clock.monotonic());
            }
            // Whoever no longer waits for an answer has gone away.
            CallMessage::Snapshot(reply) => drop(reply.send(self.snapshot())),
            CallMessage::Fetched(fetched) => self.fetched(*fetched).await,
            CallMessage::Loaded(number, result) => self.loaded(number, *result).await,
            CallMessage::End(cause) => self.finish(cause, None).await,
        }
    }

    async fn command(&mut self, command: CallCommand, reply: oneshot::Sender<Result<(), CommandError>>) {
        match command {
            CallCommand::Hangup(refusal) => {
                self.end(HangupCause::Requested, refusal, true).await;
                drop(reply.send(Ok(())));
            }
            CallCommand::Transfer(fetch) => {
                let recorded = self.step_out(LeaveCause::Transferred).await;
                self.control.placed = false;
                self.interpreter.transfer(fetch);
                // The call does not wait for it.
                drop(answer_after(recorded, reply).send(Ok(())));
            }
        }
    }

    fn snapshot(&self) -> CallSnapshot {
        CallSnapshot { call: self.view.clone(), room_uuid: self.seat.as_ref().map(|(room, _)| room.uuid().to_owned()) }
    }

    async fn media_fact(&mut self, fact: LegFact) {
        match fact {
            LegFact::Digit(digit, held) => {
                if self.keys.is_new(digit, By::Event(held), Instant::now()) && self.takes_digit() {
                    self.digit(digit);
                }
            }
            LegFact::PlayEnded(play) => {
                if self.playing.as_ref().is_some_and(|playing| playing.play == Some(play)) {
                    self.next_prompt().await;
                }
            }
            LegFact::Timeout => self.finish(HangupCause::MediaTimeout, None).await,
            LegFact::Failed(why) => {
                tracing::error!(call = self.view.uuid, why, "a leg's media failed; the call ends");
                self.finish(HangupCause::NetworkFailure, None).await;
            }
            LegFact::Speaking(speaking) => {
                self.speaking = speaking;
                if let (Some((room, _)), Some(leg)) = (&self.seat, self.leg_id()) {
                    // Telemetry: a busy room may miss it.
                    room.media_fact(MediaFact::Speaking(leg, speaking));
                }
            }
        }
    }

    /// Counts a digit; false if nobody presses so many.
    fn takes_digit(&mut self) -> bool {
        let second = self.inner.clock.monotonic().as_secs();
        self.digits = if self.digits.0 == second { (second, self.digits.1 + 1) } else { (second, 1) };
        if self.digits.1 > MOST_DIGITS {
            self.inner.counters.digits_dropped.add(1);
            return false;
        }
        true
    }

    fn digit(&mut self, digit: char) {
        self.interpreter.digit(digit, self.inner.clock.monotonic());
        if let (Some((room, _)), Some(leg)) = (&self.seat, self.leg_id())
            && !room.media_fact(MediaFact::Digit(leg, digit))
        {
            self.inner.counters.mailbox_overflows.add(1);
        }
    }

    fn leg_id(&self) -> Option<LegId> {
        self.media.as_ref().map(|media| media.id)
    }

    /// Takes the call out of its room, if it is in one; returns when the shard has done it. What is returned resolves when
    /// that is recorded too.
    async fn step_out(&mut self, cause: LeaveCause) -> Option<oneshot::Receiver<()>> {
        let (room, member) = self.seat.take()?;
        Some(room.leave(member, cause).await)
    }

    /// The room let the call go.
    fn left_room(&mut self, departure: Departure, cause: LeaveCause) {
        let here =
            |(room, member): &(RoomHandle, MemberId)| room.uuid() == departure.room && *member == departure.member.id;
        // A message that crossed with the call's own departure is old news.
        if !self.seat.as_ref().is_some_and(here) {
            return;
        }
        self.seat = None;
        let at_end = match cause {
            _ if !self.control.placed => HangupCause::EndOfInstructions,
            LeaveCause::Kicked => HangupCause::Kicked,
            _ => HangupCause::RoomEnded,
        };
        self.interpreter.left_room(departure, at_end, self.inner.clock.monotonic());
    }

    /// Ends the call: out of its room, off the media plane, signalled, recorded.
    async fn finish(&mut self, cause: HangupCause, refusal: Option<Refusal>) {
        self.end(cause, refusal, false).await;
    }

    /// The same; `asked`: a program waits until it is recorded, though not for long.
    async fn end(&mut self, cause: HangupCause, refusal: Option<Refusal>, asked: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let left = self.step_out(LeaveCause::Hangup).await;
        if let Some(media) = self.media.take() {
            self.inner.calls.forget_leg(media.id);
            self.inner.remove_leg(media.id).await;
        }
        let answered = self.view.answered_at.is_some();
        let signalled = match (answered, self.view.direction) {
            (false, Direction::Inbound) => {
                let (code, reason) = refusal_code(&cause, refusal);
                self.leg.reject(code, Some(reason), &[]).await
            }
            _ => self.leg.hangup(None).await,
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
        if let Some(moving) = self.moving.take() {
            drop(moving.send(Err(CommandError::NotFound { what: "call", id: self.view.uuid.clone() })));
        }
    }

    /// Records something about the call and tells its programs.
    async fn happened(&mut self, kind: Kind) {
        self.happened_until(kind, journal::moment(&self.inner)).await;
    }

    async fn happened_until(&mut self, kind: Kind, until: tokio::time::Instant) {
        self.sequence += 1;
        let about = (&self.control, &self.view, self.sequence);
        record(&self.inner, &mut self.journal, &self.account, about, kind, until).await;
    }

    /// Records that the call exists.
    async fn store_row(&mut self) {
        let (dialect, app) = (self.control.dialect, self.control.app_id.as_deref());
        match self.inner.records.of_call(&self.account, dialect, app, &self.view, Vec::new()).await {
            Ok(row) => {
                self.journal.write(&self.inner, &self.view.uuid, row, journal::moment(&self.inner)).await;
            }
            Err(error) => tracing::error!(call = self.view.uuid, %error, "a call cannot be recorded"),
        }
    }

    async fn warn(&mut self, text: String) {
        if self.journal.is_behind() {
            return self.inner.counters.records_dropped.add(1);
        }
        self.happened(Kind::Warning(text)).await;
    }
}

/// Records something about a call and tells its programs; waits for that until then.
async fn record(
    inner: &Inner,
    journal: &mut Journal,
    account: &str,
    (control, view, sequence): (&Control, &CallView, u64),
    kind: Kind,
    until: tokio::time::Instant,
) {
    let call = Some(view.clone());
    let happened = Happened { kind, sequence, room: None, member: None, call, dialects: vec![control.dialect] };
    let records = inner.records.record(account, inner.clock.utc(), &happened).await.into_iter().collect();
    let app = control.app_id.as_deref();
    match inner.records.of_call(account, control.dialect, app, view, records).await {
        Ok(batch) => {
            journal.write(inner, &view.uuid, batch, until).await;
        }
        Err(error) => tracing::error!(call = view.uuid, %error, "what happened to a call cannot be recorded"),
    }
}

fn refusal_code(cause: &HangupCause, refusal: Option<Refusal>) -> (u16, &'static str) {
    match (refusal, cause) {
        (Some(Refusal::Busy), _) => (486, "Busy Here"),
        (Some(Refusal::Rejected), _) => (603, "Decline"),
        (None, HangupCause::NoRoute) => (404, "Not Found"),
        (None, HangupCause::Incompatible) => (488, "Not Acceptable Here"),
        (None, HangupCause::Instructions(_)) => (500, "Instructions Unavailable"),
        (None, HangupCause::Shutdown) => (503, "Service Unavailable"),
        (None, _) => (480, "Temporarily Unavailable"),
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

//! Live calls: one task each. It owns the call's signalling and its leg on the media plane, runs its instructions, and
//! takes it into rooms and out of them.

mod added;
mod aside;
mod bridge;
mod commands;
mod confirm;
mod connection;
mod dial;
mod inbound;
mod interlude;
mod keys;
mod media_leg;
mod message;
mod patterns;
mod placed;
mod prompts;
mod queue;
mod race;
mod referral;
mod ringing;
mod split;
mod steps;
mod stream;
mod tracks;
mod understanding;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use conference::LeaveCause;
use media::LegId;
use sip::LegEvent;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use added::{DialledMember, ENTERED, NOT_ENTERED, dial_member};
pub(crate) use inbound::take;
pub use message::CallMailbox;
pub(crate) use message::{CallMessage, LegFact};
pub(crate) use placed::place;
pub(crate) use prompts::Lane;

use crate::cause::{HangupCause, HangupSource};
use crate::command::{CallSnapshot, CommandError};
use crate::dialect::{AtEnd, CallState, CallView, Departure, Direction, Kind, Purpose, Referred};
use crate::engine::Inner;
use crate::interpreter::Interpreter;
use crate::journal::{self, Journal};
use crate::link::{Farewell, LinkHandle};
use crate::records::Happened;
use crate::room::{Joined, MediaFact, RoomHandle};
use crate::stream::Control as StreamControl;
use crate::verb::{Fetch, Method, Refusal, Stream, Verb};

use interlude::{Interlude, Stay};
use keys::{By, Keys};
use message::answer_after;
use prompts::Playing;
use referral::Transferring;
use stream::Running;
pub(crate) use stream::Slot;

/// What controls a call from outside its instructions.
#[derive(Clone)]
pub(crate) struct Control {
    /// The dialect its programs speak.
    pub dialect: &'static str,
    /// The application, for records.
    pub app_id: Option<String>,
    /// The application's own address, which its hooks are relative to.
    pub application: Fetch,
    /// The connection to it, once there is one.
    pub link: Option<LinkHandle>,
    /// That connection belongs to the call that dialled this one.
    pub shares_link: bool,
    /// The application's voice and language.
    pub voice: Option<(String, String)>,
    /// Asked when the answer URL fails.
    pub fallback: Option<Fetch>,
    /// A program put the call into its room, not the call's own instructions.
    pub placed: bool,
}

impl Control {
    /// A call of this dialect without an application.
    pub fn of(dialect: &'static str) -> Self {
        Self {
            dialect,
            app_id: None,
            application: Fetch::new("", Method::Post),
            link: None,
            shares_link: false,
            voice: None,
            fallback: None,
            placed: false,
        }
    }
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
    /// What is heard while the instructions wait.
    interlude: Option<Interlude>,
    /// How many such programs there have been.
    programs: u32,
    stay: Option<Stay>,
    /// What it has dialled.
    connection: Option<bridge::Connection>,
    /// Who has dialled it, while it is his callee.
    dialled_by: Option<bridge::DialledBy>,
    /// What it has to do with a queue.
    queueing: Option<queue::Queueing>,
    /// How the instruction went that was broken off last, until somebody is told.
    parting: Option<crate::dialect::Outcome>,
    playing: BTreeMap<Lane, Playing>,
    plays: u64,
    /// How many whispers and sounds of tracks there have been.
    whispers: u64,
    /// The names of tracks, by their places.
    tracks: Vec<Option<String>>,
    /// Voice and language of prompts that name none, in place of the application's.
    voice: Option<(String, String)>,
    /// Asked when the far side sends a REFER.
    refer_hook: Option<Fetch>,
    /// A transfer that the far side was asked for.
    transferring: Option<Transferring>,
    /// How many there have been.
    transfers: u64,
    /// One that it asks for, while a program decides.
    referral: Option<u64>,
    /// How many questions there have been beside the instructions.
    questions: u64,
    /// Those that wait for their answers, and since when.
    asides: BTreeMap<u64, Instant>,
    /// Places for sounds that are loaded for the room.
    room_sounds: Arc<Semaphore>,
    /// Told of requests within the dialog.
    request_hook: Option<Fetch>,
    /// Somebody listens for speech: the number of the listening, and its task.
    listening: Option<(u64, AbortOnDropHandle<()>)>,
    /// Streams of sound that run.
    streams: BTreeMap<Slot, Running>,
    /// How many there have been.
    streamed: u64,
    /// One that begins with the answer.
    stream_at_answer: Option<Box<Stream>>,
    /// Headers of the BYE that the instructions want.
    farewell: Vec<(String, String)>,
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
/// Sounds that one call may have loaded for its room at once.
const MOST_ROOM_SOUNDS: usize = 16;

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
            interlude: None,
            programs: 0,
            stay: None,
            connection: None,
            dialled_by: None,
            queueing: None,
            parting: None,
            playing: BTreeMap::new(),
            plays: 0,
            whispers: 0,
            tracks: Vec::new(),
            voice: None,
            refer_hook: None,
            transferring: None,
            transfers: 0,
            referral: None,
            questions: 0,
            asides: BTreeMap::new(),
            room_sounds: Arc::new(Semaphore::new(MOST_ROOM_SOUNDS)),
            request_hook: None,
            listening: None,
            streams: BTreeMap::new(),
            streamed: 0,
            stream_at_answer: None,
            farewell: Vec::new(),
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
        self.let_go_of_application();
    }

    /// The call has no use for its connection any more. What was told over it before is sent first.
    fn let_go_of_application(&mut self) {
        self.inner.links.forget(&self.view.uuid);
        if let Some(link) = self.control.link.take()
            && !self.control.shares_link
        {
            let unanswered = self.view.answered_at.is_none();
            let bad = unanswered && matches!(self.view.cause, Some(HangupCause::Instructions(_)));
            link.end(if bad { Farewell::BadInstructions } else { Farewell::Over });
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let clock = &self.inner.clock;
        let programs = [self.interpreter.next_timeout(), self.interlude_timeout()];
        let instructions = programs.into_iter().flatten().min().map(|at| clock.instant(at));
        [instructions, self.pause_over(), self.over_at].into_iter().flatten().min()
    }

    async fn time_passed(&mut self) {
        let now = Instant::now();
        if self.over_at.is_some_and(|at| now >= at) {
            self.finish(HangupCause::MaxDuration, None).await;
            return;
        }
        self.interpreter.handle_timeout(self.inner.clock.monotonic());
        self.interlude_time_passed();
        self.pauses_passed(now).await;
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
            Some(LegEvent::ReferProgress { status, over, .. }) => self.refer_progress(status, over).await,
            Some(LegEvent::Referred { refer_to, referred_by, user_agent, id, .. }) => {
                self.referred(id, Referred { to: refer_to, by: referred_by, agent: user_agent }).await;
            }
            Some(LegEvent::Request { method, content_type, body, headers }) => {
                self.requested(&method, content_type, &body, headers);
            }
            Some(LegEvent::Ended { by, headers, .. }) => {
                self.view.sip.bye = headers;
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

    /// The far side sent something within the dialog.
    fn requested(&mut self, method: &str, content_type: Option<String>, body: &[u8], headers: Vec<(String, String)>) {
        let Some(hook) = self.request_hook.clone() else { return };
        let headers: std::collections::BTreeMap<String, String> = headers.into_iter().collect();
        let told = serde_json::json!({
            "method": method,
            "content_type": content_type,
            "body": String::from_utf8_lossy(body),
            "headers": headers,
        });
        self.ask_aside(hook, Purpose::InDialog(told.to_string()));
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
            CallMessage::LeftRoom(departure, cause) => self.left_room(*departure, cause).await,
            CallMessage::RoomStarted(room) => self.room_started(&room).await,
            CallMessage::Command(command, by, reply) => self.command(command, by, reply).await,
            CallMessage::Understood(number, heard) => self.heard_speech(number, heard),
            CallMessage::StreamEnded(slot, number, ended) => self.stream_ended(slot, number, ended).await,
            CallMessage::Refused(error) => self.refused(error).await,
            CallMessage::Link(event) => self.link_said(*event).await,
            CallMessage::Move { join, room, dialect, reply } => {
                let recorded = self.abandon(LeaveCause::Transferred).await;
                // A call that another program moves is that program's from then on.
                if self.control.dialect != dialect {
                    self.let_go_of_application();
                    self.interpreter.set_at_end(AtEnd::Hangup);
                }
                self.control.dialect = dialect;
                self.control.placed = true;
                self.moving = Some(answer_after(recorded, reply));
                self.destination = Some(room);
                self.interpreter.document(vec![Verb::Join(join).into()], self.inner.clock.monotonic());
            }
            // Whoever no longer waits for an answer has gone away.
            CallMessage::Snapshot(reply) => drop(reply.send(self.snapshot())),
            CallMessage::Fetched(fetched) => self.fetched(*fetched).await,
            CallMessage::Bridge(report) => self.reported(report).await,
            CallMessage::Queue(report) => self.queue_reported(report).await,
            CallMessage::GoOn(go_on) => self.go_on(*go_on).await,
            CallMessage::ReferAnswered(number, answer) => self.refer_answered(number, answer).await,
            CallMessage::Loaded(lane, of, result) => self.loaded(lane, of, *result).await,
            CallMessage::End(cause) => self.finish(cause, None).await,
        }
    }

    fn snapshot(&self) -> CallSnapshot {
        let call = CallView { application: Some(self.control.application.clone()), ..self.view.clone() };
        CallSnapshot { call, room_uuid: self.stay.as_ref().map(|stay| stay.room.uuid().to_owned()) }
    }

    async fn media_fact(&mut self, fact: LegFact) {
        match fact {
            LegFact::Digit(digit, held) => {
                if self.keys.is_new(digit, By::Event(held), Instant::now()) && self.takes_digit() {
                    let held = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
                    self.tell_streams(&StreamControl::Digit(digit, held));
                    self.digit(digit);
                }
            }
            LegFact::PlayEnded(play) => self.play_ended(play).await,
            LegFact::Timeout => self.finish(HangupCause::MediaTimeout, None).await,
            LegFact::Failed(why) => {
                tracing::error!(call = self.view.uuid, why, "a leg's media failed; the call ends");
                self.finish(HangupCause::NetworkFailure, None).await;
            }
            LegFact::Speaking(speaking) => {
                self.speaking = speaking;
                if let (Some(stay), Some(leg)) = (&self.stay, self.leg_id()) {
                    // Telemetry: a busy room may miss it.
                    stay.room.media_fact(MediaFact::Speaking(leg, speaking));
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
        self.connection_key(digit);
        if let (Some(stay), Some(leg)) = (&self.stay, self.leg_id())
            && !stay.room.media_fact(MediaFact::Digit(leg, digit))
        {
            self.inner.counters.mailbox_overflows.add(1);
        }
    }

    fn leg_id(&self) -> Option<LegId> {
        self.media.as_ref().map(|media| media.id)
    }

    /// The room let the call go.
    async fn left_room(&mut self, departure: Departure, cause: LeaveCause) {
        let here = |stay: &Stay| stay.room.uuid() == departure.room && stay.member == departure.member.id;
        // A message that crossed with the call's own departure is old news.
        if !self.stay.as_ref().is_some_and(here) {
            return;
        }
        self.stay = None;
        self.view.room = None;
        self.end_interlude().await;
        if self.left_bridge().await {
            return;
        }
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
        let outcome = self.outcome_at_end();
        let left = self.abandon(LeaveCause::Hangup).await;
        self.end_streams();
        if let Some(media) = self.media.take() {
            self.inner.calls.forget_leg(media.id);
            self.inner.remove_leg(media.id).await;
        }
        let answered = self.view.answered_at.is_some();
        let signalled = match (answered, self.view.direction) {
            (false, Direction::Inbound) => {
                let Rejection { code, reason, headers } = self.rejection(&cause, refusal);
                (self.view.sip.status, self.view.sip.reason) = (code, reason.clone());
                self.leg.reject(code, Some(&reason), &headers).await
            }
            _ => self.leg.hangup_with(None, &self.farewell).await,
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
        if let Some((action, purpose)) = self.interpreter.hung_up(|| outcome) {
            self.tell(action, purpose);
        }
        if let Some(moving) = self.moving.take() {
            drop(moving.send(Err(CommandError::NotFound { what: "call", id: self.view.uuid.clone() })));
        }
    }

    /// Records something about the call and tells its programs.
    async fn happened(&mut self, kind: Kind) {
        self.happened_until(kind, journal::moment(&self.inner)).await;
    }

    async fn happened_until(&mut self, kind: Kind, until: tokio::time::Instant) {
        self.sequence += u64::from(kind.is_counted());
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
    let records: Vec<_> = inner.records.record(account, inner.clock.utc(), &happened).await.into_iter().collect();
    // Nobody is told, and it says nothing new of the call.
    if records.is_empty() && !happened.kind.is_counted() {
        return;
    }
    let app = control.app_id.as_deref();
    match inner.records.of_call(account, control.dialect, app, view, records).await {
        Ok(batch) => {
            journal.write(inner, &view.uuid, batch, until).await;
        }
        Err(error) => tracing::error!(call = view.uuid, %error, "what happened to a call cannot be recorded"),
    }
}

/// How a call is refused.
struct Rejection {
    code: u16,
    reason: String,
    headers: Vec<(String, String)>,
}

impl Session {
    fn rejection(&self, cause: &HangupCause, refusal: Option<Refusal>) -> Rejection {
        let (code, reason) = match (refusal, cause) {
            (Some(Refusal::Status { code, reason, headers }), _) => {
                let reason = reason.unwrap_or_else(|| "Declined".to_owned());
                return Rejection { code, reason, headers };
            }
            (Some(Refusal::Busy), _) => (486, "Busy Here"),
            (Some(Refusal::Rejected), _) => (603, "Decline"),
            (None, HangupCause::NoRoute) => (404, "Not Found"),
            (None, HangupCause::Incompatible) => (488, "Not Acceptable Here"),
            (None, HangupCause::Instructions(_)) => {
                let dialect = self.inner.hooks.dialect(self.control.dialect);
                dialect.map_or((500, "Instructions Unavailable"), |dialect| dialect.refusal())
            }
            (None, HangupCause::Shutdown) => (503, "Service Unavailable"),
            (None, _) => (480, "Temporarily Unavailable"),
        };
        Rejection { code, reason: reason.to_owned(), headers: Vec::new() }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

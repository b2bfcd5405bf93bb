//! Live calls: one task each. It owns the call's signalling and its leg on the media plane, runs its instructions, and
//! takes it into rooms and out of them.

mod added;
mod aside;
mod asked;
mod attached;
mod bridge;
mod browser;
mod callee;
mod coming;
mod commands;
mod confirm;
mod connection;
mod control;
mod dial;
mod diary;
mod ending;
mod far;
mod inbound;
mod input;
mod interlude;
mod keys;
mod media_leg;
mod message;
mod patterns;
mod placed;
mod prompts;
mod queue;
mod race;
mod rate;
mod referral;
mod ringing;
mod sound;
mod split;
mod stay;
mod steps;
mod stream;
mod targets;
mod ties;
mod tracks;
mod understanding;

use std::sync::Arc;
use std::time::Instant;

use conference::LeaveCause;
use media::LegId;
use tokio::sync::mpsc;

pub(crate) use added::{DialledMember, ENTERED, NOT_ENTERED, dial_member};
pub(crate) use control::Control;
pub(crate) use inbound::take;
pub use message::CallMailbox;
pub(crate) use message::{CallMessage, HoldTold, LegFact};
pub(crate) use placed::place;
pub(crate) use rate::PerSecond;

use crate::cause::{HangupCause, HangupSource};
use crate::clock::sleep_until;
use crate::command::CallSnapshot;
use crate::dialect::{AtEnd, CallView};
use crate::engine::Inner;
use crate::verb::Verb;

use aside::Asides;
use diary::Diary;
use ending::Life;
use far::FarSide;
use input::Input;
use interlude::Programs;
use message::answer_after;
use referral::Transfers;
use sound::Sound;
use stay::Rooms;
use ties::Ties;

pub(crate) struct Session {
    inner: Arc<Inner>,
    control: Control,
    view: CallView,
    life: Life,
    far: FarSide,
    /// What it runs.
    programs: Programs,
    /// Questions beside that.
    asides: Asides,
    input: Input,
    sound: Sound,
    rooms: Rooms,
    /// What it has to do with other calls.
    ties: Ties,
    transfers: Transfers,
    diary: Diary,
    mailbox: CallMailbox,
    messages: mpsc::Receiver<CallMessage>,
}

impl Session {
    /// A call that is not answered and has no instructions yet.
    fn new(
        inner: &Arc<Inner>,
        control: Control,
        view: CallView,
        far: FarSide,
        (mailbox, messages): (CallMailbox, mpsc::Receiver<CallMessage>),
    ) -> Self {
        Self {
            inner: Arc::clone(inner),
            control,
            view,
            life: Life::new(inner.config.max_call),
            far,
            programs: Programs::default(),
            asides: Asides::default(),
            input: Input::default(),
            sound: Sound::default(),
            rooms: Rooms::default(),
            ties: Ties::default(),
            transfers: Transfers::default(),
            diary: Diary::default(),
            mailbox,
            messages,
        }
    }

    /// Runs the call to its end.
    async fn run(mut self) {
        self.run_steps().await;
        while !self.life.over {
            let deadline = self.deadline();
            tokio::select! {
                event = self.far.leg.next() => self.signalled(event).await,
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

    fn deadline(&self) -> Option<Instant> {
        let instructions = self.programs.next_timeout().map(|at| self.inner.clock.instant(at));
        [instructions, self.sound.pause_over(), self.life.next_timeout()].into_iter().flatten().min()
    }

    async fn time_passed(&mut self) {
        let now = Instant::now();
        if self.life.is_past(now) {
            self.finish(HangupCause::MaxDuration, None).await;
            return;
        }
        self.programs.handle_timeout(self.inner.clock.monotonic());
        self.pauses_passed(now).await;
    }

    async fn told(&mut self, message: CallMessage) {
        match message {
            CallMessage::Media(fact) => self.media_fact(fact).await,
            CallMessage::LeftRoom(departure, cause) => self.left_room(*departure, cause).await,
            CallMessage::RoomStarted(room) => self.room_started(&room).await,
            CallMessage::Hold(told) => self.hold_told(*told).await,
            CallMessage::Command(command, by, reply) => self.command(command, by, reply).await,
            CallMessage::Understood(number, heard) => self.heard_speech(number, heard),
            CallMessage::StreamEnded(slot, number, ended) => self.stream_ended(slot, number, ended).await,
            CallMessage::Refused(error, of) => self.refused(error, of).await,
            CallMessage::Link(event) => self.link_said(*event).await,
            CallMessage::Move { join, room, dialect, reply } => {
                let recorded = self.abandon(LeaveCause::Transferred).await;
                // A call that another program moves is that program's from then on.
                if self.control.dialect != dialect {
                    // How the last instruction went is for the program whose it was, in its own words.
                    self.programs.own.leave_off();
                    self.run_steps().await;
                    self.let_go_of_application();
                    self.programs.own.set_at_end(AtEnd::Hangup);
                    self.programs.own.end_barge_in();
                }
                self.control.dialect = dialect;
                self.control.placed = true;
                self.rooms.moving = Some(answer_after(recorded, reply));
                self.rooms.destination = Some(room);
                self.programs.own.document(vec![Verb::Join(join).into()], self.inner.clock.monotonic());
            }
            // Whoever no longer waits for an answer has gone away.
            CallMessage::Snapshot(reply) => drop(reply.send(self.snapshot())),
            CallMessage::Fetched(fetched) => self.fetched(*fetched).await,
            CallMessage::Bridge(report) => self.reported(report).await,
            CallMessage::Queue(report) => self.queue_reported(report).await,
            CallMessage::GoOn(go_on) => self.go_on(*go_on).await,
            CallMessage::ReferAnswered(number, answer) => self.refer_answered(number, answer).await,
            CallMessage::Loaded(lane, of, result) => self.loaded(lane, of, *result).await,
            CallMessage::PeerLeft => self.finish(HangupCause::Normal(self.far_side()), None).await,
            CallMessage::End(cause) => self.finish(cause, None).await,
        }
    }

    fn snapshot(&self) -> CallSnapshot {
        let call = CallView { application: Some(self.control.application.clone()), ..self.view.clone() };
        CallSnapshot { call, room_uuid: self.rooms.stay.as_ref().map(|stay| stay.room.uuid().to_owned()) }
    }

    fn leg_id(&self) -> Option<LegId> {
        self.sound.media.as_ref().map(|media| media.id)
    }
}

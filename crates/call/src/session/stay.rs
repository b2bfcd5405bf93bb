//! The room that a call is in, and the one that it goes to.

use std::sync::Arc;
use std::time::Duration;

use conference::{LeaveCause, MemberId};
use tokio::sync::oneshot;

use super::callee::Later;
use super::coming::{Coming, NotKept};
use super::{CallMessage, HoldTold, Session};
use crate::cause::HangupCause;
use crate::command::{Asker, CallChanged, CommandError, TapRoom};
use crate::dialect::Departure;
use crate::room::{JoinRequest, Joined, RoomHandle};
use crate::stream;
use crate::verb::{Fetch, Join, JoinHooks};

/// A room that ends while a call enters it is opened anew; this often, then it is an error.
const JOIN_ATTEMPTS: usize = 3;

/// How long a call waits for a room of the same name to be over.
const LONGEST_END: Duration = Duration::from_secs(2);

/// What a call has to do with rooms.
#[derive(Default)]
pub(super) struct Rooms {
    /// The one that it is in.
    pub(super) stay: Option<Stay>,
    /// The room of the next join, where it is known by more than its name.
    pub(super) destination: Option<RoomHandle>,
    /// Whoever moved the call into a room waits here.
    pub(super) moving: Option<oneshot::Sender<Result<Joined, CommandError>>>,
    /// It is about to enter one: what programs want of it there.
    pub(super) coming: Option<Coming>,
}

impl Rooms {
    /// Whether the call is in that room, as that member.
    fn is_stay(&self, room: &str, member: MemberId) -> bool {
        self.stay.as_ref().is_some_and(|stay| stay.room.uuid() == room && stay.member == member)
    }

    /// Whether this tells of the call's hold as it is now; what comes late is old news.
    pub(super) fn is_news(&mut self, told: &HoldTold) -> bool {
        let here = |stay: &&mut Stay| stay.room.uuid() == told.room && stay.member == told.member;
        let Some(stay) = self.stay.as_mut().filter(here) else { return false };
        let news = told.number > stay.hold_told;
        stay.hold_told = stay.hold_told.max(told.number);
        news
    }

    /// Keeps what a program wants of the member that the call is about to be; else it is given back.
    pub(super) fn keep(&mut self, later: Later) -> Option<Later> {
        let Some(coming) = &mut self.coming else { return Some(later) };
        let (command, by, reply) = later;
        let answer = match coming.keep(command) {
            Ok(()) => Ok(CallChanged::default()),
            Err(NotKept::Refused(error)) => Err(error),
            Err(NotKept::Other(command)) => return Some((*command, by, reply)),
        };
        drop(reply.send(answer));
        None
    }
}

/// A call's stay in a room.
pub(super) struct Stay {
    pub(super) room: RoomHandle,
    pub(super) member: MemberId,
    pub(super) number: i64,
    pub(super) moderator: bool,
    /// Whether the room has started.
    pub(super) started: bool,
    pub(super) hooks: JoinHooks,
    /// The number of what the room has told of its hold.
    pub(super) hold_told: u64,
}

impl Session {
    /// Whoever acts when the call's instructions do.
    pub(super) fn asker(&self) -> Asker {
        if let Some(holder) = &self.view.ticket {
            return holder.by.clone();
        }
        Asker {
            kind: store::ActorKind::Application,
            id: self.control.app_id.clone().unwrap_or_else(|| self.view.auth_id.clone()),
        }
    }

    /// Takes the call out of its room, if it is in one; returns when the shard has done it. What is returned resolves when
    /// that is recorded too.
    pub(super) async fn step_out(&mut self, cause: LeaveCause) -> Option<oneshot::Receiver<()>> {
        let Stay { room, member, .. } = self.rooms.stay.take()?;
        self.view.room = None;
        self.end_interlude().await;
        Some(room.leave(member, cause).await)
    }

    pub(super) async fn join(&mut self, join: Join) {
        let entered = self.enter(join).await;
        self.rooms.coming = None;
        let (outcome, wait) = match entered {
            Ok((joined, wait)) => (Ok(joined), wait),
            Err(error) => (Err(error), None),
        };
        let started = outcome.as_ref().ok().map(|joined| joined.started);
        if let Err(error) = &outcome {
            self.warn(format!("the call could not enter its room: {error}")).await;
            self.programs.own.join_failed(self.inner.clock.monotonic());
        }
        if let Some(moving) = self.rooms.moving.take() {
            drop(moving.send(outcome));
        }
        if let Some(started) = started {
            self.stream_room();
            self.begin_stay(started).await;
            self.hold_with(wait).await;
        }
    }

    /// Streams the room's mix, where the member wants that and nobody has begun it.
    fn stream_room(&self) {
        let Some(stay) = &self.rooms.stay else { return };
        let Some(stream) = stay.hooks.stream.clone() else { return };
        let (inner, room, mailbox) = (Arc::clone(&self.inner), stay.room.clone(), self.mailbox.clone());
        let (dialect, of) = (self.control.dialect, self.programs.own.label().cloned());
        tokio::spawn(async move {
            let tap = TapRoom { stream: *stream, members: false };
            if let Err(error) = stream::follow(&inner, room, tap, dialect).await {
                mailbox.send(CallMessage::Refused(error, of)).await;
            }
        });
    }

    /// Enters as programs have wanted it beforehand; what the call is to hear, if it is on hold. What they wanted is kept if
    /// the call is not in.
    pub(super) async fn enter(&mut self, mut join: Join) -> Result<(Joined, Option<Fetch>), CommandError> {
        let wait = self.rooms.coming.clone().and_then(|coming| coming.enters(&mut join.entry));
        join.entry.preparing |= join.hooks.enter.is_some();
        self.step_out(LeaveCause::Transferred).await;
        let leg = self.leg_id().ok_or_else(|| CommandError::Conflict("the call has no media".into()))?;
        let mut known = self.rooms.destination.take();
        // Whoever was asked for in this room life does not open another.
        let fixed = known.is_some();
        for _ in 0..JOIN_ATTEMPTS {
            let room = match known.take() {
                Some(room) => room,
                None => self.inner.find_or_open(
                    &self.view.account,
                    &self.view.auth_id,
                    self.control.dialect,
                    &join,
                    None,
                )?,
            };
            let by = self.asker();
            let request = JoinRequest {
                join: join.clone(),
                call: self.view.clone(),
                leg,
                mailbox: self.mailbox.clone(),
                dialect: self.control.dialect,
                by,
                speaking: self.input.speaking,
                taps: self.sound.streams.outbound_taps(),
            };
            match room.join(request).await {
                Ok(joined) => {
                    self.view.room = Some(room.uuid().to_owned());
                    self.rooms.stay = Some(Stay {
                        room,
                        member: joined.member,
                        number: joined.number,
                        moderator: join.member_settings.moderator,
                        started: joined.started,
                        hooks: join.hooks,
                        hold_told: 0,
                    });
                    self.rooms.coming = None;
                    return Ok((joined, wait));
                }
                // It ended in this very moment: its name is free as soon as its end is recorded.
                Err(CommandError::NotFound { what: "room", .. }) if !fixed => {
                    let gone = tokio::time::timeout(LONGEST_END, room.gone()).await;
                    gone.map_err(|_| CommandError::Busy("what a room of that name still has to record"))?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(CommandError::Conflict(format!("room {:?} keeps ending", join.room)))
    }

    /// The room let the call go.
    pub(super) async fn left_room(&mut self, departure: Departure, cause: LeaveCause) {
        // A message that crossed with the call's own departure is old news.
        if !self.rooms.is_stay(&departure.room, departure.member.id) {
            return;
        }
        self.rooms.stay = None;
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
        self.programs.own.left_room(departure, at_end, self.inner.clock.monotonic());
    }
}

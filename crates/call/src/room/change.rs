//! Changes of a room: every command works on a copy, which becomes the room only when the shard has taken the change into its
//! queue. So a refused command, or a full queue, changes nothing.

use std::time::Duration;

use conference::{MemberId, Room, RoomError};
use media::{LegId, PlayerChange, PlayerId, RoomChange};
use tokio::sync::oneshot;

use super::actor::Actor;
use super::message::Reply;
use super::plan::plan_for;
use super::publish::{After, Change};
use crate::command::{Applied, Asker, CommandError};
use crate::dialect::{CallView, Kind, MemberView};

/// How long a duty waits before it asks a busy shard again.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// What goes with a change of the room.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) join: Vec<LegId>,
    pub(super) players: Vec<(PlayerId, PlayerChange)>,
    pub(super) after: Vec<After>,
    /// Whoever waits until the change is in the sound, recorded or not.
    pub(super) left: Vec<oneshot::Sender<()>>,
    pub(super) command_id: Option<String>,
    pub(super) events: Vec<(Kind, Option<MemberView>, Option<CallView>)>,
    /// What must happen: it waits for a place in the shard's queue instead of being refused, and goes on without a room on
    /// the media plane if that has failed.
    pub(super) duty: bool,
    /// The plan is sent even if it has not changed.
    pub(super) resend: bool,
}

impl Extras {
    pub(super) fn duty() -> Self {
        Self { duty: true, ..Self::default() }
    }
}

pub(super) fn refused(error: media::MediaError) -> CommandError {
    match error {
        media::MediaError::Busy(what) => CommandError::Busy(what),
        media::MediaError::Limit { what, .. } => CommandError::Busy(what),
        other => CommandError::Failed(other.to_string()),
    }
}

impl Actor {
    /// A command whose asker gets the tick from which it holds.
    pub(super) async fn command(
        &mut self,
        by: Asker,
        reply: Reply<Applied>,
        command_id: Option<String>,
        edit: impl FnOnce(&mut Room) -> Result<(), RoomError>,
    ) {
        let mut room = self.room.clone();
        match edit(&mut room) {
            Err(error) => drop(reply.send(Err(error.into()))),
            Ok(()) => {
                let extras = Extras { after: vec![After::Applied(reply)], command_id, ..Extras::default() };
                // A refusal has been answered by `settle`.
                let _ = self.settle(room, by, extras).await;
            }
        }
    }

    /// The same, of what must happen: it is never refused for want of a place.
    pub(super) async fn owed(
        &mut self,
        by: Asker,
        reply: Reply<Applied>,
        edit: impl FnOnce(&mut Room) -> Result<(), RoomError>,
    ) {
        let mut room = self.room.clone();
        match edit(&mut room) {
            Err(error) => drop(reply.send(Err(error.into()))),
            Ok(()) => {
                let extras = Extras { after: vec![After::Applied(reply)], ..Extras::duty() };
                // A duty is never refused.
                let _ = self.settle(room, by, extras).await;
            }
        }
    }

    pub(super) async fn change(
        &mut self,
        by: Asker,
        extras: Extras,
        edit: impl FnOnce(&mut Room) -> Result<(), RoomError>,
    ) -> Result<(), CommandError> {
        let mut room = self.room.clone();
        edit(&mut room)?;
        self.settle(room, by, extras).await
    }

    /// Makes `room` the room: commands the shard, then has everything published in order.
    pub(super) async fn settle(&mut self, mut room: Room, by: Asker, mut extras: Extras) -> Result<(), CommandError> {
        // What may be refused is refused before there is no place for its record.
        if !extras.duty && self.me.identity.backlog.is_long() {
            let error = CommandError::Busy("what one room has to record");
            extras.after.into_iter().for_each(|after| after.refuse(&error));
            return Err(error);
        }
        let before = self.room.hearing();
        let mut events = Vec::new();
        while let Some(event) = room.poll_event() {
            events.push(event);
        }
        let beeps = self.beeps_waiting.clone();
        let exits = self.exit_notices(&mut room, &events, &mut extras);
        let mut taps = self.taps.clone();
        let over = taps.forget_the_gone(&mut room);
        let turn = self.turn_early(&mut room);
        extras.join.extend(turn.join);
        let hearing = room.hearing();
        let plays = self.wanted_plays(&room);
        let gone = self.seats.iter().filter(|(id, _)| room.member(**id).is_none()).map(|(_, seat)| seat.leg);
        let leave: Vec<LegId> = gone.chain(turn.leave).collect();
        let changes_media = hearing != before
            || !extras.join.is_empty()
            || !leave.is_empty()
            || !plays.is_empty()
            || !extras.players.is_empty()
            || extras.resend;
        let change = if changes_media {
            self.revision += 1;
            let leg_of = |id: MemberId| self.seats.get(&id).map(|seat| seat.leg);
            let relays = |id: MemberId| room.member(id).is_some_and(|m| m.relay_digits);
            let plan = plan_for(&hearing, self.revision, leg_of, |id| turn.leg(id), |tap| taps.media(tap), relays);
            let change = RoomChange {
                plan,
                join: std::mem::take(&mut extras.join),
                leave,
                plays: plays.iter().map(|play| (play.leg, play.change.clone())).collect(),
                players: std::mem::take(&mut extras.players),
            };
            match self.send_change(change, extras.duty).await {
                Ok(sent) => sent,
                Err(error) => {
                    self.beeps_waiting = beeps;
                    extras.after.into_iter().for_each(|after| after.refuse(&error));
                    return Err(error);
                }
            }
        } else {
            None
        };
        for play in plays {
            if let Some(seat) = self.seats.get_mut(&play.member) {
                seat.playing = play.playing;
            }
        }
        self.early.turned(&turn);
        self.taps = taps;
        over.into_iter().for_each(|tap| drop(self.inner.media.close_tap(tap)));
        let old = std::mem::replace(&mut self.room, room);
        // A plan that had to be sent again holds only from then on.
        let heard_differently = hearing != before || extras.resend;
        self.publish_change(&old, events, heard_differently, change, by, extras).await;
        for notice in exits {
            self.load_notice(notice);
        }
        Ok(())
    }

    /// Puts a change into the shard's queue. A duty waits for its place; where the media plane has lost the room, there is
    /// nothing to change there any more.
    async fn send_change(&mut self, change: RoomChange, duty: bool) -> Result<Option<Change>, CommandError> {
        let mut waited = 0u32;
        while !self.media_failed {
            let mut pending = self.inner.media.change_room(self.me.media_room(), change.clone());
            match pending.try_now() {
                None => return Ok(Some(Box::pin(pending))),
                Some(Ok(applied)) => return Ok(Some(Box::pin(std::future::ready(Ok(applied))))),
                Some(Err(error @ media::MediaError::Busy(_))) if duty => {
                    if waited.is_multiple_of(200) {
                        tracing::warn!(room = self.me.uuid(), %error, "a change that must be made waits for the media plane");
                    }
                    waited += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Some(Err(error)) => {
                    use media::MediaError as E;
                    self.media_failed |= matches!(error, E::RoomFailed(_) | E::NoRoom(_) | E::Stopped);
                    if !duty {
                        return Err(refused(error));
                    }
                    tracing::error!(room = self.me.uuid(), %error, "a change was made without the media plane");
                    return Ok(None);
                }
            }
        }
        if duty { Ok(None) } else { Err(CommandError::Failed("the room's media failed; it is being ended".into())) }
    }
}

//! Members as the room's actor keeps them: how they come, how they go, and what changes about them.

use std::time::Duration;

use conference::{LeaveCause, MemberId, Room, RoomError};
use media::{LegId, PlayId};

use super::actor::Actor;
use super::change::Extras;
use super::handle::{JoinRequest, Joined};
use super::message::Reply;
use super::music::SoundKey;
use super::publish::After;
use crate::command::{CommandError, MemberChange, Whom};
use crate::dialect::{CallView, Kind};
use crate::session::CallMailbox;
use crate::verb::MemberSettings;

pub(super) struct Seat {
    pub(super) number: i64,
    pub(super) leg: LegId,
    pub(super) call: CallView,
    pub(super) settings: MemberSettings,
    pub(super) mailbox: CallMailbox,
    pub(super) dialect: &'static str,
    pub(super) joined_at: i64,
    pub(super) playing: Option<(PlayId, SoundKey)>,
    /// Whether sound like speech comes from its microphone.
    pub(super) speaking: bool,
    /// Whether that has been told.
    pub(super) speech_told: bool,
    /// Where its level is read.
    pub(super) meter: Option<media::Meter>,
}

impl Actor {
    /// Whether the member is in.
    pub(super) async fn join(&mut self, request: JoinRequest, reply: Reply<Joined>) -> bool {
        let JoinRequest { join, call, leg, mailbox, dialect, by, speaking, taps } = request;
        let mut room = self.room.clone();
        let id = match room.enter(join.entry, self.inner.clock.monotonic()) {
            Ok(id) => id,
            Err(error) => {
                drop(reply.send(Err(error.into())));
                return false;
            }
        };
        let number = match self.inner.numbers.next(self.me.account()).await {
            Ok(number) => number,
            Err(error) => {
                drop(reply.send(Err(error)));
                return false;
            }
        };
        let tapped = self.taps.clone();
        for tap in taps {
            // The room is alive: a member has just entered it.
            let _ = self.taps.add_ear(&mut room, id, tap);
        }
        if let Some(max) = join.member_settings.max_members {
            room.limit_members(max);
        }
        let mut extras = Extras {
            join: vec![leg],
            after: vec![After::Joined(reply, id, number, room.has_started())],
            ..Extras::default()
        };
        let (before, beeps) = (self.settings.clone(), self.beeps_waiting.clone());
        let company = self.seats.keys().copied();
        let hearers = company.filter(|other| conference::hearing::speaks_to(&room, id, *other)).collect();
        let notice = self.notice(&join.member_settings.enter_sound, Some(id), hearers, &mut room, &mut extras);
        let joined_at = self.inner.clock.utc();
        let settings = join.member_settings;
        let seat = Seat {
            number,
            leg,
            call,
            settings,
            mailbox,
            dialect,
            joined_at,
            playing: None,
            speaking,
            speech_told: false,
            meter: self.inner.media.meter(leg).ok(),
        };
        self.settings.fill_in(&join.room_settings);
        if join.room_settings.record {
            let text = "a recording was asked for, and this server has no recorder: nothing is recorded";
            extras.events.push((Kind::Warning(text.into()), Some(self.view(&room, id, &seat)), None));
        }
        self.seats.insert(id, seat);
        if self.settle(room, by, extras).await.is_err() {
            self.seats.remove(&id);
            (self.settings, self.beeps_waiting, self.taps) = (before, beeps, tapped);
            return false;
        }
        self.load_music();
        if let Some(notice) = notice {
            self.load_notice(notice);
        }
        self.follow(id).await;
        true
    }

    /// When the room ends if this member leaves now and that ends it, unless that is at once.
    pub(super) fn end_deferred(&self, id: MemberId) -> Option<Duration> {
        let grace = self.seats.get(&id)?.settings.end_grace?;
        Some(self.inner.clock.monotonic() + grace)
    }

    pub(super) fn members_of(&self, whom: &Whom) -> Result<Vec<MemberId>, CommandError> {
        match whom {
            Whom::All => Ok(self.seats.keys().copied().collect()),
            Whom::NoModerators => {
                let others = self.seats.iter().filter(|(_, seat)| !seat.settings.moderator);
                Ok(others.map(|(id, _)| *id).collect())
            }
            Whom::Members(numbers) => numbers
                .iter()
                .map(|number| {
                    let seat = self.seats.iter().find(|(_, seat)| seat.number == *number);
                    seat.map(|(id, _)| *id)
                        .ok_or_else(|| CommandError::NotFound { what: "member", id: number.to_string() })
                })
                .collect(),
        }
    }
}

/// Takes a member out. If that ends the room, it does so at once, or at the time that was set.
pub(super) fn leave(
    room: &mut Room,
    id: MemberId,
    cause: LeaveCause,
    deferred: Option<Duration>,
) -> Result<(), RoomError> {
    if let Some(until) = deferred {
        room.defer_end(id, until)?;
    }
    room.leave(id, cause)
}

pub(super) fn apply(room: &mut Room, ids: &[MemberId], change: &MemberChange) -> Result<(), RoomError> {
    for id in ids {
        if let Some(tag) = &change.tag {
            room.tag(*id, tag.clone())?;
        }
        if change.coach.is_some() || change.coach_audience.is_some() {
            let coaching = change.coach.unwrap_or_else(|| room.member(*id).is_some_and(|member| member.coaching));
            room.coach(*id, coaching, change.coach_audience.clone())?;
        }
        if let Some(muted) = change.mute {
            room.mute(*id, muted)?;
        }
        if let Some(held) = change.hold {
            room.hold(*id, held)?;
        }
        if let Some(deaf) = change.deaf {
            room.deafen(*id, deaf)?;
        }
    }
    Ok(())
}

//! Listeners without a leg: streams of the room's mix, of each member, and of what a member's call hears. They are no
//! members, keep no room alive, and never hear a whisper.

use std::collections::BTreeMap;

use conference::{MemberId, Room, RoomError, TapId, Wants};
use media::{TapReader, TapSetup};
use tokio::sync::mpsc;

use super::actor::Actor;
use super::change::Extras;
use super::message::Reply;
use super::publish::After;
use crate::command::{Applied, Asker, CommandError, Tapped};
use crate::dialect::MemberView;

/// Whoever streams a room.
#[derive(Clone)]
pub(crate) struct Follower {
    /// The stream's id.
    pub id: String,
    /// He is told what there is to read, now and later.
    pub to: mpsc::Sender<Track>,
}

/// Something to read.
pub(crate) struct Track {
    /// Whose sound it is; `None`: the mix.
    pub member: Option<MemberView>,
    pub reader: TapReader,
}

/// What a listener of the room is on the media plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    media: media::TapId,
    /// Ends with this member's stay.
    member: Option<MemberId>,
    /// Belongs to the stream of each member's sound.
    track: bool,
}

/// The taps of a room.
#[derive(Clone, Default)]
pub(super) struct Taps {
    places: BTreeMap<TapId, Place>,
    mix: Option<Follower>,
    members: Option<Follower>,
}

impl Taps {
    /// The media plane's tap that a listener is.
    pub(super) fn media(&self, tap: TapId) -> Option<media::TapId> {
        self.places.get(&tap).map(|place| place.media)
    }

    /// A tap that hears what a member hears.
    pub(super) fn add_ear(&mut self, room: &mut Room, member: MemberId, media: media::TapId) -> Result<(), RoomError> {
        let tap = room.add_tap(Wants::EarOf(member))?;
        self.places.insert(tap, Place { media, member: Some(member), track: false });
        Ok(())
    }

    /// Takes away the taps of members who are gone; which of them have nothing to hear any more at all.
    pub(super) fn forget_the_gone(&mut self, room: &mut Room) -> Vec<media::TapId> {
        let mut over = Vec::new();
        self.places.retain(|tap, place| {
            let stays = place.member.is_none_or(|member| room.member(member).is_some());
            if !stays {
                room.remove_tap(*tap);
                // What a call's tap hears beside the room goes on.
                over.extend(Some(place.media).filter(|_| place.track));
            }
            stays
        });
        over
    }

    /// The id of the stream of the mix, or of the members.
    pub(super) fn running(&self, members: bool) -> Option<String> {
        let follower = if members { &self.members } else { &self.mix };
        follower.as_ref().filter(|follower| !follower.to.is_closed()).map(|follower| follower.id.clone())
    }

    fn follower(&mut self, members: bool) -> &mut Option<Follower> {
        if members { &mut self.members } else { &mut self.mix }
    }
}

impl Actor {
    /// Begins to stream the mix, or each member's sound. Answered when it is in the sound.
    pub(super) async fn tap(&mut self, members: bool, follower: Follower, reply: Reply<Tapped>) {
        if let Some(id) = self.taps.running(members) {
            return drop(reply.send(Ok(Tapped { id, known: true })));
        }
        let tapped = Tapped { id: follower.id.clone(), known: false };
        let whom: Vec<Option<MemberId>> =
            if members { self.seats.keys().copied().map(Some).collect() } else { vec![None] };
        *self.taps.follower(members) = Some(follower);
        let after = vec![After::Tapped(reply, tapped)];
        if self.add_tracks(&whom, members, after).await.is_err() {
            *self.taps.follower(members) = None;
        }
    }

    /// A member has entered: it is followed too.
    pub(super) async fn follow(&mut self, member: MemberId) {
        if self.taps.running(true).is_some()
            && let Err(error) = self.add_tracks(&[Some(member)], true, Vec::new()).await
        {
            tracing::warn!(room = self.me.uuid(), %member, %error, "a member's sound is not streamed");
        }
    }

    /// Adds taps, all in one step; what is not done leaves nothing behind.
    async fn add_tracks(
        &mut self,
        whom: &[Option<MemberId>],
        members: bool,
        after: Vec<After>,
    ) -> Result<(), CommandError> {
        let before = self.taps.clone();
        let Some(follower) = self.taps.follower(members).clone() else { return Ok(()) };
        let mut room = self.room.clone();
        let mut readers = Vec::new();
        for member in whom {
            match self.open_track(&mut room, *member) {
                Ok(reader) => readers.push((*member, reader)),
                Err(error) => {
                    // Readers that are dropped close their taps.
                    self.taps = before;
                    after.into_iter().for_each(|after| after.refuse(&error));
                    return Err(error);
                }
            }
        }
        let extras = Extras { after, ..Extras::default() };
        if let Err(error) = self.settle(room, Asker::server(), extras).await {
            self.taps = before;
            return Err(error);
        }
        for (member, reader) in readers {
            let view = member.and_then(|id| self.view_of(id));
            // A follower who has so much to follow already misses this one; his reader is dropped, which ends the tap.
            if follower.to.try_send(Track { member: view, reader }).is_err() {
                self.inner.counters.stream_messages_dropped.add(1);
            }
        }
        Ok(())
    }

    fn open_track(&mut self, room: &mut Room, member: Option<MemberId>) -> Result<TapReader, CommandError> {
        let opened = self.inner.media.open_tap(TapSetup::room(self.me.media_room()));
        let (media, reader) = opened.map_err(|error| CommandError::Failed(error.to_string()))?;
        let tap = room.add_tap(member.map_or(Wants::MixWithoutWhispers, Wants::Track))?;
        self.taps.places.insert(tap, Place { media, member, track: member.is_some() });
        Ok(reader)
    }

    /// Ends a stream of the room; with an id, that one and no other. Answered when it is out of the sound.
    pub(super) async fn untap(&mut self, members: bool, id: Option<String>, reply: Reply<bool>) {
        let known = self.taps.follower(members).as_ref().map(|follower| follower.id.clone());
        if known.is_none() || id.is_some_and(|id| known.as_ref() != Some(&id)) {
            return drop(reply.send(Ok(false)));
        }
        *self.taps.follower(members) = None;
        let gone = |place: &Place| place.track == members && (place.member.is_none() || place.track);
        let taps: Vec<TapId> = self.taps.places.iter().filter(|(_, place)| gone(place)).map(|(tap, _)| *tap).collect();
        let remove = |room: &mut Room| {
            taps.iter().for_each(|tap| room.remove_tap(*tap));
            Ok(())
        };
        // In the shard's queue after this change: the reader sees its end when that is in force.
        let extras = Extras { duty: true, after: vec![After::Untapped(reply, true)], ..Extras::default() };
        // A duty is never refused.
        let _ = self.change(Asker::server(), extras, remove).await;
        for tap in &taps {
            if let Some(place) = self.taps.places.remove(tap) {
                drop(self.inner.media.close_tap(place.media));
            }
        }
    }

    /// A tap of a member's call hears what the member hears.
    pub(super) async fn tap_call(&mut self, member: MemberId, media: media::TapId, reply: Reply<Applied>) {
        let (mut room, before) = (self.room.clone(), self.taps.clone());
        if let Err(error) = self.taps.add_ear(&mut room, member, media) {
            return drop(reply.send(Err(error.into())));
        }
        let extras = Extras { after: vec![After::Applied(reply)], ..Extras::default() };
        if self.settle(room, Asker::server(), extras).await.is_err() {
            self.taps = before;
        }
    }
}

//! A room's sounds: music of single members, notices for several.

use std::sync::Arc;

use conference::{Audience, Clause, MemberId, Room, RoomError, Status};
use media::{LegId, PlayId, PlayerChange, PlayerId, Sound};

use super::actor::{Actor, Extras};
use super::message::RoomMessage;
use super::music::{self, SoundKey};
use crate::command::DialMusic;
use crate::dialect::Kind;
use crate::verb::{Fetch, Notice};

/// Notices that sound at once; the media plane has places for 16 players.
const MOST_NOTICES: usize = 8;

pub(super) struct WantedPlay {
    pub member: MemberId,
    pub leg: LegId,
    pub change: media::PlayChange,
    pub playing: Option<(PlayId, SoundKey)>,
}

impl Actor {
    /// What has to start and stop so that every member hears the music it should.
    pub(super) fn wanted_plays(&mut self, room: &Room) -> Vec<WantedPlay> {
        let mut plays = Vec::new();
        let dialling = self.dialling.values().next_back();
        for (id, seat) in &self.seats {
            let Some(member) = room.member(*id) else {
                if seat.playing.is_some() {
                    let change = media::PlayChange::Stop;
                    plays.push(WantedPlay { member: *id, leg: seat.leg, change, playing: None });
                }
                continue;
            };
            let key = music::wanted(room, &self.settings, dialling, member);
            let loaded = key.and_then(|key| self.sounds.get(&key)?.clone().map(|sound| (key, sound)));
            match loaded {
                Some((key, sound)) if seat.playing.as_ref().is_none_or(|(_, current)| *current != key) => {
                    self.plays += 1;
                    let play = PlayId(u64::MAX - self.plays);
                    let change = media::PlayChange::Start(media::Play::forever(play, sound));
                    plays.push(WantedPlay { member: *id, leg: seat.leg, change, playing: Some((play, key)) });
                }
                Some(_) => {}
                None if seat.playing.is_some() => {
                    let change = media::PlayChange::Stop;
                    plays.push(WantedPlay { member: *id, leg: seat.leg, change, playing: None });
                }
                None => {}
            }
        }
        plays
    }

    /// All music that may be wanted.
    fn music(&self) -> Vec<SoundKey> {
        let urls = self.settings.wait_music.iter().chain(self.settings.hold_music.values());
        let mut keys: Vec<SoundKey> = urls.cloned().map(SoundKey::Url).collect();
        keys.extend(self.dialling.values().filter_map(|music| match music {
            DialMusic::Ringback => Some(SoundKey::Ringback),
            DialMusic::Silent => None,
            DialMusic::Url(fetch) => Some(SoundKey::Url(fetch.clone())),
        }));
        keys
    }

    /// Lets go of music that was heard during a dial that is over.
    pub(super) fn forget_sounds(&mut self) {
        let wanted = self.music();
        self.sounds.retain(|key, _| wanted.contains(key));
    }

    /// Loads all music that may be wanted, ahead of time: hold music starts with the hold.
    pub(super) fn load_music(&mut self) {
        for key in self.music() {
            if self.sounds.contains_key(&key) || self.loading.contains(&key) {
                continue;
            }
            match &key {
                SoundKey::Ringback => {
                    self.sounds.insert(key, Some(crate::sound::ringback()));
                }
                SoundKey::Url(fetch) => {
                    self.loading.push(key.clone());
                    let (inner, me, fetch) = (Arc::clone(&self.inner), self.me.clone(), fetch.clone());
                    let (dialect, account) = (self.dialect, me.account().to_owned());
                    let view = self.seats.values().next().map(|seat| seat.call.clone());
                    tokio::spawn(async move {
                        let sound = inner.sounds.music(&account, dialect, view.as_ref(), &fetch).await;
                        let sound = match sound {
                            Ok(sound) => Some(sound),
                            Err(error) => {
                                let text = format!("music {}: {error}; silence is heard instead", fetch.url);
                                me.tell(Kind::Warning(text), None, None).await;
                                None
                            }
                        };
                        // A room that is over needs no music.
                        let _ = me.mailbox.send(RoomMessage::SoundLoaded(key, sound)).await;
                    });
                }
            }
        }
    }

    /// Starts a notice, or says what has to be loaded first.
    pub(super) fn notice(
        &self,
        notice: &Notice,
        hearers: Vec<MemberId>,
        room: &mut Room,
        extras: &mut Extras,
    ) -> Option<(Fetch, Vec<MemberId>)> {
        match notice {
            Notice::Silent => None,
            Notice::Url(fetch) if !hearers.is_empty() => Some((fetch.clone(), hearers)),
            Notice::Url(_) => None,
            Notice::Beeps(count) => {
                // A room that is over beeps no more.
                let _ = add_notice(room, &hearers, crate::sound::beeps(*count), extras);
                None
            }
        }
    }

    /// The exit sounds of those who leave with these events.
    pub(super) fn exit_notices(
        &self,
        room: &mut Room,
        events: &[conference::Event],
        extras: &mut Extras,
    ) -> Vec<(Fetch, Vec<MemberId>)> {
        let mut loads = Vec::new();
        for event in events {
            let conference::Event::Left(id, _) = event else { continue };
            if room.status() == Status::Ended {
                continue;
            }
            let Some(seat) = self.seats.get(id) else { continue };
            let hearers = room.members().map(|m| m.id).collect();
            let notice = seat.settings.exit_sound.clone();
            loads.extend(self.notice(&notice, hearers, room, extras));
        }
        loads
    }

    pub(super) fn load_notice(&self, fetch: Fetch, hearers: Vec<MemberId>) {
        let (inner, me) = (Arc::clone(&self.inner), self.me.clone());
        let (dialect, account) = (self.dialect, me.account().to_owned());
        let view = self.seats.values().next().map(|seat| seat.call.clone());
        tokio::spawn(async move {
            let sound = match inner.sounds.music(&account, dialect, view.as_ref(), &fetch).await {
                Ok(sound) => Some(sound),
                Err(error) => {
                    me.tell(Kind::Warning(format!("sound {}: {error}", fetch.url)), None, None).await;
                    None
                }
            };
            // A room that is over needs no sound.
            let _ = me.mailbox.send(RoomMessage::NoticeLoaded(hearers.into(), sound)).await;
        });
    }
}

/// Adds a room player that `hearers` hear.
pub(super) fn add_notice(
    room: &mut Room,
    hearers: &[MemberId],
    sound: Sound,
    extras: &mut Extras,
) -> Result<(), RoomError> {
    // When many come or go at once, the first notices say enough.
    if hearers.is_empty() || room.player_count() >= MOST_NOTICES {
        return Ok(());
    }
    let audience = Audience::Only(hearers.iter().map(|id| Clause::Member(*id)).collect());
    let player = room.add_player(audience)?;
    extras.players.push((PlayerId(u64::from(player.0)), PlayerChange::Start(media::Play::once(PlayId(0), sound))));
    Ok(())
}

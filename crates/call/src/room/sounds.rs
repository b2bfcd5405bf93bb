//! A room's sounds: music of single members, notices for several.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use conference::hearing::{listens, speaks_to};
use conference::{Audience, Clause, Listener, MemberId, Room, Status};
use media::{LegId, PlayId, PlayerChange, PlayerId, Sound};
use tokio_util::task::AbortOnDropHandle;

use super::actor::Actor;
use super::change::Extras;
use super::message::RoomMessage;
use super::music::{self, SoundKey};
use crate::command::DialMusic;
use crate::dialect::Kind;
use crate::http::shown;
use crate::verb::{Fetch, Notice};

/// Notices that sound at once; the media plane has places for 16 players.
const MOST_NOTICES: usize = 8;
/// Music that could not be had is asked for again after this long, then after twice as long each time …
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// … up to this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What makes two notices one: those that would sound together in an ear are heard there once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoticeKey {
    /// So many beeps. Another number of them waits until these are over: no two beeps are louder than one.
    Beeps(u8),
    /// What this URL says.
    Url(Fetch),
}

/// A sound of somebody who enters or leaves, that has to be loaded first.
pub(crate) struct Announcement {
    pub fetch: Fetch,
    /// Who enters: those whom he speaks to when it sounds hear it.
    pub entering: Option<MemberId>,
    /// Whom he spoke to when he came or went.
    pub hearers: Vec<MemberId>,
}

/// A beep that waits for another to end: who is to hear it, and who enters, if it tells of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaitingBeep {
    hearer: MemberId,
    entering: Option<MemberId>,
}

/// Whether a sound that tells of somebody who enters is still for this ear: he may have begun to coach meanwhile.
pub(super) fn is_for(room: &Room, entering: Option<MemberId>, hearer: MemberId) -> bool {
    entering.is_none_or(|id| speaks_to(room, id, hearer))
}

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
        // Whoever is heard before his answer is heard in place of ringback.
        let dialling = self.dialling.values().next_back().filter(|_| !self.has_early(room));
        for (id, seat) in &self.seats {
            let Some(member) = room.member(*id) else {
                if seat.playing.is_some() {
                    let change = media::PlayChange::Stop;
                    plays.push(WantedPlay { member: *id, leg: seat.leg, change, playing: None });
                }
                continue;
            };
            let key = music::wanted(room, &self.settings, dialling, member);
            let loaded = key.and_then(|key| self.sounds.get(&key).cloned().map(|sound| (key, sound)));
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
        self.loading.retain(|key, _| wanted.contains(key));
    }

    /// Loads all music that may be wanted, ahead of time: hold music starts with the hold.
    pub(super) fn load_music(&mut self) {
        for key in self.music() {
            if self.sounds.contains_key(&key) || self.loading.contains_key(&key) {
                continue;
            }
            match &key {
                SoundKey::Ringback => {
                    self.sounds.insert(key, crate::sound::ringback());
                }
                SoundKey::Url(fetch) => {
                    let loaded = key.clone();
                    let (inner, me, fetch) = (Arc::clone(&self.inner), self.me.clone(), fetch.clone());
                    let (dialect, account) = (self.dialect, me.account().to_owned());
                    let load = async move {
                        let mut pause = FIRST_PAUSE;
                        let sound = loop {
                            let error = match inner.sounds.music(&account, me.auth_id(), dialect, &fetch).await {
                                Ok(heard) => {
                                    if let Some(cut) = heard.cut {
                                        me.tell(
                                            Kind::Warning(format!("music {}: {cut}", shown(&fetch.url))),
                                            None,
                                            None,
                                        )
                                        .await;
                                    }
                                    break heard.sound;
                                }
                                Err(error) => error,
                            };
                            if pause == FIRST_PAUSE {
                                let text = format!(
                                    "music {}: {error}; silence is heard until it can be had",
                                    shown(&fetch.url)
                                );
                                me.tell(Kind::Warning(text), None, None).await;
                            }
                            tokio::time::sleep(pause).await;
                            pause = (pause * 2).min(LONGEST_PAUSE);
                        };
                        // A room that is over needs no music.
                        let _ = me.mailbox.send(RoomMessage::SoundLoaded(loaded, sound)).await;
                    };
                    self.loading.insert(key, AbortOnDropHandle::new(tokio::spawn(load)));
                }
            }
        }
    }

    /// Starts a notice, or says what has to be loaded first.
    pub(super) fn notice(
        &mut self,
        notice: &Notice,
        entering: Option<MemberId>,
        hearers: Vec<MemberId>,
        room: &mut Room,
        extras: &mut Extras,
    ) -> Option<Announcement> {
        match notice {
            Notice::Silent => None,
            Notice::Url(fetch) if !hearers.is_empty() => Some(Announcement { fetch: fetch.clone(), entering, hearers }),
            Notice::Url(_) => None,
            Notice::Beeps(count) => {
                let hearers = hearers.into_iter().map(|hearer| WaitingBeep { hearer, entering });
                self.beep(room, *count, hearers.collect(), extras);
                None
            }
        }
    }

    /// The exit sounds of those who leave with these events, for those whom they spoke to.
    pub(super) fn exit_notices(
        &mut self,
        room: &mut Room,
        events: &[conference::Event],
        extras: &mut Extras,
    ) -> Vec<Announcement> {
        let mut loads = Vec::new();
        for event in events {
            let conference::Event::Left(id, _) = event else { continue };
            if room.status() == Status::Ended {
                continue;
            }
            let Some(seat) = self.seats.get(id) else { continue };
            let notice = seat.settings.exit_sound.clone();
            let left = &self.room;
            let hearers = room.members().map(|m| m.id).filter(|other| speaks_to(left, *id, *other)).collect();
            loads.extend(self.notice(&notice, None, hearers, room, extras));
        }
        loads
    }

    pub(super) fn load_notice(&self, notice: Announcement) {
        let (inner, me) = (Arc::clone(&self.inner), self.me.clone());
        let (dialect, account) = (self.dialect, me.account().to_owned());
        tokio::spawn(async move {
            let url = shown(&notice.fetch.url);
            let warn = async |text| me.tell(Kind::Warning(format!("sound {url}: {text}")), None, None).await;
            match inner.sounds.music(&account, me.auth_id(), dialect, &notice.fetch).await {
                Ok(heard) => {
                    if let Some(cut) = heard.cut {
                        warn(cut.to_string()).await;
                    }
                    // A room that is over needs no sound.
                    let _ = me.mailbox.send(RoomMessage::NoticeLoaded(notice, heard.sound)).await;
                }
                Err(error) => warn(error.to_string()).await,
            }
        });
    }

    /// Beeps for `hearers`, at once or, in an ear where other beeps sound, after those.
    fn beep(&mut self, room: &mut Room, count: u8, hearers: Vec<WaitingBeep>, extras: &mut Extras) {
        let (later, now): (Vec<WaitingBeep>, Vec<WaitingBeep>) = hearers.into_iter().partition(|beep| {
            let other = |key: &NoticeKey| matches!(key, NoticeKey::Beeps(other) if *other != count);
            self.is_sounding(room, beep.hearer, other)
        });
        let now: BTreeSet<MemberId> = now.into_iter().map(|beep| beep.hearer).collect();
        let now: Vec<MemberId> = now.into_iter().collect();
        self.add_notice(room, NoticeKey::Beeps(count), &now, crate::sound::beeps(count), extras);
        if !later.is_empty() {
            self.beeps_waiting.entry(count).or_default().extend(later);
        }
    }

    /// A notice has ended: beeps that waited for it are heard.
    pub(super) fn notice_ended(&mut self, room: &mut Room, player: conference::PlayerId, extras: &mut Extras) {
        room.remove_player(player);
        self.notices.remove(&player);
        for (count, hearers) in std::mem::take(&mut self.beeps_waiting) {
            let hearers = hearers.into_iter().filter(|beep| is_for(room, beep.entering, beep.hearer)).collect();
            self.beep(room, count, hearers, extras);
        }
    }

    /// Whether a sound like this is in this ear.
    fn is_sounding(&self, room: &Room, ear: MemberId, like: impl Fn(&NoticeKey) -> bool) -> bool {
        let clause = Clause::Member(ear);
        self.notices
            .iter()
            .filter(|(_, key)| like(key))
            .any(|(id, _)| matches!(room.player(*id), Some(Audience::Only(clauses)) if clauses.contains(&clause)))
    }

    /// Adds a room player for those of `hearers` who listen now and have no equal sound in their ear.
    pub(super) fn add_notice(
        &mut self,
        room: &mut Room,
        key: NoticeKey,
        hearers: &[MemberId],
        sound: Sound,
        extras: &mut Extras,
    ) {
        let fresh = hearers
            .iter()
            .filter(|id| listens(room, Listener::Ear(**id)) && !self.is_sounding(room, **id, |other| *other == key));
        let audience: Vec<Clause> = fresh.map(|id| Clause::Member(*id)).collect();
        if audience.is_empty() {
            return;
        }
        if room.player_count() >= MOST_NOTICES {
            self.inner.counters.notices_dropped.add(1);
            return;
        }
        // A room that is over sounds no more.
        let Ok(player) = room.add_player(Audience::Only(audience)) else { return };
        self.notices.insert(player, key);
        extras.players.push((PlayerId(u64::from(player.0)), PlayerChange::Start(media::Play::once(PlayId(0), sound))));
    }
}

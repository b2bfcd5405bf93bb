//! Sounds that a program lets everybody in a room hear, one after the other, in the order in which they were asked for:
//! each has its place before it is loaded.

use std::collections::VecDeque;

use conference::{Audience, PlayerId, Room};
use media::{Play, PlayId, PlayerChange, Repeat, Sound};
use tokio::sync::oneshot;

use super::actor::Actor;
use super::change::Extras;
use crate::command::Asker;
use crate::dialect::{CallView, Kind};
use crate::session::PerSecond;

/// Announcements that may wait behind the first.
const MOST: usize = 16;
/// Refusals that are told per second: a program can earn them without end.
const MOST_FAULTS: u32 = 20;

/// Sounds that are heard one after the other.
pub(crate) type Sounds = VecDeque<(Sound, Repeat)>;

/// Something for everybody.
pub(crate) struct Announced {
    pub notice: RoomNotice,
    /// What is heard, when it is loaded; dropped if there is nothing.
    pub sounds: oneshot::Receiver<Sounds>,
    /// In place of what sounds and of what waits.
    pub replace: bool,
}

/// What is told of an announcement.
pub(crate) struct RoomNotice {
    /// Speech.
    pub spoken: bool,
    /// The program's name for it.
    pub id: Option<String>,
    /// The call whose program wants it, and is told.
    pub by: CallView,
}

impl RoomNotice {
    fn tells(&self, begins: bool) -> Kind {
        Kind::RoomSound { begins, spoken: self.spoken, id: self.id.clone() }
    }
}

/// What sounds, and what waits.
#[derive(Default)]
pub(super) struct Announcements {
    sounding: Option<Sounding>,
    waiting: VecDeque<Announced>,
    faults: PerSecond,
}

struct Sounding {
    player: PlayerId,
    notice: RoomNotice,
    rest: Sounds,
}

impl Announcements {
    /// Resolves when nothing sounds and the next one is loaded. Cancel-safe.
    pub(super) async fn loaded(&mut self) -> Sounds {
        match self.waiting.front_mut().filter(|_| self.sounding.is_none()) {
            // Whoever loads it has given it up: that there is nothing to hear is told.
            Some(next) => (&mut next.sounds).await.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= MOST + usize::from(self.sounding.is_none())
    }
}

impl Actor {
    pub(super) async fn announce(&mut self, announced: Announced) {
        if announced.replace {
            self.silence_announcements().await;
        }
        if self.announcements.is_full() {
            self.inner.counters.notices_dropped.add(1);
            if !self.announcements.faults.takes(MOST_FAULTS, self.inner.clock.monotonic()) {
                return self.inner.counters.records_dropped.add(1);
            }
            let text = format!("{MOST} sounds for the room wait already; this one is left out");
            return self.tell(Kind::Fault(text, None), None, Some(announced.notice.by)).await;
        }
        self.announcements.waiting.push_back(announced);
    }

    /// What sounds is over, however often it would have been heard; what waits is never heard, and nothing is told of it.
    async fn silence_announcements(&mut self) {
        self.announcements.waiting.clear();
        let Some(Sounding { player, notice, .. }) = self.announcements.sounding.take() else { return };
        let players = vec![(media::PlayerId(u64::from(player.0)), PlayerChange::Stop)];
        self.remove_announcement(player, players).await;
        self.tell(notice.tells(false), None, Some(notice.by)).await;
    }

    async fn remove_announcement(&mut self, player: PlayerId, players: Vec<(media::PlayerId, PlayerChange)>) {
        let remove = |room: &mut Room| {
            room.remove_player(player);
            Ok(())
        };
        // A duty is never refused.
        let _ = self.change(Asker::server(), Extras { players, ..Extras::duty() }, remove).await;
    }

    /// The first of those that wait is loaded, and nothing sounds.
    pub(super) async fn next_announcement(&mut self, sounds: Sounds) {
        let Some(Announced { notice, .. }) = self.announcements.waiting.pop_front() else { return };
        self.tell(notice.tells(true), None, Some(notice.by.clone())).await;
        self.sound(notice, sounds).await;
    }

    /// A player has ended; false: it was no announcement.
    pub(super) async fn announcement_ended(&mut self, player: PlayerId) -> bool {
        let ended = self.announcements.sounding.take_if(|sounding| sounding.player == player);
        let Some(Sounding { notice, rest, .. }) = ended else { return false };
        self.remove_announcement(player, Vec::new()).await;
        self.sound(notice, rest).await;
        true
    }

    /// Sounds what comes next of it, or tells that it is over.
    async fn sound(&mut self, notice: RoomNotice, mut rest: Sounds) {
        if let Some((sound, repeat)) = rest.pop_front() {
            let mut room = self.room.clone();
            if let Ok(player) = room.add_player(Audience::Everyone) {
                let start = PlayerChange::Start(Play { repeat, ..Play::once(PlayId(0), sound) });
                let players = vec![(media::PlayerId(u64::from(player.0)), start)];
                let extras = Extras { players, ..Extras::default() };
                if self.settle(room, Asker::server(), extras).await.is_ok() {
                    self.announcements.sounding = Some(Sounding { player, notice, rest });
                    return;
                }
            }
        }
        self.tell(notice.tells(false), None, Some(notice.by)).await;
    }
}

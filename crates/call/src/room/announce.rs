//! Sounds that a program lets everybody in a room hear, one after the other, in the order in which they were asked for:
//! each has its place before it is loaded.

use std::collections::VecDeque;
use std::time::Duration;

use conference::{Audience, PlayerId, Room};
use media::{Play, PlayId, PlayerChange, Repeat, Sound};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actor::Actor;
use super::change::Extras;
use crate::command::Asker;
use crate::dialect::{CallView, Kind};
use crate::session::PerSecond;

/// Announcements that may wait behind the first.
const MOST: usize = 16;
/// What is next and not loaded after this long is given up: others wait behind it.
const LONGEST_LOAD: Duration = Duration::from_secs(30);
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
    waiting: VecDeque<Waiting>,
    faults: PerSecond,
}

/// Something that is not heard yet.
struct Waiting {
    announced: Announced,
    /// When it is given up, once it is next and nothing sounds.
    until: Option<Instant>,
}

struct Sounding {
    player: PlayerId,
    notice: RoomNotice,
    rest: Sounds,
}

impl Announcements {
    /// Resolves when nothing sounds and the next one is loaded, or (`None`) has had its time for that. Cancel-safe.
    pub(super) async fn loaded(&mut self) -> Option<Sounds> {
        let Some(next) = self.waiting.front_mut().filter(|_| self.sounding.is_none()) else {
            return std::future::pending().await;
        };
        let until = *next.until.get_or_insert_with(|| Instant::now() + LONGEST_LOAD);
        let loaded = tokio::time::timeout_at(until, &mut next.announced.sounds).await.ok()?;
        // Whoever loads it has given it up: that there is nothing to hear is told.
        Some(loaded.unwrap_or_default())
    }

    fn add(&mut self, announced: Announced) {
        self.waiting.push_back(Waiting { announced, until: None });
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
            let text = format!("{MOST} sounds for the room wait already; this one is left out");
            return self.leave_out(announced.notice, text).await;
        }
        self.announcements.add(announced);
    }

    /// It will not be heard, and its program is told why.
    async fn leave_out(&mut self, notice: RoomNotice, why: String) {
        self.inner.counters.notices_dropped.add(1);
        if !self.announcements.faults.takes(MOST_FAULTS, self.inner.clock.monotonic()) {
            return self.inner.counters.records_dropped.add(1);
        }
        self.tell(Kind::Fault(why, None), None, Some(notice.by)).await;
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

    /// The first of those that wait is loaded, or (`None`) is given up, and nothing sounds.
    pub(super) async fn next_announcement(&mut self, sounds: Option<Sounds>) {
        let Some(Waiting { announced: Announced { notice, .. }, .. }) = self.announcements.waiting.pop_front() else {
            return;
        };
        let Some(sounds) = sounds else {
            let text = format!(
                "a sound for the room was not loaded within {} s; it is left out, and the next is heard",
                LONGEST_LOAD.as_secs()
            );
            return self.leave_out(notice, text).await;
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Direction;

    fn waiting(until: Option<Instant>) -> (Waiting, oneshot::Sender<Sounds>) {
        let (tell, sounds) = oneshot::channel();
        let by = CallView::new("call".to_owned(), "account".to_owned(), Direction::Inbound, 0);
        let notice = RoomNotice { spoken: false, id: None, by };
        (Waiting { announced: Announced { notice, sounds, replace: false }, until }, tell)
    }

    #[tokio::test]
    async fn what_is_next_and_not_loaded_in_time_is_given_up_and_the_next_has_time_of_its_own() {
        let mut announcements = Announcements::default();
        let (slow, load_slow) = waiting(Some(Instant::now()));
        let (next, load_next) = waiting(None);
        announcements.waiting.extend([slow, next]);
        assert!(announcements.loaded().await.is_none());
        assert!(!load_slow.is_closed());
        announcements.waiting.pop_front();
        assert!(load_slow.is_closed(), "whoever loads it goes on in vain");
        load_next.send(Sounds::new()).unwrap();
        assert!(announcements.loaded().await.is_some());
    }

    #[tokio::test]
    async fn the_time_to_load_begins_once_and_only_for_what_is_next() {
        let mut announcements = Announcements::default();
        let (first, _load_first) = waiting(None);
        let (second, _load_second) = waiting(None);
        announcements.waiting.extend([first, second]);
        let mut begun = Vec::new();
        for _ in 0..2 {
            tokio::select! {
                biased;
                _ = announcements.loaded() => panic!("nothing is loaded"),
                () = std::future::ready(()) => {}
            }
            begun.push(announcements.waiting[0].until.expect("its time has begun"));
        }
        assert_eq!(begun[0], begun[1], "asked again, it has no more time than before");
        assert_eq!(announcements.waiting[1].until, None);
    }
}

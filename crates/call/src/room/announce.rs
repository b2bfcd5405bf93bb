//! Sounds that a program lets everybody in a room hear, one after the other.

use std::collections::VecDeque;

use conference::{Audience, PlayerId};
use media::{Play, PlayId, PlayerChange, Repeat, Sound};

use super::actor::Actor;
use super::change::Extras;
use crate::command::Asker;
use crate::dialect::{CallView, Kind};

/// Announcements that may wait.
const MOST: usize = 16;

/// Something for everybody.
pub(crate) struct Announced {
    /// Heard one after the other.
    pub sounds: VecDeque<(Sound, Repeat)>,
    /// Speech.
    pub spoken: bool,
    /// The program's name for it.
    pub id: Option<String>,
    /// The call whose program wants it, and is told.
    pub by: CallView,
}

/// What sounds, and what waits.
#[derive(Default)]
pub(super) struct Announcements {
    sounding: Option<(PlayerId, Announced)>,
    waiting: VecDeque<Announced>,
}

impl Actor {
    pub(super) async fn announce(&mut self, announced: Announced) {
        if self.announcements.waiting.len() >= MOST {
            self.inner.counters.notices_dropped.add(1);
            let text = format!("{MOST} sounds for the room wait already; this one is left out");
            return self.tell(Kind::Fault(text, None), None, Some(announced.by)).await;
        }
        self.announcements.waiting.push_back(announced);
        if self.announcements.sounding.is_none() {
            self.next_announcement().await;
        }
    }

    /// A player has ended; false: it was no announcement.
    pub(super) async fn announcement_ended(&mut self, player: PlayerId) -> bool {
        let Some((sounding, announced)) = self.announcements.sounding.take() else { return false };
        if sounding != player {
            self.announcements.sounding = Some((sounding, announced));
            return false;
        }
        // A duty is never refused.
        let _ = self
            .change(Asker::server(), Extras { duty: true, ..Extras::default() }, |room| {
                room.remove_player(player);
                Ok(())
            })
            .await;
        if !self.sound(announced).await {
            self.next_announcement().await;
        }
        true
    }

    async fn next_announcement(&mut self) {
        while let Some(next) = self.announcements.waiting.pop_front() {
            let begins = Kind::RoomSound { begins: true, spoken: next.spoken, id: next.id.clone() };
            self.tell(begins, None, Some(next.by.clone())).await;
            if self.sound(next).await {
                return;
            }
        }
    }

    /// Sounds what comes next of it, or tells that it is over; whether it sounds.
    async fn sound(&mut self, mut announced: Announced) -> bool {
        if let Some((sound, repeat)) = announced.sounds.pop_front() {
            let mut room = self.room.clone();
            if let Ok(player) = room.add_player(Audience::Everyone) {
                let start = PlayerChange::Start(Play { repeat, ..Play::once(PlayId(0), sound) });
                let players = vec![(media::PlayerId(u64::from(player.0)), start)];
                let extras = Extras { players, ..Extras::default() };
                if self.settle(room, Asker::server(), extras).await.is_ok() {
                    self.announcements.sounding = Some((player, announced));
                    return true;
                }
            }
        }
        let over = Kind::RoomSound { begins: false, spoken: announced.spoken, id: announced.id };
        self.tell(over, None, Some(announced.by)).await;
        false
    }
}

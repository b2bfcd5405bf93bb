//! What a callee says before he answers, in place of ringback. Who hears it is decided by the room's hearing; which leg
//! it is, here.

use conference::{EarlyId, Room};
use media::LegId;

use super::actor::Actor;
use super::change::Extras;
use crate::command::{Asker, DialMusic};

/// Legs that are being dialled and sound already.
#[derive(Default)]
pub(super) struct Early {
    /// All of them with their dials, in the order in which they began to sound.
    legs: Vec<(u64, LegId)>,
    /// The one that is in the room.
    heard: Option<(EarlyId, LegId)>,
}

/// What becomes of the leg that is in the room.
pub(super) struct Turn {
    heard: Option<(EarlyId, LegId)>,
    pub join: Option<LegId>,
    pub leave: Option<LegId>,
}

impl Turn {
    /// The leg of the one that is in the room from now on.
    pub(super) fn leg(&self, id: EarlyId) -> Option<LegId> {
        self.heard.filter(|(early, _)| *early == id).map(|(_, leg)| leg)
    }
}

impl Early {
    pub(super) fn turned(&mut self, turn: &Turn) {
        self.heard = turn.heard;
    }
}

impl Actor {
    /// A leg sounds before its answer.
    pub(super) async fn early(&mut self, dial: u64, leg: LegId) {
        self.early.legs.push((dial, leg));
        if let Err(error) = self.settle(self.room.clone(), Asker::server(), Extras::default()).await {
            self.early.legs.retain(|(_, known)| *known != leg);
            tracing::warn!(room = self.me.uuid(), %error, "what a callee says before his answer is not heard");
        }
    }

    /// It does no more: it was answered, or never will be.
    pub(super) async fn early_over(&mut self, leg: LegId, extras: Extras) {
        self.early.legs.retain(|(_, known)| *known != leg);
        // A duty is never refused.
        let _ = self.settle(self.room.clone(), Asker::server(), extras).await;
    }

    /// Whom those who hear ringback should hear instead: the first to sound of the dial that ringback is for.
    fn early_wanted(&self) -> Option<LegId> {
        let (dial, music) = self.dialling.last_key_value()?;
        if *music != DialMusic::Ringback || self.settings.wait_music.is_some() {
            return None;
        }
        self.early.legs.iter().find(|(of, _)| of == dial).map(|(_, leg)| *leg)
    }

    /// Puts the leg that should sound into the room, in place of the one that did.
    pub(super) fn turn_early(&self, room: &mut Room) -> Turn {
        let before = self.early.heard;
        let wanted = self.early_wanted();
        let was = before.map(|(_, leg)| leg);
        if was == wanted {
            return Turn { heard: before, join: None, leave: None };
        }
        if let Some((id, _)) = before {
            room.remove_early(id);
        }
        let added = wanted.map(|leg| room.add_early().map(|id| (id, leg)));
        // A room that is over lets everybody go.
        let heard = added.transpose().unwrap_or(None);
        Turn { heard, join: heard.map(|(_, leg)| leg), leave: was }
    }

    /// Whether anybody sounds in place of ringback.
    pub(super) fn has_early(&self, room: &Room) -> bool {
        room.sources().any(|source| matches!(source, conference::Source::Early(_)))
    }
}

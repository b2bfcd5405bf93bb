//! A room on its shard: who sits in it and the plan in force.

use super::plan_state::Compiled;
use crate::RoomId;
use crate::fact::{Note, Owed};
use crate::id::Key;
use crate::metrics::Counters;
use crate::tap::Taps;

pub(crate) struct Room {
    pub id: RoomId,
    pub key: Key,
    /// Its sub-slot while it has legs.
    pub slot: Option<u8>,
    pub members: u32,
    pub plan: Box<Compiled>,
    pub owed: Owed,
    pub taps: Taps,
    /// Mutation `StalePlan`: a plan that waits for the next tick to pass.
    pub later: Option<Box<Compiled>>,
    /// Mutation `PlanInTwoHalves`: the listeners that come after the next tick.
    pub half: Option<super::plan_state::Listeners>,
    #[cfg(any(test, feature = "mutations"))]
    pub fault: Option<super::command::RoomFault>,
}

impl Room {
    pub(crate) fn new(id: RoomId, key: Key) -> Self {
        Self {
            id,
            key,
            slot: None,
            members: 0,
            plan: Box::default(),
            owed: Owed::new(),
            taps: Taps::default(),
            later: None,
            half: None,
            #[cfg(any(test, feature = "mutations"))]
            fault: None,
        }
    }

    /// Lets players go on under a new plan, and tells the ends of those that do not.
    pub(crate) fn carry_players(&mut self, plan: &mut Compiled, counters: &Counters) {
        for old in &mut self.plan.players {
            let successor = plan.players.iter_mut().find(|new| new.id == old.id);
            match successor {
                Some(new) if !new.fresh => {
                    new.track = old.track.take();
                    std::mem::swap(&mut new.lift, &mut old.lift);
                    new.told = old.told;
                }
                _ => {
                    let note =
                        Note::PlayerEnded { room: self.id, player: old.id, serial: old.serial, completed: false };
                    if old.track.is_some() && !old.told && !self.owed.add(note) {
                        counters.facts_dropped.one();
                    }
                }
            }
        }
        for new in &mut plan.players {
            new.fresh = false;
        }
    }
}

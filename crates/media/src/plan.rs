//! Plans: compiled hearing as a room's owner states it. A plan holds permissions and nothing else.

use crate::{BusId, LegId, PlayerId, TapId};

/// Who sounds on which bus and who hears which buses. Whatever it does not name neither sounds nor hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Grows with every change of the room; an older one is refused.
    pub revision: u64,
    /// Number of buses; every bus named below is smaller.
    pub buses: u16,
    /// What sounds.
    pub sources: Vec<PlanSource>,
    /// What hears.
    pub listeners: Vec<PlanListener>,
}

/// A source on its one bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSource {
    /// The leg's microphone or the room's player.
    pub source: SourceRef,
    /// The bus it sounds on.
    pub bus: BusId,
    /// Whether digits this leg sends as telephone-events sound in its own frame as dual tones.
    pub relay_digits: bool,
}

/// What makes sound in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceRef {
    /// The microphone of a leg in the room.
    Leg(LegId),
    /// A player of the room.
    Player(PlayerId),
}

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ear {
    /// A leg in the room.
    Leg(LegId),
    /// A tap on the room, or on a leg in the room.
    Tap(TapId),
}

impl From<LegId> for Ear {
    fn from(leg: LegId) -> Self {
        Self::Leg(leg)
    }
}

impl From<TapId> for Ear {
    fn from(tap: TapId) -> Self {
        Self::Tap(tap)
    }
}

/// A listener and the buses it hears; a leg's own contribution to them is taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanListener {
    /// Who listens.
    pub ear: Ear,
    /// The buses, in any order.
    pub buses: Vec<BusId>,
}

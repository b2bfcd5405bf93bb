//! What goes down to a shard and what comes back: boxes both ways, so that nothing is freed in the tick.

use std::any::Any;

use tokio::sync::oneshot;

use super::plan_state::Compiled;
use super::room::Room;
use crate::convert::Lift;
use crate::id::Key;
use crate::leg::{Extras, Leg, LegStats, Refit};
use crate::meter::Meter;
use crate::player::{Material, Track};
use crate::tap::Tap;
use crate::{LegId, MediaError, PlayId, RoomId, TapId};

/// When and where a change took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The shard.
    pub shard: u16,
    /// The first tick that follows the new rules; ticks are 20 ms and count from the plane's start.
    pub tick: u64,
    /// UTC of that tick, microseconds since 1970, by the plane's anchor.
    pub at_micros: i64,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, MediaError>>;

pub(crate) enum Command {
    AddLeg {
        leg: Box<Leg>,
        key: Key,
    },
    TakeLeg {
        leg: LegId,
        key: Key,
    },
    RemoveLeg(Box<Removal>),
    Leg(Box<LegCommand>),
    OpenRoom(Box<Room>),
    CloseRoom(Box<Closing>),
    Change(Box<Change>),
    RoomTap(Box<RoomTap>),
    #[cfg(any(test, feature = "mutations"))]
    Fault {
        room: Key,
        fault: RoomFault,
    },
}

pub(crate) enum Up {
    Taken { leg: LegId, taken: Option<Box<Leg>> },
    Removed(Box<Removal>),
    Leg(Box<LegCommand>),
    Closed(Box<Closing>),
    Changed(Box<Change>),
    RoomTap(Box<RoomTap>),
    Spent(#[allow(dead_code, reason = "sent up only to be dropped there")] Material),
    RoomFailed { room: Box<Room>, payload: Box<dyn Any + Send> },
    LegFailed { leg: LegId, payload: Box<dyn Any + Send> },
}

pub(crate) struct Removal {
    pub id: LegId,
    pub key: Key,
    pub leg: Option<Box<Leg>>,
    pub reply: Reply<LegStats>,
}

pub(crate) struct LegCommand {
    pub id: LegId,
    pub key: Key,
    pub op: LegOp,
    /// `None` if the leg was gone.
    pub applied: Option<Applied>,
}

pub(crate) enum LegOp {
    /// On the way up with what was replaced.
    Update(Box<Refit>, Reply<Applied>),
    Play(Playing, Reply<Applied>),
    /// The lane, which play, and what was stopped on the way up.
    Stop(u8, Option<PlayId>, Option<Track>, Reply<Applied>),
    /// The tap, and what the leg needs to have one; on the way up what it did not take.
    OpenTap(Option<Box<Tap>>, Option<Box<Extras>>),
    /// With the tap on the way up.
    CloseTap(TapId, Option<Box<Tap>>, Reply<Applied>),
    /// `false` on the way up if too many digits waited.
    Digits(String, bool, Reply<Applied>),
    /// A key pressed elsewhere than in the media.
    Relay(char, Reply<Applied>),
    Stats(Option<LegStats>, Reply<LegStats>),
    Show(Meter),
}

/// A play on a lane.
pub(crate) struct Playing {
    pub lane: u8,
    /// The new track on the way down, the old one on the way up.
    pub track: Option<Track>,
    /// What the leg needs for lanes above 0.
    pub spare: Option<Box<Extras>>,
}

/// A tap of a room: to open it, or to close it.
pub(crate) struct RoomTap {
    pub room: Key,
    pub id: TapId,
    /// The tap on the way down if it opens; on the way up what is to be freed.
    pub tap: Option<Box<Tap>>,
    pub applied: Option<Applied>,
    /// If it closes.
    pub reply: Option<Reply<Applied>>,
}

pub(crate) struct Closing {
    pub id: RoomId,
    pub key: Key,
    pub room: Option<Box<Room>>,
    pub applied: Option<Applied>,
    pub reply: Reply<Applied>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Waiting,
    Applied(Applied),
    /// The revision in force.
    Stale(u64),
    /// The room had failed.
    Gone,
}

/// A change of a room, whole.
pub(crate) struct Change {
    pub id: RoomId,
    pub key: Key,
    pub revision: u64,
    /// Legs with the seats they take.
    pub join: Vec<(LegId, Key, u16)>,
    pub leave: Vec<Key>,
    /// Private players: to start (`Some`) or to stop; the old ones on the way up.
    pub plays: Vec<(Key, Option<Track>)>,
    /// For narrow legs that wide ones can hear from now on; on the way up what was not needed.
    pub lifts: Vec<(Key, Option<Box<Lift>>)>,
    /// The new plan on the way down, the old one on the way up.
    pub plan: Option<Box<Compiled>>,
    pub outcome: Outcome,
    pub reply: Reply<Applied>,
}

/// A deliberate fault in one room's tick, for tests of isolation.
#[cfg(any(test, feature = "mutations"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomFault {
    /// The next tick panics in the middle of mixing.
    Panic,
    /// The next tick takes this long.
    Busy(std::time::Duration),
}

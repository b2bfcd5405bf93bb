//! Names of things on the media plane.

use std::fmt;

/// A leg, for its whole life; never reused by a plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LegId(pub(crate) u64);

/// A room, for its whole life; never reused by a plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RoomId(pub(crate) u64);

/// A tap, for its whole life; never reused by a plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TapId(pub(crate) u64);

/// One start of a private player; chosen by the caller and repeated in [`crate::Fact::PlayEnded`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PlayId(pub u64);

/// A player of a room; chosen by the caller, unique within the room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PlayerId(pub u64);

/// A bus of a plan: 0 up to, not including, [`crate::Plan::buses`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BusId(pub u16);

impl LegId {
    /// The number behind the name, for logs and metrics.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl RoomId {
    /// The number behind the name, for logs and metrics.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl TapId {
    /// The number behind the name, for logs and metrics.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg {}", self.0)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room {}", self.0)
    }
}

impl fmt::Display for TapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tap {}", self.0)
    }
}

/// A place in a shard's slab: stale as soon as the generation there differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub index: u32,
    pub generation: u32,
}

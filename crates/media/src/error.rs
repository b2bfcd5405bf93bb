//! What can go wrong on the control side.

use std::net::SocketAddr;

use crate::{LegId, PlayerId, RoomId, TapId};

/// Why the media plane refused or could not finish a request.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// A bounded queue is full; nothing was done.
    #[error("the media plane is busy ({0}); nothing was changed, try again shortly")]
    Busy(&'static str),
    /// The plane holds as many as its configuration allows.
    #[error("the limit of {limit} {what} is reached; raise it in the media configuration or add a shard")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The configured limit.
        limit: usize,
    },
    /// No such leg: never added, or removed already.
    #[error("{0} does not exist or was removed")]
    NoLeg(LegId),
    /// No such room: never opened, or closed already.
    #[error("{0} does not exist or was closed")]
    NoRoom(RoomId),
    /// No such tap: never opened, closed already, or its leg or room is gone.
    #[error("{0} does not exist or has ended")]
    NoTap(TapId),
    /// The room ended because its tick failed.
    #[error("{0} ended after an internal fault; open a new room")]
    RoomFailed(RoomId),
    /// A plan older than the one in force.
    #[error("plan revision {offered} of {room} is older than revision {current} in force")]
    StalePlan {
        /// The room.
        room: RoomId,
        /// The revision offered.
        offered: u64,
        /// The revision in force.
        current: u64,
    },
    /// A plan that contradicts itself.
    #[error("the plan of {room} is not usable: {reason}")]
    BadPlan {
        /// The room.
        room: RoomId,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A change of a player the room does not have.
    #[error("{room} has no player {}", player.0)]
    NoPlayer {
        /// The room.
        room: RoomId,
        /// The player.
        player: PlayerId,
    },
    /// A digit string with something other than 0-9, *, #, A-D, or too long.
    #[error("cannot send digits {0:?}: use at most {max} of 0-9, *, #, A-D", max = crate::leg::MAX_DIGITS)]
    BadDigits(String),
    /// No free port pair.
    #[error("no free RTP port pair in {first}-{last}; widen the port range or shorten the rest of closed ports")]
    NoPorts {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// An encoder or decoder could not be made.
    #[error("cannot set up a codec: {0}")]
    Codec(audio::OpusError),
    /// A socket could not be bound or set up.
    #[error("cannot open UDP {address}: {source}")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start the {what} thread: {source}")]
    Thread {
        /// Which thread.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The configuration cannot work.
    #[error("media configuration: {0}")]
    Config(&'static str),
    /// The plane was shut down before it answered.
    #[error("the media plane has stopped")]
    Stopped,
}

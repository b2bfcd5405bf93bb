//! The media plane: shards and the tick, legs over plain RTP or paths, plans, players, feeds, taps.
//!
//! Each shard is one thread that owns its rooms and legs. Its core is sans-IO: time and network are arguments, so that the same
//! code runs in production and under the seeded simulator of [`sim`]. The control side, [`MediaPlane`], sends it boxes through a
//! bounded ring and gets them back through another; the tick shares no lock with anyone, allocates and frees nothing, and makes
//! no system call but those of its own sockets.
//!
//! Who hears whom is a [`Plan`]: whatever it does not name neither sounds nor hears. A change is applied whole between two ticks
//! of its room. Where it widens hearing, what arrived before it stays unheard by those who hear its source only now.
//!
//! Legs may be narrow (G.711: 8 kHz) or wide (G.722: 16 kHz, Opus: 48 kHz), over whatever carrier. A room is mixed at each rate that
//! somebody hears it at; what only narrow legs hear of narrow legs never passes a resampler. Wide listeners with the same mix share
//! one encoder where that can be heard by nobody.
//!
//! Taps are listeners like any other: what takes sound out of the plane hears what a plan lets it hear, beside the sound of the
//! leg it is on. Feeds bring sound in that is made while it plays, to one ear or as a source that a plan names.
#![deny(unsafe_code)]

mod config;
mod convert;
mod error;
mod fact;
mod feed;
mod id;
mod leg;
mod meter;
mod metrics;
#[cfg(feature = "mutations")]
pub mod mutation;
#[cfg(not(feature = "mutations"))]
mod mutation;
mod net;
mod path;
mod plan;
mod plane;
mod player;
mod ports;
mod random;
mod shard;
pub mod sim;
mod sound;
mod tap;

pub use audio::{Codec, Format, JitterConfig};
pub use config::MediaConfig;
pub use error::MediaError;
pub use fact::Fact;
pub use feed::{Feed, FeedWriter};
pub use id::{BusId, LegId, PlayId, PlayerId, RoomId, TapId};
pub use leg::{Carrier, LANES, LegSetup, LegStats, LegUpdate, MAX_DIGITS, OpusTerms};
pub use meter::Meter;
pub use metrics::{LATENESS_BOUNDS_MICROS, MediaMetrics, ShardMetrics};
pub use path::{LONGEST_PAYLOAD, MediaEnd, PathPacket, TransportEnd, Wake, path};
pub use plan::{Ear, Plan, PlanListener, PlanSource, SourceRef};
pub use plane::{FactReceiver, MediaPlane, Pending, RoomChange};
pub use player::{Play, PlayChange, Playable, PlayerChange, Repeat};
pub use ports::Ports;
pub use shard::command::Applied;
#[cfg(any(test, feature = "mutations"))]
pub use shard::command::RoomFault;
pub use sound::{SOUND_RATE, Sound, SoundError, SoundLimits};
pub use tap::{TapFrame, TapOf, TapReader, TapSetup};

#[cfg(test)]
mod fault_tests;

//! Live rooms: one actor each. It holds a [`conference::Room`], compiles its hearing, commands the shard, and publishes
//! what happened once the shard has applied it.

mod actor;
mod announce;
mod change;
mod early;
mod handle;
mod help;
mod hold;
mod live;
mod message;
mod modes;
mod music;
pub mod plan;
mod publish;
mod seats;
mod sounds;
mod taps;
mod telling;
mod views;

pub(crate) use actor::{Opening, open};
pub(crate) use announce::{Announced, RoomNotice, Sounds};
pub(crate) use handle::Answer;
pub use handle::{JoinRequest, Joined, RoomHandle};
pub(crate) use hold::Hold;
pub use live::{CoachNames, Level, LiveMember, LiveRoom};
pub(crate) use message::MediaFact;
pub(crate) use taps::{Follower, Track};

#[cfg(test)]
mod tests;

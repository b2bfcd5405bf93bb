//! Live rooms: one actor each. It holds a [`conference::Room`], compiles its hearing, commands the shard, and publishes
//! what happened once the shard has applied it.

mod actor;
mod early;
mod handle;
mod message;
mod modes;
mod music;
pub mod plan;
mod publish;
mod sounds;
mod telling;
mod views;

pub(crate) use actor::{Opening, open};
pub use handle::{JoinRequest, Joined, RoomHandle};
pub(crate) use message::MediaFact;

#[cfg(test)]
mod tests;

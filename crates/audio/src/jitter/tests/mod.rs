//! The buffer under a seeded network.

mod behaviour;
mod delay;
mod exact;
pub(crate) mod network;
mod privacy;

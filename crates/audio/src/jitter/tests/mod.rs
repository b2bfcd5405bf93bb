//! The buffer under a seeded network.

mod behaviour;
mod delay;
mod exact;
mod network;
mod privacy;

//! What a call does next: the verb model and its interpreter, rooms and their members, shared by all dialects.
//!
//! The [`engine::Engine`] holds the parts together. Every live call is a task (`session`) that runs its instructions
//! (`interpreter`) and owns its signalling and its leg on the media plane; every live room is an actor ([`room`]) that
//! holds a [`conference::Room`]. Dialects ([`dialect::Dialect`]) translate documents to verbs and happenings to
//! callbacks, and decide nothing. What happens is written to the store in one batch with its callbacks (`records`) and
//! leaves through the `outbox`.
#![forbid(unsafe_code)]

mod access_token;
pub mod carriers;
pub mod cause;
pub mod clock;
pub mod command;
pub mod counter;
pub mod dialect;
pub mod engine;
mod hooks;
pub mod http;
mod intake;
pub mod interpreter;
mod journal;
pub mod keyholder;
pub mod link;
mod numbers;
pub mod outbox;
mod queues;
pub mod rate;
pub mod recogniser;
mod records;
mod recovery;
mod registry;
pub mod room;
pub mod roster;
mod routing;
mod session;
pub mod shown;
pub mod sound;
pub mod speech;
pub mod stored;
pub mod stream;
pub mod ticket;
pub mod verb;
pub mod websocket;

pub use engine::{Engine, EngineConfig, Parts};

//! A scriptable softphone for demos, whole-system tests and load: everything a real SIP phone does, on real sockets, with exact measuring ears.
//!
//! - [`Phone`] registers, calls and is called; a [`Call`] is answered, held, changed, hung up, and remembers all that happened.
//! - [`media`]: what a call says ([`Mouth`]) and what it receives ([`Ear`]), paced by one thread for all phones of the process.
//! - [`analysis`]: levels, hearing matrices, proofs of silence, latency, continuity and pacing over received packets.
//! - [`capture`]: the same mouth and ear without SIP, and the same analysis over pcap files.
//! - [`voice`]: speech for the demo. [`cli`]: the phone on a command line.
//!
//! The SIP user agent and G.711 here are this crate's own and share nothing with the server, so that a fault there is not mirrored here.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod call;
pub mod capture;
pub mod cli;
pub mod codec;
pub mod media;
mod phone;
pub mod rtp;
pub mod ua;
pub mod voice;

pub use call::{Call, CallError, CallState, Change, EndCause, Ended, Event, EventKind, IncomingCall};
pub use codec::Codec;
pub use media::{Ear, Line, Misbehave, Mouth, Switched};
pub use phone::{AutoAnswer, CallOptions, Faults, OnRefer, Phone, PhoneConfig, PhoneError, Registration};
pub use rtp::{Content, Packet};
pub use ua::message::Headers;
pub use ua::sdp::Direction;
pub use ua::transport::Transport;

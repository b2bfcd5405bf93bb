//! SIP signalling over UDP, TCP and WebSocket: calls in and out, registrations, and the guard in front of both.
//!
//! [`Sip::start`] binds the sockets and returns a handle and a stream of [`Incoming`] calls. Each call is a [`Leg`]:
//! commands return when their message is handed to its transaction, events arrive in order. Who may register or call
//! is asked of a [`Roster`]; what the media of a call should be is read and written with [`sdp`].
//!
//! # Why a core of our own
//!
//! The stack is ours from socket to dialog. A crates.io stack was meant to sit behind a guard of ours, but its only
//! port for foreign sockets (`ChannelConnection`) drops the destination of what it sends, so that UDP would need one
//! connection per peer; calls itself reliable, so that nothing lost on UDP is ever repeated; and cannot carry a request
//! with a method it does not know. A relay would have shown it false source addresses, which digest lock-out, trunks
//! and NAT handling stand on. Its queues are unbounded in four places. Guard and repairs would have been larger than
//! the transaction and dialog layers they were to save.
//!
//! # Shape
//!
//! `transport`, `tcp`, `websocket` → `guard`, `parse` (rates, framing, syntax; everything refused is answered and counted there) →
//! `core` (one task: transactions, dialogs, session timers) ↔ `access` (digest, registrar, roster) and [`Leg`].
#![forbid(unsafe_code)]

mod access;
mod authority;
mod config;
mod connections;
mod core;
mod counters;
mod digest;
mod dns;
mod given;
mod guard;
mod header;
mod known;
mod leg;
mod lockout;
mod message;
mod offer;
mod parse;
mod registrar;
mod roster;
pub mod sdp;
mod sip;
mod tcp;
mod transport;
mod uri;
mod websocket;

pub use access::PROOFS;
pub use config::{Limits, RegistrationBounds, SipConfig, Timers};
pub use counters::{Counter, Counters};
pub use digest::{Algorithm, ha1};
pub use leg::{By, HeaderList, Incoming, Leg, LegControl, LegEvent, Outgoing, SipError, Target};
pub use registrar::Contact;
pub use roster::{Binding, Credential, Identity, Party, Roster, RosterError, TokenVerdict, TrunkMatch};
pub use sip::{LocalAddrs, Sip, WebSocketPlace};
pub use transport::Transport;
pub use uri::{Uri, UriFault};

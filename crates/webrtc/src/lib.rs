//! The WebRTC engine: browsers' legs over ICE, DTLS and SRTP.
//!
//! It owns sockets, keys and connectivity, and knows nothing of rooms, signalling or codecs' insides. A leg's decrypted packets go
//! to the media plane over a [`media::path`], and what the plane sends comes back the same way. A few threads serve all legs: each
//! owns one UDP port (and, for networks without UDP, a TCP port), reads and writes it in batches, and sleeps until a packet, a
//! command or a deadline comes.
//!
//! [`WebRtc`] is the handle for the control side: it answers offers and makes them. Each leg has a [`Peer`] to renegotiate and to
//! hang up, [`Events`] that tell what happens to it, and the media end of its path.
//!
//! Nobody gets DTLS or media before an authenticated connectivity check from his address; descriptions, addresses, streams,
//! candidates, queues and half-open connections are bounded and counted in [`Counters`].
#![deny(unsafe_code)]

mod admission;
mod agent;
mod config;
mod counters;
mod engine;
mod error;
mod event;
mod format;
mod net;
mod peer;
mod port;
mod random;
mod sdp;
mod session;
#[cfg(test)]
mod session_tests;

pub use audio::Format;
pub use config::{Address, WebRtcConfig};
pub use counters::Counters;
pub use engine::{Answered, Offered, WebRtc, Wish};
pub use error::{SdpError, WebRtcError};
pub use event::{CloseReason, Events, Pair, PeerEvent, RemoteKind};
pub use format::{Agreed, FORMATS};
pub use peer::{Peer, Renegotiated};
pub use port::Transport;

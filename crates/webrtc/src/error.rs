//! What can go wrong, in words that say what to do.

use std::io;
use std::net::SocketAddr;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebRtcError {
    /// The configuration contradicts itself.
    #[error("WebRTC configuration: {0}")]
    Config(&'static str),
    /// A port cannot be bound.
    #[error(
        "cannot bind {transport} {address} for WebRTC: {source}; is it this machine's address, and is the port free?"
    )]
    Bind {
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// Address and port.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A thread or what it sleeps on cannot be made.
    #[error("cannot start a WebRTC thread: {0}")]
    Start(io::Error),
    /// No certificate could be made.
    #[error("cannot generate a DTLS certificate")]
    Certificate,
    /// All places are taken.
    #[error("all {0} places for browsers are taken; try again later or raise max_peers")]
    Full(usize),
    /// The account has its share of places.
    #[error("this account holds {0} of the places for browsers, the most one account may; hang up other calls first")]
    AccountFull(usize),
    /// Too many calls are being connected.
    #[error("{0} browsers are connecting at this moment; try again in a few seconds")]
    Connecting(usize),
    /// Too many calls of one source are being connected.
    #[error("{0} browsers are connecting from this address at this moment; try again in a few seconds")]
    SourceConnecting(usize),
    /// The thread does not keep up with commands.
    #[error("the WebRTC thread is overloaded; try again later")]
    Busy,
    /// The call is over, or the engine has stopped.
    #[error("the call's media connection is closed")]
    Gone,
    /// An answer came without an open offer of ours.
    #[error("there is no open offer that this could answer")]
    NoOffer,
    /// An offer of ours is still open.
    #[error("our first offer awaits its answer; answer it first")]
    OfferOpen,
    /// The other side's SDP cannot be used.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// The transport refused what was negotiated.
    #[error("the media transport refused the session description: {0}")]
    Refused(String),
}

/// Why a session description cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// It is too big.
    #[error("the SDP has {found} {what}, at most {most} are accepted")]
    TooBig {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many are accepted.
        most: usize,
    },
    /// A line is malformed.
    #[error("line {line} of the SDP is malformed: {why}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// No audio that can be used.
    #[error("the SDP has no active audio over DTLS-SRTP (m=audio … UDP/TLS/RTP/SAVPF)")]
    NoAudio,
    /// No format in common.
    #[error("no audio format in common: ours are {ours}, theirs {theirs}")]
    NoFormat {
        /// Ours.
        ours: String,
        /// Theirs.
        theirs: String,
    },
    /// Something WebRTC cannot do without is missing.
    #[error("the SDP lacks {0}")]
    Missing(&'static str),
    /// The certificate's hash is of a kind that is not accepted.
    #[error("fingerprints by {0} are not accepted; sha-256 is")]
    FingerprintHash(String),
    /// Both sides are ICE lite.
    #[error("both sides are ICE lite, so neither would check the connection")]
    BothLite,
    /// The certificate changed within a call.
    #[error("the DTLS fingerprint changed within the call; a new certificate needs a new call")]
    FingerprintChanged,
    /// A re-offer or answer does not fit what was agreed before.
    #[error("the SDP does not fit the session: {0}")]
    Mismatch(&'static str),
}

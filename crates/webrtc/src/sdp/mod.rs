//! Session descriptions of WebRTC (RFC 8829, RFC 8866): reading theirs, writing ours.

mod read;
mod write;

pub(crate) use read::{Audio, Description, Setup};
pub(crate) use write::{Line, Ours, write};

/// Whether a body is a WebRTC offer, to be answered by this engine, rather than one of plain RTP: it has a certificate's
/// fingerprint and ICE credentials.
pub fn is_webrtc_offer(sdp: &str) -> bool {
    let has = |prefix: &str| sdp.lines().any(|line| line.starts_with(prefix));
    has("a=fingerprint:") && has("a=ice-ufrag:")
}

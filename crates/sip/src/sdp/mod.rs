//! SDP (RFC 8866): what was said, not what we make of it; that is [`negotiate`] for plain RTP. A WebRTC description is carried
//! as the text it is: its engine reads and writes it, and nothing here changes a byte.

mod parse;
mod print;

pub mod negotiate;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use negotiate::{AudioCodec, Capabilities, Negotiated, Unusable, accept, answer, offer};

/// Largest session description, bytes.
pub const MAX_BYTES: usize = 65_536;
/// Most lines of one.
pub const MAX_LINES: usize = 500;

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `o=`.
    pub origin: Origin,
    /// `c=` of the session, or of the first medium if the session has none.
    pub connection: IpAddr,
    /// `m=` lines, in order.
    pub media: Vec<Media>,
    /// The whole text, where it is a WebRTC description.
    pub(crate) text: Option<Arc<str>>,
}

/// `o=`: identifies the session; the version grows with each change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// User name, `-` if none.
    pub username: String,
    /// Session id, as text: some peers exceed 64 bits.
    pub id: String,
    /// Version, as text for the same reason.
    pub version: String,
    /// Address, which need not be where media goes.
    pub address: IpAddr,
}

/// One `m=` line and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, …
    pub kind: String,
    /// RTP port; 0: refused or switched off.
    pub port: u16,
    /// `c=` of this medium.
    pub connection: Option<IpAddr>,
    /// `a=rtcp` (RFC 3605).
    pub rtcp: Option<Rtcp>,
    /// `RTP/AVP`, …
    pub protocol: String,
    /// Formats as written, for media that are not RTP.
    pub formats: Vec<String>,
    /// RTP payload types, in order of preference.
    pub payloads: Vec<Payload>,
    /// Direction as seen by whoever wrote this.
    pub direction: Direction,
    /// Packet time, ms.
    pub ptime: Option<u8>,
}

/// `a=rtcp:port [IN IP4 address]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtcp {
    /// Port.
    pub port: u16,
    /// Address, if it is another one.
    pub address: Option<IpAddr>,
}

/// An RTP payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// 0 to 127.
    pub number: u8,
    /// Encoding name; known for static numbers even without `a=rtpmap`.
    pub name: String,
    /// Clock rate, Hz.
    pub rate: u32,
    /// Channels.
    pub channels: u8,
    /// `a=fmtp`.
    pub fmtp: Option<String>,
}

/// Direction of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// The writer only sends.
    SendOnly,
    /// The writer only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The same direction seen from the other side.
    pub fn reversed(self) -> Direction {
        match self {
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            other => other,
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The direction of a writer who sends and receives as told.
    pub fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }
}

/// Why a text is not a session description we can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Over [`MAX_BYTES`].
    #[error("the SDP is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Over [`MAX_LINES`].
    #[error("the SDP has more than {MAX_LINES} lines")]
    TooManyLines,
    /// Not UTF-8.
    #[error("the SDP is not UTF-8 text")]
    NotText,
    /// No `v=0` at its head.
    #[error("the SDP does not begin with v=0")]
    Version,
    /// A line that cannot be read.
    #[error("SDP line {line} is malformed: {what}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What should have been there.
        what: &'static str,
    },
    /// No address for a medium.
    #[error("the SDP names no address for its media")]
    NoConnection,
    /// Given as one, but it has no `RTP/SAVPF` medium or no fingerprint.
    #[error("the SDP is no WebRTC description: it needs a medium with RTP/SAVPF and a=fingerprint")]
    NotWebRtc,
}

impl Session {
    /// Parses a body.
    pub fn parse(body: &[u8]) -> Result<Session, Fault> {
        parse::session(body)
    }

    /// A WebRTC description to be sent as it is, from the engine that made it.
    ///
    /// # Errors
    /// Those of [`Session::parse`], and [`Fault::NotWebRtc`].
    pub fn webrtc_of(text: &str) -> Result<Session, Fault> {
        let session = Session::parse(text.as_bytes())?;
        if session.text.is_some() { Ok(session) } else { Err(Fault::NotWebRtc) }
    }

    /// The whole text, untouched, if this is a WebRTC description (RFC 8829): a medium with `RTP/SAVPF`, and a fingerprint.
    pub fn webrtc(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Where RTP for a medium goes.
    pub fn rtp(&self, media: &Media) -> SocketAddr {
        SocketAddr::new(media.connection.unwrap_or(self.connection), media.port)
    }

    /// Where RTCP for a medium goes.
    pub fn rtcp(&self, media: &Media) -> SocketAddr {
        let rtp = self.rtp(media);
        match media.rtcp {
            Some(rtcp) => SocketAddr::new(rtcp.address.unwrap_or(rtp.ip()), rtcp.port),
            None => SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1)),
        }
    }

    /// The first audio medium that is not switched off.
    pub fn audio(&self) -> Option<&Media> {
        self.media.iter().find(|m| m.kind == "audio" && m.port != 0)
    }

    /// Whether the writer puts us on hold: it will not listen (`sendonly`, `inactive`, or the old `c=0.0.0.0`).
    pub fn is_hold(&self) -> bool {
        self.audio()
            .is_some_and(|m| !m.direction.receives() || (self.text.is_none() && self.rtp(m).ip().is_unspecified()))
    }
}

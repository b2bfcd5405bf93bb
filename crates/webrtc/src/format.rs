//! What an offer and an answer agree on: format, payload types, directions, terms of Opus.

use std::time::Duration;

use audio::Format;

/// The formats that browsers have, in the usual order of preference.
pub const FORMATS: [Format; 4] =
    [Format::Opus, Format::G722, Format::Narrow(audio::Codec::Pcmu), Format::Narrow(audio::Codec::Pcma)];

/// The payload type that we offer: static where RFC 3551 has one, 111 for Opus as browsers do.
pub(crate) fn offered_payload_type(format: Format) -> u8 {
    format.static_payload_type().unwrap_or(111)
}

/// The format of a payload type that needs no `rtpmap` (RFC 3551 §6).
pub(crate) fn static_format(payload_type: u8) -> Option<Format> {
    FORMATS.into_iter().find(|format| format.static_payload_type() == Some(payload_type))
}

/// What follows the payload type in an `rtpmap`.
pub(crate) fn mapping(format: Format) -> String {
    match format.announced_channels() {
        1 => format!("{}/{}", format.name(), format.clock_rate()),
        channels => format!("{}/{}/{channels}", format.name(), format.clock_rate()),
    }
}

/// Who sends, seen from our side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both send.
    #[default]
    SendRecv,
    /// Only we send.
    SendOnly,
    /// Only they send.
    RecvOnly,
    /// Nobody sends.
    Inactive,
}

impl Direction {
    /// From its two halves.
    pub fn new(send: bool, receive: bool) -> Self {
        match (send, receive) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether we send.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether we receive.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// As the other side sees it.
    pub fn seen_from_there(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both permit.
    pub fn and(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute of SDP.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(crate) fn of_attribute(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }
}

/// What the other side wants of the Opus we send it (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpusTerms {
    /// `usedtx`: it prefers discontinuous transmission.
    pub dtx: bool,
    /// `useinbandfec`: it makes use of in-band error correction.
    pub fec: bool,
    /// `maxaveragebitrate`, bit/s; 6 000 to 510 000.
    pub max_average_bitrate: Option<u32>,
    /// `maxplaybackrate`, Hz; 8 000 to 48 000. More than it can play is wasted.
    pub max_playback_rate: Option<u32>,
}

/// What was agreed for a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Format, both ways.
    pub format: Format,
    /// Its payload type, both ways.
    pub payload_type: u8,
    /// Payload type of telephone events (RFC 4733) at the format's clock rate.
    pub telephone_event: Option<u8>,
    /// What they want of Opus; defaults for other formats.
    pub opus: OpusTerms,
    /// `ptime`: the length of packet they prefer.
    pub packet_time: Option<Duration>,
    /// Whether we send. While not, what the media end sends is dropped.
    pub send: bool,
    /// Whether we receive. While not, nothing reaches the media end.
    pub receive: bool,
}

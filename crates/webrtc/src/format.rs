//! What an offer and an answer agree on: format, payload types, directions, terms of Opus.

use audio::Format;
use media::{Carrier, LegSetup, LegUpdate, MediaEnd, OpusTerms};

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

/// Who sends, seen from whoever says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Both send.
    #[default]
    SendRecv,
    /// Only the one who says it.
    SendOnly,
    /// Only the other.
    RecvOnly,
    /// Nobody sends.
    Inactive,
}

impl Direction {
    /// From its two halves.
    pub(crate) fn new(send: bool, receive: bool) -> Self {
        match (send, receive) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub(crate) fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// As the other side sees it.
    pub(crate) fn seen_from_there(self) -> Self {
        Self::new(self.receives(), self.sends())
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

/// What was agreed for a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Format, both ways.
    pub format: Format,
    /// Its payload type, both ways.
    pub payload_type: u8,
    /// Payload type of telephone events (RFC 4733) at the format's clock rate.
    pub telephone_event: Option<u8>,
    /// What they want of the Opus we send (RFC 7587 §6.1); defaults for other formats.
    pub opus: OpusTerms,
    /// Whether we send. While not, what the media end sends is dropped.
    pub send: bool,
    /// Whether we receive. While not, nothing reaches the media end.
    pub receive: bool,
}

impl Agreed {
    /// The leg of whoever agreed to this; `media` is where his packets come from.
    pub fn leg(&self, media: MediaEnd) -> LegSetup {
        LegSetup {
            telephone_event: self.telephone_event,
            opus: self.opus,
            receive: self.receive,
            send: self.send,
            ..LegSetup::new(Carrier::Path(media), self.format, self.payload_type)
        }
    }

    /// What changes about his leg when this was agreed anew.
    pub fn update(&self) -> LegUpdate {
        LegUpdate {
            format: Some((self.format, self.payload_type)),
            telephone_event: Some(self.telephone_event),
            opus: Some(self.opus),
            receive: Some(self.receive),
            send: Some(self.send),
            ..LegUpdate::default()
        }
    }
}

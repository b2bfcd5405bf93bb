//! What there is to know about a call: states, events, errors, changes.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::codec::Codec;
use crate::media::LineError;
use crate::ua::message::Headers;
use crate::ua::sdp::Direction;

/// Where a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallState {
    /// INVITE sent or received, nothing else yet.
    Trying,
    /// 180 or another provisional without media.
    Ringing,
    /// Provisional with a session description: media may flow.
    Early,
    /// 200 sent or received: media flows.
    Answered,
    /// Over.
    Ended(Ended),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub cause: EndCause,
    /// Final status code of the INVITE if it was refused.
    pub code: Option<u16>,
    /// Reason header (RFC 3326) of the BYE or CANCEL, or the reason phrase of the refusal.
    pub reason: Option<String>,
    /// Header fields of the ending message, if one was received.
    pub headers: Headers,
    /// When.
    pub at: Instant,
}

/// Why a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndCause {
    /// We said BYE.
    LocalHangup,
    /// They said BYE.
    RemoteHangup,
    /// The INVITE was refused.
    Refused,
    /// The INVITE was cancelled before an answer, by whoever sent it.
    Cancelled,
    /// No answer to a request, or no ACK, in time.
    TimedOut,
    /// Offer and answer did not fit; the text says how.
    Media(String),
    /// The phone was stopped.
    Unplugged,
}

/// Something that happened in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A provisional response came (101–199).
    Progress {
        /// Status code.
        code: u16,
        /// It had a session description.
        early_media: bool,
        /// Its header fields.
        headers: Headers,
    },
    /// 200 came or was sent.
    Answered,
    /// The ACK for our 200 came.
    Acknowledged,
    /// The other side changed the session by re-INVITE or UPDATE; the directions are theirs and ours.
    Renegotiated {
        /// In their description.
        theirs: Direction,
        /// In ours.
        ours: Direction,
    },
    /// Another request in the dialog.
    Request {
        /// Method.
        method: String,
        /// Header fields.
        headers: Headers,
        /// Body.
        body: Vec<u8>,
        /// The code we answered with.
        answered: u16,
    },
    /// The call ended.
    Ended(Ended),
}

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Over.
    #[error("the call has ended: {:?} {}", .0.cause, .0.reason.as_deref().unwrap_or(""))]
    Ended(Box<Ended>),
    /// The other side refused.
    #[error("refused with {code} {reason}")]
    Refused {
        /// Status code.
        code: u16,
        /// Reason phrase.
        reason: String,
    },
    /// It did not happen in time.
    #[error("nothing within {0:?}")]
    TimedOut(Duration),
    /// Not in this state.
    #[error("not possible while the call is {0}; wait for the answer first")]
    WrongState(&'static str),
    /// Offer and answer do not fit.
    #[error("session description: {0}")]
    Media(String),
    /// Line trouble.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The phone was stopped.
    #[error("the phone was stopped")]
    Unplugged,
}

/// A change of the session by re-INVITE. Fields left `None` stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Direction to offer.
    pub direction: Option<Direction>,
    /// Codecs to offer, in order.
    pub codecs: Option<Vec<Codec>>,
    /// Move media to a new port pair (new SSRC; the old ear stays in [`Call::earlier_lines`]).
    pub new_port: bool,
    /// Advertise this address instead of the real one.
    pub advertise: Option<IpAddr>,
    /// Extra header fields.
    pub headers: Vec<(String, String)>,
}

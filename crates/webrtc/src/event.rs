//! What a leg tells of itself while it lives.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::port::Transport;

/// Events that wait at most; the last one always has room.
const WAITING: usize = 16;

/// How the other side's address was learnt (RFC 8445 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteKind {
    /// An address of the machine itself.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// A relay's (TURN).
    Relayed,
    /// Seen by us alone: also what browsers hide behind mDNS names.
    PeerReflexive,
}

/// The connection in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What carries it.
    pub transport: Transport,
    /// Our address as candidates say it.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
    /// How theirs was learnt.
    pub remote_kind: RemoteKind,
}

/// Something that happened to a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// ICE and DTLS succeeded, or ICE works again after [`PeerEvent::Disconnected`].
    Connected {
        /// The connection.
        pair: Pair,
        /// Since connecting began; zero after a disconnection.
        after: Duration,
    },
    /// Nothing was heard for [`crate::WebRtcConfig::disconnected_after`]; the leg waits for its return.
    Disconnected,
    /// Another connection is in use: the other side moved, or chose a better one.
    Moved {
        /// The connection.
        pair: Pair,
    },
    /// The leg is gone. Always the last event.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a leg is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    Local,
    /// They closed it (DTLS close_notify).
    Remote,
    /// No connection check succeeded in time.
    NoConnection,
    /// A connection was there, but no DTLS handshake in time.
    NoHandshake,
    /// Nothing was heard for [`crate::WebRtcConfig::failed_after`].
    Lost,
    /// Their certificate is not the one their SDP announced.
    WrongFingerprint,
    /// DTLS failed.
    Dtls,
    /// The engine stopped.
    Stopped,
    /// An error of ours.
    Fault,
}

impl CloseReason {
    /// Whether it ended otherwise than by being hung up.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Local | Self::Remote | Self::Stopped)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "closed here",
            Self::Remote => "closed by the other side",
            Self::NoConnection => {
                "no connection to the browser: are the WebRTC ports open, is the advertised address right, does it need TURN?"
            }
            Self::NoHandshake => "the browser is reachable but did not complete DTLS",
            Self::Lost => "the browser was not heard for too long",
            Self::WrongFingerprint => "the browser's certificate is not the one its SDP announced; someone may sit in between",
            Self::Dtls => "DTLS failed",
            Self::Stopped => "the server stops",
            Self::Fault => "an internal error; the log has more",
        })
    }
}

/// What happened to a leg, in order.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<PeerEvent>);

impl Events {
    /// The next event; `None` after the last. Safe to cancel.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        self.0.recv().await
    }
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Announcer {
    events: mpsc::Sender<PeerEvent>,
    /// Room for the last event, whatever happens.
    last: Option<mpsc::OwnedPermit<PeerEvent>>,
}

impl Announcer {
    pub(crate) fn new() -> (Self, Events) {
        let (events, receiver) = mpsc::channel(WAITING + 1);
        let last = events.clone().try_reserve_owned().ok();
        (Self { events, last }, Events(receiver))
    }

    /// Tells of an event; false if nobody took the earlier ones.
    pub(crate) fn tell(&self, event: PeerEvent) -> bool {
        !matches!(self.events.try_send(event), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Tells of the end.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        if let Some(last) = self.last.take() {
            last.send(PeerEvent::Closed { reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_even_if_nobody_took_what_came_before() {
        let (mut announcer, mut events) = Announcer::new();
        let told = (0..40).filter(|_| announcer.tell(PeerEvent::Disconnected)).count();
        assert_eq!(told, WAITING);
        announcer.end(CloseReason::Lost);
        drop(announcer);
        let mut last = None;
        while let Ok(event) = events.0.try_recv() {
            last = Some(event);
        }
        assert_eq!(last, Some(PeerEvent::Closed { reason: CloseReason::Lost }));
    }
}

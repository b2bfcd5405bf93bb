//! What carries a leg's packets: a port pair of its own, or a path to a transport on another thread.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::rtp::{HEADER, write_header};
use super::{Context, Leg};
use crate::Ports;
use crate::fact::Note;
use crate::mutation::{self, Mutation};
use crate::net::{Net, Sent};
use crate::path::{MediaEnd, PathPacket};

/// How a leg's packets come and go.
#[derive(Debug)]
pub enum Carrier {
    /// Plain RTP on a port pair.
    Rtp {
        /// The pair.
        ports: Ports,
        /// Where the SDP says the far side receives; `None` until known: nothing is sent or believed.
        remote: Option<SocketAddr>,
        /// Where its RTCP goes; `None`: the next port.
        remote_rtcp: Option<SocketAddr>,
        /// Where its signalling comes from; may prove itself as the media source behind NAT.
        signalling_source: IpAddr,
    },
    /// Rings to and from a transport that owns sockets, encryption, SSRC and RTCP. It is believed whatever it delivers; when it
    /// goes, [`crate::Fact::MediaTimeout`] is told.
    Path(MediaEnd),
}

/// The same, as a leg holds it.
pub(super) enum Wire {
    Rtp(Ports),
    Path(Box<Line>),
}

/// A path and what had arrived when hearing was last widened.
pub(super) struct Line {
    end: MediaEnd,
    /// Packets that arrived before this count as the newest before the widening, whenever they come out of the ring.
    stale_before: Duration,
    stale_mark: u64,
    dropped: u64,
}

impl Wire {
    pub(super) fn path(end: MediaEnd) -> Self {
        Self::Path(Box::new(Line { end, stale_before: Duration::ZERO, stale_mark: 0, dropped: 0 }))
    }

    /// The port pair, if it is one.
    pub(super) fn ports(&mut self) -> Option<&mut Ports> {
        match self {
            Self::Rtp(ports) => Some(ports),
            Self::Path(_) => None,
        }
    }

    pub(super) fn is_path(&self) -> bool {
        matches!(self, Self::Path(_))
    }

    /// Loss of what was sent, in percent, where a path reports it.
    pub(super) fn loss(&self) -> Option<u8> {
        match self {
            Self::Rtp(_) => None,
            Self::Path(line) => Some(line.end.loss()),
        }
    }
}

impl Leg {
    /// Reads what waits in the path's ring.
    pub(super) fn read_path(&mut self, cx: &mut Context<'_>) {
        // The ring is bounded; what is delivered meanwhile waits for the next tick.
        for _ in 0..super::inbound::PER_DRAIN {
            let Wire::Path(line) = &mut self.wire else { return };
            let Some(packet) = line.end.receive() else { break };
            // A clock that runs ahead must not make anything newer than it is.
            let arrival = packet.arrival.min(cx.now);
            let stale = (arrival < line.stale_before).then_some(line.stale_mark);
            let packet = super::rtp::RtpPacket {
                marker: packet.marker,
                payload_type: packet.payload_type,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                ssrc: 0,
                payload: packet.payload(),
            };
            let Some(is_event) = self.kind_of(&packet, cx) else { continue };
            self.take_believed(cx, &packet, is_event, arrival, stale);
        }
        let Wire::Path(line) = &mut self.wire else { return };
        let dropped = line.end.inbound_dropped() + line.end.outbound_dropped();
        cx.counters.path_dropped.add(dropped.saturating_sub(line.dropped));
        line.dropped = dropped;
        if !self.timeout_told && line.end.is_abandoned() {
            self.timeout_told = self.owed.add(Note::MediaTimeout { leg: self.id });
        }
    }

    /// Everything that arrived at the transport by now counts as arrived before `cx.arrivals` as it stands.
    pub(super) fn drain_path(&mut self, cx: &mut Context<'_>) {
        self.read_path(cx);
        if mutation::active(Mutation::PathTakenAsNew) {
            return;
        }
        if let Wire::Path(line) = &mut self.wire {
            line.stale_before = cx.now;
            line.stale_mark = cx.arrivals.saturating_sub(1);
            self.newest_mark = self.newest_mark.max(line.stale_mark);
        }
    }

    /// Whether anything that is sent would go anywhere.
    pub(super) fn has_destination(&self) -> bool {
        self.wire.is_path() || self.latch.destination().is_some()
    }

    /// Sends a packet with the next sequence number.
    pub(super) fn put(
        &mut self,
        net: &mut impl Net,
        cx: &mut Context<'_>,
        marker: bool,
        kind: u8,
        timestamp: u32,
        payload: &[u8],
    ) {
        let sent = match &mut self.wire {
            Wire::Rtp(ports) => {
                let Some(to) = self.latch.destination() else { return };
                let mut header = [0u8; HEADER];
                write_header(&mut header, marker, kind, self.sequence, timestamp, self.ssrc);
                net.send(&mut ports.rtp, to, &header, payload)
            }
            Wire::Path(line) => {
                let packet = PathPacket::new(kind, self.sequence, timestamp, payload);
                let sent = packet.is_some_and(|mut packet| {
                    packet.marker = marker;
                    line.end.send(packet)
                });
                if sent { Sent::Yes } else { Sent::No }
            }
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.stats.packets_sent += 1;
        self.stats.bytes_sent += payload.len() as u64;
        match sent {
            Sent::Yes => cx.counters.rtp_sent.one(),
            Sent::No => cx.counters.send_failures.one(),
        }
    }
}

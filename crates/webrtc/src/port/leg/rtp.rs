//! Media of a leg: their streams and what is delivered of them, and what is sent.

use media::PathPacket;
use str0m::Input;
use str0m::Rtc;
use str0m::media::Mid;
use str0m::rtp::{RtpPacket, RtpWrite, SeqNo, Ssrc};

use super::{Io, Leg, Phase};
use crate::event::CloseReason;

/// Streams that a leg may send at once; browsers send one.
const STREAMS: usize = 8;
/// Packets of a path that are sent in one go.
const BURST: usize = 16;

/// A stream of theirs.
struct Stream {
    ssrc: u32,
    /// A packet of it passed authentication.
    proved: bool,
}

/// Their streams.
#[derive(Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    /// Sees to it that a stream is known before its first packet: descriptions need not announce it. False: there are too many.
    fn expect(&mut self, ssrc: u32, rtc: &mut Rtc, mid: Mid) -> bool {
        if self.0.iter().any(|stream| stream.ssrc == ssrc) {
            return true;
        }
        let mut api = rtc.direct_api();
        if self.0.len() == STREAMS {
            // Anyone who can forge an address can invent streams; those that proved themselves stay.
            let Some(index) = self.0.iter().position(|stream| !stream.proved) else { return false };
            api.remove_stream_rx(Ssrc::from(self.0.swap_remove(index).ssrc));
        }
        self.0.push(Stream { ssrc, proved: false });
        api.expect_stream_rx(Ssrc::from(ssrc), None, mid, None).suppress_nack(true);
        true
    }

    fn proved(&mut self, ssrc: u32) {
        if let Some(stream) = self.0.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.proved = true;
        }
    }
}

impl Leg {
    /// Whether a packet of this payload type and stream may be looked at.
    pub(super) fn expect(&mut self, payload_type: u8, ssrc: u32) -> bool {
        let known = self.gate.is_some_and(|gate| gate.knows(payload_type));
        known && self.secured() && ssrc != 0 && self.streams.expect(ssrc, &mut self.rtc, self.mid)
    }

    /// Gives a packet that passed authentication to the media plane.
    pub(super) fn deliver(&mut self, io: &mut Io<'_>, packet: &RtpPacket) {
        self.streams.proved(*packet.header.ssrc);
        let mut arrived = packet.timestamp;
        if let Some((from, at)) = self.source {
            arrived = at;
            self.contacts.heard_from(&from, io.now);
            io.routes.heard(&from, self.key, io.now);
        }
        self.back(io);
        let payload_type = *packet.header.payload_type;
        let Some(gate) = self.gate.filter(|gate| gate.knows(payload_type)) else {
            return io.counts.packets_refused.add(1);
        };
        if !gate.receive {
            return io.counts.packets_held.add(1);
        }
        let header = &packet.header;
        let Some(mut given) = PathPacket::new(payload_type, header.sequence_number, header.timestamp, &packet.payload)
        else {
            return io.counts.packets_refused.add(1);
        };
        given.marker = header.marker;
        given.arrival = arrived.saturating_duration_since(io.clock);
        if !self.path.deliver(given) {
            io.counts.packets_overrun.add(1);
        }
    }

    /// Sends what the media shard has put into the path.
    pub(in crate::port) fn send(&mut self, io: &mut Io<'_>) -> Result<(), CloseReason> {
        let mut wrote = false;
        for _ in 0..BURST {
            let Some(packet) = self.path.next() else { break };
            wrote |= self.write(io, &packet);
        }
        if wrote { self.handle(io, Input::Timeout(io.now)) } else { Ok(()) }
    }

    fn write(&mut self, io: &Io<'_>, packet: &PathPacket) -> bool {
        let Some(gate) = self.gate else { return false };
        // Before the handshake there are no keys; after a silence there is no consent to send (RFC 7675).
        if self.phase != Phase::Connected {
            return false;
        }
        if !gate.send {
            io.counts.packets_held.add(1);
            return false;
        }
        if !gate.knows(packet.payload_type) {
            io.counts.packets_refused.add(1);
            return false;
        }
        let sequence = extended(self.last_sent, packet.sequence);
        self.last_sent = Some(self.last_sent.map_or(sequence, |last| last.max(sequence)));
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else { return false };
        let sequence = SeqNo::from(sequence);
        let write = RtpWrite::new(packet.payload_type.into(), sequence, packet.timestamp, io.now, packet.payload());
        stream.write_rtp(write.marker(packet.marker));
        true
    }
}

/// A sequence number with its roll-overs, near the highest so far.
fn extended(highest: Option<u64>, sequence: u16) -> u64 {
    let Some(highest) = highest else { return sequence.into() };
    let step = sequence.wrapping_sub(highest as u16).cast_signed();
    highest.checked_add_signed(step.into()).unwrap_or_else(|| sequence.into())
}

#[cfg(test)]
mod tests {
    use super::extended;

    #[test]
    fn sequence_numbers_roll_over_and_come_late() {
        assert_eq!(extended(None, 65_000), 65_000);
        assert_eq!(extended(Some(65_535), 0), 65_536);
        assert_eq!(extended(Some(65_536), 65_534), 65_534);
        assert_eq!(extended(Some(3), 65_535), 65_535);
        assert_eq!(extended(Some(200_000), (200_010u64 & 0xffff) as u16), 200_010);
    }
}

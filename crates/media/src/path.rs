//! Paths: how the packets of a leg whose sockets are elsewhere reach its shard. A WebRTC engine owns ICE, DTLS and SRTP on a thread
//! of its own; what it has decrypted comes here, and what a leg sends goes there to be encrypted.
//!
//! A path is a pair of bounded single-producer rings of packets in place: nothing is allocated or locked, and whatever finds a
//! full ring is dropped and counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// Longest RTP payload that passes, bytes: the longest Opus packet of one frame (RFC 6716 §3.4) and a byte of its table of contents.
pub const LONGEST_PAYLOAD: usize = 1_276;
/// Packets that wait for the shard at most (640 ms of 20 ms packets).
const INBOUND: usize = 32;
/// Packets that wait to be encrypted at most.
const OUTBOUND: usize = 8;

/// An RTP packet without its SSRC, which is the path's own.
#[derive(Clone, Copy)]
pub struct PathPacket {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in the format's RTP clock.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// Payload type.
    pub payload_type: u8,
    /// When its datagram arrived, on the media plane's clock ([`crate::MediaPlane::now`]). Who is let in to hear its sender later
    /// than that does not hear it. Of no meaning outbound.
    pub arrival: Duration,
    len: u16,
    payload: [u8; LONGEST_PAYLOAD],
}

impl PathPacket {
    /// A packet with this payload. `None` if it is longer than [`LONGEST_PAYLOAD`].
    pub fn new(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST_PAYLOAD];
        bytes.get_mut(..payload.len())?.copy_from_slice(payload);
        let len = payload.len() as u16;
        Some(Self { sequence, timestamp, marker: false, payload_type, arrival: Duration::ZERO, len, payload: bytes })
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.payload.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl fmt::Debug for PathPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathPacket")
            .field("sequence", &self.sequence)
            .field("timestamp", &self.timestamp)
            .field("payload_type", &self.payload_type)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Told when something waits to be sent. Called in a shard's tick: it must not block, lock or allocate, and costs least when
/// the transport is awake.
pub trait Wake: Send + Sync {
    /// Something waits.
    fn wake(&self);
}

/// What both ends count.
#[derive(Debug, Default)]
struct Counts {
    inbound_dropped: AtomicU64,
    outbound_dropped: AtomicU64,
    /// Of what the leg sent, percent.
    loss: AtomicU8,
}

/// The end that a leg owns; it moves with the leg from shard to shard.
pub struct MediaEnd {
    incoming: rtrb::Consumer<PathPacket>,
    outgoing: rtrb::Producer<PathPacket>,
    wake: Arc<dyn Wake>,
    counts: Arc<Counts>,
}

/// The end of the thread that owns the sockets.
pub struct TransportEnd {
    incoming: rtrb::Producer<PathPacket>,
    outgoing: rtrb::Consumer<PathPacket>,
    counts: Arc<Counts>,
}

/// A new path.
pub fn path(wake: Arc<dyn Wake>) -> (MediaEnd, TransportEnd) {
    let (to_media, from_transport) = rtrb::RingBuffer::new(INBOUND);
    let (to_transport, from_media) = rtrb::RingBuffer::new(OUTBOUND);
    let counts = Arc::<Counts>::default();
    let media = MediaEnd { incoming: from_transport, outgoing: to_transport, wake, counts: counts.clone() };
    (media, TransportEnd { incoming: to_media, outgoing: from_media, counts })
}

impl MediaEnd {
    /// The next packet that arrived.
    pub fn receive(&mut self) -> Option<PathPacket> {
        self.incoming.pop().ok()
    }

    /// Hands over a packet for sending; false if the transport is behind and the packet was dropped.
    pub fn send(&mut self, packet: PathPacket) -> bool {
        let taken = self.outgoing.push(packet).is_ok();
        if !taken {
            self.counts.outbound_dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.wake.wake();
        taken
    }

    /// Whether the other end is gone: nothing will come any more.
    pub fn is_abandoned(&self) -> bool {
        self.outgoing.is_abandoned()
    }

    /// Loss of what was sent, in percent, as the far side last reported it; 0 before.
    pub fn loss(&self) -> u8 {
        self.counts.loss.load(Ordering::Relaxed)
    }

    /// Packets dropped because the shard read too seldom.
    pub fn inbound_dropped(&self) -> u64 {
        self.counts.inbound_dropped.load(Ordering::Relaxed)
    }

    /// Packets dropped because the transport was behind.
    pub fn outbound_dropped(&self) -> u64 {
        self.counts.outbound_dropped.load(Ordering::Relaxed)
    }
}

impl TransportEnd {
    /// Hands a received packet to the leg; false if its ring is full and the packet was dropped.
    pub fn deliver(&mut self, packet: PathPacket) -> bool {
        let taken = self.incoming.push(packet).is_ok();
        if !taken {
            self.counts.inbound_dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// The next packet to send.
    #[allow(clippy::should_implement_trait, reason = "an iterator would be taken to end")]
    pub fn next(&mut self) -> Option<PathPacket> {
        self.outgoing.pop().ok()
    }

    /// Tells how much of what was sent the far side reports as lost, in percent: what is sent then is made to bear it.
    pub fn set_loss(&self, percent: u8) {
        self.counts.loss.store(percent.min(100), Ordering::Relaxed);
    }

    /// Whether the leg is gone: what is delivered is read by nobody.
    pub fn is_abandoned(&self) -> bool {
        self.incoming.is_abandoned()
    }
}

impl fmt::Debug for MediaEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaEnd").finish_non_exhaustive()
    }
}

impl fmt::Debug for TransportEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportEnd").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;
    impl Wake for Nobody {
        fn wake(&self) {}
    }

    fn packet(sequence: u16) -> PathPacket {
        PathPacket::new(111, sequence, u32::from(sequence) * 960, &[1, 2, 3]).expect("a short payload")
    }

    #[test]
    fn packets_come_in_order_and_those_that_find_no_room_are_counted() {
        let (mut media, mut transport) = path(Arc::new(Nobody));
        for sequence in 0..40 {
            assert_eq!(transport.deliver(packet(sequence)), sequence < 32);
        }
        assert_eq!(media.inbound_dropped(), 8);
        for sequence in 0..32 {
            let got = media.receive().expect("it waits");
            assert_eq!((got.sequence, got.payload()), (sequence, &[1u8, 2, 3][..]));
        }
        assert!(media.receive().is_none());
        for sequence in 0..10 {
            assert_eq!(media.send(packet(sequence)), sequence < 8);
        }
        assert_eq!(media.outbound_dropped(), 2);
        assert_eq!(transport.next().map(|p| p.sequence), Some(0));
    }

    #[test]
    fn each_end_sees_that_the_other_is_gone() {
        let (media, transport) = path(Arc::new(Nobody));
        assert!(!media.is_abandoned() && !transport.is_abandoned());
        drop(media);
        assert!(transport.is_abandoned());
        let (media, transport) = path(Arc::new(Nobody));
        drop(transport);
        assert!(media.is_abandoned());
    }

    #[test]
    fn a_payload_that_is_too_long_is_no_packet() {
        assert!(PathPacket::new(111, 1, 2, &[0; LONGEST_PAYLOAD]).is_some());
        assert!(PathPacket::new(111, 1, 2, &[0; LONGEST_PAYLOAD + 1]).is_none());
    }
}

//! The transport that stands between a simulated browser and its leg: what arrives is handed to the path, what the leg sends leaves.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::phone::PhoneId;
use crate::leg::rtp::{self, HEADER, write_header};
use crate::net::Received;
use crate::net::VirtualPort;
use crate::net::virtual_net::{Departed, SharedWorld};
use crate::path::{MediaEnd, PathPacket, TransportEnd, Wake, path};

/// Longest datagram.
const DATAGRAM: usize = 2_048;

struct Asleep;

impl Wake for Asleep {
    fn wake(&self) {}
}

/// A browser's transport.
pub(super) struct Browser {
    pub phone: PhoneId,
    port: VirtualPort,
    transport: Option<TransportEnd>,
    to: SocketAddr,
    ssrc: u32,
    /// How long it takes to hand over what has arrived.
    lag: Duration,
    /// What has arrived and when it is handed over.
    busy_with: VecDeque<(Duration, PathPacket)>,
}

impl Browser {
    /// A transport on a port of the simulated network, and the leg's end of its path.
    pub(super) fn new(phone: PhoneId, to: SocketAddr, port: VirtualPort) -> (Self, MediaEnd) {
        let (media, transport) = path(Arc::new(Asleep));
        let ssrc = 0x6272_0000 | u32::from(port.number());
        let (lag, busy_with) = (Duration::ZERO, VecDeque::new());
        (Self { phone, port, transport: Some(transport), to, ssrc, lag, busy_with }, media)
    }

    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Ends, as when ICE fails.
    pub(super) fn abandon(&mut self) {
        self.transport = None;
    }

    pub(super) fn set_loss(&mut self, percent: u8) {
        if let Some(transport) = &self.transport {
            transport.set_loss(percent);
        }
    }

    pub(super) fn set_lag(&mut self, lag: Duration) {
        self.lag = lag;
    }

    /// Hands over what has arrived.
    pub(super) fn deliver(&mut self, now: Duration, world: &SharedWorld) {
        let Some(transport) = &mut self.transport else { return };
        let mut buffer = [0; DATAGRAM];
        while let Received::Packet { len, age, .. } = world.receive(self.port.number(), &mut buffer) {
            let Some(packet) = buffer.get(..len).and_then(rtp::parse) else { continue };
            let Some(mut ours) =
                PathPacket::new(packet.payload_type, packet.sequence, packet.timestamp, packet.payload)
            else {
                continue;
            };
            (ours.marker, ours.arrival) = (packet.marker, now.saturating_sub(age));
            self.busy_with.push_back((now + self.lag, ours));
        }
        while let Some((_, packet)) = self.busy_with.pop_front_if(|(due, _)| *due <= now) {
            transport.deliver(packet);
        }
    }

    /// Sends what the leg has handed over.
    pub(super) fn send(&mut self, now: Duration, world: &SharedWorld) {
        let Some(transport) = &mut self.transport else { return };
        while let Some(packet) = transport.next() {
            let mut header = [0; HEADER];
            write_header(&mut header, packet.marker, packet.payload_type, packet.sequence, packet.timestamp, self.ssrc);
            let bytes = [&header[..], packet.payload()].concat();
            world.depart(Departed { at: now, from: self.port.number(), to: self.to, bytes });
        }
    }
}

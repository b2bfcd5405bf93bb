//! What a wake-up has to send, so that it leaves in one go.

use std::net::SocketAddr;

use str0m::net::DatagramSend;

use super::Transport;
use super::contact::Endpoint;

/// A datagram to send over UDP.
pub(super) struct Letter {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: DatagramSend,
}

#[derive(Default)]
pub(super) struct Outbox {
    pub udp: Vec<Letter>,
    /// Over TCP: the connection is known by its remote address.
    pub tcp: Vec<(SocketAddr, DatagramSend)>,
    /// TCP connections whose leg is gone, to be closed when all is sent.
    pub closing: Vec<SocketAddr>,
}

impl Outbox {
    pub(super) fn push(&mut self, endpoint: Endpoint, bytes: DatagramSend) {
        match endpoint.transport {
            Transport::Udp => self.udp.push(Letter { local: endpoint.local, remote: endpoint.remote, bytes }),
            Transport::Tcp => self.tcp.push((endpoint.remote, bytes)),
        }
    }

    pub(super) fn close(&mut self, remote: SocketAddr) {
        self.closing.push(remote);
    }
}

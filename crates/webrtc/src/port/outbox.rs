//! What a wake-up has to send, so that it leaves in one go.

use std::net::SocketAddr;

use str0m::net::DatagramSend;

use super::Transport;
use super::route::Endpoint;
use super::tcp::Ends;

/// A datagram to send over UDP.
pub(super) struct Letter {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: DatagramSend,
}

#[derive(Default)]
pub(super) struct Outbox {
    pub udp: Vec<Letter>,
    /// Over TCP.
    pub tcp: Vec<(Ends, DatagramSend)>,
    /// TCP connections whose leg is gone, to be closed when all is sent.
    pub closing: Vec<Ends>,
}

impl Outbox {
    pub(super) fn push(&mut self, endpoint: Endpoint, bytes: DatagramSend) {
        match endpoint.transport {
            Transport::Udp => self.udp.push(Letter { local: endpoint.local, remote: endpoint.remote, bytes }),
            Transport::Tcp => self.tcp.push((Ends::of(&endpoint), bytes)),
        }
    }

    /// The leg gives this endpoint up: a connection has no other use.
    pub(super) fn release(&mut self, endpoint: &Endpoint) {
        if endpoint.transport == Transport::Tcp {
            self.closing.push(Ends::of(endpoint));
        }
    }
}

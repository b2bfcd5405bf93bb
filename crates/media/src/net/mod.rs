//! The shard's only way to the network: non-blocking datagrams, real or simulated.

pub(crate) mod os;
pub(crate) mod virtual_net;

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use virtual_net::VirtualPort;

/// A bound UDP port of a leg.
#[derive(Debug)]
pub(crate) enum Socket {
    /// A port of the operating system.
    Udp(os::UdpPort),
    /// A port of the simulator.
    Virtual(VirtualPort),
}

/// What a receive found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A datagram of `len` bytes (longer ones are cut to the buffer) that came `age` ago.
    Packet { len: usize, from: SocketAddr, age: Duration },
    /// Nothing is waiting.
    Empty,
    /// The system reported an error of the path (ICMP); more may be waiting.
    Refused,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// On its way.
    Yes,
    /// Dropped here: no buffer space, or the system refused it.
    No,
}

/// A network. Nothing in it blocks.
pub(crate) trait Net {
    /// A sub-slot begins.
    fn begin_slot(&mut self) {}
    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Received;
    /// Sends a datagram of two parts, one after the other; together at most [`crate::leg::LONGEST_WIDE`] bytes.
    fn send(&mut self, socket: &mut Socket, to: SocketAddr, head: &[u8], body: &[u8]) -> Sent;
    /// Lets only `to` in from now on; packets that wait already may still come from others.
    fn connect(&mut self, socket: &mut Socket, to: SocketAddr);
    /// Lets anyone in again.
    fn disconnect(&mut self, socket: &mut Socket);
}

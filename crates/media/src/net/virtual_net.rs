//! A simulated network: datagrams in flight with their arrival times, and a record of everything sent.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Net, Received, Sent, Socket};

/// Datagrams a port keeps at most, as a kernel's buffer would.
const BUFFER: usize = 256;

/// A datagram that left one of our ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Simulated time, since the start.
    pub at: Duration,
    /// The port it left from.
    pub from: u16,
    /// Where it went.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    arrives: Duration,
    order: u64,
    from: SocketAddr,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Port {
    in_flight: BinaryHeap<Reverse<InFlight>>,
    connected: Option<(SocketAddr, Duration)>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub now: Duration,
    order: u64,
    ports: BTreeMap<u16, Port>,
    /// Refused by a connected port or a full buffer.
    pub refused: u64,
    pub departed: Vec<Departed>,
}

/// A bound port; dropping it closes it.
#[derive(Debug)]
pub(crate) struct VirtualPort {
    port: u16,
    world: SharedWorld,
}

impl VirtualPort {
    pub(crate) fn number(&self) -> u16 {
        self.port
    }
}

impl Drop for VirtualPort {
    fn drop(&mut self) {
        self.world.lock().ports.remove(&self.port);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bind(&self, port: u16) -> std::io::Result<VirtualPort> {
        let mut world = self.lock();
        if world.ports.contains_key(&port) {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
        world.ports.insert(port, Port::default());
        Ok(VirtualPort { port, world: self.clone() })
    }

    /// The next datagram that has arrived at a port.
    pub(crate) fn receive(&self, port: u16, buffer: &mut [u8]) -> Received {
        self.lock().receive(port, buffer)
    }

    /// Records a datagram that leaves.
    pub(crate) fn depart(&self, departed: Departed) {
        self.lock().departed.push(departed);
    }

    /// Puts a datagram in flight towards one of our ports.
    pub(crate) fn launch(&self, from: SocketAddr, to: u16, arrives: Duration, bytes: Vec<u8>) {
        let mut world = self.lock();
        world.order += 1;
        let order = world.order;
        if let Some(port) = world.ports.get_mut(&to) {
            port.in_flight.push(Reverse(InFlight { arrives, order, from, bytes }));
        }
    }
}

impl World {
    fn receive(&mut self, number: u16, buffer: &mut [u8]) -> Received {
        let now = self.now;
        let Some(port) = self.ports.get_mut(&number) else { return Received::Empty };
        while port.in_flight.len() > BUFFER && port.in_flight.peek().is_some_and(|Reverse(p)| p.arrives <= now) {
            port.in_flight.pop();
            self.refused += 1;
        }
        while port.in_flight.peek().is_some_and(|Reverse(p)| p.arrives <= now) {
            let Some(Reverse(packet)) = port.in_flight.pop() else { break };
            let blocked = port.connected.is_some_and(|(peer, since)| packet.arrives > since && packet.from != peer);
            if blocked {
                self.refused += 1;
                continue;
            }
            let len = packet.bytes.len().min(buffer.len());
            if let (Some(out), Some(bytes)) = (buffer.get_mut(..len), packet.bytes.get(..len)) {
                out.copy_from_slice(bytes);
            }
            return Received::Packet { len, from: packet.from, age: now.saturating_sub(packet.arrives) };
        }
        Received::Empty
    }
}

/// The simulated network as a shard uses it.
#[derive(Debug)]
pub(crate) struct VirtualNet(pub SharedWorld);

impl Net for VirtualNet {
    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Received {
        let Socket::Virtual(port) = socket else { return Received::Empty };
        self.0.lock().receive(port.port, buffer)
    }

    fn send(&mut self, socket: &mut Socket, to: SocketAddr, head: &[u8], body: &[u8]) -> Sent {
        let Socket::Virtual(port) = socket else { return Sent::No };
        let mut world = self.0.lock();
        let at = world.now;
        world.departed.push(Departed { at, from: port.port, to, bytes: [head, body].concat() });
        Sent::Yes
    }

    fn connect(&mut self, socket: &mut Socket, to: SocketAddr) {
        let Socket::Virtual(port) = socket else { return };
        let mut world = self.0.lock();
        let now = world.now;
        if let Some(port) = world.ports.get_mut(&port.port) {
            port.connected = Some((to, now));
        }
    }

    fn disconnect(&mut self, socket: &mut Socket) {
        let Socket::Virtual(port) = socket else { return };
        let mut world = self.0.lock();
        let now = world.now;
        let Some(port) = world.ports.get_mut(&port.port) else { return };
        if let Some((peer, since)) = port.connected.take() {
            // What a connected port turned away by now stays turned away.
            port.in_flight.retain(|Reverse(p)| p.arrives > now || p.arrives <= since || p.from == peer);
        }
    }
}

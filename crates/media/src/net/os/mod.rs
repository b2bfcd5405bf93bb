//! Real sockets and the few system calls the standard library lacks: the one module with `unsafe`.
//!
//! Each block calls one function of the system with pointers to values that outlive the call and whose size is passed along.
#![allow(unsafe_code)]

mod clock;
mod memory;
mod port;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Net, Received, Sent, Socket};
use crate::leg::{LONGEST_SENT, LONGEST_WIDE};

pub(crate) use clock::{Anchor, prepare_shard_thread};
pub(crate) use memory::fetch_ahead;
pub(crate) use port::UdpPort;

/// The operating system's network.
#[derive(Default)]
pub(crate) struct OsNet {
    /// The real-time clock when the sub-slot began, since 1970: ages are told relative to it.
    slot_began: Duration,
}

impl OsNet {
    /// How long before the sub-slot a stamp was; 0 if it came since. A clock that was set in between gives 0 rather than nonsense.
    fn age(&self, stamp: Option<Duration>) -> Duration {
        let age = stamp.map_or(Duration::ZERO, |stamp| self.slot_began.saturating_sub(stamp));
        if age > Duration::from_secs(2) { Duration::ZERO } else { age }
    }
}

/// Two parts one after the other; `None` if they do not fit.
fn joined<'a>(head: &[u8], body: &[u8], whole: &'a mut [u8]) -> Option<&'a [u8]> {
    let (first, rest) = whole.split_at_mut_checked(head.len())?;
    first.copy_from_slice(head);
    rest.get_mut(..body.len())?.copy_from_slice(body);
    whole.get(..head.len() + body.len())
}

impl Net for OsNet {
    fn begin_slot(&mut self) {
        self.slot_began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    }

    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Received {
        let Socket::Udp(port) = socket else { return Received::Empty };
        // Always with the sender's address: packets that waited before a connect may be anyone's.
        match port.receive(buffer) {
            Ok((len, from, stamp)) => Received::Packet { len, from, age: self.age(stamp) },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Empty,
            Err(_) => Received::Refused,
        }
    }

    fn send(&mut self, socket: &mut Socket, to: SocketAddr, head: &[u8], body: &[u8]) -> Sent {
        let Socket::Udp(port) = socket else { return Sent::No };
        let to = port.reachable(to);
        let (mut ordinary, mut long);
        let whole: &mut [u8] = if head.len() + body.len() <= LONGEST_SENT {
            ordinary = [0; LONGEST_SENT];
            &mut ordinary
        } else {
            long = [0; LONGEST_WIDE];
            &mut long
        };
        let Some(bytes) = joined(head, body, whole) else { return Sent::No };
        // An ICMP error of an earlier packet is reported here once; this packet has not been tried yet.
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        match port.send(to, bytes).or_else(|error| if refused(&error) { port.send(to, bytes) } else { Err(error) }) {
            Ok(()) => Sent::Yes,
            Err(_) => Sent::No,
        }
    }

    fn connect(&mut self, socket: &mut Socket, to: SocketAddr) {
        if let Socket::Udp(port) = socket {
            port.connect(to);
        }
    }

    fn disconnect(&mut self, socket: &mut Socket) {
        if let Socket::Udp(port) = socket {
            port.disconnect();
        }
    }
}

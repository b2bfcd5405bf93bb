//! ICE over TCP, passive side (RFC 6544), with the framing of RFC 4571.
//!
//! A connection belongs to nobody until a check on it names a leg. It has to come soon; connections that have not, and what waits
//! on any of them, are bounded.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::counters::Counts;
use crate::net::LONGEST;

/// A connection names its leg within so long.
const IDENTIFY: Duration = Duration::from_secs(10);
/// What waits to be written at most, bytes: about half a second of a leg and a handshake.
const UNSENT: usize = 32 << 10;
/// Read from one connection per wake-up at most, bytes.
const AT_ONCE: usize = 16 << 10;

pub(super) struct Connection {
    stream: TcpStream,
    token: Token,
    pub local: SocketAddr,
    read: Vec<u8>,
    unsent: VecDeque<u8>,
    identified: bool,
    /// More may wait to be read: it stands in the queue.
    queued: bool,
}

/// The connections of a thread.
pub(super) struct Connections {
    listeners: Vec<(TcpListener, Token, SocketAddr)>,
    open: HashMap<SocketAddr, Connection>,
    by_token: HashMap<Token, SocketAddr>,
    /// Connections with something to read or write.
    queue: Vec<SocketAddr>,
    unidentified: VecDeque<(Instant, SocketAddr, Token)>,
    unidentified_of: HashMap<IpAddr, usize>,
    next_token: usize,
    most: usize,
    most_unidentified: usize,
    most_of_source: usize,
}

impl Connections {
    pub(super) fn new(first_token: usize, most: usize, most_unidentified: usize, most_of_source: usize) -> Self {
        Self {
            listeners: Vec::new(),
            open: HashMap::new(),
            by_token: HashMap::new(),
            queue: Vec::new(),
            unidentified: VecDeque::new(),
            unidentified_of: HashMap::new(),
            next_token: first_token,
            most,
            most_unidentified,
            most_of_source,
        }
    }

    /// Listens; `visible` is the address as candidates say it.
    pub(super) fn listen(
        &mut self,
        registry: &Registry,
        mut listener: TcpListener,
        visible: SocketAddr,
    ) -> io::Result<()> {
        let token = self.token();
        registry.register(&mut listener, token, Interest::READABLE)?;
        self.listeners.push((listener, token, visible));
        Ok(())
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// An event of one of our tokens.
    pub(super) fn ready(&mut self, registry: &Registry, token: Token, now: Instant, counts: &Counts) {
        if self.listeners.iter().any(|(_, own, _)| *own == token) {
            return self.accept(registry, now, counts);
        }
        if let Some(remote) = self.by_token.get(&token).copied() {
            self.enqueue(remote);
        }
    }

    fn enqueue(&mut self, remote: SocketAddr) {
        if let Some(connection) = self.open.get_mut(&remote)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.queue.push(remote);
        }
    }

    fn accept(&mut self, registry: &Registry, now: Instant, counts: &Counts) {
        loop {
            let accepted =
                self.listeners.iter().find_map(|(listener, _, local)| Some((listener.accept().ok()?, *local)));
            let Some(((mut stream, remote), local)) = accepted else { return };
            let of_source = self.unidentified_of.get(&remote.ip()).copied().unwrap_or(0);
            let room = self.open.len() < self.most
                && self.unidentified_of.values().sum::<usize>() < self.most_unidentified
                && of_source < self.most_of_source;
            let token = self.token();
            if !room || stream.set_nodelay(true).is_err() {
                counts.connections_refused.add(1);
                continue;
            }
            if registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_err() {
                counts.connections_refused.add(1);
                continue;
            }
            counts.connections.add(1);
            let connection = Connection {
                stream,
                token,
                local,
                read: Vec::new(),
                unsent: VecDeque::new(),
                identified: false,
                queued: false,
            };
            self.open.insert(remote, connection);
            self.by_token.insert(token, remote);
            self.enqueue(remote);
            self.unidentified.push_back((now + IDENTIFY, remote, token));
            *self.unidentified_of.entry(remote.ip()).or_default() += 1;
        }
    }

    /// When the next unidentified connection has to be looked at.
    pub(super) fn next(&self) -> Option<Instant> {
        self.unidentified.front().map(|(at, ..)| *at)
    }

    /// Closes those that did not name their leg in time.
    pub(super) fn expire(&mut self, now: Instant, counts: &Counts) {
        while self.unidentified.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, remote, token)) = self.unidentified.pop_front() else { return };
            if self.open.get(&remote).is_some_and(|c| c.token == token && !c.identified) {
                counts.connections_refused.add(1);
                self.close(&remote);
            }
        }
    }

    /// A check on it named a leg.
    pub(super) fn identify(&mut self, remote: &SocketAddr) {
        if let Some(connection) = self.open.get_mut(remote)
            && !std::mem::replace(&mut connection.identified, true)
        {
            self.forget_unidentified(remote.ip());
        }
    }

    fn forget_unidentified(&mut self, source: IpAddr) {
        if let Some(count) = self.unidentified_of.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.unidentified_of.remove(&source);
            }
        }
    }

    pub(super) fn close(&mut self, remote: &SocketAddr) {
        if let Some(connection) = self.open.remove(remote) {
            self.by_token.remove(&connection.token);
            if !connection.identified {
                self.forget_unidentified(remote.ip());
            }
        }
    }

    /// Whether anything waits to be read.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The connections on which something waits.
    pub(super) fn take_busy(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.queue)
    }

    /// Reads what waits, up to a bound; gives each whole frame. False: the connection is over.
    pub(super) fn read(&mut self, remote: &SocketAddr, mut frame: impl FnMut(SocketAddr, &[u8])) -> bool {
        let Some(connection) = self.open.get_mut(remote) else { return false };
        connection.queued = false;
        let mut emptied = false;
        let mut taken = 0;
        let mut buffer = [0; 4_096];
        let mut alive = connection.flush();
        while alive && taken < AT_ONCE {
            match connection.stream.read(&mut buffer) {
                Ok(0) => alive = false,
                Ok(count) => {
                    taken += count;
                    connection.read.extend_from_slice(buffer.get(..count).unwrap_or(&[]));
                    alive = connection.frames(&mut frame);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    emptied = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => alive = false,
            }
        }
        if alive && !emptied {
            self.enqueue(*remote);
        }
        alive
    }

    /// Sends a datagram; false if there is no such connection or it is too slow.
    pub(super) fn send(&mut self, remote: &SocketAddr, bytes: &[u8]) -> bool {
        let Some(connection) = self.open.get_mut(remote) else { return false };
        let Ok(length) = u16::try_from(bytes.len()) else { return false };
        if connection.unsent.len() + 2 + bytes.len() > UNSENT {
            return false;
        }
        connection.unsent.extend(length.to_be_bytes());
        connection.unsent.extend(bytes);
        connection.flush()
    }
}

impl Connection {
    /// Takes whole frames off what was read; false if one is longer than anything of ours.
    fn frames(&mut self, frame: &mut impl FnMut(SocketAddr, &[u8])) -> bool {
        let mut at = 0;
        let fits = loop {
            let Some((head, rest)) = self.read.get(at..).and_then(|left| left.split_first_chunk::<2>()) else {
                break true;
            };
            let length = usize::from(u16::from_be_bytes(*head));
            if length > LONGEST {
                break false;
            }
            let Some(bytes) = rest.get(..length) else { break true };
            frame(self.local, bytes);
            at += 2 + length;
        };
        self.read.drain(..at);
        fits
    }

    /// Writes what waits; false if the connection is broken.
    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(self.unsent.as_slices().0) {
                Ok(0) => return false,
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

//! ICE over TCP, passive side (RFC 6544), with the framing of RFC 4571.
//!
//! A connection belongs to nobody until a check on it names a leg. It has to come soon; connections that have not, and what waits
//! on any of them, are bounded.
//!
//! A stream has no datagrams with stamps of their own. What came alone since the stream was empty has the system's stamp; what came
//! together is as old as it can be, since nothing may pass for newer than it is.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::route::Endpoint;
use crate::admission::network_of;
use crate::counters::Counts;
use crate::net::{Clocks, LONGEST, receive_one, stamp_arrivals};

/// A connection names its leg within so long.
const IDENTIFY: Duration = Duration::from_secs(10);
/// What waits to be written at most, bytes: about half a second of a leg and a handshake.
const UNSENT: usize = 32 << 10;
/// Read from one connection per wake-up at most, bytes.
const AT_ONCE: usize = 16 << 10;

/// What a connection is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    /// Ours, as candidates say it.
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Ends {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self { local: endpoint.local, remote: endpoint.remote }
    }
}

struct Connection {
    stream: TcpStream,
    token: Token,
    read: Vec<u8>,
    /// When nothing waited, the last time that was seen.
    emptied: Instant,
    unsent: VecDeque<u8>,
    identified: bool,
    /// More may wait to be read: it stands in the queue.
    queued: bool,
}

/// The connections of a thread.
pub(super) struct Connections {
    listeners: Vec<(TcpListener, Token, SocketAddr)>,
    open: HashMap<Ends, Connection>,
    by_token: HashMap<Token, Ends>,
    /// Connections with something to read or write.
    queue: Vec<Ends>,
    unidentified: VecDeque<(Instant, Ends, Token)>,
    /// By source (IPv6: /64).
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
        // Connections inherit it, so that what comes with one is stamped too.
        stamp_arrivals(&listener);
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
        if let Some(ends) = self.by_token.get(&token).copied() {
            self.enqueue(ends);
        }
    }

    fn enqueue(&mut self, ends: Ends) {
        if let Some(connection) = self.open.get_mut(&ends)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.queue.push(ends);
        }
    }

    fn accept(&mut self, registry: &Registry, now: Instant, counts: &Counts) {
        loop {
            let accepted =
                self.listeners.iter().find_map(|(listener, _, local)| Some((listener.accept().ok()?, *local)));
            let Some(((mut stream, remote), local)) = accepted else { return };
            let (ends, source) = (Ends { local, remote }, network_of(remote.ip()));
            let of_source = self.unidentified_of.get(&source).copied().unwrap_or(0);
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
            // One that died unnoticed, and whose ends are in use again.
            self.close(&ends);
            let connection = Connection {
                stream,
                token,
                read: Vec::new(),
                emptied: now,
                unsent: VecDeque::new(),
                identified: false,
                queued: false,
            };
            self.open.insert(ends, connection);
            self.by_token.insert(token, ends);
            self.enqueue(ends);
            self.unidentified.push_back((now + IDENTIFY, ends, token));
            *self.unidentified_of.entry(source).or_default() += 1;
        }
    }

    /// When the next unidentified connection has to be looked at.
    pub(super) fn next(&self) -> Option<Instant> {
        self.unidentified.front().map(|(at, ..)| *at)
    }

    /// Closes those that did not name their leg in time.
    pub(super) fn expire(&mut self, now: Instant, counts: &Counts) {
        while self.unidentified.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, ends, token)) = self.unidentified.pop_front() else { return };
            if self.open.get(&ends).is_some_and(|c| c.token == token && !c.identified) {
                counts.connections_refused.add(1);
                self.close(&ends);
            }
        }
    }

    /// A check on it named a leg.
    pub(super) fn identify(&mut self, ends: &Ends) {
        if let Some(connection) = self.open.get_mut(ends)
            && !std::mem::replace(&mut connection.identified, true)
        {
            self.forget_unidentified(ends);
        }
    }

    fn forget_unidentified(&mut self, ends: &Ends) {
        let source = network_of(ends.remote.ip());
        if let Some(count) = self.unidentified_of.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.unidentified_of.remove(&source);
            }
        }
    }

    pub(super) fn close(&mut self, ends: &Ends) {
        if let Some(connection) = self.open.remove(ends) {
            self.by_token.remove(&connection.token);
            if !connection.identified {
                self.forget_unidentified(ends);
            }
        }
    }

    /// Whether anything waits to be read.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The connections on which something waits.
    pub(super) fn take_busy(&mut self) -> Vec<Ends> {
        std::mem::take(&mut self.queue)
    }

    /// Reads what waits, up to a bound; gives each whole frame with its arrival. False: the connection is over.
    pub(super) fn read(&mut self, ends: &Ends, mut frame: impl FnMut(Instant, &[u8])) -> bool {
        let Some(connection) = self.open.get_mut(ends) else { return false };
        connection.queued = false;
        let mut emptied = false;
        let mut taken = 0;
        let mut buffer = [0; 4_096];
        let mut alive = connection.flush();
        while alive && taken < AT_ONCE {
            let begun = Instant::now();
            match receive_one(&connection.stream, &mut buffer) {
                Ok((0, ..)) => alive = false,
                Ok((count, _, stamp)) => {
                    taken += count;
                    let all = count < buffer.len();
                    let bytes = buffer.get(..count).unwrap_or(&[]);
                    let alone =
                        all && connection.read.is_empty() && frame_of(bytes).is_some_and(|f| f.len() + 2 == count);
                    // The stamp of a read is its last byte's.
                    let arrived = Clocks::now().arrival(stamp.filter(|_| alone), connection.emptied);
                    connection.read.extend_from_slice(bytes);
                    alive = connection.frames(|bytes| frame(arrived, bytes));
                    if all {
                        connection.emptied = begun;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.emptied = begun;
                    emptied = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => alive = false,
            }
        }
        if alive && !emptied {
            self.enqueue(*ends);
        }
        alive
    }

    /// Sends a datagram; false if there is no such connection or it is too slow.
    pub(super) fn send(&mut self, ends: &Ends, bytes: &[u8]) -> bool {
        let Some(connection) = self.open.get_mut(ends) else { return false };
        let Ok(length) = u16::try_from(bytes.len()) else { return false };
        if connection.unsent.len() + 2 + bytes.len() > UNSENT {
            return false;
        }
        connection.unsent.extend(length.to_be_bytes());
        connection.unsent.extend(bytes);
        connection.flush()
    }
}

/// The frame that these bytes begin with, if it is there in whole (RFC 4571 §2).
fn frame_of(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..u16::from_be_bytes(*head).into())
}

impl Connection {
    /// Takes whole frames off what was read; false if one is longer than anything of ours.
    fn frames(&mut self, mut frame: impl FnMut(&[u8])) -> bool {
        let mut at = 0;
        while let Some(bytes) = self.read.get(at..).and_then(frame_of)
            && bytes.len() <= LONGEST
        {
            frame(bytes);
            at += 2 + bytes.len();
        }
        self.read.drain(..at);
        self.read.first_chunk::<2>().is_none_or(|head| usize::from(u16::from_be_bytes(*head)) <= LONGEST)
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

//! The connections that are open, TCP and WebSocket: what waits to be sent on each, and who proved himself there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::config::Limits;
use crate::counters::Counters;
use crate::guard::prefix;
use crate::transport::Transport;

/// Messages a peer may leave unread before its connection is closed.
const UNREAD: usize = 256;

/// Endpoints remembered as proven on one connection.
const PROVEN: usize = 8;

/// Whose a dialog or a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub account: String,
    pub endpoint: String,
}

struct Connection {
    sender: mpsc::Sender<Bytes>,
    transport: Transport,
    remote: SocketAddr,
    local: SocketAddr,
    /// Whose passwords were given on it, latest last.
    proven: Vec<Owner>,
}

/// How many connections there may be.
#[derive(Clone, Copy)]
struct Ceiling {
    all: usize,
    of_one_source: usize,
}

pub(crate) struct Connections {
    table: Mutex<HashMap<u64, Connection>>,
    next: AtomicU64,
    tcp: Ceiling,
    websocket: Ceiling,
    counters: Arc<Counters>,
}

impl Connections {
    pub fn new(limits: &Limits, counters: Arc<Counters>) -> Connections {
        Connections {
            table: Mutex::default(),
            next: AtomicU64::new(1),
            tcp: Ceiling { all: limits.connections, of_one_source: limits.connections_per_source },
            websocket: Ceiling { all: limits.websockets, of_one_source: limits.websockets_per_source },
            counters,
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Connection>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gauge(&self, table: &HashMap<u64, Connection>) {
        let websockets = table.values().filter(|c| c.transport.is_websocket()).count();
        self.counters.websockets_live.set(websockets);
        self.counters.connections_live.set(table.len() - websockets);
    }

    /// Enters a connection, unless a limit forbids it. Strangers leave the last quarter of WebSockets to `known` sources.
    pub fn open(
        &self,
        transport: Transport,
        remote: SocketAddr,
        local: SocketAddr,
        known: bool,
    ) -> Option<(u64, mpsc::Receiver<Bytes>)> {
        let websocket = transport.is_websocket();
        let ceiling = if websocket { self.websocket } else { self.tcp };
        let reserved = if websocket && !known { ceiling.all / 4 } else { 0 };
        let source = |at: &SocketAddr| prefix(at.ip().to_canonical());
        let mut table = self.table();
        let (mut all, mut same) = (0, 0);
        for open in table.values().filter(|c| c.transport.is_websocket() == websocket) {
            all += 1;
            same += usize::from(source(&open.remote) == source(&remote));
        }
        if all + reserved >= ceiling.all || same >= ceiling.of_one_source {
            let refused =
                if websocket { &self.counters.websockets_refused } else { &self.counters.connections_refused };
            refused.add();
            return None;
        }
        let (sender, receiver) = mpsc::channel(UNREAD);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        table.insert(id, Connection { sender, transport, remote, local, proven: Vec::new() });
        self.gauge(&table);
        Some((id, receiver))
    }

    /// `false` if it was closed before.
    pub fn close(&self, id: u64) -> bool {
        let mut table = self.table();
        let was = table.remove(&id).is_some();
        self.gauge(&table);
        was
    }

    pub fn is_open(&self, id: u64) -> bool {
        self.table().contains_key(&id)
    }

    /// An open TCP connection to an address, with its local end.
    pub fn tcp_to(&self, remote: SocketAddr) -> Option<(u64, SocketAddr)> {
        let table = self.table();
        let fits = |c: &Connection| c.remote == remote && c.transport == Transport::Tcp;
        table.iter().find(|(_, c)| fits(c)).map(|(id, c)| (*id, c.local))
    }

    /// Queues bytes; a peer that leaves too many of them unread loses the connection.
    pub fn send(&self, id: u64, bytes: Bytes) -> bool {
        let open = self.table().get(&id).map(|c| (c.sender.clone(), c.transport));
        let Some((sender, transport)) = open else { return false };
        if sender.try_send(bytes).is_ok() {
            return true;
        }
        let websocket = transport.is_websocket();
        let slow = if websocket { &self.counters.websockets_slow } else { &self.counters.connections_slow };
        slow.add();
        self.close(id);
        false
    }

    /// Whoever is on this connection gave the password of `owner`.
    pub fn prove(&self, id: u64, owner: &Owner) {
        if let Some(open) = self.table().get_mut(&id) {
            open.proven.retain(|proven| proven != owner);
            if open.proven.len() >= PROVEN {
                open.proven.remove(0);
            }
            open.proven.push(owner.clone());
        }
    }

    pub fn is_proven(&self, id: u64) -> bool {
        self.table().get(&id).is_some_and(|open| !open.proven.is_empty())
    }

    pub fn is_proven_for(&self, id: u64, owner: &Owner) -> bool {
        self.table().get(&id).is_some_and(|open| open.proven.contains(owner))
    }

    /// Forgets what an endpoint, or every endpoint of an account, proved.
    pub fn disprove(&self, account: &str, endpoint: Option<&str>) {
        for open in self.table().values_mut() {
            open.proven.retain(|o| o.account != account || endpoint.is_some_and(|e| o.endpoint != e));
        }
    }
}

//! What the operator chooses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::digest::Algorithm;

/// Configuration of the signalling plane.
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// UDP addresses to listen on; port 0 takes a free one.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses to listen on; port 0 takes a free one.
    pub tcp: Vec<SocketAddr>,
    /// Address written into Via and Contact towards public peers, where a NAT hides the real one.
    pub external_ip: Option<IpAddr>,
    /// `Server` and `User-Agent` header.
    pub user_agent: String,
    /// Domains that are ours: never looked up, never dialled outward.
    pub local_domains: Vec<String>,
    /// Host names with a fixed address; asked before DNS.
    pub hosts: HashMap<String, SocketAddr>,
    /// Bounds of everything that comes from the network.
    pub limits: Limits,
    /// Registration lifetimes.
    pub registration: RegistrationBounds,
    /// Protocol timers.
    pub timers: Timers,
    /// Digest algorithms offered, strongest first.
    pub algorithms: Vec<Algorithm>,
}

impl Default for SipConfig {
    fn default() -> Self {
        SipConfig {
            udp: Vec::new(),
            tcp: Vec::new(),
            external_ip: None,
            user_agent: "Aside".to_owned(),
            local_domains: vec!["phone.plivo.com".to_owned(), "app.plivo.com".to_owned()],
            hosts: HashMap::new(),
            limits: Limits::default(),
            registration: RegistrationBounds::default(),
            timers: Timers::default(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        }
    }
}

/// Bounds; whatever exceeds one is refused and counted.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message, bytes.
    pub message_bytes: usize,
    /// Most header lines in a message.
    pub headers: usize,
    /// Longest header, bytes, folded lines joined.
    pub header_bytes: usize,
    /// Messages per second and source address (IPv6: /64), averaged; for an hour after a call to it, ten times as many.
    pub source_rate: f64,
    /// Messages a source may send at once; likewise.
    pub source_burst: f64,
    /// Sources remembered at once; further ones share one allowance.
    pub sources: usize,
    /// TCP connections at once.
    pub connections: usize,
    /// TCP connections of one address (IPv6: /64).
    pub connections_per_source: usize,
    /// A TCP connection that carries nothing for so long is closed.
    pub connection_idle: Duration,
    /// A message must be complete this long after its first byte, and the first one this long after the connection came.
    pub half_message: Duration,
    /// WebSocket connections at once. The last quarter is for sources that authenticated not long ago.
    pub websockets: usize,
    /// WebSocket connections of one address (IPv6: /64): a whole office may share it.
    pub websockets_per_source: usize,
    /// A WebSocket connection on which nobody gave a right password for so long since it came is closed.
    pub websocket_unproven: Duration,
    /// A browser that says nothing for so long is sent a ping, which it answers by itself.
    pub websocket_ping: Duration,
    /// A WebSocket connection on which nothing comes for so long, no answer to a ping either, is closed.
    pub websocket_idle: Duration,
    /// A WebSocket connection whose peer does not take a message for so long is closed.
    pub websocket_write: Duration,
    /// Messages and control frames per second of one WebSocket connection, averaged; what is more waits.
    pub websocket_rate: f64,
    /// Those it may send at once.
    pub websocket_burst: f64,
    /// How long a call outlives its browser's connection, for the browser to come back on another one.
    pub websocket_return: Duration,
    /// Messages waiting for the core.
    pub backlog: usize,
    /// Calls waiting for the engine to take them.
    pub incoming: usize,
    /// Dialogs at once; a further INVITE gets 503.
    pub dialogs: usize,
    /// Transactions at once; a further request is dropped. The last quarter is for known sources: trunks, called addresses,
    /// and whoever authenticated within the longest life of a registration.
    pub transactions: usize,
    /// Server transactions of one source address (IPv6: /64) that is no trunk's, ten times as many after a call to it; a
    /// further request is dropped.
    pub transactions_per_source: usize,
    /// Server transactions of one WebSocket connection; a further request is dropped.
    pub transactions_per_websocket: usize,
    /// Authentications under way at once; a further request gets 503. The last quarter is for known sources.
    pub lookups: usize,
    /// Contacts of one address of record.
    pub contacts: usize,
    /// Bindings in all.
    pub bindings: usize,
    /// Wrong passwords after which (source, user) is locked out.
    pub auth_failures: u32,
    /// How long a lock-out lasts and failures are remembered.
    pub lockout: Duration,
    /// Life of a digest nonce.
    pub nonce_life: Duration,
    /// An INVITE without final answer is given up after this long.
    pub ringing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes: 65_535,
            headers: 100,
            header_bytes: 8_192,
            source_rate: 500.0,
            source_burst: 2_000.0,
            sources: 100_000,
            connections: 10_000,
            connections_per_source: 500,
            connection_idle: Duration::from_secs(1_800),
            half_message: Duration::from_secs(10),
            websockets: 10_000,
            websockets_per_source: 2_000,
            websocket_unproven: Duration::from_secs(60),
            websocket_ping: Duration::from_secs(25),
            websocket_idle: Duration::from_secs(75),
            websocket_write: Duration::from_secs(10),
            websocket_rate: 50.0,
            websocket_burst: 200.0,
            websocket_return: Duration::from_secs(60),
            backlog: 16_384,
            incoming: 1_024,
            dialogs: 20_000,
            transactions: 200_000,
            transactions_per_source: 8_000,
            transactions_per_websocket: 1_000,
            lookups: 1_024,
            contacts: 10,
            bindings: 100_000,
            auth_failures: 10,
            lockout: Duration::from_secs(300),
            nonce_life: Duration::from_secs(300),
            ringing: Duration::from_secs(300),
        }
    }
}

/// Seconds a registration may last.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationBounds {
    /// Shorter wishes get 423.
    pub min: u32,
    /// Longer wishes are cut to this.
    pub max: u32,
    /// When nothing is wished.
    pub default: u32,
}

impl Default for RegistrationBounds {
    fn default() -> Self {
        RegistrationBounds { min: 60, max: 3_600, default: 600 }
    }
}

/// RFC 3261 §17 base timers.
#[derive(Debug, Clone, Copy)]
pub struct Timers {
    /// Round-trip estimate.
    pub t1: Duration,
    /// Longest retransmission interval.
    pub t2: Duration,
    /// How long a message may live in the network.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// 64 × T1: timers B, F, H, J, L, M.
    pub(crate) fn give_up(&self) -> Duration {
        self.t1 * 64
    }
}

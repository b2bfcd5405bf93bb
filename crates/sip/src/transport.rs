//! Our own sockets. Every source address the rest of the crate sees is the one the kernel reported.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{Limits, SipConfig};
use crate::connections::Connections;
use crate::counters::Counters;
use crate::guard::{Guard, Medium};
use crate::message::{ALLOW, Message, reason};
use crate::parse::{Fault, datagram};
use crate::tcp;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams; lost ones are repeated.
    Udp,
    /// A stream per peer.
    Tcp,
    /// WebSocket (RFC 7118): always the browser's connection, nobody is connected to.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// Whether it is a browser's connection: the only way there and back.
    pub fn is_websocket(self) -> bool {
        matches!(self, Transport::Ws | Transport::Wss)
    }

    /// Whether a parameter or Via names a WebSocket.
    pub(crate) fn names_websocket(name: &str) -> bool {
        name.eq_ignore_ascii_case("ws") || name.eq_ignore_ascii_case("wss")
    }
}

/// Between which sockets a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// TCP or WebSocket connection, 0 when none is known.
    pub connection: u64,
}

impl Flow {
    pub fn is_websocket(&self) -> bool {
        self.transport.is_websocket()
    }
}

/// What the sockets tell the core.
#[derive(Debug)]
pub(crate) enum Input {
    Message(Message, Flow),
    Closed(u64),
}

/// Bytes asked of the kernel; it may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// All sockets, and what guards them.
pub(crate) struct Wire {
    pub udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    pub tcp: Vec<SocketAddr>,
    pub guard: Guard,
    pub limits: Limits,
    pub counters: Arc<Counters>,
    pub input: mpsc::Sender<Input>,
    pub stop: CancellationToken,
    external_ip: Option<IpAddr>,
    server: String,
    pub connections: Connections,
}

impl Wire {
    /// Binds everything and starts reading.
    pub async fn open(
        config: &SipConfig,
        counters: Arc<Counters>,
        input: mpsc::Sender<Input>,
        stop: CancellationToken,
    ) -> std::io::Result<Arc<Wire>> {
        let mut udp = Vec::new();
        for address in &config.udp {
            let socket = bound(*address)?;
            udp.push((socket.local_addr()?, Arc::new(socket)));
        }
        let mut listeners = Vec::new();
        for address in &config.tcp {
            listeners.push(TcpListener::bind(address).await?);
        }
        let tcp = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        let wire = Arc::new(Wire {
            udp,
            tcp,
            guard: Guard::new(&config.limits, Instant::now()),
            connections: Connections::new(&config.limits, counters.clone()),
            limits: config.limits.clone(),
            counters,
            input,
            stop,
            external_ip: config.external_ip,
            server: config.user_agent.clone(),
        });
        for (local, socket) in &wire.udp {
            tokio::spawn(read_datagrams(wire.clone(), *local, socket.clone()));
        }
        for listener in listeners {
            tokio::spawn(tcp::accept(wire.clone(), listener));
        }
        Ok(wire)
    }

    /// Whether a flow's connection, or over UDP its socket, is still there.
    pub fn alive(&self, flow: &Flow) -> bool {
        match flow.transport {
            Transport::Udp => self.udp.iter().any(|(local, _)| *local == flow.local),
            Transport::Tcp | Transport::Ws | Transport::Wss => self.connections.is_open(flow.connection),
        }
    }

    /// The flow a new request to `remote` takes; over TCP an open connection is used or a new one begun. To a
    /// browser there is none but its own.
    pub fn flow_to(self: &Arc<Self>, transport: Transport, remote: SocketAddr) -> Option<Flow> {
        match transport {
            Transport::Udp => {
                let fits = |l: &SocketAddr| l.is_ipv4() == remote.is_ipv4();
                let same_side =
                    |l: &SocketAddr| l.ip().is_unspecified() || l.ip().is_loopback() == remote.ip().is_loopback();
                let locals = || self.udp.iter().map(|(l, _)| *l).filter(fits);
                let local = locals().find(same_side).or_else(|| locals().next())?;
                Some(Flow { transport, local, remote, connection: 0 })
            }
            Transport::Tcp => {
                if let Some((connection, local)) = self.connections.tcp_to(remote) {
                    return Some(Flow { transport, local, remote, connection });
                }
                // Peers call back to a listening port, not to the ephemeral one of this connection.
                let fits = |l: &&SocketAddr| l.is_ipv4() == remote.is_ipv4();
                let port = self.tcp.iter().find(fits).or(self.tcp.first()).map_or(5060, SocketAddr::port);
                let local = SocketAddr::new(route(remote)?, port);
                let (connection, receiver) = self.connections.open(transport, remote, local, true)?;
                let flow = Flow { transport, local, remote, connection };
                tokio::spawn(tcp::connect(self.clone(), flow, receiver));
                Some(flow)
            }
            Transport::Ws | Transport::Wss => None,
        }
    }

    /// Sends without waiting; `false` if it could not be handed on (over UDP a repetition will follow).
    pub fn send(&self, flow: &Flow, bytes: Bytes) -> bool {
        self.counters.messages_out.add();
        match flow.transport {
            Transport::Udp => {
                let socket = self
                    .udp
                    .iter()
                    .find(|(l, _)| *l == flow.local)
                    .or_else(|| self.udp.iter().find(|(l, _)| l.is_ipv4() == flow.remote.is_ipv4()));
                let sent = socket.is_some_and(|(_, socket)| socket.try_send_to(&bytes, flow.remote).is_ok());
                if !sent {
                    self.counters.send_failed.add();
                }
                sent
            }
            Transport::Tcp | Transport::Ws | Transport::Wss => self.connections.send(flow.connection, bytes),
        }
    }

    /// The address a peer reaches us at, for Via and Contact.
    pub fn advertised(&self, flow: &Flow) -> SocketAddr {
        let hidden = !flow.remote.ip().is_loopback() && !is_private(flow.remote.ip());
        let ip = match self.external_ip {
            Some(ip) if hidden => ip,
            _ if flow.local.ip().is_unspecified() => route(flow.remote).unwrap_or(flow.local.ip()),
            _ => flow.local.ip(),
        };
        let port = match flow.transport {
            Transport::Udp => flow.local.port(),
            // A browser sends everything over the connection it has, whatever the port.
            Transport::Ws | Transport::Wss => flow.local.port(),
            Transport::Tcp if self.tcp.iter().any(|l| l.port() == flow.local.port()) => flow.local.port(),
            Transport::Tcp => self.tcp.first().map_or(flow.local.port(), SocketAddr::port),
        };
        SocketAddr::new(ip, port)
    }

    /// The flow of a browser's connection that was just opened. The local end is only written into Via and Contact.
    pub fn websocket_flow(
        &self,
        transport: Transport,
        remote: SocketAddr,
        known: bool,
    ) -> Option<(Flow, mpsc::Receiver<Bytes>)> {
        let listens = self.tcp.first().or(self.udp.first().map(|(at, _)| at));
        let ip = route(remote).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
        let local = SocketAddr::new(ip, listens.map_or(5060, SocketAddr::port));
        let (connection, receiver) = self.connections.open(transport, remote, local, known)?;
        Some((Flow { transport, local, remote, connection }, receiver))
    }

    /// Takes a connection out of the table and tells the core.
    pub async fn close(&self, connection: u64) {
        self.connections.close(connection);
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = self.input.send(Input::Closed(connection)) => {}
        }
    }

    /// Answers what the parser refused, where it can be answered.
    pub fn refuse(&self, fault: Fault, flow: &Flow) {
        self.counters.malformed.add();
        if fault.code == 501 {
            self.counters.unknown_method.add();
        }
        let Some(head) = fault.head else { return };
        self.counters.malformed_answered.add();
        let mut headers = vec![("Server".to_owned(), self.server.clone())];
        if fault.code == 501 {
            headers.push(("Allow".to_owned(), ALLOW.to_owned()));
        }
        let phrase = match fault.code {
            400 => format!("{}: {}", reason(400), fault.reason),
            code => reason(code).to_owned(),
        };
        let tag = crate::digest::Algorithm::Md5.hex(&head.call_id);
        let mut to = *flow;
        if flow.transport == Transport::Udp {
            to.remote.set_port(head.reply_port);
        }
        self.send(&to, head.response(fault.code, &phrase, tag.get(..10).unwrap_or("t"), &headers, None));
    }
}

/// A UDP socket whose receive buffer holds a burst: the default loses datagrams of a few hundred calls at once.
fn bound(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

async fn read_datagrams(wire: Arc<Wire>, local: SocketAddr, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0u8; 65_536];
    loop {
        let received = tokio::select! {
            () = wire.stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        // An ICMP error of an earlier datagram shows up here; the socket itself is fine.
        let Ok((length, remote)) = received else { continue };
        if !wire.guard.admit(Medium::Datagram, remote.ip(), Instant::now(), &wire.counters) {
            continue;
        }
        let data = buffer.get(..length).unwrap_or(&[]);
        let blank = data.iter().take_while(|b| matches!(b, b'\r' | b'\n' | 0)).count();
        let data = data.get(blank..).unwrap_or(&[]);
        if data.is_empty() {
            continue;
        }
        let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
        match datagram(data, remote, &wire.limits) {
            Ok(message) => {
                wire.counters.messages_in.add();
                if wire.input.try_send(Input::Message(message, flow)).is_err() {
                    wire.counters.backlog_full.add();
                }
            }
            Err(fault) => wire.refuse(fault, &flow),
        }
    }
}

/// The local address the kernel would use towards `remote`.
fn route(remote: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Addresses that only mean something inside a local network.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments().first().copied().unwrap_or(0);
            v6.is_loopback() || v6.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}

/// Whether an address is one host's. What a peer names for media or requests must be, or it could aim us at many at once.
pub(crate) fn is_unicast(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_multicast() && ip != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

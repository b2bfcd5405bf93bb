//! UDP and TCP below the transactions: datagrams or framed streams in, parsed messages out; sending never waits.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::message::{MAX_MESSAGE, Message, header_end, param};

/// Messages that may wait for the transaction layer, or for one TCP connection.
const QUEUE: usize = 4_096;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How SIP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// A stream per peer.
    Tcp,
}

impl Transport {
    /// Name in a Via.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// Received messages with where they came from.
pub type Inbox = mpsc::Receiver<(Message, SocketAddr)>;

/// The sockets of one phone. Clones share them.
#[derive(Clone)]
pub struct Sockets(Arc<Inner>);

struct Inner {
    transport: Transport,
    local: SocketAddr,
    udp: Option<UdpSocket>,
    streams: Mutex<HashMap<SocketAddr, mpsc::Sender<Bytes>>>,
    received: mpsc::Sender<(Message, SocketAddr)>,
    stop: CancellationToken,
    discarded: AtomicU64,
}

impl Sockets {
    /// Binds `address` (port 0: any) and starts receiving until `stop`.
    pub async fn bind(transport: Transport, address: SocketAddr, stop: CancellationToken) -> io::Result<(Self, Inbox)> {
        let (received, inbox) = mpsc::channel(QUEUE);
        let (udp, listener) = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(address).await?;
                // Until the runtime has seen it writable once, sending without waiting fails.
                socket.writable().await?;
                (Some(socket), None)
            }
            Transport::Tcp => (None, Some(TcpListener::bind(address).await?)),
        };
        let local = match (&udp, &listener) {
            (Some(u), _) => u.local_addr()?,
            (_, Some(l)) => l.local_addr()?,
            _ => address,
        };
        let streams = Mutex::default();
        let sockets =
            Self(Arc::new(Inner { transport, local, udp, streams, received, stop, discarded: AtomicU64::new(0) }));
        let running = sockets.clone();
        tokio::spawn(async move {
            let stop = running.0.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = async {
                    match listener {
                        Some(l) => running.accept(&l).await,
                        None => running.read_datagrams().await,
                    }
                } => {}
            }
        });
        Ok((sockets, inbox))
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        self.0.transport
    }

    /// The bound address.
    pub fn local(&self) -> SocketAddr {
        self.0.local
    }

    /// Messages discarded: malformed, or over a full queue.
    pub fn discarded(&self) -> u64 {
        self.0.discarded.load(Ordering::Relaxed)
    }

    fn discard(&self, why: &str) {
        self.0.discarded.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(why, "SIP message discarded");
    }

    /// Sends without waiting. What cannot be sent is counted as discarded: SIP repeats what matters.
    pub fn post(&self, data: impl Into<Bytes>, to: SocketAddr) {
        let data: Bytes = data.into();
        tracing::trace!(%to, message = %String::from_utf8_lossy(&data), "SIP out");
        match &self.0.udp {
            Some(udp) => match udp.try_send_to(&data, to) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.send_when_writable(data, to),
                Err(e) => self.discard(&e.to_string()),
            },
            None => {
                let open = self.streams().get(&to).filter(|s| !s.is_closed()).cloned();
                let stream = open.unwrap_or_else(|| self.connect(to));
                if stream.try_send(data).is_err() {
                    self.discard("TCP connection closed or its queue full");
                }
            }
        }
    }

    fn send_when_writable(&self, data: Bytes, to: SocketAddr) {
        let me = self.clone();
        tokio::spawn(async move {
            let stop = me.0.stop.clone();
            let Some(udp) = &me.0.udp else { return };
            tokio::select! {
                () = stop.cancelled() => {}
                sent = udp.send_to(&data, to) => if let Err(e) = sent { me.discard(&e.to_string()) },
            }
        });
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, mpsc::Sender<Bytes>>> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_datagrams(&self) {
        let Some(udp) = &self.0.udp else { return };
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            // An ICMP error of an earlier datagram ends up here; it concerns no receiver.
            let Ok((length, from)) = udp.recv_from(&mut buffer).await else { continue };
            let data = buffer.get(..length).unwrap_or_default();
            // Keep-alives are blank lines.
            if !data.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
                self.take(data, from);
            }
        }
    }

    fn take(&self, data: &[u8], from: SocketAddr) {
        tracing::trace!(%from, message = %String::from_utf8_lossy(data), "SIP in");
        match Message::parse(data) {
            Ok(message) => {
                if self.0.received.try_send((message, from)).is_err() {
                    self.discard("receive queue full");
                }
            }
            Err(e) => self.discard(&e.to_string()),
        }
    }

    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok((stream, from)) = listener.accept().await else { continue };
            let (writer, queue) = mpsc::channel(QUEUE);
            self.streams().insert(from, writer);
            self.clone().run_stream(from, queue, Some(stream));
        }
    }

    fn connect(&self, to: SocketAddr) -> mpsc::Sender<Bytes> {
        let (writer, queue) = mpsc::channel(QUEUE);
        self.streams().insert(to, writer.clone());
        self.clone().run_stream(to, queue, None);
        writer
    }

    /// A connection from the phone's own address: whoever is called may know it by that.
    async fn call_from_here(&self, peer: SocketAddr) -> io::Result<TcpStream> {
        let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(self.0.local.ip(), 0))?;
        socket.connect(peer).await
    }

    fn run_stream(self, peer: SocketAddr, mut queue: mpsc::Receiver<Bytes>, stream: Option<TcpStream>) {
        tokio::spawn(async move {
            let stop = self.0.stop.clone();
            let work = async {
                let stream = match stream {
                    Some(s) => s,
                    None => tokio::time::timeout(CONNECT_TIMEOUT, self.call_from_here(peer))
                        .await
                        .map_err(io::Error::other)??,
                };
                stream.set_nodelay(true)?;
                let (reader, mut writer) = stream.into_split();
                let write = async {
                    while let Some(data) = queue.recv().await {
                        writer.write_all(&data).await?;
                    }
                    Ok::<(), io::Error>(())
                };
                tokio::select! {
                    r = self.read_stream(reader, peer) => r,
                    r = write => r,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                result = work => if let Err(e) = result { self.discard(&format!("TCP {peer}: {e}")) },
            }
            queue.close();
            let mut streams = self.streams();
            if streams.get(&peer).is_some_and(mpsc::Sender::is_closed) {
                streams.remove(&peer);
            }
        });
    }

    async fn read_stream(&self, mut reader: OwnedReadHalf, peer: SocketAddr) -> io::Result<()> {
        let mut data: Vec<u8> = Vec::new();
        loop {
            while let Some(length) = framed(&data)? {
                let message: Vec<u8> = data.drain(..length).collect();
                let start = message.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
                self.take(message.get(start..).unwrap_or_default(), peer);
            }
            if reader.read_buf(&mut data).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// Length of the first complete message in a stream (after dropping blank lines before it).
fn framed(data: &[u8]) -> io::Result<Option<usize>> {
    let too_big = || io::Error::new(io::ErrorKind::InvalidData, "message over the size limit");
    let blank = data.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let rest = data.get(blank..).unwrap_or_default();
    let Some(end) = header_end(rest) else {
        return if rest.len() > MAX_MESSAGE { Err(too_big()) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
    let length = head
        .lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(n, _)| n.trim().eq_ignore_ascii_case("content-length") || n.trim().eq_ignore_ascii_case("l"))
        .map_or(Ok(0), |(_, v)| v.trim().parse::<usize>().map_err(io::Error::other))?;
    if end.saturating_add(length) > MAX_MESSAGE {
        return Err(too_big());
    }
    Ok((rest.len() >= end + length).then_some(blank + end + length))
}

/// Where a response goes by the top Via (RFC 3261 §18.2.2, RFC 3581), given where the request came from.
pub fn response_target(via: &str, from: SocketAddr) -> SocketAddr {
    let sent_by =
        via.split_whitespace().nth(1).and_then(|s| super::message::host_port(s.split(';').next().unwrap_or(s)));
    match (param(via, "rport"), sent_by) {
        (None, Some((_, port))) => SocketAddr::new(from.ip(), port.unwrap_or(5060)),
        _ => from,
    }
}

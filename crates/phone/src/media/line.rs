//! The handle of one media line.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::ear::Ear;
use super::engine::{self, Command};
use super::mouth::Mouth;
use super::outgoing::Outgoing;
use crate::codec::Codec;
use crate::rtp::digit_to_event;

/// How a line is opened, with its faults from the start.
#[derive(Debug, Clone)]
pub struct LineOptions {
    /// Address to bind.
    pub ip: IpAddr,
    /// How long received packets are kept; zero counts only. Ten minutes take about 8 MB.
    pub keep: Duration,
    /// RTCP canonical name.
    pub cname: String,
    /// Wait so long after connecting before the first packet.
    pub delay_first: Duration,
    /// Send from a third port, as a port-rewriting NAT would.
    pub other_port: bool,
    /// Leave out each n-th packet (its sequence number is used up).
    pub drop_every: Option<u32>,
    /// Send each n-th packet twice.
    pub duplicate_every: Option<u32>,
    /// Time between RTCP reports.
    pub rtcp_interval: Duration,
    /// Without a known remote address, take it from the first RTP packet.
    pub latch: bool,
    /// What is said from the first packet on.
    pub mouth: Mouth,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self {
            ip: IpAddr::from([127, 0, 0, 1]),
            keep: Duration::from_secs(600),
            cname: "phone@localhost".into(),
            delay_first: Duration::ZERO,
            other_port: false,
            drop_every: None,
            duplicate_every: None,
            rtcp_interval: Duration::from_secs(5),
            latch: false,
            mouth: Mouth::Silence,
        }
    }
}

/// Where and how a line sends; the outcome of an offer and answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where RTP goes (`None`: nowhere yet).
    pub address: Option<SocketAddr>,
    /// Where RTCP goes.
    pub rtcp: Option<SocketAddr>,
    /// Codec sent.
    pub codec: Codec,
    /// Its payload type towards the remote.
    pub payload_type: u8,
    /// Payload types accepted from the remote.
    pub accepted: Vec<(u8, Codec)>,
    /// Telephone-event payload type towards the remote.
    pub events: Option<u8>,
    /// Telephone-event payload type accepted.
    pub events_accepted: Option<u8>,
    /// Send RTP (false on hold).
    pub sending: bool,
}

impl Remote {
    /// Plain exchange of one codec with its usual payload type; telephone events on 101.
    pub fn plain(codec: Codec, address: Option<SocketAddr>) -> Self {
        Self {
            address,
            rtcp: address.and_then(|a| Some(SocketAddr::new(a.ip(), a.port().checked_add(1)?))),
            codec,
            payload_type: codec.offered_payload_type(),
            accepted: vec![(codec.offered_payload_type(), codec)],
            events: Some(101),
            events_accepted: Some(101),
            sending: true,
        }
    }
}

/// Faults that can be switched while a line runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehave {
    /// A new random SSRC from the next packet on.
    ChangeSsrc,
    /// Add to the timestamp from the next packet on.
    JumpTimestamp(i32),
    /// Add to the sequence number from the next packet on.
    JumpSequence(i16),
    /// Send from a third port (true) or the proper one.
    OtherPort(bool),
    /// Leave out each n-th packet.
    DropEvery(Option<u32>),
    /// Send each n-th packet twice.
    DuplicateEvery(Option<u32>),
    /// One datagram as it is, at once, from the RTP port to the remote.
    Raw(Bytes),
    /// One datagram as it is, at once, from the RTP port to an address of choice.
    RawTo(SocketAddr, Bytes),
}

/// From where on a new mouth holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switched {
    /// When its first packet was sent.
    pub at: Instant,
    /// That packet's RTP timestamp.
    pub timestamp: u32,
    /// That packet's sequence number.
    pub sequence: u16,
}

/// What a line sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SentCounters {
    /// RTP packets.
    pub packets: u64,
    /// RTP packets sent more than 5 ms after their deadline.
    pub late: u64,
    /// Frames skipped after a stall.
    pub skipped: u64,
    /// Datagrams the kernel did not take.
    pub failed: u64,
}

/// Why a line did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// No port pair.
    #[error(
        "no free even/odd UDP port pair on {0} after 200 attempts; close other programs or raise the limit of open files"
    )]
    NoPorts(IpAddr),
    /// The line is closed.
    #[error("the line is closed: its call has ended")]
    Closed,
    /// The command queue is full.
    #[error("the media thread is behind with {0} commands; start fewer lines")]
    Busy(usize),
    /// The remote takes no telephone events.
    #[error("the other side did not accept telephone-event; send digits by INFO instead")]
    NoEvents,
    /// Not a DTMF digit.
    #[error("{0:?} is not a DTMF digit (0–9, *, #, A–D)")]
    NotADigit(char),
}

#[derive(Debug, Default)]
pub(super) struct Sent {
    pub packets: AtomicU64,
    pub late: AtomicU64,
    pub skipped: AtomicU64,
    pub failed: AtomicU64,
}

/// One even/odd port pair with its mouth and ear. Closes when dropped.
#[derive(Debug)]
pub struct Line {
    id: u64,
    rtp_port: u16,
    ip: IpAddr,
    ear: Arc<Ear>,
    sent: Arc<Sent>,
    has_events: Mutex<bool>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Line {
    /// Binds a port pair and hands it to the media thread. It receives at once and sends after [`connect`](Self::connect).
    pub fn open(options: LineOptions) -> Result<Self, LineError> {
        let (rtp, rtcp, rtp_port) = bind_pair(options.ip)?;
        let other = UdpSocket::bind((options.ip, 0)).ok().filter(|s| s.set_nonblocking(true).is_ok());
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let ear = Arc::new(Ear::new(options.keep));
        let sent = Arc::new(Sent::default());
        let ip = options.ip;
        let outgoing = Outgoing::new(rtp, rtcp, other, options, Arc::clone(&ear), Arc::clone(&sent));
        engine::send(Command::Open(id, Box::new(outgoing)))?;
        Ok(Self { id, rtp_port, ip, ear, sent, has_events: Mutex::new(false) })
    }

    /// The even RTP port.
    pub fn port(&self) -> u16 {
        self.rtp_port
    }

    /// The bound RTP address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.rtp_port)
    }

    /// The ear.
    pub fn ear(&self) -> &Arc<Ear> {
        &self.ear
    }

    /// What was sent so far.
    pub fn sent(&self) -> SentCounters {
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        SentCounters {
            packets: get(&self.sent.packets),
            late: get(&self.sent.late),
            skipped: get(&self.sent.skipped),
            failed: get(&self.sent.failed),
        }
    }

    /// Sets or changes the remote, the codec and the direction.
    pub fn connect(&self, remote: Remote) -> Result<(), LineError> {
        *self.has_events.lock().unwrap_or_else(PoisonError::into_inner) = remote.events.is_some();
        engine::send(Command::Connect(self.id, remote))
    }

    /// Switches the mouth at the next frame boundary and returns from where on it holds (at most 20 ms later; at once if nothing is sent yet).
    pub async fn say(&self, mouth: Mouth) -> Result<Switched, LineError> {
        let (reply, answer) = oneshot::channel();
        engine::send(Command::Say(self.id, mouth, reply))?;
        answer.await.map_err(|_| LineError::Closed)
    }

    /// Sends telephone events (RFC 4733), 100 ms each and 60 ms apart, in place of the mouth. Returns when the last one is sent.
    pub async fn send_digits(&self, digits: &str) -> Result<(), LineError> {
        if !*self.has_events.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(LineError::NoEvents);
        }
        let events =
            digits.chars().map(|d| digit_to_event(d).ok_or(LineError::NotADigit(d))).collect::<Result<Vec<_>, _>>()?;
        let (reply, answer) = oneshot::channel();
        engine::send(Command::Digits(self.id, events, reply))?;
        answer.await.map_err(|_| LineError::Closed)
    }

    /// Switches a fault on or off.
    pub fn misbehave(&self, fault: Misbehave) -> Result<(), LineError> {
        engine::send(Command::Misbehave(self.id, fault))
    }

    /// Closes the sockets after an RTCP BYE; the ear keeps what it has.
    pub fn close(&self) {
        // A full queue delays the closing until the line is dropped, which tries again.
        let _ = engine::send(Command::Close(self.id));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close();
    }
}

fn bind_pair(ip: IpAddr) -> Result<(UdpSocket, UdpSocket, u16), LineError> {
    for _ in 0..200 {
        let Ok(first) = UdpSocket::bind((ip, 0)) else { continue };
        let Ok(port) = first.local_addr().map(|a| a.port()) else { continue };
        let Ok(second) = UdpSocket::bind((ip, port ^ 1)) else { continue };
        let (rtp, rtcp) = if port % 2 == 0 { (first, second) } else { (second, first) };
        if rtp.set_nonblocking(true).is_ok() && rtcp.set_nonblocking(true).is_ok() {
            return Ok((rtp, rtcp, port & !1));
        }
    }
    Err(LineError::NoPorts(ip))
}

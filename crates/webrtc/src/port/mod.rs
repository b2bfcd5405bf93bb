//! A thread with its sockets and legs.

mod bind;
mod command;
mod contact;
mod leg;
mod obey;
mod outbox;
mod ready;
mod route;
mod seats;
mod tcp;
mod timers;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token, Waker};
use str0m::Candidate;
use str0m::ice::StunMessage;
use str0m::net::TcpType;
use tokio::sync::mpsc;

pub(crate) use command::Command;
pub(crate) use leg::{Gate, Making};
pub(crate) use ready::{Bell, Ready};
pub use route::Transport;
pub(crate) use seats::{Seat, Seats};

use crate::config::WebRtcConfig;
use crate::counters::Counts;
use crate::error::WebRtcError;
use crate::event::CloseReason;
use crate::net::{BatchSocket, Received};
use bind::{bind_tcp, bind_udp, bound};
use leg::{Incoming, Io, Leg, Limits};
use outbox::Outbox;
use route::{Endpoint, Routes};
use tcp::{Connections, Ends};
use timers::Timers;

/// A slot and how often it was given away before: a late message for its last holder finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub slot: u32,
    pub life: u32,
}

const WAKER: Token = Token(0);
/// Batches read from a socket before others get their turn.
const BATCHES: usize = 8;
/// Commands done before packets get their turn.
const COMMANDS: usize = 16;
/// Longest sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// A thread as the control side sees it.
pub(crate) struct PortHandle {
    pub commands: mpsc::Sender<Command>,
    pub ready: Arc<Ready>,
    pub seats: Arc<Seats>,
    /// Our candidates on it.
    pub candidates: Vec<Candidate>,
    /// What SDP names as the default address.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl PortHandle {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.ready.wake();
    }
}

struct UdpPort {
    socket: BatchSocket,
    /// Its address as candidates say it.
    visible: SocketAddr,
    readable: bool,
}

struct Port {
    poll: Poll,
    udp: Vec<UdpPort>,
    tcp: Connections,
    legs: Vec<Option<Leg>>,
    routes: Routes,
    timers: Timers,
    outbox: Outbox,
    commands: mpsc::Receiver<Command>,
    ready: Arc<Ready>,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    clock: Instant,
    limits: Limits,
}

/// Starts the thread of that index.
pub(crate) fn start(
    config: &WebRtcConfig,
    index: usize,
    counts: Arc<Counts>,
) -> Result<(PortHandle, JoinHandle<()>), WebRtcError> {
    let poll = Poll::new().map_err(WebRtcError::Start)?;
    let waker = Waker::new(poll.registry(), WAKER).map_err(WebRtcError::Start)?;
    let slots = config.max_peers.div_ceil(config.threads);
    let ready = Arc::new(Ready::new(slots, waker));
    let mut udp = Vec::new();
    let mut candidates = Vec::new();
    let first_connection = 1 + config.addresses.len();
    let per_source = config.max_half_open_per_source;
    let mut tcp = Connections::new(first_connection, slots * 2, config.max_half_open, per_source);
    let candidate =
        |made: Result<Candidate, _>| made.map_err(|_| WebRtcError::Config("an address cannot be a candidate"));
    for (number, address) in config.addresses.iter().enumerate() {
        let port = if config.first_port == 0 { 0 } else { config.first_port + index as u16 };
        let asked = SocketAddr::new(address.bind, port);
        let socket = bound("UDP", asked, bind_udp(asked, config.socket_buffer))?;
        let port = bound("UDP", asked, socket.local_addr())?.port();
        let visible = SocketAddr::new(address.visible(), port);
        let socket = BatchSocket::new(socket).map_err(WebRtcError::Start)?;
        let token = Token(1 + number);
        poll.registry().register(&mut SourceFd(&socket.fd()), token, Interest::READABLE).map_err(WebRtcError::Start)?;
        udp.push(UdpPort { socket, visible, readable: true });
        candidates.push(candidate(Candidate::host(visible, "udp"))?);
        if config.tcp {
            // The same number where it is free, as firewalls like it; with any free port asked for, any other will do.
            let asked = SocketAddr::new(address.bind, port);
            let listener = match bind_tcp(asked) {
                Err(_) if config.first_port == 0 => bind_tcp(SocketAddr::new(address.bind, 0)),
                bound => bound,
            };
            let listener = bound("TCP", asked, listener)?;
            let visible = SocketAddr::new(address.visible(), bound("TCP", asked, listener.local_addr())?.port());
            let listener = mio::net::TcpListener::from_std(listener);
            tcp.listen(poll.registry(), listener, visible).map_err(WebRtcError::Start)?;
            candidates.push(candidate(Candidate::builder().tcp().host(visible).tcptype(TcpType::Passive).build())?);
        }
    }
    let address = udp.first().map(|udp| udp.visible).ok_or(WebRtcError::Config("1 to 8 addresses are needed"))?;
    let (sender, commands) = mpsc::channel(config.command_capacity);
    let seats = Seats::new(slots);
    let stop = Arc::new(AtomicBool::new(false));
    let port = Port {
        poll,
        udp,
        tcp,
        legs: std::iter::repeat_with(|| None).take(slots).collect(),
        routes: Routes::default(),
        timers: Timers::default(),
        outbox: Outbox::default(),
        commands,
        ready: ready.clone(),
        stop: stop.clone(),
        counts,
        clock: config.clock,
        limits: Limits {
            lite: config.lite,
            connect: config.connect_timeout,
            silence: config.silence(),
            failed: config.failed_after,
        },
    };
    let thread = std::thread::Builder::new().name(format!("webrtc-{index}")).spawn(move || port.run());
    let thread = thread.map_err(WebRtcError::Start)?;
    Ok((PortHandle { commands: sender, ready, seats, candidates, address, stop }, thread))
}

impl Port {
    fn run(mut self) {
        let mut events = mio::Events::with_capacity(256);
        let mut received = Received::new();
        while !self.stop.load(Ordering::SeqCst) {
            let commands = self.obey();
            self.serve_marked();
            self.serve_due();
            let unread = self.read(&mut received);
            self.flush();
            let busy = unread || commands || self.tcp.is_busy();
            if let Err(error) = self.sleep(&mut events, busy) {
                tracing::error!(%error, "a WebRTC thread cannot wait for its sockets; it stops");
                break;
            }
        }
        for slot in 0..self.legs.len() {
            self.remove(slot, CloseReason::Stopped);
        }
        self.flush();
    }

    /// Sleeps until something happens.
    fn sleep(&mut self, events: &mut mio::Events, busy: bool) -> std::io::Result<()> {
        let now = Instant::now();
        let until = [self.timers.next(), self.tcp.next()].into_iter().flatten().min();
        let mut longest = until.map_or(LONGEST_SLEEP, |at| at.saturating_duration_since(now).min(LONGEST_SLEEP));
        if busy || !self.ready.fall_asleep() || !self.commands.is_empty() || self.stop.load(Ordering::SeqCst) {
            longest = Duration::ZERO;
        }
        let polled = self.poll.poll(events, Some(longest));
        self.ready.wake_up();
        self.counts.wake_ups.add(1);
        match polled {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let now = Instant::now();
        for event in events.iter() {
            let Token(number) = event.token();
            match number.checked_sub(1).and_then(|index| self.udp.get_mut(index)) {
                Some(udp) => udp.readable = true,
                None if event.token() == WAKER => {}
                None => self.tcp.ready(self.poll.registry(), event.token(), now, &self.counts),
            }
        }
        Ok(())
    }

    /// Does something with a leg; whatever ends or breaks it, ends it alone.
    fn with<T>(
        &mut self,
        slot: usize,
        work: impl FnOnce(&mut Leg, &mut Io<'_>) -> Result<T, CloseReason>,
    ) -> Option<T> {
        let leg = self.legs.get_mut(slot)?.as_mut()?;
        let mut io = Io {
            now: Instant::now(),
            clock: self.clock,
            limits: self.limits,
            routes: &mut self.routes,
            outbox: &mut self.outbox,
            counts: &self.counts,
        };
        let reason = match catch_unwind(AssertUnwindSafe(|| work(leg, &mut io))) {
            Ok(Ok(done)) => {
                let due = leg.due(&self.limits);
                self.timers.set(leg.key, due, &mut leg.scheduled);
                return Some(done);
            }
            Ok(Err(reason)) => reason,
            Err(_) => CloseReason::Fault,
        };
        if reason == CloseReason::Fault {
            self.counts.faults.add(1);
            tracing::error!(slot, "a WebRTC leg was ended by an error of its own");
        }
        self.remove(slot, reason);
        None
    }

    fn remove(&mut self, slot: usize, reason: CloseReason) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::take) else { return };
        let mut io = Io {
            now: Instant::now(),
            clock: self.clock,
            limits: self.limits,
            routes: &mut self.routes,
            outbox: &mut self.outbox,
            counts: &self.counts,
        };
        // A leg that broke may break again on its way out.
        let _ = catch_unwind(AssertUnwindSafe(|| leg.end(&mut io, reason)));
    }

    fn holds(&self, key: Key) -> Option<usize> {
        let slot = key.slot as usize;
        self.legs.get(slot)?.as_ref().is_some_and(|leg| leg.key == key).then_some(slot)
    }

    /// Legs whose media end wrote or whose handle hung up.
    fn serve_marked(&mut self) {
        let ready = self.ready.clone();
        ready.take(|slot| {
            let hang_up =
                self.legs.get(slot).and_then(Option::as_ref).is_some_and(|leg| leg.hang_up.load(Ordering::SeqCst));
            if hang_up {
                self.remove(slot, CloseReason::Local);
            } else {
                self.with(slot, Leg::send);
            }
        });
    }

    /// Legs whose deadline passed.
    fn serve_due(&mut self) {
        let now = Instant::now();
        while let Some((at, key)) = self.timers.due(now) {
            let Some(slot) = self.holds(key) else { continue };
            let limits = self.limits;
            let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { continue };
            if leg.scheduled == Some(at) {
                leg.scheduled = None;
            }
            let due = leg.due(&limits);
            if due > now {
                self.timers.set(key, due, &mut leg.scheduled);
            } else {
                self.with(slot, Leg::advance);
            }
        }
        self.tcp.expire(now, &self.counts);
    }

    /// Reads what waits on the sockets, up to a bound; whether there may be more.
    fn read(&mut self, received: &mut Received) -> bool {
        let mut unread = false;
        for index in 0..self.udp.len() {
            for _ in 0..BATCHES {
                let Some(udp) = self.udp.get_mut(index).filter(|udp| udp.readable) else { break };
                udp.readable = udp.socket.receive(received);
                let local = udp.visible;
                for (remote, arrived, bytes) in received.iter() {
                    let endpoint = Endpoint { transport: Transport::Udp, local, remote };
                    self.dispatch(Incoming { endpoint, arrived, bytes });
                }
            }
            unread |= self.udp.get(index).is_some_and(|udp| udp.readable);
        }
        for ends in self.tcp.take_busy() {
            let mut frames = Vec::new();
            let alive = self.tcp.read(&ends, |arrived, bytes| frames.push((arrived, bytes.to_vec())));
            let endpoint = Endpoint { transport: Transport::Tcp, local: ends.local, remote: ends.remote };
            for (arrived, bytes) in frames {
                self.dispatch(Incoming { endpoint, arrived, bytes: &bytes });
            }
            if !alive {
                self.tcp.close(&ends);
            }
        }
        unread
    }

    /// Gives a datagram to its leg. What comes from an address that never passed a check reaches no DTLS and no SRTP.
    fn dispatch(&mut self, incoming: Incoming<'_>) {
        self.counts.datagrams_in.add(1);
        match incoming.bytes.first() {
            Some(0 | 1) => self.dispatch_check(incoming),
            Some(20..=63 | 128..=191) => {
                match self.routes.by_address(&incoming.endpoint).and_then(|key| self.holds(key)) {
                    Some(slot) => _ = self.with(slot, |leg, io| leg.datagram(io, incoming)),
                    None => self.counts.strays.add(1),
                }
            }
            _ => self.counts.malformed.add(1),
        }
    }

    fn dispatch_check(&mut self, incoming: Incoming<'_>) {
        let transaction = incoming.bytes.get(8..20).and_then(|bytes| bytes.try_into().ok());
        let (Some(transaction), Ok(message)) = (transaction, StunMessage::parse(incoming.bytes)) else {
            return self.counts.malformed.add(1);
        };
        let (key, request) = if message.is_binding_request() {
            let ours = message.split_username().map(|(ours, _)| ours);
            let key = ours.and_then(|ours| self.routes.by_fragment(ours));
            (key, Some((transaction, message.use_candidate())))
        } else {
            (self.routes.by_check(&transaction), None)
        };
        let Some(slot) = key.and_then(|key| self.holds(key)) else { return self.counts.strays.add(1) };
        self.with(slot, |leg, io| leg.stun(io, incoming, request));
        // Naming a leg is not enough: the check must have passed.
        let endpoint = &incoming.endpoint;
        if endpoint.transport == Transport::Tcp && key.is_some() && self.routes.by_address(endpoint) == key {
            self.tcp.identify(&Ends::of(endpoint));
        }
    }

    /// Sends all that has been written.
    fn flush(&mut self) {
        for udp in &mut self.udp {
            let letters = self.outbox.udp.iter().filter(|letter| letter.local == udp.visible);
            let count = letters.clone().count();
            if count > 0 {
                let unsent = udp.socket.send(letters.map(|letter| (letter.remote, &*letter.bytes)));
                self.counts.datagrams_out.add((count - unsent) as u64);
                self.counts.datagrams_unsent.add(unsent as u64);
            }
        }
        self.outbox.udp.clear();
        for (ends, bytes) in self.outbox.tcp.drain(..) {
            let count =
                if self.tcp.send(&ends, &bytes) { &self.counts.datagrams_out } else { &self.counts.datagrams_unsent };
            count.add(1);
        }
        for ends in self.outbox.closing.drain(..) {
            self.tcp.close(&ends);
        }
    }

    /// Does what was asked, up to a bound; whether there may be more.
    fn obey(&mut self) -> bool {
        for _ in 0..COMMANDS {
            let Ok(command) = self.commands.try_recv() else { return false };
            self.obey_one(command);
        }
        true
    }
}

//! A group of legs as their phones see them: what they send, what comes back, and how regularly.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use audio::FRAME_8K;

use super::{Ran, Run};
use crate::failure::{Failure, Result, Tried};
use crate::histogram::Histogram;
use crate::os::{self, Inbox};
use crate::speech::Conversation;

/// Where phones live: another address than the server, so that their ports never meet.
pub const PHONES: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where the server lives.
pub const SERVER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Sub-slots of a tick: packets leave evenly.
const SLOTS: usize = 80;
const SLOT_NS: u64 = 20_000_000 / SLOTS as u64;
const HEADER: usize = 12;
/// Receive buffer asked for: twenty packets with the kernel's overhead.
const BUFFER: i32 = 32 << 10;
const LATE_NS: u64 = 5_000_000;

struct Talker {
    socket: UdpSocket,
    sequence: u16,
    ssrc: u32,
    /// RTP timestamp that lateness counts from.
    origin: Option<u32>,
    /// Earliest arrival relative to the leg's own grid, ns of the real-time clock.
    earliest: i64,
    received: u64,
    dropped: Option<u32>,
    dropped_at_start: u32,
}

/// A group of legs.
pub struct Talkers {
    legs: Vec<Talker>,
    reports: UdpSocket,
}

struct Window {
    from: i64,
    to: i64,
}

impl Talkers {
    /// Binds a socket for each leg, and one that takes all their reports.
    ///
    /// # Errors
    /// The system has no more ports or files.
    pub fn open(legs: usize) -> Result<Self> {
        let bind = || -> Result<UdpSocket> {
            let socket = UdpSocket::bind(SocketAddrV4::new(PHONES, 0)).tried("binding a phone's port")?;
            socket.set_nonblocking(true).tried("a phone's socket")?;
            os::stamp_arrivals(&socket, BUFFER).tried("a phone's socket")?;
            Ok(socket)
        };
        let talker = |n: usize| {
            Ok(Talker {
                socket: bind()?,
                sequence: (n * 7) as u16,
                ssrc: 0x5000_0000 + n as u32,
                origin: None,
                earliest: i64::MAX,
                received: 0,
                dropped: None,
                dropped_at_start: 0,
            })
        };
        Ok(Self { legs: (0..legs).map(talker).collect::<Result<_>>()?, reports: bind()? })
    }

    /// The ports bound, and that for reports.
    ///
    /// # Errors
    /// The system does not know.
    pub fn ports(&self) -> Result<(Vec<u16>, u16)> {
        let port = |socket: &UdpSocket| Ok(socket.local_addr().tried("a phone's address")?.port());
        Ok((self.legs.iter().map(|leg| port(&leg.socket)).collect::<Result<_>>()?, port(&self.reports)?))
    }

    /// Ties each leg to its port of the server.
    ///
    /// # Errors
    /// Another number of ports than legs, or the system refuses.
    pub fn connect(&mut self, ports: &[u16]) -> Result<()> {
        if ports.len() != self.legs.len() {
            return Err(Failure::Generator(format!("{} ports for {} legs", ports.len(), self.legs.len())));
        }
        for (leg, port) in self.legs.iter_mut().zip(ports) {
            leg.socket.connect(SocketAddrV4::new(SERVER, *port)).tried("connecting a phone")?;
        }
        Ok(())
    }

    /// Talks until the end of the run.
    pub fn run(&mut self, run: Run, conversation: &Conversation) -> Ran {
        let mut inbox = Inbox::default();
        let mut own = Histogram::default();
        let mut late = Histogram::default();
        let mut ran = Ran::default();
        self.begin(&mut inbox);
        let offset = os::realtime() - os::monotonic().cast_signed();
        let window = Window { from: run.from.cast_signed() + offset, to: run.to.cast_signed() + offset };
        let cpu = os::thread_cpu(os::thread_id()).unwrap_or_default();
        let slots = (run.to.saturating_sub(run.start) / SLOT_NS) as usize;
        for n in 0..slots {
            let due = run.start + n as u64 * SLOT_NS;
            os::sleep_until(due);
            let counts = due >= run.from;
            for (at, leg) in self.legs.iter_mut().enumerate().skip(n % SLOTS).step_by(SLOTS) {
                let lateness = os::monotonic().cast_signed() - due.cast_signed();
                let sent = leg.say(conversation.frame(at % 3, n / SLOTS + at / 3 * 7), n < SLOTS);
                if counts {
                    own.add(lateness);
                    ran.sent += u64::from(sent);
                    ran.refused += u64::from(!sent);
                }
            }
            for leg in self.legs.iter_mut().skip((n + SLOTS / 2) % SLOTS).step_by(SLOTS) {
                leg.hear(&mut inbox, &window, &mut late);
            }
            if n % SLOTS == 0 {
                while inbox.receive(&self.reports) > 0 {}
            }
        }
        for leg in &mut self.legs {
            leg.hear(&mut inbox, &window, &mut late);
        }
        ran.cpu_ms = (os::thread_cpu(os::thread_id()).unwrap_or_default() - cpu).as_secs_f64() * 1e3;
        ran.received = self.legs.iter().map(|leg| leg.received).sum();
        ran.expected = self.legs.len() as u64 * (run.to.saturating_sub(run.from) / 20_000_000);
        ran.dropped =
            self.legs.iter().map(|leg| u64::from(leg.dropped.unwrap_or(0).wrapping_sub(leg.dropped_at_start))).sum();
        ran.late = late.over(LATE_NS);
        ran.lateness = late.spread();
        ran.own_lateness = own.spread();
        ran
    }

    /// Forgets what came before.
    fn begin(&mut self, inbox: &mut Inbox) {
        for leg in &mut self.legs {
            while inbox.receive(&leg.socket) > 0 {}
            // A new stream: its timeline starts here, as after a pause of a real phone.
            leg.ssrc = leg.ssrc.wrapping_add(0x1_0000);
            leg.origin = None;
            leg.earliest = i64::MAX;
            leg.received = 0;
            leg.dropped_at_start = leg.dropped.unwrap_or(0);
        }
    }
}

impl Talker {
    /// Sends the next packet; whether the system took it.
    fn say(&mut self, words: &[u8; FRAME_8K], first: bool) -> bool {
        let mut packet = [0u8; HEADER + FRAME_8K];
        packet[0] = 0x80;
        packet[1] = u8::from(first) << 7;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(self.sequence) * FRAME_8K as u32).to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        packet[HEADER..].copy_from_slice(words);
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&packet).is_ok()
    }

    fn hear(&mut self, inbox: &mut Inbox, window: &Window, late: &mut Histogram) {
        loop {
            let count = inbox.receive(&self.socket);
            for n in 0..count {
                let Some((bytes, arrived)) = inbox.get(n) else { continue };
                self.dropped = arrived.dropped.or(self.dropped);
                // Reports of a leg whose next port this happens to be are no sound.
                if bytes.get(1).is_none_or(|kind| kind & 0x7f != 0) {
                    continue;
                }
                let Some(stamp) = bytes.get(4..8).and_then(|b| <[u8; 4]>::try_from(b).ok()) else { continue };
                let stamp = u32::from_be_bytes(stamp);
                let origin = *self.origin.get_or_insert(stamp);
                let place = arrived.at - i64::from(stamp.wrapping_sub(origin).cast_signed()) * 125_000;
                self.earliest = self.earliest.min(place);
                if (window.from..window.to).contains(&arrived.at) {
                    self.received += 1;
                    late.add(place - self.earliest);
                }
            }
            if count < os::BATCH {
                return;
            }
        }
    }
}

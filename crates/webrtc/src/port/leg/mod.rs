//! One leg: its str0m agent, its path to a media shard, and where it is reached.

mod making;
mod rtp;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use media::TransportEnd;
use str0m::change::SdpPendingOffer;
use str0m::media::Mid;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Event, Input, Output, Rtc};

pub(super) use making::Limits;
pub(crate) use making::{Gate, Making};

use super::contact::Contacts;
use super::outbox::Outbox;
use super::route::{Endpoint, Routes, Transaction};
use super::seats::Seat;
use super::{Key, Transport};
use crate::admission::Place;
use crate::counters::Counts;
use crate::event::{Announcer, CloseReason, PeerEvent};
use rtp::Streams;

/// Checks of theirs that await our answer; str0m answers at once, or when it has learnt their password.
const REQUESTS: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Our offer awaits its answer.
    Offered,
    Connecting {
        since: Instant,
    },
    Connected,
    Disconnected,
}

/// What a leg needs of its thread.
pub(super) struct Io<'a> {
    pub now: Instant,
    /// Zero of the media plane's clock.
    pub clock: Instant,
    pub limits: Limits,
    pub routes: &'a mut Routes,
    pub outbox: &'a mut Outbox,
    pub counts: &'a Counts,
}

/// A datagram that arrived for a leg.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub endpoint: Endpoint,
    /// Not when it was read.
    pub arrived: Instant,
    pub bytes: &'a [u8],
}

/// A check of theirs.
struct Request {
    transaction: Transaction,
    nominates: bool,
}

pub(super) struct Leg {
    pub key: Key,
    pub rtc: Rtc,
    pub mid: Mid,
    /// An offer of ours that awaits its answer.
    pub pending: Option<SdpPendingOffer>,
    pub gate: Option<Gate>,
    /// Name fragments under which the leg is known.
    pub fragments: Vec<String>,
    pub contacts: Contacts,
    /// When it has to be looked at; kept by [`super::timers::Timers`].
    pub scheduled: Option<Instant>,
    /// Its handle wants it closed.
    pub hang_up: Arc<AtomicBool>,
    pub place: Place,
    announcer: Announcer,
    path: TransportEnd,
    phase: Phase,
    lite: bool,
    next: Instant,
    requests: VecDeque<Request>,
    streams: Streams,
    /// Where the datagram in work came from, and when.
    source: Option<(Endpoint, Instant)>,
    last_sent: Option<u64>,
    _seat: Seat,
}

impl Leg {
    /// Whether DTLS has made keys. An ICE restart does not take them away.
    fn secured(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Disconnected)
    }

    /// When the leg must be looked at.
    pub(super) fn due(&self, limits: &Limits) -> Instant {
        let own = match self.phase {
            Phase::Offered => None,
            Phase::Connecting { since } => Some(since + limits.connect),
            Phase::Connected => Some(self.contacts.heard() + limits.silence),
            Phase::Disconnected => Some(self.contacts.heard() + limits.failed),
        };
        own.map_or(self.next, |own| own.min(self.next))
    }

    /// A connectivity check, or the answer to one of ours.
    pub(super) fn stun(
        &mut self,
        io: &mut Io<'_>,
        incoming: Incoming<'_>,
        request: Option<(Transaction, bool)>,
    ) -> Result<(), CloseReason> {
        if let Some((transaction, nominates)) = request {
            if !self.contacts.has_room(&incoming.endpoint, io.now) {
                io.counts.addresses_refused.add(1);
                return Ok(());
            }
            if self.requests.len() == REQUESTS {
                self.requests.pop_front();
            }
            self.requests.push_back(Request { transaction, nominates });
        }
        let Some(input) = input(io, &incoming) else { return Ok(()) };
        if request.is_none() {
            if !self.rtc.accepts(&input) {
                io.counts.malformed.add(1);
                return Ok(());
            }
            let moved = self.contacts.answered(&incoming.endpoint, io.now);
            io.routes.heard(&incoming.endpoint, self.key, io.now);
            self.moved(io, moved);
            self.back(io);
        }
        self.handle(io, input)
    }

    /// DTLS, RTP or RTCP from an address that passed a check.
    pub(super) fn datagram(&mut self, io: &mut Io<'_>, incoming: Incoming<'_>) -> Result<(), CloseReason> {
        if let [128..=191, second, _, _, _, _, _, _, a, b, c, d, ..] = incoming.bytes {
            let payload_type = second & 0x7f;
            // 64 to 95 with the marker bit are RTCP (RFC 5761 §4).
            if !(64..96).contains(&payload_type) && !self.expect(payload_type, u32::from_be_bytes([*a, *b, *c, *d])) {
                io.counts.packets_refused.add(1);
                return Ok(());
            }
        }
        let Some(input) = input(io, &incoming) else { return Ok(()) };
        self.source = Some((incoming.endpoint, incoming.arrived));
        let done = self.handle(io, input);
        self.source = None;
        done
    }

    fn handle(&mut self, io: &mut Io<'_>, input: Input<'_>) -> Result<(), CloseReason> {
        if let Err(error) = self.rtc.handle_input(input) {
            // Whoever can forge an address can send nonsense: it ends nothing.
            tracing::debug!(%error, "a datagram of a WebRTC leg was refused");
            io.counts.malformed.add(1);
        }
        self.drain(io)
    }

    /// A deadline passed, or something was changed from outside.
    pub(super) fn advance(&mut self, io: &mut Io<'_>) -> Result<(), CloseReason> {
        self.handle(io, Input::Timeout(io.now))?;
        let silent = io.now.saturating_duration_since(self.contacts.heard());
        match self.phase {
            Phase::Connecting { since } if io.now >= since + io.limits.connect => {
                io.counts.never_connected.add(1);
                Err(if self.contacts.all().next().is_some() {
                    CloseReason::NoHandshake
                } else {
                    CloseReason::NoConnection
                })
            }
            Phase::Connected if silent >= io.limits.silence => {
                self.phase = Phase::Disconnected;
                self.tell(io, PeerEvent::Disconnected);
                Ok(())
            }
            Phase::Disconnected if silent >= io.limits.failed => {
                io.counts.lost.add(1);
                Err(CloseReason::Lost)
            }
            _ => Ok(()),
        }
    }

    fn drain(&mut self, io: &mut Io<'_>) -> Result<(), CloseReason> {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    // Never at once: an agent that is not content with the present would spin.
                    self.next = at.max(io.now + Duration::from_millis(1));
                    return if self.rtc.is_alive() { Ok(()) } else { Err(CloseReason::Dtls) };
                }
                Ok(Output::Transmit(transmit)) => self.transmit(io, transmit),
                Ok(Output::Event(event)) => self.event(io, event)?,
                Err(error) => {
                    tracing::debug!(%error, "a WebRTC leg failed");
                    return Err(self.failure(io));
                }
            }
        }
    }

    /// What a failed agent failed of.
    fn failure(&mut self, io: &Io<'_>) -> CloseReason {
        // A certificate was shown, and no connection came of it.
        if !self.rtc.is_alive() && self.rtc.direct_api().remote_dtls_fingerprint().is_some() && !self.secured() {
            io.counts.wrong_fingerprint.add(1);
            return CloseReason::WrongFingerprint;
        }
        CloseReason::Dtls
    }

    fn transmit(&mut self, io: &mut Io<'_>, transmit: Transmit) {
        let transport = match transmit.proto {
            Protocol::Udp => Transport::Udp,
            Protocol::Tcp => Transport::Tcp,
            _ => return,
        };
        let mut endpoint = Endpoint { transport, local: transmit.source, remote: transmit.destination };
        match transmit.contents.get(..20) {
            // A binding success: str0m has verified their check.
            Some([1, 1, ..]) => self.proved(io, endpoint, transaction(&transmit.contents)),
            // A check of ours.
            Some([0, 1, ..]) => {
                if let Some(transaction) = transaction(&transmit.contents) {
                    io.routes.sent_check(transaction, self.key, io.now);
                }
            }
            _ if transmit.contents.first().is_some_and(|first| *first >= 20) => {
                if let Some(moved) = self.contacts.chosen_by_agent(endpoint, io.now) {
                    self.moved(io, moved);
                }
                if let Some(pair) = self.contacts.pair() {
                    endpoint = pair;
                }
            }
            _ => {}
        }
        io.outbox.push(endpoint, transmit.contents);
    }

    /// They passed a check from this address.
    fn proved(&mut self, io: &mut Io<'_>, endpoint: Endpoint, transaction: Option<Transaction>) {
        let index = self.requests.iter().position(|request| Some(request.transaction) == transaction);
        let nominates = index.and_then(|index| self.requests.remove(index)).is_some_and(|request| request.nominates);
        if !io.routes.claim(endpoint, self.key, io.now) {
            io.counts.address_conflicts.add(1);
            return;
        }
        if let Some(forgotten) = self.contacts.proved(endpoint, io.now) {
            io.routes.release(&forgotten, self.key);
            io.outbox.release(&forgotten);
        }
        if let Some(moved) = self.contacts.chosen_by_them(endpoint, nominates, io.limits.lite, io.now) {
            self.moved(io, moved);
        }
        self.back(io);
    }

    /// Something authentic was heard.
    fn back(&mut self, io: &Io<'_>) {
        if self.phase == Phase::Disconnected {
            self.phase = Phase::Connected;
            if let Some(pair) = self.contacts.described() {
                self.tell(io, PeerEvent::Connected { pair, after: Duration::ZERO });
            }
        }
    }

    fn moved(&mut self, io: &Io<'_>, moved: bool) {
        if moved
            && self.phase == Phase::Connected
            && let Some(pair) = self.contacts.described()
        {
            self.tell(io, PeerEvent::Moved { pair });
        }
    }

    fn event(&mut self, io: &mut Io<'_>, event: Event) -> Result<(), CloseReason> {
        match event {
            Event::Connected => {
                if let Phase::Connecting { since } = self.phase {
                    self.phase = Phase::Connected;
                    self.place.connected();
                    self.contacts.touch(io.now);
                    io.counts.connected.add(1);
                    if let Some(pair) = self.contacts.described() {
                        let after = io.now.saturating_duration_since(since);
                        self.tell(io, PeerEvent::Connected { pair, after });
                    }
                }
            }
            Event::RtpPacket(packet) => self.deliver(io, &packet),
            Event::MediaEgressStats(stats) => {
                if let Some(loss) = stats.loss {
                    // What is sent from now on is made to bear it.
                    self.path.set_loss((loss.clamp(0.0, 1.0) * 100.0).round() as u8);
                }
            }
            Event::Closed => return Err(CloseReason::Remote),
            _ => {}
        }
        Ok(())
    }

    fn tell(&self, io: &Io<'_>, event: PeerEvent) {
        if !self.announcer.tell(event) {
            io.counts.events_dropped.add(1);
        }
    }

    /// Says goodbye (RTCP BYE, DTLS close_notify) and gives up everything that leads here.
    pub(super) fn end(mut self, io: &mut Io<'_>, reason: CloseReason) {
        if self.rtc.is_alive() && self.rtc.close().is_ok() {
            for _ in 0..32 {
                match self.rtc.poll_output() {
                    Ok(Output::Transmit(transmit)) => self.transmit(io, transmit),
                    Ok(Output::Event(_)) => {}
                    Ok(Output::Timeout(_)) | Err(_) => break,
                }
            }
        }
        for fragment in &self.fragments {
            io.routes.remove_fragment(fragment);
        }
        for endpoint in self.contacts.all() {
            io.routes.release(&endpoint, self.key);
            io.outbox.release(&endpoint);
        }
        // Whoever hears of the end finds the place free and the path closed.
        let Self { mut announcer, place, path, _seat: seat, .. } = self;
        drop((place, path, seat));
        announcer.end(reason);
    }
}

fn transaction(message: &[u8]) -> Option<Transaction> {
    message.get(8..20)?.try_into().ok()
}

fn input<'a>(io: &Io<'_>, incoming: &Incoming<'a>) -> Option<Input<'a>> {
    let Endpoint { transport, local, remote } = incoming.endpoint;
    let proto = match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    };
    match Receive::new(proto, remote, local, incoming.bytes) {
        Ok(receive) => Some(Input::Receive(io.now, receive)),
        Err(_) => {
            io.counts.malformed.add(1);
            None
        }
    }
}

//! One leg: its str0m agent, its path to a media shard, and where it is reached.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use media::{PathPacket, TransportEnd};
use str0m::change::SdpPendingOffer;
use str0m::media::Mid;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::{RtpPacket, RtpWrite, SeqNo, Ssrc};
use str0m::{Event, Input, Output, Rtc};

use super::contact::{Contacts, Endpoint};
use super::outbox::Outbox;
use super::route::{Routes, Transaction};
use super::seats::Seat;
use super::{Key, Transport};
use crate::admission::Place;
use crate::agent::Credentials;
use crate::counters::Counts;
use crate::error::WebRtcError;
use crate::event::{Announcer, CloseReason, PeerEvent, Shared};

/// Streams that a leg may send at once; browsers send one.
const STREAMS: usize = 8;
/// Checks of theirs that await our answer; str0m answers at once, or when it has learnt their password.
const REQUESTS: usize = 32;
/// Packets of a path that are sent in one go.
const BURST: usize = 16;

/// What may pass, as agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub payload_type: u8,
    pub telephone_event: Option<u8>,
    pub send: bool,
    pub receive: bool,
}

impl Gate {
    fn knows(&self, payload_type: u8) -> bool {
        self.payload_type == payload_type || self.telephone_event == Some(payload_type)
    }
}

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

/// Times of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub lite: bool,
    pub connect: Duration,
    pub silence: Duration,
    pub failed: Duration,
}

/// A datagram that arrived for a leg.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub endpoint: Endpoint,
    pub bytes: &'a [u8],
}

/// A check of theirs.
struct Request {
    transaction: Transaction,
    nominates: bool,
}

/// A stream of theirs.
struct Stream {
    ssrc: u32,
    /// A packet of it passed authentication.
    proved: bool,
}

/// What a new leg is made of.
pub(crate) struct Making {
    pub rtc: Rtc,
    pub mid: Mid,
    pub credentials: Credentials,
    pub pending: Option<SdpPendingOffer>,
    pub gate: Option<Gate>,
    pub remote_candidates: Vec<str0m::Candidate>,
    pub lite: bool,
    pub path: TransportEnd,
    pub announcer: Announcer,
    pub shared: Arc<Shared>,
    pub place: Place,
    pub seat: Seat,
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
    pub shared: Arc<Shared>,
    pub place: Place,
    announcer: Announcer,
    path: TransportEnd,
    phase: Phase,
    lite: bool,
    next: Instant,
    requests: VecDeque<Request>,
    streams: Vec<Stream>,
    /// Sender of the datagram in work.
    from: Option<Endpoint>,
    last_sent: Option<u64>,
    _seat: Seat,
}

impl Leg {
    pub(super) fn new(making: Making, now: Instant) -> Self {
        let key = making.seat.key();
        let phase = if making.pending.is_some() { Phase::Offered } else { Phase::Connecting { since: now } };
        let mut leg = Self {
            key,
            rtc: making.rtc,
            mid: making.mid,
            pending: making.pending,
            gate: making.gate,
            fragments: vec![making.credentials.ufrag],
            contacts: Contacts::new(now),
            scheduled: None,
            shared: making.shared,
            place: making.place,
            announcer: making.announcer,
            path: making.path,
            phase,
            lite: making.lite,
            next: now,
            requests: VecDeque::new(),
            streams: Vec::new(),
            from: None,
            last_sent: None,
            _seat: making.seat,
        };
        for candidate in making.remote_candidates {
            leg.add_candidate(candidate);
        }
        leg
    }

    pub(super) fn add_candidate(&mut self, candidate: str0m::Candidate) {
        // With ICE lite their candidates are never checked, only told apart.
        if self.contacts.announced(&candidate) && !self.lite {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// Their answer comes: connecting begins, if there is room for it.
    pub(super) fn connect(&mut self, now: Instant) -> Result<(), WebRtcError> {
        if self.phase == Phase::Offered {
            self.place.connect()?;
            self.phase = Phase::Connecting { since: now };
        }
        Ok(())
    }

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
        self.from = Some(incoming.endpoint);
        let done = self.handle(io, input);
        self.from = None;
        done
    }

    /// Sees to it that a stream is known before its first packet: descriptions need not announce it.
    fn expect(&mut self, payload_type: u8, ssrc: u32) -> bool {
        if !self.gate.is_some_and(|gate| gate.knows(payload_type)) || !self.secured() || ssrc == 0 {
            return false;
        }
        if self.streams.iter().any(|stream| stream.ssrc == ssrc) {
            return true;
        }
        if self.streams.len() == STREAMS {
            // Anyone who can forge an address can invent streams; those that proved themselves stay.
            let Some(index) = self.streams.iter().position(|stream| !stream.proved) else { return false };
            let old = self.streams.swap_remove(index);
            self.rtc.direct_api().remove_stream_rx(Ssrc::from(old.ssrc));
        }
        self.streams.push(Stream { ssrc, proved: false });
        let mut api = self.rtc.direct_api();
        api.expect_stream_rx(Ssrc::from(ssrc), None, self.mid, None).suppress_nack(true);
        true
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
                self.shared.connected.store(false, Ordering::Relaxed);
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

    /// Sends what the media shard has put into the path.
    pub(super) fn send(&mut self, io: &mut Io<'_>) -> Result<(), CloseReason> {
        let mut wrote = false;
        for _ in 0..BURST {
            let Some(packet) = self.path.next() else { break };
            wrote |= self.write(io, &packet);
        }
        if wrote { self.handle(io, Input::Timeout(io.now)) } else { Ok(()) }
    }

    fn write(&mut self, io: &Io<'_>, packet: &PathPacket) -> bool {
        let Some(gate) = self.gate else { return false };
        // Before the handshake there are no keys; after a silence there is no consent to send (RFC 7675).
        if self.phase != Phase::Connected {
            return false;
        }
        if !gate.send {
            io.counts.packets_held.add(1);
            return false;
        }
        if !gate.knows(packet.payload_type) {
            io.counts.packets_refused.add(1);
            return false;
        }
        let sequence = extended(self.last_sent, packet.sequence);
        self.last_sent = Some(self.last_sent.map_or(sequence, |last| last.max(sequence)));
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else { return false };
        let sequence = SeqNo::from(sequence);
        let write = RtpWrite::new(packet.payload_type.into(), sequence, packet.timestamp, io.now, packet.payload());
        stream.write_rtp(write.marker(packet.marker));
        self.shared.packets_sent.fetch_add(1, Ordering::Relaxed);
        self.shared.bytes_sent.fetch_add(packet.payload().len() as u64, Ordering::Relaxed);
        true
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
        if !io.routes.claim(endpoint.from(), self.key, io.now) {
            io.counts.address_conflicts.add(1);
            return;
        }
        if let Some(forgotten) = self.contacts.proved(endpoint, io.now) {
            io.routes.release(&forgotten.from(), self.key);
            if forgotten.transport == Transport::Tcp {
                io.outbox.close(forgotten.remote);
            }
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
            self.shared.connected.store(true, Ordering::Relaxed);
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
                    self.shared.connected.store(true, Ordering::Relaxed);
                    io.counts.connected.add(1);
                    if let Some(pair) = self.contacts.described() {
                        let after = io.now.saturating_duration_since(since);
                        self.tell(io, PeerEvent::Connected { pair, after });
                    }
                }
            }
            Event::RtpPacket(packet) => self.deliver(io, &packet),
            Event::MediaEgressStats(stats) => {
                if let Some(round_trip) = stats.rtt {
                    let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
                    self.shared.round_trip.store(micros, Ordering::Relaxed);
                }
                if let Some(loss) = stats.loss {
                    let loss = loss.clamp(0.0, 1.0);
                    self.shared.loss.store(loss.to_bits(), Ordering::Relaxed);
                    // What is sent from now on is made to bear it.
                    self.path.set_loss((loss * 100.0).round() as u8);
                }
            }
            Event::Closed => return Err(CloseReason::Remote),
            _ => {}
        }
        Ok(())
    }

    fn deliver(&mut self, io: &mut Io<'_>, packet: &RtpPacket) {
        let ssrc = *packet.header.ssrc;
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.proved = true;
        }
        if let Some(from) = self.from {
            self.contacts.heard_from(&from, io.now);
        }
        self.back(io);
        self.shared.packets_received.fetch_add(1, Ordering::Relaxed);
        self.shared.bytes_received.fetch_add(packet.payload.len() as u64, Ordering::Relaxed);
        let payload_type = *packet.header.payload_type;
        let Some(gate) = self.gate.filter(|gate| gate.knows(payload_type)) else {
            return io.counts.packets_refused.add(1);
        };
        if !gate.receive {
            return io.counts.packets_held.add(1);
        }
        let header = &packet.header;
        let Some(mut given) = PathPacket::new(payload_type, header.sequence_number, header.timestamp, &packet.payload)
        else {
            return io.counts.packets_refused.add(1);
        };
        given.marker = header.marker;
        given.arrival = packet.timestamp.saturating_duration_since(io.clock);
        if !self.path.deliver(given) {
            io.counts.packets_overrun.add(1);
        }
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
            io.routes.release(&endpoint.from(), self.key);
            if endpoint.transport == Transport::Tcp {
                io.outbox.close(endpoint.remote);
            }
        }
        self.shared.connected.store(false, Ordering::Relaxed);
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

/// A sequence number with its roll-overs, near the highest so far.
fn extended(highest: Option<u64>, sequence: u16) -> u64 {
    let Some(highest) = highest else { return sequence.into() };
    let step = sequence.wrapping_sub(highest as u16).cast_signed();
    highest.checked_add_signed(step.into()).unwrap_or_else(|| sequence.into())
}

#[cfg(test)]
mod tests {
    use super::extended;

    #[test]
    fn sequence_numbers_roll_over_and_come_late() {
        assert_eq!(extended(None, 65_000), 65_000);
        assert_eq!(extended(Some(65_535), 0), 65_536);
        assert_eq!(extended(Some(65_536), 65_534), 65_534);
        assert_eq!(extended(Some(3), 65_535), 65_535);
        assert_eq!(extended(Some(200_000), (200_010u64 & 0xffff) as u16), 200_010);
    }
}

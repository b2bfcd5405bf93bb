//! One line as the media thread sees it: its sockets, clock, stream state and faults.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::ear::Ear;
use super::line::{LineOptions, Misbehave, Remote, Sent, Switched};
use super::mouth::{Mouth, Speech};
use crate::codec::{Codec, FRAME};
use crate::rtp::{Content, Header, Packet, Report, ReportBlock, Rtcp, event_payload, parse_rtcp};

pub(super) const FRAME_TIME: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_millis(5);
/// After a longer stall frames are skipped instead of sent in a burst.
const STALL: Duration = Duration::from_millis(200);
const DIGIT_FRAMES: u16 = 5;
const DIGIT_PAUSE_FRAMES: u16 = 3;
/// Digits that may wait on one line.
const DIGITS_WAITING: usize = 256;

/// A digit being sent: event, frame count so far, start timestamp.
struct Digit {
    event: u8,
    frame: u16,
    timestamp: u32,
    done: Option<oneshot::Sender<()>>,
}

/// Reception statistics for RTCP (RFC 3550 appendix A).
#[derive(Default)]
struct Reception {
    ssrc: Option<u32>,
    base: u32,
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    transit: Option<i64>,
    jitter: f64,
    last_sr: Option<(u32, Instant)>,
}

pub(super) struct Outgoing {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    other: Option<UdpSocket>,
    options: LineOptions,
    ear: Arc<Ear>,
    sent: Arc<Sent>,
    born: Instant,
    next: Instant,
    silent_until: Instant,
    remote: Option<Remote>,
    mouth: Mouth,
    speech: Speech,
    switching: Vec<(Mouth, oneshot::Sender<Switched>)>,
    digits: VecDeque<Digit>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    packets: u32,
    octets: u32,
    next_report: Instant,
    sent_since_report: bool,
    reception: Reception,
    buffer: Vec<u8>,
}

impl Outgoing {
    pub(super) fn new(
        rtp: UdpSocket,
        rtcp: UdpSocket,
        other: Option<UdpSocket>,
        options: LineOptions,
        ear: Arc<Ear>,
        sent: Arc<Sent>,
    ) -> Self {
        let now = Instant::now();
        Self {
            rtp,
            rtcp,
            other,
            next_report: now + options.rtcp_interval,
            speech: Speech::new(&options.mouth, Codec::Pcmu),
            mouth: options.mouth.clone(),
            options,
            ear,
            sent,
            born: now,
            next: now + FRAME_TIME,
            silent_until: now,
            remote: None,
            switching: Vec::new(),
            digits: VecDeque::new(),
            ssrc: rand::random(),
            sequence: rand::random(),
            timestamp: rand::random(),
            marker: true,
            packets: 0,
            octets: 0,
            sent_since_report: false,
            reception: Reception::default(),
            buffer: vec![0; 2_048],
        }
    }

    pub(super) fn next_tick(&self) -> Instant {
        self.next
    }

    pub(super) fn connect(&mut self, remote: Remote) {
        if self.remote.is_none() {
            let now = Instant::now();
            self.silent_until = now + self.options.delay_first;
        }
        if self.remote.as_ref().is_none_or(|r| r.codec != remote.codec) {
            self.speech = match (&self.mouth, &self.speech) {
                // Speech goes on where it is; everything else has no place to keep.
                (Mouth::Pcm { .. }, Speech::Pcm { samples, at, repeat }) => {
                    Speech::Pcm { samples: Arc::clone(samples), at: *at, repeat: *repeat }
                }
                (mouth, _) => Speech::new(mouth, remote.codec),
            };
        }
        // Latched before: the other side's own words win only if it said any.
        let latched = self.remote.as_ref().filter(|_| self.options.latch).and_then(|r| Some((r.address?, r.rtcp?)));
        self.remote = Some(remote);
        if let (Some((rtp, rtcp)), Some(r)) = (latched, &mut self.remote)
            && r.address.is_none()
        {
            (r.address, r.rtcp) = (Some(rtp), Some(rtcp));
        }
    }

    fn sending(&self) -> bool {
        self.remote.as_ref().is_some_and(|r| r.sending && r.address.is_some())
    }

    pub(super) fn say(&mut self, mouth: Mouth, reply: oneshot::Sender<Switched>) {
        if self.sending() {
            self.switching.push((mouth, reply));
        } else {
            self.switch(&mouth);
            let _ = reply.send(Switched { at: Instant::now(), timestamp: self.timestamp, sequence: self.sequence });
        }
    }

    fn switch(&mut self, mouth: &Mouth) {
        let codec = self.remote.as_ref().map_or(Codec::Pcmu, |r| r.codec);
        // After a pause of Off the stream begins anew.
        self.marker |= matches!(self.mouth, Mouth::Off);
        self.mouth = mouth.clone();
        self.speech = Speech::new(mouth, codec);
    }

    pub(super) fn dial(&mut self, events: &[u8], done: oneshot::Sender<()>) {
        let Some((&last, first)) = events.split_last() else {
            let _ = done.send(());
            return;
        };
        if self.digits.len() + events.len() > DIGITS_WAITING {
            // Dropping `done` tells the caller.
            return;
        }
        let digit = |event, done| Digit { event, frame: 0, timestamp: 0, done };
        self.digits.extend(first.iter().map(|&e| digit(e, None)));
        self.digits.push_back(digit(last, Some(done)));
    }

    pub(super) fn misbehave(&mut self, fault: &Misbehave) {
        let remote = self.remote.as_ref().and_then(|r| r.address);
        match fault {
            Misbehave::ChangeSsrc => self.ssrc = rand::random(),
            Misbehave::JumpTimestamp(by) => self.timestamp = self.timestamp.wrapping_add_signed(*by),
            Misbehave::JumpSequence(by) => self.sequence = self.sequence.wrapping_add_signed(*by),
            Misbehave::OtherPort(on) => self.options.other_port = *on,
            Misbehave::DropEvery(n) => self.options.drop_every = *n,
            Misbehave::DuplicateEvery(n) => self.options.duplicate_every = *n,
            Misbehave::Raw(data) => self.raw(remote, data),
            Misbehave::RawTo(to, data) => self.raw(Some(*to), data),
        }
    }

    fn raw(&self, to: Option<SocketAddr>, data: &Bytes) {
        if to.is_none_or(|to| self.rtp.send_to(data, to).is_err()) {
            self.sent.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what is due at this deadline; returns the next one.
    pub(super) fn tick(&mut self, now: Instant) -> Instant {
        let late = now.saturating_duration_since(self.next);
        if late > STALL {
            let missed = (late.as_millis() / FRAME_TIME.as_millis()) as u32;
            self.next += FRAME_TIME * missed;
            self.timestamp = self.timestamp.wrapping_add(missed * FRAME as u32);
            self.marker = true;
            self.sent.skipped.fetch_add(u64::from(missed), Ordering::Relaxed);
        }
        for (mouth, reply) in std::mem::take(&mut self.switching) {
            self.switch(&mouth);
            let _ = reply.send(Switched { at: now, timestamp: self.timestamp, sequence: self.sequence });
        }
        if self.sending() && now >= self.silent_until {
            if now.saturating_duration_since(self.next) > LATE {
                self.sent.late.fetch_add(1, Ordering::Relaxed);
            }
            self.send_frame();
        } else {
            self.marker = true;
        }
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        self.next += FRAME_TIME;
        if now >= self.next_report {
            self.next_report += self.options.rtcp_interval;
            self.report(false);
        }
        self.next
    }

    fn send_frame(&mut self) {
        let Some((codec, payload_type, events)) = self.remote.as_ref().map(|r| (r.codec, r.payload_type, r.events))
        else {
            return;
        };
        if let (Some(event_type), Some(mut digit)) = (events, self.digits.pop_front()) {
            // The mouth's time passes while a digit is sent.
            let _ = self.speech.frame(codec);
            if digit.frame == 0 {
                digit.timestamp = self.timestamp;
            }
            digit.frame += 1;
            if digit.frame <= DIGIT_FRAMES {
                let end = digit.frame == DIGIT_FRAMES;
                let payload = event_payload(digit.event, end, 10, digit.frame * FRAME as u16);
                for _ in 0..if end { 3 } else { 1 } {
                    self.send_packet(event_type, digit.frame == 1, digit.timestamp, &payload);
                }
            }
            if digit.frame < DIGIT_FRAMES + DIGIT_PAUSE_FRAMES {
                self.digits.push_front(digit);
            } else {
                self.marker = true;
                if let Some(done) = digit.done {
                    let _ = done.send(());
                }
            }
            return;
        }
        match self.speech.frame(codec) {
            Some(payload) => {
                let marker = std::mem::take(&mut self.marker);
                self.send_packet(payload_type, marker, self.timestamp, &payload);
            }
            None => self.marker = true,
        }
    }

    fn send_packet(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let Some(to) = self.remote.as_ref().and_then(|r| r.address) else { return };
        let mut data = Vec::with_capacity(12 + payload.len());
        Header { marker, payload_type, sequence: self.sequence, timestamp, ssrc: self.ssrc }.write(payload, &mut data);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        self.sent_since_report = true;
        let nth = |every: Option<u32>| every.is_some_and(|n| n > 0 && self.packets.is_multiple_of(n));
        let copies = if nth(self.options.drop_every) { 0 } else { 1 + u32::from(nth(self.options.duplicate_every)) };
        let socket = self.other.as_ref().filter(|_| self.options.other_port).unwrap_or(&self.rtp);
        for _ in 0..copies {
            let counter = if socket.send_to(&data, to).is_ok() { &self.sent.packets } else { &self.sent.failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads what has arrived. At most 64 packets per call, so that one flooded line does not starve the others.
    pub(super) fn receive(&mut self) {
        for _ in 0..64 {
            let Ok((length, from)) = self.rtp.recv_from(&mut self.buffer) else { break };
            let at = Instant::now();
            let Some(data) = self.buffer.get(..length) else { break };
            let parsed = Header::parse(data).and_then(|(h, range)| Some((h, Bytes::copy_from_slice(data.get(range)?))));
            match parsed {
                Some((header, payload)) => self.received(at, from, header, payload),
                None => self.ear.push_malformed(),
            }
        }
        for _ in 0..8 {
            let Ok((length, _)) = self.rtcp.recv_from(&mut self.buffer) else { break };
            let at = Instant::now();
            let parts = self.buffer.get(..length).map(parse_rtcp).unwrap_or_default();
            if parts.is_empty() {
                self.ear.push_malformed();
            }
            for part in parts {
                if let Rtcp::SenderReport { ntp, .. } = &part {
                    self.reception.last_sr = Some(((ntp >> 16) as u32, at));
                }
                self.ear.push_rtcp(at, part);
            }
        }
    }

    fn received(&mut self, at: Instant, from: SocketAddr, header: Header, payload: Bytes) {
        let content = match &self.remote {
            Some(r) if r.events_accepted == Some(header.payload_type) => Content::Event,
            Some(r) => r
                .accepted
                .iter()
                .find(|(t, _)| *t == header.payload_type)
                .map_or(Content::Unknown, |&(_, c)| Content::Audio(c)),
            // Before an answer: what the static types say.
            None => match header.payload_type {
                0 => Content::Audio(Codec::Pcmu),
                8 => Content::Audio(Codec::Pcma),
                101 => Content::Event,
                _ => Content::Unknown,
            },
        };
        if self.options.latch
            && let Some(remote) = self.remote.as_mut().filter(|r| r.address.is_none())
        {
            remote.address = Some(from);
            remote.rtcp = from.port().checked_add(1).map(|p| SocketAddr::new(from.ip(), p));
        }
        self.reception.count(&header, at.saturating_duration_since(self.born));
        self.ear.push(Packet { at, from, header, content, payload });
    }

    fn report(&mut self, bye: bool) {
        let Some(to) = self.remote.as_ref().and_then(|r| r.rtcp) else { return };
        let sender =
            std::mem::take(&mut self.sent_since_report).then(|| (ntp_now(), self.timestamp, self.packets, self.octets));
        let report = Report { ssrc: self.ssrc, sender, block: self.reception.block(), cname: &self.options.cname, bye };
        if self.rtcp.send_to(&report.to_bytes(), to).is_err() {
            self.sent.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn goodbye(&mut self) {
        self.report(true);
    }
}

impl Reception {
    fn count(&mut self, header: &Header, since_birth: Duration) {
        let sequence = u32::from(header.sequence);
        if self.ssrc != Some(header.ssrc) {
            let last_sr = self.last_sr.take();
            *self = Self { ssrc: Some(header.ssrc), base: sequence, highest: sequence, last_sr, ..Self::default() };
        } else {
            let step = header.sequence.wrapping_sub(self.highest as u16) as i16;
            if step > 0 {
                self.highest = self.highest.wrapping_add(step as u32);
            }
        }
        self.received = self.received.wrapping_add(1);
        let arrival = (since_birth.as_micros() as i64 * 8 / 1000) & 0xFFFF_FFFF;
        let transit = i64::from((arrival as u32).wrapping_sub(header.timestamp) as i32);
        if let Some(before) = self.transit {
            self.jitter += (((transit - before) as i32).unsigned_abs() as f64 - self.jitter) / 16.0;
        }
        self.transit = Some(transit);
    }

    fn block(&mut self) -> Option<ReportBlock> {
        let ssrc = self.ssrc?;
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        let (new_expected, new_received) =
            (expected.wrapping_sub(self.expected_before), self.received.wrapping_sub(self.received_before));
        (self.expected_before, self.received_before) = (expected, self.received);
        let new_lost = i64::from(new_expected) - i64::from(new_received);
        let fraction_lost = if new_lost > 0 && new_expected > 0 {
            ((new_lost << 8) / i64::from(new_expected)).min(255) as u8
        } else {
            0
        };
        let (last_sr, delay_since_sr) = match self.last_sr {
            Some((sr, at)) => (sr, (at.elapsed().as_micros() * 65_536 / 1_000_000) as u32),
            None => (0, 0),
        };
        let lost = (i64::from(expected) - i64::from(self.received)).clamp(-0x80_0000, 0x7F_FFFF) as i32;
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            lost,
            highest: self.highest,
            jitter: self.jitter as u32,
            last_sr,
            delay_since_sr,
        })
    }
}

/// NTP time (seconds since 1900, 32.32).
fn ntp_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ((since.as_secs() + 2_208_988_800) << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
}

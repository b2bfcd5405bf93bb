//! What comes in: from the socket through the latch into the jitter buffer, and out of it once per tick.

use std::net::SocketAddr;
use std::time::Duration;

use audio::{Packet, SpeechEvent};

use super::latch::Verdict;
use super::rtp::{self, RtpPacket};
use super::{Context, Heard, Leg, Stream};
use crate::fact::Note;
use crate::net::{Net, Received};
use crate::player::FRAME;

/// Datagrams read per tick at most.
const PER_TICK: u32 = 8;
/// Datagrams read at once when everything that waits has to be seen.
pub(super) const PER_DRAIN: u32 = 64;
/// Comfort noise (RFC 3389), sent by some phones without being asked; counts as silence.
const COMFORT_NOISE: u8 = 13;
/// How often a socket is read until it is empty for no other reason, in ticks.
const PROBE: u64 = 32;
const TICK: Duration = Duration::from_millis(20);

impl Leg {
    /// Reads what the tick needs: one packet in the common case, more where a backlog is likely.
    pub(crate) fn receive(&mut self, net: &mut impl Net, cx: &mut Context<'_>) {
        if self.wire.is_path() {
            self.read_path(cx);
            return self.poll_digits(cx.now, cx);
        }
        self.expire(net, cx.slot, cx.limits.stale_source);
        let thorough = self.stale_below.is_some() || self.empty_before || (self.ticks + 1).is_multiple_of(PROBE);
        let budget = if self.stale_below.is_some() { PER_DRAIN } else { PER_TICK };
        self.read(net, cx, budget, thorough);
        self.poll_digits(cx.now, cx);
        if self.receive && !self.timeout_told && cx.slot.saturating_sub(self.heard_at) >= cx.limits.rtp_timeout {
            self.timeout_told = self.owed.add(Note::MediaTimeout { leg: self.id });
        }
    }

    /// Reads everything that waits, so that it counts as arrived before `cx.arrivals` as it stands afterwards. What could not be
    /// read counts so until the socket has been seen empty.
    pub(crate) fn drain(&mut self, net: &mut impl Net, cx: &mut Context<'_>) {
        if self.wire.is_path() {
            return self.drain_path(cx);
        }
        self.stale_below = Some(u64::MAX);
        self.read(net, cx, PER_DRAIN, true);
        if let Some(below) = &mut self.stale_below {
            *below = *cx.arrivals;
            // Stragglers keep this number wherever the leg goes.
            self.newest_mark = self.newest_mark.max(cx.arrivals.saturating_sub(1));
        }
    }

    fn read(&mut self, net: &mut impl Net, cx: &mut Context<'_>, budget: u32, thorough: bool) {
        let buffer = std::mem::take(&mut cx.buffer);
        self.read_into(net, cx, buffer, budget, thorough);
        cx.buffer = buffer;
    }

    fn read_into(&mut self, net: &mut impl Net, cx: &mut Context<'_>, buffer: &mut [u8], budget: u32, thorough: bool) {
        let mut samples = 0;
        let mut budget = budget;
        for n in 0..PER_DRAIN {
            if n >= budget {
                return;
            }
            let Some(ports) = self.wire.ports() else { return };
            let (len, from, age) = match net.recv(&mut ports.rtp, buffer) {
                Received::Packet { len, from, age } => (len, from, age),
                Received::Refused => {
                    cx.counters.path_errors.one();
                    continue;
                }
                Received::Empty => {
                    self.stale_below = None;
                    self.empty_before = n == 0;
                    return;
                }
            };
            self.empty_before = false;
            samples += self.take(net, cx, buffer.get(..len).unwrap_or(&[]), from, age);
            // After a stall, ours or the network's, everything that waits is wanted at once.
            if age > TICK * 2 {
                budget = PER_DRAIN;
            }
            // What waited for a whole tick suggests that more wait behind it.
            if !thorough && samples >= FRAME && age < TICK {
                return;
            }
        }
    }

    /// Takes one datagram; answers the samples of audio it brought.
    fn take(
        &mut self,
        net: &mut impl Net,
        cx: &mut Context<'_>,
        bytes: &[u8],
        from: SocketAddr,
        age: Duration,
    ) -> usize {
        let Some(packet) = rtp::parse(bytes) else {
            cx.counters.malformed.one();
            self.stats.malformed += 1;
            return 0;
        };
        let Some(is_event) = self.kind_of(&packet, cx) else { return 0 };
        let before = self.latch.locked();
        match self.latch.judge(from, packet.sequence, packet.payload_type, packet.ssrc, cx.slot) {
            Verdict::Accept if self.connected => {}
            // The same source after a silence.
            Verdict::Accept => self.connect(net, from),
            Verdict::Locked => self.locked(net, before, from),
            Verdict::Unproven => {
                cx.counters.unproven.one();
                self.stats.unproven += 1;
                return 0;
            }
            Verdict::Foreign => {
                cx.counters.foreign.one();
                self.stats.foreign += 1;
                return 0;
            }
        }
        self.take_believed(cx, &packet, is_event, cx.now.saturating_sub(age), None)
    }

    /// Whether a packet is a telephone-event, or else sound; `None` if it is neither, and counted.
    pub(super) fn kind_of(&mut self, packet: &RtpPacket<'_>, cx: &Context<'_>) -> Option<bool> {
        let is_event = self.telephone_event == Some(packet.payload_type);
        if !is_event && self.payload_type != packet.payload_type && packet.payload_type != COMFORT_NOISE {
            cx.counters.wrong_payload.one();
            self.stats.wrong_payload += 1;
            return None;
        }
        Some(is_event)
    }

    /// Takes a packet from a source that is believed; answers the samples of audio it brought, counted at 8 kHz. `stale`: the arrival
    /// number it has because it came before hearing was widened.
    pub(super) fn take_believed(
        &mut self,
        cx: &mut Context<'_>,
        packet: &RtpPacket<'_>,
        is_event: bool,
        arrival: Duration,
        stale: Option<u64>,
    ) -> usize {
        self.heard_at = cx.slot;
        self.timeout_told = false;
        if !self.first_told {
            self.first_told = self.owed.add(Note::FirstPacket { leg: self.id });
        }
        if !self.receive {
            cx.counters.not_receiving.one();
            return 0;
        }
        if !self.is_of_stream(packet) {
            cx.counters.unproven_ssrc.one();
            self.stats.unproven += 1;
            return 0;
        }
        self.stream.count(packet, arrival, self.step / TICK.as_millis() as u32);
        cx.counters.rtp_received.one();
        self.stats.packets_received += 1;
        self.stats.bytes_received += packet.payload.len() as u64;
        let mark = match (stale, self.stale_below) {
            (Some(mark), _) => mark,
            // `drain` gives everything it reads a fresh number; later stragglers count with the last of those.
            (None, Some(below)) if below != u64::MAX => below.saturating_sub(1),
            _ => {
                let mark = *cx.arrivals;
                *cx.arrivals += 1;
                mark
            }
        };
        self.newest_mark = self.newest_mark.max(mark);
        if is_event {
            self.digit_mark = self.digit_mark.min(mark);
            self.digits_in.receive(packet.timestamp, packet.payload, cx.now);
            self.poll_digits(cx.now, cx);
            // Repeats of a press that has been told must not make the next one look as old as they are.
            self.digit_mark = if self.digits_in.is_pressed() { self.digit_mark.min(mark) } else { u64::MAX };
            return 0;
        }
        if self.payload_type != packet.payload_type {
            return 0;
        }
        if let Some(wide) = self.wide.as_deref_mut() {
            return wide.insert(packet, arrival, mark);
        }
        let inserted = self.jitter.insert(Packet {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            payload: packet.payload,
            arrival,
            marker: packet.marker,
            mark,
        });
        // A packet that adds nothing must not count as the tick's: the one that does may wait behind it.
        if !matches!(inserted, audio::Inserted::Queued | audio::Inserted::Overflow) {
            return 0;
        }
        packet.payload.len() / self.codec.bytes_per_sample()
    }

    fn locked(&mut self, net: &mut impl Net, before: Option<SocketAddr>, from: SocketAddr) {
        self.connect(net, from);
        if before.is_some_and(|b| b != from) {
            self.owed.add(Note::RemoteChanged { leg: self.id, address: from });
        }
    }

    fn connect(&mut self, net: &mut impl Net, to: SocketAddr) {
        if let Some(ports) = self.wire.ports() {
            net.connect(&mut ports.rtp, to);
            self.connected = true;
        }
    }

    /// Opens the latch after silence, so that the same host may come from another port.
    fn expire(&mut self, net: &mut impl Net, now: u64, silence: u64) {
        if self.latch.expire(now, silence) {
            self.disconnect(net);
        }
    }

    pub(super) fn disconnect(&mut self, net: &mut impl Net) {
        if std::mem::take(&mut self.connected)
            && let Some(ports) = self.wire.ports()
        {
            net.disconnect(&mut ports.rtp);
        }
    }

    /// Whether a packet belongs to the stream being received. Another SSRC takes over with its second packet in a row.
    fn is_of_stream(&mut self, packet: &RtpPacket<'_>) -> bool {
        match self.stream.ssrc {
            Some(ssrc) if ssrc == packet.ssrc => {
                self.stream.rival = None;
                return true;
            }
            Some(_) if self.stream.rival != Some((packet.ssrc, packet.sequence)) => {
                self.stream.rival = Some((packet.ssrc, packet.sequence.wrapping_add(1)));
                return false;
            }
            Some(_) => {
                self.forget_sound();
                self.digits_in.reset();
            }
            None => {}
        }
        self.stream = Stream {
            ssrc: Some(packet.ssrc),
            base: u32::from(packet.sequence),
            highest: u32::from(packet.sequence).wrapping_sub(1),
            ..Stream::default()
        };
        true
    }

    fn poll_digits(&mut self, now: Duration, cx: &Context<'_>) {
        while let Some(digit) = self.digits_in.poll(now) {
            let mark = std::mem::replace(&mut self.digit_mark, u64::MAX);
            let note = Note::Digit { leg: self.id, digit: digit.digit, duration_ms: digit.duration_ms };
            // The last places are for facts that happen once.
            if !self.owed.fits(5) || !self.owed.add(note) {
                cx.counters.facts_dropped.one();
            }
            // A mark that is not known counts as old, which can only delay the tone for new listeners.
            self.relay.add(digit.digit, digit.duration_ms, if mark == u64::MAX { 0 } else { mark });
        }
    }

    /// The frame of this tick. `relay`: whether digits sound in it.
    pub(crate) fn pull(&mut self, cx: &mut Context<'_>, relay: bool, frame: &mut [i16; FRAME]) -> Heard {
        // The nominal time: a tick that runs late must not look to the buffer like a tick that moved.
        let pulled = self.jitter.pull(Duration::from_millis(cx.slot), &mut frame[..]);
        let mut heard = Heard { sound: pulled.sound, oldest: pulled.oldest_mark };
        if heard.sound && audio::is_digital_silence(self.codec, &frame[..]) {
            heard.sound = false;
        }
        if heard.sound || self.speech.is_speaking() {
            self.notice_speech(cx, frame);
        }
        if !relay {
            self.relay.clear();
        } else if let Some(mark) = self.relay.add_to(frame, 8_000) {
            heard = Heard { sound: true, oldest: heard.oldest.min(mark) };
        }
        if self.metered {
            self.meter(heard.sound.then_some(&frame[..]));
        }
        heard
    }

    pub(super) fn notice_speech(&mut self, cx: &mut Context<'_>, frame: &[i16]) {
        let (speaking, ago_ms) = match self.speech.update(frame) {
            None => return,
            Some(SpeechEvent::Started { ago_ms }) => (true, ago_ms),
            Some(SpeechEvent::Stopped { ago_ms }) => (false, ago_ms),
        };
        // Half of the way up is kept for what is owed.
        let full = cx.notes.slots() * 2 < cx.notes.buffer().capacity();
        if full || cx.notes.push(Note::Speaking { leg: self.id, speaking, ago_ms }).is_err() {
            cx.counters.telemetry_dropped.one();
        }
    }

    /// Forgets everything older than an arrival number.
    pub(crate) fn forget_before(&mut self, mark: u64) {
        match self.wide.as_deref_mut() {
            Some(wide) => wide.forget_before(mark),
            None => self.jitter.forget_before(mark),
        }
        self.relay.forget_before(mark);
    }

    /// Forgets all that came in.
    pub(super) fn forget_sound(&mut self) {
        match self.wide.as_deref_mut() {
            Some(wide) => wide.reset(),
            None => self.jitter.reset(),
        }
    }
}

impl Stream {
    /// Counts a packet for reports (RFC 3550 appendix A). `per_ms`: ticks of the RTP clock.
    fn count(&mut self, packet: &RtpPacket<'_>, arrival: Duration, per_ms: u32) {
        self.received = self.received.wrapping_add(1);
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        if ahead < 0x8000 {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        }
        let transit = ((arrival.as_micros() as u64 * u64::from(per_ms) / 1_000) as u32).wrapping_sub(packet.timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let moved = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // A jump of the timeline is no jitter.
            if moved < 1_000 * per_ms {
                self.jitter = self.jitter.wrapping_add(moved).wrapping_sub((self.jitter + 8) >> 4);
            }
        }
    }
}

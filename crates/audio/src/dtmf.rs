//! Telephone events (RFC 4733): payloads, a receiver that reports each digit once, a sender, and the dual tones themselves.

use crate::tone::{MultiTone, ramp, round};
use std::fmt;
use std::time::Duration;

/// The keys by event code (RFC 4733 §3.2): 0–9, *, #, A–D.
const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// The event code of a DTMF key; lower-case a–d count as upper-case.
pub fn code_of(digit: char) -> Option<u8> {
    KEYS.iter().position(|&k| k == digit.to_ascii_uppercase()).map(|i| i as u8)
}

/// The DTMF key of an event code.
pub fn digit_of(code: u8) -> Option<char> {
    KEYS.get(code as usize).copied()
}

/// A telephone-event payload (RFC 4733 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Event code; 0–15 are the DTMF keys.
    pub code: u8,
    /// The event is over and `duration` is final.
    pub end: bool,
    /// Power in −dBm0, 0–63.
    pub volume: u8,
    /// Duration so far in timestamp units.
    pub duration: u16,
}

impl Event {
    /// The four payload bytes.
    pub fn encode(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, (self.end as u8) << 7 | (self.volume & 0x3F), high, low]
    }

    /// The first event of a payload; `None` if it is shorter than four bytes. The reserved bit is ignored.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let &[code, flags, high, low, ..] = payload else { return None };
        Some(Self { code, end: flags & 0x80 != 0, volume: flags & 0x3F, duration: u16::from_be_bytes([high, low]) })
    }
}

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digit {
    /// 0–9, *, #, A–D.
    pub digit: char,
    /// How long it was held, in ms, as far as packets told.
    pub duration_ms: u32,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    code: u8,
    timestamp: u32,
    /// Samples of completed segments of a long press (RFC 4733 §2.5.1.3).
    earlier: u32,
    duration: u16,
    last_seen: Duration,
}

/// Turns telephone-event packets into digits: one per event, whichever of its packets were lost or repeated.
///
/// After each [`receive`](Self::receive), and once per tick, take digits with [`poll`](Self::poll) until it answers `None`.
#[derive(Debug, Clone)]
pub struct DtmfReceiver {
    rate: u32,
    current: Option<Press>,
    /// Timestamp and code of the last event that was reported: its late and repeated packets are nothing new.
    reported: Option<(u32, u8)>,
    /// A packet can finish the press before it and bring its own, so two may wait.
    ready: [Option<Digit>; 2],
}

/// A press without packets for so long has ended, its end packets lost.
const END_LOST_AFTER: Duration = Duration::from_millis(120);

impl DtmfReceiver {
    /// A receiver for a telephone-event clock rate in Hz (8 000 with G.711).
    pub fn new(clock_rate: u32) -> Self {
        Self { rate: clock_rate.max(1), current: None, reported: None, ready: [None; 2] }
    }

    /// Takes one telephone-event packet with its RTP timestamp. `now` is monotonic. Not a DTMF key: ignored.
    pub fn receive(&mut self, timestamp: u32, payload: &[u8], now: Duration) {
        let Some(event) = Event::decode(payload) else { return };
        if event.code >= 16 || self.is_old(timestamp, event.code) {
            return;
        }
        match &mut self.current {
            Some(press) if press.timestamp == timestamp => {
                press.duration = press.duration.max(event.duration);
                press.last_seen = now;
            }
            Some(press) if press.code == event.code && is_next_segment(press, timestamp) => {
                press.earlier += press.duration as u32;
                press.timestamp = timestamp;
                press.duration = event.duration;
                press.last_seen = now;
            }
            _ => {
                self.finish();
                let duration = event.duration;
                self.current = Some(Press { code: event.code, timestamp, earlier: 0, duration, last_seen: now });
            }
        }
        if event.end {
            self.finish();
        }
    }

    /// The next digit. Also ends a press whose end packets were lost.
    pub fn poll(&mut self, now: Duration) -> Option<Digit> {
        if self.current.is_none() && self.ready[0].is_none() {
            return None;
        }
        if self.current.is_some_and(|p| now.saturating_sub(p.last_seen) >= END_LOST_AFTER) {
            self.finish();
        }
        let first = self.ready[0].take();
        self.ready.swap(0, 1);
        first
    }

    /// Forgets timestamps, as after a new SSRC. A press that was going on is reported first.
    pub fn reset(&mut self) {
        self.finish();
        self.reported = None;
    }

    /// Whether a key is down, as far as packets have told.
    pub fn is_pressed(&self) -> bool {
        self.current.is_some()
    }

    fn is_old(&self, timestamp: u32, code: u8) -> bool {
        // Behind by less than ten seconds is a straggler; further behind, the sender began anew.
        let behind = |reference: u32| {
            let distance = reference.wrapping_sub(timestamp);
            distance > 0 && distance < self.rate.saturating_mul(10)
        };
        self.reported.is_some_and(|(t, c)| (t == timestamp && c == code) || behind(t))
            || self.current.is_some_and(|p| p.timestamp != timestamp && behind(p.timestamp))
    }

    fn finish(&mut self) {
        let Some(press) = self.current.take() else { return };
        self.reported = Some((press.timestamp, press.code));
        let Some(digit) = digit_of(press.code) else { return };
        let samples = press.earlier as u64 + press.duration as u64;
        let digit = Digit { digit, duration_ms: (samples * 1_000 / self.rate as u64) as u32 };
        let slot = usize::from(self.ready[0].is_some());
        self.ready[slot] = Some(digit);
    }
}

fn is_next_segment(press: &Press, timestamp: u32) -> bool {
    // Segments of a long press follow each other where the duration field ran out.
    press.duration >= 0xF000 && timestamp.wrapping_sub(press.timestamp) == press.duration as u32
}

/// Why digits were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DtmfError {
    /// A character that is neither a key nor a pause.
    NotADigit(char),
    /// More than [`DtmfSender::CAPACITY`] are waiting.
    Full,
}

impl fmt::Display for DtmfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DtmfError::NotADigit(c) => write!(f, "{c:?} is not a DTMF digit: use 0-9, *, #, A-D, or w and W to wait"),
            DtmfError::Full => write!(f, "too many digits at once: send at most {} and wait", DtmfSender::CAPACITY),
        }
    }
}

impl std::error::Error for DtmfError {}

/// A telephone-event packet to send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// RTP payload.
    pub payload: [u8; 4],
    /// RTP marker: first packet of the event.
    pub marker: bool,
    /// RTP timestamp: that of the event's start, in all its packets.
    pub timestamp: u32,
}

/// What a sender does in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtmfStep {
    /// Nothing is waiting: send audio.
    Idle,
    /// Between digits or in a pause: send audio.
    Pause,
    /// Send this instead of audio.
    Packet(EventPacket),
}

#[derive(Debug, Clone, Copy)]
enum Sending {
    Nothing,
    /// Ticks still to wait.
    Waiting(u32),
    Tone {
        code: u8,
        timestamp: u32,
        ticks: u32,
    },
    End {
        code: u8,
        timestamp: u32,
        left: u8,
    },
}

/// Sends digits as telephone events, one packet per 20 ms tick; the end of each goes out three times.
#[derive(Debug, Clone)]
pub struct DtmfSender {
    queue: [char; Self::CAPACITY],
    head: usize,
    len: usize,
    state: Sending,
    samples_per_tick: u32,
    tone_ticks: u32,
    gap_ticks: u32,
}

impl DtmfSender {
    /// Digits and pauses that may wait.
    pub const CAPACITY: usize = 128;
    const VOLUME: u8 = 10;

    /// A sender at `clock_rate` Hz with tones of 160 ms and gaps of 80 ms.
    pub fn new(clock_rate: u32) -> Self {
        Self::with_times(clock_rate, 160, 80)
    }

    /// A sender with tones of `tone_ms` (40–5 000) and gaps of `gap_ms` (40–5 000), both rounded down to 20 ms.
    pub fn with_times(clock_rate: u32, tone_ms: u32, gap_ms: u32) -> Self {
        Self {
            queue: ['0'; Self::CAPACITY],
            head: 0,
            len: 0,
            state: Sending::Nothing,
            samples_per_tick: (clock_rate / 50).max(1),
            // The duration field holds 65 535 samples: 1.3 s at 48 kHz.
            tone_ticks: (tone_ms.clamp(40, 5_000) / 20).min(u16::MAX as u32 / (clock_rate / 50).max(1)),
            gap_ticks: gap_ms.clamp(40, 5_000) / 20,
        }
    }

    /// Queues digits; `w` waits 0.5 s, `W` 1 s. All or nothing.
    pub fn push(&mut self, digits: &str) -> Result<(), DtmfError> {
        if let Some(c) = digits.chars().find(|&c| code_of(c).is_none() && c != 'w' && c != 'W') {
            return Err(DtmfError::NotADigit(c));
        }
        if self.len + digits.chars().count() > Self::CAPACITY {
            return Err(DtmfError::Full);
        }
        for c in digits.chars() {
            self.queue[(self.head + self.len) % Self::CAPACITY] = c;
            self.len += 1;
        }
        Ok(())
    }

    /// Whether nothing is waiting or being sent.
    pub fn is_idle(&self) -> bool {
        self.len == 0 && matches!(self.state, Sending::Nothing)
    }

    /// Drops what waits; a tone that began is still ended properly.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// One 20 ms tick. `timestamp` is the RTP timestamp an audio packet of this tick would carry.
    pub fn tick(&mut self, timestamp: u32) -> DtmfStep {
        loop {
            match self.state {
                Sending::Nothing => match self.pop() {
                    None => return DtmfStep::Idle,
                    Some('w') => self.state = Sending::Waiting(25),
                    Some('W') => self.state = Sending::Waiting(50),
                    Some(c) => {
                        let Some(code) = code_of(c) else { continue };
                        self.state = Sending::Tone { code, timestamp, ticks: 0 };
                    }
                },
                Sending::Waiting(0) => self.state = Sending::Nothing,
                Sending::Waiting(left) => {
                    self.state = Sending::Waiting(left - 1);
                    return DtmfStep::Pause;
                }
                Sending::Tone { code, timestamp, ticks } if ticks + 1 >= self.tone_ticks => {
                    self.state = Sending::End { code, timestamp, left: 3 };
                }
                Sending::Tone { code, timestamp, ticks } => {
                    self.state = Sending::Tone { code, timestamp, ticks: ticks + 1 };
                    return self.packet(code, timestamp, ticks + 1, false);
                }
                Sending::End { left: 0, .. } => self.state = Sending::Waiting(self.gap_ticks.saturating_sub(2)),
                Sending::End { code, timestamp, left } => {
                    self.state = Sending::End { code, timestamp, left: left - 1 };
                    return self.packet(code, timestamp, self.tone_ticks, true);
                }
            }
        }
    }

    fn pop(&mut self) -> Option<char> {
        if self.len == 0 {
            return None;
        }
        let c = self.queue[self.head];
        self.head = (self.head + 1) % Self::CAPACITY;
        self.len -= 1;
        Some(c)
    }

    fn packet(&self, code: u8, timestamp: u32, ticks: u32, end: bool) -> DtmfStep {
        let duration = (ticks * self.samples_per_tick).min(u16::MAX as u32) as u16;
        let payload = Event { code, end, volume: Self::VOLUME, duration }.encode();
        DtmfStep::Packet(EventPacket { payload, marker: ticks == 1 && !end, timestamp })
    }
}

/// A key as sound: its two tones (ITU-T Q.23), for listeners that are not given telephone events.
#[derive(Debug, Clone)]
pub struct DtmfTone {
    tones: MultiTone,
    at: usize,
    len: usize,
    edge: usize,
}

impl DtmfTone {
    /// The tones of a key for `duration_ms` at `rate` Hz, each at −12 dBFS with ramps of 2 ms. `None` if it is no key.
    pub fn new(digit: char, duration_ms: u32, rate: u32) -> Option<Self> {
        const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
        const COLUMNS: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
        let place = "123A456B789C*0#D".find(digit.to_ascii_uppercase())?;
        Some(Self {
            tones: MultiTone::new(&[ROWS[place / 4], COLUMNS[place % 4]], -12.0, rate),
            at: 0,
            len: (duration_ms as u64 * rate as u64 / 1_000) as usize,
            edge: (rate as usize / 500).max(1),
        })
    }

    /// Fills a frame, with silence after the end; answers how many samples were tone.
    pub fn fill(&mut self, out: &mut [i16]) -> usize {
        let count = out.len().min(self.len - self.at);
        for sample in &mut out[..count] {
            *sample = round(self.tones.next_sample() * ramp(self.at, self.len, self.edge));
            self.at += 1;
        }
        out[count..].fill(0);
        count
    }

    /// Whether the tone is over.
    pub fn is_done(&self) -> bool {
        self.at >= self.len
    }
}

#[cfg(test)]
#[path = "dtmf_tests.rs"]
mod tests;

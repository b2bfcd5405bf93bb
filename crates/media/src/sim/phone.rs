//! A simulated phone: a talker with a script, and the network between it and the server.

use std::net::SocketAddr;
use std::time::Duration;

use audio::{Codec, Format, Tone};

use super::voice::Mouth;
use crate::convert::LONGEST_FRAME;
use crate::leg::rtp::{HEADER, write_header};
use crate::net::virtual_net::SharedWorld;
use crate::random::Random;

/// A phone of the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneId(pub(super) usize);

/// What a phone is.
#[derive(Clone, Copy, Debug)]
pub struct PhoneSetup {
    /// The address its SDP announces and, unless moved, sends from. Each phone has an IP of its own.
    pub address: SocketAddr,
    /// Its format.
    pub format: Format,
    /// RTP payload type of the format.
    pub payload_type: u8,
    /// RTP payload type of telephone-events.
    pub telephone_event: Option<u8>,
    /// The network from it to the server.
    pub path: Path,
    /// When its first packet leaves within the millisecond grid, in µs: its phase.
    pub phase_micros: u32,
}

impl PhoneSetup {
    /// A µ-law phone numbered `n` (1 to 250) on a perfect network.
    #[must_use]
    pub fn mu_law(n: u8) -> Self {
        Self {
            address: SocketAddr::from(([198, 51, 100, n], 4_000)),
            format: Format::Narrow(Codec::Pcmu),
            payload_type: 0,
            telephone_event: Some(101),
            path: Path::default(),
            phase_micros: u32::from(n) * 1_700,
        }
    }

    /// The same with A-law.
    #[must_use]
    pub fn a_law(n: u8) -> Self {
        Self { format: Format::Narrow(Codec::Pcma), payload_type: 8, ..Self::mu_law(n) }
    }

    /// The same with 16-bit linear samples: what is heard is what was summed.
    #[must_use]
    pub fn linear(n: u8) -> Self {
        Self { format: Format::Narrow(Codec::L16), payload_type: 11, ..Self::mu_law(n) }
    }

    /// The same with G.722.
    #[must_use]
    pub fn g722(n: u8) -> Self {
        Self { format: Format::G722, payload_type: 9, ..Self::mu_law(n) }
    }

    /// The same with Opus.
    #[must_use]
    pub fn opus(n: u8) -> Self {
        Self { format: Format::Opus, payload_type: 111, ..Self::mu_law(n) }
    }
}

/// A network path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// Constant delay.
    pub delay: Duration,
    /// Extra delay, uniform from 0 to this; more than a packet's length reorders.
    pub jitter: Duration,
    /// Probability that a packet is lost.
    pub loss: f64,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// How much faster (or slower) than the server's the phone's clock runs, parts per million.
    pub skew_ppm: f64,
}

/// What a phone says.
#[derive(Clone, Debug)]
pub enum Voice {
    /// Digital silence.
    Silence,
    /// A sine at this frequency in Hz and level in dBFS.
    Tone(f64, f64),
    /// White noise with this peak.
    Noise(i16),
    /// These samples over and over.
    Samples(Vec<i16>),
    /// One encoded word over and over; silence where the format has no words.
    Word(u8),
}

#[derive(Clone, Debug)]
struct Press {
    code: u8,
    timestamp: u32,
    /// Samples so far, and in all.
    so_far: u32,
    total: u32,
    ends_left: u8,
}

pub(super) struct Phone {
    pub setup: PhoneSetup,
    /// Where it sends from now.
    pub address: SocketAddr,
    pub sending: bool,
    pub silenced: bool,
    pub frozen_until: Duration,
    random: Random,
    voice: Voice,
    mouth: Mouth,
    tone: Option<Tone>,
    at: usize,
    to: Option<u16>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    /// In ns, so that skew of single ppm counts.
    next: u64,
    press: Option<Press>,
}

impl Phone {
    pub(super) fn new(setup: PhoneSetup, mut random: Random, now: Duration) -> Self {
        let (ssrc, sequence, timestamp) = (random.next() as u32, random.next() as u16, random.next() as u32);
        Self {
            setup,
            address: setup.address,
            sending: true,
            silenced: false,
            frozen_until: Duration::ZERO,
            random,
            voice: Voice::Silence,
            mouth: Mouth::new(setup.format),
            tone: None,
            at: 0,
            to: None,
            ssrc,
            sequence,
            timestamp,
            marker: true,
            next: now.as_nanos() as u64,
            press: None,
        }
    }

    pub(super) fn start(&mut self, to: u16, now: Duration) {
        if self.to.replace(to).is_none() {
            self.next = now.as_nanos() as u64 + u64::from(self.setup.phase_micros) * 1_000;
        }
    }

    pub(super) fn say(&mut self, voice: Voice) {
        self.tone = match voice {
            Voice::Tone(hz, dbfs) => Some(Tone::new(hz, dbfs, self.setup.format.sampling_rate())),
            _ => None,
        };
        self.at = 0;
        self.voice = voice;
    }

    /// Whether silence takes the place of what it says; what it said before is forgotten.
    pub(super) fn silence(&mut self, on: bool) {
        self.silenced = on;
        if self.setup.format.has_memory() {
            self.mouth = Mouth::new(self.setup.format);
        }
    }

    pub(super) fn set_format(&mut self, format: Format, payload_type: u8) {
        (self.setup.format, self.setup.payload_type) = (format, payload_type);
        self.mouth = Mouth::new(format);
        self.say(self.voice.clone());
    }

    pub(super) fn restart_stream(&mut self) {
        self.ssrc = self.random.next() as u32;
        self.sequence = self.random.next() as u16;
        self.timestamp = self.random.next() as u32;
        self.marker = true;
    }

    pub(super) fn jump(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.marker = true;
    }

    pub(super) fn press(&mut self, digit: char, time: Duration) {
        let Some(code) = audio::dtmf::code_of(digit) else { return };
        let step = self.setup.format.timestamp_step();
        let total = (time.as_millis() as u32 * (step / 20)).max(step);
        self.press = Some(Press { code, timestamp: self.timestamp, so_far: 0, total, ends_left: 3 });
    }

    /// Sends everything due by `now`.
    pub(super) fn speak(&mut self, now: Duration, world: &SharedWorld) {
        let now = now.as_nanos() as u64;
        let Some(to) = self.to else { return };
        while self.next <= now {
            let leaves = Duration::from_nanos(self.next);
            let (kind, marker, timestamp, payload) = self.packet();
            // The same draws whatever is sent, so that a twin run meets the same network.
            let lost = self.random.chance(self.setup.path.loss);
            let doubled = self.random.chance(self.setup.path.duplicate);
            let spread = self.setup.path.jitter.as_micros() as u64;
            let jitter = Duration::from_micros(self.random.below(spread + 1));
            let again = Duration::from_micros(self.random.below(spread + 1));
            let mut bytes = vec![0; HEADER];
            if let Some(header) = bytes.first_chunk_mut::<HEADER>() {
                write_header(header, marker, kind, self.sequence, timestamp, self.ssrc);
            }
            bytes.extend_from_slice(&payload);
            let arrives = |extra| (leaves + self.setup.path.delay + extra).max(self.frozen_until);
            if self.sending && !lost {
                if doubled {
                    world.launch(self.address, to, arrives(again), bytes.clone());
                }
                world.launch(self.address, to, arrives(jitter), bytes);
            }
            self.sequence = self.sequence.wrapping_add(1);
            self.timestamp = self.timestamp.wrapping_add(self.setup.format.timestamp_step());
            let faster = 1.0 + self.setup.path.skew_ppm / 1e6;
            self.next += (20_000_000.0 / faster).round() as u64;
        }
    }

    fn packet(&mut self) -> (u8, bool, u32, Vec<u8>) {
        let voice = self.frame();
        if let (Some(kind), Some(press)) = (self.setup.telephone_event, &mut self.press) {
            let marker = press.so_far == 0;
            if marker {
                press.timestamp = self.timestamp;
            }
            press.so_far = (press.so_far + self.setup.format.timestamp_step()).min(press.total);
            let end = press.so_far == press.total;
            let event = audio::Event { code: press.code, end, volume: 10, duration: press.so_far.min(0xffff) as u16 };
            let timestamp = press.timestamp;
            press.ends_left -= u8::from(end);
            if press.ends_left == 0 {
                self.press = None;
            }
            return (kind, marker, timestamp, event.encode().to_vec());
        }
        (self.setup.payload_type, std::mem::take(&mut self.marker), self.timestamp, voice)
    }

    /// The next 20 ms, encoded.
    fn frame(&mut self) -> Vec<u8> {
        let format = self.setup.format;
        let mut samples = [0i16; LONGEST_FRAME];
        let Some(frame) = samples.get_mut(..format.samples_per_tick()) else { return Vec::new() };
        match &self.voice {
            Voice::Silence => return self.mouth.encode(frame),
            Voice::Word(word) => {
                if let Format::Narrow(codec) = format {
                    let word = if self.silenced { codec.silence_word() } else { *word };
                    return vec![word; frame.len() * codec.bytes_per_sample()];
                }
            }
            Voice::Tone(..) => {
                if let Some(tone) = &mut self.tone {
                    tone.fill(frame);
                }
            }
            Voice::Noise(peak) => {
                let span = 2 * u64::from(peak.unsigned_abs()) + 1;
                for sample in &mut *frame {
                    *sample = (self.random.below(span) as i64 - i64::from(peak.unsigned_abs())) as i16;
                }
            }
            Voice::Samples(samples) => {
                for sample in &mut *frame {
                    *sample = samples.get(self.at).copied().unwrap_or(0);
                    self.at = (self.at + 1) % samples.len().max(1);
                }
            }
        }
        if self.silenced {
            frame.fill(0);
        }
        self.mouth.encode(frame)
    }
}

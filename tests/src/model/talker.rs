//! A phone's voice and its way to us. When each packet arrives is known the moment it is made, so that a verdict can tell what
//! was there to be heard.

use super::history::Line;
use super::layout::Layout;
use super::random::Random;

/// Samples of a packet.
pub const FRAME: usize = 160;
/// RTP payload type of the phones of an exact history.
pub const LINEAR: u8 = 96;

/// What a phone says.
#[derive(Clone, Debug)]
pub enum Speech {
    /// The packet's code as a constant level, linear.
    Codes(Layout),
    /// Speech-like noise with pauses, in this codec.
    Noise(audio::Codec),
}

/// A packet that was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its running number.
    pub number: u64,
    /// Code in an exact history.
    pub code: u16,
    /// When it arrived, ms; `None`: lost.
    pub arrived: Option<u64>,
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Flying {
    /// When it arrives, ms.
    pub arrives: u64,
    /// RTP port it goes to.
    pub port: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A phone.
#[derive(Clone, Debug)]
pub struct Talker {
    phone: usize,
    seed: u64,
    luck: Random,
    speech: Speech,
    next: u64,
    number: u64,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    jitter: u64,
    loss: u64,
    lose: u32,
    frozen_until: u64,
    silent_until: u64,
    /// Everything it made.
    pub made: Vec<Made>,
    /// Moments (ms) at which something was not as on a perfect line.
    pub troubles: Vec<u64>,
    /// Since when (ms) the line is one on which a packet may take longer than another.
    pub rough: Option<u64>,
}

impl Talker {
    /// A phone that has made nothing yet.
    #[must_use]
    pub fn new(seed: u64, phone: usize, line: Line, speech: Speech) -> Self {
        let mut luck = Random::new(seed, 100 + phone as u64);
        let (ssrc, sequence, timestamp) = (luck.draw() as u32, luck.draw() as u16, luck.draw() as u32);
        Self {
            phone,
            seed,
            luck,
            speech,
            next: line.phase,
            number: 0,
            ssrc,
            sequence,
            timestamp,
            marker: true,
            jitter: line.jitter,
            loss: line.loss,
            lose: 0,
            frozen_until: 0,
            silent_until: 0,
            made: Vec::new(),
            troubles: vec![0],
            rough: (line.jitter > 0 || line.loss > 0).then_some(0),
        }
    }

    /// A new stream.
    pub fn restart(&mut self, now: u64) {
        self.ssrc = self.luck.draw() as u32;
        self.sequence = self.luck.draw() as u16;
        self.timestamp = self.luck.draw() as u32;
        self.marker = true;
        self.trouble(now);
    }

    /// The timestamps jump.
    pub fn jump(&mut self, samples: u32, marker: bool, now: u64) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.marker |= marker;
        self.rough.get_or_insert(now);
        self.trouble(now);
    }

    /// Packets are held up until then.
    pub fn freeze(&mut self, until: u64, now: u64) {
        self.frozen_until = self.frozen_until.max(until);
        self.rough.get_or_insert(now);
        self.trouble(now);
        self.trouble(until + 20);
    }

    /// The next packets are lost.
    pub fn lose(&mut self, packets: u32, now: u64) {
        self.lose += packets;
        self.rough.get_or_insert(now);
        self.trouble(now);
    }

    /// Nothing is sent until then.
    pub fn pause(&mut self, until: u64, now: u64) {
        self.silent_until = self.silent_until.max(until);
        self.rough.get_or_insert(now);
        self.trouble(now);
        self.trouble(until + 20);
    }

    /// Another line from now on.
    pub fn line(&mut self, jitter: Option<u64>, loss: Option<u64>, now: u64) {
        self.jitter = jitter.unwrap_or(self.jitter);
        self.loss = loss.unwrap_or(self.loss);
        if self.jitter > 0 || self.loss > 0 {
            self.rough.get_or_insert(now);
        }
        self.trouble(now);
    }

    /// Something disturbs what this phone says, or where it is heard.
    pub fn trouble(&mut self, at: u64) {
        self.troubles.push(at);
    }

    /// The packets that leave in this ms, for `port`. Those that `hush(arrival)` names hold silence words.
    pub fn speak(&mut self, now: u64, port: u16, hush: impl Fn(u64) -> bool, mut out: impl FnMut(Flying)) {
        if now < self.next {
            return;
        }
        self.next += 20;
        // The same draws whatever happens, so that taking an act out changes no other packet's luck.
        let late = self.luck.draw();
        let lost = self.luck.percent(self.loss);
        let doubled = self.luck.percent(2);
        let number = self.number;
        self.number += 1;
        let silent = now < self.silent_until;
        let late = if self.jitter == 0 { 0 } else { late % (self.jitter + 1) };
        let arrives = (now + late).max(self.frozen_until);
        let gone = silent || lost || self.lose > 0;
        self.lose = self.lose.saturating_sub(1);
        if gone || arrives != now {
            self.trouble(now);
            self.trouble(arrives + 20);
        }
        let code = match &self.speech {
            Speech::Codes(layout) => layout.code(number),
            Speech::Noise(_) => 0,
        };
        self.made.push(Made { number, code, arrived: (!gone).then_some(arrives) });
        if !gone {
            let bytes = self.packet(number, hush(arrives));
            if doubled && self.rough.is_some() {
                out(Flying { arrives: arrives + 3, port, bytes: bytes.clone() });
            }
            out(Flying { arrives, port, bytes });
        }
        if !silent {
            self.sequence = self.sequence.wrapping_add(1);
            self.marker = false;
        } else {
            self.marker = true;
        }
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
    }

    fn packet(&self, number: u64, hushed: bool) -> Vec<u8> {
        let (kind, payload) = match &self.speech {
            Speech::Codes(layout) => {
                let level = if hushed { 0 } else { layout.level(self.phone, layout.code(number)) };
                (LINEAR, level.to_be_bytes().repeat(FRAME))
            }
            Speech::Noise(codec) => {
                let kind = codec.static_payload_type().unwrap_or(LINEAR);
                let silence = vec![codec.silence_word(); FRAME];
                (kind, if hushed { silence } else { self.noise(*codec, number) })
            }
        };
        let mut bytes = Vec::with_capacity(12 + payload.len());
        bytes.push(0x80);
        bytes.push(kind | if self.marker { 0x80 } else { 0 });
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.ssrc.to_be_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// Low-passed noise whose level changes every 100 ms, with pauses.
    fn noise(&self, codec: audio::Codec, number: u64) -> Vec<u8> {
        let mut random = Random::new(self.seed, 1_000 + self.phone as u64 + (number / 5) * 64);
        let peak = random.pick(&[0i64, 400, 3_000, 9_000, 9_000]);
        let mut random = Random::new(self.seed ^ 0x5eed, 1_000 + self.phone as u64 + number * 64);
        let mut samples = [0i16; FRAME];
        let mut low = 0i64;
        for sample in &mut samples {
            let white = (random.draw() % (2 * peak as u64 + 1)) as i64 - peak;
            low += (white - low) / 3;
            *sample = low as i16;
        }
        let mut payload = vec![codec.silence_word(); FRAME];
        codec.encode(&samples, &mut payload);
        payload
    }
}

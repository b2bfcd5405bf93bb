//! The playout buffer of a leg whose format has memory (Opus, G.722): packets in by arrival, samples out by tick.
//!
//! It keeps the promises of the [jitter buffer](crate::jitter) in another order: packets wait undecoded, and are decoded one after
//! the other just before they are heard, because each decodes on top of those before it. A loss is filled from the next packet's
//! redundancy where that has come, else by the decoder's concealment, for at most 120 ms.
//!
//! **What it costs.** Packets may lie over each other, up to the longest of them anew at every sample. So a packet is decoded only if at
//! least half of its sound is new, and a pull decodes 240 ms at most; what is dropped for that is counted.
//!
//! **How old sound is.** A decoder goes on sounding of all that it decoded before, and for how long cannot be bounded (libopus: differences
//! above −90 dBFS after seconds of steady voice were measured). So `oldest_mark` counts every packet since the decoder was made or
//! renewed. [`PacketBuffer::fence`] renews it at the first new packet; [`PacketBuffer::forget_before`] at once. Both are exact: a renewed
//! decoder equals a new one.

mod line;
mod pauses;
mod produce;
mod stretching;
mod timeline;
mod waiting;

use crate::jitter::learner::Learner;
use crate::jitter::sequence::{Seen, Sequence};
use crate::jitter::{Inserted, JitterConfig, JitterStats, Packet, Pulled};
use line::Line;
use pauses::Pauses;
use std::time::Duration;
use timeline::{Timeline, Verdict};
use waiting::{Put, Waiting, WaitingPacket};

/// The longest packet taken, ms.
const LONGEST_PACKET_MS: usize = 120;
/// The longest frame one pull fills, ms.
const LONGEST_PULL_MS: usize = 20;
/// Sound decoded in one pull at most, ms: where playout skips into the longest packet, that and the next.
const DECODED_MS: usize = 2 * LONGEST_PACKET_MS;
/// The longest payload taken, bytes: what fits a datagram that is not fragmented.
const LONGEST_PAYLOAD: usize = 1_472;
/// Excess delay that is cut at once instead of being played off, ms.
const CUT_MS: i64 = 100;

/// What a packet buffer needs of a format's decoder.
pub trait Decoder {
    /// Samples per second.
    const RATE: u32;
    /// RTP clock rate, Hz; divides `RATE`.
    const CLOCK: u32;
    /// How many bytes a second of sound has at most, for sizing.
    const BYTES_PER_SECOND: usize;
    /// Concealment is made in multiples of this many samples.
    const STEP: usize;

    /// Samples of a packet, `None` if it is malformed.
    fn samples(payload: &[u8]) -> Option<usize>;
    /// Whether the packet says that its sender pauses.
    fn is_pause(payload: &[u8]) -> bool;
    /// Whether the packet holds redundancy of the sound before it.
    fn has_redundancy(payload: &[u8]) -> bool;
    /// Decodes a packet of `out.len()` samples; false, changing nothing, if it cannot be decoded.
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> bool;
    /// Fills `out` with the sound before `next` from the redundancy in it; false, changing nothing, if there is none.
    fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool;
    /// Continues the sound.
    fn conceal(&mut self, out: &mut [i16]);
    /// Forgets all sound.
    fn reset(&mut self);
}

impl Decoder for crate::opus::OpusDecoder {
    const RATE: u32 = 48_000;
    const CLOCK: u32 = 48_000;
    const BYTES_PER_SECOND: usize = 51_000;
    const STEP: usize = 120;

    fn samples(payload: &[u8]) -> Option<usize> {
        crate::opus::packet_samples(payload).ok()
    }
    fn is_pause(payload: &[u8]) -> bool {
        crate::opus::is_dtx(payload)
    }
    fn has_redundancy(payload: &[u8]) -> bool {
        crate::opus::has_fec(payload)
    }
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> bool {
        self.decode(payload, out).is_ok()
    }
    fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        self.recover(next, out)
    }
    fn conceal(&mut self, out: &mut [i16]) {
        self.conceal(out);
    }
    fn reset(&mut self) {
        self.reset();
    }
}

impl Decoder for crate::g722::G722Decoder {
    const RATE: u32 = 16_000;
    const CLOCK: u32 = 8_000;
    const BYTES_PER_SECOND: usize = 8_000;
    const STEP: usize = 1;

    fn samples(payload: &[u8]) -> Option<usize> {
        (!payload.is_empty()).then_some(payload.len() * 2)
    }
    fn is_pause(_: &[u8]) -> bool {
        false
    }
    fn has_redundancy(_: &[u8]) -> bool {
        false
    }
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> bool {
        self.decode(payload, out) == out.len()
    }
    fn recover(&mut self, _: &[u8], _: &mut [i16]) -> bool {
        false
    }
    fn conceal(&mut self, out: &mut [i16]) {
        self.conceal(out);
    }
    fn reset(&mut self) {
        self.reset();
    }
}

/// The playout buffer of one stream. With libopus' decoder about 62 KiB in all, with G.722 about 20 KiB, at the default maximum.
#[derive(Debug, Clone)]
pub struct PacketBuffer<D> {
    decoder: D,
    config: JitterConfig,
    timeline: Timeline,
    learner: Learner,
    sequence: Sequence,
    waiting: Waiting,
    /// Decoded sound: what was played last, and what waits to be played.
    line: Line,
    /// Timeline position after the last sample in `line`, once playing.
    head: Option<i64>,
    /// The smallest mark of any packet decoded since the decoder was renewed; `u64::MAX`: none was.
    memory: u64,
    pauses: Pauses,
    /// Timeline position until which decoded packets have brought sound.
    brought: i64,
    /// Samples that this pull may still decode.
    budget: usize,
    /// Samples made up in a row.
    made_up: usize,
    fence: u64,
    overflowed: bool,
    /// For how many pulls the delay has not been right.
    unequal: u32,
    stats: JitterStats,
}

impl<D: Decoder> PacketBuffer<D> {
    /// Samples of a millisecond.
    const MS: usize = D::RATE as usize / 1_000;
    const LONGEST_PACKET: usize = LONGEST_PACKET_MS * Self::MS;
    const LONGEST_PULL: usize = LONGEST_PULL_MS * Self::MS;
    /// 2.5 ms, the shortest that Opus has.
    const SHORTEST_PACKET: usize = D::RATE as usize / 400;

    /// An empty buffer. Allocates all it will ever need. `config.concealment` is not looked at: the decoder conceals.
    pub fn new(decoder: D, config: JitterConfig) -> Self {
        let maximum = config.maximum.min(Duration::from_millis(400));
        let span = maximum.as_micros() as usize * Self::MS / 1_000 + Self::LONGEST_PACKET;
        let bytes = span * D::BYTES_PER_SECOND / D::RATE as usize + LONGEST_PAYLOAD;
        Self {
            decoder,
            config,
            timeline: Timeline::new(D::RATE, D::RATE / D::CLOCK, config.minimum / 2),
            learner: Learner::new(),
            sequence: Sequence::default(),
            waiting: Waiting::new(span as i64, bytes),
            line: Line::new(Self::MS, Self::LONGEST_PACKET),
            head: None,
            memory: u64::MAX,
            pauses: Pauses::default(),
            brought: i64::MIN,
            budget: 0,
            made_up: 0,
            fence: 0,
            overflowed: false,
            unequal: 0,
            stats: JitterStats::default(),
        }
    }

    /// A new talker (SSRC): flushes everything, the decoder too, and learns anew.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.timeline.reset();
        self.learner.reset();
        self.sequence.reset();
        self.waiting.clear();
        self.line.clear();
        self.head = None;
        self.memory = u64::MAX;
        self.pauses = Pauses::default();
        self.brought = i64::MIN;
        self.made_up = 0;
        self.overflowed = false;
        self.unequal = 0;
        self.stats.resets += 1;
    }

    /// Drops packets, decoded sound and the decoder's memory older than `mark`, so that nothing of them is ever returned.
    pub fn forget_before(&mut self, mark: u64) {
        self.fence(mark);
        self.waiting.retain(|packet| packet.mark >= mark);
        self.line.forget_before(mark);
        if self.memory < mark {
            self.decoder.reset();
            self.memory = u64::MAX;
        }
    }

    /// From the first packet of at least `mark` on, nothing older is heard: just before it is decoded the decoder is renewed, and the
    /// old sound fades out over 5 ms. Nothing that waits is dropped. Stays in force; a smaller mark than before changes nothing.
    pub fn fence(&mut self, mark: u64) {
        self.fence = self.fence.max(mark);
    }

    /// Counters, in samples of the format's sampling rate, and delay.
    pub fn stats(&self) -> JitterStats {
        let (Some(play), Some(mean)) = (self.play(), self.timeline.mean_transit()) else { return self.stats };
        let delay = |offset: i64| Duration::from_nanos((offset - mean).max(0) as u64 * 1_000_000 / Self::MS as u64);
        let offset = self.timeline.clock() - play;
        JitterStats { delay: delay(offset), target: delay(self.wanted().unwrap_or(offset)), ..self.stats }
    }

    /// Whether nothing waits and nothing sounds on: pulls return silence until the next packet. They need not be made.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.line.is_silent() && (self.head.is_none() || self.is_resting())
    }

    /// The decoder.
    pub fn decoder(&self) -> &D {
        &self.decoder
    }

    /// Takes a packet, in any order.
    pub fn insert(&mut self, packet: Packet<'_>) -> Inserted {
        let len = D::samples(packet.payload).filter(|&len| len > 0 && len <= Self::LONGEST_PACKET);
        let Some(len) = len.filter(|_| packet.payload.len() <= LONGEST_PAYLOAD) else {
            self.stats.malformed += 1;
            return Inserted::Malformed;
        };
        self.stats.received += 1;
        match self.sequence.see(packet.sequence) {
            Seen::New { missing } => self.stats.lost += u64::from(missing),
            Seen::Filled => self.stats.lost = self.stats.lost.saturating_sub(1),
            Seen::Ancient => {
                self.stats.late += 1;
                return Inserted::Late;
            }
            Seen::Duplicate => {
                self.stats.duplicate += 1;
                return Inserted::Duplicate;
            }
        }
        let Some(start) = self.place(&packet, len) else {
            self.stats.late += 1;
            return Inserted::Late;
        };
        let waiting = WaitingPacket {
            start,
            len,
            sequence: packet.sequence,
            mark: packet.mark,
            marker: packet.marker,
            arrival: packet.arrival.as_micros() as u64,
            judged: false,
            ..WaitingPacket::NONE
        };
        match self.waiting.put(waiting, packet.payload) {
            Put::Done => Inserted::Queued,
            Put::Dropped(packets) => {
                self.stats.overflows += u64::from(packets);
                self.overflowed = true;
                Inserted::Overflow
            }
            Put::Known => {
                self.stats.duplicate += 1;
                Inserted::Duplicate
            }
            Put::TooOld => {
                self.stats.late += 1;
                Inserted::Late
            }
        }
    }

    /// The timeline position of a packet; `None` if it cannot be played.
    fn place(&mut self, packet: &Packet<'_>, len: usize) -> Option<i64> {
        let idle = self.waiting.is_empty();
        let resting = idle && self.is_resting();
        let after = self.waiting.end().unwrap_or(i64::MIN).max(self.head.unwrap_or(i64::MIN));
        match self.timeline.place(packet, len as i64, self.head, &mut self.learner, idle, resting, after) {
            Verdict::At(start) => Some(start),
            Verdict::Jumped(start) => {
                self.stats.resets += 1;
                Some(start)
            }
            Verdict::Late => None,
        }
    }

    /// The timeline position of the next sample to be heard.
    fn play(&self) -> Option<i64> {
        Some(self.head? - self.line.pending() as i64)
    }

    /// Fills `out` (20 ms at most; what is beyond becomes silence) with the samples of the tick at `now`.
    pub fn pull(&mut self, now: Duration, out: &mut [i16]) -> Pulled {
        let (out, beyond) = out.split_at_mut(out.len().min(Self::LONGEST_PULL));
        beyond.fill(0);
        self.budget = DECODED_MS * Self::MS;
        let missed = self.timeline.begin_tick(now, out.len() as i64);
        if let Some(play) = self.play()
            && missed > 0
        {
            self.stats.stalls += 1;
            self.stats.skipped_samples += missed as u64;
            self.skip_to(play + missed);
            self.waiting.iter_mut().for_each(|packet| packet.judged = true);
        }
        let safe = self.timeline.safe(now);
        for packet in self.waiting.iter_mut().filter(|packet| !packet.judged && packet.arrival <= safe) {
            packet.judged = true;
            self.learner.observe_need(self.timeline.clock() - packet.start);
        }
        if self.head.is_none() {
            self.begin(now, out.len());
        }
        let pulled = match self.head {
            None => {
                out.fill(0);
                Pulled { oldest_mark: u64::MAX, sound: false, concealed: false }
            }
            Some(_) => self.play_into(out),
        };
        self.timeline.end_tick(out.len() as i64);
        self.learner.end_tick();
        pulled
    }

    /// Starts playout if the first packet has waited long enough.
    fn begin(&mut self, now: Duration, len: usize) -> Option<()> {
        let extra = self.config.initial.saturating_sub(Duration::from_millis(20));
        let extra_samples = extra.as_micros() as i64 * Self::MS as i64 / 1_000;
        let oldest = self.waiting.iter().map(|packet| packet.arrival).min()?;
        let safe = self.timeline.safe(now).saturating_sub(extra.as_micros() as u64);
        if oldest > safe {
            return None;
        }
        let (first, last) = (self.waiting.first()?, self.waiting.last()?);
        // A backlog from before the first tick is not played off: only its end is.
        let frame = last.len.max(len) as i64;
        let depth = frame + extra_samples;
        let backlog = last.end() - first.start;
        let mut play = first.start;
        if backlog > depth + frame {
            play = last.end() - depth;
            self.stats.deleted_samples += (play - first.start) as u64;
            self.learner.reset();
            self.learner.observe_need(self.timeline.clock() - play);
            self.waiting.drop_before(play);
        }
        self.head = Some(play);
        Some(())
    }

    /// Moves playout forward over samples that will not be played.
    fn skip_to(&mut self, to: i64) {
        let (Some(play), Some(head)) = (self.play(), self.head) else { return };
        let pending = self.line.pending();
        self.prepare_seam();
        self.line.consume((to - play).clamp(0, pending as i64) as usize);
        self.line.close_seam_now();
        self.head = Some(head.max(to));
        self.waiting.drop_before(to);
    }

    /// The offset playout should have.
    fn wanted(&self) -> Option<i64> {
        let required = self.learner.required()?;
        let samples = |time: Duration| time.as_micros() as i64 * Self::MS as i64 / 1_000;
        let young = self.learner.is_young();
        let floor = if young { samples(self.config.initial.saturating_sub(Duration::from_millis(20))) } else { 0 };
        let maximum = samples(self.config.maximum.min(Duration::from_millis(400)));
        let ceiling = self.learner.fastest().map_or(i64::MAX, |fastest| fastest + maximum);
        Some((required + floor).min(ceiling))
    }

    /// Where to skip to if far more delay has built up than is wanted.
    fn cut(&self, play: i64, lack: i64) -> Option<i64> {
        if -lack < CUT_MS * Self::MS as i64 {
            return None;
        }
        // Never beyond what has arrived.
        let to = (play - lack).min(self.waiting.end()?);
        (to - play >= 60 * Self::MS as i64).then_some(to)
    }
}

#[cfg(test)]
mod tests;

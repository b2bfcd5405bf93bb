//! The playout buffer of a leg: packets in by arrival, samples out by tick.
//!
//! It works in samples, not frames. Playout stands at an *offset* between its own clock (samples pulled so far) and the talker's
//! timeline; the offset is chosen so that packets arrive just before the tick that needs them, whatever their length and
//! phase, and is moved by single samples or pitch periods. Each returned frame tells the oldest packet that went into it.

pub(crate) mod learner;
mod queue;
mod scaling;
pub(crate) mod sequence;

use crate::codec::Codec;
use crate::conceal::{Concealer, HISTORY};
use learner::Learner;
use queue::{Put, Queue, Stretch};
use sequence::{Seen, Sequence};
use std::time::Duration;

/// The longest frame one pull fills, in samples.
pub const LONGEST_PULL: usize = 480;
/// The longest packet of most phones (20 ms).
const ORDINARY: usize = 160;
/// The longest packet taken, in samples (120 ms).
const LONGEST_PACKET: usize = 960;
/// A packet that is this much faster than any of the last 20 s belongs to a timeline that jumped (60 ms).
const EARLY: i64 = 480;
/// A packet too late by this much may belong to a timeline that jumped back (80 ms); less is learned as jitter.
const LATE: i64 = 640;
/// A jump is believed when packets have agreed on it for this long.
const JUMP_CONFIRMED: Duration = Duration::from_millis(30);
/// After so long without packets, any timeline is believed.
const FORGOTTEN: Duration = Duration::from_secs(2);
/// A pause between pulls from which on missed ticks are skipped at once.
const STALL: Duration = Duration::from_millis(100);
/// Excess delay that is cut at once instead of being played off (100 ms).
const CUT: i64 = 800;

/// What covers missing samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concealment {
    /// Continue the waveform, fade out, cross-fade back in.
    Waveform,
    /// Zeros, and no cross-fades anywhere: every returned sample is a received one or 0.
    Zero,
}

/// How a buffer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterConfig {
    /// Depth at the start of a stream, default 20 ms: the first packet waits at most this long.
    pub initial: Duration,
    /// Smallest depth, default 2 ms. A packet counts as in time for a tick if it came at least half of this before it.
    pub minimum: Duration,
    /// Largest depth, default 200 ms. At most 400 ms.
    pub maximum: Duration,
    /// What covers missing samples.
    pub concealment: Concealment,
    /// Whether delay may be changed by inserting and deleting samples. Without it, delay changes only by skips that are counted.
    pub time_scaling: bool,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(20),
            minimum: Duration::from_millis(2),
            maximum: Duration::from_millis(200),
            concealment: Concealment::Waveform,
            time_scaling: true,
        }
    }
}

/// A received audio packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, in the format's RTP clock: 8 kHz here; for a packet buffer that of its decoder.
    pub timestamp: u32,
    /// Encoded samples.
    pub payload: &'a [u8],
    /// When it arrived, monotonic, same clock as the `now` of pulls.
    pub arrival: Duration,
    /// RTP marker: first packet of a talk spurt.
    pub marker: bool,
    /// Arrival number, never decreasing; told back in [`Pulled::oldest_mark`].
    pub mark: u64,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It will be played.
    Queued,
    /// Already received.
    Duplicate,
    /// Its time was over (or it is the first of a jump not yet believed); discarded.
    Late,
    /// It will be played, and the oldest waiting packets were dropped to make room.
    Overflow,
    /// Empty, longer than 120 ms, or no whole number of samples; discarded.
    Malformed,
}

/// What a pull returned besides samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulled {
    /// The smallest mark of any packet that contributed to any returned sample, by concealment and cross-fades too;
    /// `u64::MAX` if none did.
    pub oldest_mark: u64,
    /// False: nothing but silence, because there is no stream, the talker pauses, or all was flushed.
    pub sound: bool,
    /// Some samples are concealment.
    pub concealed: bool,
}

/// Counters since the buffer was made, and its delay. Samples are of the format's sampling rate: 8 kHz for a jitter buffer, 16 or
/// 48 kHz for a packet buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Well-formed packets, duplicates included.
    pub received: u64,
    /// Packets discarded because their time was over.
    pub late: u64,
    /// Packets received again.
    pub duplicate: u64,
    /// Packets missing by sequence number (late ones are not missing).
    pub lost: u64,
    /// Packets that were not whole samples of the codec.
    pub malformed: u64,
    /// Packets dropped for lack of room.
    pub overflows: u64,
    /// Packets dropped undecoded (formats with memory): others had brought most of their sound, or a pull had decoded enough.
    pub undecoded: u64,
    /// Samples made up.
    pub concealed_samples: u64,
    /// Samples recovered from the redundancy of a later packet (formats that have it).
    pub recovered_samples: u64,
    /// Samples of silence returned while a stream was open but had nothing (pauses, faded concealment).
    pub silent_samples: u64,
    /// Samples by which the playout was held back.
    pub inserted_samples: u64,
    /// Samples of the timeline that were passed over to shorten the delay.
    pub deleted_samples: u64,
    /// Samples of the timeline that were passed over because their ticks were never pulled.
    pub skipped_samples: u64,
    /// Timeline jumps followed, and resets.
    pub resets: u64,
    /// Pauses between pulls that were skipped.
    pub stalls: u64,
    /// Delay now: arrival of a packet to the tick that plays it, mean of recent packets.
    pub delay: Duration,
    /// The delay aimed at.
    pub target: Duration,
}

/// The last pull: when, at which clock position, and how long.
#[derive(Debug, Clone, Copy)]
struct LastPull {
    at: Duration,
    clock: i64,
    len: usize,
}

/// Packets that agree on a jump of the timeline.
#[derive(Debug, Clone, Copy)]
struct Jump {
    transit: i64,
    since: Duration,
}

/// The playout buffer of one stream.
///
/// What a regular packet and a regular pull touch lies together at its beginning, for a server has thousands of them and visits
/// each once in 20 ms.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct JitterBuffer {
    codec: Codec,
    config: JitterConfig,
    /// In µs: how long before a tick a packet must have come.
    guard: u64,
    maximum: i64,
    /// Samples pulled (or skipped) so far: the position of the next pull.
    clock: i64,
    last_pull: Option<LastPull>,
    lateness: scaling::Lateness,
    /// Timeline position of the next sample to play, once playing.
    play: Option<i64>,
    /// A raw timestamp and its timeline position.
    timeline: Option<(u32, i64)>,
    last_arrival: Duration,
    jump: Option<Jump>,
    /// Late packets in a row: count and smallest need.
    late_run: (u32, i64),
    /// Mean transit of recent packets, in 1/16 samples.
    mean_transit: Option<i64>,
    overflowed: bool,
    /// For how many pulls the offset has not been right.
    pace: scaling::Pace,
    sequence: Sequence,
    stats: JitterStats,
    learner: Learner,
    concealer: Concealer,
    queue: Queue,
}

impl JitterBuffer {
    /// How many of its first bytes regular packets and pulls touch, beside the samples themselves; for fetching them early.
    pub const NEEDED: usize = std::mem::offset_of!(Self, queue) + Queue::NEEDED;

    /// An empty buffer. Allocates all it will ever need: 320 ms of samples at the default maximum.
    pub fn new(codec: Codec, config: JitterConfig) -> Self {
        let maximum = (config.maximum.min(Duration::from_millis(400)).as_micros() as i64 * 8) / 1_000;
        Self {
            codec,
            config,
            guard: (config.minimum / 2).as_micros() as u64,
            maximum,
            clock: 0,
            last_pull: None,
            lateness: scaling::Lateness::default(),
            play: None,
            timeline: None,
            last_arrival: Duration::ZERO,
            jump: None,
            late_run: (0, i64::MAX),
            mean_transit: None,
            overflowed: false,
            pace: scaling::Pace::default(),
            sequence: Sequence::default(),
            stats: JitterStats::default(),
            learner: Learner::new(),
            concealer: Concealer::new(),
            queue: Queue::new(maximum as usize + LONGEST_PACKET),
        }
    }

    /// Decodes with another codec from now on. What is queued is flushed; playout starts anew.
    pub fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
        self.reset();
    }

    /// A new talker (SSRC): flushes everything, history too, and learns anew.
    pub fn reset(&mut self) {
        self.queue.clear();
        self.concealer.reset();
        self.learner.reset();
        self.sequence.reset();
        self.play = None;
        self.timeline = None;
        self.jump = None;
        self.late_run = (0, i64::MAX);
        self.mean_transit = None;
        self.overflowed = false;
        self.pace = scaling::Pace::default();
        self.stats.resets += 1;
    }

    /// Drops packets, history and concealment older than `mark`, so that nothing of them is ever returned.
    pub fn forget_before(&mut self, mark: u64) {
        if let Some(play) = self.play {
            self.catch_up(play);
        }
        self.queue.retain(|s| s.mark >= mark);
        self.concealer.forget_before(mark);
    }

    /// Where the samples of the next pull and of the next packet lie, most likely; for fetching them early.
    pub fn next_samples(&self) -> &[i16] {
        self.play.map_or(&[], |play| self.queue.around(play))
    }

    /// Counters and delay.
    pub fn stats(&self) -> JitterStats {
        let (Some(play), Some(mean)) = (self.play, self.mean_transit) else { return self.stats };
        let delay = |offset: i64| Duration::from_micros((offset - mean / 16).max(0) as u64 * 125);
        let offset = self.clock - play;
        JitterStats { delay: delay(offset), target: delay(self.wanted().unwrap_or(offset)), ..self.stats }
    }

    /// Whether nothing is queued and nothing is fading: pulls return silence until the next packet. They need not be made.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && (self.config.concealment == Concealment::Zero || self.concealer.is_silent())
    }

    /// The codec packets are decoded with.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Takes a packet, in any order.
    pub fn insert(&mut self, packet: Packet<'_>) -> Inserted {
        let width = self.codec.bytes_per_sample();
        let len = packet.payload.len() / width;
        if len == 0 || len > LONGEST_PACKET || !packet.payload.len().is_multiple_of(width) {
            self.stats.malformed += 1;
            return Inserted::Malformed;
        }
        self.stats.received += 1;
        match self.sequence.see(packet.sequence) {
            Seen::New { missing } => self.stats.lost += missing as u64,
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
        self.last_arrival = self.last_arrival.max(packet.arrival);
        let skip = self.play.map_or(0, |play| (play - start).clamp(0, len as i64)) as usize;
        let stretch = Stretch {
            start: start + skip as i64,
            origin: start,
            len: len - skip,
            mark: packet.mark,
            arrival: packet.arrival.as_micros() as u64,
            judged: false,
        };
        if let Some(play) = self.play
            && self.queue.overruns(stretch.end(), play - HISTORY as i64)
        {
            self.catch_up(play);
        }
        let put = if len <= ORDINARY {
            self.decode_into_queue::<ORDINARY>(packet.payload, stretch, skip)
        } else {
            self.decode_into_queue::<LONGEST_PACKET>(packet.payload, stretch, skip)
        };
        match put {
            Put::Done => Inserted::Queued,
            Put::Dropped(packets) => {
                self.stats.overflows += packets as u64;
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

    fn decode_into_queue<const LONGEST: usize>(&mut self, payload: &[u8], stretch: Stretch, skip: usize) -> Put {
        let mut samples = [0i16; LONGEST];
        let len = self.codec.decode(payload, &mut samples);
        self.queue.put(stretch, &samples[skip..len])
    }

    /// Gives the concealer what was played up to `play` straight from the queue; before anything looks at history, and before
    /// the place of these samples in the timeline is forgotten.
    fn catch_up(&mut self, play: i64) {
        let behind = self.concealer.behind();
        if behind > 0 {
            let mut played = [0i16; HISTORY];
            self.queue.read(play - behind as i64, &mut played[..behind]);
            self.concealer.catch_up(&played[..behind]);
        }
    }

    /// The timeline position of a packet; `None` if it cannot be played.
    fn place(&mut self, packet: &Packet<'_>, len: usize) -> Option<i64> {
        let arrived = self.clock_at(packet.arrival);
        let Some((raw, position)) = self.timeline else {
            self.timeline = Some((packet.timestamp, arrived));
            self.note_transit(0);
            return Some(arrived);
        };
        let mut start = position + packet.timestamp.wrapping_sub(raw) as i32 as i64;
        let transit = arrived - start;
        let fastest = self.learner.fastest().unwrap_or(transit);
        let early = transit < fastest - EARLY;
        let late = self.play.is_some_and(|play| start + len as i64 <= play);
        if early || (late && transit > fastest + LATE) {
            if !self.believes_jump(packet, transit, early) {
                return None;
            }
            // The talker's timeline goes on as if this packet had travelled as fast as any.
            start = (arrived - fastest).max(self.queue.end().unwrap_or(i64::MIN));
            if let Some(play) = self.play {
                start = start.max(play);
            }
            self.stats.resets += 1;
            self.jump = None;
        } else if late {
            let need = self.clock - start;
            self.learner.observe_need(need);
            self.late_run = (self.late_run.0 + 1, self.late_run.1.min(need));
            if self.late_run.0 >= 3 {
                self.learner.hurry(self.late_run.1);
            }
            return None;
        } else {
            self.jump = None;
        }
        self.late_run = (0, i64::MAX);
        self.timeline = Some((packet.timestamp, start));
        self.note_transit(arrived - start);
        Some(start)
    }

    fn believes_jump(&mut self, packet: &Packet<'_>, transit: i64, early: bool) -> bool {
        let pause = packet.arrival.saturating_sub(self.last_arrival);
        // A stalled network also brings late packets, but never early ones.
        if self.queue.is_empty() && (pause >= FORGOTTEN || packet.marker || (early && self.concealer.is_silent())) {
            return true;
        }
        match self.jump {
            Some(jump) if (jump.transit - transit).abs() <= EARLY => {
                packet.arrival.saturating_sub(jump.since) >= JUMP_CONFIRMED
            }
            _ => {
                self.jump = Some(Jump { transit, since: packet.arrival });
                false
            }
        }
    }

    fn note_transit(&mut self, transit: i64) {
        self.learner.observe_transit(transit);
        let mean = self.mean_transit.get_or_insert(transit * 16);
        *mean += transit - *mean / 16;
    }

    /// The clock position at a moment near the last pull.
    fn clock_at(&self, moment: Duration) -> i64 {
        let Some(last) = self.last_pull else { return self.clock };
        let micros = moment.as_micros() as i64 - last.at.as_micros() as i64;
        last.clock + micros.clamp(-60_000_000, 60_000_000) * 8 / 1_000
    }

    /// Fills `out` (at most [`LONGEST_PULL`] samples; what is beyond becomes silence) with the samples of the tick at `now`.
    pub fn pull(&mut self, now: Duration, out: &mut [i16]) -> Pulled {
        let (out, beyond) = out.split_at_mut(out.len().min(LONGEST_PULL));
        beyond.fill(0);
        let missed = self.missed(now, out.len());
        self.clock += missed;
        if let Some(play) = self.play
            && missed > 0
        {
            self.stats.stalls += 1;
            self.stats.skipped_samples += missed as u64;
            self.skip_to(play + missed);
            for stretch in self.queue.stretches_mut() {
                stretch.judged = true;
            }
        }
        self.judge(now);
        self.last_pull = Some(LastPull { at: now, clock: self.clock, len: out.len() });
        let pulled = match self.play.or_else(|| self.begin(now, out.len())) {
            None => {
                out.fill(0);
                Pulled { oldest_mark: u64::MAX, sound: false, concealed: false }
            }
            Some(play) => self.play_from(play, out),
        };
        self.clock += out.len() as i64;
        while let Some(done) = self.play.and_then(|play| self.queue.pop_before(play)) {
            if !done.judged {
                // It came too close to its tick: the next would have been safe.
                self.learner.observe_need(self.clock - done.origin);
            }
        }
        self.learner.end_tick();
        pulled
    }

    /// Samples of ticks that were not pulled, to be skipped.
    fn missed(&mut self, now: Duration, len: usize) -> i64 {
        let Some(last) = self.last_pull else {
            self.lateness.start(now, self.clock);
            return 0;
        };
        let len = len.max(1) as i64;
        let tick = Duration::from_micros(last.len as u64 * 125);
        let gap = now.saturating_sub(last.at).saturating_sub(tick);
        let missed = if gap > STALL {
            let samples = gap.as_micros() as i64 * 8 / 1_000;
            self.lateness.start(now, self.clock + (samples + len / 2) / len * len);
            (samples + len / 2) / len * len
        } else {
            self.lateness.missed(now, self.clock) / len * len
        };
        missed.max(0)
    }

    /// Learns the need of each packet at the first tick that could safely play it.
    fn judge(&mut self, now: Duration) {
        let safe = (now.as_micros() as u64).saturating_sub(self.guard);
        for stretch in self.queue.stretches_mut() {
            if !stretch.judged && stretch.arrival <= safe {
                stretch.judged = true;
                self.learner.observe_need(self.clock - stretch.origin);
            }
        }
    }

    /// Starts playout if the first packet has waited long enough.
    fn begin(&mut self, now: Duration, len: usize) -> Option<i64> {
        let tick = Duration::from_micros(len as u64 * 125);
        let extra = self.config.initial.saturating_sub(tick.max(Duration::from_millis(20)));
        let wait = self.guard + extra.as_micros() as u64;
        let oldest = self.queue.stretches().iter().map(|s| s.arrival).min()?;
        if (now.as_micros() as u64).saturating_sub(oldest) < wait {
            return None;
        }
        let (first, last) = (*self.queue.stretches().first()?, *self.queue.stretches().last()?);
        // A backlog from before the first tick is not played off: only its end is.
        let frame = last.len.max(len) as i64;
        let depth = frame + extra.as_micros() as i64 * 8 / 1_000;
        let backlog = last.end() - first.start;
        let play = if backlog > depth + frame { last.end() - depth } else { first.start };
        if play > first.start {
            self.stats.deleted_samples += (play - first.start) as u64;
            self.learner.reset();
            self.learner.observe_need(self.clock - play);
            self.skip_to(play);
        }
        self.play = Some(play);
        Some(play)
    }

    /// Moves playout forward over samples that will not be played.
    fn skip_to(&mut self, to: i64) {
        if let Some(play) = self.play.replace(to) {
            self.catch_up(play);
        }
        while self.queue.pop_before(to).is_some() {}
        if self.config.concealment == Concealment::Waveform {
            self.concealer.splice();
        }
    }

    /// The offset playout should have.
    fn wanted(&self) -> Option<i64> {
        let required = self.learner.required()?;
        let floor = if self.learner.is_young() {
            let extra = self.config.initial.saturating_sub(Duration::from_millis(20));
            extra.as_micros() as i64 * 8 / 1_000
        } else {
            0
        };
        let ceiling = self.learner.fastest().map_or(i64::MAX, |fastest| fastest + self.maximum);
        Some((required + floor).min(ceiling))
    }
}

#[cfg(test)]
#[path = "jitter/tests/mod.rs"]
pub(crate) mod tests;

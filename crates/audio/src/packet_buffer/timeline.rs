//! Two clocks: samples pulled so far, and the talker's timeline. Places packets on the latter, follows its jumps, finds missed ticks.

use crate::jitter::Packet;
use crate::jitter::learner::Learner;
use std::time::Duration;

/// A packet that is this much faster than any of the last 20 s belongs to a timeline that jumped, ms.
const EARLY_MS: i64 = 60;
/// A packet too late by this much may belong to a timeline that jumped back, ms; less is learned as jitter.
const LATE_MS: i64 = 80;
/// A jump is believed when packets have agreed on it for this long.
const JUMP_CONFIRMED: Duration = Duration::from_millis(30);
/// After so long without packets, any timeline is believed.
const FORGOTTEN: Duration = Duration::from_secs(2);
/// A pause between pulls from which on missed ticks are skipped at once.
const STALL: Duration = Duration::from_millis(100);
/// Pulls after which missed single ticks are looked for.
const WINDOW: u32 = 15;

/// Where a packet belongs.
pub(super) enum Verdict {
    At(i64),
    /// The talker's timeline jumped; it goes on here.
    Jumped(i64),
    Late,
}

#[derive(Debug, Clone, Copy)]
struct LastPull {
    at: Duration,
    clock: i64,
    len: i64,
}

/// Packets that agree on a jump of the timeline.
#[derive(Debug, Clone, Copy)]
struct Jump {
    transit: i64,
    since: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// Samples of a millisecond, and of a step of the RTP clock.
    ms: i64,
    per_step: i64,
    /// How long before a tick a packet must have come, µs.
    guard: u64,
    /// Samples pulled (or skipped) so far.
    clock: i64,
    last_pull: Option<LastPull>,
    /// By how much pulls lagged behind real time: at best at all, at best in this window, and how many pulls it has.
    lag: (i64, i64, u32),
    /// A raw timestamp and its position.
    known: Option<(u32, i64)>,
    last_arrival: Duration,
    jump: Option<Jump>,
    /// Late packets in a row: count and smallest need.
    late_run: (u32, i64),
    /// Mean transit of recent packets, in 1/16 samples.
    mean_transit: Option<i64>,
}

impl Timeline {
    pub(super) fn new(rate: u32, per_step: u32, guard: Duration) -> Self {
        Self {
            ms: i64::from(rate / 1_000),
            per_step: i64::from(per_step),
            guard: guard.as_micros() as u64,
            clock: 0,
            last_pull: None,
            lag: (0, i64::MAX, 0),
            known: None,
            last_arrival: Duration::ZERO,
            jump: None,
            late_run: (0, i64::MAX),
            mean_transit: None,
        }
    }

    pub(super) fn reset(&mut self) {
        self.known = None;
        self.jump = None;
        self.late_run = (0, i64::MAX);
        self.mean_transit = None;
    }

    pub(super) fn clock(&self) -> i64 {
        self.clock
    }

    /// The clock at the tick after the one being played.
    pub(super) fn next_tick(&self) -> i64 {
        self.clock + self.last_pull.map_or(0, |last| last.len)
    }

    /// Mean offset at arrival of recent packets, in samples.
    pub(super) fn mean_transit(&self) -> Option<i64> {
        self.mean_transit.map(|mean| mean / 16)
    }

    /// Packets that arrived until then (µs) are in time for a tick at `now`.
    pub(super) fn safe(&self, now: Duration) -> u64 {
        (now.as_micros() as u64).saturating_sub(self.guard)
    }

    fn samples(&self, micros: i64) -> i64 {
        micros * self.ms / 1_000
    }

    /// Places a packet of `len` samples. `head`: until where sound is decoded; `idle`: nothing waits; `resting`: nor is anything
    /// heard; `after`: where a timeline that jumped may begin at the earliest.
    #[expect(clippy::too_many_arguments)]
    pub(super) fn place(
        &mut self,
        packet: &Packet<'_>,
        len: i64,
        head: Option<i64>,
        learner: &mut Learner,
        idle: bool,
        resting: bool,
        after: i64,
    ) -> Verdict {
        let arrived = self.clock_at(packet.arrival);
        let Some((raw, position)) = self.known else {
            return self.accept(packet, arrived, arrived, learner, Verdict::At);
        };
        let start = position + i64::from(packet.timestamp.wrapping_sub(raw).cast_signed()) * self.per_step;
        let transit = arrived - start;
        let fastest = learner.fastest().unwrap_or(transit);
        let early = transit < fastest - EARLY_MS * self.ms;
        let late = head.is_some_and(|head| start + len <= head);
        if early || (late && transit > fastest + LATE_MS * self.ms) {
            if !self.believes_jump(packet, transit, early, idle, resting) {
                return Verdict::Late;
            }
            // The talker's timeline goes on as if this packet had travelled as fast as any.
            let start = (arrived - fastest).max(after);
            self.jump = None;
            return self.accept(packet, start, arrived, learner, Verdict::Jumped);
        }
        if late {
            let need = self.clock - start;
            learner.observe_need(need);
            self.late_run = (self.late_run.0 + 1, self.late_run.1.min(need));
            if self.late_run.0 >= 3 {
                learner.hurry(self.late_run.1);
            }
            return Verdict::Late;
        }
        self.jump = None;
        self.accept(packet, start, arrived, learner, Verdict::At)
    }

    fn accept(
        &mut self,
        packet: &Packet<'_>,
        start: i64,
        arrived: i64,
        learner: &mut Learner,
        verdict: fn(i64) -> Verdict,
    ) -> Verdict {
        self.late_run = (0, i64::MAX);
        self.known = Some((packet.timestamp, start));
        self.last_arrival = self.last_arrival.max(packet.arrival);
        let transit = arrived - start;
        learner.observe_transit(transit);
        let mean = self.mean_transit.get_or_insert(transit * 16);
        *mean += transit - *mean / 16;
        verdict(start)
    }

    fn believes_jump(&mut self, packet: &Packet<'_>, transit: i64, early: bool, idle: bool, resting: bool) -> bool {
        let pause = packet.arrival.saturating_sub(self.last_arrival);
        // A stalled network also brings late packets, but never early ones.
        if idle && (pause >= FORGOTTEN || packet.marker || (early && resting)) {
            return true;
        }
        match self.jump {
            Some(jump) if (jump.transit - transit).abs() <= EARLY_MS * self.ms => {
                packet.arrival.saturating_sub(jump.since) >= JUMP_CONFIRMED
            }
            _ => {
                self.jump = Some(Jump { transit, since: packet.arrival });
                false
            }
        }
    }

    /// The clock at a moment near the last pull.
    fn clock_at(&self, moment: Duration) -> i64 {
        let Some(last) = self.last_pull else { return self.clock };
        let micros = moment.as_micros() as i64 - last.at.as_micros() as i64;
        last.clock + self.samples(micros.clamp(-60_000_000, 60_000_000))
    }

    /// Begins a tick of `len` samples; answers the samples of ticks that were not pulled, which the clock has passed over.
    pub(super) fn begin_tick(&mut self, now: Duration, len: i64) -> i64 {
        let missed = self.missed(now, len);
        self.clock += missed;
        self.last_pull = Some(LastPull { at: now, clock: self.clock, len });
        missed
    }

    pub(super) fn end_tick(&mut self, len: i64) {
        self.clock += len;
    }

    fn missed(&mut self, now: Duration, len: i64) -> i64 {
        let lag = self.samples(now.as_micros() as i64) - self.clock;
        let Some(last) = self.last_pull else {
            self.lag = (lag, i64::MAX, 0);
            return 0;
        };
        let len = len.max(1);
        let tick = Duration::from_micros((last.len * 1_000 / self.ms) as u64);
        let gap = now.saturating_sub(last.at).saturating_sub(tick);
        if gap > STALL {
            let missed = (self.samples(gap.as_micros() as i64) + len / 2) / len * len;
            self.lag = (lag - missed, i64::MAX, 0);
            return missed;
        }
        let (baseline, best, pulls) = self.lag;
        let (baseline, best) = (baseline.min(lag), best.min(lag));
        if pulls + 1 < WINDOW {
            self.lag = (baseline, best, pulls + 1);
            return 0;
        }
        self.lag = (baseline, i64::MAX, 0);
        // Half a millisecond of slack: ticks are not exact.
        ((best - baseline + self.ms / 2) / len * len).max(0)
    }
}

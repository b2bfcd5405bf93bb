//! Playing: samples, holes, and changes of delay by single samples or pitch periods.

use super::{CUT, Concealment, EARLY, JitterBuffer, LONGEST_PULL, Pulled};
use crate::conceal::{HISTORY, similarity};
use std::time::Duration;

/// The longest stretch inserted or deleted at once: 20 ms.
const LONGEST_LAG: usize = 160;
/// The shortest pitch period looked for: 2.5 ms.
const SHORTEST_LAG: usize = 20;
/// Peaks below this are silence to the ear (−44 dBFS): anything may be inserted or deleted there.
const QUIET: u16 = 200;
/// Likeness from which on two periods join unheard.
const ALIKE: f32 = 0.8;

/// How long a change has been wanted, so that silence is awaited first and changes do not follow each other too closely.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    wanting: u32,
}

/// Finds ticks that were not pulled although no single pause was long: by how much pulls lag behind real time, at best.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lateness {
    baseline: i64,
    best: i64,
    pulls: u32,
}

impl Lateness {
    const WINDOW: u32 = 15;

    fn of(now: Duration, clock: i64) -> i64 {
        now.as_micros() as i64 * 8 / 1_000 - clock
    }

    pub(super) fn start(&mut self, now: Duration, clock: i64) {
        *self = Self { baseline: Self::of(now, clock), best: i64::MAX, pulls: 0 };
    }

    /// Samples missed for good.
    pub(super) fn missed(&mut self, now: Duration, clock: i64) -> i64 {
        let lag = Self::of(now, clock);
        self.baseline = self.baseline.min(lag);
        self.best = self.best.min(lag);
        self.pulls += 1;
        if self.pulls < Self::WINDOW {
            return 0;
        }
        let behind = self.best - self.baseline;
        self.pulls = 0;
        self.best = i64::MAX;
        // Half a millisecond of slack: ticks are not exact.
        behind + 4
    }
}

enum Change {
    None,
    Insert(usize),
    Delete(usize),
}

impl JitterBuffer {
    pub(super) fn play_from(&mut self, mut play: i64, out: &mut [i16]) -> Pulled {
        if std::mem::take(&mut self.overflowed)
            && let Some(start) = self.queue.start()
            && start > play
        {
            self.stats.deleted_samples += (start - play) as u64;
            self.skip_to(start);
            play = start;
        }
        let mut lack = self.wanted().map_or(0, |wanted| wanted - (self.clock - play));
        if let Some(to) = self.cut(play, lack) {
            self.stats.deleted_samples += (to - play) as u64;
            self.skip_to(to);
            lack += to - play;
            play = to;
        }
        match self.change(play, lack, out.len()) {
            Change::Insert(lag) => return self.insert_period(play, lag, out),
            Change::Delete(lag) => return self.delete_period(play, lag, out),
            Change::None => {}
        }
        let mut pulled = Pulled { oldest_mark: u64::MAX, sound: false, concealed: false };
        let mut at = 0;
        while at < out.len() {
            let room = out.len() - at;
            let ready = self.queue.ready(play).min(room);
            if ready > 0 {
                let part = &mut out[at..at + ready];
                let mut mark = self.queue.copy(play, part);
                if self.config.concealment == Concealment::Zero {
                    // Nobody will ask for history.
                } else if self.concealer.is_settled() {
                    self.concealer.note(ready, mark);
                } else {
                    mark = mark.min(self.concealer.merge(part).unwrap_or(u64::MAX));
                    self.concealer.record(part, mark);
                }
                pulled.oldest_mark = pulled.oldest_mark.min(mark);
                pulled.sound = true;
                play += ready as i64;
                at += ready;
                continue;
            }
            self.catch_up(play);
            let hole = self.queue.hole(play);
            let excess = hole.map_or(-lack, |hole| (-lack).min(hole as i64));
            if excess > 0 && self.config.time_scaling && self.is_resting() {
                // A pause is the best place to shorten the delay.
                self.stats.deleted_samples += excess as u64;
                lack += excess;
                play += excess;
                continue;
            }
            let len = hole.unwrap_or(room).min(room);
            self.cover(&mut out[at..at + len], &mut pulled);
            // Where samples are missing and more delay is wanted, waiting costs nothing.
            let held = if self.config.time_scaling { lack.clamp(0, len as i64) } else { 0 };
            lack -= held;
            self.stats.inserted_samples += held as u64;
            play += len as i64 - held;
            at += len;
        }
        self.play = Some(play);
        pulled
    }

    /// Whether nothing is heard from the last samples: a hole may end here.
    fn is_resting(&self) -> bool {
        self.config.concealment == Concealment::Zero || self.concealer.is_silent()
    }

    fn cover(&mut self, part: &mut [i16], pulled: &mut Pulled) {
        let mark = match self.config.concealment {
            Concealment::Zero => {
                part.fill(0);
                None
            }
            Concealment::Waveform => self.concealer.continue_over(part),
        };
        match mark {
            Some(mark) => {
                pulled.oldest_mark = pulled.oldest_mark.min(mark);
                pulled.sound = true;
                pulled.concealed = true;
                self.stats.concealed_samples += part.len() as u64;
            }
            None => self.stats.silent_samples += part.len() as u64,
        }
    }

    /// Where to skip to if far more delay has built up than is wanted.
    fn cut(&self, play: i64, lack: i64) -> Option<i64> {
        let limit = if self.config.time_scaling { CUT } else { self.maximum };
        if -lack < limit {
            return None;
        }
        // Never beyond what has arrived.
        let to = (play - lack).min(self.queue.end()?);
        (to - play >= EARLY).then_some(to)
    }

    /// Whether to insert or delete samples in this frame, and how many.
    fn change(&mut self, play: i64, lack: i64, len: usize) -> Change {
        if lack == 0 || !self.config.time_scaling {
            self.pace.wanting = 0;
            return Change::None;
        }
        self.pace.wanting = self.pace.wanting.saturating_add(1);
        let waited = self.pace.wanting;
        let ready = self.queue.ready(play);
        if len < SHORTEST_LAG || ready < len || !self.concealer.is_settled() {
            return Change::None;
        }
        let inserting = lack > 0;
        let room = if inserting { len } else { ready - len };
        let most = lack.unsigned_abs().min(LONGEST_LAG.min(room) as u64) as usize;
        if most == 0 {
            return Change::None;
        }
        self.catch_up(play);
        let make = |lag| if inserting { Change::Insert(lag) } else { Change::Delete(lag) };
        let mut line = [0i16; HISTORY + LONGEST_PULL + LONGEST_LAG];
        let ahead = if inserting { len } else { len + most };
        line[..HISTORY].copy_from_slice(self.concealer.recent(HISTORY));
        self.queue.copy(play, &mut line[HISTORY..HISTORY + ahead]);
        let behind = if inserting { most } else { 0 };
        let quiet = line[HISTORY - behind..HISTORY + ahead].iter().all(|s| s.unsigned_abs() < QUIET);
        if self.config.concealment == Concealment::Zero {
            // Without cross-fades only exact silence can be stretched or cut.
            let silent = line[HISTORY..HISTORY + ahead].iter().all(|&s| s == 0);
            return if silent { make(most) } else { Change::None };
        }
        if quiet {
            return make(most);
        }
        if most < SHORTEST_LAG {
            // A single sample, stretched over the frame, is a shift of pitch for 20 ms that nobody hears.
            let patience = if inserting { 3 } else { 15 };
            return if waited > patience && waited.is_multiple_of(3) { make(1) } else { Change::None };
        }
        if (!inserting && waited <= 10) || waited.is_multiple_of(2) {
            return Change::None;
        }
        let window = len.min(80);
        let here = &line[HISTORY..HISTORY + window];
        let mut best = (f32::MIN, most);
        for lag in SHORTEST_LAG..=most {
            let there = if inserting { HISTORY - lag } else { HISTORY + lag };
            let likeness = similarity(here, &line[there..there + window], 2);
            if likeness > best.0 {
                best = (likeness, lag);
            }
        }
        if best.0 >= ALIKE || waited > 12 { make(best.1) } else { Change::None }
    }

    /// Plays `out.len()` samples while the timeline advances by `lag` less.
    pub(super) fn insert_period(&mut self, play: i64, lag: usize, out: &mut [i16]) -> Pulled {
        self.catch_up(play);
        let len = out.len();
        let mut line = [0i16; LONGEST_LAG + LONGEST_PULL];
        let mut mark = self.concealer.mark_of_recent(lag);
        line[..lag].copy_from_slice(self.concealer.recent(lag));
        mark = mark.min(self.queue.copy(play, &mut line[lag..lag + len]));
        let fade = fade_len(lag, len);
        for (i, sample) in out.iter_mut().enumerate() {
            *sample = mix(line[lag + i], line[i], i, fade);
        }
        self.stats.inserted_samples += lag as u64;
        self.play = Some(play + (len - lag) as i64);
        if self.config.concealment == Concealment::Waveform {
            self.concealer.record(out, mark);
        }
        Pulled { oldest_mark: mark, sound: true, concealed: false }
    }

    /// Plays `out.len()` samples while the timeline advances by `lag` more.
    pub(super) fn delete_period(&mut self, play: i64, lag: usize, out: &mut [i16]) -> Pulled {
        self.catch_up(play);
        let len = out.len();
        let mut line = [0i16; LONGEST_LAG + LONGEST_PULL];
        let mark = self.queue.copy(play, &mut line[..len + lag]);
        let fade = fade_len(lag, len);
        for (i, sample) in out.iter_mut().enumerate() {
            *sample = mix(line[i], line[lag + i], i, fade);
        }
        self.stats.deleted_samples += lag as u64;
        self.play = Some(play + (len + lag) as i64);
        if self.config.concealment == Concealment::Waveform {
            self.concealer.record(out, mark);
        }
        Pulled { oldest_mark: mark, sound: true, concealed: false }
    }
}

/// Single samples are spread over the whole frame, periods over at most 10 ms.
fn fade_len(lag: usize, len: usize) -> usize {
    if lag < SHORTEST_LAG { len } else { len.min(80) }
}

fn mix(from: i16, to: i16, index: usize, fade: usize) -> i16 {
    if index >= fade {
        return to;
    }
    let weight = (index as f32 + 0.5) / fade as f32;
    (from as f32 + (to as f32 - from as f32) * weight) as i16
}

//! Waveform-similarity concealment in the manner of ITU-T G.711 Appendix I: what is missing is continued with the last
//! pitch periods, faded out, and cross-faded into what comes next.
//!
//! Every sample of history carries the mark of the packet it came from, so that whoever hears a concealed sample can be
//! told how old its material is.
//!
//! Holes are rare and history is long: whoever plays samples that he still has elsewhere may `note` them with their mark, and
//! hand them over by `catch_up` only when something is about to look at history.

/// Output samples remembered: three of the longest pitch periods, a quarter for the joint, a little more.
pub const HISTORY: usize = 400;
const SHORTEST_PERIOD: usize = 40;
const LONGEST_PERIOD: usize = 120;
/// Concealment is at full level for 10 ms, then falls linearly to silence at 80 ms.
const FULL: usize = 80;
const SILENT: usize = 640;
/// Cross-fades into returning speech last at least 5 ms.
const SHORTEST_MERGE: usize = 40;
/// The longest cross-fade into returning speech: 10 ms.
const LONGEST_MERGE: usize = 80;
const SPANS: usize = 12;

#[derive(Debug, Clone, Copy)]
struct Span {
    len: u16,
    mark: u64,
}

/// Continues speech over a hole. `record` real output, `continue_over` a hole, `merge` when speech returns.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Concealer {
    // In the order of use: a frame without a hole touches the first fields only.
    state: State,
    span_count: usize,
    /// Samples that were noted and are not yet in `history`.
    behind: usize,
    /// Where the history came from, oldest first.
    spans: [Span; SPANS],
    mark: u64,
    period: usize,
    /// Pitch periods the next turn of the loop goes back.
    turns: usize,
    at: usize,
    produced: usize,
    /// Difference at the joint, faded out over a quarter period.
    step: f32,
    samples: Box<Samples>,
}

#[derive(Debug, Clone)]
struct Samples {
    history: [i16; HISTORY],
    /// The history at the start of the hole, which the synthesis reads.
    frozen: [i16; HISTORY],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Speech,
    Hole,
    Merging { done: usize, len: usize },
}

impl Default for Concealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Concealer {
    /// A concealer that has heard nothing: it conceals with silence.
    pub fn new() -> Self {
        Self {
            state: State::Speech,
            span_count: 0,
            behind: 0,
            spans: [Span { len: 0, mark: u64::MAX }; SPANS],
            mark: u64::MAX,
            period: LONGEST_PERIOD,
            turns: 1,
            at: 0,
            produced: 0,
            step: 0.0,
            samples: Box::new(Samples { history: [0; HISTORY], frozen: [0; HISTORY] }),
        }
    }

    /// Forgets all history.
    pub fn reset(&mut self) {
        self.samples.history.fill(0);
        self.span_count = 0;
        self.behind = 0;
        self.state = State::Speech;
        self.mark = u64::MAX;
    }

    /// Notes what was played, with the smallest mark that contributed (`u64::MAX` for none).
    pub fn record(&mut self, played: &[i16], mark: u64) {
        debug_assert_eq!(self.behind, 0, "history must have caught up");
        let tail = &played[played.len().saturating_sub(HISTORY)..];
        self.append(tail);
        self.add_span(tail.len(), mark);
    }

    /// Notes that `len` samples were played, which [`Self::catch_up`] will bring before anything else is asked than for marks.
    pub fn note(&mut self, len: usize, mark: u64) {
        let len = len.min(HISTORY);
        self.behind = (self.behind + len).min(HISTORY);
        self.add_span(len, mark);
    }

    /// How many of the last samples played were noted and not yet brought.
    pub fn behind(&self) -> usize {
        self.behind
    }

    /// Brings the last [`Self::behind`] samples played.
    pub fn catch_up(&mut self, played: &[i16]) {
        debug_assert_eq!(self.behind, played.len(), "as many as are missing");
        self.append(&played[played.len().saturating_sub(HISTORY)..]);
        self.behind = 0;
    }

    fn append(&mut self, tail: &[i16]) {
        let history = &mut self.samples.history;
        history.copy_within(tail.len().., 0);
        history[HISTORY - tail.len()..].copy_from_slice(tail);
    }

    /// The last `len` (≤ [`HISTORY`]) samples played.
    pub fn recent(&self, len: usize) -> &[i16] {
        &self.samples.history[HISTORY - len.min(HISTORY)..]
    }

    /// The smallest mark among the last `len` samples played.
    pub fn mark_of_recent(&self, len: usize) -> u64 {
        let mut covered = 0;
        let mut mark = u64::MAX;
        for span in self.spans[..self.span_count].iter().rev() {
            if covered >= len {
                break;
            }
            mark = mark.min(span.mark);
            covered += span.len as usize;
        }
        mark
    }

    /// Fills a hole and records it. Answers the mark the samples derive from, `None` once all is silence.
    pub fn continue_over(&mut self, out: &mut [i16]) -> Option<u64> {
        if self.state != State::Hole {
            self.begin();
        }
        let mark = (self.produced < SILENT && self.mark != u64::MAX).then_some(self.mark);
        if mark.is_some() {
            for sample in out.iter_mut() {
                *sample = self.next_sample();
            }
        } else {
            out.fill(0);
            self.produced = SILENT;
        }
        self.record(out, mark.unwrap_or(u64::MAX));
        mark
    }

    /// Cross-fades the beginning of returning speech, if a hole came before, in place. Call before `record`. Answers the mark
    /// of concealment still in it, if any.
    pub fn merge(&mut self, speech: &mut [i16]) -> Option<u64> {
        let (mut done, len) = match self.state {
            State::Speech => return None,
            State::Hole => (0, (self.period / 4 + self.produced / 8).clamp(SHORTEST_MERGE, LONGEST_MERGE)),
            State::Merging { done, len } => (done, len),
        };
        // After silence the fade-in alone is left of the cross-fade.
        let heard = self.produced < SILENT && self.mark != u64::MAX;
        for sample in speech.iter_mut().take(len - done) {
            let weight = (done as f32 + 0.5) / len as f32;
            let old = if heard { self.next_sample() as f32 } else { 0.0 };
            *sample = (*sample as f32 * weight + old * (1.0 - weight)) as i16;
            done += 1;
        }
        self.state = if done >= len { State::Speech } else { State::Merging { done, len } };
        heard.then_some(self.mark)
    }

    /// Prepares a cross-fade where samples are skipped: the next `merge` blends from the continuation of what was played.
    pub fn splice(&mut self) {
        if self.state == State::Speech {
            self.begin();
        }
    }

    /// Whether nothing but speech (or nothing at all) is being played: no hole, no cross-fade.
    pub fn is_settled(&self) -> bool {
        self.state == State::Speech
    }

    /// Whether a hole is open and has faded to silence, or nothing was ever heard.
    pub fn is_silent(&self) -> bool {
        match self.state {
            State::Hole => self.produced >= SILENT || self.mark == u64::MAX,
            _ => self.mark_of_recent(HISTORY) == u64::MAX,
        }
    }

    /// Silences all history older than `mark`, and a concealment that derives from it.
    pub fn forget_before(&mut self, mark: u64) {
        let mut end = HISTORY;
        for span in self.spans[..self.span_count].iter_mut().rev() {
            let start = end.saturating_sub(span.len as usize);
            if span.mark < mark {
                self.samples.history[start..end].fill(0);
                span.mark = u64::MAX;
            }
            end = start;
        }
        if self.mark < mark {
            self.mark = u64::MAX;
            self.produced = SILENT;
            self.samples.frozen.fill(0);
        }
    }

    fn begin(&mut self) {
        self.samples.frozen = self.samples.history;
        self.mark = self.mark_of_recent(HISTORY);
        self.produced = 0;
        self.state = State::Hole;
        self.turns = 1;
        if self.mark == u64::MAX {
            self.produced = SILENT;
            return;
        }
        self.period = pitch(&self.samples.history);
        self.at = HISTORY - self.period;
        self.step = self.samples.frozen[HISTORY - 1] as f32 - self.samples.frozen[self.at - 1] as f32;
    }

    fn next_sample(&mut self) -> i16 {
        let joint = self.period / 4;
        let mut value = self.samples.frozen[self.at] as f32;
        if self.at >= HISTORY - joint {
            // The end of the loop flows into the samples before its new beginning.
            let weight = (self.at + joint - HISTORY) as f32 / joint as f32;
            let before = self.samples.frozen[self.at - self.turns * self.period] as f32;
            value += (before - value) * weight;
        }
        if self.produced < joint {
            value += self.step * (1.0 - (self.produced + 1) as f32 / joint as f32);
        }
        let gain = match self.produced {
            p if p < FULL => 1.0,
            p if p < SILENT => (SILENT - p) as f32 / (SILENT - FULL) as f32,
            _ => 0.0,
        };
        self.at += 1;
        if self.at == HISTORY {
            self.at = HISTORY - self.turns * self.period;
            // More periods in the loop the longer the hole: one alone soon buzzes.
            self.turns = (1 + self.produced / FULL).min(3);
        }
        self.produced = (self.produced + 1).min(SILENT);
        (value * gain) as i16
    }

    fn add_span(&mut self, len: usize, mark: u64) {
        let spans = &mut self.spans;
        match self.span_count {
            0 => {}
            n if spans[n - 1].mark == mark => {
                spans[n - 1].len = (spans[n - 1].len as usize + len).min(HISTORY) as u16;
                self.trim();
                return;
            }
            SPANS => {
                // Out of room: the two oldest become one, as old as the older.
                spans[1] = Span { len: spans[0].len + spans[1].len, mark: spans[0].mark.min(spans[1].mark) };
                spans.copy_within(1.., 0);
                self.span_count -= 1;
            }
            _ => {}
        }
        self.spans[self.span_count] = Span { len: len as u16, mark };
        self.span_count += 1;
        self.trim();
    }

    fn trim(&mut self) {
        let mut covered = 0;
        let mut first = self.span_count;
        while first > 0 && covered < HISTORY {
            first -= 1;
            covered += self.spans[first].len as usize;
        }
        if covered > HISTORY {
            self.spans[first].len -= (covered - HISTORY) as u16;
        }
        if first == 0 {
            return;
        }
        self.spans.copy_within(first..self.span_count, 0);
        self.span_count -= first;
    }
}

/// The pitch period of the end of the history: the lag (40–120 samples, 67–200 Hz) whose 20 ms are most alike.
fn pitch(history: &[i16; HISTORY]) -> usize {
    const WINDOW: usize = 160;
    let likeness = |lag: usize, stride| {
        similarity(&history[HISTORY - WINDOW..], &history[HISTORY - WINDOW - lag..HISTORY - lag], stride)
    };
    let best = |lags: &mut dyn Iterator<Item = usize>, stride| {
        lags.map(|lag| (likeness(lag, stride), lag))
            .fold((f32::MIN, LONGEST_PERIOD), |a, b| if b.0 > a.0 { b } else { a })
            .1
    };
    let coarse = best(&mut (SHORTEST_PERIOD..=LONGEST_PERIOD).step_by(2), 2);
    best(&mut (coarse.saturating_sub(1).max(SHORTEST_PERIOD)..=(coarse + 1).min(LONGEST_PERIOD)), 1)
}

/// Normalised cross-correlation, −1 … 1, of two stretches of equal length; 0 if either is silent.
pub(crate) fn similarity(a: &[i16], b: &[i16], stride: usize) -> f32 {
    let (mut product, mut a_energy, mut b_energy) = (0f32, 0f32, 0f32);
    for (&x, &y) in a.iter().step_by(stride).zip(b.iter().step_by(stride)) {
        let (x, y) = (x as f32, y as f32);
        product += x * y;
        a_energy += x * x;
        b_energy += y * y;
    }
    if a_energy == 0.0 || b_energy == 0.0 { 0.0 } else { product / (a_energy * b_energy).sqrt() }
}

#[cfg(test)]
#[path = "conceal_tests.rs"]
mod tests;

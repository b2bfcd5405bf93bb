//! Plain concealment at 16 kHz: the last pitch period is repeated and fades, and what returns is cross-faded with it.

use crate::conceal::similarity;

/// Samples remembered: the longest period and the window it is compared over.
const HISTORY: usize = LONGEST + WINDOW;
/// Pitch periods looked for: 200 to 67 Hz.
const SHORTEST: usize = 80;
const LONGEST: usize = 240;
const WINDOW: usize = 240;
/// At full level for 10 ms, then linearly to silence at 60 ms.
const FULL: usize = 160;
const SILENT: usize = 960;
/// The cross-fade into returning sound: 5 ms. As long is the one from the end of a period into its beginning.
const FADE: usize = 80;

#[derive(Debug, Clone)]
pub(super) struct Repeat {
    history: [i16; HISTORY],
    /// Samples of the last period, and made so far; 0: no loss is being concealed.
    period: usize,
    made: usize,
}

impl Repeat {
    pub(super) fn new() -> Self {
        Self { history: [0; HISTORY], period: LONGEST, made: 0 }
    }

    /// Blends decoded sound with what was made up before it, and remembers it.
    pub(super) fn join(&mut self, decoded: &mut [i16]) {
        if self.made > 0 {
            let len = FADE.min(decoded.len());
            for (at, sample) in decoded[..len].iter_mut().enumerate() {
                let weight = (at as f32 + 0.5) / len as f32;
                let old = f32::from(self.next());
                *sample = (old + (f32::from(*sample) - old) * weight) as i16;
            }
            self.made = 0;
        }
        let tail = &decoded[decoded.len().saturating_sub(HISTORY)..];
        self.history.copy_within(tail.len().., 0);
        self.history[HISTORY - tail.len()..].copy_from_slice(tail);
    }

    pub(super) fn continue_over(&mut self, out: &mut [i16]) {
        if self.made == 0 && !out.is_empty() {
            self.period = self.pitch();
        }
        out.fill_with(|| self.next());
    }

    fn next(&mut self) -> i16 {
        if self.made >= SILENT {
            return 0;
        }
        let within = self.made % self.period;
        let at = HISTORY - self.period + within;
        let mut value = f32::from(self.history[at]);
        // The end of a period flows into the samples before its beginning.
        let left = self.period - within;
        if left <= FADE / 2 {
            let weight = 1.0 - left as f32 / (FADE / 2 + 1) as f32;
            value += (f32::from(self.history[at - self.period]) - value) * weight;
        }
        let gain = match self.made {
            0..FULL => 1.0,
            made => (SILENT - made) as f32 / (SILENT - FULL) as f32,
        };
        self.made += 1;
        (value * gain) as i16
    }

    /// The lag whose window is most like the last samples: every other lag first, then its neighbours.
    fn pitch(&self) -> usize {
        let end = &self.history[HISTORY - WINDOW..];
        let likeness =
            |lag: usize, stride| similarity(end, &self.history[HISTORY - WINDOW - lag..HISTORY - lag], stride);
        let best = |lags: &mut dyn Iterator<Item = usize>, stride| {
            lags.map(|lag| (likeness(lag, stride), lag))
                .fold((f32::MIN, LONGEST), |a, b| if b.0 > a.0 { b } else { a })
                .1
        };
        let coarse = best(&mut (SHORTEST..=LONGEST).step_by(2), 3);
        best(&mut (coarse.saturating_sub(1).max(SHORTEST)..=(coarse + 1).min(LONGEST)), 1)
    }
}

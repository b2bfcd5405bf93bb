//! Goertzel levels, the grid, and sets of tones whose distortion products do not pass for one another.

use crate::codec::RATE;

/// Above this in any 20 ms window a tone counts as heard: G.711's distortion of other tones stays below it.
pub const SILENT_20MS_DBFS: f64 = -45.0;
/// Above this in any one-second window a tone counts as heard.
pub const SILENT_1S_DBFS: f64 = -65.0;

/// Full scale: the peak of a 0 dBFS sine.
const FULL_SCALE: f64 = 32_767.0;
/// Below this everything is reported as this.
const FLOOR_DBFS: f64 = -140.0;

/// True if `freq` Hz has a whole number of periods in `window` samples at 8 kHz.
pub fn on_grid(freq: u32, window: usize) -> bool {
    window > 0 && (u64::from(freq) * window as u64).is_multiple_of(u64::from(RATE))
}

/// Level of `freq` Hz in `samples`, dBFS, by a Goertzel filter over a Hann window as long as the slice. Exact for tones on the grid of that
/// length; −140 for an empty slice or exact silence.
pub fn level_dbfs(samples: &[i16], freq: u32) -> f64 {
    let n = samples.len();
    if n == 0 || samples.iter().all(|&s| s == 0) {
        return FLOOR_DBFS;
    }
    let step = std::f64::consts::TAU / n as f64;
    let coefficient = 2.0 * (std::f64::consts::TAU * f64::from(freq) / f64::from(RATE)).cos();
    let (mut s1, mut s2) = (0.0f64, 0.0f64);
    // The window's cosine by rotation: exact enough for a second and far cheaper than a call per sample.
    let (mut c, mut s) = (1.0f64, 0.0f64);
    let (rc, rs) = (step.cos(), step.sin());
    for &x in samples {
        let s0 = f64::from(x) * 0.5 * (1.0 - c) + coefficient * s1 - s2;
        (s2, s1) = (s1, s0);
        (c, s) = (c * rc - s * rs, c * rs + s * rc);
    }
    let power = (s1 * s1 + s2 * s2 - coefficient * s1 * s2).max(0.0);
    // A sine of peak A gives A·n/4 through a Hann window (coherent gain ½); 0 Hz and 4 kHz are outside the telephone band and not tested.
    dbfs(power.sqrt() * 4.0 / n as f64)
}

fn dbfs(peak: f64) -> f64 {
    (20.0 * (peak / FULL_SCALE).log10()).max(FLOOR_DBFS)
}

/// Level of everything in `samples`: 0 dBFS is the RMS of a full-scale sine.
pub fn rms_dbfs(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return FLOOR_DBFS;
    }
    let mean = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / samples.len() as f64;
    dbfs((2.0 * mean).sqrt())
}

/// Levels of one tone in successive windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Window length in samples.
    pub window: usize,
    /// Distance of window starts in samples.
    pub hop: usize,
    /// One level per window, dBFS.
    pub levels: Vec<f64>,
}

impl Windows {
    /// Loudest window; −140 if there is none.
    pub fn max(&self) -> f64 {
        self.levels.iter().copied().fold(FLOOR_DBFS, f64::max)
    }

    /// Quietest window; −140 if there is none.
    pub fn min(&self) -> f64 {
        self.levels.iter().copied().reduce(f64::min).unwrap_or(FLOOR_DBFS)
    }

    /// Median window; −140 if there is none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.levels.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(FLOOR_DBFS)
    }
}

/// Levels in every complete window of `window` samples, `hop` apart.
pub fn levels(samples: &[i16], freq: u32, window: usize, hop: usize) -> Windows {
    let hop = hop.max(1);
    let levels = if window == 0 {
        Vec::new()
    } else {
        samples.windows(window).step_by(hop).map(|w| level_dbfs(w, freq)).collect()
    };
    Windows { window, hop, levels }
}

/// Levels over 20 ms, every 10 ms. A lone 20 ms burst of level L shows at L − 0.9 dB or more, wherever it lies.
pub fn levels_20ms(samples: &[i16], freq: u32) -> Windows {
    levels(samples, freq, 160, 80)
}

/// Levels over one second, every 500 ms; empty for less than a second of audio.
///
/// **Bound.** A lone burst of `d` ms and level L inside the recording shows at no less than L − 20·log10(1000 / d) and at most 6 dB more, so one
/// 20 ms frame shows at L − 34 … L − 28 dBFS: against −65 dBFS it is found if L ≥ −31 dBFS. In the first and last half second the window's
/// weight falls to zero and no bound holds: there only 20 ms windows and [`exact_silence`](super::exact_silence) find it.
pub fn levels_1s(samples: &[i16], freq: u32) -> Windows {
    levels(samples, freq, RATE as usize, RATE as usize / 2)
}

/// Test tones that can sound together without inventing one another.
///
/// Beyond the products listed here G.711 makes all higher orders too: quantising tones that share a period puts its whole error on multiples of
/// their common divisor, other tones included. That error follows the level, so each set has a loudest level at which it stays below the
/// thresholds even when every voice is coded, mixed and coded again: three tones of −12 dBFS would already show the third at −57 dBFS per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToneSet {
    /// Hz, all on the 50 Hz grid, within 300–3 400 Hz and at least 200 Hz apart.
    pub tones: &'static [u32],
    /// For any so many of them sounding at once …
    pub at_once: usize,
    /// … no distortion product up to this order falls within 100 Hz of a tone that is not among those that made it.
    pub order: u32,
    /// Say each tone at this level or lower (dBFS) for the thresholds to hold.
    pub level: f64,
}

/// Best to weakest guarantee. Each is as large as exists on the 50 Hz grid for its (at once, order): searched exhaustively.
const SETS: [ToneSet; 5] = [
    ToneSet { tones: &[1200, 2700, 3100], at_once: 3, order: 5, level: -26.0 },
    ToneSet { tones: &[300, 500, 1900, 3100], at_once: 3, order: 4, level: -30.0 },
    ToneSet { tones: &[300, 500, 1200, 1600, 3000], at_once: 3, order: 3, level: -30.0 },
    ToneSet { tones: &[600, 800, 1100, 1500, 2500, 2900, 3200, 3400], at_once: 2, order: 3, level: -34.0 },
    ToneSet {
        tones: &[600, 900, 1100, 1400, 1600, 1900, 2100, 2600, 2900, 3100, 3400],
        at_once: 1,
        order: 5,
        level: -26.0,
    },
];

/// The set with the strongest guarantee that has `n` tones, cut to `n`; `None` for 0 or more than 11.
///
/// | n | at once | order | level |
/// |---|---|---|---|
/// | 1–3 | 3 | 5 | −26 dBFS |
/// | 4 | 3 | 4 | −30 dBFS |
/// | 5 | 3 | 3 | −30 dBFS |
/// | 6–8 | 2 | 3 | −34 dBFS (a lone 20 ms frame is then below what one-second windows find) |
/// | 9–11 | 1 | 5 | −26 dBFS |
pub fn tone_set(n: usize) -> Option<ToneSet> {
    let set = SETS.iter().find(|s| s.tones.len() >= n && n > 0)?;
    Some(ToneSet { tones: set.tones.get(..n)?, ..*set })
}

/// Frequencies of all products m₁f₁ ± m₂f₂ ± … with every mᵢ ≠ 0 and Σ|mᵢ| ≤ `order`, aliased into 0–4 000 Hz. At most three tones.
pub fn products(tones: &[u32], order: u32) -> Vec<u32> {
    fn walk(tones: &[u32], left: i64, sum: i64, found: &mut Vec<u32>) {
        let Some((&f, rest)) = tones.split_first() else {
            let p = sum.rem_euclid(i64::from(RATE));
            found.push(p.min(i64::from(RATE) - p) as u32);
            return;
        };
        let most = left - rest.len() as i64;
        for m in (-most..=most).filter(|&m| m != 0) {
            walk(rest, left - m.abs(), sum + m * i64::from(f), found);
        }
    }
    let mut found = Vec::new();
    if !tones.is_empty() {
        walk(tones, i64::from(order), 0, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Checks the guarantee of a [`ToneSet`]: for any `at_once` (1–3) of `tones`, no product up to `order` is closer than 100 Hz to another tone.
/// The error names the tones and the product.
pub fn pure(tones: &[u32], at_once: usize, order: u32) -> Result<(), String> {
    let mut sounding: Vec<Vec<u32>> = vec![Vec::new()];
    for &t in tones {
        let more: Vec<_> =
            sounding.iter().filter(|c| c.len() < at_once.min(3)).map(|c| [c.as_slice(), &[t]].concat()).collect();
        sounding.extend(more);
    }
    for c in sounding.iter().filter(|c| !c.is_empty()) {
        for p in products(c, order) {
            if let Some(t) = tones.iter().find(|t| !c.contains(t) && t.abs_diff(p) < 100) {
                return Err(format!("{c:?} Hz together make a product at {p} Hz, too near the tone {t} Hz"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    pub(crate) fn sine(freq: u32, dbfs: f64, n: usize) -> Vec<i16> {
        let peak = FULL_SCALE * 10f64.powf(dbfs / 20.0);
        (0..n)
            .map(|i| (peak * (std::f64::consts::TAU * f64::from(freq) * i as f64 / 8000.0).sin()).round() as i16)
            .collect()
    }

    #[test]
    fn a_tone_on_the_grid_measures_its_level_and_nothing_two_bins_away() {
        for f in (300..=3400).step_by(50) {
            let s = sine(f, -10.0, 1600);
            for w in levels_20ms(&s, f).levels {
                assert!((w + 10.0).abs() < 0.05, "{f} Hz: {w}");
            }
            for other in (300..=3400u32).step_by(50).filter(|o| o.abs_diff(f) >= 100) {
                assert!(levels_20ms(&s, other).max() < -80.0, "{f} Hz seen at {other} Hz");
            }
        }
    }

    #[test]
    fn a_second_of_tone_measures_the_same_as_20_ms() {
        let s = sine(1200, -20.0, 16_000);
        assert!((levels_1s(&s, 1200).median() + 20.0).abs() < 0.02);
        assert!(levels_1s(&s, 2700).max() < -100.0);
        assert!((rms_dbfs(&s) + 20.0).abs() < 0.02);
    }

    /// Every voice coded, then mixed and coded again, as a server does it; phases vary.
    fn mixed(codec: Codec, tones: &[u32], level: f64, round: usize) -> Vec<i16> {
        let mut sum = vec![0i16; 16_000];
        for (i, &f) in tones.iter().enumerate() {
            let skip = (round * 37 + i * 53) % 160;
            let voice = codec.decode(&codec.encode(&sine(f, level, 16_160)));
            for (s, v) in sum.iter_mut().zip(&voice[skip..]) {
                *s += v;
            }
        }
        codec.decode(&codec.encode(&sum))
    }

    #[test]
    fn g711_at_the_stated_level_keeps_every_silent_tone_below_the_thresholds() {
        for n in [3, 4, 5, 8, 11] {
            let set = tone_set(n).unwrap();
            for codec in [Codec::Pcmu, Codec::Pcma] {
                for (round, begin) in (0..n).flat_map(|b| [(b, b), (b + 7, b)]) {
                    let sounding: Vec<u32> = (0..set.at_once.min(n - 1)).map(|i| set.tones[(begin + i) % n]).collect();
                    let heard = mixed(codec, &sounding, set.level, round);
                    for &t in set.tones {
                        let (short, long) = (levels_20ms(&heard, t), levels_1s(&heard, t));
                        if sounding.contains(&t) {
                            assert!(
                                (short.median() - set.level).abs() < 1.0,
                                "{codec:?} {sounding:?}: {t} Hz at {}",
                                short.median()
                            );
                        } else {
                            assert!(
                                short.max() < SILENT_20MS_DBFS,
                                "{codec:?} {sounding:?}: {t} Hz at {}",
                                short.max()
                            );
                            assert!(
                                long.max() < SILENT_1S_DBFS,
                                "{codec:?} {sounding:?}: {t} Hz at {} per second",
                                long.max()
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn louder_than_stated_the_error_of_g711_passes_for_a_leak() {
        let [a, b, silent] = tone_set(3).unwrap().tones else { panic!() };
        assert!(levels_1s(&mixed(Codec::Pcmu, &[*a, *b], -12.0, 0), *silent).max() > SILENT_1S_DBFS);
    }

    #[test]
    fn every_offered_tone_set_keeps_its_guarantee() {
        for n in 1..=11 {
            let set = tone_set(n).unwrap();
            assert_eq!(set.tones.len(), n);
            pure(set.tones, set.at_once, set.order).unwrap();
            assert!(set.tones.iter().all(|&f| on_grid(f, 160) && (300..=3400).contains(&f)));
            assert!(set.tones.windows(2).all(|w| w[1] - w[0] >= 200));
        }
        assert!(tone_set(0).is_none() && tone_set(12).is_none());
    }

    #[test]
    fn impure_sets_are_named() {
        // Third harmonic; third-order product of two; a product that exists only through aliasing (3 · 3000 = 9000 → 1000).
        for bad in [&[500, 1500][..], &[1000, 1400, 1800], &[1000, 3000]] {
            assert!(pure(bad, 3, 3).is_err(), "{bad:?}");
        }
        assert!(products(&[3000], 3).contains(&1000));
        assert!(!on_grid(1234, 160) && on_grid(1250, 160) && on_grid(1234, 8000));
    }
}

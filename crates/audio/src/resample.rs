//! Sampling-rate conversion: a polyphase filter for the fixed ratios of live audio, a windowed sinc for files.

use std::f64::consts::PI;
use std::sync::OnceLock;

/// Taps per phase, counted at the lower of the two rates: the delay is half of it (2 ms at 8 kHz, 1 ms at 16 kHz).
const TAPS: usize = 32;
/// The longest input frame one step takes: 20 ms at 48 kHz.
const LONGEST: usize = 960;

/// Outputs computed side by side.
const LANES: usize = 16;

/// A converter between two rates whose ratio is 1:1, 1:2, 1:3 or 1:6 in either direction.
///
/// State is carried from frame to frame; `process` does not allocate. The output is delayed by 16 samples of the lower rate.
#[derive(Debug, Clone)]
pub struct Resampler {
    ratio: usize,
    up: bool,
    /// The prototype low-pass: for rising rates stored phase by phase (time-reversed), for falling rates whole.
    filter: &'static [f32],
    /// The last `reach` input samples, then room for the new frame.
    line: Vec<f32>,
    reach: usize,
    /// Inputs still to skip before the next output (falling rates, frames that are no multiple of the ratio).
    skip: usize,
}

impl Resampler {
    /// A converter, or `None` if the ratio is not 1, 2, 3 or 6 (either way).
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        let (low, high) = (from_hz.min(to_hz), from_hz.max(to_hz));
        if low == 0 || high % low != 0 {
            return None;
        }
        let ratio = (high / low) as usize;
        let up = to_hz > from_hz;
        let filter: &'static [f32] = match ratio {
            1 => &[],
            2 => prototype(2, up)?,
            3 => prototype(3, up)?,
            6 => prototype(6, up)?,
            _ => return None,
        };
        let reach = match (ratio, up) {
            (1, _) => 0,
            (_, true) => TAPS - 1,
            (_, false) => TAPS * ratio - 1,
        };
        Some(Self { ratio, up, filter, line: vec![0.0; reach + LONGEST + LANES], reach, skip: 0 })
    }

    /// Samples that `process` writes for `input` samples when it stands at a frame boundary.
    pub fn output_len(&self, input: usize) -> usize {
        if self.up { input * self.ratio } else { input / self.ratio }
    }

    /// Forgets everything heard, as after a change of source.
    pub fn reset(&mut self) {
        self.line.fill(0.0);
        self.skip = 0;
    }

    /// Converts a frame; answers the number of samples written. `out` must hold the result, else the rest is dropped.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        if self.ratio == 1 {
            let count = input.len().min(out.len());
            out[..count].copy_from_slice(&input[..count]);
            return count;
        }
        let mut written = 0;
        for part in input.chunks(LONGEST) {
            for (slot, &sample) in self.line[self.reach..].iter_mut().zip(part) {
                *slot = sample as f32;
            }
            written += if self.up {
                self.rise(part.len(), &mut out[written..])
            } else {
                self.fall(part.len(), &mut out[written..])
            };
            self.line.copy_within(part.len()..part.len() + self.reach, 0);
        }
        written
    }

    fn rise(&self, count: usize, out: &mut [i16]) -> usize {
        let count = count.min(out.len() / self.ratio);
        for (offset, phase) in self.filter.chunks_exact(TAPS).enumerate() {
            // Many outputs of one phase side by side: no sum across lanes is needed.
            for first in (0..count).step_by(LANES) {
                let lanes = LANES.min(count - first);
                let mut sums = [0f32; LANES];
                for (k, &tap) in phase.iter().enumerate() {
                    // The line is longer than any frame by `LANES`, so the last block may compute more than it keeps.
                    let inputs = &self.line[first + k..first + k + LANES];
                    for (sum, &input) in sums.iter_mut().zip(inputs) {
                        *sum += tap * input;
                    }
                }
                for (i, &sum) in sums[..lanes].iter().enumerate() {
                    out[(first + i) * self.ratio + offset] = clip(sum);
                }
            }
        }
        count * self.ratio
    }

    fn fall(&mut self, count: usize, out: &mut [i16]) -> usize {
        let mut written = 0;
        let mut at = self.skip;
        while at < count {
            if let Some(sample) = out.get_mut(written) {
                *sample = clip(dot(self.filter, &self.line[at..at + self.filter.len()]));
                written += 1;
            }
            at += self.ratio;
        }
        self.skip = at - count;
        written
    }
}

/// Rounds and clips. Adding 1.5·2²³ leaves the rounded integer in the low bits: without SSE4.1, `round` is a function call.
#[inline(always)]
fn clip(value: f32) -> i16 {
    const MAGIC: f32 = 12_582_912.0;
    let bits = (value.clamp(-32_768.0, 32_767.0) + MAGIC).to_bits();
    bits.wrapping_sub(MAGIC.to_bits()) as i16
}

/// A dot product in eight independent sums, so that it vectorises without reordering float additions.
#[inline]
fn dot(filter: &[f32], window: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (f, w) in filter.chunks_exact(8).zip(window.chunks_exact(8)) {
        for i in 0..8 {
            sums[i] += f[i] * w[i];
        }
    }
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))
}

fn prototype(ratio: usize, up: bool) -> Option<&'static [f32]> {
    static FILTERS: [OnceLock<Vec<f32>>; 6] = [const { OnceLock::new() }; 6];
    let slot = match ratio {
        2 => 0,
        3 => 2,
        6 => 4,
        _ => return None,
    } + up as usize;
    Some(FILTERS[slot].get_or_init(|| design(ratio, up)))
}

/// A Kaiser-windowed low-pass of `TAPS × ratio` taps whose edge lies at 0.465 of the lower rate.
fn design(ratio: usize, up: bool) -> Vec<f32> {
    let len = TAPS * ratio;
    let centre = (len as f64 - 1.0) / 2.0;
    let cut = 0.465 / ratio as f64;
    let mut taps: Vec<f64> = (0..len)
        .map(|i| {
            let t = i as f64 - centre;
            2.0 * cut * sinc(2.0 * cut * t) * kaiser(t / (centre + 0.5), 7.0)
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    let gain = if up { ratio as f64 } else { 1.0 } / sum;
    taps.iter_mut().for_each(|t| *t *= gain);
    if up {
        // Phase p of output n·ratio + p reads taps p, p + ratio, …, newest input first; the window runs oldest first.
        (0..ratio).flat_map(|p| (0..TAPS).rev().map(move |k| k * ratio + p)).map(|i| taps[i] as f32).collect()
    } else {
        taps.iter().map(|&t| t as f32).collect()
    }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Kaiser window over −1 … 1.
fn kaiser(x: f64, beta: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel(beta * (1.0 - x * x).sqrt()) / bessel(beta) }
}

/// Modified Bessel function of the first kind, order 0.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * k as f64)).powi(2);
        sum += term;
    }
    sum
}

/// Converts a whole file between any two rates (windowed sinc, 24 zero crossings each side, no delay). Allocates; not for the
/// tick. A rate of 0 gives nothing.
pub fn convert(samples: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    if from_hz == to_hz {
        return samples.to_vec();
    }
    if from_hz == 0 || to_hz == 0 || samples.is_empty() {
        return Vec::new();
    }
    const CROSSINGS: usize = 24;
    const RESOLUTION: usize = 512;
    // One-sided kernel with linear interpolation between its points.
    let kernel: Vec<f32> = (0..=CROSSINGS * RESOLUTION + 1)
        .map(|i| {
            let x = i as f64 / RESOLUTION as f64;
            (sinc(x) * kaiser(x / CROSSINGS as f64, 8.0)) as f32
        })
        .collect();
    // Going down, the kernel is stretched so that it cuts below the new half rate.
    let scale = (to_hz as f64 / from_hz as f64).min(1.0) * 0.96;
    let half = CROSSINGS as f64 / scale;
    let count = (samples.len() as u64 * to_hz as u64).div_ceil(from_hz as u64) as usize;
    (0..count)
        .map(|n| {
            // Integer split first: n·from may exceed what a float holds exactly.
            let position = n as u64 * from_hz as u64;
            let whole = (position / to_hz as u64) as i64;
            let part = (position % to_hz as u64) as f64 / to_hz as f64;
            let first = (whole + (part - half).ceil() as i64).max(0);
            let last = (whole + (part + half).floor() as i64).min(samples.len() as i64 - 1);
            let mut sum = 0f32;
            for i in first..=last {
                let distance = ((i - whole) as f64 - part).abs() * scale * RESOLUTION as f64;
                let at = distance as usize;
                let fraction = (distance - at as f64) as f32;
                if let (Some(&a), Some(&b)) = (kernel.get(at), kernel.get(at + 1)) {
                    sum += samples[i as usize] as f32 * (a + (b - a) * fraction);
                }
            }
            clip(sum * scale as f32)
        })
        .collect()
}

/// Averages interleaved channels into one. 0 or 1 channels are copied; an incomplete last frame is dropped.
pub fn to_mono(interleaved: &[i16], channels: usize) -> Vec<i16> {
    if channels <= 1 {
        return interleaved.to_vec();
    }
    interleaved
        .chunks_exact(channels)
        .map(|frame| (frame.iter().map(|&s| s as i64).sum::<i64>() / channels as i64) as i16)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::rms_dbfs;
    use crate::tone::Tone;
    use proptest::prelude::*;

    const PAIRS: [(u32, u32); 10] = [
        (8_000, 16_000),
        (8_000, 24_000),
        (8_000, 48_000),
        (16_000, 48_000),
        (24_000, 48_000),
        (16_000, 8_000),
        (24_000, 8_000),
        (48_000, 8_000),
        (48_000, 16_000),
        (48_000, 24_000),
    ];

    fn sine(freq: f64, rate: u32, len: usize) -> Vec<i16> {
        let mut out = vec![0; len];
        Tone::new(freq, -6.0, rate).fill(&mut out);
        out
    }

    fn run(from: u32, to: u32, input: &[i16], frame: usize) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to).expect("ratio");
        let mut out = Vec::new();
        let mut buffer = vec![0i16; frame * 6 + 6];
        for part in input.chunks(frame) {
            let count = resampler.process(part, &mut buffer);
            out.extend_from_slice(&buffer[..count]);
        }
        out
    }

    /// Power outside the best-fitting sine, in dB below it.
    fn purity(samples: &[i16], freq: f64, rate: u32) -> f64 {
        let (mut c, mut s) = (0.0, 0.0);
        let w = 2.0 * PI * freq / rate as f64;
        for (i, &x) in samples.iter().enumerate() {
            c += x as f64 * (w * i as f64).cos();
            s += x as f64 * (w * i as f64).sin();
        }
        let (c, s) = (2.0 * c / samples.len() as f64, 2.0 * s / samples.len() as f64);
        let error: f64 = samples
            .iter()
            .enumerate()
            .map(|(i, &x)| (x as f64 - c * (w * i as f64).cos() - s * (w * i as f64).sin()).powi(2))
            .sum();
        10.0 * (samples.len() as f64 * (c * c + s * s) / 2.0 / error.max(1.0)).log10()
    }

    #[test]
    fn voice_band_passes_every_fixed_ratio_clean_and_level() {
        for (from, to) in PAIRS {
            let low = from.min(to) as f64;
            for freq in [300.0, 1_000.0, low * 0.25, low * 0.375] {
                let out = run(from, to, &sine(freq, from, from as usize), from as usize / 50);
                let settled = &out[to as usize / 10..to as usize / 10 + to as usize / 2];
                let level = rms_dbfs(settled) as f64;
                assert!((level + 6.0).abs() < 0.3, "{from}→{to} at {freq}: {level}");
                assert!(purity(settled, freq, to) > 60.0, "{from}→{to} at {freq}: {}", purity(settled, freq, to));
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_gone() {
        for (from, to) in PAIRS.into_iter().filter(|(f, t)| f > t) {
            let out = run(from, to, &sine(to as f64 * 0.62, from, from as usize), from as usize / 50);
            assert!(rms_dbfs(&out[800..]) < -60.0, "{from}→{to}");
        }
    }

    /// Amplitude of a frequency relative to a sine of -6 dBFS, in dB; over whole periods of 100 Hz, so that others do not count.
    fn gain_at(samples: &[i16], freq: f64, rate: u32) -> f64 {
        let w = 2.0 * PI * freq / f64::from(rate);
        let (c, s) = samples.iter().enumerate().fold((0.0, 0.0), |(c, s), (i, &x)| {
            (c + f64::from(x) * (w * i as f64).cos(), s + f64::from(x) * (w * i as f64).sin())
        });
        let amplitude = 2.0 * (c * c + s * s).sqrt() / samples.len() as f64;
        20.0 * (amplitude / 32_767.0).max(1e-6).log10() + 6.0
    }

    /// What programs and browsers send and get: from 8 kHz up and down, level within 0.05 dB up to 3.2 kHz and 0.6 dB up to 3.4 kHz; images, and
    /// aliases of everything from 4.3 kHz on, at least 70 dB down. Between 16 and 48 kHz all frequencies are twice these.
    #[test]
    fn the_band_of_the_lower_rate_is_level_and_free_of_images_and_aliases() {
        for (low, wide) in [(8_000u32, 16_000u32), (8_000, 24_000), (8_000, 48_000), (16_000, 48_000)] {
            let scale = f64::from(low) / 8_000.0;
            let (low_frame, wide_frame) = (low as usize / 50, wide as usize / 50);
            for step in (200..=3_900).step_by(100).map(f64::from) {
                let freq = step * scale;
                let up = run(low, wide, &sine(freq, low, low as usize), low_frame);
                let settled = &up[wide as usize / 2..][..wide as usize / 5];
                let level = gain_at(settled, freq, wide);
                let limit = if step <= 3_200.0 { 0.05 } else { 0.6 };
                assert!(step > 3_400.0 || level.abs() < limit, "{low} → {wide} at {freq}: {level} dB");
                // Images stand at multiples of the lower rate, on both sides.
                for centre in (low..wide).step_by(low as usize).map(f64::from) {
                    for image in [centre - freq, centre + freq].into_iter().filter(|f| *f < f64::from(wide) / 2.0) {
                        let level = gain_at(settled, image, wide);
                        assert!(
                            step > 3_700.0 || level < -70.0,
                            "{low} → {wide} at {freq}: image at {image}, {level} dB"
                        );
                    }
                }
                let down = run(wide, low, &sine(freq, wide, wide as usize), wide_frame);
                let level = gain_at(&down[low as usize / 2..][..low as usize / 5], freq, low);
                assert!(step > 3_400.0 || level.abs() < limit, "{wide} → {low} at {freq}: {level} dB");
            }
            for freq in ((4_300.0 * scale) as u32..wide / 2).step_by(100).map(f64::from) {
                let down = run(wide, low, &sine(freq, wide, wide as usize), wide_frame);
                let alias = (freq + f64::from(low) / 2.0).rem_euclid(f64::from(low)) - f64::from(low) / 2.0;
                let level = gain_at(&down[low as usize / 2..][..low as usize / 5], alias.abs(), low);
                assert!(level < -70.0, "{wide} → {low}: {freq} comes back at {alias}, {level} dB");
            }
        }
    }

    #[test]
    fn other_ratios_are_refused() {
        assert!(Resampler::new(8_000, 44_100).is_none());
        assert!(Resampler::new(8_000, 32_000).is_none());
        assert!(Resampler::new(0, 8_000).is_none());
        assert!(Resampler::new(8_000, 8_000).is_some());
    }

    #[test]
    fn files_convert_between_odd_rates_without_delay_or_loss() {
        for (from, to) in [(44_100, 48_000), (44_100, 8_000), (22_050, 8_000), (8_000, 44_100), (11_025, 16_000)] {
            let out = convert(&sine(1_000.0, from, from as usize), from, to);
            assert_eq!(out.len(), to as usize);
            let middle = &out[to as usize / 4..3 * to as usize / 4];
            assert!((rms_dbfs(middle) + 6.0).abs() < 0.05, "{from}→{to} {}", rms_dbfs(middle));
            assert!(purity(middle, 1_000.0, to) > 60.0, "{from}→{to} {}", purity(middle, 1_000.0, to));
            let expected = sine(1_000.0, to, to as usize);
            let worst =
                middle.iter().zip(&expected[to as usize / 4..]).map(|(a, b)| (*a as i32 - *b as i32).abs()).max();
            assert!(worst < Some(60), "{from}→{to} {worst:?}");
        }
    }

    #[test]
    fn stereo_is_averaged_without_overflow() {
        assert_eq!(to_mono(&[32_767, 32_767, -32_768, -32_768, 100, 200, 7], 2), vec![32_767, -32_768, 150]);
    }

    proptest! {
        #[test]
        fn frames_of_any_length_give_the_same_samples(
            pair in 0usize..10, frame in 1usize..1_500, input in prop::collection::vec(any::<i16>(), 0..3_000),
        ) {
            let (from, to) = PAIRS[pair];
            prop_assert_eq!(run(from, to, &input, frame), run(from, to, &input, 960));
        }

        #[test]
        fn conversion_of_anything_keeps_the_duration(input in prop::collection::vec(any::<i16>(), 0..300), from in 1u32..5_000, to in 1u32..5_000) {
            let expected = (input.len() as u64 * to as u64).div_ceil(from as u64) as usize;
            prop_assert_eq!(convert(&input, from, to).len(), expected);
        }
    }
}

//! The sub-bands' adaptive differential PCM (G.722 §3 and §5). Names in brackets are the recommendation's blocks.

use super::saturate;

/// Six-bit decision levels (table 14).
const DECISIONS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023, 1_121, 1_219, 1_339,
    1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// Magnitudes of the four-bit inverse quantiser, largest first (table 17).
const FOUR_BITS: [i32; 7] = [20_456, 12_896, 8_968, 6_288, 4_240, 2_584, 1_200];
/// Magnitudes of the six-bit inverse quantiser, largest first (table 19); the last two are told from the others by their sign's code.
const SIX_BITS: [i32; 28] = [
    24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000,
    5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728,
];
/// Logarithmic steps of the lower band's scale factor, by the rank of the magnitude (table 16).
const LOWER_STEPS: [i32; 8] = [-60, 3_042, 1_198, 538, 334, 172, 58, -30];
/// 2048 · 2^(i/32) (table 18).
const EXPONENTIAL: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656, 2_714, 2_774, 2_834,
    2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520, 3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

/// A scale factor, kept as a logarithm [LOGSCL, SCALEL; LOGSCH, SCALEH].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scale {
    logarithm: i32,
    factor: i32,
    /// Largest logarithm, and how far the factor is shifted down at logarithm 0.
    limit: i32,
    shift: i32,
}

impl Scale {
    fn update(&mut self, step: i32) {
        self.logarithm = (((self.logarithm * 127) >> 7) + step).clamp(0, self.limit);
        let mantissa = EXPONENTIAL[(self.logarithm >> 6 & 31) as usize];
        // At the largest logarithm the shift would be −1.
        self.factor = mantissa << 1 >> (self.shift + 1 - (self.logarithm >> 11)) << 2;
    }

    fn times(&self, level: i32) -> i32 {
        (self.factor * level) >> 15
    }
}

/// The adaptive predictor: two poles, six zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Predictor {
    poles: [i32; 2],
    zeros: [i32; 6],
    /// The last differences, reconstructions and partial reconstructions, newest first.
    differences: [i32; 6],
    reconstructed: [i32; 2],
    partial: [i32; 2],
    /// What comes from the zeros alone, and the whole prediction.
    from_zeros: i32,
    estimate: i32,
}

impl Predictor {
    /// Learns a quantised difference and predicts the next sample [block 4].
    fn update(&mut self, difference: i32) {
        let alike = |a: i32, b: i32| (a ^ b) >= 0;
        let reconstructed = saturate(self.estimate + difference);
        let partial = saturate(self.from_zeros + difference);
        let rising = alike(partial, self.partial[0]);
        // Second pole [UPPOL2].
        let four = saturate(self.poles[0] * 4);
        let turned = if rising { saturate(-four) } else { four };
        let nudge = if alike(partial, self.partial[1]) { 128 } else { -128 };
        let second = ((turned >> 7) + nudge + ((self.poles[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        // First pole [UPPOL1].
        let nudge = if rising { 192 } else { -192 };
        let bound = 15_360 - second;
        let first = saturate(nudge + ((self.poles[0] * 32_640) >> 15)).clamp(-bound, bound);
        // Zeros [UPZERO], then the predictions from them [FILTEZ] and from the poles [FILTEP].
        let mut sum = 0;
        let mut newer = difference;
        for (zero, older) in self.zeros.iter_mut().zip(&mut self.differences) {
            let nudge = match difference {
                0 => 0,
                _ if alike(difference, *older) => 128,
                _ => -128,
            };
            *zero = saturate(nudge + ((*zero * 32_640) >> 15));
            sum += (*zero * saturate(newer * 2)) >> 15;
            std::mem::swap(&mut newer, older);
        }
        self.from_zeros = saturate(sum);
        let poles =
            ((first * saturate(reconstructed * 2)) >> 15) + ((second * saturate(self.reconstructed[0] * 2)) >> 15);
        self.poles = [first, second];
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        self.estimate = saturate(saturate(poles) + self.from_zeros);
    }
}

fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

/// 0 … 4 kHz in six bits, of which four steer the adaptation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lower {
    scale: Scale,
    predictor: Predictor,
}

impl Lower {
    pub(super) fn new() -> Self {
        let scale = Scale { logarithm: 0, factor: 32, limit: 18_432, shift: 8 };
        Self { scale, predictor: Predictor::default() }
    }

    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let error = saturate(sample - self.predictor.estimate);
        let magnitude = if error < 0 { -(error + 1) } else { error };
        // [QUANTL]
        let rank = DECISIONS.iter().position(|level| magnitude < (level * self.scale.factor) >> 12).unwrap_or(29) as u8;
        let code = match (error < 0, rank) {
            (true, 0..2) => 63 - rank,
            (true, _) => 33 - rank,
            (false, _) => 61 - rank,
        };
        self.adapt(code);
        code
    }

    pub(super) fn decode(&mut self, code: u8) -> i32 {
        let level = match code {
            // Never sent at 64 kbit/s: the recommendation's smallest step.
            0..4 => -136,
            4..32 => -SIX_BITS[usize::from(code) - 4],
            32..60 => SIX_BITS[usize::from(code) - 32],
            60 => 432,
            61 => 136,
            62 => -432,
            _ => -136,
        };
        let sample = limit(self.predictor.estimate + self.scale.times(level));
        self.adapt(code);
        sample
    }

    fn adapt(&mut self, code: u8) {
        // [INVQAL] Codes 1 … 7 are negative, 8 … 14 positive, each from large to small.
        let code = usize::from(code >> 2);
        let (rank, level) = match code {
            1..8 => (code, -FOUR_BITS[code - 1]),
            8..15 => (code - 7, FOUR_BITS[code - 8]),
            _ => (0, 0),
        };
        let difference = self.scale.times(level);
        self.scale.update(LOWER_STEPS[rank]);
        self.predictor.update(difference);
    }
}

/// 4 … 8 kHz in two bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upper {
    scale: Scale,
    predictor: Predictor,
}

impl Upper {
    pub(super) fn new() -> Self {
        let scale = Scale { logarithm: 0, factor: 8, limit: 22_528, shift: 10 };
        Self { scale, predictor: Predictor::default() }
    }

    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let error = saturate(sample - self.predictor.estimate);
        let magnitude = if error < 0 { -(error + 1) } else { error };
        let large = magnitude >= (564 * self.scale.factor) >> 12;
        let code = match (error < 0, large) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        self.adapt(code);
        code
    }

    pub(super) fn decode(&mut self, code: u8) -> i32 {
        let estimate = self.predictor.estimate;
        limit(estimate + self.adapt(code))
    }

    fn adapt(&mut self, code: u8) -> i32 {
        let level = [-7_408, -1_616, 7_408, 1_616][usize::from(code & 3)];
        let difference = self.scale.times(level);
        self.scale.update(if code & 1 == 0 { 798 } else { -214 });
        self.predictor.update(difference);
        difference
    }
}

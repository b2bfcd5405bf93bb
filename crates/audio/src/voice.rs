//! Speech-like sound for tests: vowels of changing pitch with formants, hiss, and pauses between syllables.

/// `len` samples at `rate` Hz.
pub fn speech(rate: u32, len: usize) -> Vec<i16> {
    let mut dice = 1u32;
    let mut phase = 0.0f64;
    let highest = (f64::from(rate) / 2.0 / 160.0).min(25.0) as u32;
    let formant = |f: f64, centre: f64, width: f64| 1.0 / (1.0 + ((f - centre) / width).powi(2));
    let weights: Vec<f64> = (1..highest)
        .map(|k| 130.0 * f64::from(k))
        .map(|f| formant(f, 600.0, 150.0) + 0.5 * formant(f, 1_400.0, 200.0) + 0.2 * formant(f, 2_600.0, 300.0))
        .collect();
    (0..len)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            phase += std::f64::consts::TAU * (120.0 + 25.0 * (t * 3.0).sin()) / f64::from(rate);
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = f64::from((dice >> 16) as i16) / 32_768.0;
            let voice: f64 = weights.iter().enumerate().map(|(k, w)| w * ((k + 1) as f64 * phase).sin()).sum();
            let syllable = (t * 4.0).sin().max(0.0);
            (syllable * (5_000.0 * voice + 150.0 * hiss)) as i16
        })
        .collect()
}

/// White noise of this peak.
pub fn noise(seed: u32, peak: i32, len: usize) -> Vec<i16> {
    let mut dice = seed;
    (0..len)
        .map(|_| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (i32::from((dice >> 16) as i16) * peak / 32_768) as i16
        })
        .collect()
}

/// Signal to noise in dB of `output`, which is `delay` samples late.
pub fn snr(input: &[i16], output: &[i16], delay: usize) -> f64 {
    let (signal, noise) = input
        .iter()
        .zip(&output[delay..])
        .fold((0.0, 1e-9), |(s, n), (&a, &b)| (s + f64::from(a).powi(2), n + (f64::from(a) - f64::from(b)).powi(2)));
    10.0 * (signal / noise).log10()
}

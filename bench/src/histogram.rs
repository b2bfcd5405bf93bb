//! Times in bins of 10 µs up to 200 ms; what is longer counts as 200 ms.

use serde::{Deserialize, Serialize};

const BIN: u64 = 10_000;
const BINS: usize = 20_000;

/// A histogram of times.
#[derive(Clone, Debug)]
pub struct Histogram {
    bins: Vec<u64>,
    count: u64,
}

/// What is told of a histogram, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Half are shorter.
    pub p50: f64,
    /// 99 of 100 are shorter.
    pub p99: f64,
    /// 999 of 1 000 are shorter.
    pub p999: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: vec![0; BINS], count: 0 }
    }
}

impl Histogram {
    /// Counts a time, ns; what is negative counts as 0.
    pub fn add(&mut self, ns: i64) {
        let bin = (ns.max(0).unsigned_abs() / BIN).min(BINS as u64 - 1) as usize;
        if let Some(count) = self.bins.get_mut(bin) {
            *count += 1;
            self.count += 1;
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            *bin += more;
        }
        self.count += other.count;
    }

    /// The time in ms below which this part of all lies; upper edge of its bin.
    pub fn quantile(&self, part: f64) -> f64 {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.bins.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return (at as u64 + 1) as f64 * BIN as f64 / 1e6;
            }
        }
        0.0
    }

    /// How many are longer than this, ns.
    pub fn over(&self, ns: u64) -> u64 {
        self.bins.iter().skip((ns / BIN) as usize).sum()
    }

    /// The usual quantiles.
    pub fn spread(&self) -> Spread {
        Spread { count: self.count, p50: self.quantile(0.5), p99: self.quantile(0.99), p999: self.quantile(0.999) }
    }
}

/// The middle one; the mean of the two in the middle of an even number.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let high = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(high);
    }
    Some((high + *sorted.get(middle.checked_sub(1)?)?) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_times_to_within_a_bin() {
        let mut histogram = Histogram::default();
        for ns in (0..1_000i64).rev() {
            histogram.add(ns * 20_000);
        }
        assert!((histogram.quantile(0.5) - 9.99).abs() < 0.02, "{}", histogram.quantile(0.5));
        assert!((histogram.quantile(0.99) - 19.79).abs() < 0.02, "{}", histogram.quantile(0.99));
        assert_eq!(histogram.over(19_000_000), 50);
        histogram.add(-5);
        histogram.add(i64::MAX);
        assert_eq!(histogram.spread().count, 1_002);
    }

    #[test]
    fn the_median_ignores_order_and_outliers() {
        assert_eq!(median(&[3.0, 1.0, 100.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}

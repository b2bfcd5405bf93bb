//! How far the machine disturbed a measurement, and whether it is void for that.

use serde::Serialize;

use crate::generator::Ran;

/// Limits beyond which a run says nothing about the server.
pub const OWN_LATENESS_MS: f64 = 1.0;
/// Percent of the machine's time taken by other guests.
pub const STEAL_PERCENT: f64 = 2.0;

/// The noise figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Noise {
    /// How late the generator itself sent, p99.
    pub generator_lateness_ms_p99: f64,
    /// Time that the hypervisor gave to others while measuring.
    pub steal_percent: f64,
    /// Packets that the generator's own sockets dropped.
    pub generator_socket_drops: u64,
}

/// Times of `/proc/stat` at one moment, in ticks of all CPUs together.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    all: u64,
    steal: u64,
}

impl CpuTimes {
    /// Now; nothing where the system does not tell.
    pub fn now() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let line = text.lines().find(|line| line.starts_with("cpu ")).unwrap_or_default();
        let times: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
        Self { all: times.iter().sum(), steal: times.get(7).copied().unwrap_or(0) }
    }

    /// Percent of the time since then that was stolen.
    pub fn steal_since(self) -> f64 {
        Self::now().steal_after(self)
    }

    fn steal_after(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        if all == 0 { 0.0 } else { self.steal.saturating_sub(before.steal) as f64 * 100.0 / all as f64 }
    }
}

impl Noise {
    /// The noise of one run.
    pub fn of(ran: &Ran, steal_percent: f64) -> Self {
        Self { generator_lateness_ms_p99: ran.own_lateness.p99, steal_percent, generator_socket_drops: ran.dropped }
    }

    /// The worse of two in each figure; drops add up.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        Self {
            generator_lateness_ms_p99: self.generator_lateness_ms_p99.max(other.generator_lateness_ms_p99),
            steal_percent: self.steal_percent.max(other.steal_percent),
            generator_socket_drops: self.generator_socket_drops + other.generator_socket_drops,
        }
    }

    /// Why the run is void, if it is.
    pub fn voids(&self) -> Option<String> {
        let mut reasons = Vec::new();
        if self.generator_lateness_ms_p99 > OWN_LATENESS_MS {
            reasons.push(format!(
                "the generator sent {:.2} ms late at p99 (limit {OWN_LATENESS_MS})",
                self.generator_lateness_ms_p99
            ));
        }
        if self.steal_percent > STEAL_PERCENT {
            reasons.push(format!("{:.1} % of the time was stolen (limit {STEAL_PERCENT})", self.steal_percent));
        }
        if self.generator_socket_drops > 0 {
            reasons.push(format!("the generator's sockets dropped {} packets", self.generator_socket_drops));
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_time_and_guest_time_is_not_counted_twice() {
        let before = CpuTimes::parse("cpu  100 0 0 100 0 0 0 10 50 0\ncpu0 1 2 3 4\n");
        let after = CpuTimes::parse("cpu  150 0 0 145 0 0 0 15 99 0\n");
        assert!((after.steal_after(before) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn each_limit_alone_makes_a_run_void() {
        let quiet = Noise { generator_lateness_ms_p99: 0.4, steal_percent: 1.0, generator_socket_drops: 0 };
        assert_eq!(quiet.voids(), None);
        for noisy in [
            Noise { generator_lateness_ms_p99: 1.01, ..quiet },
            Noise { steal_percent: 2.1, ..quiet },
            Noise { generator_socket_drops: 1, ..quiet },
        ] {
            assert!(noisy.voids().is_some(), "{noisy:?}");
        }
    }
}

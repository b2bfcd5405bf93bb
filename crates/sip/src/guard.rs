//! Allowance per source: a token bucket each, a bounded number of them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Instant;

use crate::config::Limits;
use crate::counters::Counters;

struct Bucket {
    tokens: f64,
    at: Instant,
}

struct Sources {
    table: HashMap<IpAddr, Bucket>,
    /// What all sources that found the table full share.
    common: Bucket,
    swept: Option<Instant>,
}

/// Decides whether a message from a source may be looked at.
pub(crate) struct Guard {
    rate: f64,
    burst: f64,
    capacity: usize,
    sources: Mutex<Sources>,
    trusted: RwLock<HashSet<IpAddr>>,
}

impl Guard {
    pub fn new(limits: &Limits, now: Instant) -> Guard {
        let burst = limits.source_burst.max(1.0);
        Guard {
            rate: limits.source_rate.max(0.001),
            burst,
            capacity: limits.sources.max(1),
            sources: Mutex::new(Sources {
                table: HashMap::new(),
                common: Bucket { tokens: burst, at: now },
                swept: None,
            }),
            trusted: RwLock::new(HashSet::new()),
        }
    }

    /// Replaces the sources that have no allowance to keep to (trunks).
    pub fn trust(&self, sources: impl IntoIterator<Item = IpAddr>) {
        *self.trusted.write().unwrap_or_else(PoisonError::into_inner) =
            sources.into_iter().map(|ip| ip.to_canonical()).collect();
    }

    /// Takes one token of `source`; `false` means: drop the message.
    pub fn admit(&self, source: IpAddr, now: Instant, counters: &Counters) -> bool {
        let ip = source.to_canonical();
        if self.trusted.read().unwrap_or_else(PoisonError::into_inner).contains(&ip) {
            return true;
        }
        let key = prefix(ip);
        let mut guard = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = &mut *guard;
        if sources.table.len() >= self.capacity && !sources.table.contains_key(&key) {
            self.sweep(sources, now);
        }
        let admitted = if sources.table.len() < self.capacity || sources.table.contains_key(&key) {
            let burst = self.burst;
            let bucket = sources.table.entry(key).or_insert(Bucket { tokens: burst, at: now });
            self.take(bucket, now)
        } else {
            counters.sources_full.add();
            self.take(&mut sources.common, now)
        };
        if !admitted {
            counters.rate_limited.add();
        }
        admitted
    }

    fn take(&self, bucket: &mut Bucket, now: Instant) -> bool {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.rate;
        bucket.tokens = (bucket.tokens + gained).min(self.burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Forgets buckets that are full again (forgetting them changes nothing), at most once a second.
    fn sweep(&self, sources: &mut Sources, now: Instant) {
        if sources.swept.is_some_and(|at| now.saturating_duration_since(at).as_secs_f64() < 1.0) {
            return;
        }
        sources.swept = Some(now);
        let (rate, burst) = (self.rate, self.burst);
        sources.table.retain(|_, b| b.tokens + now.saturating_duration_since(b.at).as_secs_f64() * rate < burst);
    }
}

/// IPv6 sources own a /64; counting single addresses would give each of them 2^64 allowances.
fn prefix(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn guard(sources: usize) -> (Guard, Instant, Counters) {
        let now = Instant::now();
        let limits = Limits { source_rate: 10.0, source_burst: 5.0, sources, ..Limits::default() };
        (Guard::new(&limits, now), now, Counters::default())
    }

    #[test]
    fn a_source_over_its_rate_is_dropped_and_others_are_not() {
        let (guard, now, counters) = guard(10);
        let loud: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = (0..100).filter(|_| guard.admit(loud, now, &counters)).count();
        assert_eq!((admitted, counters.rate_limited.get()), (5, 95));
        assert!(guard.admit("192.0.2.2".parse().unwrap(), now, &counters));
        assert!(guard.admit(loud, now + Duration::from_millis(150), &counters));
    }

    #[test]
    fn spoofed_sources_cannot_grow_the_table() {
        let (guard, now, counters) = guard(8);
        for n in 0..1000u32 {
            guard.admit(IpAddr::V4(std::net::Ipv4Addr::from(n)), now, &counters);
        }
        assert_eq!(guard.sources.lock().unwrap().table.len(), 8);
        assert!(counters.sources_full.get() > 900);
        let later = now + Duration::from_secs(5);
        assert!(guard.admit("203.0.113.1".parse().unwrap(), later, &counters));
    }

    #[test]
    fn addresses_of_one_ipv6_prefix_share_an_allowance() {
        let (guard, now, counters) = guard(8);
        let admitted =
            (0..20u16).filter(|n| guard.admit(format!("2001:db8::{n:x}").parse().unwrap(), now, &counters)).count();
        assert_eq!(admitted, 5);
    }
}

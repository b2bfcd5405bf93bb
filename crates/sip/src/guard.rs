//! Allowance per source: a token bucket each, a bounded number of them. Datagrams and streams have one each: anybody can
//! write any address on a datagram, and must not cut off the connections that really come from there.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

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
    sources: [Mutex<Sources>; 2],
    trusted: RwLock<Trusted>,
    called: Mutex<HashMap<IpAddr, Called>>,
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    Datagram,
    Stream,
}

/// An address that a call went out to.
struct Called {
    at: Instant,
    buckets: [Bucket; 2],
}

/// How a source stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A trunk's address: no bounds of its own.
    Trunk,
    /// A call went out there not long ago: its bounds are [`ANSWERING`] times as wide. They are bounds, for over UDP anybody
    /// can write that address on his messages.
    Called,
    Stranger,
}

/// How many times the allowance of a stranger an address has that was called.
pub(crate) const ANSWERING: u32 = 10;

#[derive(Default)]
struct Trusted {
    addresses: HashSet<IpAddr>,
    /// Address and prefix length.
    blocks: Vec<(IpAddr, u8)>,
}

/// A block of more addresses than this many bits tell apart names no carrier, and frees nobody.
const WIDEST_V4: u8 = 16;
const WIDEST_V6: u8 = 32;
/// Carriers' addresses that calls went out to, remembered at once and for how long after the last call.
const CALLED: usize = 4_096;
const CALLED_FOR: Duration = Duration::from_secs(3_600);

impl Guard {
    pub fn new(limits: &Limits, now: Instant) -> Guard {
        let burst = limits.source_burst.max(1.0);
        let sources = || {
            let common = Bucket { tokens: burst, at: now };
            Mutex::new(Sources { table: HashMap::new(), common, swept: None })
        };
        Guard {
            rate: limits.source_rate.max(0.001),
            burst,
            capacity: limits.sources.max(1),
            sources: [sources(), sources()],
            trusted: RwLock::default(),
            called: Mutex::default(),
        }
    }

    /// Replaces the sources that have no allowance to keep to (trunks): addresses with the length of their prefix.
    pub fn trust(&self, sources: impl IntoIterator<Item = (IpAddr, u8)>) {
        let mut trusted = Trusted::default();
        for (address, prefix) in sources {
            let (whole, widest) = if address.is_ipv4() { (32, WIDEST_V4) } else { (128, WIDEST_V6) };
            if prefix >= whole {
                trusted.addresses.insert(address.to_canonical());
            } else if prefix >= widest && !trusted.blocks.contains(&(address, prefix)) {
                trusted.blocks.push((address, prefix));
            }
        }
        *self.trusted.write().unwrap_or_else(PoisonError::into_inner) = trusted;
    }

    /// Remembers an address that a call goes out to: its answers are no stranger's messages.
    pub fn call(&self, callee: IpAddr, now: Instant) {
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let callee = callee.to_canonical();
        if called.len() >= CALLED && !called.contains_key(&callee) {
            called.retain(|_, called| called.lasts(now));
            if called.len() >= CALLED
                && let Some(oldest) = called.iter().min_by_key(|(_, called)| called.at).map(|(ip, _)| *ip)
            {
                called.remove(&oldest);
            }
        }
        let bucket = || Bucket { tokens: self.burst * f64::from(ANSWERING), at: now };
        called.entry(callee).or_insert_with(|| Called { at: now, buckets: [bucket(), bucket()] }).at = now;
    }

    /// How a source stands with us.
    pub fn standing(&self, source: IpAddr, now: Instant) -> Standing {
        let ip = source.to_canonical();
        if self.trusts(ip) {
            return Standing::Trunk;
        }
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        if called.get(&ip).is_some_and(|called| called.lasts(now)) { Standing::Called } else { Standing::Stranger }
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner);
        trusted.addresses.contains(&ip) || trusted.blocks.iter().any(|block| contains(*block, ip))
    }

    /// Takes one token of an address that was called; `None`: it was not.
    fn take_of_called(&self, medium: Medium, ip: IpAddr, now: Instant) -> Option<bool> {
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let called = called.get_mut(&ip).filter(|called| called.lasts(now))?;
        let [datagrams, streams] = &mut called.buckets;
        Some(self.take(if medium == Medium::Datagram { datagrams } else { streams }, ANSWERING, now))
    }

    /// Takes one token of `source`; `false` means: drop the message.
    pub fn admit(&self, medium: Medium, source: IpAddr, now: Instant, counters: &Counters) -> bool {
        let ip = source.to_canonical();
        if self.trusts(ip) {
            return true;
        }
        if let Some(admitted) = self.take_of_called(medium, ip, now) {
            if !admitted {
                counters.rate_limited.add();
            }
            return admitted;
        }
        let key = prefix(ip);
        let [datagrams, streams] = &self.sources;
        let sources = if medium == Medium::Datagram { datagrams } else { streams };
        let mut guard = sources.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = &mut *guard;
        if sources.table.len() >= self.capacity && !sources.table.contains_key(&key) {
            self.sweep(sources, now);
        }
        let admitted = if sources.table.len() < self.capacity || sources.table.contains_key(&key) {
            let burst = self.burst;
            let bucket = sources.table.entry(key).or_insert(Bucket { tokens: burst, at: now });
            self.take(bucket, 1, now)
        } else {
            counters.sources_full.add();
            self.take(&mut sources.common, 1, now)
        };
        if !admitted {
            counters.rate_limited.add();
        }
        admitted
    }

    /// Takes one token of a bucket that is `times` as large as a stranger's.
    fn take(&self, bucket: &mut Bucket, times: u32, now: Instant) -> bool {
        let times = f64::from(times);
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.rate * times;
        bucket.tokens = (bucket.tokens + gained).min(self.burst * times);
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

impl Called {
    fn lasts(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < CALLED_FOR
    }
}

fn contains((block, prefix): (IpAddr, u8), ip: IpAddr) -> bool {
    match (block, ip) {
        (IpAddr::V4(block), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            (block.to_bits() ^ ip.to_bits()) & mask == 0
        }
        (IpAddr::V6(block), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            (block.to_bits() ^ ip.to_bits()) & mask == 0
        }
        _ => false,
    }
}

/// IPv6 sources own a /64; counting single addresses would give each of them 2^64 allowances.
pub(crate) fn prefix(ip: IpAddr) -> IpAddr {
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

    fn guard(sources: usize) -> (Guard, Instant, Counters) {
        let now = Instant::now();
        let limits = Limits { source_rate: 10.0, source_burst: 5.0, sources, ..Limits::default() };
        (Guard::new(&limits, now), now, Counters::default())
    }

    #[test]
    fn a_source_over_its_rate_is_dropped_and_others_are_not() {
        let (guard, now, counters) = guard(10);
        let loud: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = (0..100).filter(|_| guard.admit(Medium::Datagram, loud, now, &counters)).count();
        assert_eq!((admitted, counters.rate_limited.get()), (5, 95));
        assert!(guard.admit(Medium::Datagram, "192.0.2.2".parse().unwrap(), now, &counters));
        assert!(guard.admit(Medium::Datagram, loud, now + Duration::from_millis(150), &counters));
    }

    #[test]
    fn datagrams_under_an_address_take_nothing_from_its_connections() {
        let (guard, now, counters) = guard(10);
        let (office, carrier): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        guard.call(carrier, now);
        for source in [office, carrier] {
            assert!((0..100).any(|_| !guard.admit(Medium::Datagram, source, now, &counters)));
            assert!(guard.admit(Medium::Stream, source, now, &counters));
        }
    }

    #[test]
    fn spoofed_sources_cannot_grow_the_table() {
        let (guard, now, counters) = guard(8);
        for n in 0..1000u32 {
            guard.admit(Medium::Datagram, IpAddr::V4(std::net::Ipv4Addr::from(n)), now, &counters);
        }
        assert_eq!(guard.sources[0].lock().unwrap().table.len(), 8);
        assert!(counters.sources_full.get() > 900);
        let later = now + Duration::from_secs(5);
        assert!(guard.admit(Medium::Datagram, "203.0.113.1".parse().unwrap(), later, &counters));
    }

    #[test]
    fn trusted_blocks_have_no_allowance_and_all_the_world_is_no_block() {
        let (guard, now, counters) = guard(8);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let free = |source: &str, at| {
            (0..100).filter(|_| guard.admit(Medium::Datagram, address(source), at, &counters)).count() == 100
        };
        guard.trust([
            (address("198.51.100.0"), 24),
            (address("192.0.2.7"), 32),
            (address("2001:db8::"), 32),
            (address("0.0.0.0"), 0),
            (address("::"), 0),
        ]);
        for trusted in ["198.51.100.255", "192.0.2.7", "::ffff:192.0.2.7", "2001:db8:ffff::1"] {
            assert!(free(trusted, now), "{trusted}");
        }
        for stranger in ["198.51.101.1", "192.0.2.8", "2001:db9::1"] {
            assert!(!free(stranger, now), "{stranger}");
        }
        guard.trust([]);
        assert!(!free("192.0.2.7", now));
    }

    #[test]
    fn a_called_address_may_say_ten_times_as_much_for_an_hour_and_no_more_under_a_forged_one() {
        let (guard, now, counters) = guard(8);
        let carrier: IpAddr = "203.0.113.5".parse().unwrap();
        let admitted = |at| (0..200).filter(|_| guard.admit(Medium::Datagram, carrier, at, &counters)).count();
        guard.call(carrier, now);
        assert_eq!((guard.standing(carrier, now), admitted(now)), (Standing::Called, 50));
        guard.call(carrier, now);
        assert_eq!(admitted(now), 0, "another call is no new allowance");
        assert_eq!(admitted(now + Duration::from_millis(105)), 10);
        assert_eq!(counters.rate_limited.get(), 540);
        let later = now + CALLED_FOR;
        assert_eq!((guard.standing(carrier, later), admitted(later)), (Standing::Stranger, 5));
        assert_eq!(guard.sources[0].lock().unwrap().table.len(), 1);
    }

    #[test]
    fn called_addresses_are_bounded() {
        let (guard, now, _) = guard(8);
        for n in 0..2 * CALLED as u32 {
            guard.call(IpAddr::V4(std::net::Ipv4Addr::from(n)), now + Duration::from_millis(u64::from(n)));
        }
        let called = guard.called.lock().unwrap();
        assert_eq!(called.len(), CALLED);
        assert!(called.contains_key(&IpAddr::V4(std::net::Ipv4Addr::from(2 * CALLED as u32 - 1))));
    }

    #[test]
    fn addresses_of_one_ipv6_prefix_share_an_allowance() {
        let (guard, now, counters) = guard(8);
        let admitted = (0..20u16)
            .filter(|n| guard.admit(Medium::Datagram, format!("2001:db8::{n:x}").parse().unwrap(), now, &counters))
            .count();
        assert_eq!(admitted, 5);
    }
}

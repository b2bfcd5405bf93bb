//! Places: how many legs there may be, how many of one account, how many that are not connected yet.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::WebRtcConfig;
use crate::error::WebRtcError;

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_account: HashMap<u128, usize>,
    connecting: usize,
    connecting_by_account: HashMap<u128, usize>,
    /// By source (IPv6: /64).
    connecting_by_source: HashMap<IpAddr, usize>,
}

/// The places of an engine.
#[derive(Debug)]
pub(crate) struct Admission {
    most: usize,
    most_connecting: usize,
    most_connecting_of_source: usize,
    taken: Mutex<Taken>,
}

/// A place of one leg; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    account: u128,
    source: Option<IpAddr>,
    connecting: bool,
}

/// An IPv6 source is its /64: one machine has all of it.
pub(crate) fn network_of(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Three quarters, but at least one.
fn share(most: usize) -> usize {
    (most * 3 / 4).max(1)
}

fn count<K: std::hash::Hash + Eq>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(held) = counts.get_mut(key) {
        *held -= 1;
        if *held == 0 {
            counts.remove(key);
        }
    }
}

impl Admission {
    pub(crate) fn new(config: &WebRtcConfig) -> Arc<Self> {
        Arc::new(Self {
            most: config.max_peers,
            most_connecting: config.max_half_open,
            most_connecting_of_source: config.max_half_open_per_source,
            taken: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a leg of this account, signalled from this source.
    pub(crate) fn enter(self: &Arc<Self>, account: u128, source: Option<IpAddr>) -> Result<Place, WebRtcError> {
        let mut taken = self.lock();
        if taken.all >= self.most {
            return Err(WebRtcError::Full(self.most));
        }
        let held = count(&taken.by_account, &account);
        if held >= share(self.most) {
            return Err(WebRtcError::AccountFull(held));
        }
        taken.all += 1;
        *taken.by_account.entry(account).or_default() += 1;
        Ok(Place { admission: self.clone(), account, source: source.map(network_of), connecting: false })
    }

    /// Legs, and those of them that are being connected.
    pub(crate) fn taken(&self) -> (usize, usize) {
        let taken = self.lock();
        (taken.all, taken.connecting)
    }
}

impl Place {
    /// The leg begins to connect, if so many may at once.
    pub(crate) fn connect(&mut self) -> Result<(), WebRtcError> {
        if self.connecting {
            return Ok(());
        }
        let mut taken = self.admission.lock();
        let of_account = count(&taken.connecting_by_account, &self.account);
        if taken.connecting >= self.admission.most_connecting {
            return Err(WebRtcError::Connecting(taken.connecting));
        }
        if of_account >= share(self.admission.most_connecting) {
            return Err(WebRtcError::Connecting(of_account));
        }
        if let Some(source) = self.source {
            let of_source = count(&taken.connecting_by_source, &source);
            if of_source >= self.admission.most_connecting_of_source {
                return Err(WebRtcError::SourceConnecting(of_source));
            }
            *taken.connecting_by_source.entry(source).or_default() += 1;
        }
        taken.connecting += 1;
        *taken.connecting_by_account.entry(self.account).or_default() += 1;
        self.connecting = true;
        Ok(())
    }

    /// The leg is connected.
    pub(crate) fn connected(&mut self) {
        if std::mem::take(&mut self.connecting) {
            let mut taken = self.admission.lock();
            taken.connecting -= 1;
            release(&mut taken.connecting_by_account, &self.account);
            if let Some(source) = &self.source {
                release(&mut taken.connecting_by_source, source);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connected();
        let mut taken = self.admission.lock();
        taken.all -= 1;
        release(&mut taken.by_account, &self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(peers: usize, half_open: usize, per_source: usize) -> Arc<Admission> {
        let config = WebRtcConfig {
            max_peers: peers,
            max_half_open: half_open,
            max_half_open_per_source: per_source,
            ..WebRtcConfig::default()
        };
        Admission::new(&config)
    }

    #[test]
    fn one_account_never_has_more_than_three_quarters() {
        let admission = admission(8, 8, 8);
        let first: Vec<Place> = (0..6).map(|_| admission.enter(1, None).expect("within the share")).collect();
        assert!(matches!(admission.enter(1, None), Err(WebRtcError::AccountFull(6))));
        let second: Vec<Place> = (0..2).map(|_| admission.enter(2, None).expect("what is left")).collect();
        assert!(matches!(admission.enter(3, None), Err(WebRtcError::Full(8))));
        drop((first, second));
        assert_eq!(admission.taken(), (0, 0));
        assert!(admission.lock().by_account.is_empty());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source() {
        let admission = admission(100, 8, 2);
        let connects = |source: &str| {
            let mut place = admission.enter(1, Some(source.parse().expect("an address"))).expect("a place");
            place.connect().map(|()| place)
        };
        let _first = (connects("2001:db8::1"), connects("2001:db8::ffff:1"));
        assert!(matches!(connects("2001:db8::2"), Err(WebRtcError::SourceConnecting(2))));
        assert!(connects("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn connecting_legs_are_bounded_in_all_and_by_source_and_given_back_when_connected() {
        let admission = admission(100, 8, 2);
        let here: IpAddr = [192, 0, 2, 1].into();
        let mut places: Vec<Place> = (0..3).map(|_| admission.enter(1, Some(here)).expect("a place")).collect();
        assert!(places[0].connect().is_ok() && places[1].connect().is_ok());
        assert!(matches!(places[2].connect(), Err(WebRtcError::SourceConnecting(2))));
        places[0].connected();
        assert!(places[2].connect().is_ok());
        assert_eq!(admission.taken(), (3, 2));
        let mut others: Vec<Place> = (0..6).map(|a| admission.enter(a, None).expect("a place")).collect();
        for place in &mut others {
            assert!(place.connect().is_ok());
        }
        let mut late = admission.enter(9, None).expect("a place");
        assert!(matches!(late.connect(), Err(WebRtcError::Connecting(8))));
        drop((places, others, late));
        assert_eq!(admission.taken(), (0, 0));
        assert!(admission.lock().connecting_by_source.is_empty());
    }
}

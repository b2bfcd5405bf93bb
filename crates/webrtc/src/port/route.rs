//! Which leg a datagram is for: by name fragment for ICE requests, by transaction for ICE answers, by address for the rest. Each
//! look-up is O(1).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Key;

/// Checks of ours are forgotten after so long.
const CHECK_LIFE: Duration = Duration::from_secs(30);
/// An address belongs to its leg as long as anything authentic was heard from there so recently.
const CLAIM: Duration = Duration::from_secs(5);

/// What carries a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP with the framing of RFC 4571.
    Tcp,
}

/// The two ends of a connection. Behind one address translator two legs may come from one address to different ones of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub transport: Transport,
    /// Ours, as candidates say it.
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// The transaction identifier of a STUN message.
pub(crate) type Transaction = [u8; 12];

struct Claim {
    key: Key,
    heard: Instant,
}

/// The look-ups of a thread.
#[derive(Default)]
pub(crate) struct Routes {
    fragments: HashMap<String, Key>,
    addresses: HashMap<Endpoint, Claim>,
    checks: HashMap<Transaction, Key>,
    check_ages: VecDeque<(Instant, Transaction)>,
}

impl Routes {
    pub(crate) fn add_fragment(&mut self, fragment: String, key: Key) {
        self.fragments.insert(fragment, key);
    }

    pub(crate) fn remove_fragment(&mut self, fragment: &str) {
        self.fragments.remove(fragment);
    }

    pub(crate) fn by_fragment(&self, fragment: &str) -> Option<Key> {
        self.fragments.get(fragment).copied()
    }

    /// The leg that proved that this address is its own.
    pub(crate) fn by_address(&self, endpoint: &Endpoint) -> Option<Key> {
        self.addresses.get(endpoint).map(|claim| claim.key)
    }

    /// A leg passed a check from this address; false if it is another's that is active there.
    pub(crate) fn claim(&mut self, endpoint: Endpoint, key: Key, now: Instant) -> bool {
        let claim = self.addresses.entry(endpoint).or_insert(Claim { key, heard: now });
        if claim.key != key && now.saturating_duration_since(claim.heard) < CLAIM {
            return false;
        }
        *claim = Claim { key, heard: now };
        true
    }

    /// Something authentic of this leg came from there.
    pub(crate) fn heard(&mut self, endpoint: &Endpoint, key: Key, now: Instant) {
        if let Some(claim) = self.addresses.get_mut(endpoint).filter(|claim| claim.key == key) {
            claim.heard = now;
        }
    }

    /// Gives an address up if it is this leg's.
    pub(crate) fn release(&mut self, endpoint: &Endpoint, key: Key) {
        if self.by_address(endpoint) == Some(key) {
            self.addresses.remove(endpoint);
        }
    }

    /// A check of ours left.
    pub(crate) fn sent_check(&mut self, transaction: Transaction, key: Key, now: Instant) {
        while self.check_ages.front().is_some_and(|(sent, _)| now.saturating_duration_since(*sent) > CHECK_LIFE) {
            if let Some((_, old)) = self.check_ages.pop_front() {
                self.checks.remove(&old);
            }
        }
        self.checks.insert(transaction, key);
        self.check_ages.push_back((now, transaction));
    }

    /// Whose check this answers.
    pub(crate) fn by_check(&self, transaction: &Transaction) -> Option<Key> {
        self.checks.get(transaction).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_taken_from_a_leg_that_is_active_there() {
        let mut routes = Routes::default();
        let start = Instant::now();
        let remote = SocketAddr::from(([192, 0, 2, 1], 4_000));
        let from = Endpoint { transport: Transport::Udp, local: SocketAddr::from(([192, 0, 2, 2], 1)), remote };
        let (first, second) = (Key { slot: 0, life: 0 }, Key { slot: 1, life: 0 });
        assert!(routes.claim(from, first, start));
        assert!(!routes.claim(from, second, start + Duration::from_secs(4)));
        assert!(routes.claim(from, first, start + Duration::from_secs(4)));
        assert!(routes.claim(from, second, start + Duration::from_secs(10)));
        routes.release(&from, first);
        assert_eq!(routes.by_address(&from), Some(second));
        routes.release(&from, second);
        assert_eq!(routes.by_address(&from), None);
    }

    #[test]
    fn old_checks_are_forgotten() {
        let mut routes = Routes::default();
        let start = Instant::now();
        let key = Key { slot: 0, life: 0 };
        for n in 0..100u8 {
            routes.sent_check([n; 12], key, start + Duration::from_secs(n.into()));
        }
        assert!(routes.checks.len() <= 32 && routes.checks.len() == routes.check_ages.len());
        assert_eq!(routes.by_check(&[99; 12]), Some(key));
        assert_eq!(routes.by_check(&[1; 12]), None);
    }
}

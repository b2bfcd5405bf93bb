//! Who has guessed too often. Nobody may lock another out: failures are counted for one user of one realm and one source
//! address, and behind an address that many share a socket that gave the right password before has a count of its own.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::guard::prefix;

/// Counts of failures, and proven sockets: so many of each are kept at once.
const REMEMBERED: usize = 100_000;
/// So many counts are kept of one source. It may make up users without end, and must drive out nobody's counts but its own.
const OF_ONE_SOURCE: usize = 1_000;
/// How long a socket that gave a right password has a count of its own; refreshed by each right one.
const PROVEN: Duration = Duration::from_secs(7_200);

/// A user of a realm, as a keyed hash: names come from strangers and may be long. The same name in another realm is
/// another user.
type User = u64;

/// Whose failures are counted together: those of a source address (IPv6: /64) for a user, or of one proven socket of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guesser {
    source: IpAddr,
    port: Option<u16>,
    user: User,
}

impl Guesser {
    fn whose(&self) -> Whose {
        (self.port, self.user)
    }
}

/// A guesser among those of one source.
type Whose = (Option<u16>, User);

/// How many failures, and when the last was.
type Count = (u32, Instant);

/// Counts by source; `held` of them in all. No source without counts is kept.
#[derive(Default)]
struct Failures {
    of: HashMap<IpAddr, HashMap<Whose, Count>>,
    held: usize,
}

impl Failures {
    fn get(&self, guesser: &Guesser) -> Option<&Count> {
        self.of.get(&guesser.source)?.get(&guesser.whose())
    }

    fn remove(&mut self, guesser: &Guesser) {
        let Some(counts) = self.of.get_mut(&guesser.source) else { return };
        if counts.remove(&guesser.whose()).is_some() {
            self.held -= 1;
        }
        if counts.is_empty() {
            self.of.remove(&guesser.source);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Count) -> bool) {
        self.of.retain(|_, counts| {
            counts.retain(|_, count| keep(count));
            !counts.is_empty()
        });
        self.held = self.of.values().map(HashMap::len).sum();
    }

    /// A full table gives up its oldest tenth.
    fn make_room(&mut self) {
        if self.held < REMEMBERED {
            return;
        }
        let mut times: Vec<Instant> = self.of.values().flat_map(HashMap::values).map(|(_, at)| *at).collect();
        let nth = REMEMBERED / 10;
        let (_, oldest, _) = times.select_nth_unstable(nth);
        let oldest = *oldest;
        self.retain(|(_, at)| *at > oldest);
    }

    /// A source with all the counts that it may have gives up a tenth of them: first those with the fewest failures, so that
    /// guesses for users that are made up do not wipe out what was counted for one that is not.
    fn make_room_of(&mut self, source: IpAddr) {
        let Some(counts) = self.of.get_mut(&source).filter(|counts| counts.len() >= OF_ONE_SOURCE) else { return };
        let before = counts.len();
        let mut least: Vec<(Count, Whose)> = counts.iter().map(|(whose, count)| (*count, *whose)).collect();
        least.sort_unstable();
        for (_, whose) in least.iter().take(OF_ONE_SOURCE / 10) {
            counts.remove(whose);
        }
        self.held -= before - counts.len();
    }

    fn entry(&mut self, guesser: &Guesser, now: Instant) -> &mut Count {
        if self.get(guesser).is_none() {
            self.make_room_of(guesser.source);
            self.make_room();
            self.held += 1;
        }
        self.of.entry(guesser.source).or_default().entry(guesser.whose()).or_insert((0, now))
    }
}

/// Counts wrong answers and remembers sockets that gave right ones.
pub(crate) struct Lockout {
    most: u32,
    lasts: Duration,
    names: RandomState,
    failures: Mutex<Failures>,
    proven: Mutex<HashMap<(SocketAddr, User), Instant>>,
}

fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lockout {
    /// After `most` failures a guesser is locked out until none came for as long as `lasts`.
    pub fn new(most: u32, lasts: Duration) -> Lockout {
        Lockout {
            most: most.max(1),
            lasts,
            names: RandomState::new(),
            failures: Mutex::default(),
            proven: Mutex::default(),
        }
    }

    /// Who asks.
    pub fn guesser(&self, source: SocketAddr, realm: &str, username: &str) -> Guesser {
        let user = self.names.hash_one((realm, username));
        let proven = lock(&self.proven).contains_key(&(source, user));
        Guesser { source: prefix(source.ip().to_canonical()), port: proven.then_some(source.port()), user }
    }

    pub fn locked(&self, guesser: &Guesser, now: Instant) -> bool {
        lock(&self.failures)
            .get(guesser)
            .is_some_and(|(n, at)| *n >= self.most && now.saturating_duration_since(*at) < self.lasts)
    }

    pub fn failed(&self, guesser: Guesser, now: Instant) {
        let mut failures = lock(&self.failures);
        let entry = failures.entry(&guesser, now);
        if now.saturating_duration_since(entry.1) >= self.lasts {
            entry.0 = 0;
        }
        *entry = (entry.0.saturating_add(1), now);
    }

    pub fn succeeded(&self, guesser: &Guesser, source: SocketAddr, now: Instant) {
        lock(&self.failures).remove(guesser);
        let mut proven = lock(&self.proven);
        make_room(&mut proven, |at| *at);
        proven.insert((source, guesser.user), now);
    }

    /// Forgets what ran out.
    pub fn sweep(&self, now: Instant) {
        lock(&self.failures).retain(|(_, at)| now.saturating_duration_since(*at) < self.lasts);
        lock(&self.proven).retain(|_, at| now.saturating_duration_since(*at) < PROVEN);
    }
}

/// Makes room in a full table: its oldest tenth goes at once, so that a flood of new keys does not search it each time.
pub(crate) fn make_room<K: Eq + Hash, V>(table: &mut HashMap<K, V>, at: impl Fn(&V) -> Instant) {
    if table.len() < REMEMBERED {
        return;
    }
    let mut times: Vec<Instant> = table.values().map(&at).collect();
    let (_, oldest, _) = times.select_nth_unstable(REMEMBERED / 10);
    let oldest = *oldest;
    table.retain(|_, value| at(value) > oldest);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn bench() -> (Lockout, Instant) {
        (Lockout::new(3, Duration::from_secs(300)), Instant::now())
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_one_ipv6_prefix_share_their_guesses() {
        let (lockout, now) = bench();
        for n in 1..=3 {
            lockout.failed(lockout.guesser(at(&format!("[2001:db8::{n}]:5060")), "r", "bob"), now);
        }
        assert!(lockout.locked(&lockout.guesser(at("[2001:db8::4]:5060"), "r", "bob"), now));
        assert!(!lockout.locked(&lockout.guesser(at("[2001:db8:0:1::4]:5060"), "r", "bob"), now));
    }

    #[test]
    fn a_proven_socket_counts_alone_and_is_not_proven_for_ever() {
        let (lockout, now) = bench();
        let (phone, neighbour) = (at("192.0.2.1:5060"), at("192.0.2.1:6060"));
        lockout.succeeded(&lockout.guesser(phone, "r", "bob"), phone, now);
        for _ in 0..3 {
            lockout.failed(lockout.guesser(neighbour, "r", "bob"), now);
        }
        assert!(!lockout.locked(&lockout.guesser(phone, "r", "bob"), now));
        for _ in 0..3 {
            lockout.failed(lockout.guesser(phone, "r", "bob"), now);
        }
        assert!(lockout.locked(&lockout.guesser(phone, "r", "bob"), now));
        let later = now + PROVEN;
        lockout.sweep(later);
        assert_eq!(lockout.guesser(phone, "r", "bob"), lockout.guesser(neighbour, "r", "bob"));
    }

    #[test]
    fn a_full_table_forgets_its_oldest_tenth() {
        let (lockout, now) = bench();
        let source = |n: usize| SocketAddr::from((Ipv4Addr::from_bits(u32::try_from(n).unwrap()), 5060));
        let guesser = |n: usize| lockout.guesser(source(n), "r", "bob");
        for n in 0..=REMEMBERED {
            lockout.failed(guesser(n), now + Duration::from_millis(n as u64));
        }
        let kept = lock(&lockout.failures);
        assert_eq!((kept.held, kept.of.len()), (REMEMBERED - REMEMBERED / 10, REMEMBERED - REMEMBERED / 10));
        assert!(kept.get(&guesser(REMEMBERED / 10)).is_none() && kept.get(&guesser(REMEMBERED / 10 + 1)).is_some());
    }

    #[test]
    fn guesses_for_made_up_users_drive_out_neither_others_counts_nor_those_that_matter() {
        let (lockout, now) = bench();
        let (other, flooder) = (at("192.0.2.1:5060"), at("198.51.100.1:5060"));
        for _ in 0..3 {
            lockout.failed(lockout.guesser(other, "r", "bob"), now);
            lockout.failed(lockout.guesser(flooder, "r", "bob"), now);
        }
        for n in 0..=REMEMBERED {
            let later = now + Duration::from_micros(1 + n as u64);
            lockout.failed(lockout.guesser(flooder, "r", &n.to_string()), later);
        }
        assert!(lockout.locked(&lockout.guesser(other, "r", "bob"), now));
        assert!(lockout.locked(&lockout.guesser(flooder, "r", "bob"), now));
        assert!(lock(&lockout.failures).held <= OF_ONE_SOURCE + 1);
        lockout.sweep(now + Duration::from_secs(301));
        let kept = lock(&lockout.failures);
        assert_eq!((kept.held, kept.of.len()), (0, 0));
    }
}

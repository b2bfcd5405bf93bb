//! Who is no stranger: sources that gave a right password or were recognised as a trunk not long ago.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::guard::prefix;
use crate::lockout::make_room;

/// Remembers sources (IPv6: /64), a bounded number of them.
pub(crate) struct Known {
    lasts: Duration,
    table: Mutex<HashMap<IpAddr, Instant>>,
}

impl Known {
    /// `lasts` at least as long as a registration: whoever has one is known.
    pub fn new(lasts: Duration) -> Known {
        Known { lasts, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn met(&self, source: IpAddr, now: Instant) {
        let mut table = self.table();
        make_room(&mut table, |at| *at);
        table.insert(prefix(source.to_canonical()), now);
    }

    pub fn knows(&self, source: IpAddr, now: Instant) -> bool {
        let at = self.table().get(&prefix(source.to_canonical())).copied();
        at.is_some_and(|at| now.saturating_duration_since(at) < self.lasts)
    }

    /// Forgets what ran out.
    pub fn sweep(&self, now: Instant) {
        self.table().retain(|_, at| now.saturating_duration_since(*at) < self.lasts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_known_for_as_long_as_a_registration_and_an_ipv6_one_by_its_prefix() {
        let (known, now, hour) = (Known::new(Duration::from_secs(3_600)), Instant::now(), Duration::from_secs(3_600));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        known.met(ip("::ffff:192.0.2.1"), now);
        known.met(ip("2001:db8::1"), now);
        assert!(known.knows(ip("192.0.2.1"), now) && known.knows(ip("2001:db8::2"), now));
        assert!(!known.knows(ip("192.0.2.2"), now) && !known.knows(ip("2001:db8:0:1::1"), now));
        assert!(!known.knows(ip("192.0.2.1"), now + hour));
        known.sweep(now + hour);
        assert!(known.table().is_empty());
    }
}

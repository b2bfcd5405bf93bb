//! Which digest algorithms a challenge offers. RFC 8760 has a client take the topmost challenge that it knows; but many in
//! use fail at the first algorithm that they do not know (among them baresip before 3.12, pjsip before 2.11, SIPp before 3.7,
//! FreeSWITCH and Asterisk as clients of their time), and give up without a word. So whoever leaves a challenge unanswered and
//! comes again is offered MD5 alone the next time, if MD5 is offered at all; and everything again the time after that, so
//! that requests under a forged address cannot keep MD5 from being all that a phone is offered. What was answered stays.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::Algorithm;
use crate::guard::prefix;
use crate::lockout::make_room;

/// How long what somebody answered is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(7_200);
/// Requests that come this soon after one another were sent before the first challenge could be answered.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Whom a challenge is for, as a keyed hash: source address, realm and user.
pub(crate) type Asker = u64;

/// A request, as a keyed hash of what its repetitions have in common.
pub(crate) type Asked = u64;

#[derive(Debug, Clone, Copy)]
struct Last {
    /// The request it was for: its repetition gets the same.
    asked: Asked,
    md5_alone: bool,
    answered: bool,
    at: Instant,
}

/// What was offered to whom.
#[derive(Default)]
pub(crate) struct Offers {
    names: RandomState,
    table: Mutex<HashMap<Asker, Last>>,
}

impl Offers {
    pub fn asker(&self, source: IpAddr, realm: &str, user: &str) -> Asker {
        self.names.hash_one((prefix(source.to_canonical()), realm, user))
    }

    pub fn asked(&self, via: &str, call_id: &str, cseq: &str) -> Asked {
        self.names.hash_one((via, call_id, cseq))
    }

    /// Whether the next challenge should offer MD5 alone.
    pub fn md5_alone(&self, asker: Asker, asked: Asked, user_agent: &str, now: Instant) -> bool {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut table, |last| last.at);
        let last = table.get(&asker).filter(|last| now.saturating_duration_since(last.at) < REMEMBERED_FOR);
        let next = match last.copied() {
            None => Last { asked, md5_alone: knows_md5_alone(user_agent), answered: false, at: now },
            Some(last) if last.asked == asked => last,
            Some(last) if last.answered => Last { asked, answered: false, at: now, ..last },
            Some(last) if now.saturating_duration_since(last.at) < AT_ONCE => Last { asked, ..last },
            Some(last) => Last { asked, md5_alone: !last.md5_alone, answered: false, at: now },
        };
        table.insert(asker, next);
        next.md5_alone
    }

    /// An answer came, right or wrong.
    pub fn answered(&self, asker: Asker, algorithm: Algorithm) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = table.get_mut(&asker) {
            last.answered = true;
            last.md5_alone &= algorithm == Algorithm::Md5;
        }
    }

    /// Forgets what ran out.
    pub fn sweep(&self, now: Instant) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, last| now.saturating_duration_since(last.at) < REMEMBERED_FOR);
    }
}

/// Clients that say who they are need not fail once. SIPp says nothing unless its scenario does.
fn knows_md5_alone(user_agent: &str) -> bool {
    if let Some(version) = user_agent.strip_prefix("baresip v") {
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(u32::MAX));
        return (numbers.next(), numbers.next()) < (Some(3), Some(12));
    }
    user_agent.starts_with("SIPp")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One request after the other, none repeated.
    fn md5_alone(offers: &Offers, asker: Asker, agent: &str, now: Instant) -> bool {
        offers.md5_alone(asker, rand::random(), agent, now)
    }

    const OLD: &str = "baresip v1.0.0 (x86_64/Linux)";

    fn bench() -> (Offers, Asker, Instant) {
        let offers = Offers::default();
        let asker = offers.asker("192.0.2.1".parse().unwrap(), "r", "bob");
        (offers, asker, Instant::now())
    }

    #[test]
    fn clients_known_to_fail_are_offered_md5_alone_at_once() {
        for (agent, alone) in [
            (OLD, true),
            ("baresip v3.11.0 (x86_64/Linux)", true),
            ("baresip v3.12.0 (x86_64/Linux)", false),
            ("baresip v4.1.0", false),
            ("baresip v", false),
            ("SIPp", true),
            ("Linphone/5", false),
            ("", false),
        ] {
            let (offers, asker, now) = bench();
            assert_eq!(md5_alone(&offers, asker, agent, now), alone, "{agent}");
        }
    }

    #[test]
    fn who_leaves_a_challenge_unanswered_is_offered_md5_alone_and_keeps_it_by_answering() {
        let (offers, asker, now) = bench();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(!md5_alone(&offers, asker, "", now));
        // Requests that cross the challenge leave nothing unanswered.
        assert!(!md5_alone(&offers, asker, "", now + Duration::from_millis(900)));
        assert!(md5_alone(&offers, asker, "", after(30)));
        offers.answered(asker, Algorithm::Md5);
        assert!(md5_alone(&offers, asker, "", after(600)));
        offers.answered(asker, Algorithm::Md5);
        assert!(md5_alone(&offers, asker, "", after(1_200)));
        assert!(!md5_alone(&offers, asker, "", after(1_200) + REMEMBERED_FOR), "it may have been replaced");
    }

    #[test]
    fn nobody_can_keep_a_phone_from_being_offered_what_it_knows() {
        let (offers, asker, now) = bench();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(!md5_alone(&offers, asker, "", now));
        offers.answered(asker, Algorithm::Sha256);
        assert!(!md5_alone(&offers, asker, "", after(10)));
        // That one was forged. The phone is offered MD5 alone, cannot answer, and comes again.
        assert!(md5_alone(&offers, asker, "", after(20)));
        assert!(!md5_alone(&offers, asker, "", after(30)));
        offers.answered(asker, Algorithm::Sha256);
        assert!(!md5_alone(&offers, asker, "", after(600)));
    }

    #[test]
    fn a_repeated_request_is_offered_the_same_however_late() {
        let (offers, asker, now) = bench();
        let asked = offers.asked("SIP/2.0/UDP h;branch=z9hG4bK1", "c", "1 REGISTER");
        for seconds in [0, 2, 6, 30] {
            assert!(!offers.md5_alone(asker, asked, "", now + Duration::from_secs(seconds)));
        }
        let next = offers.asked("SIP/2.0/UDP h;branch=z9hG4bK2", "c", "2 REGISTER");
        assert!(offers.md5_alone(asker, next, "", now + Duration::from_secs(31)));
    }
}

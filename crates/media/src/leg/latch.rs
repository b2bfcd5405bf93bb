//! Symmetric RTP latching: which address a leg believes.
//!
//! The address and port of the SDP lock at once. Otherwise five consecutive packets (sequence, payload type, one
//! SSRC) lock from the SDP's IP or, where the SDP's address is private or differs from the signalling source, from
//! the signalling source's IP. No other address, ever. A lock opens again only for a new SDP address or after
//! silence, and then for the same IP only.

use std::net::{IpAddr, SocketAddr};

/// Consecutive packets that make an address which the SDP did not name believable.
pub(crate) const CONSECUTIVE: u8 = 5;

const CANDIDATES: usize = 4;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// From the address believed in; take it.
    Accept,
    /// The first from an address that is believed from now on; take it.
    Locked,
    /// From an address that may yet be believed; drop it.
    Unproven,
    /// From an address that is never believed; drop it.
    Foreign,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    payload_type: u8,
    next: u16,
    count: u8,
    /// For choosing which to forget.
    touched: u32,
}

/// The state of one port's belief. Time is in milliseconds of the shard's clock.
#[derive(Clone, Debug)]
pub(crate) struct Latch {
    announced: Option<SocketAddr>,
    signalling: IpAddr,
    locked: Option<SocketAddr>,
    /// Set after silence: only this IP may lock again.
    only: Option<IpAddr>,
    heard_at: u64,
    /// Looked at only before a lock.
    candidates: Box<[Option<Candidate>; CANDIDATES]>,
    touches: u32,
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_loopback() || v6.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}

impl Latch {
    pub(crate) fn new(announced: Option<SocketAddr>, signalling: IpAddr) -> Self {
        Self {
            announced: announced.map(canonical),
            signalling: signalling.to_canonical(),
            locked: None,
            only: None,
            heard_at: 0,
            candidates: Box::new([None; CANDIDATES]),
            touches: 0,
        }
    }

    /// The address believed in, if any.
    pub(crate) fn locked(&self) -> Option<SocketAddr> {
        self.locked
    }

    /// Where to send: the locked address, else the announced one.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.locked.or(self.announced)
    }

    /// Where the signalling comes from.
    pub(crate) fn signalling(&self) -> IpAddr {
        self.signalling
    }

    /// The far side's description changed. The same address keeps the lock; a new one opens it. Returns whether it opened.
    pub(crate) fn announce(&mut self, announced: Option<SocketAddr>, signalling: IpAddr) -> bool {
        let announced = announced.map(canonical);
        self.signalling = signalling.to_canonical();
        if announced == self.announced {
            return false;
        }
        self.announced = announced;
        if self.locked.is_some() && self.locked == announced {
            return false;
        }
        self.locked = None;
        self.only = None;
        *self.candidates = [None; CANDIDATES];
        true
    }

    /// Opens a lock that has been silent for `silence` ms. Returns true once, when it opens.
    pub(crate) fn expire(&mut self, now: u64, silence: u64) -> bool {
        let Some(locked) = self.locked else { return false };
        if self.only.is_some() || now.saturating_sub(self.heard_at) < silence {
            return false;
        }
        self.only = Some(locked.ip());
        *self.candidates = [None; CANDIDATES];
        true
    }

    fn eligible(&self, ip: IpAddr) -> bool {
        if let Some(only) = self.only {
            return ip == only;
        }
        let Some(announced) = self.announced else { return false };
        let announced = announced.ip();
        ip == announced || (ip == self.signalling && (is_private(announced) || announced != self.signalling))
    }

    /// Judges a well-formed packet of an agreed payload type.
    pub(crate) fn judge(&mut self, from: SocketAddr, sequence: u16, payload_type: u8, ssrc: u32, now: u64) -> Verdict {
        let from = canonical(from);
        if self.locked == Some(from) {
            self.heard_at = now;
            self.only = None;
            return Verdict::Accept;
        }
        if self.locked.is_some() && self.only.is_none() {
            return Verdict::Foreign;
        }
        if self.only.is_none() && self.announced == Some(from) {
            return self.lock(from, now);
        }
        if !self.eligible(from.ip()) {
            return Verdict::Foreign;
        }
        self.touches = self.touches.wrapping_add(1);
        let touched = self.touches;
        let place = self
            .candidates
            .iter()
            .position(|c| c.is_some_and(|c| c.from == from))
            .or_else(|| self.candidates.iter().position(Option::is_none))
            .unwrap_or_else(|| self.least_recent());
        let Some(slot) = self.candidates.get_mut(place) else { return Verdict::Unproven };
        let count = match slot {
            Some(c) if c.from == from && c.ssrc == ssrc && c.payload_type == payload_type && c.next == sequence => {
                c.count + 1
            }
            _ => 1,
        };
        if count >= CONSECUTIVE {
            return self.lock(from, now);
        }
        *slot = Some(Candidate { from, ssrc, payload_type, next: sequence.wrapping_add(1), count, touched });
        Verdict::Unproven
    }

    /// Judges a well-formed packet without a sequence number (RTCP): consecutive by SSRC alone.
    pub(crate) fn judge_unnumbered(&mut self, from: SocketAddr, ssrc: u32, now: u64) -> Verdict {
        let from = canonical(from);
        let next = self.candidates.iter().flatten().find(|c| c.from == from).map_or(0, |c| c.next);
        self.judge(from, next, 0, ssrc, now)
    }

    fn lock(&mut self, from: SocketAddr, now: u64) -> Verdict {
        self.locked = Some(from);
        self.only = None;
        self.heard_at = now;
        *self.candidates = [None; CANDIDATES];
        Verdict::Locked
    }

    fn least_recent(&self) -> usize {
        let now = self.touches;
        let age = |c: &Option<Candidate>| c.map_or(u32::MAX, |c| now.wrapping_sub(c.touched));
        self.candidates.iter().enumerate().max_by_key(|(_, c)| age(c)).map_or(0, |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    fn public() -> Latch {
        Latch::new(Some(at("203.0.113.5:4000")), "203.0.113.5".parse().expect("ip"))
    }

    fn run(latch: &mut Latch, from: &str, sequences: impl IntoIterator<Item = u16>) -> Vec<Verdict> {
        sequences.into_iter().map(|s| latch.judge(at(from), s, 0, 7, 10)).collect()
    }

    #[test]
    fn the_announced_address_locks_at_once_and_alone() {
        let mut latch = public();
        assert_eq!(run(&mut latch, "203.0.113.5:4000", [9]), [Verdict::Locked]);
        assert!(run(&mut latch, "203.0.113.5:4002", 0..20).iter().all(|v| *v == Verdict::Foreign));
        assert_eq!(run(&mut latch, "203.0.113.5:4000", [10]), [Verdict::Accept]);
    }

    #[test]
    fn another_port_of_the_announced_ip_needs_five_consecutive_packets() {
        let mut latch = public();
        let verdicts = run(&mut latch, "203.0.113.5:9", [1, 2, 3, 5, 6, 7, 8, 9, 10]);
        assert_eq!(verdicts[..7], [Verdict::Unproven; 7]);
        assert_eq!(verdicts[7..], [Verdict::Locked, Verdict::Accept]);
    }

    #[test]
    fn a_foreign_address_never_locks_whatever_it_sends() {
        let mut latch = public();
        assert!(run(&mut latch, "198.51.100.9:4000", 0..1000).iter().all(|v| *v == Verdict::Foreign));
        assert_eq!(latch.locked(), None);
    }

    #[test]
    fn a_private_announcement_lets_the_signalling_source_prove_itself() {
        let mut latch = Latch::new(Some(at("192.168.1.9:4000")), "203.0.113.5".parse().expect("ip"));
        assert_eq!(run(&mut latch, "203.0.113.5:61000", 0..5).last(), Some(&Verdict::Locked));
        let mut other = Latch::new(Some(at("192.168.1.9:4000")), "203.0.113.5".parse().expect("ip"));
        assert!(run(&mut other, "203.0.113.6:61000", 0..50).iter().all(|v| *v == Verdict::Foreign));
    }

    #[test]
    fn interleaved_senders_do_not_add_up() {
        let mut latch = public();
        for sequence in 0..40u16 {
            for ssrc in [1, 2] {
                let verdict = latch.judge(at("203.0.113.5:77"), sequence, 0, ssrc, 0);
                assert_eq!(verdict, Verdict::Unproven, "two SSRCs from one address prove nothing");
            }
        }
    }

    #[test]
    fn silence_opens_for_the_same_ip_only() {
        let mut latch = Latch::new(Some(at("192.168.1.9:4000")), "203.0.113.5".parse().expect("ip"));
        run(&mut latch, "203.0.113.5:61000", 0..5);
        assert!(!latch.expire(5_009, 5_000));
        assert!(latch.expire(5_010, 5_000));
        assert!(!latch.expire(9_000, 5_000), "opens once");
        assert_eq!(latch.destination(), Some(at("203.0.113.5:61000")), "we go on sending where it was");
        assert!(run(&mut latch, "192.168.1.9:4000", 0..20).iter().all(|v| *v == Verdict::Foreign));
        assert_eq!(run(&mut latch, "203.0.113.5:61002", 0..5).last(), Some(&Verdict::Locked));
        assert_eq!(run(&mut latch, "203.0.113.5:61000", [5]), [Verdict::Foreign]);
    }

    #[test]
    fn only_a_new_announcement_moves_a_lock() {
        let mut latch = public();
        run(&mut latch, "203.0.113.5:4000", [1]);
        assert!(!latch.announce(Some(at("203.0.113.5:4000")), "203.0.113.5".parse().expect("ip")));
        assert_eq!(latch.locked(), Some(at("203.0.113.5:4000")));
        assert!(latch.announce(Some(at("203.0.113.7:5000")), "203.0.113.5".parse().expect("ip")));
        assert!(run(&mut latch, "203.0.113.7:5000", [1]) == [Verdict::Locked]);
    }

    #[test]
    fn without_an_announcement_nobody_is_believed() {
        let mut latch = Latch::new(None, "203.0.113.5".parse().expect("ip"));
        assert!(run(&mut latch, "203.0.113.5:61000", 0..50).iter().all(|v| *v == Verdict::Foreign));
    }

    proptest! {
        #[test]
        fn no_sequence_of_packets_locks_an_ineligible_address(
            packets in proptest::collection::vec((0u8..6, 0u16..4, any::<u16>(), any::<u8>(), 0u32..3, 0u64..20_000), 0..300)
        ) {
            let mut latch = public();
            for (host, port, sequence, payload_type, ssrc, now) in packets {
                let from = SocketAddr::from(([203, 0, 113, host], 4000 + port));
                latch.expire(now, 5_000);
                let verdict = latch.judge(from, sequence, payload_type, ssrc, now);
                if host != 5 {
                    prop_assert_eq!(verdict, Verdict::Foreign);
                }
            }
        }
    }
}

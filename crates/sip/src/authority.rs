//! The server's side of digest: nonces that cost nothing until they are used well, replay windows, lock-out.
//!
//! A nonce is good only from the address it was issued to. A forger of addresses never sees one, so that his guesses are
//! not looked at and cannot lock the real user out.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::config::Limits;
use crate::counters::Counters;
use crate::digest::{Algorithm, Answer, Proof, equal, hex};
use crate::guard::prefix;
use crate::header::quote;
use crate::lockout::{Guesser, Lockout};
use crate::roster::Credential;
use crate::uri::Uri;

/// Nonces with a replay window that are kept at once.
const REMEMBERED: usize = 100_000;

/// Outcome of one digest answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Ask again with `stale=true`: too old, unknown, or its count was used before.
    Stale,
    Wrong,
    /// Too many failures; not looked at.
    Locked,
}

/// What a challenge offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Everything, strongest first (RFC 8760 §2.4).
    Strongest,
    /// Everything, MD5 last: JsSIP, SIP.js and what is made of them keep the last challenge alone, and know MD5 alone.
    Md5Last,
    /// MD5, if it is offered at all.
    Md5Alone,
}

/// A digest answer and the request it came with.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub answer: &'a Answer,
    pub method: &'a str,
    pub request_uri: &'a str,
    pub credential: Option<&'a Credential>,
    pub source: SocketAddr,
}

#[derive(Default)]
struct Window {
    highest: u32,
    /// Bit n: count `highest - n` was used.
    used: u64,
}

impl Window {
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let shift = count - self.highest;
            self.used = if shift >= 64 { 0 } else { self.used << shift };
            self.used |= 1;
            self.highest = count;
            return true;
        }
        let back = self.highest - count;
        if count == 0 || back >= 64 || self.used & (1 << back) != 0 {
            return false;
        }
        self.used |= 1 << back;
        true
    }
}

#[derive(Default)]
struct Nonces {
    windows: BTreeMap<(u64, u64), Window>,
    /// Nonces issued up to here are stale: their windows were given up.
    floor: u64,
}

/// Issues challenges and verifies answers.
pub(crate) struct Authority {
    secret: [u8; 32],
    opaque: String,
    started: Instant,
    life: Duration,
    lockout: Lockout,
    algorithms: Vec<Algorithm>,
    nonces: Mutex<Nonces>,
}

impl Authority {
    pub fn new(limits: &Limits, algorithms: &[Algorithm], now: Instant) -> Authority {
        Authority {
            secret: rand::random(),
            opaque: hex(&rand::random::<[u8; 8]>()),
            started: now,
            life: limits.nonce_life,
            lockout: Lockout::new(limits.auth_failures, limits.lockout),
            algorithms: if algorithms.is_empty() { vec![Algorithm::Md5] } else { algorithms.to_vec() },
            nonces: Mutex::default(),
        }
    }

    /// Header values of a challenge, one per algorithm.
    pub fn challenge(&self, realm: &str, stale: bool, order: Order, source: SocketAddr, now: Instant) -> Vec<String> {
        let md5_alone = order == Order::Md5Alone && self.algorithms.contains(&Algorithm::Md5);
        let nonce = self.nonce(source.ip(), now);
        let stale = if stale { ", stale=true" } else { "" };
        let mut algorithms = self.algorithms.clone();
        algorithms.retain(|algorithm| !md5_alone || *algorithm == Algorithm::Md5);
        if order == Order::Md5Last {
            algorithms.sort_by_key(|algorithm| *algorithm == Algorithm::Md5);
        }
        algorithms
            .iter()
            .map(|algorithm| {
                format!(
                    "Digest realm={}, nonce=\"{nonce}\", opaque=\"{}\", algorithm={}, qop=\"auth\"{stale}",
                    quote(realm),
                    self.opaque,
                    algorithm.name()
                )
            })
            .collect()
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn nonce(&self, source: IpAddr, now: Instant) -> String {
        // 0 is the floor of an empty table, so the first nonce must be above it.
        let (issued, salt) = (self.millis(now) + 1, rand::random::<u64>());
        format!("{issued:016x}{salt:016x}{}", self.mac(issued, salt, source))
    }

    /// HMAC-SHA-256 (RFC 2104), first half.
    fn mac(&self, issued: u64, salt: u64, source: IpAddr) -> String {
        let pad = |with: u8| {
            let mut block = [with; 64];
            for (b, s) in block.iter_mut().zip(self.secret) {
                *b ^= s;
            }
            block
        };
        let inner = Sha256::new()
            .chain_update(pad(0x36))
            .chain_update(issued.to_be_bytes())
            .chain_update(salt.to_be_bytes())
            .chain_update(prefix(source.to_canonical()).to_string())
            .finalize();
        let mac = hex(&Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize());
        mac.get(..32).unwrap_or("").to_owned()
    }

    /// (issued, salt) of a nonce of ours that was issued to this source and is still good.
    fn open(&self, nonce: &str, source: IpAddr, now: Instant) -> Option<(u64, u64)> {
        if nonce.len() != 64 || !nonce.is_ascii() {
            return None;
        }
        let issued = u64::from_str_radix(nonce.get(..16)?, 16).ok()?;
        let salt = u64::from_str_radix(nonce.get(16..32)?, 16).ok()?;
        if !equal(self.mac(issued, salt, source).as_bytes(), nonce.get(32..)?.as_bytes()) {
            return None;
        }
        let life = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
        (self.millis(now) < issued.saturating_add(life)).then_some((issued, salt))
    }

    /// Whether an answer is worth a look at the password: neither locked out nor made up. What it costs is a hash.
    pub fn consider(
        &self,
        answer: &Answer,
        source: SocketAddr,
        now: Instant,
        counters: &Counters,
    ) -> Result<(), Verdict> {
        self.worthy(answer, source, now, counters).map(|_| ())
    }

    fn worthy(
        &self,
        answer: &Answer,
        source: SocketAddr,
        now: Instant,
        counters: &Counters,
    ) -> Result<(Guesser, (u64, u64)), Verdict> {
        let guesser = self.lockout.guesser(source, &answer.realm, &answer.username);
        if self.lockout.locked(&guesser, now) {
            counters.locked_out.add();
            return Err(Verdict::Locked);
        }
        let Some(nonce) = self.open(&answer.nonce, source.ip(), now) else {
            counters.auth_stale.add();
            return Err(Verdict::Stale);
        };
        Ok((guesser, nonce))
    }

    /// Verifies an answer. `credential` is `None` for users that do not exist: the same work is done, the same verdict given.
    pub fn verify(&self, claim: &Claim<'_>, now: Instant, counters: &Counters) -> Verdict {
        let Claim { answer, method, request_uri, credential, source } = *claim;
        // Considered before, but many may have been looked up at once.
        let (guesser, nonce) = match self.worthy(answer, source, now, counters) {
            Ok(worthy) => worthy,
            Err(verdict) => return verdict,
        };
        let nobody = "0".repeat(64);
        let ha1 = match (credential, answer.algorithm) {
            (Some(c), Algorithm::Md5) => c.ha1_md5.as_str(),
            (Some(c), Algorithm::Sha256) => c.ha1_sha256.as_str(),
            (None, _) => nobody.as_str(),
        };
        let proof = Proof {
            algorithm: answer.algorithm,
            method,
            uri: &answer.uri,
            nonce: &answer.nonce,
            qop: answer.qop.as_ref().map(|(nc, _, cnonce)| (nc.as_str(), cnonce.as_str())),
        };
        let right = equal(proof.response(ha1).as_bytes(), answer.response.as_bytes());
        let fits = self.algorithms.contains(&answer.algorithm)
            && answer.qop.is_some()
            && !ha1.is_empty()
            && same_uri(&answer.uri, request_uri);
        if !(right && fits && credential.is_some()) {
            counters.auth_failures.add();
            self.lockout.failed(guesser, now);
            return Verdict::Wrong;
        }
        let count = answer.qop.as_ref().map_or(0, |(_, count, _)| *count);
        if !self.take_count(nonce, count) {
            counters.auth_replays.add();
            return Verdict::Stale;
        }
        counters.auth_ok.add();
        self.lockout.succeeded(&guesser, source, now);
        Verdict::Good
    }

    fn take_count(&self, nonce: (u64, u64), count: u32) -> bool {
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonce.0 <= nonces.floor {
            return false;
        }
        if !nonces.windows.contains_key(&nonce)
            && nonces.windows.len() >= REMEMBERED
            && let Some((given_up, _)) = nonces.windows.pop_first()
        {
            nonces.floor = given_up.0;
        }
        nonces.windows.entry(nonce).or_default().take(count)
    }

    /// Forgets what ran out; called about once a second.
    pub fn sweep(&self, now: Instant) {
        let life = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
        let oldest = (self.millis(now) + 1).saturating_sub(life);
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.windows = nonces.windows.split_off(&(oldest, 0));
        drop(nonces);
        self.lockout.sweep(now);
    }
}

/// The digest must cover the request it came with, or it could be replayed towards another number. Some clients cover no more
/// than the server they ask (SIPp does): that is their choice, and a digest of a client that covers the number does not pass.
fn same_uri(answered: &str, requested: &str) -> bool {
    let (Ok(a), Ok(b)) = (Uri::parse(answered), Uri::parse(requested)) else { return answered == requested };
    let same_server = a.host.eq_ignore_ascii_case(&b.host) && a.port.unwrap_or(5060) == b.port.unwrap_or(5060);
    a.same_place(&b) || (a.userinfo.is_none() && same_server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Challenge, ha1};

    const PHONE: &str = "192.0.2.1:5060";

    struct Bench {
        authority: Authority,
        credential: Credential,
        counters: Counters,
        now: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            let now = Instant::now();
            let limits = Limits { auth_failures: 3, ..Limits::default() };
            Bench {
                authority: Authority::new(&limits, &[Algorithm::Sha256, Algorithm::Md5], now),
                credential: Credential {
                    registers: true,
                    account: "a".into(),
                    endpoint: "e".into(),
                    aor: "bob@r".into(),
                    ha1_md5: ha1(Algorithm::Md5, "bob", "r", "pw"),
                    ha1_sha256: ha1(Algorithm::Sha256, "bob", "r", "pw"),
                },
                counters: Counters::default(),
                now,
            }
        }

        fn challenges(&self) -> Vec<Challenge> {
            let values = self.authority.challenge("r", false, Order::Strongest, PHONE.parse().unwrap(), self.now);
            values.iter().map(|v| Challenge::parse(v).unwrap()).collect()
        }

        fn ask(&self, challenge: &Challenge, password: &str, uri: &str, count: u32, now: Instant) -> Verdict {
            self.ask_from(PHONE, challenge, password, uri, count, now)
        }

        fn ask_from(
            &self,
            source: &str,
            challenge: &Challenge,
            password: &str,
            uri: &str,
            count: u32,
            now: Instant,
        ) -> Verdict {
            let value = challenge.answer(("bob", password), "INVITE", uri, count, "cn");
            let answer = Answer::parse(&value).unwrap();
            let source = source.parse().unwrap();
            let credential = (password != "ghost").then_some(&self.credential);
            let claim = Claim { answer: &answer, method: "INVITE", request_uri: "sip:1@r", credential, source };
            self.authority.verify(&claim, now, &self.counters)
        }
    }

    #[test]
    fn a_nonce_serves_many_requests_and_no_count_serves_twice() {
        let bench = Bench::new();
        let challenges = bench.challenges();
        assert_eq!(challenges[0].algorithm, Algorithm::Sha256);
        for challenge in &challenges[1..] {
            for count in 1..=300 {
                assert_eq!(bench.ask(challenge, "pw", "sip:1@r", count, bench.now), Verdict::Good, "{count}");
                assert_eq!(bench.ask(challenge, "pw", "sip:1@r", count, bench.now), Verdict::Stale, "{count}");
            }
            assert_eq!(bench.ask(challenge, "pw", "sip:1@r", 5, bench.now), Verdict::Stale);
        }
        assert_eq!(bench.counters.auth_replays.get(), 301);
    }

    #[test]
    fn a_browser_finds_md5_in_the_last_challenge_whatever_the_order_of_the_others() {
        let now = Instant::now();
        for algorithms in [[Algorithm::Md5, Algorithm::Sha256], [Algorithm::Sha256, Algorithm::Md5]] {
            let authority = Authority::new(&Limits::default(), &algorithms, now);
            let values = authority.challenge("r", false, Order::Md5Last, PHONE.parse().unwrap(), now);
            let offered: Vec<_> = values.iter().map(|v| Challenge::parse(v).unwrap().algorithm).collect();
            assert_eq!(offered, [Algorithm::Sha256, Algorithm::Md5]);
        }
    }

    #[test]
    fn sha_256_answers_are_verified() {
        let bench = Bench::new();
        assert_eq!(bench.ask(&bench.challenges()[0], "pw", "sip:1@r", 1, bench.now), Verdict::Good);
    }

    #[test]
    fn an_answer_for_another_number_is_wrong() {
        let bench = Bench::new();
        assert_eq!(bench.ask(&bench.challenges()[0], "pw", "sip:900@r", 1, bench.now), Verdict::Wrong);
    }

    #[test]
    fn a_digest_covers_the_number_or_at_least_the_server() {
        for (answered, fits) in [
            ("sip:1@r", true),
            ("sip:1@R:5060", true),
            ("sip:r", true),
            ("sip:r:5061", false),
            ("sip:other", false),
            ("sip:2@r", false),
        ] {
            assert_eq!(same_uri(answered, "sip:1@r"), fits, "{answered}");
        }
    }

    #[test]
    fn an_old_or_foreign_nonce_is_stale() {
        let bench = Bench::new();
        let mut challenge = bench.challenges().remove(0);
        let later = bench.now + Duration::from_secs(301);
        assert_eq!(bench.ask(&challenge, "pw", "sip:1@r", 1, later), Verdict::Stale);
        challenge.nonce.replace_range(63.., if challenge.nonce.ends_with('0') { "1" } else { "0" });
        assert_eq!(bench.ask(&challenge, "pw", "sip:1@r", 1, bench.now), Verdict::Stale);
    }

    #[test]
    fn guessing_locks_the_user_out_for_that_source_whether_he_exists_or_not() {
        for password in ["guess", "ghost"] {
            let bench = Bench::new();
            let challenge = &bench.challenges()[0];
            for _ in 0..3 {
                assert_eq!(bench.ask(challenge, password, "sip:1@r", 1, bench.now), Verdict::Wrong);
            }
            assert_eq!(bench.ask(challenge, password, "sip:1@r", 1, bench.now), Verdict::Locked);
            assert_eq!(bench.ask(challenge, "pw", "sip:1@r", 1, bench.now), Verdict::Locked);
            let later = bench.now + Duration::from_secs(300);
            bench.authority.sweep(later);
            assert_ne!(bench.ask(challenge, "pw", "sip:1@r", 1, later), Verdict::Locked);
        }
    }

    #[test]
    fn the_same_user_name_in_another_realm_is_not_locked_out() {
        let bench = Bench::new();
        let source: SocketAddr = PHONE.parse().unwrap();
        let challenge = |realm: &str| {
            let values = bench.authority.challenge(realm, false, Order::Strongest, source, bench.now);
            Challenge::parse(&values[0]).unwrap()
        };
        for _ in 0..4 {
            bench.ask(&challenge("other"), "guess", "sip:1@r", 1, bench.now);
        }
        assert_eq!(bench.ask(&challenge("other"), "guess", "sip:1@r", 1, bench.now), Verdict::Locked);
        assert_eq!(bench.ask(&challenge("r"), "pw", "sip:1@r", 1, bench.now), Verdict::Good);
    }

    #[test]
    fn a_forger_of_addresses_cannot_lock_the_real_user_out() {
        let bench = Bench::new();
        // He gets challenges at his own address and sends wrong answers under the phone's.
        let his: SocketAddr = "198.51.100.9:5060".parse().unwrap();
        for _ in 0..10 {
            let challenge =
                Challenge::parse(&bench.authority.challenge("r", false, Order::Strongest, his, bench.now)[0]).unwrap();
            assert_eq!(bench.ask(&challenge, "guess", "sip:1@r", 1, bench.now), Verdict::Stale);
        }
        assert_eq!(bench.ask(&bench.challenges()[0], "pw", "sip:1@r", 1, bench.now), Verdict::Good);
        assert_eq!(bench.counters.auth_failures.get(), 0);
    }

    #[test]
    fn a_phone_that_was_let_in_is_not_locked_out_by_others_behind_its_address() {
        let bench = Bench::new();
        let challenge = &bench.challenges()[0];
        assert_eq!(bench.ask(challenge, "pw", "sip:1@r", 1, bench.now), Verdict::Good);
        let neighbour = "192.0.2.1:6060";
        for _ in 0..3 {
            assert_eq!(bench.ask_from(neighbour, challenge, "guess", "sip:1@r", 1, bench.now), Verdict::Wrong);
        }
        assert_eq!(bench.ask_from(neighbour, challenge, "pw", "sip:1@r", 2, bench.now), Verdict::Locked);
        assert_eq!(bench.ask(challenge, "pw", "sip:1@r", 3, bench.now), Verdict::Good);
        // It has no more guesses than anybody else, though: its password may have changed.
        for _ in 0..3 {
            assert_eq!(bench.ask(challenge, "guess", "sip:1@r", 4, bench.now), Verdict::Wrong);
        }
        assert_eq!(bench.ask(challenge, "pw", "sip:1@r", 5, bench.now), Verdict::Locked);
    }
}

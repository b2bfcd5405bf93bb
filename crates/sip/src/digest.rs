//! Digest access authentication as SIP uses it (RFC 2617, RFC 7616, RFC 8760): texts and hashes, no state.

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::header::{quote, split_outside, unquote};

/// Hash of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `MD5`, the default of RFC 2617.
    Md5,
    /// `SHA-256` (RFC 8760).
    Sha256,
}

impl Algorithm {
    /// Name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn parse(name: &str) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256].into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn hex(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    out
}

/// HA1 = H(username ":" realm ":" password), in lower-case hexadecimal: what a store keeps instead of a password.
pub fn ha1(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> String {
    algorithm.hex(&format!("{username}:{realm}:{password}"))
}

/// What a response hash is computed over, besides HA1.
pub(crate) struct Proof<'a> {
    pub algorithm: Algorithm,
    pub method: &'a str,
    pub uri: &'a str,
    pub nonce: &'a str,
    /// Count as written, client nonce; `None` without qop (RFC 2069).
    pub qop: Option<(&'a str, &'a str)>,
}

impl Proof<'_> {
    pub fn response(&self, ha1: &str) -> String {
        let ha2 = self.algorithm.hex(&format!("{}:{}", self.method, self.uri));
        match self.qop {
            Some((nc, cnonce)) => self.algorithm.hex(&format!("{ha1}:{}:{nc}:{cnonce}:auth:{ha2}", self.nonce)),
            None => self.algorithm.hex(&format!("{ha1}:{}:{ha2}", self.nonce)),
        }
    }
}

/// Parameters of a `Digest …` header; `None` for other schemes or broken syntax.
fn fields(value: &str) -> Option<Vec<(String, String)>> {
    let (scheme, rest) = value.trim().split_once(|c: char| c.is_whitespace())?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let mut fields = Vec::new();
    for part in split_outside(rest, ',')? {
        if part.trim().is_empty() {
            continue;
        }
        let (name, value) = part.split_once('=')?;
        fields.push((name.trim().to_ascii_lowercase(), unquote(value.trim())));
    }
    Some(fields)
}

fn take(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
}

/// An `Authorization` or `Proxy-Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    pub response: String,
    pub algorithm: Algorithm,
    /// Count as written and as a number, client nonce.
    pub qop: Option<(String, u32, String)>,
}

impl Answer {
    pub fn parse(value: &str) -> Option<Answer> {
        let f = fields(value)?;
        let qop = match take(&f, "qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc = take(&f, "nc")?;
                if nc.len() != 8 || !nc.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                let count = u32::from_str_radix(&nc, 16).ok()?;
                Some((nc, count, take(&f, "cnonce").filter(|c| !c.is_empty())?))
            }
            Some(_) => return None,
            None => None,
        };
        Some(Answer {
            username: take(&f, "username")?,
            realm: take(&f, "realm")?,
            nonce: take(&f, "nonce")?,
            uri: take(&f, "uri")?,
            response: take(&f, "response")?.to_ascii_lowercase(),
            algorithm: Algorithm::parse(&take(&f, "algorithm").unwrap_or_else(|| "MD5".to_owned()))?,
            qop,
        })
    }
}

/// A `WWW-Authenticate` or `Proxy-Authenticate` header, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    pub qop: bool,
    pub stale: bool,
}

impl Challenge {
    pub fn parse(value: &str) -> Option<Challenge> {
        let f = fields(value)?;
        let qop = take(&f, "qop");
        let offers_auth = |q: &str| q.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth"));
        if qop.as_deref().is_some_and(|q| !offers_auth(q)) {
            return None;
        }
        Some(Challenge {
            realm: take(&f, "realm")?,
            nonce: take(&f, "nonce")?,
            opaque: take(&f, "opaque"),
            algorithm: Algorithm::parse(&take(&f, "algorithm").unwrap_or_else(|| "MD5".to_owned()))?,
            qop: qop.is_some(),
            stale: take(&f, "stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// The strongest challenge we can answer.
    pub fn strongest<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
        let mut best: Option<Challenge> = None;
        for challenge in values.filter_map(Challenge::parse) {
            let better = challenge.algorithm == Algorithm::Sha256;
            if best.is_none() || better && best.as_ref().is_some_and(|b| b.algorithm == Algorithm::Md5) {
                best = Some(challenge);
            }
        }
        best
    }

    /// The header value that answers it.
    pub fn answer(&self, who: (&str, &str), method: &str, uri: &str, count: u32, cnonce: &str) -> String {
        let (username, password) = who;
        let nc = format!("{count:08x}");
        let proof = Proof {
            algorithm: self.algorithm,
            method,
            uri,
            nonce: &self.nonce,
            qop: self.qop.then_some((nc.as_str(), cnonce)),
        };
        let response = proof.response(&ha1(self.algorithm, username, &self.realm, password));
        let mut out = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}",
            quote(username),
            quote(&self.realm),
            quote(&self.nonce),
            quote(uri),
            self.algorithm.name()
        );
        if self.qop {
            out.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            out.push_str(&format!(", opaque={}", quote(opaque)));
        }
        out
    }
}

/// Compares without leaking where the texts differ.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0u8, |acc, (x, y)| acc | (x ^ y))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        let proof = Proof {
            algorithm: Algorithm::Md5,
            method: "GET",
            uri: "/dir/index.html",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: Some(("00000001", "0a4f113b")),
        };
        let ha1 = ha1(Algorithm::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(ha1, "939e7578ed9e3c518a452acee763bce9");
        assert_eq!(proof.response(&ha1), "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        for (algorithm, expected) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let proof = Proof {
                algorithm,
                method: "GET",
                uri: "/dir/index.html",
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                qop: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
            };
            let ha1 = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
            assert_eq!(proof.response(&ha1), expected);
        }
    }

    #[test]
    fn nonce_counts_are_hexadecimal() {
        let header = |nc: &str| {
            format!(
                "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"00\", \
                 qop=auth, nc={nc}, cnonce=\"c\""
            )
        };
        assert_eq!(Answer::parse(&header("0000000a")).unwrap().qop.unwrap().1, 10);
        assert_eq!(Answer::parse(&header("00000100")).unwrap().qop.unwrap().1, 256);
        assert!(Answer::parse(&header("1")).is_none());
    }

    #[test]
    fn sha_256_is_preferred_and_unknown_algorithms_are_skipped() {
        let offers = [
            "Digest realm=\"r\", nonce=\"a\", algorithm=MD5, qop=\"auth\"",
            "Digest realm=\"r\", nonce=\"b\", algorithm=SHA-512-256, qop=\"auth\"",
            "Digest realm=\"r\", nonce=\"c\", algorithm=SHA-256, qop=\"auth-int,auth\"",
        ];
        assert_eq!(Challenge::strongest(offers.into_iter()).unwrap().nonce, "c");
    }

    proptest! {
        #[test]
        fn an_answer_survives_printing_and_parsing(user in "[ -~]{1,20}", realm in "[ -~]{1,20}", count in 1u32..) {
            let challenge = Challenge {
                realm: realm.clone(), nonce: "n\"o".into(), opaque: Some("o".into()),
                algorithm: Algorithm::Sha256, qop: true, stale: false,
            };
            let answer = Answer::parse(&challenge.answer((&user, "pw"), "INVITE", "sip:x@y", count, "abc"));
            let answer = answer.unwrap();
            prop_assert_eq!(answer.username, user);
            prop_assert_eq!(answer.realm, realm);
            prop_assert_eq!(answer.qop.unwrap().1, count);
        }

        #[test]
        fn arbitrary_headers_never_panic(text in "\\PC{0,200}") {
            let _ = Answer::parse(&text);
            let _ = Challenge::parse(&format!("Digest {text}"));
        }
    }
}

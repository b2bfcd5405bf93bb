//! Access tokens of browsers (Plivo's browser SDK): a JWT (RFC 7519) signed with the account's token by HMAC-SHA256, in place of a
//! password. The subject is an endpoint of the account that issued it.
//!
//! Both ways in which Plivo's libraries write grants are read: `per.voice` and `grants.voice`.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// Longest time that a token may be good, seconds (Plivo: a day).
const LONGEST: i64 = 24 * 3600;
/// How far clocks may differ, seconds.
const SKEW: i64 = 30;

/// Why a token is refused. Its number is what the SDK reads in `X-Plivo-Jwt-Error-Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is no JWT.
    #[error("it is no JSON Web Token; make it with the access token class of a Plivo library")]
    Malformed = 10_001,
    /// Its header is not what it must be.
    #[error("its header must say typ JWT, alg HS256, cty plivo;v=1")]
    Header = 10_002,
    /// Its issuer is not the account of the user name.
    #[error("its issuer is no enabled account of this server, or another than the user name says")]
    Issuer = 10_003,
    /// Its subject is no endpoint.
    #[error("its subject is no enabled endpoint of the account; create one with that user name")]
    Subject = 10_004,
    /// It is not good yet.
    #[error("it is not valid yet; compare the clocks")]
    NotYet = 10_005,
    /// It is no longer good.
    #[error("it has expired")]
    Expired = 10_006,
    /// It was signed with another key.
    #[error("its signature is not the account's; sign it with the account's auth token")]
    Signature = 10_007,
    /// It does not grant this.
    #[error("it does not grant this: calls out need outgoing_allow, registrations incoming_allow or outgoing_allow")]
    Grants = 10_008,
    /// It is good for too long.
    #[error("it is valid for more than 24 hours")]
    TooLong = 10_009,
}

/// What is asked with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Register,
    Call,
}

/// A token that has been read, and not proved.
pub(crate) struct AccessToken<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: String,
    #[serde(default)]
    cty: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    sub: String,
    nbf: i64,
    exp: i64,
    #[serde(default, alias = "grants")]
    per: Permissions,
}

#[derive(Default, Deserialize)]
struct Permissions {
    #[serde(default)]
    voice: Voice,
}

#[derive(Default, Deserialize)]
struct Voice {
    #[serde(default)]
    incoming_allow: bool,
    #[serde(default)]
    outgoing_allow: bool,
}

fn decoded(part: &str) -> Result<Vec<u8>, Refusal> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}

impl<'a> AccessToken<'a> {
    pub(crate) fn read(token: &'a str) -> Result<Self, Refusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Refusal::Malformed)?;
        if header.alg != "HS256" || !header.typ.eq_ignore_ascii_case("JWT") || header.cty != "plivo;v=1" {
            return Err(Refusal::Header);
        }
        let claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| Refusal::Malformed)?;
        Ok(Self { signed, signature: decoded(signature)?, claims })
    }

    /// The auth id of the account that issued it.
    pub(crate) fn issuer(&self) -> &str {
        &self.claims.iss
    }

    /// The user name of the endpoint that it is for.
    pub(crate) fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// Until when it is good, seconds since 1970.
    pub(crate) fn expires(&self) -> i64 {
        self.claims.exp
    }

    /// Whether whoever registers with it may be called.
    pub(crate) fn rings(&self) -> bool {
        self.claims.per.voice.incoming_allow
    }

    /// Whether it is what it says: signed with the account's token, good at `now` (seconds since 1970), for `username` and for
    /// what is wanted.
    pub(crate) fn verify(&self, key: &str, username: &str, wanted: Wanted, now: i64) -> Result<(), Refusal> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| Refusal::Signature)?;
        mac.update(self.signed.as_bytes());
        mac.verify_slice(&self.signature).map_err(|_| Refusal::Signature)?;
        let Claims { iss, sub, nbf, exp, per } = &self.claims;
        if username.strip_suffix(iss.as_str()).and_then(|start| start.strip_suffix('_')) != Some(sub.as_str()) {
            return Err(Refusal::Issuer);
        }
        if exp.saturating_sub(*nbf) > LONGEST {
            return Err(Refusal::TooLong);
        }
        if now < nbf.saturating_sub(SKEW) {
            return Err(Refusal::NotYet);
        }
        if now >= *exp {
            return Err(Refusal::Expired);
        }
        let Voice { incoming_allow, outgoing_allow } = per.voice;
        let granted = match wanted {
            Wanted::Register => incoming_allow || outgoing_allow,
            Wanted::Call => outgoing_allow,
        };
        if granted { Ok(()) } else { Err(Refusal::Grants) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "the account's token";
    const NOW: i64 = 1_700_000_000;

    fn token(header: &Value, claims: &Value, key: &str) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn header() -> Value {
        json!({ "alg": "HS256", "typ": "JWT", "cty": "plivo;v=1" })
    }

    fn claims(grants: &str, voice: Value) -> Value {
        json!({ "iss": "MA1", "sub": "alice", "nbf": NOW - 10, "exp": NOW + 600, grants: { "voice": voice } })
    }

    fn judged(claims: &Value, username: &str, wanted: Wanted) -> Result<(), Refusal> {
        AccessToken::read(&token(&header(), claims, KEY)).and_then(|token| token.verify(KEY, username, wanted, NOW))
    }

    fn rings(claims: &Value) -> bool {
        AccessToken::read(&token(&header(), claims, KEY)).is_ok_and(|token| token.rings())
    }

    #[test]
    fn both_ways_of_writing_grants_are_read_and_nothing_is_granted_that_is_not_said() {
        for grants in ["per", "grants"] {
            let both = claims(grants, json!({ "incoming_allow": true, "outgoing_allow": true }));
            assert_eq!(judged(&both, "alice_MA1", Wanted::Call), Ok(()));
            assert!(rings(&both));
            let outgoing = claims(grants, json!({ "outgoing_allow": true }));
            assert!(judged(&outgoing, "alice_MA1", Wanted::Register).is_ok() && !rings(&outgoing));
            let incoming = claims(grants, json!({ "incoming_allow": true }));
            assert_eq!(judged(&incoming, "alice_MA1", Wanted::Register), Ok(()));
            assert_eq!(judged(&incoming, "alice_MA1", Wanted::Call), Err(Refusal::Grants));
            assert_eq!(judged(&claims(grants, json!({})), "alice_MA1", Wanted::Register), Err(Refusal::Grants));
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_name_and_time_alone() {
        let good = claims("per", json!({ "incoming_allow": true }));
        for other in ["bob_MA1", "alice_MA2", "alice", "x_alice_MA1", ""] {
            assert_eq!(judged(&good, other, Wanted::Register), Err(Refusal::Issuer), "{other}");
        }
        let changed = |name: &str, value: i64| {
            let mut claims = good.clone();
            claims[name] = json!(value);
            judged(&claims, "alice_MA1", Wanted::Register)
        };
        assert_eq!(changed("exp", NOW), Err(Refusal::Expired));
        assert_eq!(changed("nbf", NOW + 31), Err(Refusal::NotYet));
        assert_eq!(changed("exp", NOW + 2 * 24 * 3600), Err(Refusal::TooLong));
        assert_eq!(changed("exp", i64::MAX), Err(Refusal::TooLong));
        assert_eq!(changed("nbf", i64::MIN), Err(Refusal::TooLong));
    }

    #[test]
    fn a_token_that_another_signed_or_nobody_is_refused() {
        let good = claims("per", json!({ "incoming_allow": true }));
        let strangers = token(&header(), &good, "another token");
        let judged = AccessToken::read(&strangers).and_then(|t| t.verify(KEY, "alice_MA1", Wanted::Register, NOW));
        assert_eq!(judged, Err(Refusal::Signature));
        let none = token(&json!({ "alg": "none", "typ": "JWT", "cty": "plivo;v=1" }), &good, KEY);
        assert_eq!(AccessToken::read(&none).err(), Some(Refusal::Header));
        let whole = token(&header(), &good, KEY);
        let cut = whole.rsplit_once('.').expect("three parts").0;
        for broken in ["", "a", "a.b", "a.b.c", "..", cut] {
            assert_eq!(AccessToken::read(broken).err(), Some(Refusal::Malformed), "{broken}");
        }
    }
}

//! Digest authentication as a client (RFC 7616, RFC 8760): MD5 and SHA-256, qop `auth` or none.

use sha2::Digest as _;

use super::token;

/// Hash of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Self::Md5 => hex(&md5::Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(&sha2::Sha256::digest(text.as_bytes())),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }
}

/// A challenge from WWW-Authenticate or Proxy-Authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Hash.
    pub algorithm: Algorithm,
    /// Realm.
    pub realm: String,
    /// Nonce.
    pub nonce: String,
    /// Opaque, to be returned.
    pub opaque: Option<String>,
    /// `auth` is offered.
    pub qop: bool,
    /// The nonce was too old, the password was right.
    pub stale: bool,
}

/// Parameters `name=value, name="value"` of a credentials or challenge value.
pub fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        found.push((name.trim_matches([' ', ',', '\t']).to_ascii_lowercase(), value.trim().to_owned()));
        rest = next.trim_start().trim_start_matches(',');
    }
    found
}

impl Challenge {
    /// Reads one header value; `None` if it is not Digest or uses an unknown algorithm.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let parameters = parameters(rest);
        let get = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let algorithm = match get("algorithm").map(|a| a.to_ascii_uppercase()).as_deref() {
            None | Some("MD5") => Algorithm::Md5,
            Some("SHA-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        Some(Self {
            algorithm,
            realm: get("realm")?,
            nonce: get("nonce")?,
            opaque: get("opaque"),
            qop: get("qop").is_some_and(|q| q.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth"))),
            stale: get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// The strongest challenge among header values.
    pub fn strongest<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        values.filter_map(Self::parse).max_by_key(|c| c.algorithm)
    }
}

/// Who authenticates what.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// User name.
    pub username: &'a str,
    /// Password.
    pub password: &'a str,
    /// Method of the request.
    pub method: &'a str,
    /// Its Request-URI.
    pub uri: &'a str,
}

/// The `response` value for given nonce count and client nonce (`None`: challenge without qop).
pub fn response(challenge: &Challenge, who: Credentials<'_>, qop: Option<(u32, &str)>) -> String {
    let h = |text: String| challenge.algorithm.hash(&text);
    let ha1 = h(format!("{}:{}:{}", who.username, challenge.realm, who.password));
    let ha2 = h(format!("{}:{}", who.method, who.uri));
    match qop {
        Some((count, cnonce)) => h(format!("{ha1}:{}:{count:08x}:{cnonce}:auth:{ha2}", challenge.nonce)),
        None => h(format!("{ha1}:{}:{ha2}", challenge.nonce)),
    }
}

/// An Authorization (or Proxy-Authorization) value; `count` is how often this nonce was used, this time included.
pub fn authorization(challenge: &Challenge, who: Credentials<'_>, count: u32) -> String {
    let cnonce = token(16);
    let qop = challenge.qop.then_some((count, cnonce.as_str()));
    let mut value = format!(
        "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{}\", algorithm={}",
        who.username,
        challenge.realm,
        challenge.nonce,
        who.uri,
        response(challenge, who, qop),
        challenge.algorithm.name()
    );
    if qop.is_some() {
        value.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""));
    }
    if let Some(opaque) = &challenge.opaque {
        value.push_str(&format!(", opaque=\"{opaque}\""));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_7616_example_of_both_algorithms() {
        let mut challenge = Challenge::parse(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        )
        .unwrap();
        let who = Credentials { username: "Mufasa", password: "Circle of Life", method: "GET", uri: "/dir/index.html" };
        let qop = Some((1, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"));
        assert_eq!(response(&challenge, who, qop), "8ca523f5e9506fed4657c9700eebdbec");
        challenge.algorithm = Algorithm::Sha256;
        assert_eq!(response(&challenge, who, qop), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    #[test]
    fn the_stronger_known_challenge_is_taken() {
        let values = [
            "Basic realm=\"x\"",
            "Digest realm=\"r\", nonce=\"1\"",
            "Digest realm=\"r\", nonce=\"2\", algorithm=SHA-256",
            "Digest realm=\"r\", nonce=\"3\", algorithm=SHA-512",
        ];
        let best = Challenge::strongest(values.into_iter()).unwrap();
        assert_eq!((best.algorithm, best.nonce.as_str(), best.qop), (Algorithm::Sha256, "2", false));
        assert!(Challenge::strongest(["Digest realm=\"r"].into_iter()).is_none());
    }
}

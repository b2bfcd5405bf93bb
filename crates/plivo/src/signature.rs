//! The signatures of outgoing requests, versions 3 and 2.
//!
//! The validators of the seven official SDKs disagree about ports, percent-decoding and empty parameters, but all of
//! version 3 split the header at commas and accept any match. So the canonical value goes first and what the others
//! would have computed follows. Version 2 is compared as a whole and has one value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use call::dialect::{Params, SigningKeys};
use call::verb::Method;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The headers that sign a request, with a fresh nonce of 20 digits.
pub fn sign(keys: &SigningKeys, method: Method, url: &str, params: &Params) -> Vec<(String, String)> {
    let nonce = format!("{:020}", uuid::Uuid::new_v4().as_u128() % 100_000_000_000_000_000_000);
    sign_with(keys, method, url, params, &nonce)
}

/// As [`sign`], with this nonce.
pub fn sign_with(keys: &SigningKeys, method: Method, url: &str, params: &Params, nonce: &str) -> Vec<(String, String)> {
    let texts = v3_texts(method, url, params);
    let v3 = |token: &str| {
        let mut values: Vec<String> = Vec::new();
        for text in &texts {
            let value = mac(token, &format!("{text}.{nonce}"));
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.join(",")
    };
    let v2 = |token: &str| mac(token, &format!("{}{nonce}", Parts::of(url).base(true)));
    vec![
        ("X-Plivo-Signature-V3".to_owned(), v3(&keys.token)),
        ("X-Plivo-Signature-Ma-V3".to_owned(), v3(&keys.main_token)),
        ("X-Plivo-Signature-V3-Nonce".to_owned(), nonce.to_owned()),
        ("X-Plivo-Signature-V2".to_owned(), v2(&keys.token)),
        ("X-Plivo-Signature-Ma-V2".to_owned(), v2(&keys.main_token)),
        ("X-Plivo-Signature-V2-Nonce".to_owned(), nonce.to_owned()),
    ]
}

fn mac(token: &str, text: &str) -> String {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(token.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        },
    )
}

/// Everything that some validator computes the value from; the canonical text first.
fn v3_texts(method: Method, url: &str, params: &Params) -> Vec<String> {
    let parts = Parts::of(url);
    let posted = match method {
        Method::Post if !params.is_empty() => Some(concatenated(params)),
        _ => None,
    };
    let queries = [parts.decoded_query(), parts.raw_query()];
    let mut texts = Vec::new();
    let mut add = |text: String| {
        if !texts.contains(&text) {
            texts.push(text);
        }
    };
    for with_port in [true, false] {
        // A server that rebuilds the URL from the request sees `/` where the URL had no path.
        let slashes: &[&str] = if parts.path.is_empty() { &["", "/"] } else { &[""] };
        for slash in slashes {
            let base = format!("{}{slash}", parts.base(with_port));
            for query in &queries {
                match &posted {
                    Some(posted) => {
                        let dot = if query.is_empty() { "" } else { "." };
                        add(format!("{base}?{query}{dot}{posted}"));
                    }
                    None => {
                        add(if query.is_empty() { base.clone() } else { format!("{base}?{query}") });
                        add(format!("{base}?{query}"));
                        add(format!("{base}?{query}."));
                    }
                }
            }
        }
    }
    texts
}

/// Keys with their values, sorted by both, without separators.
fn concatenated(params: &Params) -> String {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort();
    sorted.into_iter().fold(String::new(), |text, (key, value)| text + key + value)
}

/// A URL as it is written, in parts. It is not normalised: both sides work on the text.
struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Self {
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.find('/').map_or((place, ""), |slash| place.split_at(slash));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Self { scheme, host, path, query }
    }

    fn base(&self, with_port: bool) -> String {
        let host = match self.host.rsplit_once(':') {
            Some((name, port)) if !with_port && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => self.host,
        };
        format!("{}://{host}{}", self.scheme, self.path)
    }

    /// Decoded and sorted by key, then value; not encoded again.
    fn decoded_query(&self) -> String {
        let mut pairs: Vec<_> = url::form_urlencoded::parse(self.query.as_bytes()).collect();
        pairs.sort();
        pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
    }

    /// Sorted, but as it is written.
    fn raw_query(&self) -> String {
        let mut pairs: Vec<_> = self
            .query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        pairs.sort_unstable();
        pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
    }
}

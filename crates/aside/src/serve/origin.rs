//! Whose pages may open a WebSocket here. A browser sends the origin of the page with each; without a look at it, any page that
//! somebody visits could use whatever his network lets him reach.

use axum::http::{HeaderMap, header};

/// A scheme, a host in lower case, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

/// An origin as browsers write it (RFC 6454 §6.1): `https://desk.example.com`, with a port where it is not the scheme's own.
pub fn parse(text: &str) -> Option<Origin> {
    let (secure, rest) = match text.split_once("://")? {
        ("https", rest) => (true, rest),
        ("http", rest) => (false, rest),
        _ => return None,
    };
    let (host, port) = authority(rest)?;
    Some(Origin { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }) })
}

/// Host and port of `host[:port]`.
fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let inner = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'-' | b'_')
            || (host.len() != inner.len() && byte == b':')
    };
    (!inner.is_empty() && inner.len() <= 255 && inner.bytes().all(allowed)).then(|| (host.to_ascii_lowercase(), port))
}

/// Which origins are let in.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    others: Vec<Origin>,
}

impl Origins {
    /// This server's own pages, and those of `others`.
    pub fn new(others: &[String]) -> Self {
        Self { others: others.iter().filter_map(|text| parse(text)).collect() }
    }

    /// Whether a request with these headers may go on; `secure`: it came over TLS. One without an origin comes from no browser.
    pub fn permit(&self, headers: &HeaderMap, secure: bool) -> bool {
        let mut given = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = given.next() else { return true };
        let Some(origin) = origin.to_str().ok().and_then(parse).filter(|_| given.next().is_none()) else {
            return false;
        };
        self.others.contains(&origin) || own(headers, secure) == Some(origin.clone()) || {
            // A proxy before this listener may speak TLS to the browser and plain HTTP here.
            !secure
                && origin.secure
                && plain_host(headers)
                    .is_some_and(|(host, port)| host == origin.host && port.unwrap_or(443) == origin.port)
        }
    }
}

fn plain_host(headers: &HeaderMap) -> Option<(String, Option<u16>)> {
    headers.get(header::HOST)?.to_str().ok().and_then(authority)
}

/// The origin of pages of the host that the request names.
fn own(headers: &HeaderMap, secure: bool) -> Option<Origin> {
    let (host, port) = plain_host(headers)?;
    Some(Origin { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origins: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn pages_of_this_server_and_of_named_origins_are_let_in_and_no_others() {
        let origins = Origins::new(&["https://desk.example.com".to_owned()]);
        for (host, secure, origin) in [
            ("aside.example.com", true, "https://aside.example.com"),
            ("aside.example.com:8443", true, "https://aside.example.com:8443"),
            ("Aside.Example.Com", true, "https://aside.example.com"),
            ("127.0.0.1:8080", false, "http://127.0.0.1:8080"),
            ("[::1]:8080", false, "http://[::1]:8080"),
            // A TLS proxy before a plain listener.
            ("aside.example.com", false, "https://aside.example.com"),
            ("anything", true, "https://desk.example.com"),
        ] {
            assert!(origins.permit(&headers(host, &[origin]), secure), "{host} {secure} {origin}");
        }
        for (host, secure, given) in [
            ("aside.example.com", true, &["http://aside.example.com"][..]),
            ("aside.example.com:8443", true, &["https://aside.example.com"]),
            ("aside.example.com", true, &["https://evil.example"]),
            ("aside.example.com", true, &["https://aside.example.com.evil.example"]),
            ("aside.example.com", true, &["https://aside.example.com", "https://evil.example"]),
            ("aside.example.com", true, &["null"]),
            ("aside.example.com", true, &[""]),
            ("aside.example.com", true, &["file://"]),
            ("aside.example.com", true, &["https://user@aside.example.com"]),
            ("aside.example.com", true, &["https://aside.example.com/"]),
            ("127.0.0.1:8080", false, &["http://127.0.0.1:8081"]),
        ] {
            assert!(!origins.permit(&headers(host, given), secure), "{host} {secure} {given:?}");
        }
    }

    #[test]
    fn a_program_without_an_origin_is_let_in() {
        assert!(Origins::default().permit(&headers("aside.example.com", &[]), true));
    }
}

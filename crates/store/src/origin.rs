//! The origin of a URL: scheme, host and port.

use crate::error::{Result, StoreError};

/// Scheme, host and port of an absolute `http` or `https` URL, in lower case, the port always given. Two URLs with the same
/// origin share a lane; whether a URL may be requested at all is decided by whoever sends it.
pub(crate) fn origin(url: &str) -> Result<String> {
    let invalid = || StoreError::Invalid {
        what: "callback URL",
        why: "it must be an absolute http:// or https:// URL with a host".to_owned(),
    };
    let (scheme, rest) = url.trim().split_once("://").ok_or_else(invalid)?;
    let scheme = scheme.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Err(invalid()),
    };
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (name, port) = match host.rsplit_once(':') {
        // The colons of an IPv6 address are inside brackets.
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    let port = if port.is_empty() { default } else { port.parse::<u16>().map_err(|_| invalid())? };
    if name.is_empty() {
        return Err(invalid());
    }
    Ok(format!("{scheme}://{}:{port}", name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn urls_of_one_server_share_an_origin() {
        for url in [
            "https://a.example",
            "https://A.example:443/x",
            "HTTPS://user:pw@a.example/?q#f",
            "https://a.example?x=http://b",
        ] {
            assert_eq!(origin(url).as_deref(), Ok("https://a.example:443"), "{url}");
        }
        assert_eq!(origin("http://[2001:DB8::1]:8080/").as_deref(), Ok("http://[2001:db8::1]:8080"));
        assert_eq!(origin("http://[::1]/").as_deref(), Ok("http://[::1]:80"));
        assert_eq!(origin("http://a.example\\@b.example/").as_deref(), Ok("http://a.example:80"));
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for url in
            ["", "a.example", "ftp://a.example", "https://", "https:///x", "http://a.example:99999", "http://a:b:c"]
        {
            assert!(origin(url).is_err(), "{url} should be refused");
        }
    }
}

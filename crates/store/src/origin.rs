//! The origin of a URL: scheme, host and port.

use url::Url;

/// Scheme, host and port of an absolute `http` or `https` URL, as the URL standard normalises them (WHATWG URL), the port always
/// given; `None` for anything else. Two URLs with the same origin share a lane; whether a URL may be requested at all is decided by
/// whoever sends it, who reads it by the same rules.
pub(crate) fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(format!("{}://{host}:{}", url.scheme(), url.port_or_known_default()?))
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
            " https://a.example ",
        ] {
            assert_eq!(origin(url).as_deref(), Some("https://a.example:443"), "{url}");
        }
        assert_eq!(origin("http://[2001:DB8::1]:8080/").as_deref(), Some("http://[2001:db8::1]:8080"));
        assert_eq!(origin("http://[::1]/").as_deref(), Some("http://[::1]:80"));
        assert_eq!(origin("http://a.example\\@b.example/").as_deref(), Some("http://a.example:80"));
    }

    #[test]
    fn spellings_that_the_sender_understands_have_an_origin() {
        for url in ["http:/a.b", "http:a.b", "http:///a.b", "http:\\\\a.b"] {
            assert_eq!(origin(url).as_deref(), Some("http://a.b:80"), "{url}");
        }
        assert_eq!(origin("https:\\\\a.b").as_deref(), Some("https://a.b:443"));
    }

    #[test]
    fn what_is_no_web_address_has_none() {
        for url in ["", "a.example", "ftp://a.example", "https://", "http://a.example:99999", "http://a:b:c", "/x"] {
            assert_eq!(origin(url), None, "{url}");
        }
    }
}

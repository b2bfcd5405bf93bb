//! SIP URIs (RFC 3261 §19.1). The text of every part is kept as it was received: escapes are decoded only when
//! somebody asks for the meaning, and never written twice.

use std::fmt;
use std::net::IpAddr;

/// A `sip:` or `sips:` URI, parts as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// `sips:` instead of `sip:`.
    pub secure: bool,
    /// User part, still escaped. Includes user parameters and a password, if any.
    pub userinfo: Option<String>,
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// Port, if one was written.
    pub port: Option<u16>,
    /// Parameters in order, still escaped.
    pub params: Vec<(String, Option<String>)>,
    /// The text after `?`, if any.
    pub headers: Option<String>,
}

/// Why a text is not a URI we can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriFault {
    /// Neither `sip:` nor `sips:`.
    #[error("the URI scheme is not sip or sips")]
    Scheme,
    /// White space, brackets or control characters.
    #[error("the URI holds characters that must be escaped")]
    Character,
    /// Empty or malformed host.
    #[error("the URI's host is malformed")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the URI's port is not a number from 1 to 65535")]
    Port,
    /// `%` without two hexadecimal digits.
    #[error("the URI holds a broken percent escape")]
    Escape,
}

impl Uri {
    /// Parses a URI without the angle brackets.
    pub fn parse(text: &str) -> Result<Uri, UriFault> {
        let (scheme, rest) = text.split_once(':').ok_or(UriFault::Scheme)?;
        let secure = if scheme.eq_ignore_ascii_case("sip") {
            false
        } else if scheme.eq_ignore_ascii_case("sips") {
            true
        } else {
            return Err(UriFault::Scheme);
        };
        if rest.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"')) {
            return Err(UriFault::Character);
        }
        check_escapes(rest)?;
        // '@' cannot appear unescaped after the host, so the first one ends the user part (which may hold ';' and '?').
        let (userinfo, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        if userinfo.as_deref() == Some("") || rest.contains('@') {
            return Err(UriFault::Character);
        }
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let mut parts = rest.split(';');
        let (host, port) = split_host_port(parts.next().unwrap_or(""))?;
        let mut params = Vec::new();
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) => params.push((name.to_owned(), Some(value.to_owned()))),
                None if part.is_empty() => {}
                None => params.push((part.to_owned(), None)),
            }
        }
        Ok(Uri { secure, userinfo, host, port, params, headers })
    }

    /// Builds `sip:user@host` from a *decoded* user, escaping what RFC 3261 §25.1 does not allow in a user part.
    pub fn new(user: &str, host: &str, port: Option<u16>) -> Uri {
        Uri {
            secure: false,
            userinfo: (!user.is_empty()).then(|| escape_user(user)),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            params: Vec::new(),
            headers: None,
        }
    }

    /// The decoded user, without user parameters and password; empty when there is none.
    pub fn user(&self) -> String {
        let raw = self.userinfo.as_deref().unwrap_or("");
        let raw = raw.split(':').next().unwrap_or("");
        decode(raw)
    }

    /// The host as an address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The value of a parameter (empty if it is a flag).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_deref().unwrap_or(""))
    }

    /// Whether `transport=tcp` is asked for.
    pub fn wants_tcp(&self) -> bool {
        self.secure || self.param("transport").is_some_and(|t| t.eq_ignore_ascii_case("tcp"))
    }

    /// Same user, host and port by meaning (RFC 3261 §19.1.4 without parameters).
    pub fn same_place(&self, other: &Uri) -> bool {
        self.user() == other.user()
            && self.host.eq_ignore_ascii_case(&other.host)
            && self.port.unwrap_or(5060) == other.port.unwrap_or(5060)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.userinfo {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        if let Some(headers) = &self.headers {
            write!(f, "?{headers}")?;
        }
        Ok(())
    }
}

/// Splits `host[:port]`, with IPv6 in brackets.
pub(crate) fn split_host_port(text: &str) -> Result<(String, Option<u16>), UriFault> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UriFault::Host)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| UriFault::Host)?;
        let port = match rest.trim() {
            "" => None,
            rest => Some(rest.strip_prefix(':').ok_or(UriFault::Host)?),
        };
        (host, port)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let host = host.trim();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 255 || !host.chars().all(legal) {
        return Err(UriFault::Host);
    }
    let port = match port.map(str::trim) {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Some(port),
            _ => return Err(UriFault::Port),
        },
    };
    Ok((host.to_owned(), port))
}

fn check_escapes(text: &str) -> Result<(), UriFault> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'%' {
            let digits = bytes.get(at + 1..at + 3).unwrap_or(&[]);
            if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err(UriFault::Escape);
            }
        }
    }
    Ok(())
}

/// Decodes percent escapes; a broken escape stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        match escaped {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn escape_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte as char),
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => out.push(byte as char),
            b'&' | b'=' | b'+' | b'$' | b',' | b'/' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_uri_prints_exactly_as_it_was_received() {
        for text in [
            "sip:%2B1555@h",
            "sip:+1555%23@h:5070;transport=tcp",
            "sip:user;par=u%40example.net@example.com",
            "sip:sips%3Auser%40example.com@example.net",
            "sips:I%20have%20spaces@[2001:db8::1]:5061;lr",
            "sip:null-%00-null@example.com",
        ] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Uri::parse("sip:I%20have@h").unwrap().user(), "I have");
        assert_eq!(Uri::new("a b@c#", "h", None).to_string(), "sip:a%20b%40c%23@h");
    }

    #[test]
    fn malformed_uris_are_refused() {
        assert_eq!(Uri::parse("tel:+1"), Err(UriFault::Scheme));
        assert_eq!(Uri::parse("sip:a b@h"), Err(UriFault::Character));
        assert_eq!(Uri::parse("sip:a@h:99999"), Err(UriFault::Port));
        assert_eq!(Uri::parse("sip:a%4@h"), Err(UriFault::Escape));
        assert_eq!(Uri::parse("sip:a@"), Err(UriFault::Host));
        assert_eq!(Uri::parse("sip:a@[::zz]"), Err(UriFault::Host));
        assert_eq!(Uri::parse("sip:a@h\r\nX: y"), Err(UriFault::Character));
    }
}

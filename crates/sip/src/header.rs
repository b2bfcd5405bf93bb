//! Header field values: addresses, Via, parameters, and the table of compact names (RFC 3261 §7.3.3, §20, §25.1).

use std::net::{IpAddr, SocketAddr};

use crate::uri::{Uri, split_host_port};

/// Long form of a compact header name, or `None` if the name is not compact.
pub(crate) fn long_name(name: &str) -> Option<&'static str> {
    let letter = match name.as_bytes() {
        [b] => b.to_ascii_lowercase(),
        _ => return None,
    };
    Some(match letter {
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        _ => return None,
    })
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Splits at `separator` outside quotes and angle brackets; `None` when a quote or bracket never closes.
pub(crate) fn split_outside(text: &str, separator: char) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut angle, mut escaped) = (0, false, false, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if quoted {
            match c {
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
        } else if c == '"' {
            quoted = true;
        } else if c == '<' && !angle {
            angle = true;
        } else if c == '>' {
            angle = false;
        } else if c == separator && !angle {
            parts.push(text.get(start..at)?);
            start = at + c.len_utf8();
        }
    }
    if quoted || angle {
        return None;
    }
    parts.push(text.get(start..)?);
    Some(parts)
}

/// Header parameters, in order: `;name=value;flag`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// Parses the text that follows the first `;`.
    pub fn parse(text: &str) -> Option<Params> {
        let mut params = Vec::new();
        for part in split_outside(text, ';')? {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
                None => (part, None),
            };
            if !is_token(name) {
                return None;
            }
            params.push((name.to_owned(), value));
        }
        Some(Params(params))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_deref().unwrap_or(""))
    }
}

/// `"Display" <uri>;params`, as in From, To, Contact, Route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameAddr {
    /// Display name, unquoted.
    pub display: String,
    /// The URI's text.
    pub uri: String,
    pub params: Params,
}

impl NameAddr {
    /// `None` for anything that is not well-formed (unbalanced quotes, spaces in the URI, separators in a bare display name).
    pub fn parse(text: &str) -> Option<NameAddr> {
        let text = text.trim();
        let (display, rest) = if text.starts_with('"') {
            let end = closing_quote(text)?;
            (unquote(text.get(..=end)?), text.get(end + 1..)?.trim_start())
        } else if let Some((display, _)) = text.split_once('<') {
            let display = display.trim();
            if display.contains([',', '"', ';', '>', '@']) {
                return None;
            }
            (display.to_owned(), text.get(text.find('<')?..)?)
        } else {
            (String::new(), text)
        };
        let (uri, params) = if let Some(rest) = rest.strip_prefix('<') {
            let (uri, rest) = rest.split_once('>')?;
            let rest = rest.trim();
            let params = match rest.strip_prefix(';') {
                Some(rest) => Params::parse(rest)?,
                None if rest.is_empty() => Params::default(),
                None => return None,
            };
            (uri, params)
        } else {
            if !display.is_empty() || rest.starts_with('"') {
                return None;
            }
            // Without brackets everything after ';' belongs to the header, and '?' or ',' are not allowed (§20.10).
            let (uri, params) = match rest.split_once(';') {
                Some((uri, rest)) => (uri.trim(), Params::parse(rest)?),
                None => (rest, Params::default()),
            };
            if uri.contains(['?', ',']) {
                return None;
            }
            (uri, params)
        };
        if uri.is_empty() || uri.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"')) {
            return None;
        }
        Some(NameAddr { display, uri: uri.to_owned(), params })
    }

    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|t| !t.is_empty())
    }

    pub fn sip(&self) -> Option<Uri> {
        Uri::parse(&self.uri).ok()
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Content of a quoted string, escapes undone; a bare text is returned as it is.
pub(crate) fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// A quoted string; control characters become spaces so that nothing can end the line.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// One Via value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Via {
    pub transport: String,
    pub host: String,
    pub port: Option<u16>,
    pub params: Params,
}

impl Via {
    pub fn parse(text: &str) -> Option<Via> {
        let (head, params) = match text.split_once(';') {
            Some((head, rest)) => (head, Params::parse(rest)?),
            None => (text, Params::default()),
        };
        let mut fields = head.splitn(3, '/');
        let name = fields.next()?.trim();
        let version = fields.next()?.trim();
        let (transport, place) = fields.next()?.trim_start().split_once(|c: char| c.is_whitespace())?;
        if !name.eq_ignore_ascii_case("SIP") || version != "2.0" || !is_token(transport) {
            return None;
        }
        let (host, port) = split_host_port(place.trim()).ok()?;
        Some(Via { transport: transport.to_owned(), host, port, params })
    }

    pub fn branch(&self) -> &str {
        self.params.get("branch").unwrap_or("")
    }

    /// The Via as the response must carry it: `received` and `rport` filled in (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn stamped(mut self, source: SocketAddr) -> Via {
        let differs = self.host.parse::<IpAddr>().ok() != Some(source.ip());
        let asks = self.params.get("rport").is_some();
        self.params.0.retain(|(n, _)| !n.eq_ignore_ascii_case("received"));
        for (name, value) in &mut self.params.0 {
            if name.eq_ignore_ascii_case("rport") {
                *value = Some(source.port().to_string());
            }
        }
        if differs || asks {
            self.params.0.push(("received".to_owned(), Some(source.ip().to_string())));
        }
        self
    }

    /// Where a response over UDP goes: always the source's address; its port where `rport` was asked for (RFC 3581).
    pub fn reply_port(&self, source: SocketAddr) -> u16 {
        match self.params.get("rport") {
            Some(_) => source.port(),
            None => self.port.unwrap_or(5060),
        }
    }
}

impl std::fmt::Display for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "SIP/2.0/{} {host}", self.transport)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.params.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

/// Whether a comma separated header value holds `token`.
pub(crate) fn lists(value: &str, token: &str) -> bool {
    value.split(',').any(|v| v.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_legal_form_are_read() {
        let a = NameAddr::parse("\"J Rosenberg \\\\\\\"\"  <sip:jdrosen@example.com> ; tag = 98asjd8").unwrap();
        assert_eq!((a.display.as_str(), a.tag()), ("J Rosenberg \\\"", Some("98asjd8")));
        let a = NameAddr::parse("caller<sip:caller@example.com>;tag=323").unwrap();
        assert_eq!((a.display.as_str(), a.uri.as_str()), ("caller", "sip:caller@example.com"));
        let a = NameAddr::parse("sip:+16505552222@ss1.example.net;user=phone").unwrap();
        assert_eq!(a.params.get("user"), Some("phone"));
    }

    #[test]
    fn ambiguous_addresses_are_refused() {
        for bad in [
            "\"Mr. J. User <sip:j.user@example.com>",
            "\"Watson, Thomas\" < sip:t.watson@example.com >",
            "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "\"a\" \"b\" <sip:x@y>",
            "<sip:x@y",
            "",
        ] {
            assert_eq!(NameAddr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn via_is_stamped_with_the_true_source() {
        let via = Via::parse("SIP  /  2.0 / UDP 192.0.2.2:5070 ;rport;branch=z9hG4bK390skdjuw").unwrap();
        let source: SocketAddr = "198.51.100.7:4242".parse().unwrap();
        assert_eq!(via.reply_port(source), 4242);
        let text = via.stamped(source).to_string();
        assert_eq!(text, "SIP/2.0/UDP 192.0.2.2:5070;rport=4242;branch=z9hG4bK390skdjuw;received=198.51.100.7");
        assert!(Via::parse("SIP/2.0/UDP 192.0.2.15;;,;,,").is_none());
    }
}

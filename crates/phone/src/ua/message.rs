//! SIP messages: parse, build, and the header fields a phone needs.

use std::fmt;

/// Largest message accepted, bytes.
pub const MAX_MESSAGE: usize = 65_536;
/// Most header fields accepted.
const MAX_HEADERS: usize = 200;

/// Header fields in order. Names compare without case; compact forms are expanded when parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// All values of a field, top to bottom; comma-separated lists are not split.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Appends a field.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Replaces every occurrence by one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes every occurrence.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// All values of fields whose name begins with `prefix`, e.g. `X-PH-`.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let starts = |n: &str| n.get(..prefix.len()).is_some_and(|s| s.eq_ignore_ascii_case(prefix));
        self.0.iter().filter(|(n, _)| starts(n)).cloned().collect()
    }

    /// Sequence number and method of CSeq.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.get("CSeq")?.trim().split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// Branch of the top Via.
    pub fn branch(&self) -> Option<&str> {
        param(self.get("Via")?.split(',').next()?, "branch")
    }

    /// The tag of From or To.
    pub fn tag(&self, name: &str) -> Option<&str> {
        let value = self.get(name)?;
        // A tag follows the closing bracket; a quoted display name may contain anything.
        param(value.rsplit_once('>').map_or(value, |(_, after)| after), "tag")
    }
}

/// A parameter `;name=value` of a header value (unquoted).
pub fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|p| {
        let (n, v) = p.split_once('=').unwrap_or((p, ""));
        n.trim().eq_ignore_ascii_case(name).then(|| v.trim().trim_matches('"'))
    })
}

/// The URI of a name-addr or addr-spec, without brackets and header parameters.
pub fn uri_of(value: &str) -> &str {
    let unquoted = match value.trim_start().strip_prefix('"') {
        // Skip the display name; a backslash escapes the next character.
        Some(rest) => {
            let mut escaped = false;
            let end = rest.char_indices().find(|&(_, c)| {
                let stop = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                stop
            });
            end.and_then(|(i, _)| rest.get(i + 1..)).unwrap_or(rest)
        }
        None => value,
    };
    match unquoted.split_once('<') {
        Some((_, rest)) => rest.split_once('>').map_or(rest, |(uri, _)| uri),
        None => unquoted.split(';').next().unwrap_or(unquoted).trim(),
    }
}

/// User part of a SIP URI (as written, not unescaped).
pub fn user_of(uri: &str) -> Option<&str> {
    let rest = uri.split_once(':').map_or(uri, |(_, r)| r);
    rest.split_once('@').map(|(user, _)| user.split(':').next().unwrap_or(user))
}

/// Host and port of a SIP URI or Via sent-by.
pub fn host_port(uri: &str) -> Option<(&str, Option<u16>)> {
    let rest = uri.strip_prefix("sips:").or_else(|| uri.strip_prefix("sip:")).unwrap_or(uri);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let rest = rest.split([';', '?', '>']).next()?.trim();
    if let Some(v6) = rest.strip_prefix('[') {
        let (host, after) = v6.split_once(']')?;
        return Some((host, after.strip_prefix(':').and_then(|p| p.parse().ok())));
    }
    match rest.rsplit_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((rest, None)),
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Method, as written.
    pub method: String,
    /// Request-URI.
    pub uri: String,
    /// Header fields.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub code: u16,
    /// Reason phrase.
    pub reason: String,
    /// Header fields.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

/// Either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// Why bytes are not a SIP message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Over a limit.
    #[error("message over the limit of {MAX_MESSAGE} bytes or {MAX_HEADERS} header fields")]
    TooBig,
    /// No end of header or not UTF-8.
    #[error("no complete header, or not UTF-8")]
    Incomplete,
    /// The first line.
    #[error("bad start line {0:?}")]
    StartLine(String),
    /// A header line.
    #[error("bad header line {0:?}")]
    Header(String),
    /// Content-Length disagrees with the datagram.
    #[error("Content-Length {claimed} but {present} bytes of body")]
    Length {
        /// Content-Length.
        claimed: usize,
        /// Bytes there.
        present: usize,
    },
}

fn long_name(name: &str) -> &str {
    match name {
        "v" | "V" => "Via",
        "f" | "F" => "From",
        "t" | "T" => "To",
        "i" | "I" => "Call-ID",
        "m" | "M" => "Contact",
        "l" | "L" => "Content-Length",
        "c" | "C" => "Content-Type",
        "k" | "K" => "Supported",
        "s" | "S" => "Subject",
        other => other,
    }
}

/// Position after the blank line that ends the header.
pub fn header_end(data: &[u8]) -> Option<usize> {
    data.windows(4).position(|w| w == b"\r\n\r\n").map(|i| i + 4)
}

impl Message {
    /// Reads one datagram or one framed message.
    pub fn parse(data: &[u8]) -> Result<Self, ParseError> {
        if data.len() > MAX_MESSAGE {
            return Err(ParseError::TooBig);
        }
        let end = header_end(data).ok_or(ParseError::Incomplete)?;
        let head = data.get(..end).and_then(|h| std::str::from_utf8(h).ok()).ok_or(ParseError::Incomplete)?;
        let body = data.get(end..).unwrap_or_default();
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default();
        let mut headers = Headers::default();
        for line in lines {
            if headers.0.len() >= MAX_HEADERS {
                return Err(ParseError::TooBig);
            }
            if line.starts_with([' ', '\t'])
                && let Some((_, value)) = headers.0.last_mut()
            {
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| ParseError::Header(line.to_owned()))?;
            headers.push(long_name(name.trim()), value.trim());
        }
        let body = match headers.get("Content-Length").map(|l| l.parse::<usize>()) {
            None => body,
            Some(Ok(claimed)) => body.get(..claimed).ok_or(ParseError::Length { claimed, present: body.len() })?,
            Some(Err(_)) => return Err(ParseError::Header("Content-Length".into())),
        }
        .to_vec();
        let bad = || ParseError::StartLine(start.to_owned());
        if let Some(status) = start.strip_prefix("SIP/2.0 ") {
            let (code, reason) = status.split_once(' ').unwrap_or((status, ""));
            let code = code.parse().ok().filter(|c| (100..700).contains(c)).ok_or_else(bad)?;
            return Ok(Self::Response(Response { code, reason: reason.to_owned(), headers, body }));
        }
        let mut words = start.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(method), Some(uri), Some("SIP/2.0"), None) if !method.is_empty() && !uri.is_empty() => {
                Ok(Self::Request(Request { method: method.to_owned(), uri: uri.to_owned(), headers, body }))
            }
            _ => Err(bad()),
        }
    }
}

fn write(out: &mut Vec<u8>, start: fmt::Arguments<'_>, headers: &Headers, body: &[u8]) {
    out.extend_from_slice(start.to_string().as_bytes());
    for (name, value) in headers.0.iter().filter(|(n, _)| !n.eq_ignore_ascii_case("Content-Length")) {
        out.extend_from_slice(format!("\r\n{name}: {value}").as_bytes());
    }
    out.extend_from_slice(format!("\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
}

impl Request {
    /// The message's bytes; Content-Length is always right.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        write(&mut out, format_args!("{} {} SIP/2.0", self.method, self.uri), &self.headers, &self.body);
        out
    }

    /// A response with Via, From, To, Call-ID and CSeq of this request; `tag` is added to a To that has none.
    pub fn response(&self, code: u16, reason: &str, tag: Option<&str>) -> Response {
        let mut headers = Headers::default();
        for (name, value) in &self.headers.0 {
            let kept =
                ["Via", "From", "Call-ID", "CSeq", "To", "Record-Route"].iter().any(|k| name.eq_ignore_ascii_case(k));
            if kept && (code < 300 || !name.eq_ignore_ascii_case("Record-Route")) {
                headers.push(name, value.clone());
            }
        }
        if let (Some(tag), None) = (tag, self.headers.tag("To")) {
            let to = self.headers.get("To").unwrap_or_default();
            let to = format!("{to};tag={tag}");
            headers.set("To", to);
        }
        Response { code, reason: reason.to_owned(), headers, body: Vec::new() }
    }
}

impl Response {
    /// The message's bytes; Content-Length is always right.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        write(&mut out, format_args!("SIP/2.0 {} {}", self.code, self.reason), &self.headers, &self.body);
        out
    }
}

/// The usual reason phrase of a code.
pub fn reason_phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ if code < 200 => "Progress",
        _ if code < 300 => "OK",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:bob@h SIP/2.0\r\nv: SIP/2.0/UDP 1.2.3.4:5060;branch=z9hG4bKa;rport\r\nFrom: \"A <x>;tag=no\" <sip:a@h>;tag=yes\r\nto: <sip:bob@h>\r\ni: abc\r\nCSeq: 7  INVITE\r\nX-PH-One: 1\r\nSubject: long\r\n  line\r\nContent-Length: 4\r\n\r\nbodyJUNK";

    #[test]
    fn compact_folded_and_quoted_fields_are_read() {
        let Ok(Message::Request(r)) = Message::parse(INVITE.as_bytes()) else { panic!() };
        assert_eq!(r.headers.branch(), Some("z9hG4bKa"));
        assert_eq!(r.headers.tag("From"), Some("yes"));
        assert_eq!(r.headers.tag("To"), None);
        assert_eq!(uri_of(r.headers.get("From").unwrap()), "sip:a@h");
        assert_eq!(r.headers.cseq(), Some((7, "INVITE")));
        assert_eq!(r.headers.get("subject"), Some("long line"));
        assert_eq!(r.headers.with_prefix("x-ph-"), [("X-PH-One".to_owned(), "1".to_owned())]);
        assert_eq!(r.body, b"body");
        let Ok(Message::Request(again)) = Message::parse(&r.to_bytes()) else { panic!() };
        assert_eq!(again.headers.cseq(), r.headers.cseq());
        let response = r.response(180, "Ringing", Some("t1"));
        assert_eq!(response.headers.tag("To"), Some("t1"));
    }

    #[test]
    fn addresses_are_read_from_every_shape() {
        assert_eq!(host_port("sip:a%23b@1.2.3.4:99;transport=tcp"), Some(("1.2.3.4", Some(99))));
        assert_eq!(host_port("sip:h.example"), Some(("h.example", None)));
        assert_eq!(host_port("sip:a@[::1]:7"), Some(("::1", Some(7))));
        assert_eq!(user_of("sip:a%23b:pw@h"), Some("a%23b"));
        assert_eq!(uri_of("\"quoted \\\" <no>\" <sip:y@h;p=1>;tag=2"), "sip:y@h;p=1");
        assert_eq!(uri_of("sip:y@h;tag=2"), "sip:y@h");
    }

    #[test]
    fn bad_messages_are_errors_and_never_panics() {
        for n in 0..INVITE.len() {
            let _ = Message::parse(&INVITE.as_bytes()[..n]);
            let mut flipped = INVITE.as_bytes().to_vec();
            flipped[n] ^= 0x80;
            if let Ok(Message::Request(r)) = Message::parse(&flipped) {
                let _ = (
                    r.headers.cseq(),
                    r.headers.branch(),
                    host_port(&r.uri),
                    uri_of(r.headers.get("From").unwrap_or("")),
                );
            }
        }
        let short = INVITE.replace("Content-Length: 4", "Content-Length: 400");
        assert!(matches!(Message::parse(short.as_bytes()), Err(ParseError::Length { claimed: 400, .. })));
        assert!(Message::parse(b"SIP/2.0 99 X\r\n\r\n").is_err());
    }
}

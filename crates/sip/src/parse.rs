//! The one parser everything from the network passes: tolerant in what RFC 3261 leaves free, exact in framing.
//!
//! What is not well-formed gets a [`Fault`], with what is needed to answer it where it is a request.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::config::Limits;
use crate::header::{NameAddr, Via, is_token, long_name, split_outside};
use crate::message::{ALLOW, Headers, KNOWN_REFUSED, Message, ReplyHead, Request, Response};
use crate::uri::{Uri, UriFault};

/// Why a message was refused before anything else saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub code: u16,
    pub reason: String,
    /// Present when the message is a request that can be answered.
    pub head: Option<Box<ReplyHead>>,
}

/// Position of the end of the head (after the empty line), if it is there.
pub(crate) fn head_end(data: &[u8]) -> Option<usize> {
    data.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

/// Parses one whole datagram (RFC 3261 §18.3: a missing Content-Length means "to the end", and what is behind it is cut off).
pub(crate) fn datagram(data: &[u8], source: SocketAddr, limits: &Limits) -> Result<Message, Fault> {
    whole(data, source, limits, false)
}

/// Parses a WebSocket message: exactly one SIP message, Content-Length or not (RFC 7118 §4.2, §5.2).
pub(crate) fn websocket_message(data: &[u8], source: SocketAddr, limits: &Limits) -> Result<Message, Fault> {
    whole(data, source, limits, true)
}

fn whole(data: &[u8], source: SocketAddr, limits: &Limits, alone: bool) -> Result<Message, Fault> {
    if data.len() > limits.message_bytes {
        return Err(bare(513, "message is larger than the limit"));
    }
    let (end, closed) = match head_end(data) {
        Some(end) => (end, true),
        None => (data.len(), false),
    };
    let (head, body) = data.split_at_checked(end).unwrap_or((data, &[]));
    let head = Head::parse(head, source, limits)?;
    if !closed {
        return Err(head.fault(400, "no empty line after the headers"));
    }
    let body = match head.content_length()? {
        None => body,
        Some(length) if alone && body.len() > length => {
            return Err(head.fault(400, "something follows the message"));
        }
        Some(length) => match body.get(..length) {
            Some(body) => body,
            None => return Err(head.fault(400, "Content-Length is larger than the datagram")),
        },
    };
    head.finish(Bytes::copy_from_slice(body))
}

/// The head of a message, start line and headers read but not yet judged.
pub(crate) struct Head {
    start: String,
    headers: Headers,
    source: SocketAddr,
    fault: Option<(u16, String)>,
}

impl Head {
    /// Reads the lines up to and including the empty one.
    pub fn parse(head: &[u8], source: SocketAddr, limits: &Limits) -> Result<Head, Fault> {
        let text = std::str::from_utf8(head).map_err(|_| bare(400, "headers are not UTF-8"))?;
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or("").to_owned();
        let mut out = Head { start, headers: Headers::default(), source, fault: None };
        if out.start.contains(['\r', '\n', '\0']) {
            return Err(bare(400, "bare line end in the start line"));
        }
        for line in lines {
            if line.len() > limits.header_bytes {
                out.blame(400, "a header line is longer than the limit");
                continue;
            }
            if line.contains(['\r', '\n']) {
                out.blame(400, "bare CR or LF in a header");
                continue;
            }
            if line.starts_with([' ', '\t']) {
                match out.headers.0.last_mut() {
                    Some((_, value)) if value.len() + line.len() <= limits.header_bytes => {
                        if !value.is_empty() {
                            value.push(' ');
                        }
                        value.push_str(line.trim());
                    }
                    Some(_) => out.blame(400, "a header line is longer than the limit"),
                    None => out.blame(400, "a folded line before the first header"),
                }
                continue;
            }
            if out.headers.0.len() >= limits.headers {
                out.blame(400, "too many headers");
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                out.blame(400, "a header line without a colon");
                continue;
            };
            let name = name.trim_end_matches([' ', '\t']);
            if !is_token(name) {
                out.blame(400, "a malformed header name");
                continue;
            }
            let name = long_name(name).unwrap_or(name).to_owned();
            out.headers.0.push((name, value.trim().to_owned()));
        }
        Ok(out)
    }

    fn blame(&mut self, code: u16, reason: &str) {
        self.fault.get_or_insert_with(|| (code, reason.to_owned()));
    }

    /// A fault with the means to answer it, when this is a request other than ACK.
    pub fn fault(&self, code: u16, reason: &str) -> Fault {
        let method = self.start.split(' ').next().unwrap_or("");
        let answerable = is_token(method)
            && !self.start.starts_with("SIP/")
            && method != "ACK"
            && self.headers.get("Via").is_some()
            && self.start.contains("SIP/");
        let head = answerable.then(|| Box::new(ReplyHead::of(&self.headers, self.source)));
        Fault { code, reason: reason.to_owned(), head }
    }

    /// The one Content-Length, `None` if absent.
    pub fn content_length(&self) -> Result<Option<usize>, Fault> {
        let mut length = None;
        for value in self.headers.all("Content-Length") {
            let parsed = match value.parse::<u32>() {
                Ok(n) if value.bytes().all(|b| b.is_ascii_digit()) => n as usize,
                _ => return Err(self.fault(400, "Content-Length is not a number")),
            };
            if length.is_some_and(|l| l != parsed) {
                return Err(self.fault(400, "two different Content-Length headers"));
            }
            length = Some(parsed);
        }
        Ok(length)
    }

    /// Judges the head and joins it with its body.
    pub fn finish(self, body: Bytes) -> Result<Message, Fault> {
        if let Some((code, reason)) = &self.fault {
            return Err(self.fault(*code, reason));
        }
        match self.start.get(..4) {
            Some(start) if start.eq_ignore_ascii_case("SIP/") => self.response(body),
            _ => self.request(body),
        }
    }

    fn response(self, body: Bytes) -> Result<Message, Fault> {
        let rest = self.start.get(4..).unwrap_or("");
        let Some((version, rest)) = rest.split_once(' ') else {
            return Err(bare(400, "malformed status line"));
        };
        if version != "2.0" {
            return Err(bare(505, "response of another SIP version"));
        }
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = match code.parse::<u16>() {
            Ok(n) if code.len() == 3 && (100..700).contains(&n) => n,
            _ => return Err(bare(400, "malformed status code")),
        };
        let reason = reason.to_owned();
        self.common("response")?;
        Ok(Message::Response(Response { code, reason, headers: self.headers, body }))
    }

    fn request(self, body: Bytes) -> Result<Message, Fault> {
        let parts: Vec<&str> = self.start.split(' ').collect();
        let [method, uri, version] = parts.as_slice() else {
            return Err(self.fault(400, "malformed request line"));
        };
        if !is_token(method) || uri.is_empty() {
            return Err(self.fault(400, "malformed request line"));
        }
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            return match version.get(..4) {
                Some(start) if start.eq_ignore_ascii_case("SIP/") => Err(self.fault(505, "Version Not Supported")),
                _ => Err(self.fault(400, "malformed request line")),
            };
        }
        match Uri::parse(uri) {
            Ok(parsed) if parsed.headers.is_some() => {
                return Err(self.fault(400, "headers in the Request-URI"));
            }
            Ok(_) => {}
            Err(UriFault::Scheme) if uri.split_once(':').is_some_and(|(s, _)| is_token(s)) && !uri.contains('<') => {
                return Err(self.fault(416, "Unsupported URI Scheme"));
            }
            Err(fault) => return Err(self.fault(400, &format!("Request-URI: {fault}"))),
        }
        let (method, uri) = ((*method).to_owned(), (*uri).to_owned());
        self.common(&method)?;
        if !ALLOW.split(", ").any(|m| m == method) && !KNOWN_REFUSED.contains(&method.as_str()) {
            return Err(self.fault(501, "Not Implemented"));
        }
        if let Some(hops) = self.headers.get("Max-Forwards")
            && hops.parse::<u8>().is_err()
        {
            return Err(self.fault(400, "Max-Forwards is not a number from 0 to 255"));
        }
        for value in self.headers.all("Contact") {
            let good = value == "*"
                || split_outside(value, ',').is_some_and(|list| list.iter().all(|v| NameAddr::parse(v).is_some()));
            if !good {
                return Err(self.fault(400, "malformed Contact header"));
            }
        }
        Ok(Message::Request(Request { method, uri, headers: self.headers, body }))
    }

    fn common(&self, method: &str) -> Result<(), Fault> {
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            match self.headers.get(name) {
                None | Some("") => return Err(self.fault(400, &format!("missing {name} header"))),
                Some(_) if name != "Via" && self.headers.all(name).count() > 1 => {
                    return Err(self.fault(400, &format!("repeated {name} header")));
                }
                Some(_) => {}
            }
        }
        for name in ["Max-Forwards", "Content-Type", "Expires"] {
            if self.headers.all(name).count() > 1 {
                return Err(self.fault(400, &format!("repeated {name} header")));
            }
        }
        let Some((number, named)) = self.headers.get("CSeq").and_then(|v| v.split_once([' ', '\t'])) else {
            return Err(self.fault(400, "malformed CSeq header"));
        };
        match number.parse::<u32>() {
            Ok(n) if n < 1 << 31 && number.bytes().all(|b| b.is_ascii_digit()) => {}
            _ => return Err(self.fault(400, "CSeq number is not below 2^31")),
        }
        if method != "response" && named.trim() != method {
            return Err(self.fault(400, "CSeq method differs from the request's"));
        }
        for name in ["From", "To"] {
            if self.headers.name_addr(name).is_none() {
                return Err(self.fault(400, &format!("malformed {name} header")));
            }
        }
        let mut vias = 0;
        for via in self.headers.values("Via") {
            vias += 1;
            if Via::parse(via).is_none() {
                return Err(self.fault(400, "malformed Via header"));
            }
        }
        if vias == 0 {
            return Err(self.fault(400, "malformed Via header"));
        }
        Ok(())
    }
}

fn bare(code: u16, reason: &str) -> Fault {
    Fault { code, reason: reason.to_owned(), head: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source() -> SocketAddr {
        "192.0.2.9:5999".parse().unwrap()
    }

    fn options(extra: &str, body: &str) -> String {
        format!(
            "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n{extra}\r\n{body}"
        )
    }

    fn verdict(text: &str) -> Result<Message, Fault> {
        datagram(text.as_bytes(), source(), &Limits::default())
    }

    #[test]
    fn a_udp_body_without_content_length_is_kept() {
        let Ok(Message::Request(request)) = verdict(&options("", "hello")) else { panic!("refused") };
        assert_eq!(&request.body[..], b"hello");
    }

    #[test]
    fn a_body_longer_than_content_length_is_cut() {
        let Ok(Message::Request(request)) = verdict(&options("l: 2\r\n", "hello")) else { panic!("refused") };
        assert_eq!(&request.body[..], b"he");
    }

    #[test]
    fn a_websocket_message_holds_one_message_and_needs_no_content_length() {
        let verdict = |text: &str| websocket_message(text.as_bytes(), source(), &Limits::default());
        let Ok(Message::Request(request)) = verdict(&options("", "hello")) else { panic!("refused") };
        assert_eq!(&request.body[..], b"hello");
        assert!(verdict(&options("l: 5\r\n", "hello")).is_ok());
        for body in ["hello!", "hello\r\n", "helloOPTIONS sip:h SIP/2.0\r\n\r\n", "hell"] {
            let fault = verdict(&options("l: 5\r\n", body)).unwrap_err();
            assert!(fault.code == 400 && fault.head.is_some(), "{body:?}");
        }
    }

    #[test]
    fn framing_lies_get_400_and_name_the_fault() {
        for (extra, reason) in [
            ("Content-Length: 9\r\n", "larger than the datagram"),
            ("Content-Length: -999\r\n", "not a number"),
            ("Content-Length: 5\r\nl: 4\r\n", "two different"),
            ("Nonsense\r\n", "without a colon"),
            ("To: <sip:x@y>\r\n", "repeated To"),
            ("X: a\rb\r\n", "bare CR or LF"),
        ] {
            let fault = verdict(&options(extra, "hello")).unwrap_err();
            assert_eq!(fault.code, 400, "{extra}");
            assert!(fault.reason.contains(reason), "{extra}: {}", fault.reason);
            assert!(fault.head.is_some(), "{extra}");
        }
    }

    #[test]
    fn header_counts_and_lengths_are_limited() {
        let many = "X-Y: z\r\n".repeat(120);
        assert!(verdict(&options(&many, "")).unwrap_err().reason.contains("too many"));
        let long = format!("X-Y: {}\r\n", "z".repeat(9000));
        assert!(verdict(&options(&long, "")).unwrap_err().reason.contains("longer"));
        let folded = format!("X-Y: a\r\n{}", format!(" {}\r\n", "z".repeat(4000)).repeat(4));
        assert!(verdict(&options(&folded, "")).unwrap_err().reason.contains("longer"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = datagram(&data, source(), &Limits::default());
            let _ = websocket_message(&data, source(), &Limits::default());
        }

        #[test]
        fn mutated_messages_never_panic(at in 0usize..300, with in proptest::collection::vec(any::<u8>(), 0..6)) {
            let mut data = options("Contact: <sip:a@h>\r\nContent-Length: 5\r\n", "hello").into_bytes();
            let at = at.min(data.len());
            data.splice(at..(at + with.len() / 2).min(data.len()), with);
            if let Ok(Message::Request(request)) = datagram(&data, source(), &Limits::default()) {
                let again = datagram(&request.encode(), source(), &Limits::default());
                prop_assert!(again.is_ok());
            }
        }
    }
}

//! SIP messages as this crate holds them: header values stay text, in order, until somebody needs their meaning.

use std::fmt::Write;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::header::{NameAddr, Via, split_outside};

/// Methods answered by this server, as it lists them in `Allow`.
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, INFO, UPDATE, MESSAGE, REFER, NOTIFY";

/// Those of them that are answered outside a call too.
pub(crate) const ALLOW_OUTSIDE: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER";

/// Methods that exist but that this server refuses with 405; anything else is 501.
pub(crate) const KNOWN_REFUSED: [&str; 3] = ["PRACK", "SUBSCRIBE", "PUBLISH"];

/// Header fields in order, names in their long form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(pub Vec<(String, String)>);

impl Headers {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every comma separated value of a header that may repeat.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .flat_map(|v| split_outside(v, ',').unwrap_or_else(|| vec![v]))
            .map(str::trim)
            .filter(|v| !v.is_empty())
    }

    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    pub fn name_addr(&self, name: &str) -> Option<NameAddr> {
        NameAddr::parse(self.get(name)?)
    }

    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.get("CSeq")?.split_once(|c: char| c.is_whitespace())?;
        Some((number.parse().ok()?, method.trim()))
    }

    pub fn call_id(&self) -> &str {
        self.get("Call-ID").unwrap_or("")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub method: String,
    pub uri: String,
    pub headers: Headers,
    pub body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub code: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Request(Request),
    Response(Response),
}

impl Request {
    /// The bytes on the wire; Content-Length is always written from the body.
    pub fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(512 + self.body.len());
        let _ = write!(text, "{} {} SIP/2.0\r\n", self.method, self.uri);
        finish(text, &self.headers, &self.body)
    }

    pub fn to_tag(&self) -> Option<String> {
        self.headers.name_addr("To").and_then(|a| a.tag().map(str::to_owned))
    }

    pub fn sender_tag(&self) -> Option<String> {
        self.headers.name_addr("From").and_then(|a| a.tag().map(str::to_owned))
    }
}

impl Response {
    pub fn to_tag(&self) -> Option<String> {
        self.headers.name_addr("To").and_then(|a| a.tag().map(str::to_owned))
    }

    pub fn has_sdp(&self) -> bool {
        !self.body.is_empty() && media_type(&self.headers) == "application/sdp"
    }
}

/// Media type in lower case without parameters; empty when absent.
pub(crate) fn media_type(headers: &Headers) -> String {
    headers.get("Content-Type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn finish(mut text: String, headers: &Headers, body: &[u8]) -> Bytes {
    for (name, value) in &headers.0 {
        if !name.eq_ignore_ascii_case("Content-Length") {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    Bytes::from(bytes)
}

/// What of a request its responses repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReplyHead {
    /// Top value stamped with `received` and `rport`.
    pub vias: Vec<String>,
    pub from: String,
    pub to: String,
    pub call_id: String,
    pub cseq: String,
    pub record_routes: Vec<String>,
    /// Port the response goes to over UDP.
    pub reply_port: u16,
}

impl ReplyHead {
    /// Tolerates missing parts, so that malformed requests can be answered too.
    pub fn of(headers: &Headers, source: SocketAddr) -> ReplyHead {
        let mut vias: Vec<String> = headers.values("Via").map(str::to_owned).collect();
        let mut reply_port = source.port();
        // A sender whose Vias are broken is answered where it sent from.
        let sound = vias.iter().all(|v| Via::parse(v).is_some());
        if let Some(top) = vias.first_mut().filter(|_| sound)
            && let Some(via) = Via::parse(top)
        {
            reply_port = via.reply_port(source);
            *top = via.stamped(source).to_string();
        }
        let text = |name| headers.get(name).unwrap_or("").to_owned();
        ReplyHead {
            vias,
            from: text("From"),
            to: text("To"),
            call_id: text("Call-ID"),
            cseq: text("CSeq"),
            record_routes: headers.all("Record-Route").map(str::to_owned).collect(),
            reply_port,
        }
    }

    /// Encodes a response. `tag` is added to To unless it is already there or the response is a 100.
    pub fn response(
        &self,
        code: u16,
        reason: &str,
        tag: &str,
        headers: &[(String, String)],
        body: Option<(&str, &[u8])>,
    ) -> Bytes {
        let mut text = String::with_capacity(512);
        let _ = write!(text, "SIP/2.0 {code} {reason}\r\n");
        let mut out = Headers::default();
        for via in &self.vias {
            out.push("Via", via.clone());
        }
        if (101..300).contains(&code) {
            for route in &self.record_routes {
                out.push("Record-Route", route.clone());
            }
        }
        let tagged = NameAddr::parse(&self.to).is_some_and(|to| to.tag().is_some());
        let to = match tagged || code == 100 || tag.is_empty() {
            true => self.to.clone(),
            false => format!("{};tag={tag}", self.to),
        };
        for (name, value) in [("From", &self.from), ("To", &to), ("Call-ID", &self.call_id), ("CSeq", &self.cseq)] {
            if !value.is_empty() {
                out.push(name, value.clone());
            }
        }
        out.0.extend(headers.iter().cloned());
        match body {
            Some((kind, body)) => {
                out.push("Content-Type", kind);
                finish(text, &out, body)
            }
            None => finish(text, &out, &[]),
        }
    }
}

/// Default reason phrase (RFC 3261 §21 and successors).
pub(crate) fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match code / 100 {
            1 => "Progress",
            2 => "OK",
            3 => "Redirect",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}

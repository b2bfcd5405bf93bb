//! What an application gives us to send, judged before it becomes part of a message.

use crate::header::{NameAddr, is_token};
use crate::leg::SipError;
use crate::uri::{Uri, UriFault};

/// Headers the stack writes itself; nobody else may.
const RESERVED: [&str; 22] = [
    "via",
    "from",
    "to",
    "call-id",
    "cseq",
    "contact",
    "content-length",
    "content-type",
    "content-encoding",
    "max-forwards",
    "route",
    "record-route",
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "require",
    "supported",
    "session-expires",
    "allow",
    "server",
    "user-agent",
];

/// Methods that begin, change or end a dialog, a registration or a subscription: each has a command of its own, or none.
const NOT_ASKED: [&str; 9] = ["INVITE", "BYE", "ACK", "CANCEL", "PRACK", "UPDATE", "REFER", "SUBSCRIBE", "REGISTER"];

/// Longest body of a request, bytes.
const BODY: usize = 65_536;

/// Longest reason phrase, bytes.
const PHRASE: usize = 200;

/// Longest address in a Refer-To or Referred-By, bytes.
const ADDRESS: usize = 2_048;

/// Refuses headers that could end a line, forge a message or shadow the stack's own.
pub(crate) fn check_headers(headers: &[(String, String)]) -> Result<(), SipError> {
    for (name, value) in headers {
        let fault = |why| Err(SipError::Header { name: name.chars().take(64).collect(), why });
        if !is_token(name) {
            return fault("its name is not a token");
        }
        let long = crate::header::long_name(name).unwrap_or(name).to_ascii_lowercase();
        if RESERVED.contains(&long.as_str()) {
            return fault("the SIP stack writes it itself");
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return fault("its value holds a line break or another control character");
        }
        if value.len() > 4_096 {
            return fault("its value is longer than 4096 bytes");
        }
    }
    if headers.len() > 64 {
        return Err(SipError::Header { name: "*".to_owned(), why: "there are more than 64" });
    }
    Ok(())
}

/// Refuses a reason phrase that could end the status line.
pub(crate) fn check_phrase(phrase: &str) -> Result<(), SipError> {
    if phrase.chars().any(char::is_control) {
        return Err(SipError::Phrase("it holds a line break or another control character"));
    }
    if phrase.len() > PHRASE {
        return Err(SipError::Phrase("it is longer than 200 bytes"));
    }
    Ok(())
}

/// Text for a Reason header or a log: of any length and content.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(PHRASE).collect()
}

/// How a call is to be ended: what its BYE, CANCEL or refusal says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parting {
    pub why: Option<String>,
    pub headers: Vec<(String, String)>,
}

impl Parting {
    pub fn because(why: Option<&str>) -> Parting {
        Parting { why: why.map(printable), headers: Vec::new() }
    }

    /// Header lines, with a Reason (RFC 3326) if there is a text and none was given.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = self.headers.clone();
        if let Some(why) = &self.why
            && !lines.iter().any(|(name, _)| name.eq_ignore_ascii_case("Reason"))
        {
            lines.insert(0, ("Reason".to_owned(), format!("SIP;cause=200;text={}", crate::header::quote(why))));
        }
        lines
    }
}

/// A request to send inside a dialog.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

impl Asking {
    pub fn request(
        method: &str,
        content_type: Option<&str>,
        body: &[u8],
        headers: &[(String, String)],
    ) -> Result<Asking, SipError> {
        let named = || method.chars().take(32).collect::<String>().escape_debug().to_string();
        if !is_token(method) || method.len() > 32 {
            return Err(SipError::Method { method: named(), why: "it is not a token of at most 32 characters" });
        }
        // A lenient peer may take a method in lower case for the real one.
        if NOT_ASKED.iter().any(|m| m.eq_ignore_ascii_case(method)) {
            return Err(SipError::Method {
                method: named(),
                why: "it changes the call; use the command made for that",
            });
        }
        check_headers(headers)?;
        if body.len() > BODY {
            return Err(SipError::Body("it is longer than 65536 bytes"));
        }
        if !body.is_empty() && content_type.is_none() {
            return Err(SipError::Body("it needs a content type, such as text/plain"));
        }
        if !content_type.is_none_or(is_media_type) {
            return Err(SipError::Body("its content type is not of the form type/subtype"));
        }
        Ok(Asking {
            method: method.to_owned(),
            headers: headers.to_vec(),
            content_type: content_type.map(str::to_owned),
            body: body.to_vec(),
        })
    }

    /// REFER (RFC 3515), with Referred-By (RFC 3892).
    pub fn refer(refer_to: &str, referred_by: Option<&str>, headers: &[(String, String)]) -> Result<Asking, SipError> {
        check_headers(headers)?;
        let argument = |n: &str| ["Refer-To", "Referred-By", "r", "b"].iter().any(|own| own.eq_ignore_ascii_case(n));
        if let Some((name, _)) = headers.iter().find(|(name, _)| argument(name)) {
            return Err(SipError::Header { name: name.clone(), why: "it is written from the address given for it" });
        }
        let mut lines = vec![("Refer-To".to_owned(), address(refer_to)?)];
        if let Some(by) = referred_by {
            lines.push(("Referred-By".to_owned(), address(by)?));
        }
        lines.extend_from_slice(headers);
        Ok(Asking { method: "REFER".to_owned(), headers: lines, content_type: None, body: Vec::new() })
    }

    pub fn refers(&self) -> bool {
        self.method == "REFER"
    }

    /// Bytes on the wire, without what the dialog adds.
    pub fn size(&self) -> usize {
        let lines: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        lines + self.content_type.as_ref().map_or(0, String::len) + self.body.len()
    }
}

fn is_media_type(text: &str) -> bool {
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let parts = essence.trim().split_once('/');
    parts.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
        && text.len() <= 256
        && !parameters.chars().any(char::is_control)
}

/// An address as a header may hold it. A bare URI gets brackets: without them its parameters and headers, a Replaces for one,
/// would be the header's own.
fn address(text: &str) -> Result<String, SipError> {
    let text = text.trim();
    let fault = |why: &dyn std::fmt::Display| SipError::Uri {
        uri: text.escape_debug().take(200).collect(),
        why: why.to_string(),
    };
    if text.len() > ADDRESS {
        return Err(fault(&"it is longer than 2048 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(fault(&"it holds a control character"));
    }
    let written = if text.contains('<') { text.to_owned() } else { format!("<{text}>") };
    let parsed =
        NameAddr::parse(&written).ok_or_else(|| fault(&"it is neither a URI nor a name with a URI in brackets"))?;
    match Uri::parse(&parsed.uri) {
        Ok(_) => {}
        // Another scheme, tel for one, is the peer's to understand.
        Err(UriFault::Scheme)
            if parsed.uri.split_once(':').is_some_and(|(s, rest)| is_token(s) && !rest.is_empty()) => {}
        Err(UriFault::Scheme) => return Err(fault(&"it has no scheme, such as sip:")),
        Err(why) => return Err(fault(&why)),
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_cannot_break_or_forge_a_message() {
        let check = |n: &str, v: &str| check_headers(&[(n.to_owned(), v.to_owned())]);
        assert!(check("X-PH-Team", "north \"a\"").is_ok());
        assert!(check("Alert-Info", "<http://h/bell>;info=internal").is_ok());
        for (name, value) in [
            ("X-PH-Team", "a\r\nVia: SIP/2.0/UDP evil"),
            ("X-PH-Team", "a\nb"),
            ("X Y", "a"),
            ("X:Y", "a"),
            ("", "a"),
            ("Via", "SIP/2.0/UDP evil"),
            ("v", "SIP/2.0/UDP evil"),
            ("content-length", "0"),
            ("X-PH-Team", "a\0b"),
        ] {
            assert!(check(name, value).is_err(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn requests_that_change_a_call_or_cannot_be_written_are_refused() {
        let ask = |method: &str, kind: Option<&str>, body: &str| Asking::request(method, kind, body.as_bytes(), &[]);
        for method in NOT_ASKED.iter().copied().chain(["bye", "Invite", "", "IN FO", "INFO\r\n", &"X".repeat(33)]) {
            assert!(matches!(ask(method, None, ""), Err(SipError::Method { .. })), "{method:?}");
        }
        for method in ["INFO", "MESSAGE", "NOTIFY", "OPTIONS", "PUBLISH", "X-own.1"] {
            assert!(ask(method, Some("text/plain; charset=utf-8"), "a").is_ok(), "{method}");
        }
        for (kind, body) in [
            (None, "a"),
            (Some("plain"), "a"),
            (Some("text/plain\r\nVia: evil"), "a"),
            (Some("text/plain;a=\r\n\r\n"), "a"),
            (Some("/"), "a"),
            (Some("text/plain"), &*"a".repeat(BODY + 1)),
        ] {
            assert!(matches!(ask("INFO", kind, body), Err(SipError::Body(_))), "{kind:?}");
        }
        assert!(ask("INFO", Some("text/plain"), &"a".repeat(BODY)).is_ok());
    }

    #[test]
    fn a_bare_target_is_put_in_brackets_and_a_forged_one_refused() {
        let to = |text: &str| Asking::refer(text, None, &[]).map(|asking| asking.headers[0].1.clone());
        for (given, written) in [
            ("sip:bob@h;transport=tcp", "<sip:bob@h;transport=tcp>"),
            ("sip:bob@h?Replaces=a%3Bto-tag%3Db", "<sip:bob@h?Replaces=a%3Bto-tag%3Db>"),
            ("tel:+15551234", "<tel:+15551234>"),
            ("\"Bob\" <sip:bob@h>;x=1", "\"Bob\" <sip:bob@h>;x=1"),
        ] {
            assert_eq!(to(given).unwrap(), written);
        }
        for given in
            ["", "+15551234", "bob", "sip:", "sip:a b@h", "sip:a@h>\r\nVia: evil", "<sip:a@h>, <sip:b@h>", "<sip:a@h"]
        {
            assert!(matches!(to(given), Err(SipError::Uri { .. })), "{given:?}");
        }
        let twice = [("Refer-To".to_owned(), "<sip:a@h>".to_owned())];
        assert!(matches!(Asking::refer("sip:b@h", None, &twice), Err(SipError::Header { .. })));
        let by = Asking::refer("sip:b@h", Some("\"A\" <sip:a@h>"), &[]).unwrap();
        assert_eq!(by.headers[1], ("Referred-By".to_owned(), "\"A\" <sip:a@h>".to_owned()));
    }

    #[test]
    fn a_reason_of_the_application_replaces_the_text() {
        let mut parting = Parting::because(Some("done\r\n"));
        assert_eq!(parting.lines(), [("Reason".to_owned(), "SIP;cause=200;text=\"done  \"".to_owned())]);
        parting.headers = vec![("reason".to_owned(), "Q.850;cause=16".to_owned())];
        assert_eq!(parting.lines(), parting.headers);
    }

    #[test]
    fn phrases_stay_on_their_line() {
        assert!(check_phrase("Sécurité d'abord").is_ok());
        assert!(check_phrase("a\r\nb").is_err() && check_phrase(&"a".repeat(201)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_ends_its_line_as_an_address(text in ".{0,40}", wrapped in proptest::bool::ANY) {
            let given = if wrapped { format!("\"{text}\" <sip:{text}@h>") } else { format!("sip:a@h;{text}") };
            if let Ok(written) = address(&given) {
                proptest::prop_assert!(!written.contains(char::is_control));
                proptest::prop_assert!(NameAddr::parse(&written).is_some());
            }
        }
    }
}

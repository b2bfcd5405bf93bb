//! What a call begins with.

use super::call::{CallInfo, headers};
use crate::json::{Object, Value};

/// What the first request about a call has beside the call itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionStart {
    /// The application's voice and recogniser.
    pub defaults: Defaults,
    /// The application's environment variables.
    pub env_vars: Option<Object>,
    /// The INVITE; left out for calls made by REST.
    pub sip: Option<SipRequest>,
}

/// The application's voice and recogniser.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Who speaks.
    pub synthesizer_vendor: Option<String>,
    /// BCP 47.
    pub synthesizer_language: Option<String>,
    /// The voice's name.
    pub synthesizer_voice: Option<String>,
    /// Who understands.
    pub recognizer_vendor: Option<String>,
    /// BCP 47.
    pub recognizer_language: Option<String>,
}

/// An INVITE as programs see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SipRequest {
    /// As received.
    pub headers: Vec<(String, String)>,
    /// The session description.
    pub body: String,
    /// The content type of the body.
    pub content_type: Option<String>,
    /// The request URI.
    pub uri: String,
    /// Who sent it.
    pub source_address: String,
    /// From which port.
    pub source_port: u16,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    pub protocol: String,
    /// The user part of the request URI.
    pub called_number: String,
    /// The user part of P-Asserted-Identity, or of From.
    pub calling_number: String,
}

impl SipRequest {
    fn body(&self) -> Object {
        // Known headers are in lower case, a program's own as they were written.
        let named = |name: &str| {
            let own = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
            if own { name.to_owned() } else { name.to_ascii_lowercase() }
        };
        let named: Vec<_> = self.headers.iter().map(|(name, value)| (named(name), value.clone())).collect();
        let mut sip = Object::new();
        sip.set("headers", headers(&named));
        sip.set("body", self.body.as_str());
        sip.set("method", "INVITE");
        sip.set("uri", self.uri.as_str());
        let mut payload = Object::new();
        payload.set_some("type", self.content_type.as_deref());
        payload.set("content", self.body.as_str());
        sip.set("payload", if self.body.is_empty() { Value::Array(Vec::new()) } else { vec![payload].into() });
        sip.set("type", "request");
        sip.set("source", "network");
        sip.set("source_address", self.source_address.as_str());
        sip.set("source_port", self.source_port);
        sip.set("protocol", self.protocol.as_str());
        sip.set("calledNumber", self.called_number.as_str());
        sip.set("callingNumber", self.calling_number.as_str());
        sip
    }
}

impl Defaults {
    fn body(&self) -> Object {
        let mut synthesizer = Object::new();
        synthesizer.set_some("vendor", self.synthesizer_vendor.as_deref());
        synthesizer.set_some("language", self.synthesizer_language.as_deref());
        synthesizer.set_some("voice", self.synthesizer_voice.as_deref());
        let mut recognizer = Object::new();
        recognizer.set_some("vendor", self.recognizer_vendor.as_deref());
        recognizer.set_some("language", self.recognizer_language.as_deref());
        let mut body = Object::new();
        body.set("synthesizer", synthesizer);
        body.set("recognizer", recognizer);
        body
    }
}

/// The first request about a call: to its `call_hook`, `session:new`, and again, unchanged, `session:reconnect`.
pub fn session_new(call: &CallInfo, start: &SessionStart) -> Object {
    let mut body = Object::new();
    body.set_some("sip", start.sip.as_ref().map(SipRequest::body));
    body.extend(call.body());
    body.set("defaults", start.defaults.body());
    body.set_some("env_vars", start.env_vars.clone());
    body
}

/// `session:adulting`: a dialled leg goes on by itself.
pub fn adulting(call: &CallInfo, parent: &CallInfo) -> Object {
    let mut body = call.body();
    body.set("parent_call_info", parent.body());
    body
}

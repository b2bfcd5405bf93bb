//! SIP over WebSocket (RFC 7118): the upgrade. What follows on the connection is signalling's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use sip::{Sip, SipError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::origin::Origins;
use super::source::Source;
use crate::api::Problem;

/// The subprotocol of SIP (RFC 7118 §4).
const SUBPROTOCOL: &str = "sip";

/// What becomes of those who knock.
#[derive(Debug, Default)]
pub struct SocketCounts {
    /// Of another origin's page.
    pub foreign: AtomicU64,
    /// No handshake that makes sense, or without the subprotocol.
    pub senseless: AtomicU64,
    /// One more than there may be.
    pub over_limit: AtomicU64,
}

/// The door to signalling. Cheap to clone.
#[derive(Clone)]
pub struct SipSocket {
    sip: Sip,
    origins: Arc<Origins>,
    counts: Arc<SocketCounts>,
}

impl SipSocket {
    /// A door for pages of these origins, and for programs that are no browsers.
    pub fn new(sip: Sip, origins: Origins) -> Self {
        Self { sip, origins: Arc::new(origins), counts: Arc::default() }
    }

    /// What it counts.
    pub fn counts(&self) -> &SocketCounts {
        &self.counts
    }

    /// Answers a request for a WebSocket: 101, then signalling has the connection; 400 or 426 if it is none, 403 for a foreign
    /// page, 503 if there are too many.
    pub async fn open(&self, mut request: Request) -> Response {
        let refused = |count: &AtomicU64, problem: Problem| {
            count.fetch_add(1, Ordering::Relaxed);
            problem.into_response()
        };
        let accept = match handshake(&request) {
            Ok(accept) => accept,
            Err(fault) => return refused(&self.counts.senseless, fault.problem()).with_version(fault),
        };
        // Every connection here comes from a listener of ours, which notes the source.
        let Some(source) = request.extensions().get::<Source>().cloned() else {
            return Problem::busy("the source of the connection is not known").into_response();
        };
        if !self.origins.permit(request.headers(), source.secure) {
            let detail = "a page of another origin may not open a connection here; see [http] origins";
            return refused(&self.counts.foreign, Problem::forbidden(detail));
        }
        let place = match self.sip.admit_websocket(source.address, source.secure) {
            Ok(place) => place,
            Err(error @ SipError::Overloaded) => {
                let detail = format!("too many connections ({error})");
                return refused(&self.counts.over_limit, Problem::busy(detail));
            }
            Err(error) => return Problem::busy(error.to_string()).into_response(),
        };
        let upgrading = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            match upgrading.await {
                Ok(stream) => place.serve(TokioIo::new(stream)).await,
                Err(error) => tracing::debug!(%error, "a WebSocket was not opened after all"),
            }
            // It counts among its source's until it is over.
            drop(source);
        });
        let headers = [
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
            (header::SEC_WEBSOCKET_ACCEPT, accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

/// Whether a request asks for a WebSocket.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &header::UPGRADE, "websocket")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    NoWebSocket,
    Version,
    Key,
    Protocol,
}

impl Fault {
    fn problem(self) -> Problem {
        let (status, detail) = match self {
            Self::NoWebSocket => {
                (StatusCode::UPGRADE_REQUIRED, "this is a WebSocket for SIP (RFC 7118); ask for an upgrade")
            }
            Self::Version => (StatusCode::UPGRADE_REQUIRED, "this server speaks version 13 of the WebSocket protocol"),
            Self::Key => (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64"),
            Self::Protocol => (StatusCode::BAD_REQUEST, "offer the subprotocol sip in Sec-WebSocket-Protocol"),
        };
        Problem::new(status, detail)
    }
}

trait WithVersion {
    fn with_version(self, fault: Fault) -> Self;
}

impl WithVersion for Response {
    fn with_version(mut self, fault: Fault) -> Self {
        match fault {
            Fault::NoWebSocket => {
                self.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            Fault::Version => {
                self.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            Fault::Key | Fault::Protocol => {}
        }
        self
    }
}

/// Checks a handshake (RFC 6455 §4.2.1); what `Sec-WebSocket-Accept` has to say.
fn handshake(request: &Request) -> Result<HeaderValue, Fault> {
    let headers = request.headers();
    let asks = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && is_upgrade(headers)
        && has_token(headers, &header::CONNECTION, "upgrade");
    if !asks {
        return Err(Fault::NoWebSocket);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Fault::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes())).ok_or(Fault::Key)?;
    if !has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Fault::Protocol);
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| Fault::Key)
}

fn is_key(key: &[u8]) -> bool {
    let letters = key.strip_suffix(b"==").unwrap_or(key);
    key.len() == 24
        && letters.len() == 22
        && letters.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// Whether a list in headers of this name has the token, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asked(change: impl FnOnce(&mut HeaderMap)) -> Result<HeaderValue, Fault> {
        let mut request = Request::builder()
            .uri("/sip")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "chat, sip")
            .body(Body::empty())
            .unwrap();
        change(request.headers_mut());
        handshake(&request)
    }

    #[test]
    fn a_handshake_is_answered_as_rfc_6455_has_it() {
        assert_eq!(asked(|_| {}).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_for_sip_is_refused_for_its_reason() {
        let set = |name: &'static str, value: &'static str| {
            move |headers: &mut HeaderMap| drop(headers.insert(name, HeaderValue::from_static(value)))
        };
        assert_eq!(asked(set("upgrade", "h2c")), Err(Fault::NoWebSocket));
        assert_eq!(asked(set("connection", "close")), Err(Fault::NoWebSocket));
        assert_eq!(asked(set("sec-websocket-version", "8")), Err(Fault::Version));
        assert_eq!(asked(set("sec-websocket-key", "short")), Err(Fault::Key));
        assert_eq!(asked(set("sec-websocket-protocol", "sips")), Err(Fault::Protocol));
        assert_eq!(asked(|headers| drop(headers.remove("sec-websocket-protocol"))), Err(Fault::Protocol));
    }
}

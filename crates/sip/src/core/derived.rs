//! Requests made from an INVITE of ours.

use bytes::Bytes;

use crate::message::{Headers, Request, Response};

/// ACK of a 3xx to 6xx: part of the INVITE's transaction (RFC 3261 §17.1.1.3).
pub(super) fn refusal_ack(invite: &Request, response: &Response) -> Request {
    let mut ack = derived(invite, "ACK");
    for (name, value) in &mut ack.headers.0 {
        if name == "To"
            && let Some(to) = response.headers.get("To")
        {
            to.clone_into(value);
        }
    }
    ack
}

/// ACK or CANCEL made from an INVITE: same Request-URI, Via, Route, From, To, Call-ID and CSeq number.
pub(super) fn derived(invite: &Request, method: &str) -> Request {
    let mut headers = Headers::default();
    if let Some(via) = invite.headers.get("Via") {
        headers.push("Via", via);
    }
    for name in ["Route", "From", "To", "Call-ID"] {
        for value in invite.headers.all(name) {
            headers.push(name, value);
        }
    }
    let (number, _) = invite.headers.cseq().unwrap_or((1, ""));
    headers.push("CSeq", format!("{number} {method}"));
    headers.push("Max-Forwards", "70");
    Request { method: method.to_owned(), uri: invite.uri.clone(), headers, body: Bytes::new() }
}

//! Calls we place.

use std::net::SocketAddr;
use std::time::Instant;

use super::Core;
use super::client::Purpose;
use super::dialog::Birth;
use crate::connections::Owner;
use crate::leg::{Leg, LegEvent, Outgoing, SipError, Target};
use crate::message::{ALLOW, reason};
use crate::transport::{Flow, Transport};
use crate::uri::Uri;

/// A call whose target is resolved.
#[derive(Debug)]
pub(crate) struct Placement {
    pub call: Outgoing,
    /// Request-URI.
    pub uri: String,
    pub next_hop: SocketAddr,
    pub transport: Transport,
    /// The registration's flow, if a registered phone is called.
    pub flow: Option<Flow>,
}

impl Core {
    pub(super) fn place(&mut self, placement: Placement, now: Instant) -> Result<Leg, SipError> {
        let Placement { call, uri, next_hop, transport, flow } = placement;
        if self.draining {
            return Err(SipError::Stopped);
        }
        if self.dialogs.len() >= self.config.limits.dialogs {
            return Err(SipError::Overloaded);
        }
        let owner = match &call.target {
            Target::Contact(contact) => {
                Some(Owner { account: contact.binding.account.clone(), endpoint: contact.binding.endpoint.clone() })
            }
            Target::Uri(_) => None,
        };
        // A phone behind a NAT is only reached from the socket its registration came to.
        let known = flow.filter(|f| self.wire.alive(f));
        let vanished = known.is_none() && transport.is_websocket();
        let flow = known
            .or(flow.filter(|_| vanished))
            .or_else(|| self.wire.flow_to(transport, next_hop))
            .ok_or_else(|| SipError::NoTransport(format!("{next_hop} over {}", transport.name())))?;
        let from_host = match call.from.host.as_str() {
            "" => self.wire.advertised(&flow).ip().to_string(),
            host => host.to_owned(),
        };
        let local = address(&call.from.display, &Uri::new(&call.from.user, &from_host, None).to_string());
        let remote = match &call.to {
            Some(to) => address(&to.display, &Uri::new(&to.user, &to.host, None).to_string()),
            None => address("", &bare(&uri)),
        };
        let call_id = format!("{}@{}", uuid(), self.wire.advertised(&flow).ip());
        let (id, leg) = self.open_dialog(Birth {
            uac: true,
            call_id,
            local_tag: super::token(),
            remote_tag: None,
            local,
            remote,
            target: uri,
            routes: Vec::new(),
            flow,
            contact: self.contact(&flow, &call.from.user),
            owner,
        });
        if vanished {
            let reason = format!("{} (the browser's connection is gone)", reason(480));
            self.bury(id, LegEvent::Refused { code: 480, reason }, now);
            return Ok(leg);
        }
        let agent = self.config.user_agent.clone();
        let ringing = now + self.config.limits.ringing;
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.auth.clone_from(&call.auth);
            dialog.sdp = Some(call.offer.clone());
            let mut invite = dialog.request("INVITE");
            invite.headers.push("Allow", ALLOW);
            invite.headers.push("Supported", "timer");
            invite.headers.push("User-Agent", agent);
            invite.headers.0.extend(call.headers);
            invite.headers.push("Content-Type", "application/sdp");
            invite.body = call.offer.to_string().into();
            let client = self.send_request(invite, flow, (id, Purpose::Invite, 0), None, now);
            if let Some(dialog) = self.dialogs.get_mut(&id) {
                dialog.invite = Some(client);
            }
        }
        self.deadline(id, ringing);
        self.counters.calls_out.add();
        Ok(leg)
    }
}

fn address(display: &str, uri: &str) -> String {
    match display {
        "" => format!("<{uri}>"),
        display => format!("{} <{uri}>", crate::header::quote(display)),
    }
}

/// The URI as To may hold it: no transport parameter, no headers (RFC 3261 §19.1.1).
fn bare(uri: &str) -> String {
    match Uri::parse(uri) {
        Ok(mut parsed) => {
            parsed.params.retain(|(name, _)| name.eq_ignore_ascii_case("user"));
            parsed.headers = None;
            parsed.to_string()
        }
        Err(_) => uri.to_owned(),
    }
}

fn uuid() -> String {
    format!("{:032x}", rand::random::<u128>())
}

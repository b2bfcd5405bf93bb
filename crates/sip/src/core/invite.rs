//! INVITEs that begin a call: refused without state, or kept until it is known who calls (RFC 3261 §8.2, §9.2, §13.3).

use std::time::Instant;

use super::Core;
use super::dialog::{Birth, Phase, routes};
use super::server::ServerState;
use super::session::Asked;
use super::stateless::{Arrived, WayBack};
use crate::access::{Reply, party, uri_party};
use crate::connections::Owner;
use crate::header::{NameAddr, lists};
use crate::leg::{Command, Incoming, LegEvent};
use crate::message::{Headers, Request, media_type};
use crate::roster::Identity;
use crate::sdp::Session;

/// Why an INVITE or UPDATE cannot be looked at any further.
pub(super) fn unfit(request: &Request) -> Option<Reply> {
    let headers = &request.headers;
    if !request.body.is_empty() && media_type(headers) != "application/sdp" {
        return Some(Reply::new(415).with("Accept", "application/sdp"));
    }
    if headers.values("Content-Encoding").any(|e| !e.eq_ignore_ascii_case("identity")) {
        return Some(Reply::new(415).with("Accept-Encoding", "identity"));
    }
    let accepts = |v: &str| lists(v, "application/sdp") || lists(v, "application/*") || lists(v, "*/*");
    if headers.get("Accept").is_some() && !headers.all("Accept").any(accepts) {
        return Some(Reply::new(406).with("Accept", "application/sdp"));
    }
    Asked::too_small(headers).then(|| Reply::new(422).with("Min-SE", super::session::MIN.to_string()))
}

/// The SDP of a request.
pub(super) fn described(request: &Request) -> Result<Option<Session>, Reply> {
    if request.body.is_empty() {
        return Ok(None);
    }
    Session::parse(&request.body).map(Some).map_err(|fault| {
        Reply::new(488).with("Warning", format!("399 aside {}", crate::header::quote(&fault.to_string())))
    })
}

/// Where requests inside the dialog go.
pub(super) fn contact(headers: &Headers) -> Option<NameAddr> {
    headers.values("Contact").next().and_then(NameAddr::parse).filter(|contact| contact.sip().is_some())
}

/// Finds merged requests (RFC 3261 §8.2.2.2).
fn merge_key(request: &Request) -> String {
    let (cseq, _) = request.headers.cseq().unwrap_or((0, ""));
    format!("{}|{}|{cseq}", request.sender_tag().unwrap_or_default(), request.headers.call_id())
}

impl Core {
    pub(super) fn invite(&mut self, arrived: Arrived, now: Instant) {
        let merge = merge_key(&arrived.request);
        if let Some(refusal) = self.refusal(&arrived.request, &merge) {
            self.say(&arrived.back, &refusal);
            return;
        }
        let Some(tx) = self.open_server(&arrived, false, now) else { return };
        let Arrived { request, flow, .. } = arrived;
        self.merges.insert(merge.clone(), tx);
        let Some(server) = self.servers.get_mut(&tx) else { return };
        server.merge = Some(merge);
        server.request = Some(Box::new(request.clone()));
        let (access, known) = (self.access.clone(), self.familiar(&flow, now));
        let asked = self.ask(known, async move { Command::Admit(tx, access.call(&request, flow).await) });
        if !asked {
            self.counters.calls_refused.add();
            self.reply(tx, &Reply::later(5), now);
        }
    }

    /// Why an INVITE is refused, whoever it is from.
    fn refusal(&self, request: &Request, merge: &str) -> Option<Reply> {
        if self.merges.contains_key(merge) {
            return Some(Reply::new(482));
        }
        if self.draining || self.dialogs.len() >= self.config.limits.dialogs {
            self.counters.calls_refused.add();
            return Some(Reply::later(10));
        }
        unfit(request).or_else(|| described(request).err()).or_else(|| {
            let missing = || Reply::because(400, "Bad Request: an INVITE needs a Contact with a SIP URI");
            contact(&request.headers).is_none().then(missing)
        })
    }

    /// The caller of an INVITE is known: hand the call over.
    pub(super) fn admit(&mut self, tx: u64, verdict: Result<Identity, Reply>, now: Instant) {
        let identity = match verdict {
            Ok(identity) => identity,
            Err(reply) => {
                self.reply(tx, &reply, now);
                return;
            }
        };
        let Some(server) = self.servers.get_mut(&tx).filter(|s| s.state == ServerState::Open) else { return };
        // Without its request the transaction was cancelled meanwhile.
        let Some(request) = server.request.take() else { return };
        server.proven = true;
        // Its tag becomes the dialog's: the same request, sent again when this transaction is long over, gets another.
        server.back.tag = super::token();
        let (flow, tag) = (server.back.flow, server.back.tag.clone());
        if self.draining {
            self.counters.calls_refused.add();
            self.reply(tx, &Reply::later(10), now);
            return;
        }
        let Ok(permit) = self.incoming.clone().try_reserve_owned() else {
            self.counters.calls_refused.add();
            self.reply(tx, &Reply::later(5), now);
            return;
        };
        let owner = match &identity {
            Identity::Endpoint { account, endpoint, .. } => {
                Some(Owner { account: account.clone(), endpoint: endpoint.clone() })
            }
            Identity::Trunk { .. } => None,
        };
        if let Some(owner) = &owner {
            self.wire.connections.prove(flow.connection, owner);
        }
        if flow.is_websocket() && !self.wire.alive(&flow) {
            // It closed while it was decided who calls.
            self.reply(tx, &Reply::new(480), now);
            return;
        }
        self.respond(tx, 100, None, &[], None, now);
        let headers = &request.headers;
        let from = headers.name_addr("From");
        let to = headers.name_addr("To");
        let target = contact(headers).map_or_else(|| request.uri.clone(), |c| c.uri);
        let called = uri_party(&request.uri);
        let (id, leg) = self.open_dialog(Birth {
            uac: false,
            call_id: headers.call_id().to_owned(),
            local_tag: tag,
            remote_tag: Some(request.sender_tag().unwrap_or_default()),
            local: headers.get("To").unwrap_or("").to_owned(),
            remote: strip_tag(headers.get("From").unwrap_or("")),
            target,
            routes: routes(headers, false),
            flow,
            contact: self.contact(&flow, &called.user),
            owner,
        });
        let ringing = now + self.config.limits.ringing;
        if let Some(server) = self.servers.get_mut(&tx) {
            server.dialog = Some(id);
        }
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.pending = Some(tx);
            dialog.pending_invite = true;
            dialog.remote_seq = headers.cseq().map(|(n, _)| n);
            dialog.timer = Asked::read(headers).map(|asked| asked.as_uas(now));
            dialog.peer_timer = headers.values("Supported").any(|s| s.eq_ignore_ascii_case("timer"));
        }
        self.deadline(id, ringing);
        self.counters.calls_in.add();
        permit.send(Incoming {
            leg,
            from: party(&from),
            to: party(&to),
            request_uri: called,
            request_uri_text: request.uri.clone(),
            headers: headers.0.clone(),
            source: flow.remote,
            transport: flow.transport,
            identity,
            offer: Session::parse(&request.body).ok(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            call_id: headers.call_id().to_owned(),
        });
    }

    /// Answered without state: as long as the INVITE is remembered, a repetition gets the same answer.
    pub(super) fn cancel(&mut self, back: WayBack, key: &str, now: Instant) {
        // The key of a CANCEL differs from its INVITE's only by the method.
        let invite = key.strip_prefix("CANCEL").and_then(|rest| self.server_by_key(&format!("INVITE{rest}")));
        let Some(server) = invite.and_then(|id| self.servers.get(&id)) else {
            self.say(&back, &Reply::new(481));
            return;
        };
        let (invite, dialog, open) = (server.id, server.dialog, server.state == ServerState::Open);
        self.say(&WayBack { tag: server.back.tag.clone(), ..back }, &Reply::new(200));
        if !open {
            return;
        }
        self.respond(invite, 487, None, &[], None, now);
        let Some(dialog) = dialog.and_then(|id| self.dialogs.get_mut(&id)) else { return };
        dialog.pending = None;
        if dialog.phase == Phase::Offered {
            let id = dialog.id;
            self.bury(id, LegEvent::Cancelled, now);
        }
    }
}

/// A From or To value without its tag, other parameters kept.
pub(super) fn strip_tag(value: &str) -> String {
    let Some(address) = NameAddr::parse(value) else { return value.to_owned() };
    let mut out = String::new();
    if !address.display.is_empty() {
        out.push_str(&crate::header::quote(&address.display));
        out.push(' ');
    }
    out.push_str(&format!("<{}>", address.uri));
    for (name, value) in address.params.0.iter().filter(|(n, _)| !n.eq_ignore_ascii_case("tag")) {
        out.push_str(&match value {
            Some(value) => format!(";{name}={value}"),
            None => format!(";{name}"),
        });
    }
    out
}

//! Requests that arrive (RFC 3261 §8.2, §9.2, §12.2.2, §13.3, §14.2, §15.1.2).

use std::time::Instant;

use super::dialog::{Birth, Phase, routes};
use super::session::Asked;
use super::transactions::{ServerState, server_key};
use super::{Core, Wake};
use crate::access::{Reply, party, uri_party};
use crate::directory::Identity;
use crate::header::{NameAddr, Via, lists};
use crate::leg::{By, Command, Incoming, LegEvent};
use crate::message::{ALLOW, Request, media_type};
use crate::sdp::Session;
use crate::transport::{Flow, Transport};

/// A header of a response.
pub(super) fn line(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

impl Core {
    pub(super) fn request(&mut self, request: Request, flow: Flow, now: Instant) {
        let Some(via) = request.headers.values("Via").next().and_then(Via::parse) else { return };
        let key = server_key(&request, &via);
        if request.method == "ACK" {
            let ours = self.server_by_key(&key).is_some_and(|id| self.acked(id, now));
            if !ours {
                self.ack(&request, flow, now);
            }
            return;
        }
        if let Some(id) = self.server_by_key(&key) {
            self.repeated(id);
            return;
        }
        let Some(tx) = self.open_server(&request, flow, key.clone()) else { return };
        if request.method == "CANCEL" {
            self.cancel(tx, &key, now);
            return;
        }
        let unknown: Vec<&str> = ["Require", "Proxy-Require"]
            .into_iter()
            .flat_map(|name| request.headers.values(name))
            .filter(|option| !option.eq_ignore_ascii_case("timer"))
            .collect();
        if !unknown.is_empty() {
            self.respond(tx, 420, None, &[line("Unsupported", unknown.join(", "))], None, now);
            return;
        }
        match request.to_tag() {
            Some(tag) => self.inside(tx, request, &tag, flow, now),
            None => self.outside(tx, request, flow, now),
        }
    }

    fn outside(&mut self, tx: u64, request: Request, flow: Flow, now: Instant) {
        match request.method.as_str() {
            "INVITE" => self.invite(tx, request, flow, now),
            "REGISTER" => {
                let access = self.access.clone();
                let asked = self.ask(async move { Command::Reply(tx, access.register(&request, flow).await) });
                if !asked {
                    self.respond(tx, 503, None, &[line("Retry-After", "5")], None, now);
                }
            }
            "OPTIONS" => self.options(tx, now),
            "BYE" | "INFO" | "UPDATE" | "PRACK" => {
                self.counters.unknown_dialog.add();
                self.respond(tx, 481, None, &[], None, now);
            }
            _ => self.not_allowed(tx, now),
        }
    }

    fn options(&mut self, tx: u64, now: Instant) {
        let code = if self.draining { 503 } else { 200 };
        let lines = [
            line("Allow", ALLOW),
            line("Accept", "application/sdp"),
            line("Accept-Encoding", "identity"),
            line("Accept-Language", "en"),
            line("Supported", "timer"),
        ];
        self.respond(tx, code, None, &lines, None, now);
    }

    fn not_allowed(&mut self, tx: u64, now: Instant) {
        self.respond(tx, 405, None, &[line("Allow", ALLOW)], None, now);
    }

    /// Why an INVITE or UPDATE cannot be looked at any further.
    fn unfit(&self, request: &Request) -> Option<Reply> {
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

    /// The SDP of a request; `Err` has already been answered.
    fn offer(&mut self, tx: u64, request: &Request, now: Instant) -> Result<Option<Session>, ()> {
        if request.body.is_empty() {
            return Ok(None);
        }
        Session::parse(&request.body).map(Some).map_err(|fault| {
            let warning = format!("399 aside {}", crate::header::quote(&fault.to_string()));
            self.respond(tx, 488, None, &[line("Warning", warning)], None, now);
        })
    }

    fn invite(&mut self, tx: u64, request: Request, flow: Flow, now: Instant) {
        let (cseq, _) = request.headers.cseq().unwrap_or((0, ""));
        let merge = format!("{}|{}|{cseq}", request.sender_tag().unwrap_or_default(), request.headers.call_id());
        if self.merges.contains_key(&merge) {
            self.respond(tx, 482, None, &[], None, now);
            return;
        }
        if self.draining || self.dialogs.len() >= self.config.limits.dialogs {
            self.counters.calls_refused.add();
            self.respond(tx, 503, None, &[line("Retry-After", "10")], None, now);
            return;
        }
        if let Some(reply) = self.unfit(&request) {
            self.respond(tx, reply.code, reply.reason, &reply.headers, None, now);
            return;
        }
        if self.offer(tx, &request, now).is_err() {
            return;
        }
        self.merges.insert(merge.clone(), tx);
        let Some(server) = self.servers.get_mut(&tx) else { return };
        server.merge = Some(merge);
        server.request = Some(Box::new(request.clone()));
        server.flow.connection = flow.connection;
        let access = self.access.clone();
        let asked = self.ask(async move { Command::Admit(tx, access.call(&request, flow).await) });
        if !asked {
            self.counters.calls_refused.add();
            self.respond(tx, 503, None, &[line("Retry-After", "5")], None, now);
        }
    }

    /// The caller of an INVITE is known: hand the call over.
    pub(super) fn admit(&mut self, tx: u64, verdict: Result<Identity, Reply>, now: Instant) {
        let identity = match verdict {
            Ok(identity) => identity,
            Err(reply) => {
                self.respond(tx, reply.code, reply.reason, &reply.headers, None, now);
                return;
            }
        };
        let Some(server) = self.servers.get_mut(&tx).filter(|s| s.state == ServerState::Open) else { return };
        // Without its request the transaction was cancelled meanwhile.
        let Some(request) = server.request.take() else { return };
        let source = std::net::SocketAddr::new(server.flow.remote.ip(), server.flow.remote.port());
        let (flow, tag) = (server.flow, server.tag.clone());
        if self.draining {
            self.counters.calls_refused.add();
            self.respond(tx, 503, None, &[line("Retry-After", "10")], None, now);
            return;
        }
        let Ok(permit) = self.incoming.clone().try_reserve_owned() else {
            self.counters.calls_refused.add();
            self.respond(tx, 503, None, &[line("Retry-After", "5")], None, now);
            return;
        };
        self.respond(tx, 100, None, &[], None, now);
        let headers = &request.headers;
        let from = headers.name_addr("From");
        let to = headers.name_addr("To");
        let contact = headers.values("Contact").next().and_then(NameAddr::parse);
        let target = contact.or_else(|| from.clone()).map_or_else(|| request.uri.clone(), |c| c.uri);
        let untagged = |value: &str| strip_tag(value);
        let called = uri_party(&request.uri);
        let (id, leg) = self.open_dialog(Birth {
            uac: false,
            call_id: headers.call_id().to_owned(),
            local_tag: tag,
            remote_tag: Some(request.sender_tag().unwrap_or_default()),
            local: headers.get("To").unwrap_or("").to_owned(),
            remote: untagged(headers.get("From").unwrap_or("")),
            target,
            routes: routes(headers, false),
            flow,
            contact: self.contact(&flow, &called.user),
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
            source,
            transport: flow.transport,
            identity,
            offer: Session::parse(&request.body).ok(),
            call_id: headers.call_id().to_owned(),
        });
    }

    fn cancel(&mut self, tx: u64, key: &str, now: Instant) {
        // The key of a CANCEL differs from its INVITE's only by the method.
        let invite = key.strip_prefix("CANCEL").and_then(|rest| self.server_by_key(&format!("INVITE{rest}")));
        let Some(server) = invite.and_then(|id| self.servers.get(&id)) else {
            self.respond(tx, 481, None, &[], None, now);
            return;
        };
        let (invite, tag, dialog, open) =
            (server.id, server.tag.clone(), server.dialog, server.state == ServerState::Open);
        if let Some(cancel) = self.servers.get_mut(&tx) {
            cancel.tag = tag;
        }
        self.respond(tx, 200, None, &[], None, now);
        if !open {
            return;
        }
        self.respond(invite, 487, None, &[], None, now);
        let Some(dialog) = dialog.and_then(|id| self.dialogs.get_mut(&id)) else { return };
        dialog.pending = None;
        if dialog.phase == Phase::Offered {
            let id = dialog.id;
            self.bury(id, LegEvent::Cancelled);
        }
    }

    fn find(&self, request: &Request, tag: &str) -> Option<u64> {
        let id = *self.tags.get(tag)?;
        let dialog = self.dialogs.get(&id)?;
        let same_peer = match &dialog.remote_tag {
            Some(remote) => *remote == request.sender_tag().unwrap_or_default(),
            None => true,
        };
        (same_peer && *dialog.call_id == *request.headers.call_id()).then_some(id)
    }

    fn ack(&mut self, request: &Request, flow: Flow, now: Instant) {
        let Some(id) = request.to_tag().and_then(|tag| self.find(request, &tag)) else { return };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let seq = request.headers.cseq().map(|(n, _)| n);
        let Some(unacked) = dialog.unacked.take_if(|u| Some(u.seq) == seq) else { return };
        if flow.transport == Transport::Tcp {
            dialog.flow = flow;
        }
        if let Some(why) = dialog.bye.take() {
            self.send_bye(id, why.as_deref(), now);
            return;
        }
        let answer = match unacked.offered {
            true => Session::parse(&request.body).ok(),
            false => None,
        };
        self.tell(id, LegEvent::Acked { answer }, now);
    }

    fn inside(&mut self, tx: u64, request: Request, tag: &str, flow: Flow, now: Instant) {
        let Some(id) = self.find(&request, tag) else {
            self.counters.unknown_dialog.add();
            self.respond(tx, 481, None, &[], None, now);
            return;
        };
        let seq = request.headers.cseq().map(|(n, _)| n);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.remote_seq >= seq {
            self.respond(tx, 500, Some("Server Internal Error: CSeq out of order"), &[], None, now);
            return;
        }
        dialog.remote_seq = seq;
        if dialog.phase == Phase::Ending && request.method != "BYE" {
            self.respond(tx, 481, None, &[], None, now);
            return;
        }
        match request.method.as_str() {
            "BYE" => self.bye(tx, id, &request, now),
            "INVITE" | "UPDATE" => self.reoffer(tx, id, &request, flow, now),
            "INFO" => self.info(tx, id, &request, now),
            "OPTIONS" => self.options(tx, now),
            "PRACK" => {
                self.respond(tx, 481, None, &[], None, now);
            }
            _ => self.not_allowed(tx, now),
        }
    }

    fn bye(&mut self, tx: u64, id: u64, request: &Request, now: Instant) {
        self.respond(tx, 200, None, &[], None, now);
        let pending = self.dialogs.get_mut(&id).and_then(|d| d.pending.take());
        if let Some(pending) = pending {
            self.respond(pending, 487, None, &[], None, now);
        }
        let cause = request.headers.get("Reason").map_or_else(|| "the peer hung up".to_owned(), clip);
        self.bury(id, LegEvent::Ended { by: By::Remote, cause });
    }

    fn reoffer(&mut self, tx: u64, id: u64, request: &Request, flow: Flow, now: Instant) {
        let invite = request.method == "INVITE";
        let Some(dialog) = self.dialogs.get(&id) else { return };
        let wait = (rand::random::<u8>() % 10).to_string();
        if dialog.pending.is_some() || (invite && dialog.unacked.is_some()) {
            let (code, lines) = match dialog.phase {
                Phase::Up => (500, vec![line("Retry-After", wait)]),
                _ => (491, vec![]),
            };
            self.respond(tx, code, None, &lines, None, now);
            return;
        }
        if dialog.reinvite.as_ref().is_some_and(|r| r.client.is_some()) || dialog.phase != Phase::Up {
            self.respond(tx, 491, None, &[], None, now);
            return;
        }
        if let Some(reply) = self.unfit(request) {
            self.respond(tx, reply.code, reply.reason, &reply.headers, None, now);
            return;
        }
        let Ok(offer) = self.offer(tx, request, now) else { return };
        let contact = request.headers.values("Contact").next().and_then(NameAddr::parse);
        let asked = Asked::read(&request.headers);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if let Some(contact) = contact {
            dialog.target = contact.uri;
            // The peer may have a new NAT binding or connection; its Contact was refreshed with it.
            dialog.flow = flow;
        }
        if let Some(asked) = asked {
            dialog.timer = Some(asked.as_uas(now));
        }
        if let Some(timer) = dialog.timer {
            self.wake(timer.due, Wake::Dialog(id));
        }
        if !invite && offer.is_none() {
            let lines = self.session_lines(id);
            self.respond(tx, 200, None, &lines, None, now);
            return;
        }
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        dialog.pending = Some(tx);
        dialog.pending_invite = invite;
        if let Some(server) = self.servers.get_mut(&tx) {
            server.dialog = Some(id);
        }
        if invite {
            self.respond(tx, 100, None, &[], None, now);
        }
        let patience = now + self.timers.give_up();
        self.deadline(id, patience);
        self.tell(id, LegEvent::Reoffer(offer), now);
    }

    fn info(&mut self, tx: u64, id: u64, request: &Request, now: Instant) {
        let text = String::from_utf8_lossy(&request.body);
        let digit = match media_type(&request.headers).as_str() {
            "application/dtmf-relay" => text.lines().find_map(|l| {
                let (name, value) = l.split_once('=')?;
                name.trim().eq_ignore_ascii_case("Signal").then(|| value.trim().to_owned())
            }),
            "application/dtmf" => Some(text.trim().to_owned()),
            _ if request.body.is_empty() => {
                self.respond(tx, 200, None, &[], None, now);
                return;
            }
            _ => {
                self.respond(tx, 415, None, &[line("Accept", "application/dtmf-relay, application/dtmf")], None, now);
                return;
            }
        };
        let digit = digit.and_then(|d| match d.as_str() {
            "10" => Some('*'),
            "11" => Some('#'),
            d => {
                let mut chars = d.chars();
                let c = chars.next()?.to_ascii_uppercase();
                (chars.next().is_none() && matches!(c, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(c)
            }
        });
        match digit {
            Some(digit) => {
                self.respond(tx, 200, None, &[], None, now);
                self.tell(id, LegEvent::InfoDigit(digit), now);
            }
            None => {
                self.respond(tx, 400, Some("Bad Request: no digit in the INFO body"), &[], None, now);
            }
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

fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

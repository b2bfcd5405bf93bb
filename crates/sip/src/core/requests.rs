//! Requests that arrive, and what those inside a dialog do (RFC 3261 §8.2, §12.2.2, §14.2, §15.1.2).

use std::time::Instant;

use super::dialog::Phase;
use super::invite::{contact, described, unfit};
use super::server::server_key;
use super::session::Asked;
use super::stateless::Arrived;
use super::{Core, Wake};
use crate::access::{Reply, uri_party};
use crate::header::Via;
use crate::leg::{AtWill, By, Command, LegEvent};
use crate::message::{ALLOW, ALLOW_OUTSIDE, Request, media_type};
use crate::sdp::Session;
use crate::transport::{Flow, Transport};

/// A header of a response.
pub(super) fn line(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn not_allowed(allowed: &str) -> Reply {
    Reply::new(405).with("Allow", allowed)
}

/// Plivo's browser SDK asks `admin` in this way for its public address, to notice that its network changed.
fn asks_its_address(arrived: &Arrived) -> bool {
    let Arrived { request, flow, .. } = arrived;
    flow.is_websocket() && uri_party(&request.uri).user == "admin" && request.body.trim_ascii() == b"ipAddress"
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
        let arrived = self.arrived(request, flow, key);
        if arrived.request.method == "CANCEL" {
            self.cancel(arrived.back, &arrived.key, now);
            return;
        }
        let unknown: Vec<&str> = ["Require", "Proxy-Require"]
            .into_iter()
            .flat_map(|name| arrived.request.headers.values(name))
            .filter(|option| !option.eq_ignore_ascii_case("timer"))
            .collect();
        if !unknown.is_empty() {
            self.say(&arrived.back, &Reply::new(420).with("Unsupported", unknown.join(", ")));
            return;
        }
        match arrived.request.to_tag() {
            Some(tag) => self.inside(arrived, &tag, now),
            None => self.outside(arrived, now),
        }
    }

    fn outside(&mut self, arrived: Arrived, now: Instant) {
        match arrived.request.method.as_str() {
            "INVITE" => self.invite(arrived, now),
            "REGISTER" => self.register(arrived, now),
            "OPTIONS" => self.say(&arrived.back, &self.options()),
            "BYE" | "INFO" | "UPDATE" | "PRACK" | "NOTIFY" => {
                self.counters.unknown_dialog.add();
                self.say(&arrived.back, &Reply::new(481));
            }
            "MESSAGE" if asks_its_address(&arrived) => {
                let address = arrived.flow.remote.ip().to_canonical().to_string();
                self.say_with(&arrived.back, &Reply::new(200), ("text/plain", address.as_bytes()));
            }
            _ => self.say(&arrived.back, &not_allowed(ALLOW_OUTSIDE)),
        }
    }

    fn register(&mut self, arrived: Arrived, now: Instant) {
        let Some(tx) = self.open_server(&arrived, false, now) else { return };
        let Arrived { request, flow, .. } = arrived;
        let (access, known) = (self.access.clone(), self.familiar(&flow, now));
        let asked = self.ask(known, async move { Command::Reply(tx, access.register(&request, flow).await) });
        if !asked {
            self.reply(tx, &Reply::later(5), now);
        }
    }

    fn options(&self) -> Reply {
        Reply::new(if self.draining { 503 } else { 200 })
            .with("Allow", ALLOW)
            .with("Accept", "application/sdp")
            .with("Accept-Encoding", "identity")
            .with("Accept-Language", "en")
            .with("Supported", "timer")
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
        if flow.transport == Transport::Tcp && !dialog.flow.is_websocket() {
            dialog.flow = flow;
        }
        if !self.is_foreign(id, &flow) {
            self.follow(id, flow);
        }
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if let Some(parting) = dialog.parting.take() {
            self.say_bye(id, &parting, now);
            return;
        }
        let answer = match unacked.offered {
            true => Session::parse(&request.body).ok(),
            false => None,
        };
        self.tell(id, LegEvent::Acked { answer }, now);
    }

    fn inside(&mut self, arrived: Arrived, tag: &str, now: Instant) {
        let Some(id) = self.find(&arrived.request, tag) else {
            self.counters.unknown_dialog.add();
            self.say(&arrived.back, &Reply::new(481));
            return;
        };
        if self.is_foreign(id, &arrived.flow) {
            self.rejoin(arrived, id, now);
            return;
        }
        let Some(tx) = self.open_server(&arrived, true, now) else { return };
        let Arrived { request, flow, .. } = arrived;
        self.within(tx, id, request, flow, now);
    }

    /// A request inside a dialog, from whom the dialog is with.
    pub(super) fn within(&mut self, tx: u64, id: u64, request: Request, flow: Flow, now: Instant) {
        let seq = request.headers.cseq().map(|(n, _)| n);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.remote_seq >= seq {
            self.respond(tx, 500, Some("Server Internal Error: CSeq out of order"), &[], None, now);
            return;
        }
        dialog.remote_seq = seq;
        self.follow(id, flow);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.phase == Phase::Ending && request.method != "BYE" {
            self.respond(tx, 481, None, &[], None, now);
            return;
        }
        match request.method.as_str() {
            "BYE" => self.bye(tx, id, &request, now),
            "INVITE" | "UPDATE" => self.reoffer(tx, id, &request, flow, now),
            "INFO" => self.info(tx, id, &request, now),
            "MESSAGE" => self.pass_on(tx, id, &request, now),
            "REFER" => self.referred(tx, id, &request, now),
            "NOTIFY" => self.notified(tx, id, &request, now),
            "OPTIONS" => self.reply(tx, &self.options(), now),
            "PRACK" => self.reply(tx, &Reply::new(481), now),
            _ => self.reply(tx, &not_allowed(ALLOW), now),
        }
    }

    fn bye(&mut self, tx: u64, id: u64, request: &Request, now: Instant) {
        self.respond(tx, 200, None, &[], None, now);
        let pending = self.dialogs.get_mut(&id).and_then(|d| d.pending.take());
        if let Some(pending) = pending {
            self.respond(pending, 487, None, &[], None, now);
        }
        let cause = request.headers.get("Reason").map_or_else(|| "the peer hung up".to_owned(), clip);
        let own = |name: &str| name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
        let headers = request.headers.0.iter().filter(|(name, _)| own(name)).cloned().collect();
        self.bury(id, LegEvent::Ended { by: By::Remote, cause, headers }, now);
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
        if let Some(reply) = unfit(request) {
            self.reply(tx, &reply, now);
            return;
        }
        let offer = match described(request) {
            Ok(offer) => offer,
            Err(reply) => {
                self.reply(tx, &reply, now);
                return;
            }
        };
        let contact = contact(&request.headers);
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

    /// Hands a request over that asks nothing of the dialog, and answers it.
    fn pass_on(&mut self, tx: u64, id: u64, request: &Request, now: Instant) {
        if request.headers.values("Content-Encoding").any(|e| !e.eq_ignore_ascii_case("identity")) {
            self.reply(tx, &Reply::new(415).with("Accept-Encoding", "identity"), now);
            return;
        }
        if !self.roomy(id, AtWill::Large) {
            self.counters.events_dropped.add();
            self.reply(tx, &Reply::later(5), now);
            return;
        }
        self.respond(tx, 200, None, &[], None, now);
        let event = LegEvent::Request {
            method: request.method.clone(),
            content_type: request.headers.get("Content-Type").map(str::to_owned),
            body: request.body.to_vec(),
            headers: request.headers.0.clone(),
        };
        self.tell(id, event, now);
    }

    fn candidates(&mut self, tx: u64, id: u64, fragment: String, now: Instant) {
        if !self.roomy(id, AtWill::Large) {
            self.counters.events_dropped.add();
            self.reply(tx, &Reply::later(5), now);
            return;
        }
        self.respond(tx, 200, None, &[], None, now);
        self.tell(id, LegEvent::IceCandidates(fragment), now);
    }

    fn info(&mut self, tx: u64, id: u64, request: &Request, now: Instant) {
        let text = String::from_utf8_lossy(&request.body);
        let digit = match media_type(&request.headers).as_str() {
            "application/dtmf-relay" => text.lines().find_map(|l| {
                let (name, value) = l.split_once('=')?;
                name.trim().eq_ignore_ascii_case("Signal").then(|| value.trim().to_owned())
            }),
            "application/dtmf" => Some(text.trim().to_owned()),
            "application/trickle-ice-sdpfrag" => {
                let fragment = text.into_owned();
                self.candidates(tx, id, fragment, now);
                return;
            }
            _ => {
                self.pass_on(tx, id, request, now);
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

pub(super) fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

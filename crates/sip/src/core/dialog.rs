//! One dialog (RFC 3261 §12) and the requests sent inside it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::ask::Asked;
use super::client::Purpose;
use super::referral::Referral;
use super::transfer::Transfer;
use super::{Core, Wake};
use crate::connections::Owner;
use crate::digest::Challenge;
use crate::given::Parting;
use crate::leg::{AtWill, By, Done, Leg, LegControl, LegEvent, SipError};
use crate::message::{Headers, Request};
use crate::sdp::Session;
use crate::transport::{Flow, Transport, is_private, is_unicast};
use crate::uri::Uri;

/// Events the engine may leave waiting per leg.
const EVENTS: usize = 64;

/// Events waiting beyond which none is taken that may be as large as a message.
const LARGE: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Outgoing, not answered.
    Calling,
    /// Incoming, not answered.
    Offered,
    /// Answered; the ACK may still be missing.
    Up,
    /// Over for the engine; waiting for a last answer or ACK.
    Ending,
}

/// A 2xx of ours that waits for its ACK.
pub(super) struct Unacked {
    pub bytes: Bytes,
    pub flow: Flow,
    pub seq: u32,
    pub interval: Duration,
    pub repeat_at: Instant,
    pub give_up_at: Instant,
    /// The answer to our offer is expected in the ACK.
    pub offered: bool,
}

/// A re-INVITE of ours.
pub(super) struct Reinvite {
    pub sdp: Session,
    pub done: Option<Done<Session>>,
    pub tries: u8,
    pub client: Option<u64>,
    pub again_at: Option<Instant>,
}

/// What the peer promised, or we did (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionTimer {
    pub seconds: u32,
    pub we_refresh: bool,
    pub due: Instant,
}

pub(super) struct Dialog {
    pub id: u64,
    pub phase: Phase,
    pub uac: bool,
    pub call_id: Arc<str>,
    pub local_tag: String,
    pub remote_tag: Option<String>,
    /// From or To value of ours and of the peer, without tags.
    pub local: String,
    pub remote: String,
    /// Request-URI of what we send.
    pub target: String,
    /// Route set, first hop first.
    pub routes: Vec<String>,
    pub flow: Flow,
    /// The flow is a browser's, and its connection broke: when the call ends unless it comes back.
    pub flow_gone: Option<Instant>,
    /// The endpoint it is with, if it is with one.
    pub owner: Option<Owner>,
    pub contact: String,
    pub local_seq: u32,
    pub remote_seq: Option<u32>,
    events: Option<mpsc::Sender<LegEvent>>,
    last: Arc<OnceLock<LegEvent>>,
    /// The peer's INVITE or UPDATE that waits for our answer.
    pub pending: Option<u64>,
    pub pending_invite: bool,
    pub unacked: Option<Unacked>,
    pub reinvite: Option<Reinvite>,
    /// Our INVITE's transaction.
    pub invite: Option<u64>,
    pub provisional: bool,
    pub cancelled: bool,
    pub ack: Option<(u32, Bytes, Flow)>,
    pub auth: Option<(String, String)>,
    pub challenge: Option<(Challenge, bool, u32)>,
    pub rung: Vec<u16>,
    pub early: Option<Session>,
    pub sdp: Option<Session>,
    pub timer: Option<SessionTimer>,
    pub peer_timer: bool,
    /// What a BYE says that waits for the ACK, or a CANCEL for its provisional answer.
    pub parting: Option<Parting>,
    /// Requests of ours that wait for their answers.
    pub asked: Vec<Asked>,
    /// Transfers we asked the peer for.
    pub transfers: Vec<Transfer>,
    /// Transfers the peer asks us for.
    pub referrals: Vec<Referral>,
    pub give_up_at: Option<Instant>,
}

/// What a dialog begins with.
pub(super) struct Birth {
    pub uac: bool,
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: Option<String>,
    pub local: String,
    pub remote: String,
    pub target: String,
    pub routes: Vec<String>,
    pub flow: Flow,
    pub contact: String,
    pub owner: Option<Owner>,
}

impl Dialog {
    /// The peer answered over this flow.
    pub fn take_flow(&mut self, flow: Flow) {
        self.flow = match flow.is_websocket() {
            true => flow,
            false => Flow { remote: flow.remote, connection: flow.connection, ..self.flow },
        };
        if flow.is_websocket() {
            self.flow_gone = None;
        }
    }

    /// Whether the engine has dropped its leg.
    pub fn let_go(&self) -> bool {
        self.events.as_ref().is_some_and(mpsc::Sender::is_closed)
    }

    /// Whether the engine still counts this as a call.
    pub fn live(&self) -> bool {
        self.events.is_some()
    }

    /// A request inside the dialog; Via comes when it is sent.
    pub fn request(&mut self, method: &str) -> Request {
        self.local_seq += 1;
        let seq = self.local_seq;
        self.request_numbered(method, seq)
    }

    pub fn request_numbered(&self, method: &str, seq: u32) -> Request {
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        let mut uri = self.target.clone();
        let mut routes = self.routes.clone();
        // A strict router (no lr) takes the Request-URI's place (RFC 3261 §12.2.1.1).
        let strict = routes
            .first()
            .and_then(|r| crate::header::NameAddr::parse(r))
            .filter(|first| first.sip().is_some_and(|u| u.param("lr").is_none()));
        if let Some(first) = strict {
            routes.remove(0);
            routes.push(format!("<{uri}>"));
            uri = first.uri;
        }
        for route in routes {
            headers.push("Route", route);
        }
        headers.push("From", format!("{};tag={}", self.local, self.local_tag));
        match &self.remote_tag {
            Some(tag) if !tag.is_empty() => headers.push("To", format!("{};tag={tag}", self.remote)),
            _ => headers.push("To", self.remote.clone()),
        }
        headers.push("Call-ID", self.call_id.to_string());
        headers.push("CSeq", format!("{seq} {method}"));
        headers.push("Contact", self.contact.clone());
        Request { method: method.to_owned(), uri, headers, body: Bytes::new() }
    }

    /// Adds credentials for the last challenge, if there was one.
    pub fn authorize(&mut self, request: &mut Request) {
        let (Some((user, password)), Some((challenge, proxy, count))) = (&self.auth, &mut self.challenge) else {
            return;
        };
        *count += 1;
        let cnonce = super::token();
        let value = challenge.answer((user, password), &request.method, &request.uri, *count, &cnonce);
        request.headers.push(if *proxy { "Proxy-Authorization" } else { "Authorization" }, value);
    }

    /// Where requests inside the dialog go. A next hop that is named, or hidden behind a NAT, is reached where its
    /// messages came from; so is any TCP peer while its connection lives.
    pub fn hop(&self) -> SocketAddr {
        let first = match self.routes.first() {
            Some(route) => crate::header::NameAddr::parse(route).and_then(|r| r.sip()),
            None => Uri::parse(&self.target).ok(),
        };
        let source = self.flow.remote;
        let Some((ip, uri)) = first.and_then(|uri| Some((uri.ip()?, uri))) else { return source };
        if !is_unicast(ip) || (is_private(ip) && ip != source.ip()) {
            return source;
        }
        SocketAddr::new(ip, uri.port.unwrap_or(5060))
    }
}

/// `Record-Route` values as a route set.
pub(super) fn routes(headers: &Headers, reverse: bool) -> Vec<String> {
    let mut routes: Vec<String> = headers.values("Record-Route").map(str::to_owned).collect();
    if reverse {
        routes.reverse();
    }
    routes
}

impl Core {
    /// Enters a dialog and makes its leg.
    pub(super) fn open_dialog(&mut self, birth: Birth) -> (u64, Leg) {
        let id = self.number();
        let (sender, events) = mpsc::channel(EVENTS);
        let last = Arc::new(OnceLock::new());
        let call_id: Arc<str> = birth.call_id.into();
        let control = LegControl { id, call_id: call_id.clone(), commands: self.commands.clone() };
        let leg = Leg { control, events, last: last.clone(), over: false };
        self.tags.insert(birth.local_tag.clone(), id);
        self.counters.dialogs_created.add();
        self.dialogs.insert(
            id,
            Dialog {
                id,
                phase: if birth.uac { Phase::Calling } else { Phase::Offered },
                uac: birth.uac,
                call_id,
                local_tag: birth.local_tag,
                remote_tag: birth.remote_tag,
                local: birth.local,
                remote: birth.remote,
                target: birth.target,
                routes: birth.routes,
                flow: birth.flow,
                flow_gone: None,
                owner: birth.owner,
                contact: birth.contact,
                local_seq: u32::from(rand::random::<u16>()),
                remote_seq: None,
                events: Some(sender),
                last,
                pending: None,
                pending_invite: false,
                unacked: None,
                reinvite: None,
                invite: None,
                provisional: false,
                cancelled: false,
                ack: None,
                auth: None,
                challenge: None,
                rung: Vec::new(),
                early: None,
                sdp: None,
                timer: None,
                peer_timer: false,
                parting: None,
                asked: Vec::new(),
                transfers: Vec::new(),
                referrals: Vec::new(),
                give_up_at: None,
            },
        );
        (id, leg)
    }

    /// Whether an event of that kind may still be left waiting: those a peer can send at will must not crowd out the others,
    /// nor, where they hold what it wrote, fill the memory.
    pub(super) fn roomy(&self, id: u64, kind: AtWill) -> bool {
        let Some(events) = self.dialogs.get(&id).and_then(|d| d.events.as_ref()) else { return true };
        let waiting = EVENTS.saturating_sub(events.capacity());
        match kind {
            AtWill::Never => true,
            AtWill::Small => waiting <= EVENTS / 2,
            AtWill::Large => waiting < LARGE,
        }
    }

    /// Tells the engine. An engine that leaves `EVENTS` of them unread loses the call, not just one event.
    pub(super) fn tell(&mut self, id: u64, event: LegEvent, now: Instant) {
        if !self.roomy(id, event.at_will()) {
            self.counters.events_dropped.add();
            return;
        }
        let Some(events) = self.dialogs.get(&id).and_then(|d| d.events.as_ref()) else { return };
        match events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => self.abandon(id, now),
            Err(TrySendError::Full(_)) => {
                self.counters.events_dropped.add();
                self.finish(id, LegEvent::ended(By::Local, "the application does not take this call's events"), now);
                self.hang_up(id, Some("overload"), now);
            }
        }
    }

    /// The last event: after it the engine is done with this dialog, though we may not be.
    pub(super) fn finish(&mut self, id: u64, event: LegEvent, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let _ = dialog.last.set(event);
        dialog.events = None;
        dialog.timer = None;
        if let Some(done) = dialog.reinvite.take().and_then(|r| r.done) {
            let _ = done.send(Err(SipError::Gone));
        }
        for asked in dialog.asked.drain(..) {
            let _ = asked.done.send(Err(SipError::Gone));
        }
        dialog.transfers.clear();
        let undecided: Vec<u64> = dialog.referrals.drain(..).filter_map(|r| r.tx).collect();
        for tx in undecided {
            self.respond(tx, 487, None, &[], None, now);
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        if let Some(dialog) = self.dialogs.remove(&id) {
            self.tags.remove(&dialog.local_tag);
            self.counters.dialogs_reaped.add();
        }
    }

    /// Over for the engine and for us.
    pub(super) fn bury(&mut self, id: u64, event: LegEvent, now: Instant) {
        self.finish(id, event, now);
        self.remove(id);
    }

    pub(super) fn abandon(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id) else { return };
        if dialog.live() {
            self.counters.legs_abandoned.add();
            self.hang_up(id, None, now);
        }
    }

    /// The flow the next request of a dialog takes. Over TCP the peer's connection, else a new one to its address; to a browser
    /// its connection or none.
    pub(super) fn dialog_flow(&mut self, id: u64) -> Option<Flow> {
        let dialog = self.dialogs.get(&id)?;
        let flow = dialog.flow;
        match flow.transport {
            Transport::Udp => Some(Flow { remote: dialog.hop(), ..flow }),
            _ if self.wire.alive(&flow) => Some(flow),
            Transport::Ws | Transport::Wss => None,
            Transport::Tcp => {
                let flow = self.wire.flow_to(Transport::Tcp, dialog.hop())?;
                if let Some(dialog) = self.dialogs.get_mut(&id) {
                    dialog.flow = flow;
                }
                Some(flow)
            }
        }
    }

    /// Sends a request inside a dialog.
    pub(super) fn send_inside(&mut self, id: u64, mut request: Request, purpose: Purpose, now: Instant) -> Option<u64> {
        let flow = self.dialog_flow(id)?;
        let agent = self.config.user_agent.clone();
        let dialog = self.dialogs.get_mut(&id)?;
        request.headers.push("User-Agent", agent);
        dialog.authorize(&mut request);
        Some(self.send_request(request, flow, (id, purpose, 0), None, now))
    }

    /// BYE, after which the dialog only waits for its answer.
    pub(super) fn send_bye(&mut self, id: u64, why: Option<&str>, now: Instant) {
        self.say_bye(id, &Parting::because(why), now);
    }

    pub(super) fn say_bye(&mut self, id: u64, parting: &Parting, now: Instant) {
        let give_up = self.timers.give_up();
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        dialog.phase = Phase::Ending;
        dialog.unacked = None;
        dialog.parting = None;
        dialog.give_up_at = Some(now + give_up + Duration::from_secs(1));
        let mut bye = dialog.request("BYE");
        bye.headers.0.extend(parting.lines());
        let pending = dialog.pending.take();
        if let Some(tx) = pending {
            self.respond(tx, 487, None, &[], None, now);
        }
        if self.send_inside(id, bye, Purpose::Bye, now).is_none() {
            self.remove(id);
        } else {
            self.wake(now + give_up + Duration::from_secs(1), Wake::Dialog(id));
        }
    }

    /// Sets a dialog's deadline and its alarm.
    pub(super) fn deadline(&mut self, id: u64, at: Instant) {
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.give_up_at = Some(at);
            self.wake(at, Wake::Dialog(id));
        }
    }
}

//! Transactions (RFC 3261 §17 with the corrections of RFC 6026). A finished server transaction keeps only the bytes
//! it may have to repeat.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Core, Wake, token};
use crate::header::Via;
use crate::message::{ReplyHead, Request, Response, reason};
use crate::transport::{Flow, Transport};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerState {
    /// Nothing final was sent.
    Open,
    /// A final response was sent; for an INVITE, the ACK is missing.
    Completed,
    /// An INVITE answered with 2xx: repetitions are absorbed, the dialog repeats the answer.
    Accepted,
    /// The ACK of a refusal came.
    Confirmed,
}

pub(super) struct ServerTx {
    pub id: u64,
    key: String,
    pub invite: bool,
    /// Where responses go.
    pub flow: Flow,
    pub head: ReplyHead,
    pub state: ServerState,
    /// Our To tag.
    pub tag: String,
    /// The request held no SDP: a 2xx of ours is the offer.
    pub offerless: bool,
    last: Option<Bytes>,
    pub dialog: Option<u64>,
    pub merge: Option<String>,
    /// The INVITE, until it is admitted.
    pub request: Option<Box<Request>>,
    interval: Duration,
    repeat_at: Option<Instant>,
    end_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientState {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

/// Which part of a dialog waits for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Invite,
    Reinvite,
    Bye,
    /// Nobody cares about the answer (CANCEL, INFO, stray BYE).
    Other,
}

/// A request under way: what its owner needs to judge the answer.
#[derive(Clone)]
pub(super) struct Sent {
    pub flow: Flow,
    pub request: Arc<Request>,
    pub purpose: Purpose,
    pub dialog: u64,
    /// How often it was sent before, with other credentials.
    pub attempt: u8,
}

pub(super) struct ClientTx {
    pub id: u64,
    key: String,
    pub sent: Sent,
    pub state: ClientState,
    bytes: Bytes,
    /// The ACK of a refusal, to be repeated.
    ack: Option<Bytes>,
    interval: Duration,
    repeat_at: Option<Instant>,
    give_up_at: Option<Instant>,
    end_at: Option<Instant>,
}

impl ClientTx {
    pub fn waits(&self) -> bool {
        matches!(self.state, ClientState::Calling | ClientState::Proceeding)
    }

    fn invite(&self) -> bool {
        self.sent.request.method == "INVITE"
    }
}

/// Key by RFC 3261 §17.2.3; without a proper branch, the parts RFC 2543 used.
pub(super) fn server_key(request: &Request, via: &Via) -> String {
    let method = if request.method == "ACK" { "INVITE" } else { request.method.as_str() };
    let place = format!("{}:{}", via.host.to_ascii_lowercase(), via.port.unwrap_or(5060));
    let branch = via.branch();
    if branch.len() > 7 && branch.get(..7).is_some_and(|b| b.eq_ignore_ascii_case("z9hG4bK")) {
        return format!("{method}|{branch}|{place}");
    }
    let (cseq, _) = request.headers.cseq().unwrap_or((0, ""));
    let from = request.sender_tag().unwrap_or_default();
    format!("{method}|2543|{place}|{branch}|{from}|{}|{cseq}|{}", request.headers.call_id(), request.uri)
}

impl Core {
    /// Opens a server transaction; `None` when there are too many.
    pub(super) fn open_server(&mut self, request: &Request, flow: Flow, key: String) -> Option<u64> {
        if self.servers.len() + self.clients.len() >= self.config.limits.transactions {
            self.counters.transactions_full.add();
            return None;
        }
        let id = self.number();
        let head = ReplyHead::of(&request.headers, flow.remote);
        let mut back = flow;
        if flow.transport == Transport::Udp {
            back.remote.set_port(head.reply_port);
        }
        self.server_keys.insert(key.clone(), id);
        let tx = ServerTx {
            id,
            key,
            invite: request.method == "INVITE",
            flow: back,
            head,
            state: ServerState::Open,
            tag: token(),
            offerless: request.body.is_empty(),
            last: None,
            dialog: None,
            merge: None,
            request: None,
            interval: self.timers.t1,
            repeat_at: None,
            end_at: None,
        };
        self.servers.insert(id, tx);
        Some(id)
    }

    pub(super) fn server_by_key(&self, key: &str) -> Option<u64> {
        self.server_keys.get(key).copied()
    }

    /// Sends a response. Returns its bytes, or `None` if the transaction is already answered or gone.
    pub(super) fn respond(
        &mut self,
        id: u64,
        code: u16,
        phrase: Option<&str>,
        headers: &[(String, String)],
        sdp: Option<&str>,
        now: Instant,
    ) -> Option<Bytes> {
        let server = self.server_header();
        let timers = self.timers;
        let tx = self.servers.get_mut(&id)?;
        if tx.state != ServerState::Open {
            return None;
        }
        let mut lines = Vec::with_capacity(headers.len() + 1);
        lines.push(server);
        lines.extend(headers.iter().cloned());
        let body = sdp.map(|sdp| ("application/sdp", sdp.as_bytes()));
        let bytes = tx.head.response(code, phrase.unwrap_or(reason(code)), &tx.tag, &lines, body);
        // Until it has a provisional answer the client repeats its INVITE itself. Remembering and repeating a refusal
        // before that (a challenge, above all) would let spoofed INVITEs fill the table and multiply what we send.
        let remembered = tx.last.replace(bytes.clone()).is_some();
        let flow = tx.flow;
        let mut wake = Vec::new();
        if code >= 200 {
            tx.request = None;
            let unreliable = flow.transport == Transport::Udp;
            let end = if tx.invite && code < 300 {
                tx.state = ServerState::Accepted;
                timers.give_up()
            } else {
                tx.state = ServerState::Completed;
                if tx.invite && unreliable && remembered {
                    tx.repeat_at = Some(now + timers.t1);
                    wake.push(now + timers.t1);
                }
                match (tx.invite, unreliable) {
                    (true, true) if !remembered => timers.t1 * 2,
                    (false, false) => Duration::ZERO,
                    _ => timers.give_up(),
                }
            };
            tx.end_at = Some(now + end);
            wake.push(now + end);
        }
        for at in wake {
            self.wake(at, Wake::Server(id));
        }
        self.wire.send(&flow, bytes.clone());
        Some(bytes)
    }

    /// A request that belongs to a transaction we have: repeat what was said.
    pub(super) fn repeated(&mut self, id: u64) {
        if let Some(tx) = self.servers.get(&id)
            && matches!(tx.state, ServerState::Open | ServerState::Completed)
            && let Some(last) = &tx.last
        {
            self.wire.send(&tx.flow, last.clone());
        }
    }

    /// The ACK of a refusal; `false` if `id` does not wait for one.
    pub(super) fn acked(&mut self, id: u64, now: Instant) -> bool {
        let t4 = self.timers.t4;
        let Some(tx) = self.servers.get_mut(&id) else { return false };
        match tx.state {
            ServerState::Completed if tx.invite => {
                tx.state = ServerState::Confirmed;
                tx.repeat_at = None;
                let wait = if tx.flow.transport == Transport::Udp { t4 } else { Duration::ZERO };
                tx.end_at = Some(now + wait);
                self.wake(now + wait, Wake::Server(id));
                true
            }
            ServerState::Confirmed => true,
            _ => false,
        }
    }

    pub(super) fn server_timer(&mut self, id: u64, now: Instant) {
        let t2 = self.timers.t2;
        let Some(tx) = self.servers.get_mut(&id) else { return };
        if tx.end_at.is_some_and(|at| at <= now) {
            let (key, merge) = (tx.key.clone(), tx.merge.take());
            self.servers.remove(&id);
            if self.server_keys.get(&key) == Some(&id) {
                self.server_keys.remove(&key);
            }
            if let Some(merge) = merge
                && self.merges.get(&merge) == Some(&id)
            {
                self.merges.remove(&merge);
            }
            return;
        }
        if tx.repeat_at.is_some_and(|at| at <= now) {
            tx.interval = (tx.interval * 2).min(t2);
            let at = now + tx.interval;
            tx.repeat_at = Some(at);
            if let Some(last) = &tx.last {
                self.wire.send(&tx.flow, last.clone());
            }
            self.wake(at, Wake::Server(id));
        }
    }

    /// Sends a request in a transaction of its own. `branch` is only given for CANCEL, which shares its INVITE's.
    pub(super) fn send_request(
        &mut self,
        mut request: Request,
        flow: Flow,
        (dialog, purpose, attempt): (u64, Purpose, u8),
        branch: Option<&str>,
        now: Instant,
    ) -> u64 {
        let id = self.number();
        let branch = branch.map_or_else(|| format!("z9hG4bK{}", token()), str::to_owned);
        request.headers.0.insert(0, ("Via".to_owned(), self.via(&flow, &branch)));
        let bytes = request.encode();
        let key = format!("{branch}|{}", request.method);
        self.client_keys.insert(key.clone(), id);
        let (timers, unreliable) = (self.timers, flow.transport == Transport::Udp);
        let tx = ClientTx {
            id,
            key,
            sent: Sent { flow, request: Arc::new(request), purpose, dialog, attempt },
            state: ClientState::Calling,
            bytes: bytes.clone(),
            ack: None,
            interval: timers.t1,
            repeat_at: unreliable.then(|| now + timers.t1),
            give_up_at: Some(now + timers.give_up()),
            end_at: None,
        };
        self.clients.insert(id, tx);
        if unreliable {
            self.wake(now + timers.t1, Wake::Client(id));
        }
        self.wake(now + timers.give_up(), Wake::Client(id));
        if !self.wire.send(&flow, bytes) && !unreliable {
            // Told by the timer, not from here: the caller is still building the state the failure is about.
            if let Some(tx) = self.clients.get_mut(&id) {
                tx.give_up_at = Some(now);
            }
            self.wake(now, Wake::Client(id));
        }
        id
    }

    pub(super) fn via(&self, flow: &Flow, branch: &str) -> String {
        let at = self.wire.advertised(flow);
        format!("SIP/2.0/{} {at};rport;branch={branch}", flow.transport.name())
    }

    /// Finds the transaction of a response and moves it on. Returns it if the response is news to its owner; a
    /// repeated 2xx of an INVITE is news, because its ACK must be repeated.
    pub(super) fn match_response(&mut self, response: &Response, now: Instant) -> Option<u64> {
        let mut vias = response.headers.values("Via");
        let via = Via::parse(vias.next()?)?;
        if vias.next().is_some() {
            return None;
        }
        let (_, method) = response.headers.cseq()?;
        let id = *self.client_keys.get(&format!("{}|{method}", via.branch()))?;
        let timers = self.timers;
        let tx = self.clients.get_mut(&id)?;
        let unreliable = tx.sent.flow.transport == Transport::Udp;
        let fresh = tx.waits();
        match (response.code, tx.invite()) {
            (100..200, invite) => {
                if !fresh {
                    return None;
                }
                tx.state = ClientState::Proceeding;
                if invite {
                    tx.repeat_at = None;
                    tx.give_up_at = None;
                } else {
                    tx.interval = timers.t2;
                }
                Some(id)
            }
            (200..300, true) => {
                if tx.state == ClientState::Completed {
                    return None;
                }
                tx.repeat_at = None;
                tx.give_up_at = None;
                if fresh {
                    tx.state = ClientState::Accepted;
                    tx.end_at = Some(now + timers.give_up());
                    self.wake(now + timers.give_up(), Wake::Client(id));
                }
                Some(id)
            }
            (_, true) => {
                if tx.state == ClientState::Accepted {
                    return None;
                }
                if fresh {
                    let ack = refusal_ack(&tx.sent.request, response);
                    tx.ack = Some(ack.encode());
                    tx.state = ClientState::Completed;
                    tx.repeat_at = None;
                    tx.give_up_at = None;
                    let wait = if unreliable { timers.give_up() } else { Duration::ZERO };
                    tx.end_at = Some(now + wait);
                }
                let (flow, ack, end) = (tx.sent.flow, tx.ack.clone(), tx.end_at);
                if let Some(ack) = ack {
                    self.wire.send(&flow, ack);
                }
                if let Some(end) = end.filter(|_| fresh) {
                    self.wake(end, Wake::Client(id));
                }
                fresh.then_some(id)
            }
            (_, false) => {
                if !fresh {
                    return None;
                }
                tx.state = ClientState::Completed;
                tx.repeat_at = None;
                tx.give_up_at = None;
                let wait = if unreliable { timers.t4 } else { Duration::ZERO };
                tx.end_at = Some(now + wait);
                self.wake(now + wait, Wake::Client(id));
                Some(id)
            }
        }
    }

    pub(super) fn client_timer(&mut self, id: u64, now: Instant) {
        let timers = self.timers;
        let Some(tx) = self.clients.get_mut(&id) else { return };
        if tx.end_at.is_some_and(|at| at <= now) {
            let key = tx.key.clone();
            self.clients.remove(&id);
            self.client_keys.remove(&key);
            return;
        }
        if tx.give_up_at.is_some_and(|at| at <= now) {
            let lost = !self.wire.alive(&tx.sent.flow);
            let (code, why) = if lost { (503, "the connection broke") } else { (408, "no answer") };
            self.fail_client(id, code, why, now);
            return;
        }
        if tx.repeat_at.is_some_and(|at| at <= now) {
            tx.interval = match (tx.invite(), tx.state) {
                (true, _) => tx.interval * 2,
                (false, ClientState::Proceeding) => timers.t2,
                (false, _) => (tx.interval * 2).min(timers.t2),
            };
            let at = now + tx.interval;
            tx.repeat_at = Some(at);
            self.wire.send(&tx.sent.flow, tx.bytes.clone());
            self.wake(at, Wake::Client(id));
        }
    }

    /// Ends a client transaction that will get no answer, and tells its owner as if one had come.
    pub(super) fn fail_client(&mut self, id: u64, code: u16, why: &str, now: Instant) {
        let Some(tx) = self.clients.remove(&id) else { return };
        self.client_keys.remove(&tx.key);
        let response = Response {
            code,
            reason: format!("{} ({why})", reason(code)),
            headers: crate::message::Headers::default(),
            body: Bytes::new(),
        };
        let by = if code == 503 { crate::leg::By::Transport } else { crate::leg::By::Timeout };
        self.deliver(&tx.sent, &response, tx.sent.flow, Some(by), now);
    }
}

/// ACK of a 3xx to 6xx: part of the INVITE's transaction (RFC 3261 §17.1.1.3).
fn refusal_ack(invite: &Request, response: &Response) -> Request {
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
    let mut headers = crate::message::Headers::default();
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

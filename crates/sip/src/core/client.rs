//! Client transactions (RFC 3261 §17.1 with the corrections of RFC 6026).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::derived::refusal_ack;
use super::{Core, Wake, token};
use crate::header::Via;
use crate::leg::By;
use crate::message::{Request, Response, reason};
use crate::transport::{Flow, Transport};

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
    /// A request of the engine, by its ticket.
    Asked(u64),
    /// A report about a transfer the peer asked for, by the referral's number.
    Notify(u64),
    /// Nobody cares about the answer (CANCEL, a digit, stray BYE).
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
    /// Whether it is the INVITE that a call begins with.
    pub fn opens_call(&self) -> bool {
        self.sent.purpose == Purpose::Invite
    }

    pub fn waits(&self) -> bool {
        matches!(self.state, ClientState::Calling | ClientState::Proceeding)
    }

    fn invite(&self) -> bool {
        self.sent.request.method == "INVITE"
    }
}

impl Core {
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

    /// The request that a response belongs to.
    pub(super) fn sent_for(&self, response: &Response) -> Option<&Sent> {
        let via = Via::parse(response.headers.values("Via").next()?)?;
        let (_, method) = response.headers.cseq()?;
        let id = self.client_keys.get(&format!("{}|{method}", via.branch()))?;
        self.clients.get(id).map(|tx| &tx.sent)
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
            let (code, why, by) = match lost {
                true if tx.sent.flow.is_websocket() && tx.opens_call() => (480, "the connection broke", By::Transport),
                true => (503, "the connection broke", By::Transport),
                false => (408, "no answer", By::Timeout),
            };
            self.fail_client(id, code, why, by, now);
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

    /// Sets when a cancelled INVITE counts as over: a peer that rang need never answer it (RFC 3261 §9.1).
    pub(super) fn give_client_up(&mut self, id: u64, at: Instant) {
        if let Some(tx) = self.clients.get_mut(&id) {
            tx.give_up_at = Some(at);
            self.wake(at, Wake::Client(id));
        }
    }

    /// Ends a client transaction that will get no answer, and tells its owner as if one had come.
    pub(super) fn fail_client(&mut self, id: u64, code: u16, why: &str, by: By, now: Instant) {
        let Some(tx) = self.clients.remove(&id) else { return };
        self.client_keys.remove(&tx.key);
        let response = Response {
            code,
            reason: format!("{} ({why})", reason(code)),
            headers: crate::message::Headers::default(),
            body: Bytes::new(),
        };
        self.deliver(&tx.sent, &response, tx.sent.flow, Some(by), now);
    }
}

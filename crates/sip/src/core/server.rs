//! Server transactions (RFC 3261 §17.2 with the corrections of RFC 6026). A finished one keeps only the bytes it may have to
//! repeat; one of a stranger that is refused keeps nothing, as if it had been answered without state from the beginning.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::stateless::{Arrived, WayBack};
use super::{Core, Wake};
use crate::access::Reply;
use crate::guard::{ANSWERING, Standing, prefix};
use crate::header::Via;
use crate::message::Request;
use crate::transport::{Flow, Transport};

/// This part of all transactions only known sources may take.
const RESERVED: usize = 4;

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

/// Who shares an allowance of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Share {
    /// An address, or the /64 of an IPv6 one.
    Source(IpAddr),
    /// A browser's connection: it must not suffer from what others send under its address.
    Connection(u64),
}

impl Share {
    fn of(flow: &Flow) -> Share {
        match flow.is_websocket() {
            true => Share::Connection(flow.connection),
            false => Share::Source(prefix(flow.remote.ip().to_canonical())),
        }
    }
}

pub(super) struct ServerTx {
    pub id: u64,
    key: String,
    share: Share,
    pub invite: bool,
    pub back: WayBack,
    pub state: ServerState,
    /// Whoever sent it proved who he is, or knows a dialog of ours.
    pub proven: bool,
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
    /// Whether a source is a trunk, was called, or authenticated not long ago.
    pub(super) fn familiar(&self, flow: &Flow, now: Instant) -> bool {
        let source = flow.remote.ip();
        self.wire.guard.standing(source, now) != Standing::Stranger || self.access.known.knows(source, now)
    }

    /// Opens a server transaction; `None` when there are too many. `proven`: its sender knows a dialog of ours.
    pub(super) fn open_server(&mut self, arrived: &Arrived, proven: bool, now: Instant) -> Option<u64> {
        let ip = arrived.flow.remote.ip();
        let share = Share::of(&arrived.flow);
        let limits = &self.config.limits;
        let reserved = if proven || self.familiar(&arrived.flow, now) { 0 } else { limits.transactions / RESERVED };
        if self.servers.len() + self.clients.len() + reserved >= limits.transactions {
            self.counters.transactions_full.add();
            return None;
        }
        let held = self.servers_of.get(&share).copied().unwrap_or(0);
        let most = match self.wire.guard.standing(ip, now) {
            _ if arrived.flow.is_websocket() => limits.transactions_per_websocket,
            Standing::Trunk => usize::MAX,
            Standing::Called => limits.transactions_per_source.saturating_mul(ANSWERING as usize),
            Standing::Stranger => limits.transactions_per_source,
        };
        if held >= most {
            self.counters.transactions_of_source_full.add();
            return None;
        }
        self.servers_of.insert(share, held + 1);
        let id = self.number();
        self.server_keys.insert(arrived.key.clone(), id);
        let tx = ServerTx {
            id,
            key: arrived.key.clone(),
            share,
            invite: arrived.request.method == "INVITE",
            back: arrived.back.clone(),
            state: ServerState::Open,
            proven,
            offerless: arrived.request.body.is_empty(),
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
        let timers = self.timers;
        let tx = self.servers.get(&id).filter(|tx| tx.state == ServerState::Open)?;
        let bytes = self.encode(&tx.back, code, phrase, headers, sdp);
        self.wire.send(&tx.back.flow, bytes.clone());
        let tx = self.servers.get_mut(&id)?;
        tx.last = Some(bytes.clone());
        if code < 200 {
            return Some(bytes);
        }
        tx.request = None;
        let unreliable = tx.back.flow.transport == Transport::Udp;
        let mut end = timers.give_up();
        if tx.invite && code < 300 {
            tx.state = ServerState::Accepted;
        } else {
            tx.state = ServerState::Completed;
            if !tx.proven {
                // Remembering and repeating a refusal would let forged requests fill the table and multiply what we send.
                // Only a call that was cancelled before it was looked at must not come back by a repetition under way.
                end = if code == 487 { timers.t1 * 2 } else { Duration::ZERO };
            } else if tx.invite && unreliable {
                tx.repeat_at = Some(now + timers.t1);
                self.wake(now + timers.t1, Wake::Server(id));
            } else if !tx.invite && !unreliable {
                end = Duration::ZERO;
            }
        }
        if end.is_zero() {
            self.forget_server(id);
            return Some(bytes);
        }
        if let Some(tx) = self.servers.get_mut(&id) {
            tx.end_at = Some(now + end);
        }
        self.wake(now + end, Wake::Server(id));
        Some(bytes)
    }

    pub(super) fn reply(&mut self, id: u64, reply: &Reply, now: Instant) {
        let flow = self.servers.get(&id).map(|tx| tx.back.flow);
        if let (Some(owner), Some(flow)) = (&reply.proven, flow) {
            self.wire.connections.prove(flow.connection, owner);
            if flow.is_websocket() && !self.wire.alive(&flow) {
                // It closed while its REGISTER was decided.
                self.unreachable(flow.connection);
            }
        }
        if let Some(tx) = self.servers.get_mut(&id) {
            tx.proven |= reply.proven.is_some();
        }
        self.respond(id, reply.code, reply.reason, &reply.headers, None, now);
    }

    /// A request that belongs to a transaction we have: repeat what was said.
    pub(super) fn repeated(&mut self, id: u64) {
        if let Some(tx) = self.servers.get(&id)
            && matches!(tx.state, ServerState::Open | ServerState::Completed)
            && let Some(last) = &tx.last
        {
            self.wire.send(&tx.back.flow, last.clone());
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
                let wait = if tx.back.flow.transport == Transport::Udp { t4 } else { Duration::ZERO };
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
            self.forget_server(id);
            return;
        }
        if tx.repeat_at.is_some_and(|at| at <= now) {
            tx.interval = (tx.interval * 2).min(t2);
            let at = now + tx.interval;
            tx.repeat_at = Some(at);
            if let Some(last) = &tx.last {
                self.wire.send(&tx.back.flow, last.clone());
            }
            self.wake(at, Wake::Server(id));
        }
    }

    fn forget_server(&mut self, id: u64) {
        let Some(tx) = self.servers.remove(&id) else { return };
        if self.server_keys.get(&tx.key) == Some(&id) {
            self.server_keys.remove(&tx.key);
        }
        if let Some(merge) = tx.merge
            && self.merges.get(&merge) == Some(&id)
        {
            self.merges.remove(&merge);
        }
        if let Some(held) = self.servers_of.get_mut(&tx.share) {
            *held -= 1;
            if *held == 0 {
                self.servers_of.remove(&tx.share);
            }
        }
    }
}

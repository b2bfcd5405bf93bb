//! Transactions (RFC 3261 §17): matches responses to requests, repeats what may be lost, answers repeats, and hands requests to their dialogs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::message::{Message, Request, Response, reason_phrase};
use super::token;
use super::transport::{Inbox, Sockets, Transport, response_target};

/// Methods this phone understands.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY, MESSAGE, REFER";
/// Remembered transactions and dialogs; beyond it new ones are refused.
const LIMIT: usize = 200_000;
/// Longest time between repeats.
const T2: Duration = Duration::from_secs(4);
/// How long an INVITE may ring.
const RINGING: Duration = Duration::from_secs(300);

/// What a dialog is told.
#[derive(Debug)]
pub enum Inbound {
    /// A request in the dialog (ACK included).
    Request(Request, ServerTransaction),
    /// A 2xx to INVITE that came again.
    Response(Response),
    /// The caller cancelled the INVITE.
    Cancelled(Request),
    /// Our 2xx was never acknowledged.
    NeverAcked,
}

enum Pending {
    Live(mpsc::Sender<Response>),
    /// A finished INVITE: its ACK, for finals that come again.
    Done {
        ack: Bytes,
        to: SocketAddr,
        since: Instant,
    },
}

struct Served {
    last: Option<Bytes>,
    to: SocketAddr,
    acked: CancellationToken,
    owner: Option<mpsc::Sender<Inbound>>,
    since: Instant,
}

/// The transaction layer of one phone. Clones share it.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    sockets: Sockets,
    t1: Duration,
    stop: CancellationToken,
    pending: Mutex<HashMap<String, Pending>>,
    dialogs: Mutex<HashMap<String, mpsc::Sender<Inbound>>>,
    served: Mutex<HashMap<String, Served>>,
    calls: mpsc::Sender<(Request, ServerTransaction)>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Endpoint {
    /// Starts routing what `inbox` brings; new INVITEs go to `calls`.
    pub fn start(
        sockets: Sockets,
        mut inbox: Inbox,
        t1: Duration,
        stop: CancellationToken,
        calls: mpsc::Sender<(Request, ServerTransaction)>,
    ) -> Self {
        let (pending, dialogs, served) = Default::default();
        let endpoint = Self(Arc::new(Inner { sockets, t1, stop: stop.clone(), pending, dialogs, served, calls }));
        let running = endpoint.clone();
        tokio::spawn(async move {
            let mut sweep = tokio::time::interval(Duration::from_secs(5));
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = sweep.tick() => running.forget_old(),
                    message = inbox.recv() => match message {
                        Some((Message::Request(r), from)) => running.request_in(r, from),
                        Some((Message::Response(r), _)) => running.response_in(r),
                        None => break,
                    },
                }
            }
        });
        endpoint
    }

    /// The sockets.
    pub fn sockets(&self) -> &Sockets {
        &self.0.sockets
    }

    /// Stops with the phone.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Longest a transaction waits for its final answer: 64·T1.
    pub fn patience(&self) -> Duration {
        self.0.t1 * 64
    }

    /// Registers a dialog; its requests go to `inbox` until [`forget`](Self::forget).
    pub fn adopt(&self, call_id: &str, local_tag: &str, inbox: mpsc::Sender<Inbound>) {
        let mut dialogs = lock(&self.0.dialogs);
        if dialogs.len() < LIMIT {
            dialogs.insert(dialog_key(call_id, local_tag), inbox);
        }
    }

    /// Removes a dialog: its requests are answered 481 from now on.
    pub fn forget(&self, call_id: &str, local_tag: &str) {
        lock(&self.0.dialogs).remove(&dialog_key(call_id, local_tag));
    }

    fn forget_old(&self) {
        let keep = self.patience() + Duration::from_secs(5);
        lock(&self.0.served).retain(|_, s| s.since.elapsed() < keep.max(RINGING));
        lock(&self.0.pending).retain(|_, p| !matches!(p, Pending::Done { since, .. } if since.elapsed() > keep));
    }

    fn response_in(&self, response: Response) {
        let (Some(branch), Some((_, method))) = (response.headers.branch(), response.headers.cseq()) else { return };
        let invite = method == "INVITE";
        let key = format!("{branch}|{method}");
        match lock(&self.0.pending).get(&key) {
            // A full queue of one transaction: the other side repeats finals.
            Some(Pending::Live(tx)) => drop(tx.try_send(response)),
            Some(Pending::Done { ack, to, .. }) if response.code >= 300 => self.0.sockets.post(ack.clone(), *to),
            _ if invite && (200..300).contains(&response.code) => {
                if let (Some(call_id), Some(tag)) = (response.headers.get("Call-ID"), response.headers.tag("From"))
                    && let Some(dialog) = lock(&self.0.dialogs).get(&dialog_key(call_id, tag))
                {
                    let _ = dialog.try_send(Inbound::Response(response));
                }
            }
            _ => {}
        }
    }

    fn request_in(&self, request: Request, from: SocketAddr) {
        let Some(via) = request.headers.get("Via").map(|v| v.split(',').next().unwrap_or(v).to_owned()) else { return };
        let Some(key) = served_key(&request, &request.method) else { return };
        let to = match self.0.sockets.transport() {
            Transport::Udp => response_target(&via, from),
            Transport::Tcp => from,
        };
        let transaction = ServerTransaction {
            endpoint: self.clone(),
            key: key.clone(),
            to,
            invite: request.method == "INVITE",
            acked: CancellationToken::new(),
        };
        let dialog = request
            .headers
            .tag("To")
            .zip(request.headers.get("Call-ID"))
            .and_then(|(tag, call_id)| lock(&self.0.dialogs).get(&dialog_key(call_id, tag)).cloned());
        if request.method == "ACK" {
            let done = lock(&self.0.served).get(&key).map(|s| s.acked.clone());
            match (done, dialog) {
                (Some(acked), _) => acked.cancel(),
                (None, Some(d)) => drop(d.try_send(Inbound::Request(request, transaction))),
                (None, None) => {}
            }
            return;
        }
        {
            let mut served = lock(&self.0.served);
            if let Some(s) = served.get(&key) {
                if let Some(last) = &s.last {
                    self.0.sockets.post(last.clone(), s.to);
                }
                return;
            }
            if served.len() >= LIMIT {
                return;
            }
            served.insert(
                key,
                Served {
                    last: None,
                    to,
                    acked: transaction.acked.clone(),
                    owner: dialog.clone(),
                    since: Instant::now(),
                },
            );
        }
        if request.method == "CANCEL" {
            let owner =
                served_key(&request, "INVITE").and_then(|k| lock(&self.0.served).get(&k).map(|s| s.owner.clone()));
            transaction.respond(&simple(&request, if owner.is_some() { 200 } else { 481 }));
            if let Some(Some(owner)) = owner {
                let _ = owner.try_send(Inbound::Cancelled(request));
            }
            return;
        }
        if request.headers.tag("To").is_some() {
            match dialog.as_ref().map(mpsc::Sender::try_reserve) {
                Some(Ok(place)) => place.send(Inbound::Request(request, transaction)),
                full_or_none => transaction.respond(&simple(&request, if full_or_none.is_some() { 503 } else { 481 })),
            }
            return;
        }
        match request.method.as_str() {
            "INVITE" => {
                transaction.respond(&simple(&request, 100));
                if let Err(e) = self.0.calls.try_send((request, transaction)) {
                    let (request, transaction) = e.into_inner();
                    transaction.respond(&simple(&request, 503));
                }
            }
            "OPTIONS" => {
                let mut ok = simple(&request, 200);
                ok.headers.push("Allow", ALLOW);
                ok.headers.push("Accept", "application/sdp");
                transaction.respond(&ok);
            }
            "BYE" | "INFO" | "UPDATE" | "PRACK" | "NOTIFY" => transaction.respond(&simple(&request, 481)),
            _ => {
                let mut no = simple(&request, 405);
                no.headers.push("Allow", ALLOW);
                transaction.respond(&no);
            }
        }
    }

    /// Sends a request as a new transaction; Via and Max-Forwards are added.
    pub fn send(&self, request: Request, to: SocketAddr) -> ClientTransaction {
        self.send_in_branch(request, to, format!("z9hG4bK{}", token(20)))
    }

    fn via(&self, branch: &str) -> String {
        let sockets = &self.0.sockets;
        format!("SIP/2.0/{} {};rport;branch={branch}", sockets.transport().name(), sockets.local())
    }

    fn send_in_branch(&self, mut request: Request, to: SocketAddr, branch: String) -> ClientTransaction {
        request.headers.remove("Via");
        request.headers.0.insert(0, ("Via".into(), self.via(&branch)));
        if request.headers.get("Max-Forwards").is_none() {
            request.headers.push("Max-Forwards", "70");
        }
        let (tx, responses) = mpsc::channel(64);
        let key = format!("{branch}|{}", request.method);
        lock(&self.0.pending).insert(key.clone(), Pending::Live(tx));
        let bytes = Bytes::from(request.to_bytes());
        self.0.sockets.post(bytes.clone(), to);
        let now = Instant::now();
        let repeats = self.0.sockets.transport() == Transport::Udp;
        ClientTransaction {
            endpoint: self.clone(),
            invite: request.method == "INVITE",
            request,
            key,
            branch,
            bytes,
            to,
            responses,
            interval: self.0.t1,
            repeat_at: repeats.then(|| now + self.0.t1),
            give_up: now + self.patience(),
        }
    }

    /// Sends an ACK for a 2xx (no transaction); returns its bytes for repeats.
    pub fn ack(&self, mut ack: Request, to: SocketAddr) -> Bytes {
        ack.headers.0.insert(0, ("Via".into(), self.via(&format!("z9hG4bK{}", token(20)))));
        ack.headers.push("Max-Forwards", "70");
        let bytes = Bytes::from(ack.to_bytes());
        self.0.sockets.post(bytes.clone(), to);
        bytes
    }
}

fn dialog_key(call_id: &str, local_tag: &str) -> String {
    format!("{call_id}|{local_tag}")
}

fn served_key(request: &Request, method: &str) -> Option<String> {
    let via = request.headers.get("Via")?;
    let sent_by = via.split_whitespace().nth(1).and_then(|s| s.split([';', ',']).next()).unwrap_or_default();
    let method = if method == "ACK" { "INVITE" } else { method };
    Some(format!("{}|{sent_by}|{method}", request.headers.branch()?))
}

/// A response without body and with the usual reason.
pub fn simple(request: &Request, code: u16) -> Response {
    let tag = if code > 100 { Some(token(10)) } else { None };
    request.response(code, reason_phrase(code), tag.as_deref())
}

/// A request that waits for its final response.
pub struct ClientTransaction {
    endpoint: Endpoint,
    request: Request,
    invite: bool,
    key: String,
    branch: String,
    bytes: Bytes,
    to: SocketAddr,
    responses: mpsc::Receiver<Response>,
    interval: Duration,
    repeat_at: Option<Instant>,
    give_up: Instant,
}

impl ClientTransaction {
    /// The request as sent.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The next response; `None` when patience ran out. Repeats the request meanwhile; acknowledges a non-2xx final of an INVITE. Safe to
    /// cancel and call again.
    pub async fn next(&mut self) -> Option<Response> {
        loop {
            let repeat_at = self.repeat_at.unwrap_or(self.give_up);
            tokio::select! {
                biased;
                response = self.responses.recv() => {
                    let response = response?;
                    if response.code < 200 {
                        if self.invite {
                            self.repeat_at = None;
                            self.give_up = Instant::now() + RINGING;
                        } else {
                            self.interval = T2;
                        }
                    } else if self.invite && response.code >= 300 {
                        self.acknowledge(&response);
                    }
                    return Some(response);
                }
                () = tokio::time::sleep_until(self.give_up.into()) => return None,
                () = tokio::time::sleep_until(repeat_at.into()), if self.repeat_at.is_some() => {
                    self.endpoint.0.sockets.post(self.bytes.clone(), self.to);
                    self.interval = if self.invite { self.interval * 2 } else { (self.interval * 2).min(T2) };
                    self.repeat_at = Some(Instant::now() + self.interval);
                }
            }
        }
    }

    /// The final response.
    pub async fn last(&mut self) -> Option<Response> {
        loop {
            let response = self.next().await?;
            if response.code >= 200 {
                return Some(response);
            }
        }
    }

    fn acknowledge(&mut self, response: &Response) {
        let mut ack = Request {
            method: "ACK".into(),
            uri: self.request.uri.clone(),
            headers: Default::default(),
            body: Vec::new(),
        };
        for name in ["Via", "From", "Call-ID", "Max-Forwards", "Route"] {
            for value in self.request.headers.all(name) {
                ack.headers.push(name, value);
            }
        }
        ack.headers.push("To", response.headers.get("To").unwrap_or_default());
        ack.headers.push("CSeq", format!("{} ACK", self.request.headers.cseq().map_or(1, |(n, _)| n)));
        let ack = Bytes::from(ack.to_bytes());
        self.endpoint.0.sockets.post(ack.clone(), self.to);
        let done = Pending::Done { ack, to: self.to, since: Instant::now() };
        lock(&self.endpoint.0.pending).insert(self.key.clone(), done);
    }

    /// Sends a CANCEL for this INVITE; its own answer is awaited in the background.
    pub fn cancel(&self, extra: &[(String, String)]) {
        let mut cancel = Request {
            method: "CANCEL".into(),
            uri: self.request.uri.clone(),
            headers: Default::default(),
            body: Vec::new(),
        };
        for name in ["From", "To", "Call-ID", "Route"] {
            for value in self.request.headers.all(name) {
                cancel.headers.push(name, value);
            }
        }
        cancel.headers.push("CSeq", format!("{} CANCEL", self.request.headers.cseq().map_or(1, |(n, _)| n)));
        cancel.headers.0.extend_from_slice(extra);
        let mut transaction = self.endpoint.send_in_branch(cancel, self.to, self.branch.clone());
        let stop = self.endpoint.0.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = transaction.last() => {}
            }
        });
    }
}

impl Drop for ClientTransaction {
    fn drop(&mut self) {
        let mut pending = lock(&self.endpoint.0.pending);
        if matches!(pending.get(&self.key), Some(Pending::Live(_))) {
            pending.remove(&self.key);
        }
    }
}

/// A received request that wants an answer.
#[derive(Clone)]
pub struct ServerTransaction {
    endpoint: Endpoint,
    key: String,
    to: SocketAddr,
    invite: bool,
    acked: CancellationToken,
}

impl std::fmt::Debug for ServerTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTransaction").field("key", &self.key).finish_non_exhaustive()
    }
}

impl ServerTransaction {
    /// Where responses go, which is where the request came from unless its Via says otherwise.
    pub fn peer(&self) -> SocketAddr {
        self.to
    }

    /// Who is told of a CANCEL or a missing ACK.
    pub fn own(&self, owner: mpsc::Sender<Inbound>) {
        if let Some(s) = lock(&self.endpoint.0.served).get_mut(&self.key) {
            s.owner = Some(owner);
        }
    }

    /// The ACK came (for a 2xx the dialog sees it).
    pub fn acknowledged(&self) {
        self.acked.cancel();
    }

    /// Sends a response and answers repeats with it; finals to INVITE are repeated until the ACK.
    pub fn respond(&self, response: &Response) {
        let bytes = Bytes::from(response.to_bytes());
        if let Some(s) = lock(&self.endpoint.0.served).get_mut(&self.key) {
            s.last = Some(bytes.clone());
        }
        self.endpoint.0.sockets.post(bytes.clone(), self.to);
        let success = response.code < 300;
        if !self.invite || response.code < 200 || (!success && self.endpoint.0.sockets.transport() == Transport::Tcp) {
            return;
        }
        let me = self.clone();
        tokio::spawn(async move {
            let inner = &me.endpoint.0;
            let give_up = Instant::now() + me.endpoint.patience();
            let mut interval = inner.t1;
            while Instant::now() < give_up {
                tokio::select! {
                    () = me.acked.cancelled() => return,
                    () = inner.stop.cancelled() => return,
                    () = tokio::time::sleep(interval) => inner.sockets.post(bytes.clone(), me.to),
                }
                interval = (interval * 2).min(T2);
            }
            let owner = lock(&inner.served).get(&me.key).and_then(|s| s.owner.clone());
            if let (true, Some(owner)) = (success, owner) {
                let _ = owner.try_send(Inbound::NeverAcked);
            }
        });
    }
}

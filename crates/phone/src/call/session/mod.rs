//! The task behind a call: a UAC or UAS of one INVITE dialog.

mod change;
mod incoming;
mod outgoing;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Call, CallError, CallState, Change, Command, EndCause, Ended, EventKind, IncomingCall, Shared, lock};
use crate::codec::Codec;
use crate::media::Line;
use crate::phone::{CallOptions, Context, OnRefer};
use crate::ua::dialog::{Dialog, exchange, next_try, record_routes};
use crate::ua::endpoint::{ALLOW, ClientTransaction, Inbound, ServerTransaction, simple};
use crate::ua::message::{Headers, Request, Response, reason_phrase, uri_of};
use crate::ua::sdp::{self, Direction, SdpError};
use crate::ua::token;

pub(crate) use incoming::incoming;
pub(crate) use outgoing::outgoing;

const QUEUE: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, CallError>>;
type Exchanged = Option<(Request, Response)>;

/// What a request in the background came to.
enum Outcome {
    Bye,
    Changed(Exchanged, Box<Before>, Reply<()>),
    Asked(Exchanged, Reply<Response>),
    Ignored,
}

/// The session before a change, to go back to if it is refused.
struct Before {
    local: sdp::Session,
    codecs: Vec<Codec>,
    direction: Direction,
    advertise: Option<std::net::IpAddr>,
    line: Arc<Line>,
}

pub(crate) struct Session {
    ctx: Arc<Context>,
    dialog: Dialog,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    listening: bool,
    inbox: mpsc::Receiver<Inbound>,
    told: mpsc::Sender<Inbound>,
    line: Arc<Line>,
    local: sdp::Session,
    remote: Option<sdp::Session>,
    codecs: Vec<Codec>,
    direction: Direction,
    advertise: Option<std::net::IpAddr>,
    last_ack: Option<(Bytes, SocketAddr)>,
    unacknowledged: Option<ServerTransaction>,
    answer_in_ack: bool,
    changing: bool,
    hanging_up: bool,
    /// Why the call ends once our BYE is answered, if not because we were asked to hang up.
    fate: Option<EndCause>,
    hangup_replies: Vec<Reply<()>>,
    work: JoinSet<Outcome>,
}

fn media(e: SdpError) -> CallError {
    CallError::Media(e.to_string())
}

fn body_text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

impl Session {
    fn new(
        ctx: &Arc<Context>,
        dialog: Dialog,
        shared: Arc<Shared>,
        line: Arc<Line>,
        codecs: Vec<Codec>,
    ) -> (Self, Call) {
        let (commands_in, commands) = mpsc::channel(QUEUE);
        let (inbox_in, inbox) = mpsc::channel(QUEUE);
        ctx.endpoint.adopt(&dialog.call_id, &dialog.local_tag, inbox_in.clone());
        let origin = (u64::from(rand::random::<u32>()), 0);
        let local = sdp::Session {
            address: line.address(),
            rtcp: None,
            codecs: Vec::new(),
            events: None,
            direction: Direction::SendRecv,
            origin,
        };
        let session = Self {
            ctx: Arc::clone(ctx),
            dialog,
            shared: Arc::clone(&shared),
            commands,
            listening: true,
            inbox,
            told: inbox_in,
            line,
            local,
            remote: None,
            codecs,
            direction: Direction::SendRecv,
            advertise: ctx.config.faults.sdp_ip,
            last_ack: None,
            unacknowledged: None,
            answer_in_ack: false,
            changing: false,
            hanging_up: false,
            fate: None,
            hangup_replies: Vec::new(),
            work: JoinSet::new(),
        };
        (session, Call { shared, commands: commands_in })
    }

    fn advertised(&self) -> SocketAddr {
        let mut address = self.line.address();
        if let Some(ip) = self.advertise {
            address.set_ip(ip);
        }
        if let Some(port) = self.ctx.config.faults.sdp_port {
            address.set_port(port);
        }
        address
    }

    /// A fresh offer of what we want now.
    fn offer(&mut self) -> String {
        self.local = sdp::Session {
            address: self.advertised(),
            rtcp: None,
            codecs: self.codecs.iter().map(|c| (c.offered_payload_type(), *c)).collect(),
            events: self.ctx.config.telephone_events.then_some(101),
            direction: self.direction,
            origin: (self.local.origin.0, self.local.origin.1 + 1),
        };
        self.described()
    }

    fn described(&self) -> String {
        let text = self.local.to_text();
        *lock(&self.shared.local_description) = Some(text.clone());
        text
    }

    /// Answers an offer and lets media follow.
    fn answer_to(&mut self, body: &[u8]) -> Result<String, CallError> {
        let text = body_text(body);
        let offer = sdp::Session::parse(&text).map_err(media)?;
        let origin = (self.local.origin.0, self.local.origin.1 + 1);
        let events = self.ctx.config.telephone_events;
        self.local = offer.answer(&self.codecs, events, self.advertised(), self.direction, origin).map_err(media)?;
        *lock(&self.shared.remote_description) = Some(text);
        self.remote = Some(offer);
        self.connect()?;
        Ok(self.described())
    }

    /// Takes the answer to our offer and lets media follow.
    fn take_answer(&mut self, body: &[u8]) -> Result<(), CallError> {
        let text = body_text(body);
        self.remote = Some(sdp::Session::parse(&text).map_err(media)?);
        *lock(&self.shared.remote_description) = Some(text);
        self.connect()
    }

    fn connect(&self) -> Result<(), CallError> {
        let Some(remote) = &self.remote else { return Ok(()) };
        let remote = sdp::negotiated(&self.local, remote).map_err(media)?;
        *lock(&self.shared.remote) = Some(remote.clone());
        Ok(self.line.connect(remote)?)
    }

    fn state(&self, state: CallState) {
        self.shared.state.send_replace(state);
    }

    /// The end: state, event, line, dialog, and every waiting reply.
    fn end(mut self, cause: EndCause, code: Option<u16>, reason: Option<String>, headers: Headers) {
        let ended = Ended { cause, code, reason, headers, at: Instant::now() };
        self.ctx.endpoint.forget(&self.dialog.call_id, &self.dialog.local_tag);
        self.line.close();
        if let Some(t) = self.unacknowledged.take() {
            t.acknowledged();
        }
        self.shared.log(EventKind::Ended(ended.clone()));
        self.state(CallState::Ended(ended));
        for reply in self.hangup_replies.drain(..) {
            let _ = reply.send(Ok(()));
        }
    }

    fn end_by(self, cause: EndCause, message: &Headers) {
        let reason = message.get("Reason").map(str::to_owned);
        self.end(cause, None, reason, message.clone());
    }

    fn acknowledge(&mut self, ack: Request) {
        let hop = self.dialog.hop();
        self.last_ack = Some((self.ctx.endpoint.ack(ack, hop), hop));
    }

    fn spawn(&mut self, request: Request, outcome: impl FnOnce(Exchanged) -> Outcome + Send + 'static) {
        let (ctx, cseq, hop) = (Arc::clone(&self.ctx), Arc::clone(&self.dialog.cseq), self.dialog.hop());
        self.work.spawn(async move { outcome(exchange(&ctx.endpoint, &ctx.auth, &cseq, request, hop).await) });
    }

    fn bye(&mut self, headers: Vec<(String, String)>) {
        if !self.hanging_up {
            self.hanging_up = true;
            let mut bye = self.dialog.request("BYE");
            bye.headers.0.extend(headers);
            self.spawn(bye, |_| Outcome::Bye);
        }
    }

    async fn talk(mut self) {
        let stop = self.ctx.endpoint.stop().clone();
        loop {
            tokio::select! {
                command = self.commands.recv(), if self.listening => match command {
                    None => {
                        self.listening = false;
                        self.bye(Vec::new());
                    }
                    Some(Command::Hangup { headers, reply }) => {
                        self.hangup_replies.push(reply);
                        self.bye(headers);
                    }
                    Some(Command::Change { change, reply }) => self.change(change, reply),
                    Some(Command::Request { method, headers, body, reply }) => {
                        let mut request = self.dialog.request(&method);
                        request.headers.0.extend(headers);
                        request.body = body;
                        self.spawn(request, |done| Outcome::Asked(done, reply));
                    }
                    Some(other) => refuse(other, "already answered"),
                },
                inbound = self.inbox.recv() => match inbound {
                    Some(Inbound::Request(request, transaction)) => {
                        if let ControlFlow::Break(cause) = self.requested(&request, &transaction) {
                            let cause = if self.hanging_up { EndCause::LocalHangup } else { cause };
                            return self.end_by(cause, &request.headers);
                        }
                    }
                    Some(Inbound::Response(_)) => {
                        if let Some((ack, hop)) = &self.last_ack {
                            self.ctx.endpoint.sockets().post(ack.clone(), *hop);
                        }
                    }
                    Some(Inbound::NeverAcked) if self.unacknowledged.is_some() => {
                        self.fate = Some(EndCause::TimedOut);
                        self.bye(vec![("Reason".into(), "SIP;cause=408;text=\"no ACK\"".into())]);
                    }
                    Some(Inbound::NeverAcked | Inbound::Cancelled(_)) | None => {}
                },
                Some(done) = self.work.join_next(), if !self.work.is_empty() => match done {
                    Ok(Outcome::Bye) => {
                        let cause = self.fate.take().unwrap_or(EndCause::LocalHangup);
                        return self.end(cause, None, None, Headers::default());
                    }
                    Ok(Outcome::Changed(done, before, reply)) => self.changed(done, *before, reply),
                    Ok(Outcome::Asked(done, reply)) => {
                        let timeout = CallError::TimedOut(self.ctx.endpoint.patience());
                        let _ = reply.send(done.map(|(_, r)| r).ok_or(timeout));
                    }
                    Ok(Outcome::Ignored) | Err(_) => {}
                },
                () = stop.cancelled() => return self.end(EndCause::Unplugged, None, None, Headers::default()),
            }
        }
    }

    /// Answers a request in the dialog. Breaks with the cause when it ends the call.
    fn requested(&mut self, request: &Request, transaction: &ServerTransaction) -> ControlFlow<EndCause> {
        let mut answered = 200;
        match request.method.as_str() {
            "ACK" => {
                if let Some(t) = self.unacknowledged.take() {
                    t.acknowledged();
                    self.shared.log(EventKind::Acknowledged);
                }
                if std::mem::take(&mut self.answer_in_ack)
                    && let Err(error) = self.take_answer(&request.body)
                {
                    tracing::warn!(%error, "unusable answer in ACK");
                    self.fate = Some(EndCause::Media(error.to_string()));
                    self.bye(vec![("Reason".into(), "SIP;cause=488".into())]);
                }
                return ControlFlow::Continue(());
            }
            "BYE" => {
                transaction.respond(&simple(request, 200));
                return ControlFlow::Break(EndCause::RemoteHangup);
            }
            "INVITE" | "UPDATE" => {
                self.renegotiate(request, transaction);
                return ControlFlow::Continue(());
            }
            "INFO" | "OPTIONS" | "NOTIFY" | "MESSAGE" | "PRACK" => transaction.respond(&simple(request, 200)),
            "REFER" => answered = self.referred(request, transaction),
            _ => {
                answered = 405;
                let mut no = simple(request, 405);
                no.headers.push("Allow", ALLOW);
                transaction.respond(&no);
            }
        }
        let (method, headers, body) = (request.method.clone(), request.headers.clone(), request.body.clone());
        self.shared.log(EventKind::Request { method, headers, body, answered });
        ControlFlow::Continue(())
    }
}

impl Session {
    /// Answers a REFER, and reports what it was told to; returns the code of the answer.
    fn referred(&mut self, request: &Request, transaction: &ServerTransaction) -> u16 {
        let codes = match &self.ctx.config.on_refer {
            OnRefer::Refuse(code) => {
                transaction.respond(&simple(request, *code));
                return *code;
            }
            OnRefer::Accept(codes) => codes.clone(),
        };
        let mut accepted = simple(request, 202);
        accepted.headers.push("Contact", self.dialog.contact.clone());
        transaction.respond(&accepted);
        let (ctx, dialog) = (Arc::clone(&self.ctx), self.dialog.clone());
        let event = format!("refer;id={}", request.headers.cseq().map_or(0, |(n, _)| n));
        self.work.spawn(async move {
            for (n, code) in codes.iter().enumerate() {
                let state = if n + 1 == codes.len() { "terminated;reason=noresource" } else { "active;expires=60" };
                let mut notify = dialog.request("NOTIFY");
                notify.headers.push("Event", event.clone());
                notify.headers.push("Subscription-State", state);
                notify.headers.push("Content-Type", "message/sipfrag;version=2.0");
                notify.body = format!("SIP/2.0 {code} {}\r\n", reason_phrase(*code)).into_bytes();
                let done = exchange(&ctx.endpoint, &ctx.auth, &dialog.cseq, notify, dialog.hop()).await;
                if done.is_none_or(|(_, response)| response.code >= 300) {
                    break;
                }
            }
            Outcome::Ignored
        });
        202
    }
}

fn refuse(command: Command, state: &'static str) {
    let error = CallError::WrongState(state);
    match command {
        Command::Provisional { reply, .. }
        | Command::Answer { reply, .. }
        | Command::Reject { reply, .. }
        | Command::Hangup { reply, .. }
        | Command::Change { reply, .. } => drop(reply.send(Err(error))),
        Command::Request { reply, .. } => drop(reply.send(Err(error))),
    }
}

//! The task behind a call: a UAC or UAS of one INVITE dialog.

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
use crate::phone::{CallOptions, Context};
use crate::ua::dialog::{Dialog, exchange, next_try, record_routes};
use crate::ua::endpoint::{ALLOW, ClientTransaction, Inbound, ServerTransaction, simple};
use crate::ua::message::{Headers, Request, Response, reason_phrase, uri_of};
use crate::ua::sdp::{self, Direction, SdpError};
use crate::ua::token;

const QUEUE: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, CallError>>;
type Exchanged = Option<(Request, Response)>;

/// What a background request of this session came to.
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

/// Starts a call out. Returns once the INVITE is on its way.
pub(crate) fn outgoing(ctx: &Arc<Context>, target: &str, options: CallOptions) -> Result<Call, CallError> {
    let config = &ctx.config;
    let codecs = options.codecs.clone().unwrap_or_else(|| config.codecs.clone());
    let line = Arc::new(Line::open(ctx.line_options(options.mouth.clone()))?);
    let local_tag = token(10);
    let call_id = format!("{}@{}", token(24), config.bind);
    let from_user = options.from_user.as_deref().unwrap_or(&config.username);
    let name = config.display_name.as_ref().map_or(String::new(), |n| format!("\"{}\" ", n.replace(['"', '\\'], "'")));
    let from = format!("{name}<sip:{from_user}@{}>", config.domain);
    let dialog = Dialog {
        call_id: call_id.clone(),
        local: format!("{from};tag={local_tag}"),
        local_tag,
        remote: format!("<{target}>"),
        target: target.to_owned(),
        routes: Vec::new(),
        contact: ctx.contact(),
        cseq: Arc::new(AtomicU32::new(0)),
        fallback: options.to.unwrap_or(config.server),
    };
    let mouth = options.mouth.unwrap_or_else(|| config.mouth.clone());
    let shared = Shared::new(Arc::clone(&line), mouth, call_id, from, format!("<{target}>"));
    let (mut session, call) = Session::new(ctx, dialog, shared, line, codecs);
    let mut invite = session.dialog.request("INVITE");
    invite.headers.push("Allow", ALLOW);
    invite.headers.push("User-Agent", config.user_agent.clone());
    if options.reliable {
        invite.headers.push("Supported", "100rel");
    }
    invite.headers.0.extend(options.headers);
    if options.late_offer {
        session.answer_in_ack = true;
    } else {
        let offer = session.offer();
        invite.headers.push("Content-Type", "application/sdp");
        invite.body = offer.into_bytes();
    }
    *lock(&session.shared.invite) = invite.headers.clone();
    let hop = session.dialog.fallback;
    tokio::spawn(session.run_outgoing(invite, hop));
    Ok(call)
}

/// Takes an INVITE. `None` if it could not be taken; then it is answered already.
pub(crate) fn incoming(ctx: &Arc<Context>, request: Request, transaction: ServerTransaction) -> Option<IncomingCall> {
    let get = |name: &str| request.headers.get(name).map(str::to_owned);
    let (Some(call_id), Some(from), Some(to), Some(contact)) = (get("Call-ID"), get("From"), get("To"), get("Contact")) else {
        transaction.respond(&simple(&request, 400));
        return None;
    };
    let line = match Line::open(ctx.line_options(None)) {
        Ok(l) => Arc::new(l),
        Err(error) => {
            tracing::warn!(%error, "incoming call refused");
            transaction.respond(&simple(&request, 503));
            return None;
        }
    };
    let local_tag = token(10);
    let dialog = Dialog {
        call_id: call_id.clone(),
        local: format!("{to};tag={local_tag}"),
        local_tag,
        remote: from.clone(),
        target: uri_of(&contact).to_owned(),
        routes: record_routes(&request.headers),
        contact: ctx.contact(),
        cseq: Arc::new(AtomicU32::new(0)),
        fallback: transaction.peer(),
    };
    let shared = Shared::new(Arc::clone(&line), ctx.config.mouth.clone(), call_id, from, to);
    *lock(&shared.invite) = request.headers.clone();
    let (session, call) = Session::new(ctx, dialog, shared, line, ctx.config.codecs.clone());
    tokio::spawn(session.run_incoming(request, transaction));
    Some(IncomingCall { call })
}

impl Session {
    fn new(ctx: &Arc<Context>, dialog: Dialog, shared: Arc<Shared>, line: Arc<Line>, codecs: Vec<Codec>) -> (Self, Call) {
        let (commands_in, commands) = mpsc::channel(QUEUE);
        let (inbox_in, inbox) = mpsc::channel(QUEUE);
        ctx.endpoint.adopt(&dialog.call_id, &dialog.local_tag, inbox_in.clone());
        let origin = (u64::from(rand::random::<u32>()), 0);
        let local = sdp::Session { address: line.address(), rtcp: None, codecs: Vec::new(), events: None, direction: Direction::SendRecv, origin };
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

    async fn run_outgoing(mut self, mut invite: Request, hop: SocketAddr) {
        let stop = self.ctx.endpoint.stop().clone();
        self.ctx.auth.authorize(&mut invite);
        let mut cancel: Option<Vec<(String, String)>> = None;
        for attempt in 0.. {
            let mut transaction = self.ctx.endpoint.send(invite.clone(), hop);
            let (mut provisional, mut cancelled) = (false, false);
            let last = loop {
                tokio::select! {
                    response = transaction.next() => match response {
                        None => return self.end(EndCause::TimedOut, Some(408), None, Headers::default()),
                        Some(r) if r.code < 200 => {
                            provisional = true;
                            self.progress(&r, &invite);
                        }
                        Some(r) => break r,
                    },
                    command = self.commands.recv(), if self.listening => self.before_answer(command, &mut cancel),
                    inbound = self.inbox.recv() => {
                        if let Some(Inbound::Request(request, t)) = inbound
                            && let ControlFlow::Break(cause) = self.requested(&request, &t)
                        {
                            return self.end_by(cause, &request.headers);
                        }
                    }
                    () = stop.cancelled() => return self.end(EndCause::Unplugged, None, None, Headers::default()),
                    Some(_) = self.work.join_next(), if !self.work.is_empty() => {}
                }
                // A CANCEL must wait for a provisional response (RFC 3261 §9.1).
                if let (Some(headers), true, false) = (&cancel, provisional, cancelled) {
                    transaction.cancel(headers);
                    cancelled = true;
                }
            };
            *lock(&self.shared.answer) = last.headers.clone();
            match last.code {
                401 | 407 if attempt < 2 && cancel.is_none() && self.ctx.auth.challenged(&last, attempt > 0) => {
                    next_try(&self.ctx.auth, &self.dialog.cseq, &mut invite);
                    *lock(&self.shared.invite) = invite.headers.clone();
                }
                200..300 => return self.established(&transaction, last, cancel).await,
                code => {
                    let cause = if cancel.is_some() { EndCause::Cancelled } else { EndCause::Refused };
                    let reason = last.headers.get("Reason").map_or(last.reason.clone(), str::to_owned);
                    return self.end(cause, Some(code), Some(reason), last.headers);
                }
            }
        }
    }

    fn before_answer(&mut self, command: Option<Command>, cancel: &mut Option<Vec<(String, String)>>) {
        match command {
            None => {
                self.listening = false;
                cancel.get_or_insert_default();
            }
            Some(Command::Hangup { headers, reply }) => {
                cancel.get_or_insert(headers);
                self.hangup_replies.push(reply);
            }
            Some(other) => refuse(other, "not answered"),
        }
    }

    fn progress(&mut self, response: &Response, invite: &Request) {
        if response.code == 100 {
            return;
        }
        if response.headers.tag("To").is_some() {
            self.dialog.learn_from_response(response);
        }
        let early = !response.body.is_empty() && !self.answer_in_ack && self.take_answer(&response.body).is_ok();
        if early || matches!(*self.shared.state.borrow(), CallState::Trying) {
            self.state(if early { CallState::Early } else { CallState::Ringing });
        }
        self.shared.log(EventKind::Progress { code: response.code, early_media: early, headers: response.headers.clone() });
        if let (Some(rseq), Some((number, _))) = (response.headers.get("RSeq"), invite.headers.cseq()) {
            let mut prack = self.dialog.request("PRACK");
            prack.headers.push("RAck", format!("{rseq} {number} INVITE"));
            self.spawn(prack, |_| Outcome::Ignored);
        }
    }

    async fn established(mut self, transaction: &ClientTransaction, ok: Response, cancel: Option<Vec<(String, String)>>) {
        self.dialog.learn_from_response(&ok);
        let number = transaction.request().headers.cseq().map_or(1, |(n, _)| n);
        let mut ack = self.dialog.with_cseq("ACK", number);
        let agreed = if self.answer_in_ack {
            self.answer_in_ack = false;
            self.answer_to(&ok.body).map(|answer| {
                ack.headers.push("Content-Type", "application/sdp");
                ack.body = answer.into_bytes();
            })
        } else if ok.body.is_empty() && self.remote.is_some() {
            Ok(())
        } else {
            self.take_answer(&ok.body)
        };
        self.acknowledge(ack);
        self.shared.log(EventKind::Answered);
        match (agreed, cancel) {
            (Ok(()), None) => self.state(CallState::Answered),
            // Answered in the same moment as we gave up (RFC 3261 §9.1), or answered with what we cannot use.
            (Ok(()), Some(headers)) => self.bye(headers),
            (Err(error), _) => {
                tracing::warn!(%error, "call answered with an unusable session description");
                self.fate = Some(EndCause::Media(error.to_string()));
                self.bye(vec![("Reason".into(), format!("SIP;cause=488;text=\"{error}\""))]);
            }
        }
        self.talk().await;
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

    async fn run_incoming(mut self, invite: Request, transaction: ServerTransaction) {
        let stop = self.ctx.endpoint.stop().clone();
        // The endpoint knows the dialog's inbox by its tags; a CANCEL has only the INVITE's branch.
        transaction.own(self.told.clone());
        let tag = self.dialog.local_tag.clone();
        let respond = |session: &Self, code: u16, reason: &str, body: Option<String>, headers: Vec<(String, String)>| {
            let reason = if reason.is_empty() { reason_phrase(code) } else { reason };
            let mut response = invite.response(code, reason, Some(&tag));
            if code < 300 {
                response.headers.push("Contact", session.dialog.contact.clone());
                response.headers.push("Allow", ALLOW);
            }
            response.headers.0.extend(headers);
            if let Some(body) = body {
                response.headers.push("Content-Type", "application/sdp");
                response.body = body.into_bytes();
            }
            transaction.respond(&response);
            response.headers
        };
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Provisional { code, media, reply }) => {
                        let body = if media { self.describe_for(&invite).map(Some) } else { Ok(None) };
                        let _ = reply.send(body.map(|body| {
                            let early = body.is_some();
                            respond(&self, code, "", body, Vec::new());
                            if early || matches!(*self.shared.state.borrow(), CallState::Trying) {
                                self.state(if early { CallState::Early } else { CallState::Ringing });
                            }
                        }));
                    }
                    Some(Command::Answer { headers, reply }) => match self.describe_for(&invite) {
                        Ok(body) => {
                            let sent = respond(&self, 200, "", Some(body), headers);
                            *lock(&self.shared.answer) = sent;
                            self.unacknowledged = Some(transaction.clone());
                            self.shared.log(EventKind::Answered);
                            self.state(CallState::Answered);
                            let _ = reply.send(Ok(()));
                            break;
                        }
                        Err(e) => {
                            respond(&self, 488, "", None, Vec::new());
                            let _ = reply.send(Err(e.clone()));
                            return self.end(EndCause::Media(e.to_string()), Some(488), None, Headers::default());
                        }
                    },
                    Some(Command::Reject { code, reason, headers, reply }) => {
                        let code = code.clamp(300, 699);
                        respond(&self, code, &reason, None, headers);
                        let _ = reply.send(Ok(()));
                        return self.end(EndCause::Refused, Some(code), Some(reason), Headers::default());
                    }
                    Some(Command::Hangup { headers, reply }) => {
                        respond(&self, 603, "", None, headers);
                        self.hangup_replies.push(reply);
                        return self.end(EndCause::Refused, Some(603), None, Headers::default());
                    }
                    Some(other) => refuse(other, "not answered"),
                    None => {
                        respond(&self, 480, "", None, Vec::new());
                        return self.end(EndCause::Refused, Some(480), None, Headers::default());
                    }
                },
                inbound = self.inbox.recv() => match inbound {
                    Some(Inbound::Cancelled(request)) => {
                        respond(&self, 487, "", None, Vec::new());
                        return self.end_by(EndCause::Cancelled, &request.headers);
                    }
                    Some(Inbound::Request(request, t)) => {
                        if let ControlFlow::Break(cause) = self.requested(&request, &t) {
                            respond(&self, 487, "", None, Vec::new());
                            return self.end_by(cause, &request.headers);
                        }
                    }
                    _ => {}
                },
                () = stop.cancelled() => return self.end(EndCause::Unplugged, None, None, Headers::default()),
            }
        }
        self.talk().await;
    }

    /// Our description for an INVITE: the answer, or an offer if it had none. Repeats what was said if early media said it already.
    fn describe_for(&mut self, invite: &Request) -> Result<String, CallError> {
        if let Some(said) = lock(&self.shared.local_description).clone() {
            return Ok(said);
        }
        if invite.body.is_empty() {
            self.answer_in_ack = true;
            return Ok(self.offer());
        }
        self.answer_to(&invite.body)
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

    fn change(&mut self, change: Change, reply: Reply<()>) {
        if self.changing {
            let _ = reply.send(Err(CallError::WrongState("changing already")));
            return;
        }
        let before = Before {
            local: self.local.clone(),
            codecs: self.codecs.clone(),
            direction: self.direction,
            advertise: self.advertise,
            line: Arc::clone(&self.line),
        };
        if change.new_port {
            let mouth = lock(&self.shared.mouth).clone();
            match Line::open(self.ctx.line_options(Some(mouth))) {
                Ok(line) => self.line = Arc::new(line),
                Err(e) => {
                    let _ = reply.send(Err(e.into()));
                    return;
                }
            }
        }
        self.changing = true;
        self.direction = change.direction.unwrap_or(self.direction);
        self.codecs = change.codecs.unwrap_or_else(|| self.codecs.clone());
        self.advertise = change.advertise.or(self.advertise);
        let offer = self.offer();
        let mut invite = self.dialog.request("INVITE");
        invite.headers.push("Allow", ALLOW);
        invite.headers.push("Content-Type", "application/sdp");
        invite.headers.0.extend(change.headers);
        invite.body = offer.into_bytes();
        self.spawn(invite, move |done| Outcome::Changed(done, Box::new(before), reply));
    }

    fn changed(&mut self, done: Exchanged, before: Before, reply: Reply<()>) {
        self.changing = false;
        let result = match done {
            None => Err(CallError::TimedOut(self.ctx.endpoint.patience())),
            Some((request, r)) if r.code < 300 => {
                if let Some(contact) = r.headers.get("Contact") {
                    self.dialog.target = uri_of(contact).to_owned();
                }
                let ack = self.dialog.with_cseq("ACK", request.headers.cseq().map_or(1, |(n, _)| n));
                self.acknowledge(ack);
                self.take_answer(&r.body)
            }
            Some((_, r)) => Err(CallError::Refused { code: r.code, reason: r.reason }),
        };
        let moved = !Arc::ptr_eq(&self.line, &before.line);
        if result.is_err() {
            (self.local, self.codecs, self.direction, self.advertise) = (before.local, before.codecs, before.direction, before.advertise);
            self.line = before.line;
        } else if moved {
            before.line.close();
            lock(&self.shared.lines).push(Arc::clone(&self.line));
        }
        let _ = reply.send(result);
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
            // This phone does not transfer, and says so instead of accepting and doing nothing.
            "REFER" => {
                answered = 603;
                transaction.respond(&simple(request, 603));
            }
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

    fn renegotiate(&mut self, request: &Request, transaction: &ServerTransaction) {
        let invite = request.method == "INVITE";
        if self.changing && (invite || !request.body.is_empty()) {
            transaction.respond(&simple(request, 491));
            return;
        }
        if let Some(contact) = request.headers.get("Contact") {
            self.dialog.target = uri_of(contact).to_owned();
        }
        let body = match (invite, request.body.is_empty()) {
            (true, true) => {
                self.answer_in_ack = true;
                Some(self.offer())
            }
            (false, true) => None,
            (_, false) => match self.answer_to(&request.body) {
                Ok(answer) => Some(answer),
                Err(_) => {
                    transaction.respond(&simple(request, 488));
                    return;
                }
            },
        };
        let mut ok = simple(request, 200);
        ok.headers.push("Contact", self.dialog.contact.clone());
        ok.headers.push("Allow", ALLOW);
        if let Some(body) = body {
            ok.headers.push("Content-Type", "application/sdp");
            ok.body = body.into_bytes();
        }
        if invite {
            self.unacknowledged = Some(transaction.clone());
        }
        transaction.respond(&ok);
        let theirs = self.remote.as_ref().map_or(Direction::SendRecv, |r| r.direction);
        self.shared.log(EventKind::Renegotiated { theirs, ours: self.local.direction });
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

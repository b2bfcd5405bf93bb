//! A call out, until it is answered.

use super::*;

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

impl Session {
    pub(super) async fn run_outgoing(mut self, mut invite: Request, hop: SocketAddr) {
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

    pub(super) fn before_answer(&mut self, command: Option<Command>, cancel: &mut Option<Vec<(String, String)>>) {
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

    pub(super) fn progress(&mut self, response: &Response, invite: &Request) {
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
        self.shared.log(EventKind::Progress {
            code: response.code,
            early_media: early,
            headers: response.headers.clone(),
        });
        if let (Some(rseq), Some((number, _))) = (response.headers.get("RSeq"), invite.headers.cseq()) {
            let mut prack = self.dialog.request("PRACK");
            prack.headers.push("RAck", format!("{rseq} {number} INVITE"));
            self.spawn(prack, |_| Outcome::Ignored);
        }
    }

    pub(super) async fn established(
        mut self,
        transaction: &ClientTransaction,
        ok: Response,
        cancel: Option<Vec<(String, String)>>,
    ) {
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
}

//! A call in, until it is answered.

use super::*;

/// Takes an INVITE. `None` if it could not be taken; then it is answered already.
pub(crate) fn incoming(ctx: &Arc<Context>, request: Request, transaction: ServerTransaction) -> Option<IncomingCall> {
    let get = |name: &str| request.headers.get(name).map(str::to_owned);
    let (Some(call_id), Some(from), Some(to), Some(contact)) = (get("Call-ID"), get("From"), get("To"), get("Contact"))
    else {
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
    pub(super) async fn run_incoming(mut self, invite: Request, transaction: ServerTransaction) {
        let stop = self.ctx.endpoint.stop().clone();
        // The endpoint knows the dialog's inbox by its tags; a CANCEL has only the INVITE's branch.
        transaction.own(self.told.clone());
        let tag = self.dialog.local_tag.clone();
        let respond =
            |session: &Self, code: u16, reason: &str, body: Option<String>, headers: Vec<(String, String)>| {
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
                    Some(Command::Provisional { code, media, headers, reply }) => {
                        let body = if media { self.describe_for(&invite).map(Some) } else { Ok(None) };
                        let _ = reply.send(body.map(|body| {
                            let early = body.is_some();
                            respond(&self, code, "", body, headers);
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
    pub(super) fn describe_for(&mut self, invite: &Request) -> Result<String, CallError> {
        if let Some(said) = lock(&self.shared.local_description).clone() {
            return Ok(said);
        }
        if invite.body.is_empty() {
            self.answer_in_ack = true;
            return Ok(self.offer());
        }
        self.answer_to(&invite.body)
    }
}

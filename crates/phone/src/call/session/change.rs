//! Changes of the session: re-INVITE and UPDATE, ours and theirs.

use super::*;

impl Session {
    pub(super) fn change(&mut self, change: Change, reply: Reply<()>) {
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

    pub(super) fn changed(&mut self, done: Exchanged, before: Before, reply: Reply<()>) {
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
            (self.local, self.codecs, self.direction, self.advertise) =
                (before.local, before.codecs, before.direction, before.advertise);
            self.line = before.line;
        } else if moved {
            before.line.close();
            lock(&self.shared.lines).push(Arc::clone(&self.line));
        }
        let _ = reply.send(result);
    }

    pub(super) fn renegotiate(&mut self, request: &Request, transaction: &ServerTransaction) {
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

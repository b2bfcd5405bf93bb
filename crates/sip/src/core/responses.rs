//! Responses that arrive, and what follows when none does.

use std::time::Instant;

use super::client::{ClientState, Purpose, Sent};
use super::derived::derived;
use super::dialog::{Phase, routes};
use super::session::Asked;
use super::{Core, Wake};
use crate::digest::Challenge;
use crate::header::NameAddr;
use crate::leg::{By, LegEvent, SipError};
use crate::message::{Request, Response};
use crate::sdp::Session;
use crate::transport::Flow;

impl Core {
    pub(super) fn response(&mut self, response: Response, flow: Flow, now: Instant) {
        if self.misdirected(&response, &flow) {
            return;
        }
        let Some(client) = self.match_response(&response, now) else { return };
        let Some(sent) = self.clients.get(&client).map(|c| c.sent.clone()) else { return };
        self.deliver(&sent, &response, flow, None, now);
    }

    /// Hands a response to the dialog its transaction belongs to. `by` is set when no peer sent it.
    pub(super) fn deliver(&mut self, tx: &Sent, response: &Response, flow: Flow, by: Option<By>, now: Instant) {
        match tx.purpose {
            Purpose::Other => {}
            Purpose::Bye => self.bye_answered(tx, response, now),
            Purpose::Asked(ticket) => self.asked_answered(tx, ticket, response, by, now),
            Purpose::Notify(referral) => self.notify_answered(tx, referral, response, by, now),
            Purpose::Invite => match response.code {
                100..200 => self.progress(tx.dialog, response, now),
                200..300 => self.answered(tx, response, flow, now),
                _ => self.refused(tx, response, by, now),
            },
            Purpose::Reinvite => match response.code {
                100..200 => {}
                200..300 => self.reanswered(tx, response, flow, now),
                _ => self.rerefused(tx, response, by, now),
            },
        }
    }

    fn progress(&mut self, id: u64, response: &Response, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        dialog.provisional = true;
        if dialog.cancelled {
            self.send_cancel(id, now);
            return;
        }
        if response.code == 100 || dialog.phase != Phase::Calling {
            return;
        }
        let first = !dialog.rung.contains(&response.code);
        if first {
            dialog.rung.push(response.code);
            self.tell(id, LegEvent::Ringing { code: response.code }, now);
        }
        if response.has_sdp()
            && let Ok(session) = Session::parse(&response.body)
            && let Some(dialog) = self.dialogs.get_mut(&id)
            && dialog.early.as_ref() != Some(&session)
        {
            dialog.early = Some(session.clone());
            self.tell(id, LegEvent::EarlyMedia(session), now);
        }
    }

    /// CANCEL shares the INVITE's branch; it may only follow a provisional response (RFC 3261 §9.1).
    pub(super) fn send_cancel(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let Some(client) = dialog.invite.take() else { return };
        let parting = dialog.parting.clone().unwrap_or_default();
        let give_up = now + self.timers.give_up();
        let Some(tx) = self.clients.get(&client).filter(|tx| tx.state == ClientState::Proceeding) else { return };
        let mut cancel = derived(&tx.sent.request, "CANCEL");
        let branch = crate::header::Via::parse(cancel.headers.get("Via").unwrap_or("")).map(|v| v.branch().to_owned());
        cancel.headers.0.retain(|(name, _)| name != "Via");
        cancel.headers.0.extend(parting.lines());
        let flow = tx.sent.flow;
        self.send_request(cancel, flow, (id, Purpose::Other, 0), branch.as_deref(), now);
        self.give_client_up(client, give_up);
        self.deadline(id, give_up);
    }

    fn answered(&mut self, tx: &Sent, response: &Response, flow: Flow, now: Instant) {
        let id = tx.dialog;
        let tag = response.to_tag();
        let (seq, _) = tx.request.headers.cseq().unwrap_or((0, ""));
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.phase != Phase::Calling && dialog.remote_tag.is_some() {
            if dialog.remote_tag == tag {
                if let Some((acked, bytes, to)) = &dialog.ack
                    && *acked == seq
                {
                    self.wire.send(to, bytes.clone());
                }
            } else {
                self.drop_fork(tx, response, flow, now);
            }
            return;
        }
        dialog.remote_tag = Some(tag.unwrap_or_default());
        dialog.routes = routes(&response.headers, true);
        dialog.take_flow(flow);
        if let Some(contact) = response.headers.values("Contact").next().and_then(NameAddr::parse) {
            dialog.target = contact.uri;
        }
        dialog.timer = Asked::read(&response.headers).map(|a| a.as_uac(now));
        dialog.give_up_at = None;
        let ended = dialog.phase == Phase::Ending;
        let due = dialog.timer.map(|t| t.due);
        dialog.phase = Phase::Up;
        self.send_ack(id, seq, now);
        if ended {
            let parting = self.dialogs.get_mut(&id).and_then(|d| d.parting.take()).unwrap_or_default();
            self.say_bye(id, &parting, now);
            return;
        }
        if let Some(due) = due {
            self.wake(due, Wake::Dialog(id));
        }
        // Many peers send the SDP in a 183 and none in the 200: the 183's is the answer then.
        let early = self.dialogs.get_mut(&id).and_then(|d| d.early.take());
        let session = match response.has_sdp() {
            true => Session::parse(&response.body).map_err(|f| f.to_string()),
            false => early.ok_or_else(|| "no SDP in it".to_owned()),
        };
        match session {
            Ok(session) => self.tell(id, LegEvent::Answered(session), now),
            Err(why) => {
                let reason = format!("the answer's SDP cannot be used: {why}");
                self.finish(id, LegEvent::Refused { code: 488, reason }, now);
                self.send_bye(id, Some("unusable SDP"), now);
            }
        }
    }

    /// A second 2xx, from another branch of a fork: acknowledged and hung up (RFC 3261 §13.2.2.4).
    fn drop_fork(&mut self, tx: &Sent, response: &Response, flow: Flow, now: Instant) {
        let mut ack = derived(&tx.request, "ACK");
        ack.headers.0.retain(|(name, _)| name != "Via" && name != "Route" && name != "To");
        for route in routes(&response.headers, true) {
            ack.headers.push("Route", route);
        }
        ack.headers.push("To", response.headers.get("To").unwrap_or(""));
        if let Some(contact) = response.headers.values("Contact").next().and_then(NameAddr::parse) {
            ack.uri = contact.uri;
        }
        let (seq, _) = tx.request.headers.cseq().unwrap_or((0, ""));
        let mut bye = Request { method: "BYE".to_owned(), ..ack.clone() };
        for (name, value) in &mut bye.headers.0 {
            if name == "CSeq" {
                *value = format!("{} BYE", seq + 1);
            }
        }
        let via = self.via(&flow, &format!("z9hG4bK{}", super::token()));
        ack.headers.0.insert(0, ("Via".to_owned(), via));
        self.wire.send(&flow, ack.encode());
        self.send_request(bye, flow, (0, Purpose::Other, 0), None, now);
    }

    /// ACK of a 2xx: outside any transaction, repeated when the 2xx is.
    fn send_ack(&mut self, id: u64, seq: u32, _now: Instant) {
        let Some(flow) = self.dialog_flow(id) else { return };
        let via = self.via(&flow, &format!("z9hG4bK{}", super::token()));
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let mut ack = dialog.request_numbered("ACK", seq);
        ack.headers.0.insert(0, ("Via".to_owned(), via));
        dialog.authorize(&mut ack);
        let bytes = ack.encode();
        dialog.ack = Some((seq, bytes.clone(), flow));
        self.wire.send(&flow, bytes);
    }

    /// Remembers a challenge; `false` if it cannot or should not be answered again.
    pub(super) fn challenged(&mut self, tx: &Sent, response: &Response) -> bool {
        let (name, proxy) = match response.code {
            401 => ("WWW-Authenticate", false),
            407 => ("Proxy-Authenticate", true),
            _ => return false,
        };
        let Some(dialog) = self.dialogs.get_mut(&tx.dialog).filter(|d| d.auth.is_some()) else { return false };
        let Some(challenge) = Challenge::strongest(response.headers.all(name)) else { return false };
        // A second challenge means a wrong password, unless the nonce was merely too old.
        if tx.attempt >= 3 || (tx.attempt >= 1 && !challenge.stale) {
            return false;
        }
        dialog.challenge = Some((challenge, proxy, 0));
        true
    }

    /// The same request again, with credentials, in a new transaction.
    pub(super) fn again(&mut self, tx: &Sent, now: Instant) -> Option<u64> {
        let mut request = Request::clone(&tx.request);
        request.headers.0.retain(|(name, _)| !matches!(name.as_str(), "Via" | "Authorization" | "Proxy-Authorization"));
        let dialog = self.dialogs.get_mut(&tx.dialog)?;
        dialog.local_seq += 1;
        for (name, value) in &mut request.headers.0 {
            if name == "CSeq" {
                *value = format!("{} {}", dialog.local_seq, request.method);
            }
        }
        dialog.authorize(&mut request);
        Some(self.send_request(request, tx.flow, (tx.dialog, tx.purpose, tx.attempt + 1), None, now))
    }

    fn refused(&mut self, tx: &Sent, response: &Response, by: Option<By>, now: Instant) {
        let id = tx.dialog;
        let ending = self.dialogs.get(&id).is_some_and(|d| d.phase == Phase::Ending || d.cancelled);
        if by.is_none() && !ending && self.challenged(tx, response) {
            let client = self.again(tx, now);
            if let Some(dialog) = self.dialogs.get_mut(&id) {
                dialog.invite = client;
                dialog.provisional = false;
            }
            return;
        }
        let reason: String = response.reason.chars().take(200).collect();
        self.bury(id, LegEvent::Refused { code: response.code, reason }, now);
    }

    fn bye_answered(&mut self, tx: &Sent, response: &Response, now: Instant) {
        if response.code < 200 {
            return;
        }
        if self.challenged(tx, response) && self.again(tx, now).is_some() {
            return;
        }
        self.remove(tx.dialog);
    }

    fn reanswered(&mut self, tx: &Sent, response: &Response, flow: Flow, now: Instant) {
        let id = tx.dialog;
        let (seq, _) = tx.request.headers.cseq().unwrap_or((0, ""));
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if let Some((acked, bytes, to)) = &dialog.ack
            && *acked == seq
        {
            self.wire.send(to, bytes.clone());
            return;
        }
        if let Some(contact) = response.headers.values("Contact").next().and_then(NameAddr::parse) {
            dialog.target = contact.uri;
            dialog.take_flow(flow);
        }
        if let Some(asked) = Asked::read(&response.headers) {
            dialog.timer = Some(asked.as_uac(now));
        }
        let due = dialog.timer.map(|t| t.due);
        let mine = dialog.reinvite.take();
        let ending = dialog.phase == Phase::Ending;
        self.send_ack(id, seq, now);
        if ending {
            return;
        }
        if let Some(due) = due {
            self.wake(due, Wake::Dialog(id));
        }
        let Some(reinvite) = mine else { return };
        let Some(done) = reinvite.done else { return };
        let answer = Session::parse(&response.body).map_err(|fault| SipError::Refused {
            code: 488,
            reason: format!("the answer's SDP cannot be used: {fault}"),
        });
        if answer.is_ok()
            && let Some(dialog) = self.dialogs.get_mut(&id)
        {
            dialog.sdp = Some(reinvite.sdp);
        }
        let _ = done.send(answer);
    }

    fn rerefused(&mut self, tx: &Sent, response: &Response, by: Option<By>, now: Instant) {
        let id = tx.dialog;
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.phase == Phase::Ending {
            return;
        }
        if by.is_none() && self.challenged(tx, response) {
            let client = self.again(tx, now);
            if let Some(reinvite) = self.dialogs.get_mut(&id).and_then(|d| d.reinvite.as_mut()) {
                reinvite.client = client;
            }
            return;
        }
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let uac = dialog.uac;
        if response.code == 491
            && let Some(reinvite) = dialog.reinvite.as_mut().filter(|r| r.tries < 3)
        {
            // RFC 3261 §14.1: the Call-ID's owner waits longer, so that the two do not collide again.
            let spread = u64::from(rand::random::<u16>());
            let wait = if uac { 2_100 + spread % 1_900 } else { spread % 2_000 };
            let at = now + std::time::Duration::from_millis(wait);
            reinvite.client = None;
            reinvite.again_at = Some(at);
            self.wake(at, Wake::Dialog(id));
            return;
        }
        let done = dialog.reinvite.take().and_then(|r| r.done);
        let (code, reason) = (response.code, response.reason.clone());
        if let Some(done) = done {
            let _ = done.send(Err(SipError::Refused { code, reason: reason.clone() }));
        }
        // A browser may come back.
        if by == Some(By::Transport) && tx.flow.is_websocket() {
            return;
        }
        // The peer does not know the dialog, or is not there any more (RFC 3261 §12.2.1.2).
        if matches!(code, 408 | 481) || by == Some(By::Transport) {
            let by = by.unwrap_or(By::Remote);
            self.finish(id, LegEvent::ended(by, format!("re-INVITE failed: {code} {reason}")), now);
            self.send_bye(id, Some("session lost"), now);
        }
    }
}

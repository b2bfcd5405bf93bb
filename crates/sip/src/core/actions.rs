//! What the engine asks of a dialog, and what its deadlines do.

use std::time::{Duration, Instant};

use super::client::Purpose;
use super::dialog::{Phase, Reinvite, Unacked};
use super::requests::line;
use super::{Core, Wake};
use crate::given::{Parting, check_headers, check_phrase};
use crate::leg::{Action, By, Done, LegEvent, SipError};
use crate::message::reason;
use crate::sdp::Session;

impl Core {
    pub(super) fn act(&mut self, id: u64, action: Action, now: Instant) -> Result<(), SipError> {
        if !self.dialogs.get(&id).is_some_and(super::dialog::Dialog::live) {
            return Err(SipError::Gone);
        }
        match action {
            Action::Ring(headers) => self.provisional(id, 180, None, &headers, now),
            Action::Progress(headers) => self.provisional(id, 183, None, &headers, now),
            Action::Early(sdp, headers) => self.provisional(id, 183, Some(&sdp), &headers, now),
            Action::Answer(sdp, headers) => self.answer(id, sdp, &headers, Phase::Offered, now),
            Action::Reject(code, phrase, headers) => self.reject(id, code, phrase.as_deref(), &headers, now),
            Action::Hangup(parting) => {
                check_headers(&parting.headers)?;
                self.part(id, parting, now);
                Ok(())
            }
            Action::AnswerReinvite(sdp) => self.answer(id, sdp, &[], Phase::Up, now),
            Action::RejectReinvite(code) => {
                let dialog = self.dialogs.get_mut(&id).filter(|d| d.phase == Phase::Up).ok_or(SipError::Gone)?;
                let tx = dialog.pending.take().ok_or(SipError::State("there is no offer to refuse"))?;
                dialog.give_up_at = None;
                self.respond(tx, if (300..700).contains(&code) { code } else { 488 }, None, &[], None, now);
                Ok(())
            }
            Action::Info(digit) => self.send_digit(id, digit, now),
            Action::AcceptRefer(referral) => self.accept_refer(id, referral, now),
            Action::NotifyRefer(referral, report) => self.notify_refer(id, referral, report, now),
            Action::RejectRefer(referral, code) => self.reject_refer(id, referral, code, now),
        }
    }

    fn offered(&self, id: u64) -> Result<u64, SipError> {
        let dialog = self.dialogs.get(&id).ok_or(SipError::Gone)?;
        match (dialog.phase, dialog.pending) {
            (Phase::Offered, Some(tx)) => Ok(tx),
            _ => Err(SipError::State("it is not an incoming call that waits for an answer")),
        }
    }

    fn provisional(
        &mut self,
        id: u64,
        code: u16,
        sdp: Option<&Session>,
        headers: &[(String, String)],
        now: Instant,
    ) -> Result<(), SipError> {
        check_headers(headers)?;
        let tx = self.offered(id)?;
        let mut lines: Vec<_> = self.dialogs.get(&id).map(|d| line("Contact", d.contact.clone())).into_iter().collect();
        lines.push(line("Allow", crate::message::ALLOW));
        lines.extend_from_slice(headers);
        let sdp = sdp.map(Session::to_string);
        self.respond(tx, code, None, &lines, sdp.as_deref(), now);
        Ok(())
    }

    /// 2xx to the INVITE (`phase` Offered) or to a re-INVITE or UPDATE (`phase` Up).
    fn answer(
        &mut self,
        id: u64,
        sdp: Session,
        headers: &[(String, String)],
        phase: Phase,
        now: Instant,
    ) -> Result<(), SipError> {
        check_headers(headers)?;
        let timers = self.timers;
        let dialog = self.dialogs.get_mut(&id).filter(|d| d.phase == phase);
        let dialog = dialog.ok_or(SipError::State("it does not wait for an answer"))?;
        let tx = dialog.pending.take().ok_or(SipError::State("it does not wait for an answer"))?;
        let invite = dialog.pending_invite;
        dialog.give_up_at = None;
        dialog.phase = Phase::Up;
        let mut lines = self.session_lines(id);
        lines.extend_from_slice(headers);
        let flow = self.servers.get(&tx).map(|s| s.back.flow);
        let bytes = self.respond(tx, 200, None, &lines, Some(&sdp.to_string()), now);
        let (Some(bytes), Some(flow)) = (bytes, flow) else { return Err(SipError::Gone) };
        let mut due = Vec::new();
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.sdp = Some(sdp);
            due.extend(dialog.timer.map(|t| t.due));
            if invite {
                // The peer may have sent other requests since, so its last CSeq may not be the INVITE's.
                let seq = self.servers.get(&tx).and_then(|s| s.back.head.cseq.split_whitespace().next()?.parse().ok());
                dialog.unacked = Some(Unacked {
                    bytes,
                    flow,
                    seq: seq.or(dialog.remote_seq).unwrap_or(0),
                    interval: timers.t1,
                    repeat_at: now + timers.t1,
                    give_up_at: now + timers.give_up(),
                    offered: self.servers.get(&tx).is_some_and(|s| s.offerless),
                });
                due.extend([now + timers.t1, now + timers.give_up()]);
            }
        }
        for at in due {
            self.wake(at, Wake::Dialog(id));
        }
        Ok(())
    }

    fn reject(
        &mut self,
        id: u64,
        code: u16,
        phrase: Option<&str>,
        headers: &[(String, String)],
        now: Instant,
    ) -> Result<(), SipError> {
        check_headers(headers)?;
        phrase.map_or(Ok(()), check_phrase)?;
        let tx = self.offered(id)?;
        if !(300..700).contains(&code) {
            return Err(SipError::Code { code, wanted: "300 to 699" });
        }
        self.respond(tx, code, phrase, headers, None, now);
        let said = phrase.unwrap_or(reason(code));
        self.bury(id, LegEvent::ended(By::Local, format!("refused with {code} {said}")), now);
        Ok(())
    }

    /// Ends a dialog the way its state asks for.
    pub(super) fn hang_up(&mut self, id: u64, why: Option<&str>, now: Instant) {
        self.part(id, Parting::because(why), now);
    }

    fn part(&mut self, id: u64, parting: Parting, now: Instant) {
        let cause = parting.why.clone().unwrap_or_else(|| "hung up".to_owned());
        let give_up = now + self.timers.give_up() + Duration::from_secs(1);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let ended = LegEvent::ended(By::Local, cause);
        match dialog.phase {
            Phase::Offered => {
                let tx = dialog.pending.take();
                if let Some(tx) = tx {
                    self.respond(tx, 480, None, &parting.headers, None, now);
                }
                self.bury(id, ended, now);
            }
            Phase::Calling => {
                dialog.cancelled = true;
                dialog.phase = Phase::Ending;
                dialog.parting = Some(parting);
                let provisional = dialog.provisional;
                self.finish(id, ended, now);
                // Timers B and the 2xx that may still cross the CANCEL end it; this is only the last resort.
                self.deadline(id, give_up);
                if provisional {
                    self.send_cancel(id, now);
                }
            }
            Phase::Up if dialog.unacked.is_some() && !dialog.uac => {
                // A callee may not send BYE before the ACK (RFC 3261 §15).
                dialog.phase = Phase::Ending;
                dialog.parting = Some(parting);
                self.last_reports(id, now);
                self.finish(id, ended, now);
            }
            Phase::Up => {
                self.last_reports(id, now);
                self.finish(id, ended, now);
                self.say_bye(id, &parting, now);
            }
            Phase::Ending => {}
        }
    }

    pub(super) fn reinvite(&mut self, id: u64, sdp: Session, done: Option<Done<Session>>, now: Instant) {
        let fault = match self.dialogs.get(&id) {
            Some(d) if !d.live() || d.phase == Phase::Ending => Some(SipError::Gone),
            None => Some(SipError::Gone),
            Some(d) if d.phase != Phase::Up => Some(SipError::State("it is not answered yet")),
            Some(d) if d.reinvite.is_some() => Some(SipError::State("another change of media is under way")),
            Some(d) if d.pending.is_some() || d.unacked.is_some() => {
                Some(SipError::State("the peer is changing the media; answer that first"))
            }
            Some(_) => None,
        };
        if let Some(fault) = fault {
            if let Some(done) = done {
                let _ = done.send(Err(fault));
            }
            return;
        }
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.reinvite = Some(Reinvite { sdp, done, tries: 0, client: None, again_at: None });
            self.send_reinvite(id, now);
        }
    }

    fn send_reinvite(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let mut request = dialog.request("INVITE");
        request.headers.push("Allow", crate::message::ALLOW);
        request.headers.push("Supported", "timer");
        if let Some(timer) = dialog.timer {
            let refresher = if timer.we_refresh { "uac" } else { "uas" };
            request.headers.push("Session-Expires", format!("{};refresher={refresher}", timer.seconds));
        }
        request.headers.push("Content-Type", "application/sdp");
        let Some(reinvite) = &mut dialog.reinvite else { return };
        reinvite.tries += 1;
        reinvite.again_at = None;
        request.body = reinvite.sdp.to_string().into();
        let client = self.send_inside(id, request, Purpose::Reinvite, now);
        if let Some(dialog) = self.dialogs.get_mut(&id)
            && let Some(reinvite) = &mut dialog.reinvite
        {
            reinvite.client = client;
            if client.is_none()
                && let Some(done) = dialog.reinvite.take().and_then(|r| r.done)
            {
                let _ = done.send(Err(SipError::NoTransport("the peer".to_owned())));
            }
        }
    }

    fn send_digit(&mut self, id: u64, digit: char, now: Instant) -> Result<(), SipError> {
        if !matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D') {
            return Err(SipError::State("a digit is one of 0-9 * # A-D"));
        }
        let dialog = self.dialogs.get_mut(&id).filter(|d| d.phase == Phase::Up);
        let dialog = dialog.ok_or(SipError::State("it is not answered yet"))?;
        let mut info = dialog.request("INFO");
        info.headers.push("Content-Type", "application/dtmf-relay");
        info.body = format!("Signal={digit}\r\nDuration=160\r\n").into();
        match self.send_inside(id, info, Purpose::Other, now) {
            Some(_) => Ok(()),
            None => Err(SipError::NoTransport("the peer".to_owned())),
        }
    }

    pub(super) fn dialog_timer(&mut self, id: u64, now: Instant) {
        let t2 = self.timers.t2;
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if let Some(unacked) = &mut dialog.unacked {
            if unacked.give_up_at <= now {
                dialog.unacked = None;
                self.counters.acks_missing.add();
                self.finish(id, LegEvent::ended(By::Timeout, "the ACK of our answer never came"), now);
                self.send_bye(id, Some("no ACK"), now);
                return;
            }
            if unacked.repeat_at <= now {
                // The answer is repeated over TCP too: it travels end to end (RFC 3261 §13.3.1.4).
                unacked.interval = (unacked.interval * 2).min(t2);
                unacked.repeat_at = now + unacked.interval;
                let (flow, bytes, at) = (unacked.flow, unacked.bytes.clone(), unacked.repeat_at);
                self.wire.send(&flow, bytes);
                self.wake(at, Wake::Dialog(id));
            }
        }
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.reinvite.as_ref().is_some_and(|r| r.again_at.is_some_and(|at| at <= now)) {
            self.send_reinvite(id, now);
        }
        self.session_due(id, now);
        self.gave_up(id, now);
        self.flow_due(id, now);
    }

    fn session_due(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let Some(timer) = dialog.timer.filter(|t| t.due <= now && dialog.phase == Phase::Up) else { return };
        if !timer.we_refresh {
            self.counters.sessions_expired.add();
            self.finish(id, LegEvent::ended(By::Timeout, "the peer did not refresh the session"), now);
            self.send_bye(id, Some("session expired"), now);
            return;
        }
        // Should the refresh fail, the next one is tried in half the time left.
        let next = now + Duration::from_secs(u64::from(timer.seconds / 4));
        if let Some(timer) = &mut dialog.timer {
            timer.due = next;
        }
        let sdp = dialog.sdp.clone();
        self.wake(next, Wake::Dialog(id));
        if let Some(sdp) = sdp
            && self.dialogs.get(&id).is_some_and(|d| d.reinvite.is_none() && d.pending.is_none())
        {
            self.reinvite(id, sdp, None, now);
        }
    }

    fn gave_up(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.give_up_at.is_none_or(|at| at > now) {
            return;
        }
        dialog.give_up_at = None;
        match dialog.phase {
            Phase::Offered => {
                let tx = dialog.pending.take();
                if let Some(tx) = tx {
                    self.respond(tx, 480, None, &[], None, now);
                }
                self.bury(id, LegEvent::ended(By::Timeout, "nobody answered"), now);
            }
            Phase::Calling => {
                let reason = "Request Timeout (rang too long)".to_owned();
                self.finish(id, LegEvent::Refused { code: 408, reason }, now);
                self.hang_up(id, None, now);
            }
            Phase::Up => {
                if let Some(tx) = dialog.pending.take() {
                    self.respond(tx, 500, None, &[], None, now);
                }
            }
            Phase::Ending => self.remove(id),
        }
    }
}

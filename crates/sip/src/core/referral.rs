//! Transfers the peer asks us for (RFC 3515): a REFER of its, which the engine decides on, and the reports we owe it then.

use std::time::{Duration, Instant};

use super::Core;
use super::client::{Purpose, Sent};
use super::dialog::{Dialog, Phase};
use super::requests::line;
use crate::access::Reply;
use crate::given::check_phrase;
use crate::header::NameAddr;
use crate::leg::{AtWill, By, LegEvent, SipError};
use crate::message::{ALLOW, Request, Response, reason};

/// Referrals of one call at once, undecided ones included.
const REFERRALS: usize = 4;

/// Seconds an accepted referral may take; then its end is reported as unknown.
const LASTS: u64 = 300;

/// How a transfer stands.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub status: u16,
    pub reason: Option<String>,
    pub over: bool,
}

pub(super) struct Referral {
    pub id: u64,
    /// Transaction of the REFER while nothing is decided.
    pub tx: Option<u64>,
    /// CSeq of the REFER: the subscription's name.
    seq: u32,
    until: Instant,
    /// A report of ours waits for its answer: the next one must not overtake it.
    busy: bool,
    /// The latest report that waits for that.
    next: Option<Report>,
    /// The last report is sent or waits.
    over: bool,
}

impl Dialog {
    fn referral(&mut self, id: u64) -> Result<&mut Referral, SipError> {
        self.referrals.iter_mut().find(|r| r.id == id).ok_or(SipError::State("that referral is over"))
    }
}

impl Core {
    /// A REFER inside a dialog.
    pub(super) fn referred(&mut self, tx: u64, id: u64, request: &Request, now: Instant) {
        // Before Timer F of the peer, and late enough for an application to ask somebody.
        let until = now + self.timers.give_up() * 5 / 8;
        let number = self.number();
        let targets: Vec<&str> = request.headers.all("Refer-To").collect();
        let [target] = targets.as_slice() else {
            self.reply(tx, &Reply::because(400, "Bad Request: a REFER needs one Refer-To"), now);
            return;
        };
        // A target without brackets is taken too: what follows its ? is meant for the target.
        if NameAddr::parse(target).or_else(|| NameAddr::parse(&format!("<{target}>"))).is_none() {
            self.reply(tx, &Reply::because(400, "Bad Request: malformed Refer-To header"), now);
            return;
        }
        let roomy = self.roomy(id, AtWill::Large);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.phase != Phase::Up {
            self.respond(tx, 491, None, &[], None, now);
            return;
        }
        if !roomy || dialog.referrals.len() >= REFERRALS {
            self.counters.events_dropped.add();
            self.reply(tx, &Reply::later(5), now);
            return;
        }
        let seq = request.headers.cseq().map_or(0, |(n, _)| n);
        dialog.referrals.push(Referral { id: number, tx: Some(tx), seq, until, busy: false, next: None, over: false });
        let event = LegEvent::Referred {
            refer_to: (*target).to_owned(),
            referred_by: request.headers.get("Referred-By").map(str::to_owned),
            user_agent: request.headers.get("User-Agent").map(str::to_owned),
            headers: request.headers.0.clone(),
            id: number,
        };
        self.tell(id, event, now);
    }

    pub(super) fn accept_refer(&mut self, id: u64, referral: u64, now: Instant) -> Result<(), SipError> {
        let dialog = self.dialogs.get_mut(&id).ok_or(SipError::Gone)?;
        let lines = [line("Contact", dialog.contact.clone()), line("Allow", ALLOW)];
        let open = dialog.referral(referral)?;
        let tx = open.tx.take().ok_or(SipError::State("that referral is accepted already"))?;
        open.until = now + Duration::from_secs(LASTS);
        self.respond(tx, 202, None, &lines, None, now);
        // At once, whatever comes of it (RFC 3515 §2.4.4).
        self.report(id, referral, Report { status: 100, reason: None, over: false }, now)
    }

    pub(super) fn reject_refer(&mut self, id: u64, referral: u64, code: u16, now: Instant) -> Result<(), SipError> {
        if !(300..700).contains(&code) {
            return Err(SipError::Code { code, wanted: "300 to 699" });
        }
        let dialog = self.dialogs.get_mut(&id).ok_or(SipError::Gone)?;
        let tx = dialog.referral(referral)?.tx.ok_or(SipError::State("that referral is accepted already"))?;
        dialog.referrals.retain(|r| r.id != referral);
        self.respond(tx, code, None, &[], None, now);
        Ok(())
    }

    pub(super) fn notify_refer(
        &mut self,
        id: u64,
        referral: u64,
        report: Report,
        now: Instant,
    ) -> Result<(), SipError> {
        report.reason.as_deref().map_or(Ok(()), check_phrase)?;
        let wanted = if report.over { 200..700 } else { 100..700 };
        if !wanted.contains(&report.status) {
            let wanted = if report.over { "200 to 699" } else { "100 to 699" };
            return Err(SipError::Code { code: report.status, wanted });
        }
        self.report(id, referral, report, now)
    }

    fn report(&mut self, id: u64, referral: u64, report: Report, now: Instant) -> Result<(), SipError> {
        let dialog = self.dialogs.get_mut(&id).ok_or(SipError::Gone)?;
        let open = dialog.referral(referral)?;
        if open.tx.is_some() {
            return Err(SipError::State("that referral is not accepted yet"));
        }
        if open.over {
            return Err(SipError::State("that referral is over"));
        }
        open.over = report.over;
        if open.busy {
            // A later state takes the place of one that nobody has heard of.
            open.next = Some(report);
            return Ok(());
        }
        self.send_report(id, referral, &report, now)
    }

    fn send_report(&mut self, id: u64, referral: u64, report: &Report, now: Instant) -> Result<(), SipError> {
        let dialog = self.dialogs.get_mut(&id).ok_or(SipError::Gone)?;
        let open = dialog.referral(referral)?;
        open.busy = true;
        let (seq, left) = (open.seq, open.until.saturating_duration_since(now).as_secs());
        let mut notify = dialog.request("NOTIFY");
        notify.headers.push("Event", format!("refer;id={seq}"));
        let state = match report.over {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={left}"),
        };
        notify.headers.push("Subscription-State", state);
        notify.headers.push("Content-Type", "message/sipfrag;version=2.0");
        let phrase = report.reason.as_deref().unwrap_or(reason(report.status));
        notify.body = format!("SIP/2.0 {} {phrase}\r\n", report.status).into();
        if self.send_inside(id, notify, Purpose::Notify(referral), now).is_some() {
            return Ok(());
        }
        self.forget_referral(id, referral);
        Err(SipError::NoTransport("the peer".to_owned()))
    }

    fn forget_referral(&mut self, id: u64, referral: u64) {
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.referrals.retain(|r| r.id != referral);
        }
    }

    pub(super) fn notify_answered(
        &mut self,
        tx: &Sent,
        referral: u64,
        response: &Response,
        by: Option<By>,
        now: Instant,
    ) {
        let id = tx.dialog;
        if response.code < 200 || !self.dialogs.get(&id).is_some_and(Dialog::live) {
            return;
        }
        if by.is_none() && self.challenged(tx, response) && self.again(tx, now).is_some() {
            return;
        }
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let Ok(open) = dialog.referral(referral) else { return };
        open.busy = false;
        let (next, over) = (open.next.take(), open.over);
        // A peer that refuses a report wants no more of them (RFC 6665 §4.2.2).
        let wanted = by.is_none() && response.code < 300;
        match next.filter(|_| wanted) {
            // Should it fail, the referral is forgotten: nobody is left to be told.
            Some(report) => drop(self.send_report(id, referral, &report, now)),
            None if over || !wanted => self.forget_referral(id, referral),
            None => {}
        }
    }

    /// Before a BYE of ours: what waits to be reported is said now.
    pub(super) fn last_reports(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let waiting: Vec<(u64, Report)> =
            dialog.referrals.iter_mut().filter_map(|r| Some((r.id, r.next.take()?))).collect();
        for (referral, report) in waiting {
            drop(self.send_report(id, referral, &report, now));
        }
    }

    /// Declines what nobody decided on, and ends what nobody ended; called about once a second.
    pub(super) fn referrals_due(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id) else { return };
        let due = dialog.referrals.iter().filter(|r| r.until <= now && !r.over);
        let due: Vec<(u64, bool)> = due.map(|r| (r.id, r.tx.is_some())).collect();
        for (referral, undecided) in due {
            let _ = match undecided {
                true => self.reject_refer(id, referral, 603, now),
                false => self.report(id, referral, Report { status: 408, reason: None, over: true }, now),
            };
        }
    }
}

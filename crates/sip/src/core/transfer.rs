//! Transfers we ask the peer for (RFC 3515): a REFER of ours and the reports that come back.

use std::time::{Duration, Instant};

use super::Core;
use super::dialog::Dialog;
use super::requests::clip;
use crate::access::Reply;
use crate::header::Params;
use crate::leg::{LegEvent, SipError};
use crate::message::{Request, Response, media_type, reason};

/// Transfers of one call under way at once.
const TRANSFERS: usize = 8;

/// How long a report is waited for when the peer does not say, and at most.
const LASTS: u32 = 180;
const LONGEST: u32 = 3_600;

/// The subscription that a REFER of ours begins.
pub(super) struct Transfer {
    ticket: u64,
    /// CSeq of the REFER: the subscription's name.
    seq: u32,
    /// When the next report must have come; nothing is due before the REFER is answered.
    until: Option<Instant>,
}

impl Dialog {
    pub(super) fn roomy_for_transfer(&self) -> Result<(), SipError> {
        match self.transfers.len() < TRANSFERS {
            true => Ok(()),
            false => Err(SipError::State("too many transfers are under way")),
        }
    }

    /// The REFER has just been sent. Its first report may come before its answer.
    pub(super) fn begin_transfer(&mut self, ticket: u64) {
        self.transfers.push(Transfer { ticket, seq: self.local_seq, until: None });
    }

    /// The REFER has just been sent again, with credentials.
    pub(super) fn transfer_renumbered(&mut self, ticket: u64) {
        let seq = self.local_seq;
        for transfer in self.transfers.iter_mut().filter(|t| t.ticket == ticket) {
            transfer.seq = seq;
        }
    }

    /// Any 2xx begins the subscription (RFC 7647), unless it says that there will be none (RFC 4488): then this is how the
    /// transfer ends.
    pub(super) fn transfer_answered(
        &mut self,
        ticket: u64,
        response: Option<&Response>,
        due: Instant,
    ) -> Option<LegEvent> {
        let silent = |r: &Response| r.headers.get("Refer-Sub").is_some_and(|v| v.trim().eq_ignore_ascii_case("false"));
        let accepted = response.filter(|r| (200..300).contains(&r.code));
        if accepted.is_none_or(silent) {
            let before = self.transfers.len();
            self.transfers.retain(|t| t.ticket != ticket);
            let waited = self.transfers.len() < before;
            return accepted.filter(|_| waited).map(|_| unknown_end("the peer accepted and makes no reports"));
        }
        for transfer in self.transfers.iter_mut().filter(|t| t.ticket == ticket) {
            transfer.until.get_or_insert(due);
        }
        None
    }
}

/// First value and parameters of a header.
fn parameterised(value: &str) -> (&str, Params) {
    let (value, rest) = value.split_once(';').unwrap_or((value, ""));
    (value.trim(), Params::parse(rest).unwrap_or_default())
}

/// The status line a `message/sipfrag` body begins with.
fn status_line(body: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(body);
    let (version, rest) = text.trim_start().lines().next()?.split_once(' ')?;
    let (code, phrase) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let status = code.parse().ok().filter(|n| code.len() == 3 && (100..700).contains(n))?;
    let phrase = match phrase.trim() {
        "" => reason(status).to_owned(),
        phrase => clip(phrase),
    };
    version.eq_ignore_ascii_case("SIP/2.0").then_some((status, phrase))
}

/// What is said of a transfer whose end was never told.
fn unknown_end(why: &str) -> LegEvent {
    LegEvent::ReferProgress { status: 408, reason: why.to_owned(), over: true }
}

impl Core {
    /// A NOTIFY inside a dialog.
    pub(super) fn notified(&mut self, tx: u64, id: u64, request: &Request, now: Instant) {
        let Some(event) = request.headers.get("Event") else {
            self.reply(tx, &Reply::new(489).with("Allow-Events", "refer"), now);
            return;
        };
        let (package, parameters) = parameterised(event);
        let named = parameters.get("id");
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let fits = |seq: u32| named.is_none_or(|name| name.parse() == Ok(seq));
        let found = dialog.transfers.iter().position(|t| package.eq_ignore_ascii_case("refer") && fits(t.seq));
        let Some(at) = found else {
            self.reply(tx, &Reply::because(481, "Subscription Does Not Exist"), now);
            return;
        };
        let (state, parameters) = parameterised(request.headers.get("Subscription-State").unwrap_or(""));
        let terminated = state.eq_ignore_ascii_case("terminated");
        let status = match (request.body.is_empty(), media_type(&request.headers).as_str()) {
            (true, _) => None,
            (false, "message/sipfrag") => status_line(&request.body),
            (false, _) => {
                self.reply(tx, &Reply::new(415).with("Accept", "message/sipfrag"), now);
                return;
            }
        };
        if status.is_none() && !terminated {
            self.reply(tx, &Reply::because(400, "Bad Request: no status line in the report"), now);
            return;
        }
        // Subscription-State is mandatory, but not every phone writes it.
        let over = terminated || (state.is_empty() && status.as_ref().is_some_and(|(code, _)| *code >= 200));
        if over {
            dialog.transfers.remove(at);
        } else if let Some(transfer) = dialog.transfers.get_mut(at) {
            let lasts = parameters.get("expires").and_then(|e| e.parse().ok()).unwrap_or(LASTS).min(LONGEST);
            transfer.until = Some(now + Duration::from_secs(u64::from(lasts)) + self.timers.give_up());
        }
        self.respond(tx, 200, None, &[], None, now);
        let event = match status {
            Some((status, reason)) => LegEvent::ReferProgress { status, reason, over },
            None => unknown_end("the peer ended its reports without an outcome"),
        };
        self.tell(id, event, now);
    }

    /// Ends the transfers of a dialog whose reports stay away; called about once a second.
    pub(super) fn transfers_due(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let before = dialog.transfers.len();
        dialog.transfers.retain(|t| t.until.is_none_or(|at| at > now));
        for _ in dialog.transfers.len()..before {
            self.tell(id, unknown_end("the peer stopped reporting"), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_they_are_written() {
        for (body, status) in [
            ("SIP/2.0 200 OK\r\n", Some((200, "OK"))),
            ("SIP/2.0 100 Trying", Some((100, "Trying"))),
            ("\r\nSIP/2.0 486 Busy Here\r\nTo: <sip:a@h>\r\n", Some((486, "Busy Here"))),
            ("sip/2.0 603\n", Some((603, "Decline"))),
            ("SIP/2.0 99 X", None),
            ("SIP/2.0 0200 X", None),
            ("SIP/2.0 700 X", None),
            ("SIP/3.0 200 OK", None),
            ("INVITE sip:a@h SIP/2.0", None),
            ("", None),
        ] {
            assert_eq!(status_line(body.as_bytes()), status.map(|(code, text)| (code, text.to_owned())), "{body:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_report_is_read_or_passed_over(body in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..80), state in ".{0,40}") {
            let _ = status_line(&body);
            let _ = status_line(&[b"SIP/2.0 200 ", &body[..]].concat());
            let _ = parameterised(&state);
        }
    }
}

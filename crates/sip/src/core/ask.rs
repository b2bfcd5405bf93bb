//! Requests that the engine sends inside a call: INFO, MESSAGE and others that leave the dialog as it is, and REFER.

use std::time::Instant;

use super::Core;
use super::client::{Purpose, Sent};
use super::dialog::{Dialog, Phase};
use super::requests::clip;
use crate::given::Asking;
use crate::leg::{By, Done, LegEvent, Said, SipError};
use crate::message::Response;
use crate::transport::Transport;

/// Requests of one call that may wait for their answers.
const ASKED: usize = 16;

/// What a datagram holds besides what the engine gave: request line, Via, Route, Contact, credentials.
const DATAGRAM: usize = 65_507 - 4_096;

/// A request that waits for its answer.
pub(super) struct Asked {
    /// The same for all its tries.
    pub ticket: u64,
    pub done: Done<Said>,
}

impl Core {
    pub(super) fn ask_peer(&mut self, id: u64, asking: &Asking, done: Done<Said>, now: Instant) {
        match self.send_asked(id, asking, now) {
            Ok(ticket) => {
                if let Some(dialog) = self.dialogs.get_mut(&id) {
                    dialog.asked.push(Asked { ticket, done });
                }
            }
            Err(error) => drop(done.send(Err(error))),
        }
    }

    fn send_asked(&mut self, id: u64, asking: &Asking, now: Instant) -> Result<u64, SipError> {
        let ticket = self.number();
        let dialog = self.dialogs.get_mut(&id).filter(|d| d.live()).ok_or(SipError::Gone)?;
        if dialog.phase != Phase::Up {
            return Err(SipError::State("it is not answered yet"));
        }
        if dialog.asked.len() >= ASKED {
            return Err(SipError::State("too many requests wait for the peer's answer"));
        }
        if dialog.flow.transport == Transport::Udp && asking.size() > DATAGRAM {
            return Err(SipError::Body("with its headers it does not fit into a datagram"));
        }
        if asking.refers() {
            dialog.roomy_for_transfer()?;
        }
        let mut request = dialog.request(&asking.method);
        if asking.method == "MESSAGE" {
            // RFC 3428 §4.
            request.headers.0.retain(|(name, _)| name != "Contact");
        }
        request.headers.0.extend_from_slice(&asking.headers);
        if let Some(kind) = &asking.content_type {
            request.headers.push("Content-Type", kind.clone());
        }
        request.body = asking.body.clone().into();
        let sent = self.send_inside(id, request, Purpose::Asked(ticket), now);
        sent.ok_or_else(|| SipError::NoTransport("the peer".to_owned()))?;
        if asking.refers()
            && let Some(dialog) = self.dialogs.get_mut(&id)
        {
            dialog.begin_transfer(ticket);
        }
        Ok(ticket)
    }

    pub(super) fn asked_answered(&mut self, tx: &Sent, ticket: u64, response: &Response, by: Option<By>, now: Instant) {
        let id = tx.dialog;
        if response.code < 200 || !self.dialogs.get(&id).is_some_and(Dialog::live) {
            return;
        }
        if by.is_none() && self.challenged(tx, response) && self.again(tx, now).is_some() {
            if let Some(dialog) = self.dialogs.get_mut(&id) {
                dialog.transfer_renumbered(ticket);
            }
            return;
        }
        let give_up = now + self.timers.give_up();
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let unreported = dialog.transfer_answered(ticket, by.is_none().then_some(response), give_up);
        let method = &tx.request.method;
        if let Some(at) = dialog.asked.iter().position(|asked| asked.ticket == ticket) {
            let said = match by {
                None => Ok((response.code, clip(&response.reason))),
                Some(By::Timeout) => Err("no answer came in time"),
                Some(_) => Err("the connection broke"),
            };
            let said = said.map_err(|why| SipError::Unanswered { method: method.clone(), why });
            let _ = dialog.asked.swap_remove(at).done.send(said);
        }
        if let Some(end) = unreported {
            self.tell(id, end, now);
        }
        // RFC 3261 §12.2.1.2, for what belongs to the call itself: a MESSAGE or NOTIFY refused so says nothing of it.
        if by.is_none() && response.code == 481 && matches!(method.as_str(), "INFO" | "OPTIONS") {
            self.finish(id, LegEvent::ended(By::Remote, "the peer does not know the call any more"), now);
            self.send_bye(id, Some("session lost"), now);
        }
    }
}

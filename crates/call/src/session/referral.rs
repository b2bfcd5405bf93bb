//! Transfers (RFC 3515): asked of the far side, and asked for by it.

use super::Session;
use crate::dialect::{Outcome, Purpose, Referred};
use crate::verb::{Fetch, Refer};

/// A transfer that the far side was asked for.
pub(super) struct Transferring {
    /// The status that the REFER was answered with.
    status: u16,
    /// What the last report said.
    last: Option<u16>,
    events: Option<Fetch>,
}

impl Session {
    /// Asks the far side to call somebody else.
    pub(super) async fn refer(&mut self, refer: Refer) {
        let to = self.absolute(&refer.to);
        let leg = self.leg.control();
        let asked = leg.refer(&to, refer.referred_by.as_deref(), &refer.headers).await;
        let (status, waits) = match asked {
            Ok((status, _)) => (status, (200..300).contains(&status)),
            Err(error) => {
                self.warn(format!("the call cannot be transferred: {error}")).await;
                (500, false)
            }
        };
        if waits {
            self.transferring = Some(Transferring { status, last: None, events: refer.events });
        } else {
            let outcome = Outcome::Referred { status, last: None };
            self.interpreter.done(&outcome, self.inner.clock.monotonic());
        }
    }

    /// The URI that is meant: a user alone is one at the far side's own host.
    fn absolute(&self, to: &str) -> String {
        if to.contains(':') {
            return to.to_owned();
        }
        match to.contains('@') {
            true => format!("sip:{to}"),
            false => format!("sip:{to}@{}", self.source.ip()),
        }
    }

    /// The far side reports on it.
    pub(super) async fn refer_progress(&mut self, status: u16, over: bool) {
        let Some(transferring) = &mut self.transferring else { return };
        transferring.last = Some(status);
        let events = transferring.events.clone();
        if let Some(events) = events {
            self.tell(events, Purpose::Transferred(status));
        }
        if over && let Some(Transferring { status, last, .. }) = self.transferring.take() {
            let outcome = Outcome::Referred { status, last };
            self.interpreter.done(&outcome, self.inner.clock.monotonic());
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn abandon_referral(&mut self) {
        self.transferring = None;
    }

    /// The far side wants the call to go elsewhere: a program decides.
    pub(super) async fn referred(&mut self, id: u64, referred: Referred) {
        let Some(hook) = self.refer_hook.clone() else {
            if let Err(error) = self.leg.reject_refer(id, 603).await {
                tracing::info!(call = self.view.uuid, %error, "a REFER could not be declined");
            }
            return;
        };
        if let Err(error) = self.leg.accept_refer(id).await {
            return tracing::info!(call = self.view.uuid, %error, "a REFER could not be accepted");
        }
        self.referral = Some(id);
        self.ask_aside(hook, Purpose::ReferredTo(Box::new(referred)));
    }

    /// The program has decided.
    pub(super) async fn decide_referral(&mut self, done: bool) {
        let Some(id) = self.referral.take() else { return };
        let status = if done { 200 } else { 503 };
        if let Err(error) = self.leg.notify_refer(id, status, None, true).await {
            tracing::info!(call = self.view.uuid, %error, "a transfer could not be reported on");
        }
    }
}

//! Transfers (RFC 3515): asked of the far side, and asked for by it.

use super::{CallMessage, Session};
use crate::dialect::{Outcome, Purpose, Referred};
use crate::verb::{Fetch, Refer};

/// A call's transfers, both ways.
#[derive(Default)]
pub(super) struct Transfers {
    /// Asked when the far side sends a REFER.
    pub(super) hook: Option<Fetch>,
    /// One that the far side was asked for.
    asked: Option<Transferring>,
    /// How many there have been.
    count: u64,
    /// One that the far side asks for, while a program decides.
    wanted: Option<u64>,
}

impl Transfers {
    /// The far side is asked for one; its number.
    fn ask(&mut self, events: Option<Fetch>) -> u64 {
        self.count += 1;
        let number = self.count;
        self.asked = Some(Transferring { number, status: None, last: None, over: false, events });
        number
    }

    /// How the one that the far side was asked for went, if there is one.
    fn end(&mut self, status: u16) -> Option<Outcome> {
        self.asked.take().map(|asked| Outcome::Referred { status, last: asked.last })
    }

    /// Nobody waits any more for what the far side was asked for.
    pub(super) fn abandon(&mut self) {
        self.asked = None;
    }
}

/// A transfer that the far side was asked for.
struct Transferring {
    number: u64,
    /// The status that the REFER was answered with, once it was.
    status: Option<u16>,
    /// What the last report said.
    last: Option<u16>,
    /// That was the last report, and came before the answer.
    over: bool,
    events: Option<Fetch>,
}

impl Session {
    /// Asks the far side to call somebody else.
    pub(super) async fn refer(&mut self, refer: Refer) {
        let to = self.far.absolute(&refer.to);
        let leg = self.far.leg.control();
        let number = self.transfers.ask(refer.events);
        let mailbox = self.mailbox.clone();
        // A phone that does not answer keeps nobody waiting but its instruction.
        tokio::spawn(async move {
            let asked = leg.refer(&to, refer.referred_by.as_deref(), &refer.headers).await;
            let answer = asked.map(|(status, _)| status).map_err(|error| error.to_string());
            mailbox.send(CallMessage::ReferAnswered(number, answer)).await;
        });
    }

    /// The far side has answered, or nobody has.
    pub(super) async fn refer_answered(&mut self, number: u64, answer: Result<u16, String>) {
        let Some(transferring) = self.transfers.asked.as_mut().filter(|asked| asked.number == number) else { return };
        let status = match answer {
            Ok(status) if (200..300).contains(&status) && !transferring.over => {
                transferring.status = Some(status);
                return;
            }
            Ok(status) => status,
            Err(error) => {
                self.warn(format!("the call cannot be transferred: {error}")).await;
                500
            }
        };
        self.transfer_over(status);
    }

    fn transfer_over(&mut self, status: u16) {
        if let Some(outcome) = self.transfers.end(status) {
            self.programs.own.done(&outcome, self.inner.clock.monotonic());
        }
    }

    /// The far side reports on it.
    pub(super) async fn refer_progress(&mut self, status: u16, over: bool) {
        let Some(transferring) = &mut self.transfers.asked else { return };
        transferring.last = Some(status);
        transferring.over = over;
        let (answered, events) = (transferring.status, transferring.events.clone());
        if let Some(events) = events {
            self.tell(events, Purpose::Transferred(status));
        }
        if over && let Some(answered) = answered {
            self.transfer_over(answered);
        }
    }

    /// The far side wants the call to go elsewhere: a program decides.
    pub(super) async fn referred(&mut self, id: u64, referred: Referred) {
        let hook = match self.transfers.hook.clone() {
            Some(_) if self.transfers.wanted.is_some() => return self.decline(id, 491).await,
            Some(hook) => hook,
            None => return self.decline(id, 603).await,
        };
        if let Err(error) = self.far.leg.accept_refer(id).await {
            return tracing::info!(call = self.view.uuid, %error, "a REFER could not be accepted");
        }
        self.transfers.wanted = Some(id);
        if !self.ask_aside(hook, Purpose::ReferredTo(Box::new(referred))) {
            self.decide_referral(false).await;
        }
    }

    async fn decline(&self, id: u64, status: u16) {
        if let Err(error) = self.far.leg.reject_refer(id, status).await {
            tracing::info!(call = self.view.uuid, %error, "a REFER could not be declined");
        }
    }

    /// The program has decided.
    pub(super) async fn decide_referral(&mut self, done: bool) {
        let Some(id) = self.transfers.wanted.take() else { return };
        let status = if done { 200 } else { 503 };
        if let Err(error) = self.far.leg.notify_refer(id, status, None, true).await {
            tracing::info!(call = self.view.uuid, %error, "a transfer could not be reported on");
        }
    }
}

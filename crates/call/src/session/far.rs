//! The other side of the call's signalling.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sip::LegEvent;

use super::Session;
use super::commands::CommandReply;
use super::inbound::without_proofs;
use super::keys::By;
use crate::cause::{HangupCause, HangupSource};
use crate::command::{CallChanged, CommandError};
use crate::dialect::{Direction, Params, Purpose, Referred};
use crate::routing::TrunkPlace;

/// The other side.
pub(super) struct FarSide {
    pub(super) leg: sip::Leg,
    /// Where its signalling comes from.
    pub(super) source: SocketAddr,
    /// The caller's offer, until it is answered.
    pub(super) offer: Option<sip::sdp::Session>,
    /// Headers of the BYE that the instructions want.
    pub(super) farewell: Vec<(String, String)>,
    /// The place it takes on a trunk.
    pub(super) _place: Option<TrunkPlace>,
}

impl FarSide {
    pub(super) fn new(leg: sip::Leg, source: SocketAddr) -> Self {
        Self { leg, source, offer: None, farewell: Vec::new(), _place: None }
    }

    /// The URI that is meant: a user alone is one at the far side's own host.
    pub(super) fn absolute(&self, to: &str) -> String {
        if to.contains(':') {
            return to.to_owned();
        }
        match to.contains('@') {
            true => format!("sip:{to}"),
            false => format!("sip:{to}@{}", self.source.ip()),
        }
    }
}

impl Session {
    pub(super) async fn signalled(&mut self, event: Option<LegEvent>) {
        match event {
            Some(LegEvent::Reoffer(offer)) => self.reoffered(offer).await,
            Some(LegEvent::Acked { answer: Some(answer) }) => self.answered_in_ack(answer).await,
            Some(LegEvent::InfoDigit(digit)) => {
                if !self.input.is_new(digit, By::Info) || !self.takes_digit() {
                    return;
                }
                // Heard like one that came with the sound, which it may do as well; a leg that is gone has none to relay.
                if let Some(leg) = self.leg_id().filter(|_| !self.input.keys_come_with_sound()) {
                    drop(self.inner.media.relay_digit(leg, digit));
                }
                self.digit(digit);
            }
            Some(LegEvent::IceCandidates(fragment)) => self.candidates(&fragment),
            Some(LegEvent::Cancelled) => self.finish(HangupCause::Cancelled, None).await,
            Some(LegEvent::Refused { .. }) => self.finish(HangupCause::NetworkFailure, None).await,
            Some(LegEvent::ReferProgress { status, over, .. }) => self.refer_progress(status, over).await,
            Some(LegEvent::Referred { refer_to, referred_by, user_agent, id, .. }) => {
                self.referred(id, Referred { to: refer_to, by: referred_by, agent: user_agent }).await;
            }
            Some(LegEvent::Request { method, content_type, body, headers }) => {
                self.requested(&method, content_type, &body, headers);
            }
            Some(LegEvent::Ended { by, headers, .. }) => {
                self.view.sip.bye = without_proofs(&headers);
                let cause = match by {
                    sip::By::Remote => HangupCause::Normal(self.far_side()),
                    sip::By::Local => HangupCause::Normal(HangupSource::Server),
                    sip::By::Timeout | sip::By::Transport => HangupCause::NetworkFailure,
                };
                self.finish(cause, None).await;
            }
            None => self.finish(HangupCause::NetworkFailure, None).await,
            Some(_) => {}
        }
    }

    /// The far side sent something within the dialog.
    fn requested(&mut self, method: &str, content_type: Option<String>, body: &[u8], headers: Vec<(String, String)>) {
        let Some(hook) = self.asides.request_hook.clone() else { return };
        let headers: BTreeMap<String, String> = without_proofs(&headers).into_iter().collect();
        let told = serde_json::json!({
            "method": method,
            "content_type": content_type,
            "body": String::from_utf8_lossy(body),
            "headers": headers,
        });
        self.ask_aside(hook, Purpose::InDialog(told.to_string()));
    }

    /// Sends a request within the dialog.
    pub(super) fn request(
        &self,
        method: String,
        content_type: Option<String>,
        body: String,
        headers: Params,
        reply: CommandReply,
    ) {
        let leg = self.far.leg.control();
        tokio::spawn(async move {
            let sent = leg.request(&method, content_type.as_deref(), body.as_bytes(), &headers).await;
            let answer = sent.map(|sip| CallChanged { sip: Some(sip) });
            drop(reply.send(answer.map_err(|error| CommandError::Invalid(error.to_string()))));
        });
    }

    pub(super) fn far_side(&self) -> HangupSource {
        match self.view.direction {
            Direction::Inbound => HangupSource::Caller,
            Direction::Outbound => HangupSource::Callee,
        }
    }

    pub(super) async fn ring(&mut self, text: &str) {
        if self.view.answered_at.is_some() {
            return;
        }
        let headers = [("X-CallUUID".to_owned(), self.view.uuid.clone()), ("Alert-Info".to_owned(), text.to_owned())];
        if let Err(error) = self.far.leg.ring(&headers).await {
            let of = self.programs.own.label().cloned();
            self.refused(CommandError::Invalid(error.to_string()), of).await;
        }
    }
}

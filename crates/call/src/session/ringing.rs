//! The phones that ring for one destination, and what they say before an answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use media::{LegId, MediaError, Ports};
use sip::sdp::{self, Capabilities};
use sip::{Leg, LegEvent, Outgoing, Party, Target};
use tokio::task::JoinSet;

use super::CallMailbox;
use super::browser::{self, Arrived};
use super::dial::Invite;
use super::media_leg::{self, MediaLeg};
use super::race::Race;
use crate::cause::HangupCause;
use crate::dialect::CallView;
use crate::engine::Inner;
use crate::routing::{Targeted, TrunkPlace};

/// A phone that rings.
pub(super) struct Ringing {
    pub offer: sdp::Session,
    pub peer: IpAddr,
    leg: Leg,
    line: Line,
}

/// Its place on the media plane.
enum Line {
    /// Ports that were offered.
    Reserved(Ports, Capabilities),
    /// A browser that has our offer.
    Browser(Box<Arrived>),
    /// It sounds already.
    Early(MediaLeg),
    /// It has none any more.
    Closed,
}

/// The phone that answered.
pub(super) struct Answered {
    pub leg: Leg,
    pub media: MediaLeg,
    pub source: SocketAddr,
    /// Its place on a trunk.
    pub place: Option<TrunkPlace>,
}

/// All phones of one destination.
pub(super) struct Rings {
    inner: Arc<Inner>,
    race: Arc<Race>,
    call: String,
    /// Of the first INVITE.
    call_id: String,
    mailbox: CallMailbox,
    legs: JoinSet<(Ringing, Option<LegEvent>)>,
    /// Legs that sound before an answer.
    early: Vec<LegId>,
    /// A destination leads where nobody is to be called.
    forbidden: bool,
}

impl Rings {
    /// Sends the INVITEs.
    pub(super) async fn start(
        inner: &Arc<Inner>,
        race: &Arc<Race>,
        call: &CallView,
        mailbox: &CallMailbox,
        (targets, invite): (Vec<Targeted>, &Invite),
    ) -> Result<Self, HangupCause> {
        let mut rings = Self {
            inner: Arc::clone(inner),
            race: Arc::clone(race),
            call: call.uuid.clone(),
            call_id: String::new(),
            mailbox: mailbox.clone(),
            legs: JoinSet::new(),
            early: Vec::new(),
            forbidden: false,
        };
        let domain = inner.routing.home_domain(&call.account).await;
        for target in targets {
            rings.invite(call, invite, target, &domain).await?;
        }
        match rings.is_empty() {
            true if rings.forbidden => Err(HangupCause::Rejected),
            true => Err(HangupCause::NoRoute),
            false => Ok(rings),
        }
    }

    /// The Call-ID of the first INVITE.
    pub(super) fn call_id(&self) -> String {
        self.call_id.clone()
    }

    async fn invite(
        &mut self,
        call: &CallView,
        invite: &Invite,
        mut target: Targeted,
        domain: &str,
    ) -> Result<(), HangupCause> {
        let dialled = target.owner.is_none();
        let peer = match self.inner.routing.aim(&mut target).await {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(call = self.call, %error, "a destination cannot be called");
                // A trunk that leads nowhere is the operator's affair, an address what the program asked for.
                self.forbidden |= dialled && error.is_forbidden();
                return Ok(());
            }
        };
        let (line, offer) = if is_browser(&target.target) {
            let arrived = browser::offer(&self.inner, (&call.account, &self.call), peer).await?;
            let offer = arrived.description.clone();
            (Line::Browser(Box::new(arrived)), offer)
        } else {
            let ports = self.inner.media.reserve_ports().map_err(|error| self.without_media(&error))?;
            let local = media_leg::capabilities(&self.inner, &ports, peer);
            let offer = sdp::offer(&local);
            (Line::Reserved(ports, local), offer)
        };
        let user = target.from_user.clone().unwrap_or_else(|| user_of(&call.from));
        let mut headers = invite.headers.clone();
        headers.push(("X-CallUUID".to_owned(), self.call.clone()));
        let outgoing = Outgoing {
            target: target.target,
            from: Party { user, host: domain.to_owned(), display: call.caller_name.clone() },
            to: target.to,
            headers,
            offer: offer.clone(),
            auth: invite.auth.clone().or(target.auth),
            route: target.route,
            transport: target.transport,
        };
        match self.inner.sip.invite(outgoing).await {
            Ok(leg) => {
                if self.call_id.is_empty() {
                    leg.call_id().clone_into(&mut self.call_id);
                }
                self.listen(Ringing { leg, offer, peer, line });
            }
            Err(error) => tracing::warn!(call = self.call, %error, "an INVITE could not be sent"),
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// Waits for what happens next to any of them. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(Ringing, Option<LegEvent>)> {
        self.legs.join_next().await?.ok()
    }

    /// Waits for this phone's next event too.
    pub(super) fn listen(&mut self, mut ringing: Ringing) {
        self.legs.spawn(async move {
            let event = ringing.leg.next().await;
            (ringing, event)
        });
    }

    /// The phone sounds before its answer: whoever hears ringback hears it instead.
    pub(super) async fn sounds(&mut self, ringing: &mut Ringing, answer: &sdp::Session) {
        let Some((room, dial)) = self.race.early_room() else { return };
        // A browser is heard from its answer on.
        if matches!(ringing.line, Line::Browser(_)) {
            return;
        }
        let agreed = match sdp::accept(&ringing.offer, answer) {
            Ok(agreed) => agreed,
            Err(error) => return tracing::info!(call = self.call, %error, "early media cannot be used"),
        };
        if let Line::Early(media) = &ringing.line {
            let changed = media_leg::change(&self.inner, media.id, &agreed, ringing.peer).await;
            return changed
                .unwrap_or_else(|error| tracing::warn!(call = self.call, error, "early media did not change"));
        }
        let Line::Reserved(ports, local) = std::mem::replace(&mut ringing.line, Line::Closed) else { return };
        match media_leg::add(&self.inner, ports, local, &agreed, ringing.peer) {
            Ok(media) => {
                self.early.push(media.id);
                self.inner.calls.add_leg(media.id, self.mailbox.clone());
                room.early(dial, media.id).await;
                ringing.line = Line::Early(media);
            }
            Err(error) => tracing::error!(call = self.call, %error, "early media cannot be received"),
        }
    }

    /// The phone was answered: from now on nobody hears it before it is in the room.
    pub(super) async fn answered(
        &mut self,
        ringing: Ringing,
        answer: &sdp::Session,
    ) -> Result<(Leg, MediaLeg), HangupCause> {
        if let Line::Browser(arrived) = ringing.line {
            let Arrived { browser, media, events, .. } = *arrived;
            let agreed = browser.accept(&self.call, answer).await?;
            let media = media_leg::add_browser(&self.inner, browser, media, &agreed)
                .map_err(|error| self.without_media(&error))?;
            self.inner.calls.add_leg(media.id, self.mailbox.clone());
            browser::follow(&self.call, events, self.mailbox.clone());
            return Ok((ringing.leg, media));
        }
        let agreed = &sdp::accept(&ringing.offer, answer).map_err(|_| HangupCause::Incompatible)?;
        let media = match ringing.line {
            Line::Reserved(ports, local) => {
                let media = media_leg::add(&self.inner, ports, local, agreed, ringing.peer)
                    .map_err(|error| self.without_media(&error))?;
                self.inner.calls.add_leg(media.id, self.mailbox.clone());
                media
            }
            Line::Early(media) => {
                self.heard_no_more(media.id).await;
                if let Err(error) = media_leg::change(&self.inner, media.id, agreed, ringing.peer).await {
                    tracing::error!(call = self.call, error, "an answered call has no media");
                    return Err(HangupCause::NetworkFailure);
                }
                self.early.retain(|leg| *leg != media.id);
                media
            }
            Line::Closed | Line::Browser(_) => return Err(HangupCause::NetworkFailure),
        };
        Ok((ringing.leg, media))
    }

    /// Candidates that a browser has found since its 18x.
    pub(super) fn candidates(ringing: &Ringing, fragment: &str) {
        if let Line::Browser(arrived) = &ringing.line {
            arrived.browser.candidates(fragment);
        }
    }

    /// The phone rings no more.
    pub(super) async fn fell_silent(&mut self, ringing: Ringing) {
        if let Line::Early(media) = ringing.line {
            self.early.retain(|leg| *leg != media.id);
            self.remove(media.id).await;
        }
    }

    /// Cancels those that still ring.
    pub(super) async fn stop(mut self) {
        // A dialog that nobody holds is cancelled, or hung up if it is answered in this moment.
        self.legs.shutdown().await;
        for leg in std::mem::take(&mut self.early) {
            self.remove(leg).await;
        }
    }

    fn without_media(&self, error: &MediaError) -> HangupCause {
        tracing::info!(call = self.call, "a call cannot be placed");
        media_leg::unavailable(error)
    }

    async fn remove(&self, leg: LegId) {
        self.inner.calls.forget_leg(leg);
        self.heard_no_more(leg).await;
        self.inner.remove_leg(leg).await;
    }

    async fn heard_no_more(&self, leg: LegId) {
        if let Some((room, _)) = self.race.early_room() {
            room.early_over(leg).await;
        }
    }
}

/// Whether it is reached by WebSocket, and speaks WebRTC.
fn is_browser(target: &Target) -> bool {
    matches!(target, Target::Contact(contact) if contact.binding.transport.is_websocket())
}

fn user_of(from: &str) -> String {
    let bare = from.strip_prefix("sip:").unwrap_or(from);
    bare.split('@').next().unwrap_or(bare).trim_start_matches('+').to_owned()
}

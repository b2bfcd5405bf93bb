//! The call's leg on the media plane: negotiation, re-negotiation, answering.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use audio::Codec;
use media::{Carrier, LegId, LegSetup, LegUpdate, MediaError, Ports};
use sip::sdp::{self, AudioCodec, Capabilities, Direction, Negotiated};

use super::Session;
use super::browser::{self, Arrived, Browser};
use crate::cause::HangupCause;
use crate::dialect::{CallState, Kind};
use crate::engine::Inner;

/// A leg and how it was negotiated.
pub(super) struct MediaLeg {
    pub id: LegId,
    line: Line,
    /// Our offer that a 200 carried, until the ACK answers it.
    offered: Option<sdp::Session>,
}

/// How a leg's packets travel.
enum Line {
    /// Over ports of its own, with what we can do there.
    Rtp(Capabilities),
    /// Over the WebRTC engine.
    Browser(Browser),
}

/// What we can do on these ports, as seen by `peer`.
pub(super) fn capabilities(inner: &Inner, ports: &Ports, peer: IpAddr) -> Capabilities {
    let bound = ports.rtp_addr();
    let ip = inner.config.advertised.or_else(|| Some(bound.ip()).filter(|ip| !ip.is_unspecified()));
    let ip = ip.or_else(|| way_to(peer)).unwrap_or(peer);
    Capabilities {
        rtp: SocketAddr::new(ip, bound.port()),
        rtcp: Some(SocketAddr::new(ip, ports.rtcp_addr().port())),
        codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
        telephone_event: true,
        direction: Direction::SendRecv,
        session_id: uuid::Uuid::new_v4().as_u64_pair().0 >> 1,
        version: 1,
    }
}

/// Our address on the way to `peer`: asked of the routing table, nothing is sent.
fn way_to(peer: IpAddr) -> Option<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((peer, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

pub(super) fn codec(codec: AudioCodec) -> Codec {
    match codec {
        AudioCodec::Pcmu => Codec::Pcmu,
        AudioCodec::Pcma => Codec::Pcma,
    }
}

fn setup(ports: Ports, agreed: &Negotiated, signalling_source: IpAddr) -> LegSetup {
    let carrier =
        Carrier::Rtp { ports, remote: Some(agreed.remote), remote_rtcp: Some(agreed.remote_rtcp), signalling_source };
    LegSetup {
        telephone_event: agreed.telephone_event,
        receive: agreed.direction.receives(),
        send: agreed.direction.sends(),
        ..LegSetup::new(carrier, codec(agreed.codec).into(), agreed.payload_type)
    }
}

/// Makes the leg for what was agreed.
pub(super) fn add(
    inner: &Inner,
    ports: Ports,
    local: Capabilities,
    agreed: &Negotiated,
    signalling_source: IpAddr,
) -> Result<MediaLeg, MediaError> {
    let id = inner.media.add_leg(setup(ports, agreed, signalling_source))?;
    Ok(MediaLeg { id, line: Line::Rtp(local), offered: None })
}

/// Makes the leg of a browser.
pub(super) fn add_browser(
    inner: &Inner,
    browser: Browser,
    media: media::MediaEnd,
    agreed: &webrtc::Agreed,
) -> Result<MediaLeg, MediaError> {
    let id = inner.media.add_leg(agreed.leg(media))?;
    Ok(MediaLeg { id, line: Line::Browser(browser), offered: None })
}

impl MediaLeg {
    pub(super) fn browser(&self) -> Option<&Browser> {
        match &self.line {
            Line::Rtp(_) => None,
            Line::Browser(browser) => Some(browser),
        }
    }
}

impl Session {
    /// Answers the call if it has not been. False: it could not be, and is over.
    pub(super) async fn ensure_answered(&mut self) -> bool {
        if self.sound.media.is_some() {
            return true;
        }
        match self.answer().await {
            Ok(()) => true,
            Err(cause) => {
                self.finish(cause, None).await;
                false
            }
        }
    }

    async fn answer(&mut self) -> Result<(), HangupCause> {
        let (leg, description) = match self.far.offer.take() {
            Some(offer) if browser::is_browser(&offer) => self.answer_browser(&offer).await?,
            Some(offer) => self.answer_phone(&offer)?,
            // No offer came: ours goes with the answer, and the ACK says what the caller takes.
            None => self.offer_phone()?,
        };
        self.inner.calls.add_leg(leg.id, self.mailbox.clone());
        self.sound.media = Some(leg);
        let headers = [("X-CallUUID".to_owned(), self.view.uuid.clone())];
        if let Err(error) = self.far.leg.answer(&description, &headers).await {
            tracing::info!(call = self.view.uuid, %error, "the caller was gone before the answer");
            return Err(HangupCause::Cancelled);
        }
        self.view.state = CallState::InProgress;
        (self.view.sip.status, self.view.sip.reason) = (200, "OK".to_owned());
        self.view.answered_at = Some(self.inner.clock.utc());
        self.life.answered();
        self.happened(Kind::CallAnswered).await;
        self.start_waiting_stream().await;
        Ok(())
    }

    async fn answer_browser(&mut self, offer: &sdp::Session) -> Result<(MediaLeg, sdp::Session), HangupCause> {
        let text = offer.webrtc().ok_or(HangupCause::Incompatible)?;
        let call = (self.view.account.as_str(), self.view.uuid.as_str());
        let (arrived, agreed) = browser::answer(&self.inner, call, self.far.source.ip(), text).await?;
        let Arrived { browser, description, media, events } = arrived;
        let leg = add_browser(&self.inner, browser, media, &agreed).map_err(|error| unavailable(&error))?;
        browser::follow(&self.view.uuid, events, self.mailbox.clone());
        self.view.webrtc = true;
        Ok((leg, description))
    }

    fn answer_phone(&self, offer: &sdp::Session) -> Result<(MediaLeg, sdp::Session), HangupCause> {
        let ports = self.inner.media.reserve_ports().map_err(|error| unavailable(&error))?;
        let local = capabilities(&self.inner, &ports, self.far.source.ip());
        let agreed = sdp::answer(offer, &local).map_err(|_| HangupCause::Incompatible)?;
        let leg = add(&self.inner, ports, local, &agreed, self.far.source.ip()).map_err(|error| unavailable(&error))?;
        Ok((leg, agreed.local))
    }

    fn offer_phone(&self) -> Result<(MediaLeg, sdp::Session), HangupCause> {
        let ports = self.inner.media.reserve_ports().map_err(|error| unavailable(&error))?;
        let local = capabilities(&self.inner, &ports, self.far.source.ip());
        let offer = sdp::offer(&local);
        let carrier = Carrier::Rtp { ports, remote: None, remote_rtcp: None, signalling_source: self.far.source.ip() };
        let silent = LegSetup::new(carrier, Codec::Pcmu.into(), 0);
        let setup = LegSetup { telephone_event: Some(101), receive: false, send: false, ..silent };
        let id = self.inner.media.add_leg(setup).map_err(|error| unavailable(&error))?;
        Ok((MediaLeg { id, line: Line::Rtp(local), offered: Some(offer.clone()) }, offer))
    }

    /// The answer to our offer came with the ACK.
    pub(super) async fn answered_in_ack(&mut self, answer: sdp::Session) {
        let Some(offer) = self.sound.media.as_mut().and_then(|media| media.offered.take()) else { return };
        let uuid = self.view.uuid.clone();
        let agreed = match self.sound.media.as_ref().and_then(MediaLeg::browser) {
            Some(browser) => browser.accept(&uuid, &answer).await.map(|agreed| agreed.update()),
            None => {
                let source = self.far.source.ip();
                let agreed = sdp::accept(&offer, &answer).map_err(|error| {
                    tracing::info!(call = uuid, %error, "a session description in an ACK cannot be used");
                    HangupCause::Incompatible
                });
                agreed.map(|agreed| renewed(&agreed, source))
            }
        };
        match agreed {
            Ok(update) => self.update(update).await,
            Err(cause) => {
                self.warn("the caller's session description cannot be used; the call ends".to_owned()).await;
                self.finish(cause, None).await;
            }
        }
    }

    /// The other side wants other media: hold, another codec, another address.
    pub(super) async fn reoffered(&mut self, offer: Option<sdp::Session>) {
        let Some((description, update)) = self.renegotiated(offer).await else { return self.refuse_reoffer().await };
        if let Some(update) = update {
            self.update(update).await;
        }
        if let Err(error) = self.far.leg.answer_reinvite(&description).await {
            tracing::info!(call = self.view.uuid, %error, "a re-INVITE could not be answered");
        }
    }

    /// Our answer to a new offer, with what changes; without one, an offer of ours. `None`: it cannot be had.
    async fn renegotiated(&mut self, offer: Option<sdp::Session>) -> Option<(sdp::Session, Option<LegUpdate>)> {
        let source = self.far.source.ip();
        let media = self.sound.media.as_mut()?;
        match (&mut media.line, offer) {
            (Line::Rtp(local), Some(offer)) => {
                local.version += 1;
                let agreed = sdp::answer(&offer, local).ok()?;
                let update = renewed(&agreed, source);
                Some((agreed.local, Some(update)))
            }
            (Line::Rtp(local), None) => {
                local.version += 1;
                let ours = sdp::offer(local);
                media.offered = Some(ours.clone());
                Some((ours, None))
            }
            (Line::Browser(browser), Some(offer)) => {
                let (description, agreed) = browser.renegotiate(&self.view.uuid, offer.webrtc()?).await.ok()?;
                Some((description, Some(agreed.update())))
            }
            (Line::Browser(browser), None) => {
                let ours = browser.reoffer(&self.view.uuid).await.ok()?;
                media.offered = Some(ours.clone());
                Some((ours, None))
            }
        }
    }

    /// Candidates that a browser has found since its offer.
    pub(super) fn candidates(&self, fragment: &str) {
        if let Some(browser) = self.sound.media.as_ref().and_then(MediaLeg::browser) {
            browser.candidates(fragment);
        }
    }

    async fn refuse_reoffer(&mut self) {
        if let Err(error) = self.far.leg.reject_reinvite(488).await {
            tracing::info!(call = self.view.uuid, %error, "a re-INVITE could not be refused");
        }
    }

    async fn update(&mut self, update: LegUpdate) {
        let Some(media) = &self.sound.media else { return };
        if let Err(problem) = apply(&self.inner, media.id, update).await {
            self.warn(problem).await;
        }
    }
}

/// Why the call ends that can have no leg.
pub(super) fn unavailable(error: &MediaError) -> HangupCause {
    if matches!(error, MediaError::Busy(_) | MediaError::Limit { .. } | MediaError::NoPorts { .. }) {
        tracing::warn!(%error, "the server has no place for a call's sound");
        return HangupCause::Overloaded;
    }
    tracing::error!(%error, "a call cannot be answered");
    HangupCause::NetworkFailure
}

/// What changes about the leg of a phone with which this was agreed.
fn renewed(agreed: &Negotiated, signalling_source: IpAddr) -> LegUpdate {
    LegUpdate {
        format: Some((codec(agreed.codec).into(), agreed.payload_type)),
        telephone_event: Some(agreed.telephone_event),
        remote: Some(agreed.remote),
        remote_rtcp: Some(agreed.remote_rtcp),
        signalling_source: Some(signalling_source),
        receive: Some(agreed.direction.receives()),
        send: Some(agreed.direction.sends()),
        ..LegUpdate::default()
    }
}

/// Changes a leg to what was agreed anew.
pub(super) async fn change(
    inner: &Inner,
    leg: LegId,
    agreed: &Negotiated,
    signalling_source: IpAddr,
) -> Result<(), String> {
    apply(inner, leg, renewed(agreed, signalling_source)).await
}

async fn apply(inner: &Inner, leg: LegId, update: LegUpdate) -> Result<(), String> {
    match tokio::time::timeout(std::time::Duration::from_secs(1), inner.media.update_leg(leg, update)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("the media could not be changed: {error}")),
        Err(_) => Err("the media plane has not confirmed a change within 1 s".to_owned()),
    }
}

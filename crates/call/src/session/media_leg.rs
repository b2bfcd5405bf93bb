//! The call's leg on the media plane: negotiation, re-negotiation, answering.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use audio::Codec;
use media::{LegId, LegSetup, LegUpdate, MediaError, Ports};
use sip::sdp::{self, AudioCodec, Capabilities, Direction, Negotiated};

use super::Session;
use crate::cause::HangupCause;
use crate::dialect::{CallState, Kind};
use crate::engine::Inner;

/// A leg and how it was negotiated.
pub(super) struct MediaLeg {
    pub id: LegId,
    local: Capabilities,
    /// Our offer that a 200 carried, until the ACK answers it.
    offered: Option<sdp::Session>,
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
    LegSetup {
        ports,
        codec: codec(agreed.codec),
        payload_type: agreed.payload_type,
        telephone_event: agreed.telephone_event,
        remote: Some(agreed.remote),
        remote_rtcp: Some(agreed.remote_rtcp),
        signalling_source,
        receive: agreed.direction.receives(),
        send: agreed.direction.sends(),
        cname: "aside".to_owned(),
        shard: None,
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
    Ok(MediaLeg { id, local, offered: None })
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
        let unavailable = |error: MediaError| {
            tracing::error!(%error, "a call cannot be answered");
            HangupCause::NetworkFailure
        };
        let ports = self.inner.media.reserve_ports().map_err(unavailable)?;
        let local = capabilities(&self.inner, &ports, self.far.source.ip());
        let (leg, description) = match self.far.offer.take() {
            Some(offer) => {
                let agreed = sdp::answer(&offer, &local).map_err(|_| HangupCause::Incompatible)?;
                let leg = add(&self.inner, ports, local, &agreed, self.far.source.ip()).map_err(unavailable)?;
                (leg, agreed.local)
            }
            None => {
                // No offer came: ours goes with the answer, and the ACK says what the caller takes.
                let offer = sdp::offer(&local);
                let setup = LegSetup {
                    ports,
                    codec: Codec::Pcmu,
                    payload_type: 0,
                    telephone_event: Some(101),
                    remote: None,
                    remote_rtcp: None,
                    signalling_source: self.far.source.ip(),
                    receive: false,
                    send: false,
                    cname: "aside".to_owned(),
                    shard: None,
                };
                let id = self.inner.media.add_leg(setup).map_err(unavailable)?;
                (MediaLeg { id, local, offered: Some(offer.clone()) }, offer)
            }
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

    /// The answer to our offer came with the ACK.
    pub(super) async fn answered_in_ack(&mut self, answer: sdp::Session) {
        let Some(offer) = self.sound.media.as_mut().and_then(|media| media.offered.take()) else { return };
        match sdp::accept(&offer, &answer) {
            Ok(agreed) => self.update(agreed).await,
            Err(error) => {
                self.warn(format!("the caller's session description cannot be used: {error}")).await;
                self.finish(HangupCause::Incompatible, None).await;
            }
        }
    }

    /// The other side wants other media: hold, another codec, another address.
    pub(super) async fn reoffered(&mut self, offer: Option<sdp::Session>) {
        let Some(media) = &mut self.sound.media else {
            self.refuse_reoffer().await;
            return;
        };
        media.local.version += 1;
        let Some(offer) = offer else {
            let ours = sdp::offer(&media.local);
            media.offered = Some(ours.clone());
            if let Err(error) = self.far.leg.answer_reinvite(&ours).await {
                tracing::info!(call = self.view.uuid, %error, "a re-INVITE could not be answered");
            }
            return;
        };
        match sdp::answer(&offer, &media.local) {
            Ok(agreed) => {
                let description = agreed.local.clone();
                self.update(agreed).await;
                if let Err(error) = self.far.leg.answer_reinvite(&description).await {
                    tracing::info!(call = self.view.uuid, %error, "a re-INVITE could not be answered");
                }
            }
            Err(_) => self.refuse_reoffer().await,
        }
    }

    async fn refuse_reoffer(&mut self) {
        if let Err(error) = self.far.leg.reject_reinvite(488).await {
            tracing::info!(call = self.view.uuid, %error, "a re-INVITE could not be refused");
        }
    }

    async fn update(&mut self, agreed: Negotiated) {
        let Some(media) = &self.sound.media else { return };
        if let Err(problem) = change(&self.inner, media.id, &agreed, self.far.source.ip()).await {
            self.warn(problem).await;
        }
    }
}

/// Changes a leg to what was agreed anew.
pub(super) async fn change(
    inner: &Inner,
    leg: LegId,
    agreed: &Negotiated,
    signalling_source: IpAddr,
) -> Result<(), String> {
    let update = LegUpdate {
        codec: Some((codec(agreed.codec), agreed.payload_type)),
        telephone_event: Some(agreed.telephone_event),
        remote: Some(agreed.remote),
        remote_rtcp: Some(agreed.remote_rtcp),
        signalling_source: Some(signalling_source),
        receive: Some(agreed.direction.receives()),
        send: Some(agreed.direction.sends()),
    };
    match tokio::time::timeout(std::time::Duration::from_secs(1), inner.media.update_leg(leg, update)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("the media could not be changed: {error}")),
        Err(_) => Err("the media plane has not confirmed a change within 1 s".to_owned()),
    }
}

//! A browser's media: the WebRTC engine negotiates it, and its packets reach the leg by a path.

use std::net::IpAddr;

use media::{Carrier, LegSetup, LegUpdate, MediaEnd, OpusTerms};
use sip::sdp::{Direction, Session as Description};
use webrtc::{Agreed, CloseReason, Events, Peer, PeerEvent, Reoffer, WebRtcError, Wish};

use super::{CallMailbox, CallMessage};
use crate::cause::HangupCause;
use crate::engine::Inner;

/// The peer of a call. It is closed with its call.
pub(super) struct Browser {
    peer: Peer,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.peer.close();
    }
}

/// A browser that has been negotiated with, before it has a leg.
pub(super) struct Arrived {
    pub(super) browser: Browser,
    /// What is said to the other side.
    pub(super) description: Description,
    pub(super) media: MediaEnd,
    pub(super) events: Events,
}

/// Whether a call that offers this is a browser's.
pub(super) fn is_browser(offer: &Description) -> bool {
    offer.webrtc().is_some()
}

fn wish(account: &str, source: IpAddr, direction: Direction) -> Wish {
    let account = account.parse().map(|id: uuid::Uuid| id.as_u64_pair().0).unwrap_or_default();
    let direction = match direction {
        Direction::SendRecv => webrtc::Direction::SendRecv,
        Direction::SendOnly => webrtc::Direction::SendOnly,
        Direction::RecvOnly => webrtc::Direction::RecvOnly,
        Direction::Inactive => webrtc::Direction::Inactive,
    };
    Wish { account, source: Some(source), direction }
}

/// Why the call ends if its media cannot be agreed.
fn cause_of(call: &str, error: &WebRtcError) -> HangupCause {
    tracing::info!(call, %error, "a browser's media could not be agreed");
    match error {
        WebRtcError::Sdp(_) | WebRtcError::Refused(_) => HangupCause::Incompatible,
        _ => HangupCause::NetworkFailure,
    }
}

fn description(call: &str, text: &str) -> Result<Description, HangupCause> {
    Description::webrtc_of(text).map_err(|error| {
        tracing::error!(call, %error, "a session description of ours cannot be sent");
        HangupCause::NetworkFailure
    })
}

/// The WebRTC engine, where browsers are served.
fn engine(inner: &Inner) -> Result<&webrtc::WebRtc, HangupCause> {
    inner.webrtc.as_ref().ok_or(HangupCause::Incompatible)
}

/// Answers a browser's offer.
pub(super) async fn answer(
    inner: &Inner,
    (account, call): (&str, &str),
    source: IpAddr,
    offer: &str,
) -> Result<(Arrived, Agreed), HangupCause> {
    let answered = engine(inner)?.answer(offer, wish(account, source, Direction::SendRecv)).await;
    let answered = answered.map_err(|error| cause_of(call, &error))?;
    let browser = Browser { peer: answered.peer };
    let description = description(call, &answered.sdp)?;
    let arrived = Arrived { browser, description, media: answered.media, events: answered.events };
    Ok((arrived, answered.agreed))
}

/// An offer of ours for a browser.
pub(super) async fn offer(
    inner: &Inner,
    (account, call): (&str, &str),
    source: IpAddr,
) -> Result<Arrived, HangupCause> {
    let offered = engine(inner)?.offer(wish(account, source, Direction::SendRecv)).await;
    let offered = offered.map_err(|error| cause_of(call, &error))?;
    let browser = Browser { peer: offered.peer };
    let description = description(call, &offered.sdp)?;
    Ok(Arrived { browser, description, media: offered.media, events: offered.events })
}

fn opus(agreed: &Agreed) -> OpusTerms {
    OpusTerms { dtx: agreed.opus.dtx, fec: agreed.opus.fec, max_bitrate: agreed.opus.max_average_bitrate }
}

/// The leg of a browser with which this was agreed.
pub(super) fn leg(media: MediaEnd, agreed: &Agreed) -> LegSetup {
    LegSetup {
        telephone_event: agreed.telephone_event,
        opus: opus(agreed),
        receive: agreed.receive,
        send: agreed.send,
        ..LegSetup::new(Carrier::Path(media), agreed.format, agreed.payload_type)
    }
}

/// What changes about its leg.
pub(super) fn update(agreed: &Agreed) -> LegUpdate {
    LegUpdate {
        format: Some((agreed.format, agreed.payload_type)),
        telephone_event: Some(agreed.telephone_event),
        opus: Some(opus(agreed)),
        receive: Some(agreed.receive),
        send: Some(agreed.send),
        ..LegUpdate::default()
    }
}

impl Browser {
    /// The browser's answer to our offer.
    pub(super) async fn accept(&self, call: &str, answer: &Description) -> Result<Agreed, HangupCause> {
        let text = answer.webrtc().ok_or(HangupCause::Incompatible)?;
        self.peer.accept(text).await.map_err(|error| cause_of(call, &error))
    }

    /// The browser offers anew: hold, another network.
    pub(super) async fn renegotiate(&self, call: &str, offer: &str) -> Result<(Description, Agreed), HangupCause> {
        let renewed = self.peer.renegotiate(offer).await.map_err(|error| cause_of(call, &error))?;
        Ok((description(call, &renewed.sdp)?, renewed.agreed))
    }

    /// Our own offer within the call, where the other side wants one.
    pub(super) async fn reoffer(&self, call: &str) -> Result<Description, HangupCause> {
        let offer = self.peer.reoffer(Reoffer::default()).await.map_err(|error| cause_of(call, &error))?;
        description(call, &offer)
    }

    /// Candidates that the browser has found since (RFC 8840): the lines of a fragment.
    pub(super) fn candidates(&self, fragment: &str) {
        let lines: Vec<String> = fragment
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("a=candidate:"))
            .map(str::to_owned)
            .collect();
        let peer = self.peer.clone();
        tokio::spawn(async move {
            for line in lines {
                if let Err(error) = peer.add_candidate(&line).await {
                    tracing::debug!(%error, line, "a candidate cannot be used");
                }
            }
        });
    }
}

/// Tells the call when its browser is gone.
pub(super) fn follow(call: &str, mut events: Events, mailbox: CallMailbox) {
    let call = call.to_owned();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                PeerEvent::Connected { pair, after } => {
                    tracing::debug!(call, remote = %pair.remote, ?after, "a browser is connected");
                }
                PeerEvent::Disconnected => tracing::info!(call, "a browser cannot be reached; it is waited for"),
                PeerEvent::Moved { pair } => tracing::info!(call, remote = %pair.remote, "a browser has moved"),
                PeerEvent::Closed { reason: CloseReason::Local } => {}
                // Whoever closes his page hangs up.
                PeerEvent::Closed { reason: CloseReason::Remote } => mailbox.owe(CallMessage::PeerLeft),
                PeerEvent::Closed { reason } => {
                    tracing::info!(call, %reason, "a browser is gone");
                    mailbox.owe(CallMessage::End(HangupCause::NetworkFailure));
                }
            }
        }
    });
}

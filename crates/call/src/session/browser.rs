//! A browser's media: the WebRTC engine negotiates it, and its packets reach the leg by a path.

use std::net::IpAddr;

use media::MediaEnd;
use sip::sdp::Session as Description;
use webrtc::{Agreed, CloseReason, Events, Peer, PeerEvent, WebRtcError, Wish};

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

/// `None`: the account is no id, and its places could not be told from another's.
fn wish(account: &str, source: IpAddr) -> Option<Wish> {
    let account = account.parse::<uuid::Uuid>().ok()?.as_u128();
    Some(Wish { account, source: Some(source) })
}

/// Why the call ends if its media cannot be agreed.
fn cause_of(call: &str, error: &WebRtcError) -> HangupCause {
    match error {
        WebRtcError::Full(_) | WebRtcError::AccountFull(_) => {
            tracing::warn!(call, %error, "a browser found no place; [webrtc] max_peers says how many there are");
        }
        _ => tracing::info!(call, %error, "a browser's media could not be agreed"),
    }
    match error {
        WebRtcError::Sdp(_) | WebRtcError::Refused(_) => HangupCause::Incompatible,
        WebRtcError::Full(_)
        | WebRtcError::AccountFull(_)
        | WebRtcError::Connecting(_)
        | WebRtcError::SourceConnecting(_)
        | WebRtcError::Busy => HangupCause::Overloaded,
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
    let wish = wish(account, source).ok_or(HangupCause::NetworkFailure)?;
    let answered = engine(inner)?.answer(offer, wish).await;
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
    let wish = wish(account, source).ok_or(HangupCause::NetworkFailure)?;
    let offered = engine(inner)?.offer(wish).await;
    let offered = offered.map_err(|error| cause_of(call, &error))?;
    let browser = Browser { peer: offered.peer };
    let description = description(call, &offered.sdp)?;
    Ok(Arrived { browser, description, media: offered.media, events: offered.events })
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
        let offer = self.peer.reoffer().await.map_err(|error| cause_of(call, &error))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_places_of_its_own_and_what_is_no_account_has_none() {
        let of = |account: &str| wish(account, [192, 0, 2, 1].into()).map(|wish| wish.account);
        let one = of("0190a000-0000-7000-8000-000000000001");
        assert!(one.is_some() && one != of("0190a000-0000-7000-8000-000000000002"), "they share a half");
        assert_eq!((of("main"), of("")), (None, None));
    }

    #[test]
    fn a_browser_without_a_place_is_one_too_many_and_no_broken_network() {
        use WebRtcError::{AccountFull, Busy, Connecting, Full, Gone, SourceConnecting};
        for full in [Full(1), AccountFull(1), Connecting(1), SourceConnecting(1), Busy] {
            assert_eq!(cause_of("c", &full), HangupCause::Overloaded, "{full}");
        }
        assert_eq!(cause_of("c", &Gone), HangupCause::NetworkFailure);
    }
}

//! Calls that come in.

use std::sync::Arc;

use sip::{Identity, Incoming};
use uuid::Uuid;

use super::{CallMailbox, Control, Session};
use crate::dialect::{CallState, CallView, Direction, Purpose};
use crate::engine::Inner;
use crate::interpreter::Interpreter;
use crate::records::dialect_name;
use crate::routing::digits_of;
use crate::verb::{Fetch, Method};

/// Takes a call: finds its application and runs its instructions.
pub(crate) async fn take(inner: Arc<Inner>, incoming: Incoming) {
    let refusal = match inner.routing.application(&incoming).await {
        Ok(application) => match admit(&inner, incoming, application).await {
            Ok(session) => return session.run().await,
            Err((incoming, code, reason)) => Some((incoming, code, reason)),
        },
        Err(error) => {
            tracing::warn!(account = incoming.identity.account(), %error, "a call was refused");
            Some((Box::new(incoming), 404, "Not Found"))
        }
    };
    if let Some((incoming, code, reason)) = refusal {
        inner.counters.calls_refused.add(1);
        // The caller may have given up meanwhile.
        let _ = incoming.leg.reject(code, Some(reason), &[]).await;
    }
}

type Refused = (Box<Incoming>, u16, &'static str);

async fn admit(inner: &Arc<Inner>, incoming: Incoming, app: store::Application) -> Result<Session, Refused> {
    let account = app.account.to_string();
    let owner = match inner.store.account(app.account).await {
        Ok(Some(owner)) if owner.enabled => owner,
        Ok(_) => return Err((Box::new(incoming), 403, "Forbidden")),
        Err(error) => {
            tracing::error!(%error, "an account could not be read");
            return Err((Box::new(incoming), 503, "Service Unavailable"));
        }
    };
    let acting = match app.sub_account {
        None => None,
        Some(sub_account) => match inner.store.account(sub_account).await {
            Ok(Some(account)) if account.enabled => Some(account.auth_id),
            Ok(_) => return Err((Box::new(incoming), 403, "Forbidden")),
            Err(error) => {
                tracing::error!(%error, "a sub-account could not be read");
                return Err((Box::new(incoming), 503, "Service Unavailable"));
            }
        },
    };
    if inner.is_draining() {
        return Err((Box::new(incoming), 503, "Service Unavailable"));
    }
    // Nothing to negotiate with is known before any program is asked.
    if let Some(offer) = &incoming.offer
        && !offerable(offer)
    {
        return Err((Box::new(incoming), 488, "Not Acceptable Here"));
    }
    let uuid = Uuid::new_v4().to_string();
    let (mailbox, messages) = CallMailbox::new();
    if !inner.calls.add(&uuid, &account, mailbox.clone(), inner.config.max_calls) {
        return Err((Box::new(incoming), 503, "Service Unavailable"));
    }
    let method = |method| match method {
        store::Method::Get => Method::Get,
        store::Method::Post => Method::Post,
    };
    let hook = |url: &Option<String>, how| url.clone().map(|url| Fetch { url, method: method(how) });
    let view = CallView {
        uuid,
        auth_id: acting.unwrap_or_else(|| owner.auth_id.clone()),
        main_auth_id: owner.auth_id,
        direction: Direction::Inbound,
        from: caller(inner, &incoming, &owner.sip_realm),
        to: callee(&incoming),
        caller_name: incoming.from.display.clone(),
        state: CallState::Ringing,
        request_uuid: None,
        headers: incoming.headers.iter().filter(|(name, _)| is_extra(name)).cloned().collect(),
        began_at: inner.clock.utc(),
        answered_at: None,
        ended_at: None,
        cause: None,
        state_callback: None,
        hangup_callback: hook(&app.hangup_url, app.hangup_method),
    };
    let control = Control {
        dialect: dialect_name(app.dialect),
        app_id: Some(app.app_id.clone()),
        fallback: hook(&app.fallback_answer_url, app.fallback_method),
        placed: false,
    };
    let ring = [("X-CallUUID".to_owned(), view.uuid.clone())];
    // A caller who has given up is noticed at once by the session.
    let _ = incoming.leg.ring(&ring).await;
    let Incoming { leg, source, offer, .. } = incoming;
    let session = Session {
        inner: Arc::clone(inner),
        account,
        control,
        view,
        leg,
        source,
        offer,
        limit: inner.config.max_call,
        media: None,
        interpreter: Interpreter::new(),
        seat: None,
        playing: None,
        plays: 0,
        sequence: 0,
        mailbox,
        messages,
        moving: None,
        destination: None,
        over_at: None,
        digits: (0, 0),
        ended: false,
        _place: None,
    };
    session.store_row().await;
    session.fetch(0, Fetch { url: app.answer_url, method: method(app.answer_method) }, Purpose::Answer);
    Ok(session)
}

fn offerable(offer: &sip::sdp::Session) -> bool {
    let placeholder = sip::sdp::Capabilities {
        rtp: ([127, 0, 0, 1], 2).into(),
        rtcp: None,
        codecs: vec![sip::sdp::AudioCodec::Pcmu, sip::sdp::AudioCodec::Pcma],
        telephone_event: true,
        direction: sip::sdp::Direction::SendRecv,
        session_id: 1,
        version: 1,
    };
    sip::sdp::answer(offer, &placeholder).is_ok()
}

/// `X-PH-…` headers are the application's own; the rest of the INVITE is not its business.
fn is_extra(name: &str) -> bool {
    name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("X-PH-"))
}

fn caller(inner: &Inner, call: &Incoming, realm: &Option<String>) -> String {
    match &call.identity {
        // The domain is what the phone says; only one of ours is believed.
        Identity::Endpoint { username, .. } => {
            let ours = |host: &&String| realm.as_ref() == Some(host) || inner.config.shared_domains.contains(host);
            let home = || inner.config.shared_domains.first().or(realm.as_ref());
            let domain = Some(&call.from.host).filter(ours).or_else(home).map_or("localhost", String::as_str);
            format!("sip:{username}@{domain}")
        }
        Identity::Trunk { .. } => digits_of(&call.from.user).unwrap_or_else(|| call.from.user.clone()),
    }
}

fn callee(call: &Incoming) -> String {
    let to = &call.request_uri;
    digits_of(&to.user).unwrap_or_else(|| format!("sip:{}@{}", to.user, to.host))
}

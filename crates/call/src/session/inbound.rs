//! Calls that come in.

use std::sync::Arc;

use sip::{Identity, Incoming};
use uuid::Uuid;

use super::{CallMailbox, Control, Session};
use crate::command::CommandError;
use crate::dialect::{CallState, CallView, Direction, Purpose};
use crate::engine::Inner;
use crate::records::dialect_name;
use crate::registry::Full;
use crate::routing::{NoApplication, digits_of};
use crate::verb::{Fetch, Method};

/// Takes a call: finds its application and runs its instructions.
pub(crate) async fn take(inner: Arc<Inner>, incoming: Incoming) {
    // A call that cannot be recorded is not taken: its program would be owed what nobody knows after a crash.
    if let Err(error) = inner.store.ready() {
        tracing::warn!(account = incoming.identity.account(), %error, "a call was refused");
        inner.counters.calls_refused.add(1);
        refuse(&incoming, UNAVAILABLE).await;
        return;
    }
    let (incoming, why) = match inner.routing.application(&incoming).await {
        Ok(application) => match admit(&inner, incoming, application).await {
            Ok(session) => return session.run().await,
            Err(refused) => refused,
        },
        Err(error) => {
            tracing::warn!(account = incoming.identity.account(), %error, "a call was refused");
            (Box::new(incoming), without_application(&error))
        }
    };
    inner.counters.calls_refused.add(1);
    refuse(&incoming, why).await;
}

/// Code and phrase of a refusal.
type Refusal = (u16, &'static str);

type Refused = (Box<Incoming>, Refusal);

const UNAVAILABLE: Refusal = (503, "Service Unavailable");
const FORBIDDEN: Refusal = (403, "Forbidden");
const BUSY: Refusal = (486, "Busy Here");

/// Only what leads nowhere is not found: while the database cannot be read, the next attempt may succeed.
fn without_application(error: &NoApplication) -> Refusal {
    match error {
        NoApplication::Unknown { .. } => (404, "Not Found"),
        NoApplication::Store(_) => UNAVAILABLE,
    }
}

/// Why there is no place on the trunk that a call came in on.
fn without_place(error: &CommandError) -> Refusal {
    match error {
        CommandError::Failed(_) | CommandError::Unavailable(_) => UNAVAILABLE,
        _ => BUSY,
    }
}

async fn refuse(incoming: &Incoming, (code, phrase): Refusal) {
    let later = [("Retry-After".to_owned(), "5".to_owned())];
    let headers = if code == 503 { &later[..] } else { &[] };
    // The caller may have given up meanwhile.
    let _ = incoming.leg.reject(code, Some(phrase), headers).await;
}

async fn admit(inner: &Arc<Inner>, incoming: Incoming, app: store::Application) -> Result<Session, Refused> {
    let account = app.account.to_string();
    let owner = match inner.store.account(app.account).await {
        Ok(Some(owner)) if owner.enabled => owner,
        Ok(_) => return Err((Box::new(incoming), FORBIDDEN)),
        Err(error) => {
            tracing::error!(%error, "an account could not be read");
            return Err((Box::new(incoming), UNAVAILABLE));
        }
    };
    let acting = match app.sub_account {
        None => None,
        Some(sub_account) => match inner.store.account(sub_account).await {
            Ok(Some(account)) if account.enabled => Some(account.auth_id),
            Ok(_) => return Err((Box::new(incoming), FORBIDDEN)),
            Err(error) => {
                tracing::error!(%error, "a sub-account could not be read");
                return Err((Box::new(incoming), UNAVAILABLE));
            }
        },
    };
    if inner.is_draining() {
        return Err((Box::new(incoming), UNAVAILABLE));
    }
    // Nothing to negotiate with is known before any program is asked.
    if let Some(offer) = &incoming.offer
        && !offerable(offer)
    {
        return Err((Box::new(incoming), (488, "Not Acceptable Here")));
    }
    let uuid = Uuid::new_v4().to_string();
    let (mailbox, messages) = CallMailbox::new();
    let place = match inner.routing.take_incoming_place(&incoming.identity).await {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(account, %error, "a call was refused");
            return Err((Box::new(incoming), without_place(&error)));
        }
    };
    if let Err(full) = inner.calls.add(&uuid, &account, mailbox.clone(), inner.config.call_ceilings()) {
        return Err(match full {
            Full::Server => (Box::new(incoming), UNAVAILABLE),
            // Not 503: to a carrier that would say that the server can take nobody's calls.
            Full::Account => {
                inner.counters.calls_over_account_limit.add(1);
                tracing::warn!(account, "a call was refused: the account has as many as it may have");
                (Box::new(incoming), BUSY)
            }
        });
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
    let session = Session::new(inner, account, control, view, (leg, source), (mailbox, messages));
    let mut session = Session { offer, _place: place, ..session };
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

#[cfg(test)]
mod tests {
    use store::StoreError;

    use super::*;

    #[test]
    fn a_database_that_fails_is_no_wrong_number_and_no_busy_trunk() {
        let busy = || StoreError::Busy { queue: "read", capacity: 1 };
        assert_eq!(without_application(&busy().into()).0, 503);
        assert_eq!(without_application(&NoApplication::Unknown { dialled: "1".to_owned() }).0, 404);
        assert_eq!(without_place(&CommandError::Failed(busy().to_string())).0, 503);
        assert_eq!(without_place(&CommandError::Busy("calls at once on the trunk")).0, 486);
    }
}

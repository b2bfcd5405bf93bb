//! Calls that come in.

use std::sync::Arc;
use std::time::Instant;

use sip::{Identity, Incoming};
use uuid::Uuid;

use super::asked::Asked;
use super::browser;
use super::far::FarSide;
use super::{CallMailbox, Control, Session};
use crate::command::{CommandError, RoomRef};
use crate::dialect::{CallView, Direction, Invite, Kind, Origin, Purpose, SipView};
use crate::engine::Inner;
use crate::records::{dialect_name, method_of};
use crate::registry::Full;
use crate::routing::{NoApplication, Reached, digits_of};
use crate::shown;
use crate::ticket::{self, Holder, InCall};
use crate::verb::Fetch;

/// Takes a call: finds its application and runs its instructions.
pub(crate) async fn take(inner: Arc<Inner>, incoming: Incoming) {
    // A call that cannot be recorded is not taken: its program would be owed what nobody knows after a crash.
    if let Err(error) = inner.store.ready() {
        tracing::warn!(account = incoming.identity.account(), %error, "a call was refused");
        inner.counters.calls_refused.add(1);
        refuse(&incoming, UNAVAILABLE).await;
        return;
    }
    let (incoming, why) = match reach(&inner, &incoming).await {
        Ok((reached, _in_call)) => match admit(&inner, incoming, reached).await {
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

/// What the call leads to: as its ticket says, if it came with one, which is then to be kept for as long as the call lasts.
async fn reach(inner: &Inner, incoming: &Incoming) -> Result<(Reached, Option<InCall>), NoApplication> {
    let Identity::Endpoint { account, username, .. } = &incoming.identity else {
        return Ok((inner.routing.application(incoming).await?, None));
    };
    if !ticket::is_ticket(username) {
        return Ok((inner.routing.application(incoming).await?, None));
    }
    let unknown = || NoApplication::Unknown { dialled: incoming.request_uri_text.clone() };
    let (admission, in_call) = inner.tickets.redeem(username, Instant::now()).ok_or_else(unknown)?;
    let room = |uuid: &str| inner.rooms.get(account, &RoomRef::Uuid(uuid.to_owned()));
    Ok((inner.routing.admitted(admission, room, inner.clock.utc()).await?, Some(in_call)))
}

/// Code and phrase of a refusal.
type Refusal = (u16, &'static str);

type Refused = (Box<Incoming>, Refusal);

/// Who came with a ticket that says no name.
const GUEST: &str = "guest";

const UNAVAILABLE: Refusal = (503, "Service Unavailable");
const FORBIDDEN: Refusal = (403, "Forbidden");
const BUSY: Refusal = (486, "Busy Here");

/// Only what leads nowhere is not found: while the database cannot be read, the next attempt may succeed.
fn without_application(error: &NoApplication) -> Refusal {
    match error {
        NoApplication::Unknown { .. } => (404, "Not Found"),
        NoApplication::Forbidden { .. } | NoApplication::Barred(_) => FORBIDDEN,
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

async fn admit(inner: &Arc<Inner>, incoming: Incoming, reached: Reached) -> Result<Session, Refused> {
    let Reached { application: app, run, room, callee: called, holder } = reached;
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
        && !offerable(inner, offer)
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
    let hook = |url: &Option<String>, how| url.clone().map(|url| Fetch::new(url, method_of(how)));
    let dialect = dialect_name(app.dialect);
    let profile = inner.hooks.dialect(dialect).map(|dialect| dialect.profile(&app.settings)).unwrap_or_default();
    let application = Fetch { auth: profile.auth, ..Fetch::new(app.answer_url.clone(), method_of(app.answer_method)) };
    let told = hook(&app.hangup_url, app.hangup_method).map(|hook| Fetch { auth: profile.status_auth, ..hook });
    let trunk = inner.routing.trunk_name(&incoming.identity).await;
    let origin = Origin { invite: Some(invite(&incoming)), settings: app.settings.clone() };
    let view = CallView {
        auth_id: acting.unwrap_or_else(|| owner.auth_id.clone()),
        main_auth_id: owner.auth_id,
        from: caller(inner, &incoming, &owner.sip_realm, holder.as_ref()),
        to: called.unwrap_or_else(|| callee(&incoming)),
        caller_name: shown_name(holder.as_ref(), &incoming.from.display),
        endpoint: endpoint_of(&incoming.identity),
        ticket: holder.map(Arc::new),
        sip: SipView {
            call_id: incoming.call_id.clone(),
            status: 100,
            reason: "Trying".to_owned(),
            source: Some(incoming.source),
            trunk,
            bye: Vec::new(),
        },
        app_sid: run.is_none().then(|| app.sid.to_string()),
        origin: Some(Arc::new(origin)),
        headers: incoming.headers.iter().filter(|(name, _)| is_extra(name)).cloned().collect(),
        hangup_callback: told,
        ..CallView::new(uuid, account.clone(), Direction::Inbound, inner.clock.utc())
    };
    let control = Control {
        app_id: run.is_none().then(|| app.app_id.clone()),
        application: application.clone(),
        voice: profile.voice,
        fallback: hook(&app.fallback_answer_url, app.fallback_method),
        ..Control::of(dialect)
    };
    let ring = [("X-CallUUID".to_owned(), view.uuid.clone())];
    // A caller who has given up is noticed at once by the session.
    let _ = incoming.leg.ring(&ring).await;
    let Incoming { leg, source, offer, .. } = incoming;
    let far = FarSide { offer, _place: place, ..FarSide::new(leg, source) };
    let mut session = Session::new(inner, control, view, far, (mailbox, messages));
    session.rooms.destination = room;
    session.store_row().await;
    session.happened(Kind::CallBegun).await;
    let first = Asked::own(0);
    match (run, profile.document) {
        (Some(run), _) => session.programs.own.document(run, session.inner.clock.monotonic()),
        (None, document) => {
            session.follow_application();
            match document {
                Some(document) => session.run_document(first, &document),
                None => session.fetch(first, application, Purpose::Answer),
            }
        }
    }
    Ok(session)
}

/// What a phone proves who it is with is no program's business.
pub(super) fn without_proofs(headers: &[(String, String)]) -> Vec<(String, String)> {
    let proves = |name: &str| sip::PROOFS.iter().any(|known| name.eq_ignore_ascii_case(known));
    headers.iter().filter(|(name, _)| !proves(name)).cloned().collect()
}

/// What the caller is called: by whoever gave him a ticket, who knows him; else as he says himself.
fn shown_name(holder: Option<&Holder>, display: &str) -> String {
    match holder {
        Some(holder) => shown::name(holder.label.as_deref().unwrap_or(GUEST)),
        None => shown::name(display),
    }
}

/// The INVITE as it came.
fn invite(incoming: &Incoming) -> Invite {
    Invite {
        uri: incoming.request_uri_text.clone(),
        headers: without_proofs(&incoming.headers),
        body: incoming.body.clone(),
        transport: format!("{:?}", incoming.transport).to_lowercase(),
    }
}

fn offerable(inner: &Inner, offer: &sip::sdp::Session) -> bool {
    if browser::is_browser(offer) {
        return inner.webrtc.is_some();
    }
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

fn caller(inner: &Inner, call: &Incoming, realm: &Option<String>, holder: Option<&Holder>) -> String {
    match &call.identity {
        Identity::Endpoint { .. } if holder.is_some() => {
            let name = holder.and_then(|holder| holder.label.as_deref()).unwrap_or(GUEST);
            let home = inner.config.shared_domains.first().or(realm.as_ref());
            format!("sip:{}@{}", user_part(name), home.map_or("localhost", String::as_str))
        }
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

/// A name as the user part of an address.
fn user_part(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let plain: String = plain.take(32).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { GUEST.to_owned() } else { plain.to_owned() }
}

/// The endpoint that is called from, by its id.
fn endpoint_of(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Endpoint { endpoint, username, .. } if !ticket::is_ticket(username) => Some(endpoint.clone()),
        _ => None,
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
    fn what_a_browser_proves_itself_with_reaches_no_program() {
        let given = |name: &str| (name.to_owned(), "secret".to_owned());
        let all: Vec<_> =
            ["x-plivo-jwt", "X-Plivo-Jwt", "AUTHORIZATION", "Proxy-Authorization", "X-PH-Order"].map(given).into();
        assert_eq!(without_proofs(&all), [given("X-PH-Order")]);
    }

    #[test]
    fn a_caller_by_link_is_called_what_the_link_says() {
        let by_link = |label: Option<&str>| Holder {
            by: crate::command::Asker::server(),
            client: None,
            label: label.map(str::to_owned),
            coaches: false,
        };
        assert_eq!(shown_name(Some(&by_link(Some("Visitor"))), "The supervisor"), "Visitor");
        assert_eq!(shown_name(Some(&by_link(None)), "The supervisor"), "guest");
        assert_eq!(shown_name(None, "Ann\u{202e}\u{7}a"), "Anna");
    }

    #[test]
    fn a_database_that_fails_is_no_wrong_number_and_no_busy_trunk() {
        let busy = || StoreError::Busy { queue: "read", capacity: 1 };
        assert_eq!(without_application(&busy().into()).0, 503);
        assert_eq!(without_application(&NoApplication::Unknown { dialled: "1".to_owned() }).0, 404);
        assert_eq!(without_place(&CommandError::Failed(busy().to_string())).0, 503);
        assert_eq!(without_place(&CommandError::Busy("calls at once on the trunk")).0, 486);
    }
}

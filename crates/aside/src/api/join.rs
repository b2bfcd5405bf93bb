//! Coming into a room with a browser's microphone: by a key, or by another's invitation.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use call::command::{AccountRef, Asker, RoomRef};
use call::keyholder::{self, Part};
use call::shown;
use call::ticket::{Leads, TicketRequest};
use conference::Role;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use store::{Account, ActorKind, Invitation, RoomId, Scope};
use utoipa::ToSchema;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Named};
use super::ice::IceServer;
use super::open::Client;
use super::problem::Problem;
use super::session::TokenRequest;
use crate::manage::now;
use crate::manage::object::rfc3339;

/// How long the credentials for a call are good.
const TICKET: Duration = Duration::from_secs(60);
/// How long an invitation is.
const INVITATION: Duration = Duration::from_secs(600);
/// Where SIP's WebSocket is.
pub(super) const WEBSOCKET: &str = "/sip";

/// How a supervisor comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinMode {
    /// Hears all, heard by nobody.
    Monitor,
    /// Hears all, heard by those he coaches.
    Whisper,
    /// Hears all, heard by all.
    Barge,
}

/// A supervisor who wants to come in.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// How.
    pub mode: JoinMode,
    /// An id of the tab's own, by which it finds its member in the room.
    pub client: String,
    /// What he is called; the key's name if left out.
    #[serde(default)]
    pub label: Option<String>,
}

/// What a browser calls with, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Admission {
    /// SIP credentials for one INVITE.
    pub sip: SipCredentials,
    /// Path of SIP's WebSocket (subprotocol `sip`) on this server.
    pub websocket: String,
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Until when the INVITE must have come.
    pub expires_at: String,
    /// What the caller is called.
    pub member_label: Option<String>,
}

/// SIP credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SipCredentials {
    /// Digest user name.
    pub username: String,
    /// Digest password.
    pub password: String,
    /// Digest realm.
    pub realm: String,
    /// What to call.
    pub uri: String,
}

/// Who is to be invited.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// `agent`, `customer` or `supervisor`.
    pub role: String,
    /// What the invited is called.
    #[serde(default)]
    pub label: Option<String>,
}

/// An invitation, shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvitationObject {
    /// The page's path, with the token where no server sees it.
    pub path: String,
    /// The token: 64 hexadecimal digits.
    pub token: String,
    /// From when on it is refused.
    pub expires_at: String,
}

fn label_of(text: Option<&str>) -> Result<Option<String>, Problem> {
    shown::label(text).map_err(|error| Problem::invalid(error.to_string()))
}

/// Who gets a ticket, and for what.
pub(super) struct Admitted {
    pub account: Account,
    pub leads: Leads,
    pub by: Asker,
    pub client: Option<String>,
    pub label: Option<String>,
}

impl Api {
    /// What a browser calls with.
    pub(super) fn admit(&self, admitted: Admitted) -> Result<(StatusCode, Json<Admission>), Problem> {
        self.must_serve_browsers()?;
        let Admitted { account, leads, by, client, label } = admitted;
        let realm = account.sip_realm.clone().or_else(|| self.manager.shared_domains.first().cloned());
        let realm = realm.ok_or_else(|| {
            Problem::new(
                StatusCode::CONFLICT,
                "the account has no SIP domain; give it one with `aside account update --realm`",
            )
        })?;
        let account = AccountRef { id: account.main().to_string(), auth_id: account.auth_id };
        let wanted = TicketRequest { account, realm, leads, by, client, label: label.clone(), valid: TICKET };
        let ticket = self.engine.issue_ticket(wanted)?;
        let name: String = ticket.username.chars().filter(char::is_ascii_alphanumeric).collect();
        let admission = Admission {
            websocket: WEBSOCKET.to_owned(),
            ice_servers: self.ice.of(&name, now()),
            expires_at: rfc3339(ticket.expires_at),
            member_label: label,
            sip: SipCredentials {
                username: ticket.username,
                password: ticket.password.reveal().to_owned(),
                realm: ticket.realm,
                uri: ticket.uri,
            },
        };
        Ok((StatusCode::CREATED, Json(admission)))
    }

    pub(super) fn must_serve_browsers(&self) -> Result<(), Problem> {
        if self.serves_browsers {
            return Ok(());
        }
        Err(Problem::new(StatusCode::CONFLICT, "this server takes no calls of browsers; see [webrtc] enabled"))
    }
}

/// Credentials for one call of a browser into a live room, as a supervisor in this mode. `monitor` needs the scope monitor, the
/// others coach. The call must come within 60 s; it is a member like any other, and leaves by BYE.
#[utoipa::path(post, path = "/rooms/{room}/join", tag = "live", operation_id = "join_room", request_body = JoinRequest,
    params(("room" = String, Path, description = "UUID or name")), responses((status = 201, body = Admission)))]
pub async fn join(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
    Body(request): Body<JoinRequest>,
) -> Result<(StatusCode, Json<Admission>), Problem> {
    let what = "join a room";
    if request.client.is_empty() || request.client.len() > 128 || request.client.chars().any(char::is_control) {
        return Err(Problem::invalid("client: send 1 to 128 bytes that are the tab's own"));
    }
    let label = label_of(request.label.as_deref())?;
    let (_, snapshot) = api.must_room(&caller, &named, what).await?;
    let (needed, mode) = match request.mode {
        JoinMode::Monitor => (Scope::Monitor, call::command::ModeName::Monitor),
        JoinMode::Whisper => (Scope::Coach, call::command::ModeName::Whisper),
        JoinMode::Barge => (Scope::Coach, call::command::ModeName::Barge),
    };
    // Who may whisper may also listen.
    let enough = caller.key.scopes.contains(needed) || caller.key.scopes.contains(Scope::Coach);
    if !enough {
        return Err(api.missing_scope(&caller, &[needed], what, snapshot.room.uuid.parse().ok()).await);
    }
    api.admit(Admitted {
        leads: Leads::Room { uuid: snapshot.room.uuid, role: Role::Supervisor, mode: Some(mode) },
        by: caller.asker(),
        client: Some(request.client),
        label: label.or_else(|| Some(caller.key.name.clone())),
        account: caller.account,
    })
}

/// An invitation for one other person, who joins in a browser without a key. It works once, for 10 minutes.
#[utoipa::path(post, path = "/rooms/{room}/invite", tag = "live", operation_id = "invite", request_body = InviteRequest,
    params(("room" = String, Path, description = "UUID or name")), responses((status = 201, body = InvitationObject)))]
pub async fn invite(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
    Body(request): Body<InviteRequest>,
) -> Result<(StatusCode, Json<InvitationObject>), Problem> {
    api.must_serve_browsers()?;
    let unknown = || Problem::invalid(format!("{:?} is no role; write agent, supervisor or customer", request.role));
    let role = Role::parse(&request.role).ok_or_else(unknown)?;
    let label = label_of(request.label.as_deref())?;
    let (_, snapshot) = api.must_room(&caller, &named, "invite somebody").await?;
    let room: RoomId = snapshot.room.uuid.parse().map_err(|_| Problem::not_found("live room", &named))?;
    let at = now();
    let expires_at = at.plus(INVITATION);
    let (mut invitation, token) =
        Invitation::generate(caller.account.id, room, role.as_str(), caller.key.id.clone(), at, expires_at);
    invitation.label.clone_from(&label);
    api.engine.store().batch().put_invitation(invitation).commit().await.map_err(|error| match error {
        store::StoreError::Invalid { .. } => Problem::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
        error => error.into(),
    })?;
    let token = token.reveal().to_owned();
    // The page says what it asks for before the token is used up.
    let label = label.map(|label| format!("&label={}", utf8_percent_encode(&label, NON_ALPHANUMERIC)));
    let path = format!("/phone#i={token}&as={role}{}", label.unwrap_or_default());
    Ok((StatusCode::CREATED, Json(InvitationObject { path, token, expires_at: rfc3339(expires_at) })))
}

/// Credentials for the one call that an invitation is for. No key; the invitation is used up.
#[utoipa::path(post, path = "/invitations/redeem", tag = "live", operation_id = "redeem_invitation",
    request_body = TokenRequest, responses((status = 201, body = Admission)))]
pub async fn redeem(
    State(api): State<Api>,
    client: Client,
    Body(request): Body<TokenRequest>,
) -> Result<(StatusCode, Json<Admission>), Problem> {
    client.take(&api.token_attempts)?;
    api.must_serve_browsers()?;
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "the invitation has been used or has expired; ask for another");
    let store = api.engine.store();
    let invitation = store.redeem_invitation(request.token.reveal(), now()).await?.ok_or_else(unknown)?;
    let account = store.account(invitation.account).await?.ok_or_else(unknown)?;
    // Whoever lost his key, or may not invite any more, invites nobody.
    let inviter = store.good_api_key(account.main(), &invitation.made_by, now()).await?.ok_or_else(unknown)?;
    let role = Role::parse(&invitation.role).ok_or_else(unknown)?;
    let uuid = invitation.room.to_string();
    let reference = AccountRef { id: account.id.to_string(), auth_id: account.auth_id.clone() };
    let over = || Problem::new(StatusCode::GONE, "the call that the invitation was for is over");
    let room = api.engine.room(&reference, &RoomRef::Uuid(uuid.clone())).ok_or_else(over)?;
    keyholder::check(Some(&inviter), &room.live(), Part::Speaks).map_err(|_| unknown())?;
    api.admit(Admitted {
        leads: Leads::Room { uuid, role, mode: None },
        by: Asker { kind: ActorKind::Key, id: invitation.made_by },
        client: None,
        label: invitation.label,
        account,
    })
}

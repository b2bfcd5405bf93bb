//! An agent's softphone in the browser: an endpoint like any other, with two questions besides SIP.

use std::time::Instant;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use call::command::AccountRef;
use serde::{Deserialize, Serialize};
use store::{Endpoint, Secret};
use utoipa::ToSchema;

use super::Api;
use super::extract::Body;
use super::ice::IceServer;
use super::join::WEBSOCKET;
use super::open::{Client, too_often};
use super::problem::Problem;
use crate::manage::now;

/// An endpoint's credentials.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PhoneRequest {
    /// Its user name; with `@` and the domain where that is not one that all accounts share.
    pub username: String,
    /// Its password.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// What a softphone needs besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhoneObject {
    /// Where it registers.
    pub realm: String,
    /// Path of SIP's WebSocket (subprotocol `sip`) on this server.
    pub websocket: String,
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
}

/// The call whose agent asks.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HelpRequest {
    /// As its INVITE or answer said in X-CallUUID.
    pub call_uuid: String,
}

impl Api {
    /// The endpoint whose password this is, and its realm.
    async fn endpoint(&self, client: &Client, username: &str, password: &str) -> Result<(Endpoint, String), Problem> {
        let (source, at) = (client.key(), Instant::now());
        let of_user = format!("{source} {}", username.chars().take(200).collect::<String>());
        if !self.password_attempts.may_try(&of_user, at) || !self.source_attempts.may_try(&source, at) {
            return Err(too_often());
        }
        let realms: Vec<String> = match username.split_once('@') {
            Some((_, realm)) => vec![realm.to_ascii_lowercase()],
            None => self.manager.shared_domains.clone(),
        };
        let user = username.split('@').next().unwrap_or_default();
        for realm in realms {
            let found = self.engine.store().resolve_endpoint(&realm, user).await?;
            let Some((endpoint, credential)) = found else { continue };
            let given = store::secret::ha1_sha256(user, &realm, password);
            if store::secret::equal(given.as_bytes(), credential.ha1_sha256.reveal().as_bytes()) {
                return Ok((endpoint, realm));
            }
        }
        self.password_attempts.note(&of_user, at);
        self.source_attempts.note(&source, at);
        Err(Problem::new(StatusCode::UNAUTHORIZED, "no endpoint has this user name and password"))
    }
}

/// Where a softphone in a browser registers, and the STUN and TURN servers. No key: an endpoint's user name and password.
#[utoipa::path(post, path = "/phone/ice", tag = "phone", operation_id = "phone_ice", request_body = PhoneRequest,
    responses((status = 200, body = PhoneObject)))]
pub async fn ice(
    State(api): State<Api>,
    client: Client,
    Body(request): Body<PhoneRequest>,
) -> Result<Json<PhoneObject>, Problem> {
    api.must_serve_browsers()?;
    let (endpoint, realm) = api.endpoint(&client, &request.username, request.password.reveal()).await?;
    let ice_servers = api.ice.of(&endpoint.endpoint_id, now());
    Ok(Json(PhoneObject { realm, websocket: WEBSOCKET.to_owned(), ice_servers }))
}

/// A user name and password of the Authorization header.
pub struct Basic {
    username: String,
    password: Secret,
}

impl<S: Send + Sync> FromRequestParts<S> for Basic {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| basic(value.to_str().ok()?));
        given.ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "send the endpoint's user name and password (Authorization: Basic)")
        })
    }
}

fn basic(header: &str) -> Option<Basic> {
    let (scheme, text) = header.split_once(' ')?;
    let decoded = STANDARD.decode(text.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Basic { username: username.to_owned(), password: Secret::new(password) })
}

impl Api {
    async fn help(
        &self,
        client: &Client,
        basic: Basic,
        request: HelpRequest,
        wanted: bool,
    ) -> Result<StatusCode, Problem> {
        let (endpoint, _) = self.endpoint(client, &basic.username, basic.password.reveal()).await?;
        let store = self.engine.store();
        let account = store.account(endpoint.account).await?;
        let account = account.ok_or_else(|| Problem::not_found("call", &request.call_uuid))?;
        let account = AccountRef { id: account.id.to_string(), auth_id: account.auth_id };
        self.engine.ask_for_help(&account, &endpoint.endpoint_id, &request.call_uuid, wanted).await?;
        Ok(StatusCode::NO_CONTENT)
    }
}

/// The agent on this call asks for a supervisor: consoles show it until one comes, or until it is taken back. No key: HTTP Basic
/// with the endpoint's user name and password.
#[utoipa::path(post, path = "/phone/help", tag = "phone", operation_id = "ask_for_help", request_body = HelpRequest,
    responses((status = 204, description = "consoles show it")))]
pub async fn ask_for_help(
    State(api): State<Api>,
    client: Client,
    basic: Basic,
    Body(request): Body<HelpRequest>,
) -> Result<StatusCode, Problem> {
    api.help(&client, basic, request, true).await
}

/// Takes that back.
#[utoipa::path(delete, path = "/phone/help", tag = "phone", operation_id = "need_no_help", request_body = HelpRequest,
    responses((status = 204, description = "consoles show it no more")))]
pub async fn need_no_help(
    State(api): State<Api>,
    client: Client,
    basic: Basic,
    Body(request): Body<HelpRequest>,
) -> Result<StatusCode, Problem> {
    api.help(&client, basic, request, false).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_and_nonsense_is_none() {
        let good = basic(&format!("BASIC {}", STANDARD.encode("anna@x.test:a:b"))).unwrap();
        assert_eq!((good.username.as_str(), good.password.reveal()), ("anna@x.test", "a:b"));
        for wrong in ["", "Basic", "Basic !", "Bearer YTpi", &format!("Basic {}", STANDARD.encode("nocolon"))] {
            assert!(basic(wrong).is_none(), "{wrong}");
        }
    }
}

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
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Asked, Body};
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
#[derive(Clone, Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HelpRequest {
    /// As its INVITE or answer said in X-CallUUID.
    pub call_uuid: String,
}

/// Whether a supervisor is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelpObject {
    /// One is asked for, and none has come.
    pub asked: bool,
}

impl Api {
    /// The endpoint whose password this is, and its realm. An attempt is taken before the password is looked at, so that those
    /// who guess many at once have no more of them.
    async fn endpoint(&self, client: &Client, username: &str, password: &str) -> Result<(Endpoint, String), Problem> {
        let (source, at) = (client.key(), Instant::now());
        let of_user = format!("{source} {}", username.chars().take(200).collect::<String>());
        if !self.password_attempts.take(&of_user, at) {
            return Err(too_often());
        }
        if !self.source_attempts.take(&source, at) {
            self.password_attempts.give_back(&of_user);
            return Err(too_often());
        }
        let found = self.endpoint_with(username, password).await;
        if !matches!(found, Ok(None)) {
            self.password_attempts.give_back(&of_user);
            self.source_attempts.give_back(&source);
        }
        found?.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "no endpoint has this user name and password"))
    }

    async fn endpoint_with(&self, username: &str, password: &str) -> Result<Option<(Endpoint, String)>, Problem> {
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
                return Ok(Some((endpoint, realm)));
            }
        }
        Ok(None)
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
        let (account, endpoint) = self.agent(client, basic, &request).await?;
        self.engine.ask_for_help(&account, &endpoint, &request.call_uuid, wanted).await?;
        Ok(StatusCode::NO_CONTENT)
    }

    /// Whose endpoint asks, and its id.
    async fn agent(
        &self,
        client: &Client,
        basic: Basic,
        request: &HelpRequest,
    ) -> Result<(AccountRef, String), Problem> {
        let (endpoint, _) = self.endpoint(client, &basic.username, basic.password.reveal()).await?;
        let account = self.engine.store().account(endpoint.account).await?;
        let account = account.ok_or_else(|| Problem::not_found("call", &request.call_uuid))?;
        Ok((AccountRef { id: account.id.to_string(), auth_id: account.auth_id }, endpoint.endpoint_id))
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

/// Whether the agent on this call asks for a supervisor, and none has come. No key: HTTP Basic, as to ask.
#[utoipa::path(get, path = "/phone/help", tag = "phone", operation_id = "is_help_asked", params(HelpRequest),
    responses((status = 200, body = HelpObject)))]
pub async fn is_help_asked(
    State(api): State<Api>,
    client: Client,
    basic: Basic,
    Asked(request): Asked<HelpRequest>,
) -> Result<Json<HelpObject>, Problem> {
    let (account, endpoint) = api.agent(&client, basic, &request).await?;
    let asked = api.engine.asks_for_help(&account, &endpoint, &request.call_uuid).await?;
    Ok(Json(HelpObject { asked }))
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

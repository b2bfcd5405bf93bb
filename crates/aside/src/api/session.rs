//! Who asks, and signing in with a token that works once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use store::{AccountId, ApiKey, Scopes, Secret};
use utoipa::ToSchema;

use super::Api;
use super::caller::Caller;
use super::extract::Body;
use super::open::Client;
use super::problem::Problem;
use crate::manage::now;
use crate::manage::object::rfc3339;

/// Sign-ins that wait at once.
const MOST: usize = 100;

/// Who asks, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionObject {
    /// The key's account.
    pub account: SessionAccount,
    /// The key.
    pub key: SessionKey,
    /// The server.
    pub server: SessionServer,
    /// Its time.
    pub now: String,
}

/// An account by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionAccount {
    /// Its UUID.
    pub id: String,
    /// For people.
    pub name: String,
}

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionKey {
    /// For people.
    pub name: String,
    /// From when on it is refused.
    pub expires_at: Option<String>,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub scopes: Scopes,
    /// Only rooms whose name matches.
    pub rooms: Option<String>,
    /// Only members with this tag.
    pub tag: Option<String>,
    /// Only this team's people.
    pub team: Option<String>,
}

/// The server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionServer {
    /// Its version.
    pub version: String,
}

/// Whose key this is, and what it may do.
#[utoipa::path(get, path = "/session", tag = "session", operation_id = "session",
    responses((status = 200, body = SessionObject)))]
pub async fn show(Extension(caller): Extension<Caller>) -> Json<SessionObject> {
    let Caller { account, key } = caller;
    Json(SessionObject {
        account: SessionAccount { id: account.id.to_string(), name: account.name },
        key: SessionKey {
            name: key.name,
            expires_at: key.expires_at.map(rfc3339),
            scopes: key.scopes,
            rooms: key.room_pattern,
            tag: key.tag,
            team: key.team,
        },
        server: SessionServer { version: env!("CARGO_PKG_VERSION").to_owned() },
        now: rfc3339(now()),
    })
}

/// What a sign-in is worth.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Whose key it becomes.
    pub account: AccountId,
    /// What the key is called.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// How long the key is good.
    pub key_life: Duration,
}

/// Sign-ins that nobody has used yet, by the hash of their tokens.
#[derive(Default)]
pub(super) struct SignIns(Mutex<HashMap<String, (SignIn, Instant)>>);

impl SignIns {
    fn put(&self, hash: String, sign_in: SignIn, until: Instant) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (_, until)| *until > Instant::now());
        let fits = held.len() < MOST;
        if fits {
            held.insert(hash, (sign_in, until));
        }
        fits
    }

    fn take(&self, hash: &str, now: Instant) -> Option<SignIn> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
        taken.filter(|(_, until)| *until > now).map(|(sign_in, _)| sign_in)
    }
}

impl Api {
    /// A token that becomes a key, once, within `valid`. `None`: too many wait already.
    pub fn sign_in(&self, sign_in: SignIn, valid: Duration) -> Option<Secret> {
        let (token, hash) = store::secret::token();
        self.sign_ins.put(hash, sign_in, Instant::now() + valid).then_some(token)
    }
}

/// A token.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// As it stands in the link.
    #[schema(value_type = String)]
    pub token: Secret,
}

/// A key, shown once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    /// The key.
    pub key: String,
    /// From when on it is refused.
    pub expires_at: String,
}

/// Exchanges the token of a sign-in link for a key of its own. It works once.
#[utoipa::path(post, path = "/session", tag = "session", operation_id = "sign_in", request_body = TokenRequest,
    responses((status = 201, body = SignedIn)))]
pub async fn sign_in(
    State(api): State<Api>,
    client: Client,
    Body(request): Body<TokenRequest>,
) -> Result<(StatusCode, Json<SignedIn>), Problem> {
    client.take(&api.token_attempts)?;
    let hash = store::secret::token_hash(request.token.reveal());
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "the link has been used or has expired; ask for a new one");
    let SignIn { account, name, scopes, key_life } = api.sign_ins.take(&hash, Instant::now()).ok_or_else(unknown)?;
    let at = now();
    let expires_at = at.plus(key_life);
    let (mut key, shown) = ApiKey::generate(account, name, scopes, at);
    key.expires_at = Some(expires_at);
    api.engine.store().batch().put_api_key(key).commit().await?;
    Ok((StatusCode::CREATED, Json(SignedIn { key: shown.reveal().to_owned(), expires_at: rfc3339(expires_at) })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in() -> SignIn {
        let (account, key_life) = (AccountId::generate(), Duration::from_secs(60));
        SignIn { account, name: "demo".to_owned(), scopes: Scopes::default(), key_life }
    }

    #[test]
    fn a_sign_in_works_once_and_for_its_time() {
        let (held, now) = (SignIns::default(), Instant::now());
        let later = now + Duration::from_secs(60);
        assert!(held.put("a".to_owned(), sign_in(), later) && held.put("b".to_owned(), sign_in(), later));
        assert!(held.take("a", now).is_some() && held.take("a", now).is_none());
        assert!(held.take("b", later).is_none() && held.take("b", now).is_none());
        for index in 0..MOST {
            assert!(held.put(index.to_string(), sign_in(), later));
        }
        assert!(!held.put("more".to_owned(), sign_in(), later));
    }
}

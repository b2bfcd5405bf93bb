//! `/ApiKeys`.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use store::BearerKey;

use super::answer::{Answer, Result};
use super::asked::{Asked, Scope, Who, listed, time, uuid};
use super::server::{Api, now};
use crate::json::{Object, Value};

/// Longest life that can be asked for, seconds.
const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;

pub(super) async fn dispatch(api: &Api, asked: &Asked, scope: &Scope, rest: &[&str]) -> Result {
    match (&asked.method, rest) {
        (&Method::GET, []) => list(api, asked, scope).await,
        (&Method::POST, []) => create(api, asked, scope).await,
        (&Method::DELETE, [sid]) => delete(api, asked, scope, sid).await,
        _ => Err(Answer::not_found()),
    }
}

fn record(key: &BearerKey) -> Object {
    let optional = |at: Option<store::Timestamp>| at.map_or(Value::Null, |at| time(at).into());
    let mut body = Object::new();
    body.set("api_key_sid", key.sid.to_string());
    body.set("account_sid", key.account.map_or(Value::Null, |account| account.to_string().into()));
    body.set("service_provider_sid", Value::Null);
    // The token itself is not kept.
    body.set("token", super::asked::HIDDEN);
    body.set("created_at", time(key.created_at));
    body.set("expires_at", optional(key.expires_at));
    body.set("last_used", optional(key.last_used_at));
    body
}

async fn list(api: &Api, asked: &Asked, scope: &Scope) -> Result {
    let mut keys = Vec::new();
    if asked.path.first().is_some_and(|kind| kind == "ApiKeys") && matches!(asked.who, Who::Operator) {
        keys.extend(api.store.bearer_keys(None).await?);
    }
    for account in scope.accounts() {
        keys.extend(api.store.bearer_keys(Some(account.id)).await?);
    }
    listed(asked, keys.iter().map(record).collect())
}

async fn create(api: &Api, asked: &Asked, scope: &Scope) -> Result {
    let names_account = asked.properties()?.line("account_sid")?.is_some_and(|sid| !sid.is_empty());
    let in_path = asked.path.first().is_some_and(|kind| kind == "Accounts");
    let account = match asked.who {
        // The operator's own key.
        Who::Operator if !names_account && !in_path => None,
        _ => Some(scope.owner(asked, &api.store).await?.id),
    };
    let (mut key, token) = BearerKey::generate(account, now());
    if let Some(seconds) = asked.properties()?.number("expiry_secs")? {
        if !(1.0..=LONGEST).contains(&seconds) {
            return Err(Answer::bad("expiry_secs must be a number of seconds, 1 or more"));
        }
        key.expires_at = Some(key.created_at.plus(Duration::from_secs_f64(seconds)));
    }
    let sid = key.sid;
    api.store.batch().put_bearer_key(key).commit().await?;
    let mut body = Object::new();
    body.set("sid", sid.to_string());
    body.set("token", token.reveal());
    Ok(Answer::json(StatusCode::CREATED, body))
}

async fn delete(api: &Api, asked: &Asked, scope: &Scope, sid: &str) -> Result {
    let key = api.store.bearer_key(uuid(sid)?).await?.ok_or_else(Answer::not_found)?;
    let its = match key.account {
        None => matches!(asked.who, Who::Operator),
        Some(account) => scope.accounts().iter().any(|seen| seen.id == account),
    };
    if !its {
        return Err(Answer::not_found());
    }
    api.store.batch().delete_bearer_key(key.account, key.sid).commit().await?;
    Ok(Answer::done())
}

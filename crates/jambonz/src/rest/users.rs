//! `/Accounts/{sid}/RegisteredSipUsers`.

use axum::http::Method;
use store::{Account, Binding, Endpoint};

use super::accounts::text_or_null;
use super::answer::{Answer, Result};
use super::asked::{Asked, all};
use super::server::{Api, now};
use crate::json::{Object, Value};

/// Most users that a request may name.
const MOST: usize = 1000;

/// An endpoint and where it is registered, the last first.
struct User {
    endpoint: Endpoint,
    bindings: Vec<Binding>,
}

pub(super) async fn dispatch(api: &Api, asked: &Asked, account: &Account, rest: &[&str]) -> Result {
    let realm = account.sip_realm.as_deref().ok_or_else(|| Answer::bad("the account has no sip_realm"))?;
    let users = || users(api, account);
    match (&asked.method, rest) {
        (&Method::GET, []) => {
            let registered = users().await?.into_iter().filter(|user| !user.bindings.is_empty());
            Ok(Answer::ok(registered.map(|user| Value::from(address(&user.endpoint, realm))).collect::<Vec<_>>()))
        }
        (&Method::POST, []) => {
            let wanted = wanted(asked)?;
            let all = users().await?;
            let find = |name: &str| all.iter().find(|user| user.endpoint.username == name);
            let records: Vec<Object> = match &wanted {
                Some(names) => names.iter().map(|name| record(name, find(name), realm)).collect(),
                None => all.iter().map(|user| record(&user.endpoint.username, Some(user), realm)).collect(),
            };
            Ok(Answer::ok(records))
        }
        (&Method::GET, [name]) => {
            let all = users().await?;
            let name = name.split_once('@').filter(|(_, host)| *host == realm).map_or(*name, |(user, _)| user);
            let found = all.iter().find(|user| user.endpoint.username == name);
            Ok(Answer::ok(record(name, found, realm)))
        }
        _ => Err(Answer::not_found()),
    }
}

async fn users(api: &Api, account: &Account) -> Result<Vec<User>> {
    let endpoints = all(|page| api.store.endpoints(account.id, None, page)).await?;
    let bindings = api.store.account_bindings(account.id, now()).await?;
    let mut users: Vec<User> = endpoints.into_iter().map(|endpoint| User { endpoint, bindings: Vec::new() }).collect();
    let places: std::collections::HashMap<String, usize> =
        users.iter().enumerate().map(|(place, user)| (user.endpoint.endpoint_id.clone(), place)).collect();
    for binding in bindings {
        if let Some(user) = places.get(&binding.endpoint_id).and_then(|place| users.get_mut(*place)) {
            user.bindings.push(binding);
        }
    }
    users.sort_by(|one, other| one.endpoint.username.cmp(&other.endpoint.username));
    Ok(users)
}

fn address(endpoint: &Endpoint, realm: &str) -> String {
    format!("{}@{realm}", endpoint.username)
}

/// The names asked for; none: all.
fn wanted(asked: &Asked) -> Result<Option<Vec<String>>> {
    let names = match &asked.body {
        Value::Array(names) => names,
        Value::Object(object) if object.is_empty() => return Ok(None),
        _ => return Err(Answer::bad("the body must be an array of usernames")),
    };
    if names.len() > MOST {
        return Err(Answer::bad(format!("name at most {MOST} users")));
    }
    let name = |name: &Value| name.as_str().map(str::to_owned);
    let names: Option<Vec<String>> = names.iter().map(name).collect();
    let names = names.ok_or_else(|| Answer::bad("the body must be an array of usernames"))?;
    Ok(Some(names).filter(|names| !names.is_empty()))
}

/// Somebody unknown is not registered, which is all that is told of him.
fn record(name: &str, user: Option<&User>, realm: &str) -> Object {
    let binding = user.and_then(|user| user.bindings.first());
    let flag = |flag: fn(&Endpoint) -> bool| user.is_some_and(|user| flag(&user.endpoint));
    let milliseconds = binding.and_then(|binding| u64::try_from(binding.expires_at.micros() / 1000).ok());
    let mut body = Object::new();
    body.set("name", name.split_once('@').map_or_else(|| format!("{name}@{realm}"), |_| name.to_owned()));
    body.set("contact", text_or_null(binding.map(|binding| binding.contact.as_str())));
    body.set("expiryTime", milliseconds.unwrap_or(0));
    body.set("protocol", text_or_null(binding.map(|binding| binding.transport.as_str())));
    body.set("allow_direct_app_calling", flag(|endpoint| endpoint.calls_apps));
    body.set("allow_direct_queue_calling", flag(|endpoint| endpoint.calls_queues));
    body.set("allow_direct_user_calling", flag(|endpoint| endpoint.calls_users));
    body.set("registered_status", if binding.is_some() { "active" } else { "inactive" });
    // Requests reach this server without another in between.
    body.set("proxy", Value::Null);
    body
}

//! `/Clients`: endpoints in the words of this dialect.

use axum::http::Method;
use store::{Account, Credential, Endpoint, StoreError};

use super::answer::{Answer, Result};
use super::asked::{Asked, HIDDEN, Scope, all, change, flag, listed, time};
use super::server::{Api, now};
use crate::json::Object;

pub(super) async fn dispatch(api: &Api, asked: &Asked, scope: &Scope, rest: &[&str]) -> Result {
    let store = &api.store;
    let look = |account, sid| store.endpoint_by_sid(account, sid);
    match (&asked.method, rest) {
        (&Method::GET, []) => {
            let mut found = Vec::new();
            for account in scope.accounts() {
                found.extend(all(|page| store.endpoints(account.id, None, page)).await?);
            }
            listed(asked, found.iter().map(record).collect())
        }
        (&Method::POST, []) => {
            let owner = scope.owner(asked, store).await?;
            create(api, asked, &owner).await
        }
        (&Method::GET, [sid]) => Ok(Answer::ok(record(&scope.find(sid, look).await?.1))),
        (&Method::PUT, [sid]) => {
            let (account, endpoint) = scope.find(sid, look).await?;
            update(api, asked, account, endpoint).await
        }
        (&Method::DELETE, [sid]) => {
            let (account, endpoint) = scope.find(sid, look).await?;
            store.batch().delete_endpoint(account.id, &endpoint.endpoint_id).commit().await?;
            api.signalling.registrations_over(account.id, Some(&endpoint.endpoint_id)).await;
            Ok(Answer::done())
        }
        _ => Err(Answer::not_found()),
    }
}

fn record(endpoint: &Endpoint) -> Object {
    let mut body = Object::new();
    body.set("client_sid", endpoint.sid.to_string());
    body.set("account_sid", endpoint.account.to_string());
    body.set("username", endpoint.username.as_str());
    body.set("password", HIDDEN);
    body.set("is_active", endpoint.enabled);
    body.set("allow_direct_app_calling", endpoint.calls_apps);
    body.set("allow_direct_queue_calling", endpoint.calls_queues);
    body.set("allow_direct_user_calling", endpoint.calls_users);
    body.set("created_at", time(endpoint.created_at));
    body
}

/// What may be changed of a client beside its password.
fn flags(asked: &Asked, endpoint: &mut Endpoint) -> Result<()> {
    for (name, field) in [
        ("is_active", &mut endpoint.enabled),
        ("allow_direct_app_calling", &mut endpoint.calls_apps),
        ("allow_direct_queue_calling", &mut endpoint.calls_queues),
        ("allow_direct_user_calling", &mut endpoint.calls_users),
    ] {
        if let Some(value) = flag(asked, name)? {
            *field = value;
        }
    }
    Ok(())
}

async fn create(api: &Api, asked: &Asked, owner: &Account) -> Result {
    let username = asked.properties()?.line("username")?.ok_or_else(|| Answer::bad("missing username parameter"))?;
    let password = asked.properties()?.line("password")?.ok_or_else(|| Answer::bad("missing password parameter"))?;
    Endpoint::check_username(&username)?;
    let mut endpoint = Endpoint::new(owner.id, username, now());
    flags(asked, &mut endpoint)?;
    let credentials = credentials(api, owner, &endpoint, &password)?;
    let sid = endpoint.sid;
    let put = api.store.batch().put_endpoint(endpoint, Some(credentials)).commit().await;
    if let Err(StoreError::Conflict { .. }) = put {
        // The vendor's status for it.
        return Err(Answer::bad("the username is taken; choose another"));
    }
    put?;
    Ok(Answer::created(sid))
}

async fn update(api: &Api, asked: &Asked, account: &Account, mut endpoint: Endpoint) -> Result {
    if let Some(username) = change(asked, "username")?.flatten()
        && username != endpoint.username
    {
        return Err(Answer::bad("the username of a client stays; make another client"));
    }
    flags(asked, &mut endpoint)?;
    let password = change(asked, "password")?.flatten().filter(|password| password != HIDDEN);
    let credentials = match &password {
        Some(password) => Some(credentials(api, account, &endpoint, password)?),
        None => None,
    };
    // Whoever registered with the old password, or may not register any more, is called no more.
    let shut_out = credentials.is_some() || !endpoint.enabled;
    let mut batch = api.store.batch().put_endpoint(endpoint.clone(), credentials);
    if shut_out {
        batch = batch.delete_bindings(account.id, &endpoint.endpoint_id);
    }
    batch.commit().await?;
    if shut_out {
        api.signalling.registrations_over(account.id, Some(&endpoint.endpoint_id)).await;
    }
    Ok(Answer::done())
}

fn credentials(api: &Api, account: &Account, endpoint: &Endpoint, password: &str) -> Result<Vec<Credential>> {
    let domains = api.domains_of(account);
    Ok(Credential::of_password(&endpoint.username, password, domains.iter().map(String::as_str))?)
}

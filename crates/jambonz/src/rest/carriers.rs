//! `/VoipCarriers`: trunks in the words of this dialect.

use axum::http::Method;
use store::{Account, CallerIdRules, Secret, Trunk, TrunkId};

use super::accounts::text_or_null;
use super::answer::{Answer, Result};
use super::asked::{Asked, HIDDEN, Scope, change, flag, listed, name, time};
use super::server::{Api, now};
use crate::json::{Object, Value};

pub(super) async fn dispatch(api: &Api, asked: &Asked, scope: &Scope, rest: &[&str]) -> Result {
    let store = &api.store;
    let look = |account, sid| store.trunk(account, TrunkId(sid));
    match (&asked.method, rest) {
        (&Method::GET, []) => {
            let mut found = Vec::new();
            for account in scope.accounts() {
                found.extend(store.trunks(account.id).await?);
            }
            if let Some(name) = asked.parameter("name") {
                found.retain(|trunk| trunk.name == name);
            }
            listed(asked, found.iter().map(record).collect())
        }
        (&Method::POST, []) => {
            let owner = scope.owner(asked, store).await?;
            create(api, asked, &owner).await
        }
        (&Method::GET, [sid]) => Ok(Answer::ok(record(&scope.find(sid, look).await?.1))),
        (&Method::PUT, [sid]) => {
            let (_, mut trunk) = scope.find(sid, look).await?;
            if let Some(name) = name(asked)? {
                trunk.name = name;
            }
            apply(asked, &mut trunk)?;
            put(api, trunk).await?;
            Ok(Answer::done())
        }
        (&Method::DELETE, [sid]) => {
            let (account, trunk) = scope.find(sid, look).await?;
            store.batch().delete_trunk(account.id, trunk.id).commit().await?;
            api.signalling.trunks_changed().await;
            Ok(Answer::done())
        }
        _ => Err(Answer::not_found()),
    }
}

fn record(trunk: &Trunk) -> Object {
    let prefixes = |list: &[String]| list.iter().map(String::as_str).map(Value::from).collect::<Vec<_>>();
    let mut body = Object::new();
    body.set("voip_carrier_sid", trunk.id.to_string());
    body.set("name", trunk.name.as_str());
    body.set("account_sid", trunk.account.to_string());
    body.set("application_sid", Value::Null);
    body.set("requires_register", false);
    body.set("register_username", text_or_null(trunk.username.as_deref()));
    body.set("register_password", text_or_null(trunk.password.as_ref().map(|_| HIDDEN)));
    body.set("is_active", trunk.enabled);
    body.set("allowed_prefixes", prefixes(&trunk.allowed_prefixes));
    body.set("allowed_caller_ids", prefixes(&trunk.caller_id.allowed));
    body.set("default_caller_id", text_or_null(trunk.caller_id.default.as_deref()));
    body.set("calls_per_second", trunk.max_calls_per_second);
    body.set("max_concurrent", trunk.max_concurrent);
    body.set("created_at", time(trunk.created_at));
    body
}

async fn create(api: &Api, asked: &Asked, owner: &Account) -> Result {
    let name = name(asked)?.ok_or_else(|| Answer::bad("missing name parameter"))?;
    let mut trunk = Trunk::new(owner.id, name, now());
    // The vendor's clients know no lists of destinations: whoever makes a carrier may call by it.
    let any = || vec![String::new()];
    (trunk.allowed_prefixes, trunk.caller_id) = (any(), CallerIdRules { default: None, allowed: any() });
    apply(asked, &mut trunk)?;
    let id = trunk.id;
    put(api, trunk).await?;
    Ok(Answer::created(id))
}

fn apply(asked: &Asked, trunk: &mut Trunk) -> Result<()> {
    let properties = asked.properties()?;
    if flag(asked, "requires_register")? == Some(true) {
        return Err(Answer::bad(
            "requires_register is not supported: have the carrier send calls to this server's address",
        ));
    }
    if change(asked, "application_sid")?.flatten().is_some() {
        return Err(Answer::bad("a carrier has no application here; give its numbers one"));
    }
    if let Some(active) = flag(asked, "is_active")? {
        trunk.enabled = active;
    }
    if let Some(username) = change(asked, "register_username")? {
        trunk.username = username;
    }
    match change(asked, "register_password")? {
        Some(Some(password)) if password == HIDDEN => {}
        Some(password) => trunk.password = password.map(Secret::new),
        None => {}
    }
    if trunk.username.is_some() != trunk.password.is_some() {
        return Err(Answer::bad("register_username and register_password: give both, or neither"));
    }
    for (name, list) in
        [("allowed_prefixes", &mut trunk.allowed_prefixes), ("allowed_caller_ids", &mut trunk.caller_id.allowed)]
    {
        if let Some(prefixes) = properties.texts(name, 1000)? {
            if prefixes.iter().any(|prefix| prefix.len() > 15 || !prefix.bytes().all(|b| b.is_ascii_digit())) {
                return Err(Answer::bad(format!("{name} must be prefixes of numbers, digits without +")));
            }
            *list = prefixes;
        }
    }
    if let Some(default) = change(asked, "default_caller_id")? {
        trunk.caller_id.default = default;
    }
    if let Some(rate) = properties.whole("calls_per_second", 0, 100_000)? {
        trunk.max_calls_per_second = rate;
    }
    if let Some(most) = properties.whole("max_concurrent", 0, 1_000_000)? {
        trunk.max_concurrent = most;
    }
    Ok(())
}

pub(super) async fn put(api: &Api, trunk: Trunk) -> Result<()> {
    api.store.batch().put_trunk(trunk).commit().await?;
    api.signalling.trunks_changed().await;
    Ok(())
}

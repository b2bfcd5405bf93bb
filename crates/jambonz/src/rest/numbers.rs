//! `/PhoneNumbers`.

use axum::http::Method;
use store::{Account, Number, TrunkId, normalise_number};
use uuid::Uuid;

use super::accounts::text_or_null;
use super::answer::{Answer, Result};
use super::asked::{Asked, Scope, all, change, listed, time};
use super::server::{Api, now};
use crate::json::Object;

pub(super) async fn dispatch(api: &Api, asked: &Asked, scope: &Scope, rest: &[&str]) -> Result {
    let store = &api.store;
    let look = |account, sid| store.number_by_sid(account, sid);
    match (&asked.method, rest) {
        (&Method::GET, []) => {
            let mut records = Vec::new();
            for account in scope.accounts() {
                for number in all(|page| store.numbers(account.id, None, page)).await? {
                    records.push(record(api, &number).await?);
                }
            }
            listed(asked, records)
        }
        (&Method::POST, []) => {
            let owner = scope.owner(asked, store).await?;
            create(api, asked, &owner).await
        }
        (&Method::GET, [sid]) => Ok(Answer::ok(record(api, &scope.find(sid, look).await?.1).await?)),
        (&Method::PUT, [sid]) => {
            let (account, number) = scope.find(sid, look).await?;
            update(api, asked, account, number).await
        }
        (&Method::DELETE, [sid]) => {
            let (account, number) = scope.find(sid, look).await?;
            store.batch().delete_number(account.id, &number.number).commit().await?;
            Ok(Answer::done())
        }
        _ => Err(Answer::not_found()),
    }
}

async fn record(api: &Api, number: &Number) -> Result<Object> {
    let application = match &number.app_id {
        Some(app) => api.store.application(number.account, app).await?.map(|app| app.sid.to_string()),
        None => None,
    };
    let mut body = Object::new();
    body.set("phone_number_sid", number.sid.to_string());
    body.set("number", number.number.as_str());
    body.set("voip_carrier_sid", text_or_null(number.trunk.map(|trunk| trunk.to_string()).as_deref()));
    body.set("account_sid", number.account.to_string());
    body.set("application_sid", text_or_null(application.as_deref()));
    body.set("created_at", time(number.created_at));
    Ok(body)
}

/// The application's own id for the sid that is written.
async fn application(api: &Api, asked: &Asked, account: &Account) -> Result<Option<Option<String>>> {
    match change(asked, "application_sid")? {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(sid)) => {
            let unknown = || Answer::bad("unknown application_sid");
            let sid = Uuid::parse_str(&sid).map_err(|_| unknown())?;
            let app = api.store.application_by_sid(account.id, sid).await?.ok_or_else(unknown)?;
            Ok(Some(Some(app.app_id)))
        }
    }
}

/// The trunk that is written: the account's own, or one that it has leave to use.
async fn carrier(api: &Api, asked: &Asked, account: &Account) -> Result<Option<Option<TrunkId>>> {
    match change(asked, "voip_carrier_sid")? {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(sid)) => {
            let usable = api.store.usable_trunks(account.id).await?;
            let found = usable.into_iter().map(|usable| usable.trunk.id).find(|id| id.to_string() == sid);
            found.map(|id| Some(Some(id))).ok_or_else(|| Answer::bad("unknown voip_carrier_sid"))
        }
    }
}

async fn create(api: &Api, asked: &Asked, owner: &Account) -> Result {
    let written = asked.properties()?.line("number")?.ok_or_else(|| Answer::bad("number is required"))?;
    let digits = normalise_number(&written)?;
    let taken = || Answer::unprocessable("phone number already in inventory");
    if api.store.number(owner.id, &digits).await?.is_some() {
        return Err(taken());
    }
    let number = Number {
        app_id: application(api, asked, owner).await?.flatten(),
        trunk: carrier(api, asked, owner).await?.flatten(),
        ..Number::new(owner.id, digits, now())
    };
    let sid = number.sid;
    match api.store.batch().put_number(number).commit().await {
        Err(store::StoreError::Conflict { .. }) => Err(taken()),
        put => put.map(|_| Answer::created(sid)).map_err(Answer::from),
    }
}

async fn update(api: &Api, asked: &Asked, account: &Account, mut number: Number) -> Result {
    let same = |written: &str| normalise_number(written).is_ok_and(|digits| digits == number.number);
    if change(asked, "number")?.flatten().is_some_and(|written| !same(&written)) {
        return Err(Answer::bad("number may not be modified"));
    }
    let its = number.trunk.map(|trunk| trunk.to_string());
    if change(asked, "voip_carrier_sid")?.is_some_and(|written| written != its) {
        return Err(Answer::bad("voip_carrier_sid may not be modified"));
    }
    if change(asked, "account_sid")?.flatten().is_some_and(|written| written != account.id.to_string()) {
        return Err(Answer::bad("account_sid may not be modified; delete the number and add it to the other account"));
    }
    if let Some(app) = application(api, asked, account).await? {
        number.app_id = app;
    }
    api.store.batch().put_number(number).commit().await?;
    Ok(Answer::done())
}

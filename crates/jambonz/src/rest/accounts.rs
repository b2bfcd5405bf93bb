//! `/Accounts`, and what is under an account.

use axum::http::{Method, StatusCode};
use store::{Account, Application, Secret};

use super::answer::{Answer, Result};
use super::asked::{Asked, Scope, Who, all, change, listed, name, time};
use super::server::{Api, now, provisioning};
use super::{calls, conferences, history, queues, users};
use crate::hook::{Base, Hook};
use crate::json::{Object, Value};

pub(super) async fn dispatch(api: &Api, asked: &Asked, rest: &[&str]) -> Result {
    let method = &asked.method;
    let [sid, rest @ ..] = rest else {
        return match *method {
            Method::GET => list(api, asked).await,
            Method::POST => create(api, asked).await,
            _ => Err(Answer::not_found()),
        };
    };
    let account = asked.account(&api.store, sid).await?;
    match rest {
        [] => match *method {
            Method::GET => Ok(Answer::ok(record(&account, &applications(api, &account).await?))),
            Method::PUT => update(api, asked, account).await,
            Method::DELETE => delete(api, asked, account).await,
            _ => Err(Answer::not_found()),
        },
        ["WebhookSecret"] if *method == Method::GET => webhook_secret(api, asked, account).await,
        ["Calls", rest @ ..] => calls::dispatch(api, asked, &account, rest).await,
        ["CallCount"] if *method == Method::GET => calls::count(api, &account).await,
        ["Conferences", rest @ ..] => conferences::dispatch(api, asked, &account, rest).await,
        ["Queues"] if *method == Method::GET => queues::list(api, asked, &account).await,
        ["RecentCalls"] if *method == Method::GET => history::recent_calls(api, asked, &account).await,
        ["RecentCalls", call] if *method == Method::GET => history::recent_call(api, &account, call).await,
        ["Alerts"] if *method == Method::GET => history::alerts(api, asked, &account).await,
        ["RegisteredSipUsers", rest @ ..] => users::dispatch(api, asked, &account, rest).await,
        ["Messages"] if *method == Method::POST => Err(Answer::refused(
            axum::http::StatusCode::NOT_IMPLEMENTED,
            "this server sends no text messages; use a provider of messages",
        )),
        [kind, rest @ ..] => provisioning(api, asked, &Scope::of_path(account), kind, rest).await,
    }
}

async fn applications(api: &Api, account: &Account) -> Result<Vec<Application>> {
    all(|page| api.store.applications(account.id, None, page)).await
}

fn record(account: &Account, applications: &[Application]) -> Object {
    let default = applications.iter().find(|app| app.default_endpoint_app);
    let mut body = Object::new();
    body.set("account_sid", account.id.to_string());
    body.set("name", account.name.as_str());
    body.set("sip_realm", text_or_null(account.sip_realm.as_deref()));
    body.set("webhook_secret", account.webhook_secret.reveal());
    body.set("device_calling_application_sid", text_or_null(default.map(|app| app.sid.to_string()).as_deref()));
    let hook = account.settings.get(QUEUE_EVENTS).and_then(|hook| serde_json::from_value(hook.clone()).ok());
    body.set(QUEUE_EVENTS, super::applications::shown(hook.as_ref()));
    body.set("registration_hook", Value::Null);
    body.set("service_provider_sid", Value::Null);
    body.set("is_active", account.enabled);
    body.set("created_at", time(account.created_at));
    body
}

pub(super) fn text_or_null(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

/// Where the account's queues tell what happens in them, in its settings too.
pub const QUEUE_EVENTS: &str = "queue_event_hook";

async fn list(api: &Api, asked: &Asked) -> Result {
    let mut records = Vec::new();
    for account in asked.accounts(&api.store).await? {
        records.push(record(&account, &applications(api, &account).await?));
    }
    listed(asked, records)
}

async fn create(api: &Api, asked: &Asked) -> Result {
    if !matches!(asked.who, Who::Operator) {
        return Err(Answer::forbidden());
    }
    let name = name(asked)?.ok_or_else(|| Answer::bad("missing name parameter"))?;
    let mut account = Account::new(name, None, now());
    let realm = change(asked, "sip_realm")?.flatten();
    let realm = realm.unwrap_or_else(|| format!("{}.aside.internal", account.auth_id));
    account.sip_realm = Some(Account::check_realm(&realm, &api.shared_domains)?);
    hooks(asked, &mut account)?;
    api.store.batch().put_account(account.clone()).commit().await?;
    Ok(Answer::created(account.id))
}

/// What the vendor's server would ask or tell beside calls.
fn hooks(asked: &Asked, account: &mut Account) -> Result<()> {
    let properties = asked.properties()?;
    if properties.hook("registration_hook")?.is_some_and(|hook| !hook.url.is_empty()) {
        return Err(Answer::bad(
            "registration_hook is not supported: clients are authenticated here, by their passwords",
        ));
    }
    if asked.object()?.get(QUEUE_EVENTS).is_none() {
        return Ok(());
    }
    let hook = properties.hook(QUEUE_EVENTS)?.filter(|hook| !hook.url.is_empty());
    let before: Option<Hook> =
        account.settings.get(QUEUE_EVENTS).and_then(|hook| serde_json::from_value(hook.clone()).ok());
    let Some(settings) = account.settings.as_object_mut() else { return Ok(()) };
    match hook {
        None => settings.remove(QUEUE_EVENTS),
        Some(hook) => {
            Base::of(&hook).map_err(|error| Answer::bad(format!("{QUEUE_EVENTS}: {error}")))?;
            let hook = super::applications::with_password(hook, before.as_ref());
            let hook = serde_json::to_value(hook).map_err(|error| Answer::bad(error.to_string()))?;
            settings.insert(QUEUE_EVENTS.to_owned(), hook)
        }
    };
    Ok(())
}

async fn update(api: &Api, asked: &Asked, mut account: Account) -> Result {
    if let Some(name) = name(asked)? {
        account.name = name;
    }
    if let Some(realm) = change(asked, "sip_realm")? {
        let realm = realm.ok_or_else(|| Answer::bad("sip_realm must be a domain name"))?;
        let realm = Account::check_realm(&realm, &api.shared_domains)?;
        // Whoever has a domain has all calls to it: it is not for an account to take another's.
        if account.sip_realm.as_deref() != Some(realm.as_str()) && !matches!(asked.who, Who::Operator) {
            return Err(Answer::refused(StatusCode::FORBIDDEN, "sip_realm is changed with an operator's key"));
        }
        let endpoints = api.store.endpoints(account.id, None, store::Page::first(1)).await?.total;
        if account.sip_realm.as_deref() != Some(realm.as_str()) && endpoints > 0 {
            let words =
                "the account has clients, whose passwords are kept for its present sip_realm; delete them first";
            return Err(Answer::unprocessable(words));
        }
        account.sip_realm = Some(realm);
    }
    hooks(asked, &mut account)?;
    let mut batch = api.store.batch().put_account(account.clone());
    if let Some(wanted) = change(asked, "device_calling_application_sid")? {
        let known = applications(api, &account).await?;
        let is_wanted = |app: &Application| wanted.as_ref().is_some_and(|sid| app.sid.to_string() == *sid);
        if wanted.is_some() && !known.iter().any(is_wanted) {
            return Err(Answer::bad("unknown device_calling_application_sid"));
        }
        for app in known.into_iter().filter(|app| app.default_endpoint_app != is_wanted(app)) {
            let default_endpoint_app = !app.default_endpoint_app;
            batch = batch.put_application(Application { default_endpoint_app, ..app });
        }
    }
    batch.commit().await?;
    Ok(Answer::done())
}

/// The account is shut out and hidden. Its records stay.
async fn delete(api: &Api, asked: &Asked, account: Account) -> Result {
    if !matches!(asked.who, Who::Operator) {
        return Err(Answer::forbidden());
    }
    let id = account.id;
    api.store.batch().put_account(Account { enabled: false, ..account }).commit().await?;
    api.signalling.registrations_over(id, None).await;
    api.signalling.trunks_changed().await;
    Ok(Answer::done())
}

async fn webhook_secret(api: &Api, asked: &Asked, mut account: Account) -> Result {
    if asked.parameter("regenerate").is_some_and(|word| word == "true" || word == "1") {
        account.webhook_secret = Secret::new(store::id::webhook_secret());
        api.store.batch().put_account(account.clone()).commit().await?;
    }
    let mut body = Object::new();
    body.set("webhook_secret", account.webhook_secret.reveal());
    Ok(Answer::ok(body))
}

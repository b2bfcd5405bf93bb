//! `/Applications`.

use axum::http::Method;
use store::{Account, Application, Dialect, StoreError};

use super::answer::{Answer, Result};
use super::asked::{Asked, HIDDEN, Scope, all, listed, name, time};
use super::server::{Api, now};
use super::stored::{self, ApplicationSettings};
use crate::hook::{Base, BasicAuth, Hook, HookMethod};
use crate::json::{Object, Value};
use crate::verbs;

/// Most variables of an application.
const MOST_VARIABLES: usize = 200;

pub(super) async fn dispatch(api: &Api, asked: &Asked, scope: &Scope, rest: &[&str]) -> Result {
    let store = &api.store;
    let look = |account, sid| store.application_by_sid(account, sid);
    match (&asked.method, rest) {
        (&Method::GET, []) => list(api, asked, scope).await,
        (&Method::POST, []) => {
            let owner = scope.owner(asked, store).await?;
            create(api, asked, &owner).await
        }
        (&Method::GET, [sid]) => Ok(Answer::ok(record(&scope.find(sid, look).await?.1))),
        (&Method::PUT, [sid]) => {
            let (_, mut app) = scope.find(sid, look).await?;
            let mut settings = ApplicationSettings::of(&app);
            if let Some(name) = name(asked)? {
                app.name = name;
            }
            apply(asked, &mut app, &mut settings)?;
            put(api, app, &settings).await?;
            Ok(Answer::done())
        }
        (&Method::DELETE, [sid]) => {
            let (account, app) = scope.find(sid, look).await?;
            store.batch().delete_application(account.id, &app.app_id).commit().await?;
            Ok(Answer::done())
        }
        _ => Err(Answer::not_found()),
    }
}

async fn list(api: &Api, asked: &Asked, scope: &Scope) -> Result {
    let mut found = Vec::new();
    for account in scope.accounts() {
        found.extend(all(|page| api.store.applications(account.id, None, page)).await?);
    }
    if let Some(name) = asked.parameter("name").map(str::to_lowercase) {
        found.retain(|app| app.name.to_lowercase().contains(&name));
    }
    listed(asked, found.iter().map(record).collect())
}

async fn create(api: &Api, asked: &Asked, owner: &Account) -> Result {
    let name = name(asked)?.ok_or_else(|| Answer::bad("missing name parameter"))?;
    let hook = asked.properties()?.hook("call_hook")?.filter(|hook| !hook.url.is_empty());
    let hook = hook.ok_or_else(|| Answer::bad("missing call_hook parameter"))?;
    let mut app = Application::new(owner.id, name, Dialect::Jambonz, hook.url, now());
    let mut settings = ApplicationSettings::default();
    apply(asked, &mut app, &mut settings)?;
    let sid = app.sid;
    put(api, app, &settings).await?;
    Ok(Answer::created(sid))
}

/// Brings what is written into the application.
fn apply(asked: &Asked, app: &mut Application, settings: &mut ApplicationSettings) -> Result<()> {
    let (object, properties) = (asked.object()?, asked.properties()?);
    let written = |name: &str| object.get(name).is_some();
    if written("call_hook") {
        let hook = hook(asked, "call_hook")?.ok_or_else(|| Answer::bad("call_hook must be a url"))?;
        let hook = with_password(hook, Some(&settings.call_hook(app)));
        app.answer_method = stored::method(&hook);
        (app.answer_url, settings.call_hook_auth) = (hook.url, hook.auth);
        app.dialect = Dialect::Jambonz;
    }
    if written("call_status_hook") {
        let before = settings.call_status_hook(app);
        let hook = hook(asked, "call_status_hook")?.map(|hook| with_password(hook, before.as_ref()));
        app.hangup_method = hook.as_ref().map_or(store::Method::Post, stored::method);
        settings.call_status_hook_auth = hook.as_ref().and_then(|hook| hook.auth.clone());
        app.hangup_url = hook.map(|hook| hook.url);
    }
    if written("app_json") {
        let text = match properties.get("app_json") {
            None => None,
            Some(Value::Text(text)) => Some(text.as_str().to_owned()).filter(|text| !text.trim().is_empty()),
            Some(array) => Some(array.to_string()),
        };
        if let Some(text) = &text {
            verbs::document(text.as_bytes()).map_err(|error| Answer::bad(format!("invalid app_json: {error}")))?;
        }
        settings.app_json = text;
    }
    if written("env_vars") {
        let values = properties.object("env_vars")?.filter(|values| !values.is_empty()).cloned();
        if values.as_ref().is_some_and(|values| values.len() > MOST_VARIABLES) {
            return Err(Answer::bad(format!("env_vars has more than {MOST_VARIABLES} variables")));
        }
        settings.env_vars = values;
    }
    for (name, field) in [
        ("speech_synthesis_vendor", &mut settings.speech.synthesis_vendor),
        ("speech_synthesis_language", &mut settings.speech.synthesis_language),
        ("speech_synthesis_voice", &mut settings.speech.synthesis_voice),
        ("speech_recognizer_vendor", &mut settings.speech.recognizer_vendor),
        ("speech_recognizer_language", &mut settings.speech.recognizer_language),
    ] {
        if written(name) {
            *field = properties.line(name)?.filter(|text| !text.is_empty());
        }
    }
    Ok(())
}

/// A hook with an absolute URL; an empty one is none.
fn hook(asked: &Asked, name: &str) -> Result<Option<Hook>> {
    let Some(mut hook) = asked.properties()?.hook(name)?.filter(|hook| !hook.url.trim().is_empty()) else {
        return Ok(None);
    };
    hook.url = hook.url.trim().to_owned();
    Base::of(&hook).map_err(|error| Answer::bad(format!("{name}: {error}")))?;
    Ok(Some(hook))
}

/// The hook with its password: what was hidden is what it was before, and goes to no other server.
pub(super) fn with_password(mut hook: Hook, before: Option<&Hook>) -> Hook {
    if let Some(auth) = &mut hook.auth
        && auth.password == HIDDEN
    {
        let same = |before: &&Hook| origin(&before.url) == origin(&hook.url);
        let known = before.filter(same).and_then(|before| before.auth.as_ref());
        let known = known.filter(|known| known.username == auth.username);
        auth.password = known.map_or_else(String::new, |known| known.password.clone());
    }
    hook
}

fn origin(url: &str) -> Option<(String, Option<u16>)> {
    let url = url::Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default()))
}

/// A hook as it is shown: without its password.
pub(super) fn shown(hook: Option<&Hook>) -> Value {
    let Some(hook) = hook else { return Value::Null };
    let mut body = Object::new();
    body.set("url", hook.url.as_str());
    body.set("method", hook.method.unwrap_or(HookMethod::Post).as_str());
    let shown = |auth: &BasicAuth| (auth.username.clone(), HIDDEN);
    let (username, password) = hook.auth.as_ref().map(shown).unzip();
    body.set("username", username.map_or(Value::Null, Value::from));
    body.set("password", password.map_or(Value::Null, Value::from));
    body.into()
}

fn record(app: &Application) -> Object {
    let settings = ApplicationSettings::of(app);
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let mut body = Object::new();
    body.set("application_sid", app.sid.to_string());
    body.set("name", app.name.as_str());
    body.set("account_sid", app.account.to_string());
    body.set("call_hook", shown(Some(&settings.call_hook(app))));
    body.set("call_status_hook", shown(settings.call_status_hook(app).as_ref()));
    body.set("messaging_hook", Value::Null);
    body.set("app_json", text(&settings.app_json));
    body.set("speech_synthesis_vendor", text(&settings.speech.synthesis_vendor));
    body.set("speech_synthesis_language", text(&settings.speech.synthesis_language));
    body.set("speech_synthesis_voice", text(&settings.speech.synthesis_voice));
    body.set("speech_recognizer_vendor", text(&settings.speech.recognizer_vendor));
    body.set("speech_recognizer_language", text(&settings.speech.recognizer_language));
    body.set("env_vars", settings.env_vars.clone().map_or(Value::Null, Value::from));
    body.set("dialect", app.dialect.as_str());
    body.set("created_at", time(app.created_at));
    body
}

async fn put(api: &Api, mut app: Application, settings: &ApplicationSettings) -> Result<()> {
    app.settings = serde_json::to_value(settings).map_err(|error| StoreError::Invalid {
        what: "application",
        why: format!("its settings cannot be kept ({error})"),
    })?;
    api.store.batch().put_application(app).commit().await?;
    Ok(())
}

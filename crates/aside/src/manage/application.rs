//! Applications.

use clap::Args;
use jambonz::hook::{Base, BasicAuth, Hook};
use jambonz::rest::ApplicationSettings;
use serde::{Deserialize, Serialize};
use store::{Account, Application, Dialect, Method, Timestamp};
use utoipa::ToSchema;

use super::object::ApplicationObject;
use super::select::{check_name, normal_url, set, set_or_clear};
use super::{Action, Answer, ManageError, Manager, many, one};

/// A new application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationCreate {
    /// For people, unique in the account.
    pub name: String,
    /// Whose words it speaks: `plivo` or `jambonz`; plivo if left out.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub dialect: Option<Dialect>,
    /// Where instructions for a call come from (jambonz: the call hook, which may be a `ws` or `wss` URL).
    #[arg(long)]
    pub answer_url: String,
    /// `GET` or `POST`, for jambonz also `WS`; POST if left out, WS for a `ws` or `wss` URL.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub answer_method: Option<Method>,
    /// User name that `answer_url` asks for; for jambonz alone.
    #[arg(long)]
    #[serde(default)]
    pub username: Option<String>,
    /// Password that belongs to it. On the command line `-` reads it from the standard input.
    #[arg(long)]
    #[serde(default)]
    pub password: Option<String>,
    /// A variable of the application, `NAME=VALUE`; may be repeated; for jambonz alone.
    #[arg(long = "env")]
    #[serde(default)]
    pub env_vars: Vec<String>,
    /// Told at the end of a call (jambonz: the call status hook, told of each change).
    #[arg(long)]
    #[serde(default)]
    pub hangup_url: Option<String>,
    /// `GET` or `POST`; POST if left out.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub hangup_method: Option<Method>,
    /// Asked if `answer_url` fails.
    #[arg(long)]
    #[serde(default)]
    pub fallback_url: Option<String>,
    /// `GET` or `POST`; POST if left out.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub fallback_method: Option<Method>,
    /// For numbers without an application.
    #[arg(long)]
    #[serde(default)]
    pub default_number_app: bool,
    /// For endpoints without an application.
    #[arg(long)]
    #[serde(default)]
    pub default_endpoint_app: bool,
    /// Whether anybody may call its SIP URI.
    #[arg(long)]
    #[serde(default)]
    pub public_uri: bool,
    /// The sub-account it is for (auth id).
    #[arg(long)]
    #[serde(default)]
    pub sub_account: Option<String>,
}

/// A changed application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApplicationUpdate {
    /// For people, unique in the account.
    #[arg(long)]
    pub name: Option<String>,
    /// Where instructions for a call come from.
    #[arg(long)]
    pub answer_url: Option<String>,
    /// `GET` or `POST`, for jambonz also `WS`.
    #[arg(long)]
    #[schema(value_type = Option<String>)]
    pub answer_method: Option<Method>,
    /// User name that `answer_url` asks for; an empty text clears it with its password; for jambonz alone.
    #[arg(long)]
    pub username: Option<String>,
    /// Password that belongs to it. On the command line `-` reads it from the standard input.
    #[arg(long)]
    pub password: Option<String>,
    /// The application's variables, all of them, `NAME=VALUE`; may be repeated; for jambonz alone.
    #[arg(long = "env")]
    pub env_vars: Option<Vec<String>>,
    /// Told at the end of a call; an empty text clears it.
    #[arg(long)]
    pub hangup_url: Option<String>,
    /// `GET` or `POST`.
    #[arg(long)]
    #[schema(value_type = Option<String>)]
    pub hangup_method: Option<Method>,
    /// Asked if `answer_url` fails; an empty text clears it.
    #[arg(long)]
    pub fallback_url: Option<String>,
    /// `GET` or `POST`.
    #[arg(long)]
    #[schema(value_type = Option<String>)]
    pub fallback_method: Option<Method>,
    /// For numbers without an application.
    #[arg(long)]
    pub default_number_app: Option<bool>,
    /// For endpoints without an application.
    #[arg(long)]
    pub default_endpoint_app: Option<bool>,
    /// Whether anybody may call its SIP URI.
    #[arg(long)]
    pub public_uri: Option<bool>,
    /// Whether it takes calls.
    #[arg(long)]
    pub enabled: Option<bool>,
}

impl Manager {
    pub(super) async fn applications(
        &self,
        account: &Account,
        action: Action<ApplicationCreate, ApplicationUpdate>,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        let store = &self.store;
        match action {
            Action::Create(new) => {
                let dialect = new.dialect.unwrap_or(Dialect::Plivo);
                if dialect == Dialect::Native {
                    return Err(ManageError::invalid("dialect: write plivo or jambonz"));
                }
                let mut app = Application::new(account.id, new.name, dialect, new.answer_url, now);
                app.answer_method = new.answer_method.unwrap_or_else(|| usual_method(&app.answer_url));
                let variables = Some(new.env_vars).filter(|variables| !variables.is_empty());
                own_settings(&mut app, new.username, new.password, variables)?;
                app.hangup_url = new.hangup_url;
                set(&mut app.hangup_method, new.hangup_method);
                app.fallback_answer_url = new.fallback_url;
                set(&mut app.fallback_method, new.fallback_method);
                app.default_number_app = new.default_number_app;
                app.default_endpoint_app = new.default_endpoint_app;
                app.public_uri = new.public_uri;
                if let Some(sub) = &new.sub_account {
                    app.sub_account = Some(self.sub_account(account, sub).await?);
                }
                self.put_application(app).await
            }
            Action::List(listing) => {
                let listed = store.applications(account.id, None, listing.page()).await?;
                let mut items = Vec::with_capacity(listed.items.len());
                for app in &listed.items {
                    items.push(ApplicationObject::of(store, app).await?);
                }
                many(items, listed.total)
            }
            Action::Show(named) => {
                one(&ApplicationObject::of(store, &self.application(account, &named.id).await?).await?)
            }
            Action::Update(change) => {
                let mut app = self.application(account, &change.id).await?;
                let change = change.change;
                set(&mut app.name, change.name);
                if let Some(url) = change.answer_url {
                    let usual = usual_method(&url);
                    if usual == Method::Ws || app.answer_method == Method::Ws {
                        app.answer_method = usual;
                    }
                    app.answer_url = url;
                }
                set(&mut app.answer_method, change.answer_method);
                own_settings(&mut app, change.username, change.password, change.env_vars)?;
                set_or_clear(&mut app.hangup_url, change.hangup_url);
                set(&mut app.hangup_method, change.hangup_method);
                set_or_clear(&mut app.fallback_answer_url, change.fallback_url);
                set(&mut app.fallback_method, change.fallback_method);
                set(&mut app.default_number_app, change.default_number_app);
                set(&mut app.default_endpoint_app, change.default_endpoint_app);
                set(&mut app.public_uri, change.public_uri);
                set(&mut app.enabled, change.enabled);
                self.put_application(app).await
            }
            Action::Delete(named) => {
                let app = self.application(account, &named.id).await?;
                store.batch().delete_application(account.id, &app.app_id).commit().await?;
                Ok(Answer::Deleted(app.app_id))
            }
        }
    }

    async fn put_application(&self, mut app: Application) -> Result<Answer, ManageError> {
        check_name("name", &app.name)?;
        let dialect = app.dialect;
        let url = |what: &str, url: &str| match dialect {
            Dialect::Jambonz => hook_url(what, url),
            _ => normal_url(what, url),
        };
        app.answer_url = url("answer_url", &app.answer_url)?;
        for (what, field) in [("hangup_url", &mut app.hangup_url), ("fallback_url", &mut app.fallback_answer_url)] {
            if let Some(written) = field {
                *field = Some(url(what, written)?);
            }
        }
        self.store.batch().put_application(app.clone()).commit().await?;
        one(&ApplicationObject::of(&self.store, &app).await?)
    }
}

/// How a URL is asked if nobody says otherwise.
fn usual_method(url: &str) -> Method {
    if url.starts_with("ws://") || url.starts_with("wss://") { Method::Ws } else { Method::Post }
}

/// An absolute URL of `http`, `https`, `ws` or `wss`.
fn hook_url(what: &str, url: &str) -> Result<String, ManageError> {
    let url = url.trim();
    Base::of(&Hook::plain(url)).map_err(|error| ManageError::invalid(format!("{what}: {error}")))?;
    Ok(url.to_owned())
}

/// What an application of the jambonz dialect has beside its URLs.
fn own_settings(
    app: &mut Application,
    username: Option<String>,
    password: Option<String>,
    variables: Option<Vec<String>>,
) -> Result<(), ManageError> {
    if username.is_none() && password.is_none() && variables.is_none() {
        return Ok(());
    }
    if app.dialect != Dialect::Jambonz {
        return Err(ManageError::invalid("username, password and env are for applications of the jambonz dialect"));
    }
    let mut settings = ApplicationSettings::of(app);
    let known = settings.call_hook_auth.take();
    let username = username.or_else(|| known.as_ref().map(|auth| auth.username.clone()));
    let password = password.or_else(|| known.map(|auth| auth.password));
    settings.call_hook_auth = match (username.filter(|name| !name.is_empty()), password) {
        (Some(username), password) => Some(BasicAuth { username, password: password.unwrap_or_default() }),
        (None, _) => None,
    };
    if let Some(variables) = variables {
        let mut values = jambonz::json::Object::new();
        for variable in &variables {
            let (name, value) = variable
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| ManageError::invalid(format!("env {variable:?}: write NAME=VALUE")))?;
            values.set(name, value);
        }
        settings.env_vars = Some(values).filter(|values| !values.is_empty());
    }
    app.settings = serde_json::to_value(&settings)
        .map_err(|error| ManageError::invalid(format!("the settings cannot be kept ({error})")))?;
    Ok(())
}

//! Applications.

use clap::Args;
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
    /// Where instructions for a call come from.
    #[arg(long)]
    pub answer_url: String,
    /// `GET` or `POST`; POST if left out.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub answer_method: Option<Method>,
    /// Told at the end of a call.
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
    /// `GET` or `POST`.
    #[arg(long)]
    #[schema(value_type = Option<String>)]
    pub answer_method: Option<Method>,
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
                let mut app = Application::new(account.id, new.name, Dialect::Plivo, new.answer_url, now);
                set(&mut app.answer_method, new.answer_method);
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
                set(&mut app.answer_url, change.answer_url);
                set(&mut app.answer_method, change.answer_method);
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
        app.answer_url = normal_url("answer_url", &app.answer_url)?;
        for (what, url) in [("hangup_url", &mut app.hangup_url), ("fallback_url", &mut app.fallback_answer_url)] {
            if let Some(url) = url {
                *url = normal_url(what, url)?;
            }
        }
        self.store.batch().put_application(app.clone()).commit().await?;
        one(&ApplicationObject::of(&self.store, &app).await?)
    }
}

//! Endpoints: SIP users.

use clap::Args;
use serde::{Deserialize, Serialize};
use store::{Account, Credential, Endpoint, Timestamp};
use utoipa::ToSchema;

use super::object::EndpointObject;
use super::select::{check_name, set};
use super::{Action, Answer, ManageError, Manager, Refusal, many, one};

/// A new endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointCreate {
    /// The user part of its SIP address, exactly.
    pub username: String,
    /// Its password; made up and shown once if left out. On the command line `-` reads it from the standard input.
    #[arg(long)]
    #[serde(default)]
    pub password: Option<String>,
    /// The application for its calls (id or name); none: the account's default.
    #[arg(long)]
    #[serde(default)]
    pub app: Option<String>,
    /// For people.
    #[arg(long)]
    #[serde(default)]
    pub alias: Option<String>,
    /// The sub-account it is for (auth id).
    #[arg(long)]
    #[serde(default)]
    pub sub_account: Option<String>,
}

/// A changed endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointUpdate {
    /// A new password. On the command line `-` reads it from the standard input.
    #[arg(long)]
    pub password: Option<String>,
    /// The application for its calls (id or name); an empty text clears it.
    #[arg(long)]
    pub app: Option<String>,
    /// For people.
    #[arg(long)]
    pub alias: Option<String>,
    /// Whether it may register and call.
    #[arg(long)]
    pub enabled: Option<bool>,
}

impl Manager {
    pub(super) async fn endpoints(
        &self,
        account: &Account,
        action: Action<EndpointCreate, EndpointUpdate>,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        let store = &self.store;
        let domains = self.domains_of(account);
        match action {
            Action::Create(new) => self.create_endpoint(account, new, now).await,
            Action::List(listing) => {
                let listed = store.endpoints(account.id, None, listing.page()).await?;
                let mut items = Vec::with_capacity(listed.items.len());
                for endpoint in &listed.items {
                    items.push(EndpointObject::of(store, endpoint, &domains).await?);
                }
                many(items, listed.total)
            }
            Action::Show(named) => {
                let endpoint = self.endpoint(account, &named.id).await?;
                one(&EndpointObject::of(store, &endpoint, &domains).await?)
            }
            Action::Update(change) => {
                let mut endpoint = self.endpoint(account, &change.id).await?;
                let change = change.change;
                if let Some(app) = change.app {
                    endpoint.app_id = if app.is_empty() { None } else { Some(self.app_id(account, &app).await?) };
                }
                if let Some(alias) = &change.alias {
                    check_name("alias", alias)?;
                }
                set(&mut endpoint.alias, change.alias);
                set(&mut endpoint.enabled, change.enabled);
                let credentials = match &change.password {
                    Some(password) => Some(credentials(&endpoint.username, password, &domains)?),
                    None => None,
                };
                // Whoever registered with the old password, or may not register any more, is called no more.
                let shut_out = credentials.is_some() || !endpoint.enabled;
                let mut batch = store.batch().put_endpoint(endpoint.clone(), credentials);
                if shut_out {
                    batch = batch.delete_bindings(account.id, &endpoint.endpoint_id);
                }
                batch.commit().await?;
                if shut_out {
                    self.drop_registrations(account.id, Some(&endpoint.endpoint_id)).await;
                }
                one(&EndpointObject::of(store, &endpoint, &domains).await?)
            }
            Action::Delete(named) => {
                let endpoint = self.endpoint(account, &named.id).await?;
                store.batch().delete_endpoint(account.id, &endpoint.endpoint_id).commit().await?;
                self.drop_registrations(account.id, Some(&endpoint.endpoint_id)).await;
                Ok(Answer::Deleted(endpoint.endpoint_id))
            }
        }
    }

    async fn create_endpoint(
        &self,
        account: &Account,
        new: EndpointCreate,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        let domains = self.domains_of(account);
        Endpoint::check_username(&new.username)?;
        let mut endpoint = Endpoint::new(account.id, new.username, now);
        if let Some(alias) = &new.alias {
            check_name("alias", alias)?;
        }
        set(&mut endpoint.alias, new.alias);
        if let Some(app) = &new.app {
            endpoint.app_id = Some(self.app_id(account, app).await?);
        }
        if let Some(sub) = &new.sub_account {
            endpoint.sub_account = Some(self.sub_account(account, sub).await?);
        }
        let made_up = new.password.is_none().then(store::id::auth_token);
        let password = new.password.as_ref().or(made_up.as_ref()).map_or("", String::as_str);
        let credentials = credentials(&endpoint.username, password, &domains)?;
        let put = self.store.batch().put_endpoint(endpoint.clone(), Some(credentials)).commit().await;
        if let Err(store::StoreError::Conflict { .. }) = put {
            return Err(ManageError {
                kind: Refusal::Conflict,
                message: format!(
                    "the username {:?} is taken in one of {}, which all accounts may share; choose another",
                    endpoint.username,
                    domains.join(", ")
                ),
            });
        }
        put?;
        one(&EndpointObject { password: made_up, ..EndpointObject::of(&self.store, &endpoint, &domains).await? })
    }

    /// Where the account's endpoints may register: its own realm, and those that all accounts share.
    fn domains_of(&self, account: &Account) -> Vec<String> {
        account.sip_realm.iter().chain(&self.shared_domains).cloned().collect()
    }
}

fn credentials(username: &str, password: &str, domains: &[String]) -> Result<Vec<Credential>, ManageError> {
    Ok(Credential::of_password(username, password, domains.iter().map(String::as_str))?)
}

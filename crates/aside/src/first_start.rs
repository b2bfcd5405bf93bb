//! The first start: one account, and a key to manage it with.

use serde::Serialize;
use store::{Account, ApiKey, Page, Scope, Scopes, Store, StoreError, Timestamp};

/// What is shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The account's id: user name of the Plivo API.
    pub auth_id: String,
    /// Its token: password of the Plivo API, and what webhooks are signed with.
    pub auth_token: String,
    /// A key of the native API with every scope.
    pub admin_key: String,
    /// The SIP domain of its endpoints.
    pub realm: String,
}

/// Makes the first account in an empty database. `None` if there is one already.
///
/// # Errors
/// What the store says.
pub async fn first_start(store: &Store, now: Timestamp) -> Result<Option<Credentials>, StoreError> {
    if store.accounts(Page::first(1)).await?.total > 0 {
        return Ok(None);
    }
    let mut account = Account::new("default", None, now);
    let realm = format!("{}.aside.internal", account.auth_id.to_ascii_lowercase());
    account.sip_realm = Some(realm.clone());
    let scopes: Scopes = [Scope::Read, Scope::Monitor, Scope::Coach, Scope::Admin].into_iter().collect();
    let (key, shown) = ApiKey::generate(account.id, "first admin key", scopes, now);
    let credentials = Credentials {
        auth_id: account.auth_id.clone(),
        auth_token: account.auth_token.reveal().to_owned(),
        admin_key: shown.reveal().to_owned(),
        realm,
    };
    store.batch().put_account(account).put_api_key(key).commit().await?;
    Ok(Some(credentials))
}

impl Credentials {
    /// For a person, to be kept.
    pub fn human(&self) -> String {
        format!(
            "This is the first start: an account was made. Keep these, they are not shown again.\n\
             \n  auth id     {}\n  auth token  {}\n  admin key   {}\n  SIP domain  {}\n",
            self.auth_id, self.auth_token, self.admin_key, self.realm
        )
    }
}

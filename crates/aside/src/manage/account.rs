//! Accounts and sub-accounts.

use clap::Args;
use serde::{Deserialize, Serialize};
use store::{Account, PAGE_LIMIT, Page, Secret, Timestamp};
use utoipa::ToSchema;

use super::object::AccountObject;
use super::select::{check_name, set};
use super::{Action, Answer, By, ManageError, Manager, many, one};

/// A new account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountCreate {
    /// For people.
    pub name: String,
    /// The SIP domain of its endpoints; made from the auth id if left out.
    #[arg(long)]
    #[serde(default)]
    pub realm: Option<String>,
    /// Make it a sub-account of this main account (auth id, UUID or name).
    #[arg(long)]
    #[serde(default)]
    pub parent: Option<String>,
}

/// A changed account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountUpdate {
    /// For people.
    #[arg(long)]
    pub name: Option<String>,
    /// The SIP domain of its endpoints. Only while it has no endpoints: their passwords are kept per domain.
    #[arg(long)]
    pub realm: Option<String>,
    /// Whether it may do anything.
    #[arg(long)]
    pub enabled: Option<bool>,
    /// Make a new token and show it; the old one stops working.
    #[arg(long)]
    pub new_token: bool,
    /// Make a new secret for hooks of the jambonz dialect and show it; from then on they are signed with it.
    #[arg(long)]
    pub new_webhook_secret: bool,
}

impl Manager {
    pub(super) async fn accounts(
        &self,
        within: Option<&str>,
        action: Action<AccountCreate, AccountUpdate>,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        match action {
            Action::Create(new) => self.create_account(new, now).await,
            Action::List(listing) => {
                let Some(within) = within else {
                    let listed = self.store.accounts(listing.page()).await?;
                    return many(listed.items.iter().map(AccountObject::of).collect(), listed.total);
                };
                let main = self.account(Some(within)).await?;
                let mut all = vec![main.clone()];
                all.extend(self.store.sub_accounts(main.id).await?);
                let (items, total) = listing.cut(all);
                many(items.iter().map(AccountObject::of).collect(), total)
            }
            Action::Show(named) => one(&AccountObject::of(&self.any_account(within, &named.id).await?)),
            Action::Update(change) => {
                let account = self.any_account(within, &change.id).await?;
                self.update_account(account, change.change).await
            }
            Action::Delete(named) => {
                let account = self.any_account(within, &named.id).await?;
                Err(ManageError::conflict(format!(
                    "accounts are kept for their records; to shut {} out, run `aside account update {} --enabled false`",
                    account.auth_id, account.auth_id
                )))
            }
        }
    }

    /// A main account or sub-account; within a main account, that one and its own.
    async fn any_account(&self, within: Option<&str>, named: &str) -> Result<Account, ManageError> {
        let found = match self.account_or_sub(named).await? {
            Some(found) => found,
            None => self.account(Some(named)).await?,
        };
        if let Some(within) = within
            && self.account(Some(within)).await?.id != found.main()
        {
            return Err(ManageError::not_found("account", named));
        }
        Ok(found)
    }

    async fn create_account(&self, new: AccountCreate, now: Timestamp) -> Result<Answer, ManageError> {
        check_name("name", &new.name)?;
        let account = match &new.parent {
            Some(_) if new.realm.is_some() => {
                return Err(ManageError::invalid("a sub-account uses its main account's realm; leave --realm out"));
            }
            Some(parent) => self.account(Some(parent)).await?.new_sub(new.name, now),
            None => {
                let mut account = Account::new(new.name, None, now);
                let realm = new.realm.unwrap_or_else(|| format!("{}.aside.internal", account.auth_id));
                account.sip_realm = Some(Account::check_realm(&realm, &self.shared_domains)?);
                account
            }
        };
        self.store.batch().put_account(account.clone()).commit().await?;
        one(&AccountObject::with_token(&account).with_webhook_secret(&account))
    }

    async fn update_account(&self, mut account: Account, change: AccountUpdate) -> Result<Answer, ManageError> {
        if let Some(name) = &change.name {
            check_name("name", name)?;
        }
        let enabled = account.enabled;
        set(&mut account.name, change.name);
        set(&mut account.enabled, change.enabled);
        if let Some(realm) = change.realm {
            let realm = Account::check_realm(&realm, &self.shared_domains)?;
            if account.parent.is_some() {
                return Err(ManageError::invalid("a sub-account uses its main account's realm"));
            }
            let changes = account.sip_realm.as_deref() != Some(realm.as_str());
            // Whoever has a domain has all calls to it: it is not for an account to take another's.
            if changes && self.by == By::Account {
                return Err(ManageError::conflict(
                    "the realm of an account is for the operator to change: `aside account update --realm`",
                ));
            }
            if changes && self.store.endpoints(account.id, None, Page::first(PAGE_LIMIT)).await?.total > 0 {
                return Err(ManageError::conflict(
                    "the account has endpoints, whose passwords are kept for its present realm; delete them first",
                ));
            }
            account.sip_realm = Some(realm);
        }
        if change.new_token {
            account.auth_token = Secret::new(store::id::auth_token());
        }
        if change.new_webhook_secret {
            account.webhook_secret = Secret::new(store::id::webhook_secret());
        }
        self.store.batch().put_account(account.clone()).commit().await?;
        if enabled != account.enabled && account.parent.is_none() {
            if !account.enabled {
                self.drop_registrations(account.id, None).await;
            }
            self.trust_trunks().await;
        }
        let mut shown =
            if change.new_token { AccountObject::with_token(&account) } else { AccountObject::of(&account) };
        if change.new_webhook_secret {
            shown = shown.with_webhook_secret(&account);
        }
        one(&shown)
    }
}

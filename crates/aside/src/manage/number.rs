//! Numbers that calls come in on.

use clap::Args;
use serde::{Deserialize, Serialize};
use store::{Account, Number, Timestamp, normalise_number};
use utoipa::ToSchema;

use super::object::NumberObject;
use super::select::set_or_clear;
use super::{Action, Answer, ManageError, Manager, many, one};

/// A new number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberCreate {
    /// In international form, such as +14155550123.
    pub number: String,
    /// The application for its calls (id or name); none: the account's default.
    #[arg(long)]
    #[serde(default)]
    pub app: Option<String>,
    /// The trunk it comes in on (id or name); none: any of the account's.
    #[arg(long)]
    #[serde(default)]
    pub trunk: Option<String>,
    /// For people.
    #[arg(long)]
    #[serde(default)]
    pub alias: Option<String>,
    /// The sub-account it is for (auth id).
    #[arg(long)]
    #[serde(default)]
    pub sub_account: Option<String>,
}

/// A changed number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NumberUpdate {
    /// The application for its calls (id or name); an empty text clears it.
    #[arg(long)]
    pub app: Option<String>,
    /// The trunk it comes in on (id or name); an empty text clears it.
    #[arg(long)]
    pub trunk: Option<String>,
    /// For people; an empty text clears it.
    #[arg(long)]
    pub alias: Option<String>,
}

impl Manager {
    pub(super) async fn numbers(
        &self,
        account: &Account,
        action: Action<NumberCreate, NumberUpdate>,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        let store = &self.store;
        match action {
            Action::Create(new) => {
                let digits = normalise_number(&new.number)?;
                if store.number(account.id, &digits).await?.is_some() {
                    return Err(ManageError::conflict(format!(
                        "the number {digits} is there already; change it with update"
                    )));
                }
                let mut number = Number { alias: new.alias, ..Number::new(account.id, digits, now) };
                if let Some(app) = &new.app {
                    number.app_id = Some(self.app_id(account, app).await?);
                }
                if let Some(trunk) = &new.trunk {
                    number.trunk = Some(self.usable_trunk(account, trunk).await?.id);
                }
                if let Some(sub) = &new.sub_account {
                    number.sub_account = Some(self.sub_account(account, sub).await?);
                }
                self.put_number(number).await
            }
            Action::List(listing) => {
                let listed = store.numbers(account.id, None, listing.page()).await?;
                let mut items = Vec::with_capacity(listed.items.len());
                for number in &listed.items {
                    items.push(NumberObject::of(store, number).await?);
                }
                many(items, listed.total)
            }
            Action::Show(named) => one(&NumberObject::of(store, &self.number(account, &named.id).await?).await?),
            Action::Update(change) => {
                let mut number = self.number(account, &change.id).await?;
                let change = change.change;
                if let Some(app) = change.app {
                    number.app_id = if app.is_empty() { None } else { Some(self.app_id(account, &app).await?) };
                }
                if let Some(trunk) = change.trunk {
                    number.trunk =
                        if trunk.is_empty() { None } else { Some(self.usable_trunk(account, &trunk).await?.id) };
                }
                set_or_clear(&mut number.alias, change.alias);
                self.put_number(number).await
            }
            Action::Delete(named) => {
                let number = self.number(account, &named.id).await?;
                store.batch().delete_number(account.id, &number.number).commit().await?;
                Ok(Answer::Deleted(number.number))
            }
        }
    }

    async fn number(&self, account: &Account, named: &str) -> Result<Number, ManageError> {
        let digits = normalise_number(named)?;
        self.store.number(account.id, &digits).await?.ok_or_else(|| ManageError::not_found("number", named))
    }

    async fn put_number(&self, number: Number) -> Result<Answer, ManageError> {
        self.store.batch().put_number(number.clone()).commit().await?;
        one(&NumberObject::of(&self.store, &number).await?)
    }
}

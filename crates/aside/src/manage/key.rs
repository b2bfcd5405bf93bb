//! Keys of the native API.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use store::{Account, ApiKey, Scope, Scopes, Timestamp};
use utoipa::ToSchema;

use super::object::{KeyObject, parse_rfc3339};
use super::select::{check_name, set, set_or_clear};
use super::{Action, Answer, ManageError, Manager, many, one};

/// A new key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyCreate {
    /// For people.
    pub name: String,
    /// What it may do, separated by commas: `read`, `monitor`, `coach`, `admin`. No scope implies another.
    #[arg(long, value_delimiter = ',', required = true)]
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<Scope>,
    /// Only rooms whose name matches (`*` any text, `?` one character).
    #[arg(long)]
    #[serde(default)]
    pub rooms: Option<String>,
    /// Only rooms with a member of this tag, and only those members.
    #[arg(long)]
    #[serde(default)]
    pub tag: Option<String>,
    /// From when on it is refused, in RFC 3339, or after how many days, such as 30d.
    #[arg(long)]
    #[serde(default)]
    pub expires: Option<String>,
}

/// A changed key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyUpdate {
    /// For people.
    #[arg(long)]
    pub name: Option<String>,
    /// What it may do, all of it, separated by commas.
    #[arg(long, value_delimiter = ',')]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<Vec<Scope>>,
    /// Only rooms whose name matches; an empty text clears it.
    #[arg(long)]
    pub rooms: Option<String>,
    /// Only rooms with a member of this tag; an empty text clears it.
    #[arg(long)]
    pub tag: Option<String>,
    /// From when on it is refused, in RFC 3339, or after how many days, such as 30d; an empty text clears it.
    #[arg(long)]
    pub expires: Option<String>,
}

impl Manager {
    pub(super) async fn keys(
        &self,
        account: &Account,
        action: Action<KeyCreate, KeyUpdate>,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        match action {
            Action::Create(new) => {
                check_name("name", &new.name)?;
                let (mut key, shown) = ApiKey::generate(account.id, new.name, scopes(new.scopes)?, now);
                // An empty limit is a script's unset variable, not the wish for a key without limits.
                for (what, limit) in [("rooms", &new.rooms), ("tag", &new.tag), ("expires", &new.expires)] {
                    if limit.as_deref() == Some("") {
                        return Err(ManageError::invalid(format!(
                            "{what} is empty; leave it out for a key without this limit"
                        )));
                    }
                }
                (key.room_pattern, key.tag) = (new.rooms, new.tag);
                key.expires_at = new.expires.map(|text| expiry(&text, now)).transpose()?.flatten();
                self.store.batch().put_api_key(key.clone()).commit().await?;
                one(&KeyObject { key: Some(shown.reveal().to_owned()), ..KeyObject::of(&key) })
            }
            Action::List(listing) => {
                let (keys, total) = listing.cut(self.store.api_keys(account.id).await?);
                many(keys.iter().map(KeyObject::of).collect(), total)
            }
            Action::Show(named) => one(&KeyObject::of(&self.key(account, &named.id).await?)),
            Action::Update(change) => {
                let mut key = self.key(account, &change.id).await?;
                let change = change.change;
                if let Some(name) = &change.name {
                    check_name("name", name)?;
                }
                set(&mut key.name, change.name);
                if let Some(new) = change.scopes {
                    key.scopes = scopes(new)?;
                }
                set_or_clear(&mut key.room_pattern, change.rooms);
                set_or_clear(&mut key.tag, change.tag);
                if let Some(text) = change.expires {
                    key.expires_at = expiry(&text, now)?;
                }
                self.store.batch().put_api_key(key.clone()).commit().await?;
                one(&KeyObject::of(&key))
            }
            Action::Delete(named) => {
                let key = self.key(account, &named.id).await?;
                self.store.batch().delete_api_key(account.id, &key.id).commit().await?;
                Ok(Answer::Deleted(key.id))
            }
        }
    }

    /// A key by its id, its beginning (`aside_…`), or its name where that is unique.
    async fn key(&self, account: &Account, named: &str) -> Result<ApiKey, ManageError> {
        let id = named.strip_prefix("aside_").map_or(named, |rest| rest.split('_').next().unwrap_or(rest));
        if let Some(key) = self.store.api_key(account.id, id).await? {
            return Ok(key);
        }
        let mut same_name = self.store.api_keys(account.id).await?.into_iter().filter(|key| key.name == named);
        match (same_name.next(), same_name.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => {
                Err(ManageError::invalid(format!("several keys are named {named:?}; name one by its id")))
            }
            (None, _) => Err(ManageError::not_found("key", named)),
        }
    }
}

fn scopes(wanted: Vec<Scope>) -> Result<Scopes, ManageError> {
    if wanted.is_empty() {
        return Err(ManageError::invalid("scopes: name at least one of read, monitor, coach, admin"));
    }
    Ok(wanted.into_iter().collect())
}

/// A time, a number of days, or (empty) never.
pub(super) fn expiry(text: &str, now: Timestamp) -> Result<Option<Timestamp>, ManageError> {
    if text.is_empty() {
        return Ok(None);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let at = match days {
        Some(days) => Some(now.plus(Duration::from_secs(u64::from(days) * 86_400))),
        None => parse_rfc3339(text),
    };
    match at {
        Some(at) if at > now => Ok(Some(at)),
        Some(_) => Err(ManageError::invalid(format!("expires {text:?}: it lies in the past"))),
        None => Err(ManageError::invalid(format!(
            "expires {text:?}: write a time such as 2030-01-31T12:00:00Z, or days such as 30d"
        ))),
    }
}

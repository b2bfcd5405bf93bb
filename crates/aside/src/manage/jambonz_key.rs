//! Keys of the jambonz REST interface.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use store::{AccountId, BearerKey, Timestamp};

use super::key::expiry;
use super::object::JambonzKeyObject;
use super::{Answer, Listing, ManageError, Manager, Named, many, one};

/// What can be done with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "snake_case")]
pub enum JambonzKeyAction {
    /// Make a new one.
    Create(JambonzKeyCreate),
    /// List them.
    List(JambonzKeyListing),
    /// Delete one.
    Delete(Named),
}

/// A new key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
pub struct JambonzKeyCreate {
    /// A key for all accounts, which may also make accounts.
    #[arg(long)]
    pub operator: bool,
    /// From when on it is refused, in RFC 3339, or after how many days, such as 30d.
    #[arg(long)]
    pub expires: Option<String>,
}

/// Which keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct JambonzKeyListing {
    /// The keys for all accounts, in place of those of one.
    #[arg(long)]
    #[serde(default)]
    pub operator: bool,
    /// Which part of the list.
    #[command(flatten)]
    pub listing: Listing,
}

impl Manager {
    pub(super) async fn jambonz_keys(
        &self,
        account: Option<&str>,
        action: JambonzKeyAction,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        match action {
            JambonzKeyAction::Create(new) => {
                let (mut key, token) = BearerKey::generate(self.bearer(account, new.operator).await?, now);
                if new.expires.as_deref() == Some("") {
                    return Err(ManageError::invalid("expires is empty; leave it out for a key without this limit"));
                }
                key.expires_at = new.expires.map(|text| expiry(&text, now)).transpose()?.flatten();
                self.store.batch().put_bearer_key(key.clone()).commit().await?;
                one(&JambonzKeyObject { key: Some(token.reveal().to_owned()), ..JambonzKeyObject::of(&key) })
            }
            JambonzKeyAction::List(listing) => {
                let keys = self.store.bearer_keys(self.bearer(account, listing.operator).await?).await?;
                let (keys, total) = listing.listing.cut(keys);
                many(keys.iter().map(JambonzKeyObject::of).collect(), total)
            }
            JambonzKeyAction::Delete(named) => {
                let unknown = || ManageError::not_found("key", &named.id);
                let sid = named.id.parse().map_err(|_| unknown())?;
                let key = self.store.bearer_key(sid).await?.ok_or_else(unknown)?;
                if let Some(account) = account
                    && key.account != Some(self.account(Some(account)).await?.id)
                {
                    return Err(unknown());
                }
                self.store.batch().delete_bearer_key(key.account, key.sid).commit().await?;
                Ok(Answer::Deleted(key.sid.to_string()))
            }
        }
    }

    /// Whose keys; none: the operator's.
    async fn bearer(&self, account: Option<&str>, operator: bool) -> Result<Option<AccountId>, ManageError> {
        match (operator, account) {
            (true, Some(_)) => Err(ManageError::invalid("--operator is for all accounts; leave --account out")),
            (true, None) => Ok(None),
            (false, account) => Ok(Some(self.account(account).await?.id)),
        }
    }
}

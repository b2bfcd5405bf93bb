//! Leave for other accounts, and for sub-accounts, to use a trunk.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use store::{Account, TrunkGrant};

use super::object::GrantObject;
use super::{Answer, ManageError, Manager, many, one};

/// What is to be done with the leaves to use a trunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "snake_case")]
pub enum GrantAction {
    /// Let another account, or a sub-account, use a trunk within limits of its own; again, to change them.
    Grant(Grant),
    /// Take that back: no further calls, in or out.
    Revoke(Granted),
    /// List who may use a trunk.
    Grants(OfTrunk),
}

/// Which trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct OfTrunk {
    /// The trunk, by id or name.
    pub trunk: String,
}

/// Whose leave to use which trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct Granted {
    /// The trunk, by id or name.
    pub trunk: String,
    /// The account or sub-account that may use it, by auth id or UUID.
    #[arg(long, value_name = "ACCOUNT")]
    pub to: String,
}

/// A leave to use a trunk. Nothing is open unless it is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct Grant {
    /// Which and whose.
    #[command(flatten)]
    pub granted: Granted,
    /// Destinations it may dial, as prefixes of digits; may be repeated, an empty text allows all of the trunk's. None: it only
    /// gets calls.
    #[arg(long = "allow-prefix")]
    pub allowed_prefixes: Vec<String>,
    /// Most calls out per second.
    #[arg(long, default_value_t = store::DEFAULT_CALLS_PER_SECOND)]
    pub calls_per_second: u32,
    /// Most calls at once, in and out.
    #[arg(long, default_value_t = store::DEFAULT_CONCURRENT_CALLS)]
    pub max_concurrent: u32,
}

impl Manager {
    pub(super) async fn grants(&self, owner: &Account, action: GrantAction) -> Result<Answer, ManageError> {
        match action {
            GrantAction::Grant(new) => {
                let trunk = self.trunk(owner, &new.granted.trunk).await?;
                let to = self.grantee(&new.granted.to).await?;
                if to.id == owner.id {
                    return Err(ManageError::invalid(
                        "the trunk is its own already: its limits are those of the trunk",
                    ));
                }
                super::trunk::check_prefixes("allow-prefix", &new.allowed_prefixes)?;
                let grant = TrunkGrant {
                    account: to.id,
                    trunk: trunk.id,
                    allowed_prefixes: new.allowed_prefixes,
                    max_calls_per_second: new.calls_per_second,
                    max_concurrent: new.max_concurrent,
                };
                self.store.batch().grant_trunk(owner.id, grant.clone()).commit().await?;
                one(&GrantObject::of(&self.store, &trunk, &grant).await?)
            }
            GrantAction::Revoke(granted) => {
                let trunk = self.trunk(owner, &granted.trunk).await?;
                let to = self.grantee(&granted.to).await?;
                self.store.batch().withdraw_trunk(owner.id, to.id, trunk.id).commit().await?;
                Ok(Answer::Deleted(format!("the leave of {} to use trunk {}", to.auth_id, trunk.name)))
            }
            GrantAction::Grants(asked) => {
                let trunk = self.trunk(owner, &asked.trunk).await?;
                let grants = self.store.trunk_grants(owner.id, trunk.id).await?;
                let mut items = Vec::with_capacity(grants.len());
                for grant in &grants {
                    items.push(GrantObject::of(&self.store, &trunk, grant).await?);
                }
                let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
                many(items, total)
            }
        }
    }

    async fn grantee(&self, named: &str) -> Result<Account, ManageError> {
        self.account_or_sub(named).await?.ok_or_else(|| {
            ManageError::invalid(format!(
                "to {named:?}: there is no such account; write an auth id, such as MA… or SA…"
            ))
        })
    }
}

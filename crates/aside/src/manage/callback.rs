//! Callbacks: what programs are owed, and sending again what they did not take.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use store::{Account, Delivery, DeliveryFilter, DeliveryId, DeliveryState, PAGE_LIMIT, Page, StoreError, Timestamp};
use utoipa::ToSchema;

use super::object::CallbackObject;
use super::{Answer, Listing, ManageError, Manager, Named, many, one};

/// What is to be done with callbacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "snake_case")]
pub enum CallbackAction {
    /// List them, newest first.
    List(CallbackListing),
    /// Show one with what it says.
    Show(Named),
    /// Send failed ones again, each at the end of those that wait for its destination.
    Replay(Replay),
}

/// Where a callback is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// Waiting, or being tried.
    Pending,
    /// Taken.
    Done,
    /// Given up; it can be sent again.
    Failed,
}

impl From<CallbackState> for DeliveryState {
    fn from(state: CallbackState) -> Self {
        match state {
            CallbackState::Pending => Self::Pending,
            CallbackState::Done => Self::Done,
            CallbackState::Failed => Self::Failed,
        }
    }
}

/// Which part of which callbacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct CallbackListing {
    /// Only those in this state.
    #[arg(long, value_enum)]
    pub state: Option<CallbackState>,
    /// Which part.
    #[command(flatten)]
    pub listing: Listing,
}

/// Which failed callbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[group(id = "which", required = true, multiple = false)]
pub struct Replay {
    /// Its id.
    #[arg(group = "which")]
    pub id: Option<String>,
    /// All that have failed, oldest first, at most 1000 at a time.
    #[arg(long, group = "which")]
    pub all: bool,
}

impl Manager {
    pub(super) async fn callbacks(
        &self,
        account: &Account,
        action: CallbackAction,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        match action {
            CallbackAction::List(asked) => {
                let wanted = DeliveryFilter { state: asked.state.map(Into::into), ..DeliveryFilter::default() };
                let listed = self.store.deliveries(account.id, wanted, asked.listing.page()).await?;
                many(listed.items.iter().map(CallbackObject::brief).collect(), listed.total)
            }
            CallbackAction::Show(named) => one(&CallbackObject::whole(&self.callback(account, &named.id).await?)),
            CallbackAction::Replay(Replay { id: Some(id), .. }) => {
                let callback = self.callback(account, &id).await?;
                if callback.state != DeliveryState::Failed {
                    return Err(ManageError::conflict(format!(
                        "callback {id} is {}; only those that have failed can be sent again",
                        callback.state
                    )));
                }
                self.store.replay(account.id, callback.id, now).await?;
                one(&CallbackObject::whole(&self.callback(account, &id).await?))
            }
            CallbackAction::Replay(Replay { id: None, .. }) => self.replay_all(account, now).await,
        }
    }

    async fn callback(&self, account: &Account, named: &str) -> Result<Delivery, ManageError> {
        let found = match named.parse() {
            Ok(id) => self.store.delivery(account.id, DeliveryId(id)).await?,
            Err(_) => None,
        };
        found.ok_or_else(|| ManageError::not_found("callback", named))
    }

    /// Those for which there is no place stay where they are.
    async fn replay_all(&self, account: &Account, now: Timestamp) -> Result<Answer, ManageError> {
        let failed = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
        let total = self.store.deliveries(account.id, failed, Page::first(0)).await?.total;
        // The list is newest first; they are sent in the order in which they were made.
        let oldest = u32::try_from(total).unwrap_or(u32::MAX).saturating_sub(PAGE_LIMIT);
        let page = Page { limit: PAGE_LIMIT, offset: oldest };
        let mut again = Vec::new();
        for callback in self.store.deliveries(account.id, failed, page).await?.items.into_iter().rev() {
            match self.store.replay(account.id, callback.id, now).await {
                Ok(()) => again.extend(self.store.delivery(account.id, callback.id).await?),
                // Sent again by somebody else meanwhile, or too many wait for that destination.
                Err(StoreError::NotFound { .. } | StoreError::OutboxFull { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let count = u64::try_from(again.len()).unwrap_or(u64::MAX);
        many(again.iter().map(CallbackObject::brief).collect(), count)
    }
}

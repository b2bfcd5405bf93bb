//! What Aside remembers: accounts, applications, endpoints, numbers, trunks, call records, the ledger, events and the outbox.
//!
//! One SQLite file. Writing goes through one thread that commits what is queued in groups: [`Store::batch`] collects operations
//! that are committed together or not at all, and [`Batch::commit`] answers after the commit, so that an answer means done.
//! A commit survives the death of the process; see [`Synchronous`] for loss of power. Reading happens on a few read-only
//! connections and sees every batch whose commit was answered.
//!
//! Every row is under a main account, and every read takes the account, except the few `resolve_` and `authenticate` calls by
//! which a request finds its account. Time is handed in by the caller.
//!
//! ```
//! # use store::{Account, Store, StoreConfig, Timestamp};
//! # async fn example(store: Store, now: Timestamp) -> store::Result<()> {
//! let account = Account::new("Example", Some("example.sip.test".to_owned()), now);
//! store.batch().put_account(account.clone()).commit().await?;
//! assert_eq!(store.account(account.id).await?, Some(account));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod account;
mod api_key;
mod application;
mod batch;
mod bearer_key;
mod binding;
mod call;
mod column;
mod condition;
mod config;
mod counters;
mod endpoint;
mod error;
mod event;
mod gateway;
pub mod id;
mod invitation;
mod ledger;
mod link;
mod number;
mod origin;
mod outbox;
mod page;
mod place;
mod prune;
mod readers;
mod room;
mod schema;
pub mod secret;
mod setting;
mod store;
mod time;
mod trunk;
mod writer;

pub use account::Account;
pub use api_key::{ApiKey, Scope, Scopes, glob};
pub use application::{Application, Dialect, Method};
pub use batch::{Batch, Committed, Op};
pub use bearer_key::BearerKey;
pub use binding::Binding;
pub use call::{CallFilter, CallRecord, Direction, Life};
pub use condition::{Condition, PATIENCE};
pub use config::{StoreConfig, Synchronous};
pub use counters::StoreStats;
pub use endpoint::{Credential, Endpoint, SHARED_REALMS};
pub use error::{Result, StoreError, Trouble};
pub use event::{Event, EventPage, NewEvent};
pub use gateway::Gateway;
pub use id::{AccountId, CallId, DeliveryId, EventId, LedgerId, RoomId, TrunkId};
pub use invitation::{INVITATIONS, Invitation};
pub use ledger::{ActorKind, LEDGER_CHANGES_LIMIT, LedgerEntry, LedgerKind, LedgerView};
pub use link::Link;
pub use number::{Number, normalise_number};
pub use outbox::{Body, Claim, Delivery, DeliveryFilter, DeliveryState, NewDelivery, Retry, Subject};
pub use page::{Listed, PAGE_LIMIT, Page, TimeRange};
pub use prune::{PruneBefore, Pruned};
pub use room::{MemberFilter, MemberRecord, RoomFilter, RoomRecord, RoomStatus};
pub use secret::Secret;
pub use store::{Pending, PreviousBoot, Store};
pub use time::Timestamp;
pub use trunk::{
    CallerIdRules, Cidr, DEFAULT_CALLS_PER_SECOND, DEFAULT_CONCURRENT_CALLS, Transport, Trunk, TrunkGrant, UsableTrunk,
};

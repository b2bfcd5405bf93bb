//! Managing accounts and what belongs to them: one typed command, executed by one function, whoever asks: the command line
//! with its own database, the command line through the control socket, or the native API.

mod account;
mod application;
mod callback;
mod endpoint;
mod grant;
mod jambonz_key;
mod key;
mod link;
mod live;
mod number;
pub mod object;
mod select;
mod trunk;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::{Store, StoreError, Timestamp};

pub use account::{AccountCreate, AccountUpdate};
pub use application::{ApplicationCreate, ApplicationUpdate};
pub use callback::{CallbackAction, CallbackListing, CallbackState, Replay};
pub use endpoint::{EndpointCreate, EndpointUpdate};
pub use grant::{Grant, GrantAction, Granted, OfTrunk};
pub use jambonz_key::{JambonzKeyAction, JambonzKeyCreate, JambonzKeyListing};
pub use key::{KeyCreate, KeyUpdate};
pub use link::{LinkAction, LinkCreate};
pub use live::Live;
pub use number::{NumberCreate, NumberUpdate};
pub use trunk::{TrunkCreate, TrunkUpdate};

/// What is to be done with one kind of thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "snake_case")]
pub enum Action<C: Args, U: Args> {
    /// Make a new one.
    Create(C),
    /// List them.
    List(Listing),
    /// Show one.
    Show(Named),
    /// Change one; what is not named stays as it is.
    Update(Change<U>),
    /// Delete one.
    Delete(Named),
}

/// Which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct Named {
    /// Its id or name.
    pub id: String,
}

/// Which one, and what changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct Change<U: Args> {
    /// Its id or name.
    pub id: String,
    /// What changes.
    #[command(flatten)]
    pub change: U,
}

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct Listing {
    /// Rows wanted, at most 1000.
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
    /// Rows to skip.
    #[arg(long, default_value_t = 0)]
    pub offset: u32,
}

impl Listing {
    fn page(&self) -> store::Page {
        store::Page { limit: self.limit.min(store::PAGE_LIMIT), offset: self.offset }
    }

    /// The page of a list that was read whole.
    fn cut<T>(&self, items: Vec<T>) -> (Vec<T>, u64) {
        let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(self.limit.min(store::PAGE_LIMIT)).unwrap_or(usize::MAX);
        (items.into_iter().skip(skip).take(take).collect(), total)
    }
}

/// The kinds of things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Accounts and sub-accounts.
    Account(Action<AccountCreate, AccountUpdate>),
    /// Applications.
    Application(Action<ApplicationCreate, ApplicationUpdate>),
    /// Endpoints.
    Endpoint(Action<EndpointCreate, EndpointUpdate>),
    /// Numbers.
    Number(Action<NumberCreate, NumberUpdate>),
    /// Trunks.
    Trunk(Action<TrunkCreate, TrunkUpdate>),
    /// Leave to use trunks.
    TrunkGrant(GrantAction),
    /// Callbacks.
    Callback(CallbackAction),
    /// Keys of the native API.
    Key(Action<KeyCreate, KeyUpdate>),
    /// Keys of the jambonz REST interface.
    JambonzKey(JambonzKeyAction),
    /// Links by which customers call from a browser.
    Link(LinkAction),
}

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManageCommand {
    /// The account, by auth id, UUID or name; may be left out where there is only one.
    pub account: Option<String>,
    /// What to do.
    pub subject: Subject,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The thing made, shown or changed.
    One(Json),
    /// A part of a list.
    Many {
        /// The part.
        items: Vec<Json>,
        /// How many there are in all.
        total: u64,
    },
    /// It is gone.
    Deleted(String),
}

/// Why not. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ManageError {
    /// What kind of refusal.
    pub kind: Refusal,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such thing in this account.
    NotFound,
    /// A value makes no sense.
    Invalid,
    /// It clashes with something that is there.
    Conflict,
    /// The store is busy.
    Busy,
    /// The store failed.
    Failed,
}

impl ManageError {
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self {
            kind: Refusal::NotFound,
            message: format!("there is no {what} {id:?} in this account; list them to see their ids"),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: Refusal::Invalid, message: message.into() }
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self { kind: Refusal::Conflict, message: message.into() }
    }
}

impl From<StoreError> for ManageError {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NotFound { .. } => Refusal::NotFound,
            StoreError::Invalid { .. } | StoreError::MissingReference { .. } => Refusal::Invalid,
            StoreError::Conflict { .. } | StoreError::InUse { .. } => Refusal::Conflict,
            StoreError::Busy { .. } | StoreError::Unavailable { .. } | StoreError::OutboxFull { .. } => Refusal::Busy,
            _ => Refusal::Failed,
        };
        Self { kind, message: error.to_string() }
    }
}

/// Who commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Whoever runs the server.
    Operator,
    /// A program with a key of the account.
    Account,
}

/// What commands need beside the store.
#[derive(Clone, Debug)]
pub struct Manager {
    /// The database.
    pub store: Store,
    /// SIP domains that all accounts share: endpoints get credentials for them too.
    pub shared_domains: Vec<String>,
    /// The running server, if this is in it.
    pub live: Option<Live>,
    /// Who commands.
    pub by: By,
}

impl Manager {
    /// The same for programs, which may not touch what is other accounts'.
    pub fn for_accounts(self) -> Self {
        Self { by: By::Account, ..self }
    }

    /// Does it. An answer means that it is committed.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn run(&self, command: ManageCommand, now: Timestamp) -> Result<Answer, ManageError> {
        let ManageCommand { account, subject } = command;
        let account = account.as_deref();
        match subject {
            Subject::Account(action) => self.accounts(account, action, now).await,
            Subject::Application(action) => self.applications(&self.account(account).await?, action, now).await,
            Subject::Endpoint(action) => self.endpoints(&self.account(account).await?, action, now).await,
            Subject::Number(action) => self.numbers(&self.account(account).await?, action, now).await,
            Subject::Trunk(action) => self.trunks(&self.account(account).await?, action, now).await,
            Subject::TrunkGrant(action) => self.grants(&self.account(account).await?, action).await,
            Subject::Callback(action) => self.callbacks(&self.account(account).await?, action, now).await,
            Subject::JambonzKey(action) => self.jambonz_keys(account, action, now).await,
            Subject::Link(action) => self.links(&self.account(account).await?, action, now).await,
            Subject::Key(action) => self.keys(&self.account(account).await?, action, now).await,
        }
    }
}

/// The system's time now.
pub fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}

fn one<T: Serialize>(object: &T) -> Result<Answer, ManageError> {
    to_json(object).map(Answer::One)
}

fn many<T: Serialize>(objects: Vec<T>, total: u64) -> Result<Answer, ManageError> {
    Ok(Answer::Many { items: objects.iter().map(to_json).collect::<Result<_, _>>()?, total })
}

fn to_json<T: Serialize>(object: &T) -> Result<Json, ManageError> {
    serde_json::to_value(object).map_err(|error| ManageError {
        kind: Refusal::Failed,
        message: format!("the answer cannot be written ({error})"),
    })
}

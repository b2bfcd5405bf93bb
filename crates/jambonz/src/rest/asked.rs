//! A request that may be worked on, and whose rows it may see.

use axum::http::Method;
use store::{Account, AccountId, BearerKey, PAGE_LIMIT, Page, Store};
use uuid::Uuid;

use super::answer::{Answer, Result};
use crate::fault::Properties;
use crate::json::{Object, Value};

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// The operator: all accounts.
    Operator,
    /// An account.
    Account(Box<Account>),
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub who: Who,
    pub key: BearerKey,
    pub method: Method,
    /// Under which name this server was asked.
    pub host: String,
    /// What follows `/v1`, decoded, without empty segments.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    /// The body; an empty object where there is none.
    pub body: Value,
}

impl Asked {
    /// A parameter of the query; the first, if it is there several times.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn object(&self) -> Result<&Object> {
        self.body.as_object().ok_or_else(|| Answer::bad("the body must be a JSON object"))
    }

    pub fn properties(&self) -> Result<Properties<'_>> {
        self.object().map(Properties::new)
    }

    /// The account that a path names.
    pub async fn account(&self, store: &Store, sid: &str) -> Result<Account> {
        let sid = AccountId(uuid(sid)?);
        match &self.who {
            Who::Account(own) if own.id == sid => Ok((**own).clone()),
            // Whether there is such an account is none of his business.
            Who::Account(_) => Err(Answer::forbidden()),
            Who::Operator => main(store, sid).await?.ok_or_else(Answer::not_found),
        }
    }

    /// The accounts whose rows are seen.
    pub async fn accounts(&self, store: &Store) -> Result<Vec<Account>> {
        match &self.who {
            Who::Account(own) => Ok(vec![(**own).clone()]),
            Who::Operator => {
                let mut all = Vec::new();
                loop {
                    let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
                    let listed = store.accounts(Page { limit: PAGE_LIMIT, offset }).await?;
                    let last = listed.items.is_empty();
                    all.extend(listed.items);
                    if last || all.len() as u64 >= listed.total {
                        break;
                    }
                }
                all.retain(|account| account.enabled);
                Ok(all)
            }
        }
    }
}

/// An enabled main account.
pub(super) async fn main(store: &Store, sid: AccountId) -> Result<Option<Account>> {
    Ok(store.account(sid).await?.filter(|account| account.enabled && account.parent.is_none()))
}

/// A sid in a path.
pub(super) fn uuid(text: &str) -> Result<Uuid> {
    // Only the usual form: the library also takes others.
    Some(text)
        .filter(|text| text.len() == 36)
        .and_then(|text| Uuid::parse_str(text).ok())
        .ok_or_else(|| Answer::bad("Bad request"))
}

/// Whose rows a request for things of one kind is about: those of the account in its path, else all that it may see.
pub(super) struct Scope {
    accounts: Vec<Account>,
    in_path: bool,
}

impl Scope {
    pub fn of_path(account: Account) -> Self {
        Self { accounts: vec![account], in_path: true }
    }

    pub async fn of_key(asked: &Asked, store: &Store) -> Result<Self> {
        Ok(Self { accounts: asked.accounts(store).await?, in_path: false })
    }

    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account that something new is for: that of the path, else `account_sid` of the body, else the asking one.
    pub async fn owner(&self, asked: &Asked, store: &Store) -> Result<Account> {
        let written = asked.properties()?.line("account_sid")?.filter(|sid| !sid.is_empty());
        let written = match &written {
            None => None,
            Some(sid) => Some(AccountId(Uuid::parse_str(sid).map_err(|_| Answer::bad("account_sid must be a UUID"))?)),
        };
        let own = match (&asked.who, self.accounts.first()) {
            (Who::Account(own), _) => Some(&**own),
            (Who::Operator, first) => first.filter(|_| self.in_path),
        };
        match (own, written) {
            (Some(own), Some(written)) if own.id != written => Err(Answer::forbidden()),
            (Some(own), _) => Ok(own.clone()),
            (None, Some(written)) => main(store, written).await?.ok_or_else(|| Answer::bad("unknown account_sid")),
            (None, None) => Err(Answer::bad("account_sid is required")),
        }
    }

    /// What has this sid in one of the accounts.
    pub async fn find<T, F>(&self, sid: &str, look: impl Fn(AccountId, Uuid) -> F) -> Result<(&Account, T)>
    where
        F: Future<Output = store::Result<Option<T>>>,
    {
        let sid = uuid(sid)?;
        for account in &self.accounts {
            if let Some(found) = look(account.id, sid).await? {
                return Ok((account, found));
            }
        }
        Err(Answer::not_found())
    }
}

/// All rows of a list that is read page by page.
pub(super) async fn all<T, F>(read: impl Fn(Page) -> F) -> Result<Vec<T>>
where
    F: Future<Output = store::Result<store::Listed<T>>>,
{
    let mut items = Vec::new();
    loop {
        let offset = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let listed = read(Page { limit: PAGE_LIMIT, offset }).await?;
        let last = listed.items.is_empty();
        items.extend(listed.items);
        if last || items.len() as u64 >= listed.total {
            return Ok(items);
        }
    }
}

/// A list as it is answered: bare, or one page of it where the query asks for one.
pub(super) fn listed(asked: &Asked, items: Vec<Object>) -> Result {
    let Some(page) = asked.parameter("page") else { return Ok(Answer::ok(items)) };
    let number = |name: &str, text: &str, least: usize, most: usize| {
        let read = text.parse().ok().filter(|number| (least..=most).contains(number));
        read.ok_or_else(|| Answer::bad(format!("{name} must be a number from {least} to {most}")))
    };
    let page: usize = number("page", page, 1, 1_000_000)?;
    let size: usize = number("page_size", asked.parameter("page_size").unwrap_or("25"), 1, 1000)?;
    let mut body = Object::new();
    body.set("total", items.len() as u64);
    body.set("page", page as u64);
    body.set("page_size", size as u64);
    body.set("data", items.into_iter().skip((page - 1) * size).take(size).collect::<Vec<_>>());
    Ok(Answer::ok(body))
}

/// A change of an optional property: `None` where it is not written, `Some(None)` where it is `null` or empty.
pub(super) fn change(asked: &Asked, name: &str) -> Result<Option<Option<String>>> {
    if asked.object()?.get(name).is_none() {
        return Ok(None);
    }
    Ok(Some(asked.properties()?.line(name)?.filter(|text| !text.is_empty())))
}

/// A flag, as `true` or as `1`: databases of programs print it so.
pub(super) fn flag(asked: &Asked, name: &str) -> Result<Option<bool>> {
    match asked.object()?.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::Number(number)) if *number == 0.0 || *number == 1.0 => Ok(Some(*number != 0.0)),
        Some(_) => Err(Answer::bad(format!("{name} must be true or false"))),
    }
}

/// RFC 3339 in UTC, as JavaScript prints it.
pub(super) fn time(at: store::Timestamp) -> String {
    crate::hooks::iso(at.micros())
}

/// A name for people.
pub(super) fn name(asked: &Asked) -> Result<Option<String>> {
    let Some(name) = asked.properties()?.line("name")? else { return Ok(None) };
    let good = !name.trim().is_empty() && name.chars().count() <= 100;
    if good { Ok(Some(name)) } else { Err(Answer::bad("name must have 1 to 100 printable characters")) }
}

/// What stands in place of a secret; written back it changes nothing.
pub(super) const HIDDEN: &str = "********";

//! Links by which customers call from a browser.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use store::{Account, Link, Timestamp, normalise_number};
use utoipa::ToSchema;

use super::key::expiry;
use super::object::LinkObject;
use super::{Answer, Listing, ManageError, Manager, Named, many, one};

/// Longest name; it stands in an address.
const LONGEST_NAME: usize = 64;

/// What can be done with links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "snake_case")]
pub enum LinkAction {
    /// Make a new one; its path is shown once.
    Create(LinkCreate),
    /// List them, newest first.
    List(Listing),
    /// Show one.
    Show(Named),
    /// Delete one.
    Delete(Named),
}

/// A new link: to an application or to a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkCreate {
    /// Letters, digits, - and _; part of the link's address.
    pub name: String,
    /// The application that calls lead to (id or name).
    #[arg(long)]
    #[serde(default)]
    pub application: Option<String>,
    /// The number that is called.
    #[arg(long, conflicts_with = "application")]
    #[serde(default)]
    pub number: Option<String>,
    /// What callers are called.
    #[arg(long)]
    #[serde(default)]
    pub label: Option<String>,
    /// From when on it is refused, in RFC 3339, or after how many days, such as 30d.
    #[arg(long = "expires")]
    #[serde(default)]
    pub expires_at: Option<String>,
}

impl Manager {
    pub(super) async fn links(
        &self,
        account: &Account,
        action: LinkAction,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        let store = &self.store;
        match action {
            LinkAction::Create(new) => self.create_link(account, new, now).await,
            LinkAction::List(listing) => {
                let listed = store.links(account.id, listing.page()).await?;
                many(listed.items.iter().map(LinkObject::of).collect(), listed.total)
            }
            LinkAction::Show(named) => one(&LinkObject::of(&self.link(account, &named.id).await?)),
            LinkAction::Delete(named) => {
                let link = self.link(account, &named.id).await?;
                store.batch().delete_link(account.id, link.id).commit().await?;
                Ok(Answer::Deleted(link.id.to_string()))
            }
        }
    }

    async fn create_link(&self, account: &Account, new: LinkCreate, now: Timestamp) -> Result<Answer, ManageError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !(1..=LONGEST_NAME).contains(&new.name.len()) || !new.name.bytes().all(allowed) {
            let message = format!("name: write 1 to {LONGEST_NAME} letters, digits, - or _: it stands in an address");
            return Err(ManageError::invalid(message));
        }
        let label =
            call::shown::label(new.label.as_deref()).map_err(|error| ManageError::invalid(error.to_string()))?;
        let (mut link, token) = Link::generate(account.id, new.name, now);
        (link.app_id, link.number) = match (new.application, new.number) {
            (Some(app), None) => (Some(self.app_id(account, &app).await?), None),
            (None, Some(number)) => {
                let digits = normalise_number(&number)?;
                let known = self.store.number(account.id, &digits).await?;
                let known = known.ok_or_else(|| ManageError::not_found("number", &number))?;
                (None, Some(known.number))
            }
            (Some(_), Some(_)) => return Err(ManageError::invalid("name an application or a number, not both")),
            (None, None) => return Err(ManageError::invalid("name an application or a number that the link leads to")),
        };
        link.label = label;
        link.expires_at = new.expires_at.map(|text| expiry(&text, now)).transpose()?.flatten();
        self.store.batch().put_link(link.clone()).commit().await?;
        let path = Some(format!("/call/{}-{}", link.name, token.reveal()));
        one(&LinkObject { path, ..LinkObject::of(&link) })
    }

    /// A link by its id or name.
    async fn link(&self, account: &Account, named: &str) -> Result<Link, ManageError> {
        if let Ok(id) = named.parse()
            && let Some(link) = self.store.link(account.id, id).await?
        {
            return Ok(link);
        }
        let found = self.store.link_by_name(account.id, named).await?;
        found.ok_or_else(|| ManageError::not_found("link", named))
    }
}

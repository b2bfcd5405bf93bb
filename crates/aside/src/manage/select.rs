//! Finding what a command names: by id, or by name where that is unique.

use store::{Account, PAGE_LIMIT, Page};

use super::{ManageError, Manager, Refusal};

impl Manager {
    /// The main account that a command is about. Without a name: the only one there is.
    pub(super) async fn account(&self, named: Option<&str>) -> Result<Account, ManageError> {
        let accounts = self.store.accounts(Page::first(PAGE_LIMIT)).await?.items;
        let Some(named) = named else {
            let mut accounts = accounts.into_iter();
            return match (accounts.next(), accounts.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => {
                    Err(ManageError::invalid("there is no account yet; make one with `aside account create NAME`"))
                }
                (Some(_), Some(_)) => Err(ManageError::invalid(
                    "there are several accounts; name one with --account, by its auth id or name",
                )),
            };
        };
        if let Some(account) = self.account_or_sub(named).await?
            && account.parent.is_none()
        {
            return Ok(account);
        }
        let mut same_name = accounts.into_iter().filter(|account| account.name == named);
        match (same_name.next(), same_name.next()) {
            (Some(account), None) => Ok(account),
            (Some(_), Some(_)) => {
                Err(ManageError::invalid(format!("several accounts are named {named:?}; name one by its auth id")))
            }
            (None, _) => Err(ManageError {
                kind: Refusal::NotFound,
                message: format!("there is no account {named:?}; `aside account list` shows them"),
            }),
        }
    }

    /// An account or sub-account by auth id or UUID.
    pub(super) async fn account_or_sub(&self, named: &str) -> Result<Option<Account>, ManageError> {
        match named.parse() {
            Ok(id) => Ok(self.store.account(id).await?),
            Err(_) => Ok(self.store.account_by_auth_id(named).await?),
        }
    }

    /// An application's id, from its id, UUID or name.
    pub(super) async fn app_id(&self, account: &Account, named: &str) -> Result<String, ManageError> {
        Ok(self.application(account, named).await?.app_id)
    }

    pub(super) async fn application(&self, account: &Account, named: &str) -> Result<store::Application, ManageError> {
        let mut found = self.store.application(account.id, named).await?;
        if found.is_none() {
            found = match named.parse() {
                Ok(sid) => self.store.application_by_sid(account.id, sid).await?,
                Err(_) => self.store.application_by_name(account.id, named).await?,
            };
        }
        found.ok_or_else(|| ManageError::not_found("application", named))
    }

    pub(super) async fn endpoint(&self, account: &Account, named: &str) -> Result<store::Endpoint, ManageError> {
        let mut found = self.store.endpoint(account.id, named).await?;
        if found.is_none() {
            found = self.store.endpoint_by_username(account.id, named).await?;
        }
        found.ok_or_else(|| ManageError::not_found("endpoint", named))
    }

    /// A trunk of the account, or one that it has leave to use.
    pub(super) async fn usable_trunk(&self, account: &Account, named: &str) -> Result<store::Trunk, ManageError> {
        let usable = self.store.usable_trunks(account.id).await?.into_iter().map(|usable| usable.trunk);
        usable
            .into_iter()
            .find(|trunk| trunk.id.to_string() == named || trunk.name == named)
            .ok_or_else(|| ManageError::not_found("trunk", named))
    }

    pub(super) async fn trunk(&self, account: &Account, named: &str) -> Result<store::Trunk, ManageError> {
        let found = match named.parse() {
            Ok(id) => self.store.trunk(account.id, id).await?,
            Err(_) => self.store.trunk_by_name(account.id, named).await?,
        };
        found.ok_or_else(|| ManageError::not_found("trunk", named))
    }

    /// A sub-account of the account, by auth id or UUID.
    pub(super) async fn sub_account(&self, account: &Account, named: &str) -> Result<store::AccountId, ManageError> {
        let found = self.account_or_sub(named).await?.filter(|sub| sub.parent == Some(account.id));
        found.map(|sub| sub.id).ok_or_else(|| ManageError::not_found("sub-account", named))
    }
}

/// A name for people: 1 to 100 characters without control characters.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), ManageError> {
    if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(ManageError::invalid(format!("{what} {name:?}: write 1 to 100 printable characters")));
    }
    Ok(())
}

/// An absolute `http` or `https` URL, in its normal spelling: the one that is asked and signed. Where it may lead is checked when
/// it is asked.
pub(super) fn normal_url(what: &str, url: &str) -> Result<String, ManageError> {
    call::http::web_url(url)
        .map(String::from)
        .map_err(|error| ManageError::invalid(format!("{what}: {error}; write one such as https://example.com/answer")))
}

/// Sets `field` where a change is given.
pub(super) fn set<T>(field: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *field = value;
    }
}

/// Sets an optional field where a change is given; an empty text clears it.
pub(super) fn set_or_clear(field: &mut Option<String>, change: Option<String>) {
    if let Some(value) = change {
        *field = Some(value).filter(|value| !value.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::normal_url;

    #[test]
    fn urls_are_kept_in_the_spelling_that_is_asked_and_others_are_refused() {
        for url in ["http:/a.b", "http:a.b", "http:///a.b", "http:\\\\a.b", " HTTP://A.b:80"] {
            assert_eq!(normal_url("answer_url", url).ok().as_deref(), Some("http://a.b/"), "{url}");
        }
        // A private address may be allowed by the configuration; a fragment is the application's.
        let private = "https://127.0.0.1:8443/x?y=1#ct=2000";
        assert_eq!(normal_url("answer_url", private).ok().as_deref(), Some(private));
        for url in ["", "a.b", "ftp://a.b", "http://", "/x"] {
            assert!(normal_url("answer_url", url).is_err(), "{url}");
        }
    }
}

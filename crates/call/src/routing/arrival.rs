//! Calls that come in: the application that each leads to.

use sip::{Identity, Incoming};
use store::{AccountId, Application, StoreError};

use super::{Routing, digits_of};
use crate::keyholder::Barred;
use crate::room::RoomHandle;
use crate::ticket::Holder;
use crate::verb::Instruction;

/// Why a call that came in has no application.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoApplication {
    /// Nothing is reached by what was dialled.
    #[error("{dialled} leads to no application; give the number or endpoint one, or make one the default")]
    Unknown {
        /// What was dialled.
        dialled: String,
    },
    /// The endpoint may not call that.
    #[error("endpoint {endpoint} may not call {dialled}; give it leave to call {what} directly")]
    Forbidden {
        /// Its user name.
        endpoint: String,
        /// What was dialled.
        dialled: String,
        /// What kind of thing that is.
        what: &'static str,
    },
    /// The key that made the ticket lets nobody in any more.
    #[error("a ticket leads nowhere any more: {0}")]
    Barred(#[from] Barred),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a call that came in leads to.
pub(crate) struct Reached {
    /// Where its instructions come from.
    pub application: Application,
    /// Run in place of the application's; then nobody is asked for any, and no such application is stored.
    pub run: Option<Vec<Instruction>>,
    /// The room life that it enters first.
    pub room: Option<RoomHandle>,
    /// Whom it calls, where the dialled name does not say it.
    pub callee: Option<String>,
    /// Who came with a ticket.
    pub holder: Option<Holder>,
}

impl From<Application> for Reached {
    fn from(application: Application) -> Self {
        Self { application, run: None, room: None, callee: None, holder: None }
    }
}

impl Routing {
    /// What a call that came in leads to.
    pub async fn application(&self, call: &Incoming) -> Result<Reached, NoApplication> {
        let unknown = || NoApplication::Unknown { dialled: call.request_uri_text.clone() };
        let account: AccountId = call.identity.account().parse().map_err(|_| unknown())?;
        let user = &call.request_uri.user;
        let numbered = match digits_of(user) {
            Some(digits) => self.by_number(account, &digits).await?,
            None => None,
        };
        let named = match (numbered, &call.identity) {
            (Some(app), _) => app,
            (None, Identity::Trunk { .. }) => None,
            (None, Identity::Endpoint { endpoint, .. }) => match self.store.resolve_application(user).await? {
                Some(app) if app.account == account || app.public_uri => Some(app),
                _ => {
                    let caller = self.store.endpoint(account, endpoint).await?;
                    let own = match caller.as_ref().and_then(|caller| caller.app_id.as_ref()) {
                        Some(app) => self.store.application(account, app).await?,
                        None => self.store.default_endpoint_application(account).await?,
                    };
                    if let Some(caller) = &caller
                        && let Some(reached) = self.shortcut(call, caller, own.as_ref()).await?
                    {
                        return Ok(reached);
                    }
                    own
                }
            },
        };
        named.filter(|app| app.enabled).map(Reached::from).ok_or_else(unknown)
    }

    /// The application of one of the account's numbers, if it has any; `None`: it is none of the account's.
    pub(super) async fn by_number(
        &self,
        account: AccountId,
        digits: &str,
    ) -> Result<Option<Option<Application>>, StoreError> {
        let Some(number) = self.store.number(account, digits).await? else { return Ok(None) };
        let app = match &number.app_id {
            Some(app) => self.store.application(account, app).await?,
            None => self.store.default_number_application(account).await?,
        };
        Ok(Some(app))
    }
}

//! What the running server does at once after a change: registrations that count no more are dropped, and the addresses of
//! trunks are exempt from the limits for strangers.

use std::sync::Arc;

use call::carriers::{Carriers, Claim};
use store::{AccountId, StoreError, Trunk};
use tokio::sync::Mutex;

use super::Manager;

/// The running server's signalling, as managing needs it.
#[derive(Clone, Debug)]
pub struct Live {
    sip: sip::Sip,
    carriers: Carriers,
    /// Trunks are read and told in one step, so that an older reading never follows a newer one.
    telling: Arc<Mutex<()>>,
}

impl Live {
    /// Of this signalling plane, whose trunks lead to these carriers.
    pub fn new(sip: sip::Sip, carriers: Carriers) -> Self {
        Self { sip, carriers, telling: Arc::default() }
    }
}

impl Manager {
    /// Drops the registrations of an endpoint, or of all endpoints of the account.
    pub(crate) async fn drop_registrations(&self, account: AccountId, endpoint: Option<&str>) {
        if let Some(live) = &self.live {
            let dropped = live.sip.revoke(&account.to_string(), endpoint).await;
            tracing::info!(%account, endpoint, dropped, "registrations were dropped");
        }
    }

    /// Tells signalling the addresses of all trunks.
    pub async fn trust_trunks(&self) {
        if let Some(live) = &self.live
            && let Err(error) = self.tell_trunks(live).await
        {
            tracing::warn!(%error, "the addresses of trunks were not read: new ones count as strangers until the next change");
        }
    }

    /// Whose the carrier of this trunk is; an account cannot choose another's by itself.
    pub(crate) async fn claim(&self, trunk: &Trunk) -> Result<Claim, StoreError> {
        match &self.live {
            Some(live) => live.carriers.claim(trunk).await,
            None => Ok(Claim::Free),
        }
    }

    async fn tell_trunks(&self, live: &Live) -> Result<(), StoreError> {
        let _one = live.telling.lock().await;
        let sources = self.store.trunk_sources().await?;
        live.sip.trust(sources.into_iter().map(|block| (block.address(), block.prefix())));
        Ok(())
    }
}

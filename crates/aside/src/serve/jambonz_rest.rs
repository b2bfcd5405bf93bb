//! The jambonz dialect's REST interface, as this server mounts it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use call::carriers::Claim;
use call::engine::Engine;
use call::http::Http;
use jambonz::rest::{Api, Rate, Signalling};
use store::{AccountId, StoreError, Trunk};

use crate::config::{Config, planes};
use crate::manage::Manager;

#[async_trait]
impl Signalling for Manager {
    async fn registrations_over(&self, account: AccountId, endpoint: Option<&str>) {
        self.drop_registrations(account, endpoint).await;
    }

    async fn trunks_changed(&self) {
        self.trust_trunks().await;
    }

    async fn claim(&self, trunk: &Trunk) -> Result<Claim, StoreError> {
        Manager::claim(self, trunk).await
    }
}

/// The interface to this engine. What it provisions takes effect as what `manager` does.
pub fn api(config: &Config, engine: &Engine, manager: &Manager) -> Arc<Api> {
    let rate = Rate { burst: config.jambonz.rate_burst, window: Duration::from_secs(config.jambonz.rate_window_s) };
    Arc::new(Api::new(
        Arc::new(engine.clone()),
        manager.store.clone(),
        Http::new(planes::engine(config).http),
        Arc::new(manager.clone()),
        manager.shared_domains.clone(),
        rate,
    ))
}

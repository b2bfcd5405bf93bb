//! Where calls go: applications for those that come in; endpoints and trunks for those that go out.

mod arrival;
mod carrier;
mod destination;
mod places;
mod shortcut;
mod ticket;

use std::sync::Arc;

use sip::Identity;
use store::Store;

pub(crate) use arrival::{NoApplication, Reached};
pub(crate) use carrier::Targeted;
pub(crate) use destination::Route;
pub(crate) use places::TrunkPlace;

use crate::carriers::Carriers;
use crate::dialect::Dialect;
use crate::http::HttpPolicy;
use places::Uses;

/// Decides where calls go.
pub(crate) struct Routing {
    store: Store,
    sip: sip::Sip,
    carriers: Carriers,
    shared_domains: Vec<String>,
    /// Where trunks may lead.
    trunks: HttpPolicy,
    /// Whose words may be dialled.
    dialects: Vec<Arc<dyn Dialect>>,
    uses: Uses,
}

/// A SIP user as its address of record is written in this server.
pub(crate) fn aor(endpoint_id: &str) -> String {
    format!("endpoint:{endpoint_id}")
}

/// The endpoint of such an address.
fn endpoint_of(aor: &str) -> Option<&str> {
    aor.strip_prefix("endpoint:")
}

/// Digits of a number, or `None` if the text is none.
pub(crate) fn digits_of(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '+' | '-' | ' ' | '(' | ')' | '.')).collect();
    (!digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// The realm that serves `domain` for all accounts: a shared domain is its own; this server's bare address stands for
/// the first of them, so that a phone can be pointed at an IP address.
pub(crate) fn shared_realm(domain: &str, shared: &[String]) -> Option<String> {
    if shared.iter().any(|known| known == domain) {
        return Some(domain.to_owned());
    }
    let bare = domain == "localhost" || domain.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    shared.first().filter(|_| bare).cloned()
}

impl Routing {
    pub fn new(
        store: Store,
        sip: sip::Sip,
        shared_domains: Vec<String>,
        trunks: HttpPolicy,
        dialects: Vec<Arc<dyn Dialect>>,
    ) -> Self {
        let carriers = Carriers::new(store.clone(), sip.clone());
        Self { store, sip, carriers, shared_domains, trunks, dialects, uses: Uses::default() }
    }

    /// Where trunks lead.
    pub fn carriers(&self) -> &Carriers {
        &self.carriers
    }

    /// The domain for addresses of our own.
    pub async fn home_domain(&self, account: &str) -> String {
        let realm = match account.parse() {
            Ok(id) => self.store.account(id).await.ok().flatten().and_then(|account| account.sip_realm),
            Err(_) => None,
        };
        realm.or_else(|| self.shared_domains.first().cloned()).unwrap_or_else(|| "localhost".into())
    }

    /// The name of the trunk that a call came in on.
    pub async fn trunk_name(&self, identity: &Identity) -> Option<String> {
        let Identity::Trunk { account, trunk } = identity else { return None };
        let usable = self.store.usable_trunks(account.parse().ok()?).await.ok()?;
        usable.into_iter().find(|usable| usable.trunk.id.to_string() == *trunk).map(|usable| usable.trunk.name)
    }
}

#[cfg(test)]
mod tests;

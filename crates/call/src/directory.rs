//! Answers signalling's questions from the store: who may register, who calls, by which trunk.

use std::net::SocketAddr;
use std::time::SystemTime;

use async_trait::async_trait;
use sip::{Binding, Credential, Party, TrunkMatch};
use store::{AccountId, Page, Store, Timestamp};

use crate::routing::{aor, digits_of, shared_realm};

/// The directory over the store.
pub struct Directory {
    store: Store,
    shared_domains: Vec<String>,
}

impl Directory {
    /// A directory whose `shared_domains` every account's endpoints may use besides their account's own realm.
    pub fn new(store: Store, shared_domains: Vec<String>) -> Self {
        Self { store, shared_domains }
    }

    fn stored(&self, binding: &Binding) -> Option<store::Binding> {
        Some(store::Binding {
            account: binding.account.parse().ok()?,
            endpoint_id: binding.endpoint.clone(),
            contact: binding.contact.clone(),
            source: format!("{} {}", binding.source, binding.local),
            transport: match binding.transport {
                sip::Transport::Udp => "udp".to_owned(),
                sip::Transport::Tcp => "tcp".to_owned(),
            },
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            user_agent: Some(binding.user_agent.clone()).filter(|agent| !agent.is_empty()),
            path: Vec::new(),
            expires_at: Timestamp::from_system(binding.expires),
            updated_at: Timestamp::from_system(SystemTime::now()),
        })
    }
}

fn restored(row: store::Binding) -> Option<Binding> {
    let (source, local) = row.source.split_once(' ')?;
    let micros = u64::try_from(row.expires_at.micros()).ok()?;
    Some(Binding {
        aor: aor(&row.endpoint_id),
        account: row.account.to_string(),
        endpoint: row.endpoint_id,
        contact: row.contact,
        source: source.parse().ok()?,
        local: local.parse().ok()?,
        transport: if row.transport == "tcp" { sip::Transport::Tcp } else { sip::Transport::Udp },
        call_id: row.call_id,
        cseq: row.cseq,
        expires: SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(micros),
        user_agent: row.user_agent.unwrap_or_default(),
    })
}

fn logged<T>(what: &str, result: store::Result<T>) -> Option<T> {
    result.inspect_err(|error| tracing::error!(%error, "{what} failed")).ok()
}

#[async_trait]
impl sip::Directory for Directory {
    async fn realm(&self, domain: &str) -> Option<String> {
        let domain = domain.to_ascii_lowercase();
        if let Some(realm) = shared_realm(&domain, &self.shared_domains) {
            return Some(realm);
        }
        logged("looking a domain up", self.store.account_by_realm(&domain).await)??.sip_realm
    }

    async fn credential(&self, realm: &str, username: &str) -> Option<Credential> {
        let found = self.store.resolve_endpoint(realm, username).await;
        let (endpoint, credential) = logged("looking an endpoint up", found)??;
        endpoint.enabled.then(|| Credential {
            account: endpoint.account.to_string(),
            aor: aor(&endpoint.endpoint_id),
            endpoint: endpoint.endpoint_id,
            ha1_md5: credential.ha1_md5.reveal().to_owned(),
            ha1_sha256: credential.ha1_sha256.reveal().to_owned(),
        })
    }

    async fn trunk(&self, source: SocketAddr, called: &Party, _from: &Party) -> Option<TrunkMatch> {
        let trunks = logged("looking a trunk up", self.store.resolve_trunks(source.ip()).await)?;
        let number = match digits_of(&called.user) {
            Some(digits) => logged("looking a number up", self.store.resolve_number(&digits).await)?,
            None => None,
        }?;
        // Several trunks may share an address: the number's account decides, and its trunk if the number names one.
        let fits = |trunk: &&store::Trunk| {
            trunk.enabled && trunk.account == number.account && number.trunk.is_none_or(|id| id == trunk.id)
        };
        let trunk = trunks.iter().find(fits)?;
        Some(TrunkMatch { account: trunk.account.to_string(), trunk: trunk.id.to_string() })
    }

    async fn save_binding(&self, binding: &Binding) {
        if let Some(row) = self.stored(binding) {
            logged("keeping a registration", self.store.batch().put_binding(row).commit().await);
        }
    }

    async fn remove_binding(&self, binding: &Binding) {
        if let Ok(account) = binding.account.parse::<AccountId>() {
            let removal = self.store.batch().delete_binding(account, &binding.endpoint, &binding.contact);
            if let Err(error) = removal.commit().await {
                tracing::debug!(%error, "a registration was gone already");
            }
        }
    }

    async fn load_bindings(&self) -> Vec<Binding> {
        let now = Timestamp::from_system(SystemTime::now());
        let mut bindings = Vec::new();
        let mut offset = 0;
        loop {
            let page = Page { limit: store::PAGE_LIMIT, offset };
            let Some(accounts) = logged("reading accounts", self.store.accounts(page).await) else { break };
            if accounts.items.is_empty() {
                break;
            }
            offset += store::PAGE_LIMIT;
            for account in accounts.items {
                let rows = logged("reading registrations", self.store.account_bindings(account.id, now).await);
                bindings.extend(rows.unwrap_or_default().into_iter().filter_map(restored));
            }
        }
        bindings
    }
}

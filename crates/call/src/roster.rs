//! Answers signalling's questions from the store: who may register, who calls, by which trunk.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use sip::{Binding, Credential, Party, RosterError, TokenVerdict, TrunkMatch};
use store::{AccountId, Page, Store, Timestamp};

use crate::access_token::{AccessToken, Refusal, Wanted};
use crate::routing::{aor, digits_of, shared_realm};
use crate::ticket::{self, Tickets};

/// The roster as the store has it.
pub struct StoredRoster {
    store: Store,
    shared_domains: Vec<String>,
    tickets: Tickets,
}

impl StoredRoster {
    /// A roster whose `shared_domains` every account's endpoints may use besides their account's own realm.
    /// `tickets` are those of the engine.
    pub fn new(store: Store, shared_domains: Vec<String>, tickets: Tickets) -> Self {
        Self { store, shared_domains, tickets }
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
                sip::Transport::Ws => "ws".to_owned(),
                sip::Transport::Wss => "wss".to_owned(),
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

impl StoredRoster {
    /// What an access token is worth.
    async fn judged(
        &self,
        username: &str,
        token: &str,
        wanted: Wanted,
    ) -> Result<Result<TokenVerdict, Refusal>, RosterError> {
        let token = match AccessToken::read(token) {
            Ok(token) => token,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let issuer = asked("looking an account up", self.store.account_by_auth_id(token.issuer()).await)?;
        let Some(issuer) = issuer.filter(|account| account.enabled) else { return Ok(Err(Refusal::Issuer)) };
        let now = Timestamp::from_system(SystemTime::now()).micros() / 1_000_000;
        if let Err(refusal) = token.verify(issuer.auth_token.reveal(), username, wanted, now) {
            return Ok(Err(refusal));
        }
        let found = self.store.endpoint_by_username(issuer.main(), token.subject()).await;
        let known = |endpoint: &store::Endpoint| {
            endpoint.enabled && (issuer.parent.is_none() || endpoint.sub_account == Some(issuer.id))
        };
        let Some(endpoint) = asked("looking an endpoint up", found)?.filter(known) else {
            return Ok(Err(Refusal::Subject));
        };
        let credential = Credential {
            account: endpoint.account.to_string(),
            aor: aor(&endpoint.endpoint_id),
            endpoint: endpoint.endpoint_id,
            registers: true,
            // Nobody proves this by a password.
            ha1_md5: String::new(),
            ha1_sha256: String::new(),
        };
        let expires = token.expires();
        Ok(Ok(TokenVerdict::Good {
            credential,
            headers: vec![("X-Plivo-Jwt".to_owned(), format!("exp={expires}"))],
            until: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(expires).unwrap_or_default()),
            rings: token.rings(),
        }))
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
        transport: match row.transport.as_str() {
            "tcp" => sip::Transport::Tcp,
            "ws" => sip::Transport::Ws,
            "wss" => sip::Transport::Wss,
            _ => sip::Transport::Udp,
        },
        call_id: row.call_id,
        cseq: row.cseq,
        expires: SystemTime::UNIX_EPOCH + Duration::from_micros(micros),
        user_agent: row.user_agent.unwrap_or_default(),
    })
}

fn logged<T>(what: &str, result: store::Result<T>) -> Option<T> {
    result.inspect_err(|error| tracing::error!(%error, "{what} failed")).ok()
}

/// What was read, or why nothing is known.
fn asked<T>(what: &str, result: store::Result<T>) -> Result<T, RosterError> {
    result.map_err(|error| {
        tracing::error!(%error, "{what} failed");
        RosterError(error.to_string())
    })
}

#[async_trait]
impl sip::Roster for StoredRoster {
    async fn realm(&self, domain: &str) -> Result<Option<String>, RosterError> {
        let domain = domain.to_ascii_lowercase();
        if let Some(realm) = shared_realm(&domain, &self.shared_domains) {
            return Ok(Some(realm));
        }
        let account = asked("looking a domain up", self.store.account_by_realm(&domain).await)?;
        Ok(account.and_then(|account| account.sip_realm))
    }

    async fn credential(&self, realm: &str, username: &str) -> Result<Option<Credential>, RosterError> {
        if ticket::is_ticket(username) {
            return Ok(self.tickets.credential(realm, username, Instant::now()));
        }
        let found = self.store.resolve_endpoint(realm, username).await;
        let enabled = asked("looking an endpoint up", found)?.filter(|(endpoint, _)| endpoint.enabled);
        Ok(enabled.map(|(endpoint, credential)| Credential {
            account: endpoint.account.to_string(),
            aor: aor(&endpoint.endpoint_id),
            endpoint: endpoint.endpoint_id,
            registers: true,
            ha1_md5: credential.ha1_md5.reveal().to_owned(),
            ha1_sha256: credential.ha1_sha256.reveal().to_owned(),
        }))
    }

    async fn token(
        &self,
        _realm: &str,
        username: &str,
        token: &str,
        method: &str,
    ) -> Result<TokenVerdict, RosterError> {
        let wanted = if method == "INVITE" { Wanted::Call } else { Wanted::Register };
        match self.judged(username, token, wanted).await? {
            Ok(good) => Ok(good),
            Err(refusal) => {
                tracing::info!(username, %refusal, "an access token was refused");
                let code = (refusal as u32).to_string();
                Ok(TokenVerdict::Refused { headers: vec![("X-Plivo-Jwt-Error-Code".to_owned(), code)] })
            }
        }
    }

    async fn trunk(
        &self,
        source: SocketAddr,
        called: &Party,
        _from: &Party,
    ) -> Result<Option<TrunkMatch>, RosterError> {
        let here = asked("looking a trunk up", self.store.resolve_trunks(source.ip()).await)?;
        if here.is_empty() {
            return Ok(None);
        }
        let number = match digits_of(&called.user) {
            Some(digits) => asked("looking a number up", self.store.resolve_number(&digits).await)?,
            None => None,
        };
        let Some(number) = number else { return Ok(None) };
        // Several trunks may share an address: those decide that the number's account may use, its own or granted, and the
        // number's trunk if it names one.
        let usable = asked("looking an account's trunks up", self.store.usable_trunks(number.account).await)?;
        let fits = |usable: &&store::UsableTrunk| {
            let id = usable.trunk.id;
            number.trunk.is_none_or(|named| named == id) && here.iter().any(|trunk| trunk.id == id)
        };
        let account = number.account.to_string();
        Ok(usable.iter().find(fits).map(|usable| TrunkMatch { account, trunk: usable.trunk.id.to_string() }))
    }

    async fn save_binding(&self, binding: &Binding) {
        let Some(row) = self.stored(binding) else {
            tracing::error!(account = binding.account, "a registration cannot be kept: its account is no id");
            return;
        };
        logged("keeping a registration", self.store.batch().put_binding(row).commit().await);
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
                for row in rows.unwrap_or_default() {
                    let endpoint = row.endpoint_id.clone();
                    match restored(row) {
                        Some(binding) => bindings.push(binding),
                        None => {
                            tracing::error!(endpoint, "a registration cannot be read; its phone must register again")
                        }
                    }
                }
            }
        }
        bindings
    }
}

#[cfg(test)]
mod tests {
    use sip::Roster;
    use store::{Account, Endpoint, StoreConfig};

    use super::*;

    #[tokio::test]
    async fn a_database_that_cannot_be_read_makes_nobody_unknown() {
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let main = Account::new("main", Some("phone.test".to_owned()), at);
        for read_queue in [0, 8] {
            let store = Store::open_temporary(StoreConfig { read_queue, ..StoreConfig::default() }).unwrap();
            let secret = store::Credential::derive("bob", "secret1", ["phone.test"]);
            let batch = store.batch().put_account(main.clone());
            batch.put_endpoint(Endpoint::new(main.id, "bob", at), Some(secret)).commit().await.unwrap();
            let roster = StoredRoster::new(store, vec!["shared.test".to_owned()], Tickets::default());
            let called = Party { user: "15550001".to_owned(), ..Party::default() };
            let trunk = roster.trunk("192.0.2.1:5060".parse().unwrap(), &called, &Party::default()).await;
            let (realm, bob) = (roster.realm("phone.test").await, roster.credential("phone.test", "bob").await);
            let ghost = roster.credential("phone.test", "ghost").await;
            assert_eq!(roster.realm("shared.test").await, Ok(Some("shared.test".to_owned())));
            if read_queue == 0 {
                assert!(realm.is_err() && bob.is_err() && ghost.is_err() && trunk.is_err());
            } else {
                assert_eq!((realm, trunk), (Ok(Some("phone.test".to_owned())), Ok(None)));
                assert!(bob.unwrap().is_some() && ghost == Ok(None));
            }
        }
    }
}

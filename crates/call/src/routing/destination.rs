//! Calls that go out: endpoints, numbers by trunks, and SIP addresses, as somebody may dial them.

use std::net::IpAddr;

use sip::Party;
use store::{AccountId, Endpoint, StoreError, UsableTrunk};

use super::carrier::Unreachable;
use super::{Routing, aor, digits_of, endpoint_of, shared_realm};
use crate::command::{AccountRef, CommandError, Dial};
use crate::verb::TargetKind;

/// A destination as it may be dialled.
#[derive(Clone)]
pub(crate) enum Route {
    /// The phones of an endpoint.
    Endpoint { aor: String, to: Party },
    /// A number by a trunk.
    Trunk { trunk: Box<UsableTrunk>, digits: String, from: String },
    /// A SIP address that is none of ours.
    Uri { account: AccountId, uri: String, authority: String, transport: sip::Transport },
}

impl Route {
    /// The endpoint that is called, by its id.
    pub fn endpoint(&self) -> Option<&str> {
        let Self::Endpoint { aor, .. } = self else { return None };
        endpoint_of(aor)
    }
}

impl Routing {
    /// How each destination of a dial can be reached, in their order.
    pub async fn resolve_all(&self, account: &AccountRef, dial: &Dial) -> Result<Vec<Route>, CommandError> {
        let mut routes = Vec::with_capacity(dial.destinations.len());
        for destination in &dial.destinations {
            routes.push(self.resolve(account, &destination.to, &dial.from).await?);
        }
        Ok(routes)
    }

    pub(super) async fn resolve(&self, asking: &AccountRef, to: &str, from: &str) -> Result<Route, CommandError> {
        let failed = |error: StoreError| CommandError::Failed(error.to_string());
        let account: AccountId = asking.id.parse().map_err(|_| CommandError::Failed("no such account".into()))?;
        let address = to.strip_prefix("sip:").or_else(|| to.strip_prefix("sips:"));
        if let Some((user, host)) = address.and_then(|address| address.split_once('@')) {
            let domain = host.split([':', ';', '?']).next().unwrap_or(host).to_ascii_lowercase();
            let realm = shared_realm(&domain, &self.shared_domains).unwrap_or_else(|| domain.clone());
            let endpoint = self.store.resolve_endpoint(&realm, user).await.map_err(failed)?;
            let endpoint = endpoint.map(|(endpoint, _)| endpoint);
            let Some(endpoint) = endpoint.filter(|found| found.account == account && found.enabled) else {
                return Err(CommandError::NotFound { what: "endpoint", id: to.to_owned() });
            };
            if !self.may_dial(asking, account, &endpoint).await? {
                return Err(CommandError::NotFound { what: "endpoint", id: to.to_owned() });
            }
            return Ok(Route::Endpoint {
                aor: aor(&endpoint.endpoint_id),
                to: Party { user: user.to_owned(), host: domain, display: String::new() },
            });
        }
        let digits = digits_of(to).ok_or_else(|| {
            CommandError::Invalid(format!(
                "{to:?} is neither a number nor a sip: address; write 15551234567 or sip:user@domain"
            ))
        })?;
        self.by_trunk(asking, account, digits, (from, None)).await
    }

    /// The way of a number by a trunk: by that of this name, if one is named.
    async fn by_trunk(
        &self,
        asking: &AccountRef,
        account: AccountId,
        digits: String,
        (from, named): (&str, Option<&str>),
    ) -> Result<Route, CommandError> {
        let failed = |error: StoreError| CommandError::Failed(error.to_string());
        // A sub-account has the trunks that it was given leave to use, not its main account's.
        let using = if asking.auth_id.starts_with("SA") {
            let found = self.store.account_by_auth_id(&asking.auth_id).await.map_err(failed)?;
            let own = found.filter(|sub| sub.parent == Some(account) && sub.enabled);
            own.ok_or_else(|| CommandError::Forbidden("the sub-account is gone or disabled".into()))?.id
        } else {
            account
        };
        let trunks = self.store.usable_trunks(using).await.map_err(failed)?;
        let fits = |trunk: &UsableTrunk| named.is_none_or(|name| trunk.trunk.name == name);
        let trunk = trunks
            .into_iter()
            .find(|trunk| fits(trunk) && trunk.trunk.enabled && trunk.permits(&digits))
            .ok_or_else(|| {
                CommandError::Forbidden(format!(
                    "{} may dial {digits} by no trunk{}; create one whose prefixes allow it, or have one granted",
                    asking.auth_id,
                    named.map(|name| format!(" named {name:?}")).unwrap_or_default()
                ))
            })?;
        if let Some(host) = &trunk.trunk.host
            && let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>()
        {
            self.check_reach(host, address).map_err(|error| CommandError::Forbidden(error.to_string()))?;
        }
        let rules = &trunk.trunk.caller_id;
        let asked =
            digits_of(from).filter(|asked| rules.allowed.iter().any(|prefix| asked.starts_with(prefix.as_str())));
        let from = asked.or_else(|| rules.default.clone()).ok_or_else(|| {
            CommandError::Forbidden(format!("trunk {} does not allow the caller id {from:?}", trunk.trunk.name))
        })?;
        Ok(Route::Trunk { trunk: Box::new(trunk), digits, from })
    }

    /// How somebody can be reached that a program wants a call connected with, or called.
    pub async fn route(&self, asking: &AccountRef, to: &TargetKind, from: &str) -> Result<Route, CommandError> {
        let account: AccountId = asking.id.parse().map_err(|_| CommandError::Failed("no such account".into()))?;
        match to {
            TargetKind::Number { number, trunk } => {
                let digits = digits_of(number).ok_or_else(|| {
                    CommandError::Invalid(format!("{number:?} is no number; write digits, 15551234567 for example"))
                })?;
                self.by_trunk(asking, account, digits, (from, trunk.as_deref())).await
            }
            TargetKind::Uri(uri) => self.by_uri(asking, uri, from).await,
            TargetKind::Endpoint(name) if name.contains('@') => {
                self.resolve(asking, &format!("sip:{name}"), from).await
            }
            TargetKind::Endpoint(name) => {
                let failed = |error: StoreError| CommandError::Failed(error.to_string());
                let found = self.store.endpoint_by_username(account, name).await.map_err(failed)?;
                let missing = || CommandError::NotFound { what: "endpoint", id: name.clone() };
                let endpoint = found.filter(|endpoint| endpoint.enabled).ok_or_else(missing)?;
                if !self.may_dial(asking, account, &endpoint).await? {
                    return Err(missing());
                }
                let host = self.home_domain(&asking.id).await;
                let to = Party { user: name.clone(), host, display: String::new() };
                Ok(Route::Endpoint { aor: aor(&endpoint.endpoint_id), to })
            }
        }
    }

    /// The way to a SIP address: that of an endpoint, where the domain is one of ours; else out, where that may be reached.
    async fn by_uri(&self, asking: &AccountRef, text: &str, from: &str) -> Result<Route, CommandError> {
        let uri = sip::Uri::parse(text)
            .map_err(|error| CommandError::Invalid(format!("{text:?} cannot be called: {error}")))?;
        let domain = uri.host.to_ascii_lowercase();
        let known = self.store.account_by_realm(&domain).await;
        let ours = self.shared_domains.contains(&domain)
            || known.map_err(|error| CommandError::Failed(error.to_string()))?.is_some();
        if ours {
            return self.resolve(asking, text, from).await;
        }
        if uri.secure {
            let text = format!("{text:?} cannot be called: this server does not speak SIP over TLS");
            return Err(CommandError::Invalid(text));
        }
        // A name is looked up when it is called, and checked again.
        self.check_dialled(&uri.host, uri.ip()).await.map_err(|error| match error {
            Unreachable::Store(error) => error.into(),
            error => CommandError::Forbidden(error.to_string()),
        })?;
        let account = asking.id.parse().map_err(|_| CommandError::Failed("no such account".into()))?;
        let host = if uri.host.contains(':') { format!("[{}]", uri.host) } else { uri.host.clone() };
        let authority = uri.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let transport = if uri.wants_tcp() { sip::Transport::Tcp } else { sip::Transport::Udp };
        Ok(Route::Uri { account, uri: text.to_owned(), authority, transport })
    }

    /// A main account dials all its endpoints. Its sub-accounts dial their own and those that are the main account's, but
    /// not one another's, whose very names are none of their business.
    async fn may_dial(&self, asking: &AccountRef, main: AccountId, endpoint: &Endpoint) -> Result<bool, CommandError> {
        let Some(owner) = endpoint.sub_account else { return Ok(true) };
        if !asking.auth_id.starts_with("SA") {
            return Ok(true);
        }
        let found = self.store.account_by_auth_id(&asking.auth_id).await;
        let found = found.map_err(|error| CommandError::Failed(error.to_string()))?;
        Ok(found.is_some_and(|sub| sub.parent == Some(main) && sub.id == owner))
    }
}

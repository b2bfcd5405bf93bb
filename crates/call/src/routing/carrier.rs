//! Where the INVITEs of a route go, and whether a program may have them go there.

use std::net::IpAddr;

use sip::{Party, Target};
use store::{AccountId, StoreError, UsableTrunk};

use super::{Route, Routing};
use crate::carriers::{carrier, plain_host};
use crate::http::HttpPolicy;

/// Why a carrier cannot be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    /// Its name has no address.
    #[error(transparent)]
    Sip(#[from] sip::SipError),
    /// It leads where nobody allowed it to.
    #[error(
        "the host {host} leads to a private address ({address}); allow its network under [sip] allow, if it is yours"
    )]
    Forbidden {
        /// The host.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// It is not public; what the configuration allows to trunks is not for whoever dials an address.
    #[error(
        "the address {host} leads into a private network ({address}), which trunks alone may reach; dial a number by a \
         trunk that leads there"
    )]
    Private {
        /// The host.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// It is the carrier of a trunk, whose rules would not hold.
    #[error("the address {host} is that of a trunk; dial the number by the trunk, whose rules say who may")]
    Trunk {
        /// The host.
        host: String,
    },
    /// Its name leads to another account's carrier now.
    #[error("the host {host} leads to a carrier of another account's; the operator can give both trunks the same host")]
    Anothers {
        /// The host.
        host: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Unreachable {
    /// Whether it may not be called, unlike what cannot be found.
    pub fn is_forbidden(&self) -> bool {
        !matches!(self, Self::Sip(_) | Self::Store(_))
    }
}

/// One phone or carrier to send an INVITE to.
pub(crate) struct Targeted {
    pub target: Target,
    pub to: Option<Party>,
    pub from_user: Option<String>,
    pub auth: Option<(String, String)>,
    pub route: Option<String>,
    pub transport: Option<sip::Transport>,
    /// Whose trunk leads there; none where a program has dialled this very address, and for endpoints.
    pub owner: Option<AccountId>,
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match authority.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => authority,
    }
}

impl Targeted {
    fn to_contact(contact: sip::Contact, to: Party) -> Self {
        let target = Target::Contact(Box::new(contact));
        Self { target, to: Some(to), from_user: None, auth: None, route: None, transport: None, owner: None }
    }

    fn by_trunk(usable: &UsableTrunk, digits: &str, from: &str) -> Self {
        let trunk = &usable.trunk;
        let (authority, transport) = carrier(trunk).unwrap_or((String::new(), sip::Transport::Udp));
        let auth = trunk.username.clone().zip(trunk.password.as_ref().map(|password| password.reveal().to_owned()));
        Self {
            target: Target::Uri(format!("sip:{digits}@{authority}")),
            to: None,
            from_user: Some(from.to_owned()),
            auth,
            route: Some(authority),
            transport: Some(transport),
            owner: Some(trunk.account),
        }
    }
}

impl Routing {
    /// The phones to ring for a route; none: the endpoint is not registered.
    pub fn targets(&self, route: &Route) -> Vec<Targeted> {
        match route {
            Route::Endpoint { aor, to } => {
                let contacts = self.sip.contacts(aor);
                contacts.into_iter().map(|contact| Targeted::to_contact(contact, to.clone())).collect()
            }
            Route::Trunk { trunk, digits, from } => vec![Targeted::by_trunk(trunk, digits, from)],
            Route::Uri { uri, authority, transport, .. } => vec![Targeted {
                target: Target::Uri(uri.clone()),
                to: None,
                from_user: None,
                auth: None,
                route: Some(authority.clone()),
                transport: Some(*transport),
                owner: None,
            }],
        }
    }

    /// Where an INVITE goes; a carrier's name is looked up now, so that our session description names the address that
    /// leads there.
    pub async fn aim(&self, targeted: &mut Targeted) -> Result<IpAddr, Unreachable> {
        if let Target::Contact(contact) = &targeted.target {
            return Ok(contact.binding.source.ip());
        }
        let transport = targeted.transport.unwrap_or(sip::Transport::Udp);
        let authority = targeted.route.clone().unwrap_or_default();
        let address = self.sip.locate(&authority, transport).await?;
        let host = host_of(&authority);
        match targeted.owner {
            None => self.check_dialled(host, Some(address.ip())).await?,
            Some(owner) => {
                self.check_reach(host, address.ip())?;
                if self.carriers.has_moved(owner, host, address.ip()).await? {
                    return Err(Unreachable::Anothers { host: host.to_owned() });
                }
            }
        }
        targeted.route = Some(address.to_string());
        Ok(address.ip())
    }

    /// Refuses a carrier in a private network, unless the configuration names its host or allows the network.
    pub(super) fn check_reach(&self, host: &str, address: IpAddr) -> Result<(), Unreachable> {
        if self.trunks.hosts.contains_key(&host.to_ascii_lowercase()) || self.trunks.allows(address) {
            return Ok(());
        }
        Err(Unreachable::Forbidden { host: host.to_owned(), address })
    }

    /// Refuses an address that a program dials where a trunk leads, whosever it is: who may dial what by it is for its rules
    /// to say. What the configuration lets trunks reach is for them alone.
    pub(super) async fn check_dialled(&self, host: &str, address: Option<IpAddr>) -> Result<(), Unreachable> {
        let host = plain_host(host);
        let trunks = self.store.all_trunks().await?;
        let is_trunk = || Unreachable::Trunk { host: host.clone() };
        if trunks.iter().filter_map(|trunk| trunk.host.as_deref()).any(|trunk| plain_host(trunk) == host) {
            return Err(is_trunk());
        }
        let Some(address) = address else { return Ok(()) };
        let address = address.to_canonical();
        if self.carriers.lead_to(&trunks, address).await {
            return Err(is_trunk());
        }
        match HttpPolicy::default().allows(address) {
            true => Ok(()),
            false => Err(Unreachable::Private { host, address }),
        }
    }
}

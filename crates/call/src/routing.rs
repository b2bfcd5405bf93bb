//! Where calls go: applications for those that come in; endpoints and trunks for those that go out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sip::{Identity, Incoming, Party, Target};
use store::{AccountId, Application, Endpoint, Store, StoreError, Trunk, TrunkId, UsableTrunk};
use tokio::task::JoinSet;

use crate::command::{AccountRef, CommandError, Dial};
use crate::dialect::Dialect;
use crate::http::HttpPolicy;
use crate::verb::{Instruction, TargetKind};

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
}

impl From<Application> for Reached {
    fn from(application: Application) -> Self {
        Self { application, run: None }
    }
}

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
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Unreachable {
    /// Whether it may not be called, unlike what cannot be found.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::Private { .. } | Self::Trunk { .. })
    }
}

/// Most calls per second of one account to SIP addresses that are none of ours.
const URIS_PER_SECOND: u32 = store::DEFAULT_CALLS_PER_SECOND;
/// Most of them at once.
const URIS_AT_ONCE: u32 = store::DEFAULT_CONCURRENT_CALLS;
/// For the addresses of all trunks to be found.
const TRUNKS_FOUND: Duration = Duration::from_secs(3);

/// Decides where calls go.
pub(crate) struct Routing {
    store: Store,
    sip: sip::Sip,
    shared_domains: Vec<String>,
    /// Where trunks may lead.
    trunks: HttpPolicy,
    /// Whose words may be dialled.
    dialects: Vec<Arc<dyn Dialect>>,
    uses: Arc<Mutex<HashMap<UsedBy, TrunkUse>>>,
}

/// What has limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum UsedBy {
    /// A trunk, by all who use it or by one account.
    Trunk(TrunkId, Option<AccountId>),
    /// SIP addresses that are none of ours, by one account.
    Uris(AccountId),
}

#[derive(Default)]
struct TrunkUse {
    live: u32,
    recent: VecDeque<Instant>,
}

/// A place on a trunk, freed when dropped.
pub(crate) struct TrunkPlace {
    taken: Vec<UsedBy>,
    uses: Arc<Mutex<HashMap<UsedBy, TrunkUse>>>,
}

impl Drop for TrunkPlace {
    fn drop(&mut self) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for used_by in &self.taken {
            if let Some(used) = uses.get_mut(used_by) {
                used.live = used.live.saturating_sub(1);
            }
        }
    }
}

/// A SIP user as its address of record is written in this server.
pub(crate) fn aor(endpoint_id: &str) -> String {
    format!("endpoint:{endpoint_id}")
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
        Self { store, sip, shared_domains, trunks, dialects, uses: Arc::default() }
    }

    pub fn dialects(&self) -> &[Arc<dyn Dialect>] {
        &self.dialects
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What a call that came in leads to.
    pub async fn application(&self, call: &Incoming) -> Result<Reached, NoApplication> {
        let unknown = || NoApplication::Unknown { dialled: call.request_uri_text.clone() };
        let account: AccountId = call.identity.account().parse().map_err(|_| unknown())?;
        let user = &call.request_uri.user;
        let number = match digits_of(user) {
            Some(digits) => self.store.number(account, &digits).await?,
            None => None,
        };
        let named = match (&number, &call.identity) {
            (Some(number), _) => match &number.app_id {
                Some(app) => self.store.application(account, app).await?,
                None => self.store.default_number_application(account).await?,
            },
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

    /// How each destination of a dial can be reached, in their order.
    pub async fn resolve_all(&self, account: &AccountRef, dial: &Dial) -> Result<Vec<Route>, CommandError> {
        let mut routes = Vec::with_capacity(dial.destinations.len());
        for destination in &dial.destinations {
            routes.push(self.resolve(account, &destination.to, &dial.from).await?);
        }
        Ok(routes)
    }

    async fn resolve(&self, asking: &AccountRef, to: &str, from: &str) -> Result<Route, CommandError> {
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
                dialled: true,
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
        match targeted.dialled {
            true => self.check_dialled(host_of(&authority), Some(address.ip())).await?,
            false => self.check_reach(host_of(&authority), address.ip())?,
        }
        targeted.route = Some(address.to_string());
        Ok(address.ip())
    }

    /// Refuses a carrier in a private network, unless the configuration names its host or allows the network.
    fn check_reach(&self, host: &str, address: IpAddr) -> Result<(), Unreachable> {
        if self.trunks.hosts.contains_key(&host.to_ascii_lowercase()) || self.trunks.allows(address) {
            return Ok(());
        }
        Err(Unreachable::Forbidden { host: host.to_owned(), address })
    }

    /// Refuses an address that a program dials where a trunk leads, whosever it is: who may dial what by it is for its rules
    /// to say. What the configuration lets trunks reach is for them alone.
    async fn check_dialled(&self, host: &str, address: Option<IpAddr>) -> Result<(), Unreachable> {
        let host = plain_host(host);
        let trunks = self.store.all_trunks().await?;
        let is_trunk = || Unreachable::Trunk { host: host.clone() };
        if trunks.iter().filter_map(|trunk| trunk.host.as_deref()).any(|trunk| plain_host(trunk) == host) {
            return Err(is_trunk());
        }
        let Some(address) = address else { return Ok(()) };
        let address = address.to_canonical();
        if trunks.iter().any(|trunk| trunk.sources.iter().any(|block| block.contains(address)))
            || self.leads_to(&trunks, address).await
        {
            return Err(is_trunk());
        }
        match HttpPolicy::default().allows(address) {
            true => Ok(()),
            false => Err(Unreachable::Private { host, address }),
        }
    }

    /// Whether one of these trunks has its carrier there. A name that has no address now leads nowhere.
    async fn leads_to(&self, trunks: &[Trunk], address: IpAddr) -> bool {
        let mut looked_up = JoinSet::new();
        for trunk in trunks {
            let Some(targeted) = Targeted::to_carrier(trunk) else { continue };
            let sip = self.sip.clone();
            looked_up.spawn(async move { sip.locate(&targeted.0, targeted.1).await.map(|at| at.ip().to_canonical()) });
        }
        let found = async {
            while let Some(found) = looked_up.join_next().await {
                if matches!(found, Ok(Ok(at)) if at == address) {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(TRUNKS_FOUND, found).await.unwrap_or(false)
    }

    /// The domain for addresses of our own.
    pub async fn home_domain(&self, account: &str) -> String {
        let realm = match account.parse() {
            Ok(id) => self.store.account(id).await.ok().flatten().and_then(|account| account.sip_realm),
            Err(_) => None,
        };
        realm.or_else(|| self.shared_domains.first().cloned()).unwrap_or_else(|| "localhost".into())
    }

    /// Takes a place on the route's trunk, within its limits.
    pub fn take_place(&self, route: &Route) -> Result<Option<TrunkPlace>, CommandError> {
        match route {
            Route::Endpoint { .. } => Ok(None),
            Route::Uri { account, .. } => {
                let limits = vec![(UsedBy::Uris(*account), (URIS_PER_SECOND, URIS_AT_ONCE))];
                self.take(limits, true, ["calls to SIP addresses at once", "calls to SIP addresses per second"])
                    .map(Some)
            }
            Route::Trunk { trunk, .. } => self.take(trunk_limits(trunk), true, ON_TRUNK).map(Some),
        }
    }

    /// The name of the trunk that a call came in on.
    pub async fn trunk_name(&self, identity: &Identity) -> Option<String> {
        let Identity::Trunk { account, trunk } = identity else { return None };
        let usable = self.store.usable_trunks(account.parse().ok()?).await.ok()?;
        usable.into_iter().find(|usable| usable.trunk.id.to_string() == *trunk).map(|usable| usable.trunk.name)
    }

    /// Takes a place on the trunk that a call came in on: it counts as one at once, and not among those dialled per second.
    pub async fn take_incoming_place(&self, identity: &Identity) -> Result<Option<TrunkPlace>, CommandError> {
        let Identity::Trunk { account, trunk } = identity else { return Ok(None) };
        let failed = |problem: String| CommandError::Failed(problem);
        let account: AccountId = account.parse().map_err(|_| failed(format!("{account} is no account id")))?;
        let usable = self.store.usable_trunks(account).await.map_err(|error| failed(error.to_string()))?;
        let usable = usable.iter().find(|usable| usable.trunk.id.to_string() == *trunk);
        let usable =
            usable.ok_or_else(|| CommandError::Forbidden(format!("trunk {trunk} is not the account's to use")))?;
        self.take(trunk_limits(usable), false, ON_TRUNK).map(Some)
    }

    fn take(
        &self,
        limits: Vec<Limit>,
        dialled: bool,
        [at_once, per_second]: [&'static str; 2],
    ) -> Result<TrunkPlace, CommandError> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for (used_by, (rate, most)) in &limits {
            let used = uses.entry(*used_by).or_default();
            while used.recent.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1)) {
                used.recent.pop_front();
            }
            if used.live >= *most {
                return Err(CommandError::Busy(at_once));
            }
            if dialled && used.recent.len() >= *rate as usize {
                return Err(CommandError::Busy(per_second));
            }
        }
        for (used_by, _) in &limits {
            let used = uses.entry(*used_by).or_default();
            used.live += 1;
            if dialled {
                used.recent.push_back(now);
            }
        }
        let taken = limits.into_iter().map(|(used_by, _)| used_by).collect();
        Ok(TrunkPlace { taken, uses: Arc::clone(&self.uses) })
    }
}

/// Most calls per second and at once.
type Limit = (UsedBy, (u32, u32));

/// What a trunk has too many of.
const ON_TRUNK: [&str; 2] = ["calls at once on the trunk", "calls per second on the trunk"];

fn trunk_limits(usable: &UsableTrunk) -> Vec<Limit> {
    let UsableTrunk { trunk, grant } = usable;
    let mut limits = vec![(UsedBy::Trunk(trunk.id, None), (trunk.max_calls_per_second, trunk.max_concurrent))];
    if let Some(grant) = grant {
        let used_by = UsedBy::Trunk(trunk.id, Some(grant.account));
        limits.push((used_by, (grant.max_calls_per_second, grant.max_concurrent)));
    }
    limits
}

/// A host as others can be compared with.
fn plain_host(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

/// One phone or carrier to send an INVITE to.
pub(crate) struct Targeted {
    pub target: Target,
    pub to: Option<Party>,
    pub from_user: Option<String>,
    pub auth: Option<(String, String)>,
    pub route: Option<String>,
    pub transport: Option<sip::Transport>,
    /// A program has dialled this very address.
    pub dialled: bool,
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
        Self { target, to: Some(to), from_user: None, auth: None, route: None, transport: None, dialled: false }
    }

    /// Where the calls out of a trunk go, if any do.
    fn to_carrier(trunk: &Trunk) -> Option<(String, sip::Transport)> {
        let host = trunk.host.clone()?;
        let authority = match trunk.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        let transport = match trunk.transport {
            store::Transport::Udp => sip::Transport::Udp,
            // A trunk with TLS cannot be made while signalling does not speak it.
            store::Transport::Tcp | store::Transport::Tls => sip::Transport::Tcp,
        };
        Some((authority, transport))
    }

    fn by_trunk(usable: &UsableTrunk, digits: &str, from: &str) -> Self {
        let trunk = &usable.trunk;
        let (authority, transport) = Self::to_carrier(trunk).unwrap_or((String::new(), sip::Transport::Udp));
        let auth = trunk.username.clone().zip(trunk.password.as_ref().map(|password| password.reveal().to_owned()));
        Self {
            target: Target::Uri(format!("sip:{digits}@{authority}")),
            to: None,
            from_user: Some(from.to_owned()),
            auth,
            route: Some(authority),
            transport: Some(transport),
            dialled: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use store::{Account, Credential, StoreConfig, Timestamp};

    use super::*;

    /// Routing of a store with one account, whose configuration lets trunks reach the loopback network.
    async fn routing(store: &Store) -> (Routing, AccountRef) {
        let main = Account::new("main", None, Timestamp::from_micros(1_700_000_000_000_000));
        let asking = AccountRef { id: main.id.to_string(), auth_id: main.auth_id.clone() };
        store.batch().put_account(main).commit().await.unwrap();
        let config = sip::SipConfig {
            udp: vec![([127, 0, 0, 1], 0).into()],
            hosts: [("carrier.test", [203, 0, 113, 7]), ("alias.test", [203, 0, 113, 7]), ("lan.test", [127, 0, 0, 9])]
                .map(|(name, at)| (name.to_owned(), (at, 5060).into()))
                .into(),
            ..sip::SipConfig::default()
        };
        let roster = crate::roster::StoredRoster::new(store.clone(), Vec::new());
        let (sip, _incoming) = sip::Sip::start(config, Arc::new(roster)).await.unwrap();
        let trunks = HttpPolicy {
            hosts: [("lan.test".to_owned(), IpAddr::from([127, 0, 0, 9]))].into(),
            allowed: crate::http::Network::parse("127.0.0.0/8").into_iter().collect(),
        };
        (Routing::new(store.clone(), sip, Vec::new(), trunks, Vec::new()), asking)
    }

    /// What comes of dialling this address: an INVITE, or why there is none.
    async fn dialled(routing: &Routing, asking: &AccountRef, uri: &str) -> Result<IpAddr, String> {
        let route = routing.route(asking, &TargetKind::Uri(uri.to_owned()), "100").await;
        let mut targets = routing.targets(&route.map_err(|error| error.to_string())?);
        let mut only = targets.pop().unwrap();
        routing.aim(&mut only).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_address_that_a_program_dials_never_leads_round_the_rules_of_a_trunk() {
        let store = Store::open_temporary(StoreConfig::default()).unwrap();
        let (routing, asking) = routing(&store).await;
        let other = Account::new("other", None, Timestamp::from_micros(1));
        let mut trunk = Trunk::new(other.id, "carrier", Timestamp::from_micros(1));
        trunk.host = Some("carrier.test".to_owned());
        trunk.sources = vec!["8.8.8.0/24".parse().unwrap()];
        let mut idle = Trunk::new(other.id, "idle", Timestamp::from_micros(1));
        (idle.host, idle.enabled) = (Some("9.9.9.9".to_owned()), false);
        store.batch().put_account(other).put_trunk(trunk).put_trunk(idle).commit().await.unwrap();
        for uri in [
            "sip:19005550100@carrier.test",
            "sip:19005550100@CARRIER.test.:5080",
            "sip:19005550100@alias.test",
            "sip:19005550100@203.0.113.7",
            "sip:19005550100@8.8.8.1;transport=tcp",
            "sip:19005550100@9.9.9.9:5061",
        ] {
            let refused = dialled(&routing, &asking, uri).await.unwrap_err();
            assert!(refused.contains("by the trunk"), "{uri}: {refused}");
        }
        for uri in ["sip:a@127.0.0.9", "sip:a@lan.test", "sip:a@192.168.0.9:5060"] {
            let refused = dialled(&routing, &asking, uri).await.unwrap_err();
            assert!(refused.contains("private network"), "{uri}: {refused}");
        }
        assert_eq!(dialled(&routing, &asking, "sip:a@8.8.4.4").await, Ok(IpAddr::from([8, 8, 4, 4])));
        // A trunk still reaches what the configuration lets it.
        let mut lan = Targeted { dialled: false, route: Some("lan.test".to_owned()), ..uri_target() };
        assert_eq!(routing.aim(&mut lan).await.unwrap(), IpAddr::from([127, 0, 0, 9]));
    }

    fn uri_target() -> Targeted {
        let target = Target::Uri("sip:1@lan.test".to_owned());
        Targeted { target, to: None, from_user: None, auth: None, route: None, transport: None, dialled: true }
    }

    #[tokio::test]
    async fn an_account_dials_so_many_addresses_a_second_and_no_more() {
        let store = Store::open_temporary(StoreConfig::default()).unwrap();
        let (routing, asking) = routing(&store).await;
        let to = |account: AccountId| Route::Uri {
            account,
            uri: "sip:a@8.8.4.4".to_owned(),
            authority: "8.8.4.4".to_owned(),
            transport: sip::Transport::Udp,
        };
        let mine = to(asking.id.parse().unwrap());
        let places: Vec<_> = (0..URIS_PER_SECOND).map(|_| routing.take_place(&mine).unwrap()).collect();
        assert!(places.iter().all(Option::is_some));
        assert_eq!(routing.take_place(&mine).err(), Some(CommandError::Busy("calls to SIP addresses per second")));
        assert!(routing.take_place(&to(AccountId::generate())).is_ok(), "another account");
    }

    #[tokio::test]
    async fn a_sub_account_dials_its_own_and_its_main_accounts_endpoints_and_no_other_sub_accounts() {
        let store = Store::open_temporary(StoreConfig::default()).unwrap();
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let main = Account::new("main", Some("phone.test".to_owned()), at);
        let (one, two) = (main.new_sub("one", at), main.new_sub("two", at));
        let stranger = Account::new("stranger", None, at);
        let mut batch = store.batch();
        for account in [&main, &one, &two, &stranger] {
            batch = batch.put_account(account.clone());
        }
        for (name, owner) in [("desk", None), ("ones", Some(one.id)), ("twos", Some(two.id))] {
            let mut endpoint = Endpoint::new(main.id, name, at);
            endpoint.sub_account = owner;
            batch = batch.put_endpoint(endpoint, Some(Credential::derive(name, "secret1", ["phone.test"])));
        }
        batch.commit().await.unwrap();
        let config = sip::SipConfig { udp: vec![([127, 0, 0, 1], 0).into()], ..sip::SipConfig::default() };
        let roster = crate::roster::StoredRoster::new(store.clone(), Vec::new());
        let (sip, _incoming) = sip::Sip::start(config, Arc::new(roster)).await.unwrap();
        let routing = Routing::new(store.clone(), sip, Vec::new(), HttpPolicy::default(), Vec::new());
        for (asking, reached) in [
            (AccountRef { id: main.id.to_string(), auth_id: main.auth_id.clone() }, [true, true, true]),
            (AccountRef { id: main.id.to_string(), auth_id: one.auth_id.clone() }, [true, true, false]),
            (AccountRef { id: main.id.to_string(), auth_id: two.auth_id.clone() }, [true, false, true]),
            (AccountRef { id: stranger.id.to_string(), auth_id: stranger.auth_id.clone() }, [false, false, false]),
        ] {
            for (name, reached) in ["desk", "ones", "twos"].into_iter().zip(reached) {
                let route = routing.resolve(&asking, &format!("sip:{name}@phone.test"), "100").await;
                match route {
                    Ok(Route::Endpoint { .. }) if reached => {}
                    Err(CommandError::NotFound { .. }) if !reached => {}
                    _ => panic!("{} and {name}: it should be {reached}", asking.auth_id),
                }
            }
        }
    }
}

//! Where carriers are: the addresses that the hosts of trunks have, as the resolver last told them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use store::{AccountId, Cidr, Store, StoreError, Trunk};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// For the addresses of all trunks to be found.
const FOUND: Duration = Duration::from_secs(3);
/// An answer of the resolver counts so long.
const FRESH: Duration = Duration::from_secs(30);
/// That there was none, so long.
const FAILED: Duration = Duration::from_secs(5);

/// `host` or `host:port`, and how SIP travels there.
type Carrier = (String, sip::Transport);

struct Known {
    addresses: Vec<IpAddr>,
    /// The last look-up, which all who want to know meanwhile wait for; whether there was an answer.
    looked_up: Arc<OnceCell<bool>>,
    asked_at: Instant,
    /// There was none before it.
    is_first: bool,
}

impl Known {
    /// Whether the last look-up is too long ago to count.
    fn is_old(&self, now: Instant) -> bool {
        let lasts = match self.looked_up.get() {
            None => return false,
            Some(true) => FRESH,
            Some(false) => FAILED,
        };
        now.duration_since(self.asked_at) >= lasts
    }
}

/// Whose a carrier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody else's.
    Free,
    /// Another account's.
    Anothers,
}

/// Looks up where trunks lead. Cheap to clone.
#[derive(Clone)]
pub struct Carriers {
    store: Store,
    sip: sip::Sip,
    /// Of trunks that there are.
    known: Arc<Mutex<HashMap<Carrier, Known>>>,
}

impl std::fmt::Debug for Carriers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Carriers").finish_non_exhaustive()
    }
}

impl Carriers {
    /// The carriers of this database's trunks.
    pub fn new(store: Store, sip: sip::Sip) -> Self {
        Self { store, sip, known: Arc::default() }
    }

    /// Looks all carriers up, so that they are known before somebody dials.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn find(&self) -> Result<(), StoreError> {
        let trunks = self.store.all_trunks().await?;
        self.refresh(&trunks).await;
        Ok(())
    }

    /// Whose the carrier is that this trunk would lead to, and whose the sources that its calls would come from: a program of
    /// an account that chooses another's would make calls at his cost, or take his. A name without an address is nobody's until
    /// it has one, which each call asks for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn claim(&self, trunk: &Trunk) -> Result<Claim, StoreError> {
        let mut others = self.store.all_trunks().await?;
        self.refresh(&others).await;
        others.retain(|other| other.account != trunk.account);
        let name = trunk.host.as_deref().map(plain_host);
        let named = |other: &Trunk| name.is_some() && name == other.host.as_deref().map(plain_host);
        let sourced =
            |other: &Trunk| trunk.sources.iter().any(|block| other.sources.iter().any(|its| overlap(block, its)));
        let placed = |other: &Trunk| self.addresses(other).iter().any(|at| within(&trunk.sources, *at));
        if others.iter().any(|other| named(other) || sourced(other) || placed(other)) {
            return Ok(Claim::Anothers);
        }
        let Some((authority, transport)) = carrier(trunk) else { return Ok(Claim::Free) };
        let found = self.sip.locate_all(&authority, transport).await.unwrap_or_default();
        let anothers = found.iter().any(|at| others.iter().any(|other| self.is_at(other, at.ip().to_canonical())));
        Ok(if anothers { Claim::Anothers } else { Claim::Free })
    }

    /// Whether the carrier of `owner`'s trunk, found now at `address`, is another account's. Names move, so this is asked at
    /// each call. Who has the same host has it by the operator, and addresses do not move.
    pub(crate) async fn has_moved(&self, owner: AccountId, host: &str, address: IpAddr) -> Result<bool, StoreError> {
        let host = plain_host(host);
        if host.parse::<IpAddr>().is_ok() {
            return Ok(false);
        }
        let mut others = self.store.all_trunks().await?;
        self.refresh(&others).await;
        others.retain(|other| other.account != owner);
        let address = address.to_canonical();
        let same = |other: &Trunk| other.host.as_deref().map(plain_host).is_some_and(|its| its == host);
        Ok(!others.iter().any(same) && others.iter().any(|other| self.is_at(other, address)))
    }

    fn is_at(&self, trunk: &Trunk, address: IpAddr) -> bool {
        within(&trunk.sources, address) || self.addresses(trunk).contains(&address)
    }

    /// Whether one of these trunks leads there or has its calls from there. A name that never had an address leads nowhere.
    pub(crate) async fn lead_to(&self, trunks: &[Trunk], address: IpAddr) -> bool {
        if trunks.iter().any(|trunk| within(&trunk.sources, address)) {
            return true;
        }
        self.refresh(trunks).await;
        trunks.iter().any(|trunk| self.addresses(trunk).contains(&address))
    }

    /// Every address of the trunk's host that is known.
    fn addresses(&self, trunk: &Trunk) -> Vec<IpAddr> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        carrier(trunk).and_then(|carrier| known.get(&carrier)).map(|known| known.addresses.clone()).unwrap_or_default()
    }

    /// Of all trunks: asks for what was not asked for lately, and forgets what none leads to any more. Only a carrier that was
    /// never asked for is waited for; what the resolver said before stays while it is asked again, fails or is late. So a
    /// look-up that somebody can make slow neither opens a way round a trunk's rules nor holds up calls.
    async fn refresh(&self, trunks: &[Trunk]) {
        let carriers: HashSet<Carrier> = trunks.iter().filter_map(carrier).collect();
        let now = Instant::now();
        let mut first = JoinSet::new();
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|carrier, _| carriers.contains(carrier));
            for carrier in carriers {
                let new = || Known { addresses: Vec::new(), looked_up: Arc::default(), asked_at: now, is_first: true };
                let entry = known.entry(carrier.clone()).or_insert_with(new);
                let again = entry.is_old(now);
                if again {
                    (entry.looked_up, entry.asked_at, entry.is_first) = (Arc::default(), now, false);
                }
                let (this, looked_up) = (self.clone(), Arc::clone(&entry.looked_up));
                let look_up = async move {
                    looked_up.get_or_init(|| this.ask(&carrier)).await;
                };
                if entry.is_first && !entry.looked_up.initialized() {
                    first.spawn(look_up);
                } else if again {
                    tokio::spawn(look_up);
                }
            }
        }
        let all = async { while first.join_next().await.is_some() {} };
        if tokio::time::timeout(FOUND, all).await.is_err() {
            // Their answers still count when they come.
            first.detach_all();
        }
    }

    /// Whether there was an answer.
    async fn ask(&self, carrier: &Carrier) -> bool {
        let Ok(found) = self.sip.locate_all(&carrier.0, carrier.1).await else { return false };
        let mut addresses: Vec<IpAddr> = found.iter().map(|at| at.ip().to_canonical()).collect();
        addresses.dedup();
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get_mut(carrier) {
            known.addresses = addresses;
        }
        true
    }
}

/// Where the calls out of a trunk go, if any do.
pub(crate) fn carrier(trunk: &Trunk) -> Option<Carrier> {
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

/// A host as others can be compared with.
pub(crate) fn plain_host(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

fn within(blocks: &[Cidr], address: IpAddr) -> bool {
    blocks.iter().any(|block| block.contains(address))
}

fn overlap(one: &Cidr, other: &Cidr) -> bool {
    one.contains(other.address()) || other.contains(one.address())
}

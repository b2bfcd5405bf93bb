//! Where carriers are: the addresses that the hosts of trunks have, as the resolver last told them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use store::{Cidr, Store, StoreError, Trunk};
use tokio::task::JoinSet;

/// For the addresses of all trunks to be found.
const FOUND: Duration = Duration::from_secs(3);
/// An answer of the resolver, or that there was none, counts so long.
const FRESH: Duration = Duration::from_secs(30);

/// `host` or `host:port`, and how SIP travels there.
type Carrier = (String, sip::Transport);

struct Known {
    addresses: Vec<IpAddr>,
    asked_at: Instant,
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

    /// Whether a carrier of another account is where this trunk leads, or where its calls come from: that account's calls
    /// would be this one's to make, or to take.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn is_anothers(&self, trunk: &Trunk) -> Result<bool, StoreError> {
        let mut trunks = self.store.all_trunks().await?;
        trunks.retain(|other| other.account != trunk.account);
        trunks.push(trunk.clone());
        self.refresh(&trunks).await;
        let mine = self.addresses(trunk);
        Ok(trunks.iter().filter(|other| other.account != trunk.account).any(|other| {
            let theirs = self.addresses(other);
            let named =
                trunk.host.is_some() && trunk.host.as_deref().map(plain_host) == other.host.as_deref().map(plain_host);
            named
                || trunk.sources.iter().any(|block| other.sources.iter().any(|their| overlap(block, their)))
                || mine.iter().any(|at| theirs.contains(at) || within(&other.sources, *at))
                || theirs.iter().any(|at| within(&trunk.sources, *at))
        }))
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

    /// Asks for what was not asked for lately. Where the resolver fails or is late, what it said before stays: a look-up that
    /// somebody can make slow must not open a way round a trunk's rules.
    async fn refresh(&self, trunks: &[Trunk]) {
        let carriers: Vec<Carrier> = trunks.iter().filter_map(carrier).collect();
        let now = Instant::now();
        let mut asked = JoinSet::new();
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for carrier in carriers {
                let entry = known.entry(carrier.clone());
                let is_new = matches!(entry, std::collections::hash_map::Entry::Vacant(_));
                let entry = entry.or_insert(Known { addresses: Vec::new(), asked_at: now });
                if !is_new && now.duration_since(entry.asked_at) < FRESH {
                    continue;
                }
                entry.asked_at = now;
                let this = self.clone();
                asked.spawn(async move { this.ask(carrier).await });
            }
        }
        let all = async { while asked.join_next().await.is_some() {} };
        let late = tokio::time::timeout(FOUND, all).await.is_err();
        if late {
            // Their answers still count when they come.
            asked.detach_all();
        }
    }

    async fn ask(&self, carrier: Carrier) {
        let Ok(found) = self.sip.locate_all(&carrier.0, carrier.1).await else { return };
        let mut addresses: Vec<IpAddr> = found.iter().map(|at| at.ip().to_canonical()).collect();
        addresses.dedup();
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&carrier) {
            known.addresses = addresses;
        }
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

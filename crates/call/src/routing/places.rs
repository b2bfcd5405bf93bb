//! Places on trunks, and for calls to SIP addresses: so many at once, so many a second.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sip::Identity;
use store::{AccountId, TrunkId, UsableTrunk};

use super::{Route, Routing};
use crate::command::CommandError;

/// Most calls per second of one account to SIP addresses that are none of ours.
pub(super) const URIS_PER_SECOND: u32 = store::DEFAULT_CALLS_PER_SECOND;
/// Most of them at once.
const URIS_AT_ONCE: u32 = store::DEFAULT_CONCURRENT_CALLS;

/// What has limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum UsedBy {
    /// A trunk, by all who use it or by one account.
    Trunk(TrunkId, Option<AccountId>),
    /// SIP addresses that are none of ours, by one account.
    Uris(AccountId),
}

#[derive(Default)]
pub(super) struct TrunkUse {
    live: u32,
    recent: VecDeque<Instant>,
}

/// What is used of each.
pub(super) type Uses = Arc<Mutex<HashMap<UsedBy, TrunkUse>>>;

/// A place on a trunk, freed when dropped.
pub(crate) struct TrunkPlace {
    taken: Vec<UsedBy>,
    uses: Uses,
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

impl Routing {
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

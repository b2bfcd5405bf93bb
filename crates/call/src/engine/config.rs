//! What the engine is told at its start.

use std::time::Duration;

use crate::http::HttpPolicy;
use crate::outbox::OutboxConfig;
use crate::recogniser::RecogniserConfig;
use crate::registry::Ceilings;
use crate::sound::SoundConfig;

/// What the engine is told at its start.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Which servers programs may name.
    pub http: HttpPolicy,
    /// Limits of sounds.
    pub sounds: SoundConfig,
    /// Calls at once.
    pub max_calls: usize,
    /// Rooms at once.
    pub max_rooms: usize,
    /// Calls of one account at once.
    pub max_calls_per_account: usize,
    /// Rooms of one account at once.
    pub max_rooms_per_account: usize,
    /// Which hosts trunks may lead to.
    pub trunks: HttpPolicy,
    /// Longest call.
    pub max_call: Duration,
    /// Domains that every account's endpoints may register and be called at, besides their own realm.
    pub shared_domains: Vec<String>,
    /// Delivery of callbacks.
    pub outbox: OutboxConfig,
    /// Who understands speech, if anybody does.
    pub recogniser: Option<RecogniserConfig>,
    /// The address written into session descriptions; else the one that leads to the peer.
    pub advertised: Option<std::net::IpAddr>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            http: HttpPolicy::default(),
            sounds: SoundConfig::default(),
            max_calls: 10_000,
            max_rooms: 10_000,
            max_calls_per_account: 10_000,
            max_rooms_per_account: 10_000,
            trunks: HttpPolicy::default(),
            max_call: Duration::from_secs(8 * 3600),
            shared_domains: store::SHARED_REALMS.map(str::to_owned).to_vec(),
            outbox: OutboxConfig::default(),
            recogniser: None,
            advertised: None,
        }
    }
}

impl EngineConfig {
    pub(crate) fn call_ceilings(&self) -> Ceilings {
        Ceilings { server: self.max_calls, account: self.max_calls_per_account }
    }

    pub(super) fn room_ceilings(&self) -> Ceilings {
        Ceilings { server: self.max_rooms, account: self.max_rooms_per_account }
    }
}

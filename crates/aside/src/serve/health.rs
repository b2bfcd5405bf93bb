//! Whether the server is well: 200, or 503 while it stops or cannot do its work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use call::engine::Engine;
use media::MediaPlane;
use serde::Serialize;
use store::{Page, Store, StoreError, Trouble};

/// Longest time that a healthy database takes for a small read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Knows all parts.
pub struct Health {
    store: Store,
    media: MediaPlane,
    sip: sip::Sip,
    engine: Engine,
    started: Instant,
    stopping: AtomicBool,
}

/// What it says.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `ok`, `stopping` or `failing`.
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
    components: Components,
}

#[derive(Debug, Serialize)]
struct Components {
    store: StoreState,
    media: MediaState,
    sip: SipState,
    engine: EngineState,
}

#[derive(Debug, Serialize)]
struct StoreState {
    ok: bool,
    /// Why the last commit failed, if it did.
    reason: Option<String>,
    /// For how long commits have been failing.
    failing_ms: Option<u64>,
    /// Writes that are not committed yet.
    waiting: usize,
    /// How long the oldest of them has waited.
    oldest_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct MediaState {
    ok: bool,
    shards: usize,
    legs: u64,
}

#[derive(Debug, Serialize)]
struct SipState {
    ok: bool,
    listeners: usize,
}

#[derive(Debug, Serialize)]
struct EngineState {
    calls: usize,
    rooms: usize,
}

impl Health {
    /// Of these parts.
    pub fn new(store: Store, media: MediaPlane, sip: sip::Sip, engine: Engine) -> Self {
        Self { store, media, sip, engine, started: Instant::now(), stopping: AtomicBool::new(false) }
    }

    /// From now on it is stopping.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// How it is.
    pub async fn report(&self) -> (StatusCode, Json<Report>) {
        let read = tokio::time::timeout(PATIENCE, self.store.accounts(Page::first(1))).await;
        let store = store_state(&self.store, read.unwrap_or_else(|_| Err(unanswered())).err());
        let shards = self.media.metrics().shards;
        let legs = shards.iter().map(|shard| shard.legs).sum();
        let media = MediaState { ok: !shards.is_empty(), shards: shards.len(), legs };
        let listening = self.sip.local_addrs();
        let listeners = listening.udp.len() + listening.tcp.len();
        let sip = SipState { ok: listeners > 0, listeners };
        let (calls, rooms) = (self.engine.live_calls(), self.engine.live_rooms());
        let status = match (self.stopping.load(Ordering::Relaxed), store.ok && media.ok && sip.ok) {
            (true, _) => "stopping",
            (false, true) => "ok",
            (false, false) => "failing",
        };
        let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let report = Report {
            status,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: self.started.elapsed().as_secs(),
            components: Components { store, media, sip, engine: EngineState { calls, rooms } },
        };
        (code, Json(report))
    }
}

fn unanswered() -> StoreError {
    StoreError::Unavailable { what: "reading the database", trouble: Trouble::Silent }
}

/// It is well while a read is answered and commits have not been failing for long: a short lock is nobody's concern.
fn store_state(store: &Store, unread: Option<StoreError>) -> StoreState {
    let condition = store.condition();
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let trouble = condition.failing.as_ref().map(|(_, trouble)| trouble.to_string());
    StoreState {
        ok: unread.is_none() && store.ready().is_ok(),
        reason: trouble.or_else(|| unread.map(|error| error.to_string())),
        failing_ms: condition.failing.map(|(since, _)| millis(since)),
        waiting: condition.waiting,
        oldest_ms: condition.oldest.map(millis),
    }
}

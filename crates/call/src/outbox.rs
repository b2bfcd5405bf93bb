//! Delivers callbacks from the durable outbox: in order within a lane, lanes side by side, signed at each attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Body, Delivery, Store, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, sleep_until};
use crate::counter::Counters;
use crate::dialect;
use crate::hooks::{HookError, Hooks};
use crate::http::{HttpError, shown};
use crate::verb::{Fetch, Method};

/// Limits of delivery.
#[derive(Clone, Copy, Debug)]
pub struct OutboxConfig {
    /// Requests under way at once.
    pub concurrency: usize,
    /// Pause after a first failure; doubled each time.
    pub first_retry: Duration,
    /// Longest pause.
    pub longest_retry: Duration,
    /// How long a stopping server goes on delivering what is due.
    pub drain: Duration,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            concurrency: 256,
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(15),
            drain: Duration::from_secs(10),
        }
    }
}

/// Deliveries claimed in one go.
const CLAIM: u32 = 64;
/// How long requests may still be under way when a stopping server begins no more: the limit of one, and a little.
pub(crate) const LAST_REQUESTS: Duration = Duration::from_secs(16);
/// The longest sleep without a look.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Courier {
    store: Store,
    hooks: Hooks,
    clock: Clock,
    config: OutboxConfig,
    counters: Arc<Counters>,
}

/// Delivers until `stop` is cancelled; then what is due and has its turn before the time of the draining is up. What fails
/// from then on, or has no turn, stays for the next start. Finishes what is under way.
pub(crate) async fn run(
    store: Store,
    hooks: Hooks,
    clock: Clock,
    config: OutboxConfig,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    let mut changed = store.watch_outbox();
    let places = Arc::new(Semaphore::new(config.concurrency));
    let under_way = TaskTracker::new();
    let courier = Courier { store, hooks, clock, config, counters };
    let mut over: Option<Instant> = None;
    loop {
        if over.is_none() && stop.is_cancelled() {
            over = Some(Instant::now() + courier.config.drain);
            // From now on it says when the last one has ended; more may begin all the same.
            under_way.close();
        }
        if over.is_some_and(|over| Instant::now() >= over) {
            break;
        }
        let free = u32::try_from(places.available_permits()).unwrap_or(CLAIM).min(CLAIM);
        if free == 0 {
            // A place is free again soon: every request has a time limit.
            drop(places.acquire().await);
            continue;
        }
        changed.borrow_and_update();
        let now = Timestamp::from_micros(clock.utc());
        let claim = match courier.store.claim_due(now, free).await {
            Ok(claim) => claim,
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read; tried again in a moment");
                tokio::select! {
                    // Something was written: it can be read again.
                    result = changed.changed() => if result.is_err() { break },
                    () = tokio::time::sleep(LONGEST_SLEEP) => {}
                    () = stop.cancelled(), if over.is_none() => {}
                    () = sleep_until(over) => {}
                }
                continue;
            }
        };
        let claimed = claim.deliveries.len();
        for delivery in claim.deliveries {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let courier = courier.clone();
            under_way.spawn(async move {
                courier.deliver(delivery).await;
                drop(place);
            });
        }
        if claimed == free as usize {
            continue;
        }
        if over.is_some() {
            if claimed == 0 && under_way.is_empty() {
                break;
            }
            // What is answered lets the next of its lane go.
            tokio::select! {
                result = changed.changed() => if result.is_err() { break },
                () = under_way.wait() => {}
                () = sleep_until(over) => {}
            }
            continue;
        }
        let pause =
            claim.next_due.map_or(LONGEST_SLEEP, |due| due.since(now).clamp(Duration::from_millis(5), LONGEST_SLEEP));
        tokio::select! {
            result = changed.changed() => if result.is_err() { break },
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
    under_way.close();
    under_way.wait().await;
}

impl Courier {
    async fn deliver(&self, delivery: Delivery) {
        let (account, id) = (delivery.account, delivery.id);
        let outcome = self.attempt(&delivery).await;
        let now = Timestamp::from_micros(self.clock.utc());
        let settled = match outcome {
            Ok(()) => {
                self.counters.callbacks_delivered.add(1);
                self.store.mark_done(account, id, now).await.map(drop)
            }
            // No later attempt can make these right.
            Err(
                error @ (HookError::Account(_)
                | HookError::Dialect(_)
                | HookError::Http(HttpError::Forbidden { .. } | HttpError::BadUrl { .. })),
            ) => {
                self.counters.callbacks_failed.add(1);
                tracing::warn!(%account, url = shown(&delivery.url), %error, "a callback cannot be delivered; it can be replayed when that is mended");
                self.store.mark_failed(account, id, now, &error.to_string()).await.map(drop)
            }
            Err(error) => {
                self.counters.callback_attempts_failed.add(1);
                let doubled =
                    self.config.first_retry.saturating_mul(1 << delivery.attempts.clamp(1, 10).saturating_sub(1));
                let at = now.plus(doubled.min(self.config.longest_retry));
                tracing::warn!(%account, url = shown(&delivery.url), attempt = delivery.attempts, %error, "a callback was not taken");
                self.store.mark_retry(account, id, delivery.attempts, now, at, &error.to_string()).await.map(drop)
            }
        };
        if let Err(error) = settled {
            tracing::error!(%account, %error, "a callback's outcome could not be recorded; it may be delivered twice");
        }
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<(), HookError> {
        let body = match &delivery.body {
            Body::Form(params) => dialect::Body::Form(params.clone()),
            Body::Json(text) => dialect::Body::Json(text.clone()),
        };
        let method = match delivery.method {
            store::Method::Get => Method::Get,
            // None is queued with WS.
            store::Method::Post | store::Method::Ws => Method::Post,
        };
        let dialect = crate::records::dialect_name(delivery.dialect);
        let to = Fetch::new(delivery.url.clone(), method);
        self.hooks.deliver(delivery.account, delivery.sub_account, dialect, (&to, &delivery.headers), &body).await
    }
}

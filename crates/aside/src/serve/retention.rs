//! Deletes old records, if they are not to be kept for ever.

use std::time::Duration;

use store::{PruneBefore, Store};
use tokio_util::sync::CancellationToken;

use crate::manage::now;

const EVERY: Duration = Duration::from_secs(3_600);
const DAY: u64 = 86_400;

/// Looks once an hour, until `stop`.
pub async fn run(store: Store, keep_days: u64, stop: CancellationToken) {
    if keep_days == 0 {
        return;
    }
    loop {
        let before = now().minus(Duration::from_secs(keep_days.saturating_mul(DAY)));
        match store.prune(PruneBefore::all(before)).await {
            Ok(pruned) => tracing::info!(?pruned, keep_days, "old records were deleted"),
            Err(error) => tracing::error!(%error, "old records could not be deleted; tried again in an hour"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

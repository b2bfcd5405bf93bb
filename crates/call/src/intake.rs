//! Bounds what downloads of sounds hold in memory: so many at once, so many bytes in all, and of both no account more than
//! a part. Whoever finds no room waits, at most as long as his download may take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::counter::Counters;

/// Downloads at once.
const PLACES: usize = 64;
/// Bytes that a download may hold without asking: the sounds that most calls need never wait for large ones.
const SMALL: usize = 256 << 10;
/// KiB that the larger ones hold together, however many there are.
const LARGE_KIB: usize = 64 << 10;
/// No account holds more than this part of either.
const PART: usize = 4;

struct Share {
    places: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

impl Share {
    fn new(places: usize, kib: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), kib: Arc::new(Semaphore::new(kib)) }
    }
}

/// All downloads of sounds.
pub(crate) struct Intake {
    server: Share,
    /// A file of the largest size must fit.
    account_kib: usize,
    accounts: Mutex<HashMap<String, Weak<Share>>>,
    counters: Arc<Counters>,
}

impl Intake {
    /// For files of at most `largest` bytes each.
    pub(crate) fn new(largest: usize, counters: Arc<Counters>) -> Self {
        let account_kib = (LARGE_KIB / PART).max(kib(largest));
        let server = Share::new(PLACES, LARGE_KIB.max(account_kib));
        Self { server, account_kib, accounts: Mutex::default(), counters }
    }

    /// A download of this account that holds nothing yet.
    pub(crate) fn download(self: &Arc<Self>, account: &str) -> Download {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let share = accounts.get(account).and_then(Weak::upgrade).unwrap_or_else(|| {
            accounts.retain(|_, share| share.strong_count() > 0);
            let share = Arc::new(Share::new(PLACES / PART, self.account_kib));
            accounts.insert(account.to_owned(), Arc::downgrade(&share));
            share
        });
        Download { intake: Arc::clone(self), share, held: tokio::sync::Mutex::default() }
    }

    async fn take(&self, semaphore: &Arc<Semaphore>, count: u32) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(semaphore).try_acquire_many_owned(count) {
            return Some(permit);
        }
        self.counters.sound_waits.add(1);
        // Nobody closes it.
        Arc::clone(semaphore).acquire_many_owned(count).await.ok()
    }
}

/// One download; gives back what it holds when it is dropped.
pub(crate) struct Download {
    intake: Arc<Intake>,
    share: Arc<Share>,
    held: tokio::sync::Mutex<Held>,
}

#[derive(Default)]
struct Held {
    places: Vec<OwnedSemaphorePermit>,
    bytes: Vec<OwnedSemaphorePermit>,
    most: usize,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").finish_non_exhaustive()
    }
}

impl Download {
    /// Waits for a place. The account's own comes first: whoever waits for it holds nothing of the others'.
    pub(crate) async fn begin(&self) {
        let mut held = self.held.lock().await;
        if held.places.is_empty() {
            let own = self.intake.take(&self.share.places, 1).await;
            let common = self.intake.take(&self.intake.server.places, 1).await;
            held.places.extend(own.into_iter().chain(common));
        }
    }

    /// How many bytes may be held already.
    pub(crate) fn room(&self) -> usize {
        self.held.try_lock().map_or(SMALL, |held| held.most.max(SMALL))
    }

    /// Waits until a body of `bytes` may be held. It is asked for all at once: downloads that each wait for a little more
    /// while holding the rest would wait for each other.
    pub(crate) async fn grow(&self, bytes: usize) {
        let mut held = self.held.lock().await;
        if bytes <= held.most.max(SMALL) {
            return;
        }
        held.bytes.clear();
        let count = u32::try_from(kib(bytes).min(self.intake.account_kib)).unwrap_or(u32::MAX);
        let own = self.intake.take(&self.share.kib, count).await;
        let common = self.intake.take(&self.intake.server.kib, count).await;
        held.bytes.extend(own.into_iter().chain(common));
        held.most = bytes;
    }
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 16 << 20;

    fn intake() -> Arc<Intake> {
        Arc::new(Intake::new(LARGE, Arc::default()))
    }

    /// Whether it has to wait.
    async fn waits(wanted: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(std::time::Duration::from_millis(50), wanted).await.is_err()
    }

    #[tokio::test]
    async fn an_account_holds_a_part_of_the_bytes_and_all_together_no_more_than_there_are() {
        let intake = intake();
        let first = intake.download("a");
        assert!(!waits(first.grow(LARGE)).await);
        let second = intake.download("a");
        assert!(waits(second.grow(LARGE)).await, "an account holds two files of the largest size");
        assert!(!waits(intake.download("a").grow(SMALL)).await, "a small file waits for a large one");
        let others: Vec<Download> = ["b", "c", "d"].iter().map(|account| intake.download(account)).collect();
        for other in &others {
            assert!(!waits(other.grow(LARGE)).await, "another account waits for the first");
        }
        let fifth = intake.download("e");
        assert!(waits(fifth.grow(LARGE)).await, "more bytes are held than there are");
        assert_eq!(intake.counters.sound_waits.get(), 2);
        drop(first);
        assert!(!waits(fifth.grow(LARGE)).await, "bytes were not given back");
    }

    #[tokio::test]
    async fn an_account_has_a_part_of_the_places() {
        let intake = intake();
        let held: Vec<Download> = (0..PLACES / PART).map(|_| intake.download("a")).collect();
        for download in &held {
            assert!(!waits(download.begin()).await);
        }
        let further = intake.download("a");
        assert!(waits(further.begin()).await, "an account has more places than its part");
        assert!(!waits(intake.download("b").begin()).await, "another account finds no place");
        drop(held);
        assert!(!waits(further.begin()).await, "places were not given back");
    }
}

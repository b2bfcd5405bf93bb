//! Things that happened, in order, and waiting for one of them.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// A growing list that can be waited on. Nothing is ever removed.
#[derive(Debug)]
pub struct Log<T> {
    items: Mutex<Vec<T>>,
    count: watch::Sender<usize>,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl<T: Clone + Debug> Log<T> {
    fn items(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends.
    pub fn push(&self, item: T) {
        let count = {
            let mut items = self.items();
            items.push(item);
            items.len()
        };
        self.count.send_replace(count);
    }

    /// How many there are: a place to search from later.
    pub fn len(&self) -> usize {
        self.items().len()
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.items().is_empty()
    }

    /// All of them.
    pub fn all(&self) -> Vec<T> {
        self.items().clone()
    }

    /// Those that are wanted, so far.
    pub fn matching(&self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        self.items().iter().filter(|item| wanted(item)).cloned().collect()
    }

    /// Waits for the first wanted one at or after place `from`, past ones included. `None` after `deadline`.
    pub async fn find(&self, from: usize, deadline: Duration, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let mut count = self.count.subscribe();
        let mut looked = from;
        let search = async {
            loop {
                count.borrow_and_update();
                {
                    let items = self.items();
                    if let Some(found) = items.iter().skip(looked).find(|item| wanted(item)) {
                        return Some(found.clone());
                    }
                    looked = items.len().max(from);
                }
                if count.changed().await.is_err() {
                    return None;
                }
            }
        };
        tokio::time::timeout(deadline, search).await.ok().flatten()
    }

    /// Waits until exactly `times` wanted ones have come at or after place `from`.
    ///
    /// # Panics
    /// If they are fewer at the deadline, or more.
    pub async fn expect_times(
        &self,
        what: &str,
        times: usize,
        from: usize,
        deadline: Duration,
        wanted: impl Fn(&T) -> bool,
    ) {
        let mut count = self.count.subscribe();
        let so_far = || self.items().iter().skip(from).filter(|item| wanted(item)).count();
        // The sender lives as long as this log; only the deadline can end the wait early.
        let _ = tokio::time::timeout(deadline, count.wait_for(|_| so_far() >= times)).await;
        assert_eq!(so_far(), times, "{what}");
    }

    /// As [`find`](Self::find), or a panic that names `what` and shows everything there was.
    pub async fn expect(&self, what: &str, from: usize, deadline: Duration, wanted: impl Fn(&T) -> bool) -> T {
        match self.find(from, deadline, wanted).await {
            Some(found) => found,
            None => {
                let happened: Vec<String> = self.items().iter().skip(from).map(|item| format!("  {item:?}")).collect();
                panic!("no {what} within {deadline:?}; what happened:\n{}", happened.join("\n"));
            }
        }
    }
}

//! Places for what a few may do at once, shared fairly: accounts that wait have their turn one after the other, however
//! many of one account wait, and none has the last place while nobody else is there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns {
    inner: Arc<Mutex<Inner>>,
    /// Most of one account.
    share: usize,
}

struct Inner {
    free: usize,
    /// How many places accounts have.
    held: HashMap<String, usize>,
    /// Accounts that wait, the next one first, each with those of its own that wait.
    waiting: VecDeque<(String, VecDeque<oneshot::Sender<Turn>>)>,
}

/// A place, until it is dropped.
pub(super) struct Turn {
    turns: Turns,
    account: String,
}

impl Turns {
    /// So many places, at least two. One is always left for other accounts.
    pub fn new(places: usize) -> Self {
        let inner = Inner { free: places, held: HashMap::new(), waiting: VecDeque::new() };
        Self { inner: Arc::new(Mutex::new(inner)), share: places.saturating_sub(1).max(1) }
    }

    /// Waits for a place. Whoever stops waiting leaves nothing behind.
    pub async fn take(&self, account: &str) -> Option<Turn> {
        let (tell, told) = oneshot::channel();
        {
            let mut inner = self.locked();
            match inner.waiting.iter_mut().find(|(other, _)| other == account) {
                Some((_, own)) => {
                    own.retain(|tell| !tell.is_closed());
                    own.push_back(tell);
                }
                None => inner.waiting.push_back((account.to_owned(), VecDeque::from([tell]))),
            }
        }
        self.hand_out();
        told.await.ok()
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the free places to those whose turn it is.
    fn hand_out(&self) {
        loop {
            let next = self.locked().next(self.share);
            let Some((account, tell)) = next else { return };
            // Of somebody who waits no more it comes back at once.
            let _ = tell.send(Turn { turns: self.clone(), account });
        }
    }
}

impl Inner {
    fn next(&mut self, share: usize) -> Option<(String, oneshot::Sender<Turn>)> {
        for (_, own) in &mut self.waiting {
            own.retain(|tell| !tell.is_closed());
        }
        self.waiting.retain(|(_, own)| !own.is_empty());
        if self.free == 0 {
            return None;
        }
        let held = &self.held;
        let may = |account: &String| held.get(account).is_none_or(|count| *count < share);
        let at = self.waiting.iter().position(|(account, _)| may(account))?;
        let (account, mut own) = self.waiting.remove(at)?;
        let tell = own.pop_front()?;
        self.free -= 1;
        *self.held.entry(account.clone()).or_default() += 1;
        if !own.is_empty() {
            self.waiting.push_back((account.clone(), own));
        }
        Some((account, tell))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut inner = self.turns.locked();
            inner.free += 1;
            if let Some(count) = inner.held.get_mut(&self.account) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    inner.held.remove(&self.account);
                }
            }
        }
        self.turns.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    fn waits(turns: &Turns, account: &'static str) -> BoxFuture<'static, Option<Turn>> {
        let turns = turns.clone();
        let mut waiting = async move { turns.take(account).await }.boxed();
        assert!((&mut waiting).now_or_never().is_none(), "{account} does not wait");
        waiting
    }

    fn takes(turns: &Turns, account: &str) -> Turn {
        turns.take(account).now_or_never().flatten().unwrap_or_else(|| panic!("{account} waits"))
    }

    #[tokio::test]
    async fn an_account_never_has_the_last_place() {
        let turns = Turns::new(4);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(takes(&turns, "greedy"));
        }
        let fourth = waits(&turns, "greedy");
        let other = takes(&turns, "other");
        drop(other);
        held.pop();
        assert!(fourth.await.is_some());
    }

    #[tokio::test]
    async fn accounts_that_wait_have_their_turn_one_after_the_other() {
        let turns = Turns::new(3);
        let (first, second, _third) = (takes(&turns, "a"), takes(&turns, "b"), takes(&turns, "c"));
        let mut greedy: Vec<_> = (0..100).map(|_| waits(&turns, "greedy")).collect();
        let mut modest = waits(&turns, "modest");
        drop(first);
        let greedys = (&mut greedy[0]).now_or_never().flatten().expect("the one that waited first has no turn");
        drop(second);
        let _modests = (&mut modest).now_or_never().flatten().expect("a hundred others come before the next account");
        drop(greedys);
        assert!((&mut greedy[1]).now_or_never().flatten().is_some(), "a place was not given back");
    }

    #[tokio::test]
    async fn whoever_waits_no_more_holds_nothing_up() {
        let turns = Turns::new(2);
        let (first, second) = (takes(&turns, "a"), takes(&turns, "b"));
        let gone = waits(&turns, "gone");
        let mut next = waits(&turns, "next");
        let given = waits(&turns, "given");
        drop(gone);
        drop(first);
        let nexts = (&mut next).now_or_never().flatten().expect("a place went to somebody who is gone");
        // It has been given its place, and goes before it knows.
        drop(second);
        drop(given);
        let third = takes(&turns, "third");
        drop((nexts, third));
        let inner = turns.locked();
        assert_eq!((inner.free, inner.held.len(), inner.waiting.len()), (2, 0, 0));
    }
}

//! Places for streams and waiting requests: so many in all, and so many of each account and key that others have some left.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::AccountId;

/// Of one key: a page has two open, and one that is loaded again leaves two behind for a moment.
pub const OF_ONE_KEY: usize = 16;

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_account: HashMap<AccountId, usize>,
    of_key: HashMap<String, usize>,
}

/// All places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    account: AccountId,
    key: String,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// All are taken.
    #[error("too many event streams are open; see [http] event_streams")]
    Server,
    /// The account has its three quarters.
    #[error(
        "the account has {0} event streams open, the most one account may; close some, or raise [http] event_streams"
    )]
    Account(usize),
    /// The key has all it may have.
    #[error("the key has {0} event streams open, the most one key may; close some, or use another key")]
    Key(usize),
}

fn count<K: Hash + Eq>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

fn release<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(held) = counts.get_mut(key) {
        *held -= 1;
        if *held == 0 {
            counts.remove(key);
        }
    }
}

impl Places {
    /// So many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one for a key of this account.
    ///
    /// # Errors
    /// There is none.
    pub fn take(self: &Arc<Self>, account: AccountId, key: &str) -> Result<Place, NoPlace> {
        let mut taken = self.lock();
        let key = key.to_owned();
        if count(&taken.of_key, &key) >= OF_ONE_KEY {
            return Err(NoPlace::Key(OF_ONE_KEY));
        }
        let share = (self.most * 3 / 4).max(1);
        if count(&taken.of_account, &account) >= share {
            return Err(NoPlace::Account(share));
        }
        if taken.all >= self.most {
            return Err(NoPlace::Server);
        }
        taken.all += 1;
        *taken.of_account.entry(account).or_default() += 1;
        *taken.of_key.entry(key.clone()).or_default() += 1;
        Ok(Place { places: Arc::clone(self), account, key })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.lock().all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        release(&mut taken.of_account, &self.account);
        release(&mut taken.of_key, &self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_with_many_streams_leaves_places_to_others() {
        let places = Places::new(256);
        let (greedy, other) = (AccountId::generate(), AccountId::generate());
        let taken: Vec<Place> = (0..256).filter_map(|n| places.take(greedy, &format!("key{}", n / 16)).ok()).collect();
        assert_eq!((taken.len(), places.taken()), (192, 192));
        assert_eq!(places.take(greedy, "one-more").err(), Some(NoPlace::Account(192)));
        let others: Vec<Place> = (0..64).filter_map(|n| places.take(other, &format!("other{}", n / 16)).ok()).collect();
        assert_eq!(others.len(), 64, "what the account left");
        assert_eq!(places.take(AccountId::generate(), "third").err(), Some(NoPlace::Server));
        drop((taken, others));
        assert_eq!(places.taken(), 0);
        assert!(places.lock().of_account.is_empty() && places.lock().of_key.is_empty());
    }

    #[test]
    fn a_key_has_its_share_and_no_more_and_one_that_is_given_back_is_free() {
        let (places, account) = (Places::new(256), AccountId::generate());
        let mut taken: Vec<Place> = (0..OF_ONE_KEY).filter_map(|_| places.take(account, "a").ok()).collect();
        assert_eq!(places.take(account, "a").err(), Some(NoPlace::Key(OF_ONE_KEY)));
        assert!(places.take(account, "b").is_ok(), "another key of the account");
        taken.pop();
        assert!(places.take(account, "a").is_ok());
    }
}

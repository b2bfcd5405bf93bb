//! Which rooms and calls are live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::LegId;
use tokio::sync::watch;

use crate::command::{CommandError, RoomRef};
use crate::link::{LinkHandle, Tell};
use crate::room::RoomHandle;
use crate::session::CallMailbox;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many there may be at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceilings {
    /// Of all accounts.
    pub server: usize,
    /// Of one account.
    pub account: usize,
}

/// Which ceiling is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Server,
    Account,
}

impl Full {
    /// As it is said to whoever asked.
    pub fn error(self, what: &'static str, ceilings: Ceilings) -> CommandError {
        match self {
            Self::Server if what == "rooms" => CommandError::Busy("rooms at once"),
            Self::Server => CommandError::Busy("calls at once"),
            Self::Account => CommandError::OverLimit { what, limit: ceilings.account },
        }
    }
}

/// How many things are live, in all and of each account.
#[derive(Default)]
struct Count {
    all: usize,
    of_account: HashMap<String, usize>,
}

impl Count {
    /// Whether there is a place for `more` of the account's.
    fn check(&self, account: &str, more: usize, ceilings: Ceilings) -> Result<(), Full> {
        if self.all.saturating_add(more) > ceilings.server {
            return Err(Full::Server);
        }
        let own = self.of_account.get(account).copied().unwrap_or(0);
        if own.saturating_add(more) > ceilings.account { Err(Full::Account) } else { Ok(()) }
    }

    fn add(&mut self, account: &str) {
        self.all += 1;
        *self.of_account.entry(account.to_owned()).or_default() += 1;
    }

    fn remove(&mut self, account: &str) {
        self.all = self.all.saturating_sub(1);
        if let Some(own) = self.of_account.get_mut(account) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.of_account.remove(account);
            }
        }
    }
}

/// The live rooms.
#[derive(Default)]
pub(crate) struct Rooms {
    inner: Mutex<RoomIndex>,
    /// Rises when a room opens, changes or ends.
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct RoomIndex {
    by_uuid: HashMap<String, RoomHandle>,
    count: Count,
    by_name: HashMap<(String, String), String>,
    by_media: HashMap<media::RoomId, String>,
}

impl Rooms {
    /// Rises when any of them changes.
    pub fn changes(&self) -> Arc<watch::Sender<u64>> {
        Arc::clone(&self.changes)
    }

    /// A live room of the account.
    pub fn get(&self, account: &str, which: &RoomRef) -> Option<RoomHandle> {
        let index = locked(&self.inner);
        let uuid = match which {
            RoomRef::Uuid(uuid) => uuid,
            RoomRef::Name(name) => index.by_name.get(&(account.to_owned(), name.clone()))?,
        };
        index.by_uuid.get(uuid).filter(|room| room.account() == account).cloned()
    }

    /// The live room of this name, or a new one; whether it is new.
    pub fn get_or_open(
        &self,
        account: &str,
        name: &str,
        ceilings: Ceilings,
        open: impl FnOnce() -> Result<RoomHandle, CommandError>,
    ) -> Result<(RoomHandle, bool), CommandError> {
        let mut index = locked(&self.inner);
        let key = (account.to_owned(), name.to_owned());
        if let Some(room) = index.by_name.get(&key).and_then(|uuid| index.by_uuid.get(uuid)) {
            return Ok((room.clone(), false));
        }
        index.count.check(account, 1, ceilings).map_err(|full| full.error("rooms", ceilings))?;
        let room = open()?;
        index.count.add(account);
        index.by_name.insert(key, room.uuid().to_owned());
        index.by_media.insert(room.media_room(), room.uuid().to_owned());
        index.by_uuid.insert(room.uuid().to_owned(), room.clone());
        Ok((room, true))
    }

    /// Takes in a room that nobody named: it is found by its UUID alone.
    pub fn open_unnamed(
        &self,
        account: &str,
        ceilings: Ceilings,
        open: impl FnOnce() -> Result<RoomHandle, CommandError>,
    ) -> Result<RoomHandle, CommandError> {
        let mut index = locked(&self.inner);
        index.count.check(account, 1, ceilings).map_err(|full| full.error("rooms", ceilings))?;
        let room = open()?;
        index.count.add(account);
        index.by_media.insert(room.media_room(), room.uuid().to_owned());
        index.by_uuid.insert(room.uuid().to_owned(), room.clone());
        Ok(room)
    }

    pub fn by_media(&self, room: media::RoomId) -> Option<RoomHandle> {
        let index = locked(&self.inner);
        index.by_uuid.get(index.by_media.get(&room)?).cloned()
    }

    pub fn forget(&self, uuid: &str) {
        self.remove(uuid);
        self.changes.send_modify(|count| *count += 1);
    }

    fn remove(&self, uuid: &str) {
        let mut index = locked(&self.inner);
        if let Some(room) = index.by_uuid.remove(uuid) {
            index.count.remove(room.account());
            index.by_media.remove(&room.media_room());
            let key = (room.account().to_owned(), room.name().to_owned());
            // One without a name may share it with a room that has one.
            if index.by_name.get(&key).is_some_and(|named| named == uuid) {
                index.by_name.remove(&key);
            }
        }
    }

    pub fn all(&self) -> Vec<RoomHandle> {
        locked(&self.inner).by_uuid.values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        locked(&self.inner).by_uuid.len()
    }
}

/// The live calls.
#[derive(Default)]
pub(crate) struct Calls {
    inner: Mutex<CallIndex>,
}

#[derive(Default)]
struct CallIndex {
    count: Count,
    by_uuid: HashMap<String, (String, CallMailbox)>,
    by_leg: HashMap<LegId, CallMailbox>,
}

impl Calls {
    /// Takes a call in.
    pub fn add(&self, uuid: &str, account: &str, mailbox: CallMailbox, ceilings: Ceilings) -> Result<(), Full> {
        let mut index = locked(&self.inner);
        index.count.check(account, 1, ceilings)?;
        if index.by_uuid.insert(uuid.to_owned(), (account.to_owned(), mailbox)).is_none() {
            index.count.add(account);
        }
        Ok(())
    }

    /// Whether there are places for `more` calls of the account, now.
    pub fn check(&self, account: &str, more: usize, ceilings: Ceilings) -> Result<(), Full> {
        locked(&self.inner).count.check(account, more, ceilings)
    }

    pub fn add_leg(&self, leg: LegId, mailbox: CallMailbox) {
        locked(&self.inner).by_leg.insert(leg, mailbox);
    }

    pub fn get(&self, account: &str, uuid: &str) -> Option<CallMailbox> {
        let index = locked(&self.inner);
        index.by_uuid.get(uuid).filter(|(owner, _)| owner == account).map(|(_, mailbox)| mailbox.clone())
    }

    pub fn of_account(&self, account: &str) -> Vec<String> {
        let index = locked(&self.inner);
        index.by_uuid.iter().filter(|(_, (owner, _))| owner == account).map(|(uuid, _)| uuid.clone()).collect()
    }

    pub fn by_leg(&self, leg: LegId) -> Option<CallMailbox> {
        locked(&self.inner).by_leg.get(&leg).cloned()
    }

    pub fn forget(&self, uuid: &str) {
        let mut index = locked(&self.inner);
        if let Some((account, _)) = index.by_uuid.remove(uuid) {
            index.count.remove(&account);
        }
    }

    pub fn forget_leg(&self, leg: LegId) {
        locked(&self.inner).by_leg.remove(&leg);
    }

    pub fn all(&self) -> Vec<CallMailbox> {
        locked(&self.inner).by_uuid.values().map(|(_, mailbox)| mailbox.clone()).collect()
    }

    pub fn len(&self) -> usize {
        locked(&self.inner).by_uuid.len()
    }
}

/// The connections of calls to their programs. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Links {
    by_call: Arc<Mutex<HashMap<String, LinkHandle>>>,
}

impl Links {
    /// What is told to this call's program goes there.
    pub fn add(&self, call: &str, link: LinkHandle) {
        locked(&self.by_call).insert(call.to_owned(), link);
    }

    pub fn forget(&self, call: &str) {
        locked(&self.by_call).remove(call);
    }

    /// Tells a call's program something; one without a connection, or without a call, is told nothing.
    pub fn tell(&self, call: &str, tell: Tell) {
        let link = locked(&self.by_call).get(call).cloned();
        if let Some(link) = link {
            link.tell(tell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_at_its_ceiling_leaves_the_rest_to_the_others() {
        let ceilings = Ceilings { server: 3, account: 2 };
        let calls = Calls::default();
        let add = |uuid: &str, account: &str| calls.add(uuid, account, CallMailbox::new().0, ceilings);
        assert_eq!((add("1", "a"), add("2", "a")), (Ok(()), Ok(())));
        assert_eq!(add("3", "a"), Err(Full::Account));
        assert_eq!(calls.check("b", 2, ceilings), Err(Full::Server));
        assert_eq!(add("4", "b"), Ok(()));
        assert_eq!(add("5", "b"), Err(Full::Server));
        calls.forget("1");
        calls.forget("1");
        assert_eq!(
            (calls.len(), calls.check("a", 1, ceilings), calls.check("a", 2, ceilings)),
            (2, Ok(()), Err(Full::Server))
        );
        assert_eq!(add("6", "a"), Ok(()));
        assert_eq!(add("7", "a"), Err(Full::Server));
    }
}

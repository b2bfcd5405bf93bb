//! Which rooms and calls are live.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use media::LegId;

use crate::command::{CommandError, RoomRef};
use crate::room::RoomHandle;
use crate::session::CallMailbox;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The live rooms.
#[derive(Default)]
pub(crate) struct Rooms {
    inner: Mutex<RoomIndex>,
}

#[derive(Default)]
struct RoomIndex {
    by_uuid: HashMap<String, RoomHandle>,
    by_name: HashMap<(String, String), String>,
    by_media: HashMap<media::RoomId, String>,
}

impl Rooms {
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
        most: usize,
        open: impl FnOnce() -> Result<RoomHandle, CommandError>,
    ) -> Result<(RoomHandle, bool), CommandError> {
        let mut index = locked(&self.inner);
        let key = (account.to_owned(), name.to_owned());
        if let Some(room) = index.by_name.get(&key).and_then(|uuid| index.by_uuid.get(uuid)) {
            return Ok((room.clone(), false));
        }
        if index.by_uuid.len() >= most {
            return Err(CommandError::Busy("rooms at once"));
        }
        let room = open()?;
        index.by_name.insert(key, room.uuid().to_owned());
        index.by_media.insert(room.media_room(), room.uuid().to_owned());
        index.by_uuid.insert(room.uuid().to_owned(), room.clone());
        Ok((room, true))
    }

    pub fn by_media(&self, room: media::RoomId) -> Option<RoomHandle> {
        let index = locked(&self.inner);
        index.by_uuid.get(index.by_media.get(&room)?).cloned()
    }

    pub fn forget(&self, uuid: &str) {
        let mut index = locked(&self.inner);
        if let Some(room) = index.by_uuid.remove(uuid) {
            index.by_media.remove(&room.media_room());
            index.by_name.remove(&(room.account().to_owned(), room.name().to_owned()));
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
    by_uuid: HashMap<String, (String, CallMailbox)>,
    by_leg: HashMap<LegId, CallMailbox>,
}

impl Calls {
    /// Takes a call in; false at the limit.
    pub fn add(&self, uuid: &str, account: &str, mailbox: CallMailbox, most: usize) -> bool {
        let mut index = locked(&self.inner);
        if index.by_uuid.len() >= most {
            return false;
        }
        index.by_uuid.insert(uuid.to_owned(), (account.to_owned(), mailbox));
        true
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
        locked(&self.inner).by_uuid.remove(uuid);
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

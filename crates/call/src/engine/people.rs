//! What people with browsers ask: tickets for calls, a look at all rooms, a supervisor's help.

use std::time::Instant;

use tokio::sync::watch;

use super::Engine;
use crate::command::{AccountRef, Asker, CommandError, RoomRef};
use crate::ticket::{Leads, Ticket, TicketRequest};

impl Engine {
    /// Makes a ticket for one call; see [`crate::ticket`].
    ///
    /// # Errors
    /// [`CommandError::NotFound`]: it leads into a room that is not there. [`CommandError::Busy`]: too many wait for their calls.
    pub fn issue_ticket(&self, wanted: TicketRequest) -> Result<Ticket, CommandError> {
        if let Leads::Room { uuid, .. } = &wanted.leads {
            let room = self.room(&wanted.account, &RoomRef::Uuid(uuid.clone()));
            if !room.is_some_and(|room| wanted.account.sees(room.auth_id())) {
                return Err(CommandError::NotFound { what: "room", id: uuid.clone() });
            }
        }
        self.inner.tickets.issue(wanted, Instant::now(), self.inner.clock.utc())
    }

    /// Rises when any room of any account opens, changes (as [`crate::room::RoomHandle::watch`] tells) or ends.
    pub fn watch_rooms(&self) -> watch::Receiver<u64> {
        self.inner.rooms.changes().subscribe()
    }

    /// The endpoint's call asks for a supervisor in its room, or (false) no more. Returns when that is recorded.
    ///
    /// # Errors
    /// [`CommandError::NotFound`]: it is none of the endpoint's calls. [`CommandError::Conflict`]: it is in no room.
    pub async fn ask_for_help(
        &self,
        account: &AccountRef,
        endpoint: &str,
        call_uuid: &str,
        wanted: bool,
    ) -> Result<(), CommandError> {
        let gone = || CommandError::NotFound { what: "call", id: call_uuid.to_owned() };
        let call = self.call(account, call_uuid).await.ok_or_else(gone)?;
        if call.call.endpoint.as_deref() != Some(endpoint) {
            return Err(gone());
        }
        let alone = || CommandError::Conflict("the call is in no room; there is nobody to be helped with".to_owned());
        let room = call.room_uuid.ok_or_else(alone)?;
        let room = self.inner.rooms.get(&account.id, &RoomRef::Uuid(room)).ok_or_else(alone)?;
        let by = Asker { kind: store::ActorKind::Caller, id: endpoint.to_owned() };
        room.ask_for_help(call_uuid, wanted, by).await.map(|_| ())
    }
}

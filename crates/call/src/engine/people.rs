//! What people with browsers ask: tickets for calls, a look at all rooms, a supervisor's help.

use std::time::Instant;

use tokio::sync::watch;

use super::Engine;
use crate::command::{AccountRef, Asker, CommandError, RoomRef};
use crate::room::RoomHandle;
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
        let alone = || CommandError::Conflict("the call is in no room; there is nobody to be helped with".to_owned());
        let room = self.room_of_endpoint(account, endpoint, call_uuid).await?.ok_or_else(alone)?;
        let by = Asker { kind: store::ActorKind::Caller, id: endpoint.to_owned() };
        room.ask_for_help(call_uuid, wanted, by).await.map(|_| ())
    }

    /// Whether the endpoint's call asks for a supervisor, and none has come.
    ///
    /// # Errors
    /// [`CommandError::NotFound`]: it is none of the endpoint's calls.
    pub async fn asks_for_help(
        &self,
        account: &AccountRef,
        endpoint: &str,
        call_uuid: &str,
    ) -> Result<bool, CommandError> {
        let room = self.room_of_endpoint(account, endpoint, call_uuid).await?;
        let asks = |room: RoomHandle| {
            let live = room.live();
            live.members.iter().any(|member| member.view.call_uuid == call_uuid && member.help)
        };
        Ok(room.is_some_and(asks))
    }

    /// The room that the endpoint's call is in.
    async fn room_of_endpoint(
        &self,
        account: &AccountRef,
        endpoint: &str,
        call_uuid: &str,
    ) -> Result<Option<RoomHandle>, CommandError> {
        let call = self.call(account, call_uuid).await.filter(|call| call.call.endpoint.as_deref() == Some(endpoint));
        let call = call.ok_or_else(|| CommandError::NotFound { what: "call", id: call_uuid.to_owned() })?;
        Ok(call.room_uuid.and_then(|room| self.inner.rooms.get(&account.id, &RoomRef::Uuid(room))))
    }
}

//! What the interface asks of live calls and rooms.

use async_trait::async_trait;
use call::command::{
    AccountRef, Asker, CallChanged, CallCommand, CommandError, PlaceCall, Placed, RoomRef, RoomSnapshot, TapRoom,
    Tapped,
};
use call::dialect::CallView;
use call::engine::Engine;

use crate::Jambonz;

/// Live calls and rooms. What is not of the account is not there.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// The account's live calls.
    async fn calls(&self, account: &AccountRef) -> Vec<CallView>;
    /// A live call.
    async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallView>;
    /// Changes a live call. When it returns, the sound has changed.
    async fn command(
        &self,
        account: &AccountRef,
        uuid: &str,
        command: CallCommand,
        by: Asker,
    ) -> Result<CallChanged, CommandError>;
    /// Makes a call. It returns when the INVITE is sent.
    async fn place(&self, account: &AccountRef, call: PlaceCall, by: Asker) -> Result<Placed, CommandError>;
    /// The account's live rooms.
    async fn rooms(&self, account: &AccountRef) -> Vec<RoomSnapshot>;
    /// The account's queues and how many calls wait in each.
    async fn queues(&self, account: &AccountRef) -> Vec<(String, usize)>;
    /// Lets a program hear a room. `None`: there is no such room.
    async fn tap(
        &self,
        account: &AccountRef,
        room: &str,
        tap: TapRoom,
        by: Asker,
    ) -> Result<Option<Tapped>, CommandError>;
    /// Ends that; whether there was such a tap.
    async fn untap(&self, account: &AccountRef, room: &str, members: bool) -> Result<bool, CommandError>;
}

#[async_trait]
impl Control for Engine {
    async fn calls(&self, account: &AccountRef) -> Vec<CallView> {
        self.live(account).await.into_iter().map(|snapshot| snapshot.call).collect()
    }

    async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallView> {
        Self::call(self, account, uuid).await.map(|snapshot| snapshot.call)
    }

    async fn command(
        &self,
        account: &AccountRef,
        uuid: &str,
        command: CallCommand,
        by: Asker,
    ) -> Result<CallChanged, CommandError> {
        self.command_call(account, uuid, command, by).await
    }

    async fn place(&self, account: &AccountRef, call: PlaceCall, by: Asker) -> Result<Placed, CommandError> {
        self.place_call(account, call, by).await
    }

    async fn queues(&self, account: &AccountRef) -> Vec<(String, usize)> {
        Self::queues(self, account)
    }

    async fn tap(
        &self,
        account: &AccountRef,
        room: &str,
        tap: TapRoom,
        by: Asker,
    ) -> Result<Option<Tapped>, CommandError> {
        tracing::info!(account = account.id, by = by.id, room, members = tap.members, "a program taps a room");
        match self.tap_room(account, &RoomRef::Name(room.to_owned()), tap, Jambonz::NAME).await {
            Err(CommandError::NotFound { .. }) => Ok(None),
            tapped => tapped.map(Some),
        }
    }

    async fn untap(&self, account: &AccountRef, room: &str, members: bool) -> Result<bool, CommandError> {
        match self.untap_room(account, &RoomRef::Name(room.to_owned()), members).await {
            Err(CommandError::NotFound { .. }) => Ok(false),
            untapped => untapped,
        }
    }

    async fn rooms(&self, account: &AccountRef) -> Vec<RoomSnapshot> {
        let mut rooms = Vec::new();
        for room in Self::rooms(self, account) {
            // One that has ended meanwhile is left out.
            rooms.extend(room.snapshot().await.ok());
        }
        rooms
    }
}

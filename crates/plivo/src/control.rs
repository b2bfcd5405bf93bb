//! What this dialect asks of rooms and calls that are live. [`Engine`] answers; tests put something smaller in its place.

use async_trait::async_trait;
use call::command::{
    AccountRef, AddMember, Added, Applied, Asker, CallCommand, CallSnapshot, CommandError, MemberChange, RoomRef,
    RoomSnapshot, Whom,
};
use call::engine::Engine;

/// Commands and questions. Where a room is named, it is a live one of the account.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// A live room, if there is one.
    async fn room(&self, account: &AccountRef, room: &RoomRef) -> Result<Option<RoomSnapshot>, CommandError>;
    /// Connects its members.
    async fn start(&self, account: &AccountRef, room: &RoomRef, by: Asker) -> Result<Applied, CommandError>;
    /// Ends it.
    async fn end(&self, account: &AccountRef, room: &RoomRef, by: Asker) -> Result<Applied, CommandError>;
    /// Changes members' rules.
    async fn change(
        &self,
        account: &AccountRef,
        room: &RoomRef,
        whom: Whom,
        change: MemberChange,
        by: Asker,
    ) -> Result<Applied, CommandError>;
    /// Removes members.
    async fn kick(&self, account: &AccountRef, room: &RoomRef, whom: Whom, by: Asker) -> Result<Applied, CommandError>;
    /// Adds a member.
    async fn add_member(&self, account: &AccountRef, add: AddMember, by: Asker) -> Result<Added, CommandError>;
    /// A live call, if there is one.
    async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallSnapshot>;
    /// Changes a live call.
    async fn command_call(
        &self,
        account: &AccountRef,
        uuid: &str,
        command: CallCommand,
        by: Asker,
    ) -> Result<(), CommandError>;
}

fn missing(room: &RoomRef) -> CommandError {
    let (RoomRef::Name(id) | RoomRef::Uuid(id)) = room;
    CommandError::NotFound { what: "room", id: id.clone() }
}

#[async_trait]
impl Control for Engine {
    async fn room(&self, account: &AccountRef, room: &RoomRef) -> Result<Option<RoomSnapshot>, CommandError> {
        let Some(handle) = Engine::room(self, account, room) else { return Ok(None) };
        match handle.snapshot().await {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(CommandError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn start(&self, account: &AccountRef, room: &RoomRef, by: Asker) -> Result<Applied, CommandError> {
        Engine::room(self, account, room).ok_or_else(|| missing(room))?.start(by).await
    }

    async fn end(&self, account: &AccountRef, room: &RoomRef, by: Asker) -> Result<Applied, CommandError> {
        Engine::room(self, account, room).ok_or_else(|| missing(room))?.end(by).await
    }

    async fn change(
        &self,
        account: &AccountRef,
        room: &RoomRef,
        whom: Whom,
        change: MemberChange,
        by: Asker,
    ) -> Result<Applied, CommandError> {
        Engine::room(self, account, room).ok_or_else(|| missing(room))?.change(whom, change, by).await
    }

    async fn kick(&self, account: &AccountRef, room: &RoomRef, whom: Whom, by: Asker) -> Result<Applied, CommandError> {
        Engine::room(self, account, room).ok_or_else(|| missing(room))?.kick(whom, by).await
    }

    async fn add_member(&self, account: &AccountRef, add: AddMember, by: Asker) -> Result<Added, CommandError> {
        Engine::add_member(self, account, add, by).await
    }

    async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallSnapshot> {
        Engine::call(self, account, uuid).await
    }

    async fn command_call(
        &self,
        account: &AccountRef,
        uuid: &str,
        command: CallCommand,
        by: Asker,
    ) -> Result<(), CommandError> {
        Engine::command_call(self, account, uuid, command, by).await.map(drop)
    }
}

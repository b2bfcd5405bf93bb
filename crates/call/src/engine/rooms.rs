//! Rooms as they are found, or opened.

use std::sync::Arc;

use uuid::Uuid;

use super::Inner;
use crate::command::CommandError;
use crate::dialect::MemberView;
use crate::room::{self, Opening, RoomHandle};
use crate::verb::{Join, RoomSettings};

impl Inner {
    /// The live room that `join` names, or a new one under its settings.
    pub fn find_or_open(
        self: &Arc<Self>,
        account: &str,
        auth_id: &str,
        dialect: &'static str,
        join: &Join,
        opener: Option<MemberView>,
    ) -> Result<RoomHandle, CommandError> {
        let open = || {
            let opening = Opening {
                uuid: Uuid::new_v4().to_string(),
                name: join.room.clone(),
                unnamed: false,
                account: account.to_owned(),
                auth_id: auth_id.to_owned(),
                dialect,
                settings: join.room_settings.clone(),
                opener,
            };
            room::open(self, opening)
        };
        let opened = self.rooms.get_or_open(account, &join.room, self.config.room_ceilings(), open);
        if let Err(CommandError::OverLimit { .. }) = &opened {
            self.counters.rooms_over_account_limit.add(1);
        }
        let (room, new) = opened?;
        if new {
            self.counters.rooms_opened.add(1);
        }
        // Sub-accounts share no rooms: whoever opens a name first must not get the others' callers.
        if room.auth_id() == auth_id { Ok(room) } else { Err(taken(room.name())) }
    }

    /// A new room without a name, in which calls are connected. It ends when one of those leaves whose departure ends it.
    pub fn open_unnamed(
        self: &Arc<Self>,
        account: &str,
        auth_id: &str,
        dialect: &'static str,
        opener: MemberView,
    ) -> Result<RoomHandle, CommandError> {
        let uuid = Uuid::new_v4().to_string();
        let opening = Opening {
            name: uuid.clone(),
            uuid,
            unnamed: true,
            account: account.to_owned(),
            auth_id: auth_id.to_owned(),
            dialect,
            settings: RoomSettings::default(),
            opener: Some(opener),
        };
        let opened = self.rooms.open_unnamed(account, self.config.room_ceilings(), || room::open(self, opening));
        if let Err(CommandError::OverLimit { .. }) = &opened {
            self.counters.rooms_over_account_limit.add(1);
        }
        self.counters.rooms_opened.add(u64::from(opened.is_ok()));
        opened
    }
}

pub(super) fn taken(name: &str) -> CommandError {
    CommandError::Conflict(format!("another account has a room named {name:?}; choose another name"))
}

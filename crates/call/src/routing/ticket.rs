//! Where calls with tickets lead.

use store::{AccountId, ActorKind, Application, Scope, Timestamp};

use super::arrival::NoApplication;
use super::shortcut::of_nobody;
use super::{Reached, Routing};
use crate::keyholder::{self, Part};
use crate::room::RoomHandle;
use crate::ticket::{self, Admission, Leads};
use crate::verb::{Join, JoinHooks, MemberSettings, RoomSettings, Verb};

impl Routing {
    /// What a call with this ticket leads to; `room` finds a live room of the account by its UUID.
    pub async fn admitted(
        &self,
        admission: Admission,
        room: impl FnOnce(&str) -> Option<RoomHandle>,
        utc: i64,
    ) -> Result<Reached, NoApplication> {
        let Admission { account, leads, mut holder } = admission;
        let unknown = |dialled: &str| NoApplication::Unknown { dialled: dialled.to_owned() };
        let id: AccountId = account.id.parse().map_err(|_| unknown(&account.id))?;
        let usable = |app: Option<Application>, dialled: &str| {
            app.filter(|app| app.enabled).map(Reached::from).ok_or_else(|| unknown(dialled))
        };
        let reached = match leads {
            Leads::Application { app_id } => usable(self.store.application(id, &app_id).await?, &app_id)?,
            Leads::Number { number } => {
                let app = self.by_number(id, &number).await?.flatten();
                Reached { callee: Some(number.clone()), ..usable(app, &number)? }
            }
            Leads::Room { uuid, role, mode } => {
                let room = room(&uuid).ok_or_else(|| unknown(&uuid))?;
                // Since the ticket was made, its key may have been deleted or narrowed.
                if holder.by.kind == ActorKind::Key {
                    let key = self.store.good_api_key(id, &holder.by.id, Timestamp::from_micros(utc)).await?;
                    let part = Part::at_entry(role, mode);
                    keyholder::check(key.as_ref(), &room.live(), part)?;
                    holder.coaches = key.is_some_and(|key| key.scopes.contains(Scope::Coach));
                }
                let join = Join {
                    room: room.name().to_owned(),
                    entry: ticket::entry(role, mode),
                    room_settings: RoomSettings::default(),
                    member_settings: MemberSettings::default(),
                    hooks: JoinHooks::default(),
                };
                let sub = self.store.account_by_auth_id(room.auth_id()).await?.filter(|owner| owner.parent == Some(id));
                let application = of_nobody(id, sub.map(|sub| sub.id), room.dialect())?;
                Reached {
                    run: Some(vec![Verb::Join(Box::new(join)).into()]),
                    callee: Some(room.name().to_owned()),
                    room: Some(room),
                    ..application.into()
                }
            }
        };
        Ok(Reached { holder: Some(holder), ..reached })
    }
}

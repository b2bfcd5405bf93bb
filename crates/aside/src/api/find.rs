//! Finding the rooms that a request names, and keeping a key to those it is for.

use call::command::{CommandError, RoomRef, RoomSnapshot};
use call::dialect::MemberView;
use call::room::RoomHandle;
use conference::Role;
use store::{MemberFilter, Page, RoomFilter, RoomId, RoomRecord, Scope, TimeRange, Timestamp};

use super::Api;
use super::caller::Caller;
use super::problem::Problem;

const NOT_YOURS: &str = "the key is limited to other rooms or people; an administrator can change that";

impl Api {
    /// A live room of the caller's account, by its UUID or name.
    fn live_room(&self, caller: &Caller, named: &str) -> Option<RoomHandle> {
        let account = caller.account_ref();
        let by_uuid =
            named.parse::<RoomId>().ok().and_then(|uuid| self.engine.room(&account, &RoomRef::Uuid(uuid.to_string())));
        by_uuid.or_else(|| self.engine.room(&account, &RoomRef::Name(named.to_owned())))
    }

    /// A live room that the key is for. A refusal is recorded as one of `what`.
    pub(super) async fn room(
        &self,
        caller: &Caller,
        named: &str,
        what: &str,
    ) -> Result<Option<(RoomHandle, RoomSnapshot)>, Problem> {
        let Some(handle) = self.live_room(caller, named) else { return Ok(None) };
        let snapshot = match handle.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(CommandError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if caller.may_see_room(&snapshot) {
            return Ok(Some((handle, snapshot)));
        }
        Err(self.refused(caller, what, NOT_YOURS, snapshot.room.uuid.parse().ok()).await)
    }

    /// [`Self::room`], where there must be one.
    pub(super) async fn must_room(
        &self,
        caller: &Caller,
        named: &str,
        what: &str,
    ) -> Result<(RoomHandle, RoomSnapshot), Problem> {
        self.room(caller, named, what).await?.ok_or_else(|| Problem::not_found("live room", named))
    }

    /// A room in the records that the key is for: by its UUID, or the last of its name that was there at `at`.
    pub(super) async fn recorded_room(
        &self,
        caller: &Caller,
        named: &str,
        at: Option<Timestamp>,
        what: &str,
    ) -> Result<RoomRecord, Problem> {
        let store = self.engine.store();
        let mut found = match named.parse() {
            Ok(uuid) => store.room(caller.account.id, uuid).await?,
            Err(_) => None,
        };
        if found.is_none() {
            let created = TimeRange { lte: at, ..TimeRange::default() };
            let wanted = RoomFilter { name: Some(named.to_owned()), created, ..RoomFilter::default() };
            found = store.rooms(caller.account.id, wanted, Page::first(1)).await?.items.into_iter().next();
        }
        let room = found.ok_or_else(|| Problem::not_found("room", named))?;
        if self.may_see_recorded(caller, &room).await? {
            return Ok(room);
        }
        Err(self.refused(caller, what, NOT_YOURS, Some(room.id)).await)
    }

    /// Whether the key is for a room in the records: by its name, and the tags its members last had.
    pub(super) async fn may_see_recorded(&self, caller: &Caller, room: &RoomRecord) -> Result<bool, Problem> {
        if caller.key.tag.is_none() {
            return Ok(caller.may_see(&room.name, std::iter::empty()));
        }
        let mut page = Page::first(store::PAGE_LIMIT);
        loop {
            let listed = self.engine.store().members(caller.account.id, room.id, MemberFilter::default(), page).await?;
            if caller.may_see(&room.name, listed.items.iter().filter_map(|member| member.tag.as_deref())) {
                return Ok(true);
            }
            let seen = u32::try_from(listed.items.len()).unwrap_or(u32::MAX);
            page.offset = page.offset.saturating_add(seen);
            if seen == 0 || u64::from(page.offset) >= listed.total {
                return Ok(false);
            }
        }
    }

    /// Refuses to direct a member who did not come with this key, unless the key may coach and is for the member. A supervisor
    /// hears and reaches everybody: no key that is for some people only directs another's.
    pub(super) async fn check_directed(
        &self,
        caller: &Caller,
        room: (&RoomHandle, &RoomSnapshot),
        member: &MemberView,
        what: &str,
    ) -> Result<(), Problem> {
        let (room, snapshot) = room;
        let live = room.live();
        let shown = live.members.iter().find(|shown| shown.view.number == member.number);
        let holder = shown.and_then(|shown| shown.holder.as_ref());
        if holder.is_some_and(|holder| holder.by == caller.asker()) {
            return Ok(());
        }
        let id = room.uuid().parse().ok();
        if !caller.key.scopes.contains(Scope::Coach) {
            return Err(self.missing_scope(caller, &[Scope::Coach], what, id).await);
        }
        if member.role != Some(Role::Supervisor) {
            return self.check_members(caller, snapshot, &[member.number], what).await;
        }
        if caller.key.tag.is_some() || caller.key.team.is_some() {
            let why = "the key is limited to a tag, and the supervisor did not come with it; use a key without a tag";
            return Err(self.refused(caller, what, why, id).await);
        }
        Ok(())
    }

    /// Refuses a change of members that the key is not for.
    pub(super) async fn check_members(
        &self,
        caller: &Caller,
        room: &RoomSnapshot,
        members: &[i64],
        what: &str,
    ) -> Result<(), Problem> {
        for number in members {
            let member = room.members.iter().find(|member| member.number == *number);
            let member = member.ok_or_else(|| Problem::not_found("member", &number.to_string()))?;
            if !caller.may_change(member) {
                let why = format!("the key is limited to members with another tag than member {number}");
                return Err(self.refused(caller, what, &why, room.room.uuid.parse().ok()).await);
            }
        }
        Ok(())
    }
}

//! Rooms: list, look, start, end.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use store::{Page, RoomFilter, RoomStatus};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::extract::{Asked, Named};
use super::members::agents_of;
use super::object::{AppliedObject, MemberObject, RoomList, RoomObject};
use super::problem::Problem;
use super::{Answered, Api, applied};

/// Which rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomState {
    /// Those that have not ended.
    #[default]
    Live,
    /// Those that have.
    Ended,
}

/// Which part of which rooms.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RoomQuery {
    /// `live` (by name) or `ended` (newest first).
    #[serde(default)]
    #[param(inline)]
    pub state: RoomState,
    /// Rows wanted, at most 1000.
    #[serde(default = "default_limit")]
    pub limit: u32,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u32,
}

pub(super) fn default_limit() -> u32 {
    100
}

/// A room and its members.
#[derive(Clone, Debug, PartialEq, serde::Serialize, Deserialize, ToSchema)]
pub struct RoomDetail {
    /// The room.
    #[serde(flatten)]
    pub room: RoomObject,
    /// Its members in order of entry; of an ended room, all it had.
    pub member_list: Vec<MemberObject>,
}

/// The rooms that the key is for.
#[utoipa::path(get, path = "/rooms", tag = "rooms", params(RoomQuery), responses((status = 200, body = RoomList)))]
pub async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<RoomQuery>,
) -> Result<Json<RoomList>, Problem> {
    match query.state {
        RoomState::Live => list_live(&api, &caller, &query).await.map(Json),
        RoomState::Ended => list_ended(&api, &caller, &query).await.map(Json),
    }
}

async fn list_live(api: &Api, caller: &Caller, query: &RoomQuery) -> Result<RoomList, Problem> {
    let mut handles = api.engine.rooms(&caller.account_ref());
    handles.retain(|handle| caller.key.team.is_none() && caller.key.permits_room(handle.name()));
    handles.sort_by(|left, right| left.name().cmp(right.name()));
    let (skip, take) = (query.offset as usize, query.limit.min(store::PAGE_LIMIT) as usize);
    let mut total = u64::try_from(handles.len()).unwrap_or(u64::MAX);
    // A key for a tag must look into every room; any other only into those it shows.
    if caller.key.tag.is_none() {
        handles = handles.into_iter().skip(skip).take(take).collect();
    }
    let mut items = Vec::with_capacity(handles.len().min(take));
    for handle in handles {
        // A room that ends meanwhile is left out.
        if let Ok(snapshot) = handle.snapshot().await
            && caller.may_see_room(&snapshot)
        {
            items.push(RoomObject::live(&snapshot));
        }
    }
    if caller.key.tag.is_some() {
        total = u64::try_from(items.len()).unwrap_or(u64::MAX);
        items = items.into_iter().skip(skip).take(take).collect();
    }
    Ok(RoomList { items, total })
}

async fn list_ended(api: &Api, caller: &Caller, query: &RoomQuery) -> Result<RoomList, Problem> {
    let store = api.engine.store();
    let wanted = RoomFilter { status: Some(RoomStatus::Ended), ..RoomFilter::default() };
    let page = Page { limit: query.limit.min(store::PAGE_LIMIT), offset: query.offset };
    let listed = store.rooms(caller.account.id, wanted, page).await?;
    let mut items = Vec::with_capacity(listed.items.len());
    for room in &listed.items {
        if !caller.is_limited() || api.may_see_recorded(caller, room).await? {
            items.push(RoomObject::recorded(room));
        }
    }
    // How many there are in all is not told to a key that may not see them.
    let total = if caller.is_limited() { u64::try_from(items.len()).unwrap_or(u64::MAX) } else { listed.total };
    Ok(RoomList { items, total })
}

/// A room and its members, live or ended.
#[utoipa::path(get, path = "/rooms/{room}", tag = "rooms",
    params(("room" = String, Path, description = "UUID or name")), responses((status = 200, body = RoomDetail)))]
pub async fn get(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
) -> Result<Json<RoomDetail>, Problem> {
    if let Some((_, snapshot)) = api.room(&caller, &named, "read a room").await? {
        let member_list = snapshot.members.iter().map(MemberObject::live).collect();
        return Ok(Json(RoomDetail { room: RoomObject::live(&snapshot), member_list }));
    }
    let room = api.recorded_room(&caller, &named, None, "read a room").await?;
    let page = Page::first(store::PAGE_LIMIT);
    let members = api.engine.store().members(caller.account.id, room.id, Default::default(), page).await?.items;
    let member_list = members.iter().map(MemberObject::recorded).collect();
    Ok(Json(RoomDetail { room: RoomObject::recorded(&room), member_list }))
}

/// Connects the members whatever they wait for.
#[utoipa::path(post, path = "/rooms/{room}/start", tag = "rooms",
    params(("room" = String, Path, description = "UUID or name")),
    responses((status = 200, body = AppliedObject), (status = 202, body = AppliedObject)))]
pub async fn start(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
) -> Answered {
    let (handle, _) = api.must_room(&caller, &named, "start a room").await?;
    Ok(applied(handle.start(caller.asker()).await?))
}

/// Ends the room: every member is hung up or goes on with its own instructions. A key that is limited to a tag must be
/// for every agent in it.
#[utoipa::path(delete, path = "/rooms/{room}", tag = "rooms",
    params(("room" = String, Path, description = "UUID or name")),
    responses((status = 200, body = AppliedObject), (status = 202, body = AppliedObject)))]
pub async fn end(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
) -> Answered {
    let (handle, snapshot) = api.must_room(&caller, &named, "end a room").await?;
    api.check_members(&caller, &snapshot, &agents_of(&snapshot), "end a room").await?;
    Ok(applied(handle.end(caller.asker()).await?))
}

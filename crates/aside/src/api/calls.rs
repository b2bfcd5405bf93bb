//! Calls: list, look, hang up.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use call::command::{CallCommand, CallSnapshot, RoomRef};
use serde::Deserialize;
use store::{CallFilter, CallId, Life, Page};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::Caller;
use super::extract::{Asked, Named};
use super::object::{CallList, CallObject};
use super::problem::Problem;

/// Which calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallLife {
    /// Those that have not ended.
    #[default]
    Live,
    /// Those that have.
    Ended,
}

/// Which part of which calls.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallQuery {
    /// `live` or `ended`, newest first.
    #[serde(default)]
    #[param(inline)]
    pub state: CallLife,
    /// Rows wanted, at most 1000.
    #[serde(default = "super::rooms::default_limit")]
    pub limit: u32,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u32,
}

/// The calls of the account. A key that is limited to rooms sees live calls in those rooms only.
#[utoipa::path(get, path = "/calls", tag = "calls", params(CallQuery), responses((status = 200, body = CallList)))]
pub async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<CallQuery>,
) -> Result<Json<CallList>, Problem> {
    let page = Page { limit: query.limit.min(store::PAGE_LIMIT), offset: query.offset };
    if caller.is_limited() {
        return list_limited(&api, &caller, query.state, page).await.map(Json);
    }
    let state = match query.state {
        CallLife::Live => Life::Live,
        CallLife::Ended => Life::Ended,
    };
    let wanted = CallFilter { state: Some(state), ..CallFilter::default() };
    let listed = api.engine.store().calls(caller.account.id, wanted, page).await?;
    let mut items: Vec<CallObject> = listed.items.iter().map(CallObject::recorded).collect();
    for item in items.iter_mut().filter(|item| item.ended_at.is_none()) {
        if let Some(snapshot) = api.engine.call(&caller.account_ref(), &item.uuid).await {
            *item = CallObject::live(&snapshot);
        }
    }
    Ok(Json(CallList { items, total: listed.total }))
}

async fn list_limited(api: &Api, caller: &Caller, state: CallLife, page: Page) -> Result<CallList, Problem> {
    let mut items = Vec::new();
    if state == CallLife::Live {
        let mut uuids = api.engine.calls(&caller.account_ref());
        uuids.sort();
        for uuid in uuids {
            if let Some(snapshot) = api.engine.call(&caller.account_ref(), &uuid).await
                && may_see(api, caller, &snapshot).await?
            {
                items.push(CallObject::live(&snapshot));
            }
        }
    }
    let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let items = items.into_iter().skip(page.offset as usize).take(page.limit as usize).collect();
    Ok(CallList { items, total })
}

/// A limited key is for the calls in its rooms; one limited to a tag, for the members of that tag.
async fn may_see(api: &Api, caller: &Caller, call: &CallSnapshot) -> Result<bool, Problem> {
    if !caller.is_limited() {
        return Ok(true);
    }
    let Some(uuid) = &call.room_uuid else { return Ok(false) };
    let Some(handle) = api.engine.room(&caller.account_ref(), &RoomRef::Uuid(uuid.clone())) else { return Ok(false) };
    let Ok(snapshot) = handle.snapshot().await else { return Ok(false) };
    let member = snapshot.members.iter().find(|member| member.call_uuid == call.call.uuid);
    Ok(caller.may_see_room(&snapshot) && member.is_some_and(|member| caller.may_change(member)))
}

/// A call, live or ended.
#[utoipa::path(get, path = "/calls/{call}", tag = "calls",
    params(("call" = String, Path, description = "UUID")), responses((status = 200, body = CallObject)))]
pub async fn get(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(uuid): Named<String>,
) -> Result<Json<CallObject>, Problem> {
    if let Some(snapshot) = api.engine.call(&caller.account_ref(), &uuid).await {
        check(&api, &caller, &snapshot, "read a call").await?;
        return Ok(Json(CallObject::live(&snapshot)));
    }
    let missing = || Problem::not_found("call", &uuid);
    let id: CallId = uuid.parse().map_err(|_| missing())?;
    let call = api.engine.store().call(caller.account.id, id).await?.ok_or_else(missing)?;
    if caller.is_limited() {
        return Err(api.refused(&caller, "read a call", "the key is limited to live calls in its rooms", None).await);
    }
    Ok(Json(CallObject::recorded(&call)))
}

async fn check(api: &Api, caller: &Caller, call: &CallSnapshot, what: &str) -> Result<(), Problem> {
    if may_see(api, caller, call).await? {
        return Ok(());
    }
    let room = call.room_uuid.as_ref().and_then(|uuid| uuid.parse().ok());
    Err(api.refused(caller, what, "the key is limited to other rooms or people", room).await)
}

/// Hangs a live call up.
#[utoipa::path(delete, path = "/calls/{call}", tag = "calls",
    params(("call" = String, Path, description = "UUID")), responses((status = 204, description = "it is over")))]
pub async fn hangup(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(uuid): Named<String>,
) -> Result<StatusCode, Problem> {
    let account = caller.account_ref();
    let snapshot = api.engine.call(&account, &uuid).await.ok_or_else(|| Problem::not_found("live call", &uuid))?;
    check(&api, &caller, &snapshot, "hang a call up").await?;
    api.engine.command_call(&account, &uuid, CallCommand::Hangup(None), caller.asker()).await?;
    Ok(StatusCode::NO_CONTENT)
}

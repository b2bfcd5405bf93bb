//! Who hears whom: now, at a time, and between two times.

use axum::extract::State;
use axum::{Extension, Json};
use call::command::HearingMatrix;
use serde::Deserialize;
use store::{LedgerEntry, LedgerId, LedgerKind, RoomRecord, Timestamp};
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::extract::{Asked, Named};
use super::object::{HearingObject, LedgerList, LedgerObject, WhoObject};
use super::problem::Problem;
use crate::manage::object::{parse_rfc3339, rfc3339};

/// When.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HearingQuery {
    /// RFC 3339, such as 2030-01-31T12:03:04Z; now if left out.
    #[serde(default)]
    pub at: Option<String>,
}

/// Between when and when.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LedgerQuery {
    /// RFC 3339.
    pub from: String,
    /// RFC 3339, not included.
    pub to: String,
    /// The last entry already seen.
    #[serde(default)]
    pub after: i64,
    /// Entries wanted, at most 1000.
    #[serde(default = "super::rooms::default_limit")]
    pub limit: u32,
}

fn time(name: &str, text: &str) -> Result<Timestamp, Problem> {
    parse_rfc3339(text).ok_or_else(|| {
        // A plus that was not escaped arrives as a blank.
        Problem::invalid(format!(
            "{name} {text:?}: write a time such as 2030-01-31T12:03:04Z; in a query, + is written %2B"
        ))
    })
}

/// Who hears whom in a room, now or at a time; also after it has ended.
#[utoipa::path(get, path = "/rooms/{room}/hearing", tag = "hearing",
    params(("room" = String, Path, description = "UUID or name"), HearingQuery), responses((status = 200, body = HearingObject)))]
pub async fn at(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
    Asked(query): Asked<HearingQuery>,
) -> Result<Json<HearingObject>, Problem> {
    let what = "read hearing";
    let Some(at) = query.at.as_deref().map(|text| time("at", text)).transpose()? else {
        let (handle, _) = api.must_room(&caller, &named, what).await?;
        return Ok(Json(HearingObject::of(handle.uuid(), handle.hearing().await?)));
    };
    let room = api.recorded_room(&caller, &named, Some(at), what).await?;
    hearing_at(&api, &caller, &room, at).await.map(Json)
}

async fn hearing_at(api: &Api, caller: &Caller, room: &RoomRecord, at: Timestamp) -> Result<HearingObject, Problem> {
    let uuid = room.id.to_string();
    let silence = HearingObject { room_uuid: uuid.clone(), tick: 0, at: rfc3339(at), pending: false, rows: Vec::new() };
    if room.ended_at.is_some_and(|ended| ended <= at) {
        return Ok(silence);
    }
    let view = api.engine.store().ledger_at(caller.account.id, room.id, at).await?;
    match view.base {
        None => Ok(silence),
        Some(entry) => hearing_of(&uuid, entry.change),
    }
}

fn hearing_of(room_uuid: &str, change: serde_json::Value) -> Result<HearingObject, Problem> {
    let matrix: HearingMatrix = serde_json::from_value(change).map_err(|error| {
        tracing::error!(room_uuid, %error, "a ledger entry cannot be read");
        Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "an entry of the ledger cannot be read; the log says why",
        )
    })?;
    Ok(HearingObject::of(room_uuid, matrix))
}

/// Who heard whom when a span began, and every change and refusal in it.
#[utoipa::path(get, path = "/rooms/{room}/hearing/between", tag = "hearing",
    params(("room" = String, Path, description = "UUID or name"), LedgerQuery), responses((status = 200, body = LedgerList)))]
pub async fn between(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
    Asked(query): Asked<LedgerQuery>,
) -> Result<Json<LedgerList>, Problem> {
    let (from, to) = (time("from", &query.from)?, time("to", &query.to)?);
    if to < from {
        return Err(Problem::invalid("to lies before from"));
    }
    let room = api.recorded_room(&caller, &named, Some(to), "read hearing").await?;
    let before = hearing_at(&api, &caller, &room, from).await?;
    let (store, limit) = (api.engine.store(), query.limit.clamp(1, store::PAGE_LIMIT));
    let entries = store.ledger_between(caller.account.id, room.id, from, to, LedgerId(query.after), limit).await?;
    let uuid = room.id.to_string();
    let items = entries.into_iter().map(|entry| shown(&uuid, entry)).collect::<Result<_, _>>()?;
    Ok(Json(LedgerList { before, items }))
}

fn shown(room_uuid: &str, entry: LedgerEntry) -> Result<LedgerObject, Problem> {
    let (hearing, refused) = match entry.kind {
        LedgerKind::Refused => (None, Some(entry.change)),
        LedgerKind::Snapshot | LedgerKind::Delta => (Some(hearing_of(room_uuid, entry.change)?), None),
    };
    Ok(LedgerObject {
        id: entry.id.0,
        at: rfc3339(entry.at),
        tick: entry.tick,
        who: WhoObject { kind: entry.who_kind.to_string(), id: entry.who_id },
        command_id: entry.command_id,
        hearing,
        refused,
    })
}

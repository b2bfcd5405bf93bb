//! Callbacks: what the account's programs are owed, and sending again what they did not take.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::Caller;
use super::extract::{Asked, Named as InPath};
use super::problem::Problem;
use crate::manage::object::CallbackObject;
use crate::manage::{CallbackAction, CallbackListing, CallbackState, Listing, Named, Replay, Subject};

/// Which part of which callbacks.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// Only those in this state: `pending`, `done` or `failed`.
    #[param(inline)]
    pub state: Option<CallbackState>,
    /// Rows wanted, at most 1000.
    #[serde(default = "super::rooms::default_limit")]
    pub limit: u32,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u32,
}

/// A part of a list of callbacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallbackList {
    /// The part, newest first.
    pub items: Vec<CallbackObject>,
    /// How many there are in all.
    pub total: u64,
}

/// The callbacks of the account, newest first.
#[utoipa::path(get, path = "/callbacks", tag = "callbacks", operation_id = "list_callbacks", params(CallbackQuery),
    responses((status = 200, body = CallbackList)))]
pub async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<CallbackQuery>,
) -> Result<Json<CallbackList>, Problem> {
    let listing = Listing { limit: query.limit, offset: query.offset };
    let asked = CallbackListing { state: query.state, listing };
    let (items, total) = api.manage_many(&caller, Subject::Callback(CallbackAction::List(asked))).await?;
    Ok(Json(CallbackList { items, total }))
}

/// A callback with what it says.
#[utoipa::path(get, path = "/callbacks/{id}", tag = "callbacks", operation_id = "show_callback",
    params(("id" = String, Path, description = "id")), responses((status = 200, body = CallbackObject)))]
pub async fn show(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<String>,
) -> Result<Json<CallbackObject>, Problem> {
    api.manage_one(&caller, Subject::Callback(CallbackAction::Show(Named { id }))).await.map(Json)
}

/// Sends a failed callback again, at the end of those that wait for its destination. 409 if it has not failed.
#[utoipa::path(post, path = "/callbacks/{id}/replay", tag = "callbacks", operation_id = "replay_callback",
    params(("id" = String, Path, description = "id")), responses((status = 200, body = CallbackObject)))]
pub async fn replay(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<String>,
) -> Result<Json<CallbackObject>, Problem> {
    let replay = Replay { id: Some(id), all: false };
    api.manage_one(&caller, Subject::Callback(CallbackAction::Replay(replay))).await.map(Json)
}

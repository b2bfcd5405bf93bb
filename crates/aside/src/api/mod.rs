//! The native API under `/api/v1`.

mod callbacks;
mod caller;
mod calls;
mod events;
mod extract;
mod find;
mod hearing;
mod management;
mod members;
pub mod object;
mod openapi;
mod problem;
mod refusals;
mod rooms;
mod routes;

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use call::command::Applied;
use call::engine::Engine;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::manage::Manager;
use object::AppliedObject;
pub use openapi::openapi_json;
pub use problem::Problem;
use refusals::Allowance;
pub use routes::{Route, routes};

/// Where the API is.
pub const BASE: &str = "/api/v1";

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// The parts of [`Api`].
pub struct Parts {
    /// Rooms and calls.
    pub engine: Engine,
    /// Accounts and what belongs to them.
    pub manager: Manager,
    /// Ends streams and waits.
    pub stop: CancellationToken,
    streams: Arc<Semaphore>,
    refusals: Allowance,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// An API with room for so many event streams.
    pub fn new(engine: Engine, manager: Manager, streams: usize, stop: CancellationToken) -> Self {
        let streams = Arc::new(Semaphore::new(streams));
        Self(Arc::new(Parts { engine, manager, stop, streams, refusals: Allowance::default() }))
    }

    /// Refusals that were answered but not recorded, because there were too many at once.
    pub fn unrecorded_refusals(&self) -> u64 {
        self.refusals.exceeded()
    }
}

/// What a command is answered with: 200 when the sound has changed, 202 when that is not confirmed yet.
type Answered = Result<(StatusCode, Json<AppliedObject>), Problem>;

fn applied(applied: Applied) -> (StatusCode, Json<AppliedObject>) {
    let status = if applied.confirmed { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(applied.into()))
}

/// The routes of the API, bodies limited to so many bytes.
pub fn router(api: &Api, body_bytes: usize) -> Router {
    let mut router = Router::new();
    for Route { path, scopes, handler, .. } in routes() {
        let guard = api.clone();
        let guarded =
            handler.route_layer(from_fn(move |request, next| caller::require(guard.clone(), scopes, request, next)));
        router = router.route(path, guarded);
    }
    let guarded = router
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "there is nothing here; /api/v1/openapi.json lists what there is")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this cannot be done here; /api/v1/openapi.json lists what can",
            )
        })
        .layer(from_fn_with_state(api.clone(), caller::authenticate));
    let open = Router::new().route(&format!("{BASE}/openapi.json"), get(description));
    open.nest(BASE, guarded).layer(DefaultBodyLimit::max(body_bytes)).with_state(api.clone())
}

async fn description() -> Result<([(axum::http::HeaderName, &'static str); 1], String), Problem> {
    let text = openapi_json().map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(axum::http::header::CONTENT_TYPE, "application/json")], text))
}

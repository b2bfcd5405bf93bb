//! The native API under `/api/v1`.

mod attempts;
mod callbacks;
mod caller;
mod calls;
mod events;
mod extract;
mod find;
mod hearing;
mod ice;
mod join;
mod links;
mod live;
mod management;
mod members;
pub mod object;
mod open;
mod openapi;
mod overview;
mod phone;
mod places;
mod problem;
mod refusals;
mod room_log;
mod rooms;
mod routes;
mod session;
mod stream;
mod wall;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use call::command::Applied;
use call::engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::manage::Manager;
use attempts::Attempts;
use ice::IceServers;
use object::AppliedObject;
pub use openapi::openapi_json;
use places::Places;
pub use problem::Problem;
use refusals::Allowance;
pub use routes::{Route, open_routes, routes};
pub use session::SignIn;
use session::SignIns;
use wall::Walls;

/// Where the API is.
pub const BASE: &str = "/api/v1";

/// Tokens that one source may try in a minute.
const TOKENS: u32 = 60;
/// Calls that one link may lead to in a minute.
const USES: u32 = 300;
const MINUTE: Duration = Duration::from_secs(60);

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
    streams: Arc<Places>,
    walls: Walls,
    refusals: Allowance,
    /// Whether browsers may call.
    serves_browsers: bool,
    ice: IceServers,
    sign_ins: SignIns,
    /// Tokens tried, by source.
    token_attempts: Attempts,
    /// Uses of a link, by link.
    link_attempts: Attempts,
    /// Wrong passwords, by source and user.
    password_attempts: Attempts,
    /// Wrong passwords, by source.
    source_attempts: Attempts,
}

/// What is refused for being tried too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guesses {
    /// Tokens.
    pub tokens: u64,
    /// Uses of links.
    pub links: u64,
    /// Passwords of endpoints.
    pub passwords: u64,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// An API as configured.
    pub fn new(engine: Engine, manager: Manager, config: &Config, stop: CancellationToken) -> Self {
        let (failures, lockout) = (config.sip.auth_failures, Duration::from_secs(config.sip.lockout_s));
        Self(Arc::new(Parts {
            engine,
            manager,
            stop,
            streams: Places::new(config.http.event_streams),
            walls: Walls::default(),
            refusals: Allowance::default(),
            serves_browsers: config.webrtc.enabled,
            ice: IceServers::new(&config.turn),
            sign_ins: SignIns::default(),
            token_attempts: Attempts::new(TOKENS, MINUTE),
            link_attempts: Attempts::new(USES, MINUTE),
            password_attempts: Attempts::new(failures, lockout),
            source_attempts: Attempts::new(failures.saturating_mul(10), lockout),
        }))
    }

    /// Event streams and waiting requests now.
    pub fn open_streams(&self) -> usize {
        self.streams.taken()
    }

    /// What was refused for being tried too often.
    pub fn guesses(&self) -> Guesses {
        Guesses {
            tokens: self.token_attempts.refused(),
            links: self.link_attempts.refused(),
            passwords: self.password_attempts.refused() + self.source_attempts.refused(),
        }
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
        let scoped =
            handler.route_layer(from_fn(move |request, next| caller::require(guard.clone(), scopes, request, next)));
        // The key is asked for by method: a path may have one that needs none.
        router = router.route(path, scoped.route_layer(from_fn_with_state(api.clone(), caller::authenticate)));
    }
    for Route { path, handler, .. } in open_routes() {
        router = router.route(path, handler);
    }
    let guarded = router.fallback(nothing_here).method_not_allowed_fallback(not_allowed);
    let open = Router::new().route(&format!("{BASE}/openapi.json"), get(description));
    open.nest(BASE, guarded).layer(DefaultBodyLimit::max(body_bytes)).with_state(api.clone())
}

/// Whoever has no key is not told what there is.
async fn nothing_here(State(api): State<Api>, headers: HeaderMap) -> Problem {
    let detail = "there is nothing here; /api/v1/openapi.json lists what there is";
    caller::accept(&api, &headers).await.err().unwrap_or_else(|| Problem::new(StatusCode::NOT_FOUND, detail))
}

async fn not_allowed(State(api): State<Api>, headers: HeaderMap) -> Problem {
    let detail = "this cannot be done here; /api/v1/openapi.json lists what can";
    let problem = || Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
    caller::accept(&api, &headers).await.err().unwrap_or_else(problem)
}

async fn description() -> Result<([(axum::http::HeaderName, &'static str); 1], String), Problem> {
    let text = openapi_json().map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(axum::http::header::CONTENT_TYPE, "application/json")], text))
}

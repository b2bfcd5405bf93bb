//! The routers: the APIs, health and metrics on one listener; Plivo's REST interface alone behind the front door.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::health::Health;
use super::metrics::Metrics;
use super::pages;
use super::sip_socket::{SipSocket, is_upgrade};
use crate::api::{self, Api, Problem};

/// The REST interfaces of the dialects.
pub struct Dialects {
    /// Plivo's.
    pub plivo: Arc<plivo::Api>,
    /// jambonz's.
    pub jambonz: Arc<jambonz::rest::Api>,
}

/// Everything of the API listeners.
pub fn router(
    api: &Api,
    dialects: Dialects,
    health: Arc<Health>,
    metrics: Option<Arc<Metrics>>,
    socket: Option<SipSocket>,
    body_bytes: usize,
) -> Router {
    let alive = Arc::clone(&health);
    let (root, mut sockets) = (socket.clone(), Router::new());
    if let Some(socket) = socket {
        // Programs that name a server and no path come to the root.
        for path in ["/sip", "/ws"] {
            let socket = socket.clone();
            sockets = sockets.route(path, get(async move |request: Request| socket.open(request).await));
        }
    }
    let mut router = Router::new()
        .route(
            "/",
            get(async move |request: Request| match root {
                Some(socket) if is_upgrade(request.headers()) => socket.open(request).await,
                _ => alive.report().await.into_response(),
            }),
        )
        .route("/health", get(async move || health.report().await))
        .merge(sockets)
        .merge(pages::router())
        .merge(api::router(api, body_bytes))
        .merge(plivo::router(dialects.plivo))
        .merge(jambonz::rest::router(dialects.jambonz))
        .fallback(nothing_here);
    if let Some(metrics) = metrics {
        let shown = Arc::clone(&metrics);
        router = router
            .route("/metrics", get(async move || exposition(&shown).await))
            .layer(from_fn_with_state(metrics, count));
    }
    router
}

/// What the front door offers.
pub fn front_door_router(plivo: Arc<plivo::Api>) -> Router {
    plivo::router(plivo).fallback(plivo::not_found)
}

async fn nothing_here(uri: Uri) -> Response {
    if uri.path().starts_with("/v1/") {
        return plivo::not_found().await;
    }
    let detail = "there is nothing here; the native API is under /api/v1, Plivo's under /v1/Account, jambonz's under /v1/Accounts";
    Problem::new(StatusCode::NOT_FOUND, detail).into_response()
}

async fn exposition(metrics: &Metrics) -> Response {
    let mut response = metrics.render().await.into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let begun = metrics.request_begun(&request);
    let response = next.run(request).await;
    metrics.request_answered(begun, response.status());
    response
}

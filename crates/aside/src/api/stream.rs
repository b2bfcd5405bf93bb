//! Server-sent events: frames, the body they travel in, and whether who reads them still may.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Api;
use super::caller::Caller;
use super::places::{NoPlace, Place};
use super::problem::Problem;
use crate::manage::now;

/// How often a stream looks whether its key is still good; what it expires at is known, and waited for.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// A silent stream says that it is alive: who reads it calls what it shows old after 5 s without.
pub(super) const ALIVE: Duration = Duration::from_secs(2);

/// An event of this name, its data as JSON.
pub(super) fn frame(event: &str, data: &impl Serialize) -> Bytes {
    // Objects of this API have text keys and cannot fail to be written.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}

/// The sign of life.
pub(super) fn ping() -> Bytes {
    Bytes::from_static(b"event: ping\ndata: {}\n\n")
}

/// The answer whose body is what comes out of the channel.
pub(super) fn answer(frames: mpsc::Receiver<Bytes>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::OK, headers, Body::new(Frames(frames))).into_response()
}

/// A body that is what a channel brings.
struct Frames(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Api {
    /// A place among the streams.
    pub(super) fn place(&self, caller: &Caller) -> Result<Place, Problem> {
        let place = self.streams.take(caller.account.main(), &caller.key.id);
        place.map_err(|full| match full {
            NoPlace::Server => Problem::busy(full.to_string()),
            NoPlace::Account(_) | NoPlace::Key(_) => Problem::new(StatusCode::TOO_MANY_REQUESTS, full.to_string()),
        })
    }

    /// The key as it now is, if it is still good.
    pub(super) async fn still_good(&self, caller: &Caller) -> Option<Caller> {
        let store = self.engine.store();
        let key = store.api_key(caller.account.id, &caller.key.id).await.ok()??;
        let account = store.account(caller.account.id).await.ok()?.filter(|account| account.enabled)?;
        let expired = key.expires_at.is_some_and(|expiry| expiry <= now());
        let may_read = key.scopes.contains(store::Scope::Read);
        (!expired && may_read).then_some(Caller { account, key })
    }
}

/// Looks after a stream's key.
pub(super) struct Warden {
    api: Api,
    caller: Caller,
    due: Instant,
}

impl Warden {
    pub fn new(api: Api, caller: Caller) -> Self {
        let due = Instant::now() + LOOK_EVERY;
        let mut warden = Self { api, caller, due };
        warden.schedule();
        warden
    }

    /// Whose stream it is, as it was last known.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When to look next.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Looks. False: the stream must end.
    pub async fn look(&mut self) -> bool {
        let Some(good) = self.api.still_good(&self.caller).await else { return false };
        self.caller = good;
        self.schedule();
        true
    }

    fn schedule(&mut self) {
        let left = self.caller.key.expires_at.map(|expiry| expiry.since(now()));
        self.due = Instant::now() + left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY));
    }
}

//! The event stream: pages behind a cursor that wait for news, and server-sent events.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use store::{Event, EventId, RoomId};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::extract::Asked;
use super::object::{EventList, EventObject};
use super::places::Place;
use super::problem::Problem;
use super::stream;

/// Longest wait of one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Frames that a slow reader may be behind; then reading from the database waits for it.
const FRAMES: usize = 16;
/// How often a stream looks whether its key is still good, and says that it is alive.
const CHECK_EVERY: Duration = Duration::from_secs(15);
const PER_PAGE: u32 = 200;

/// Which events.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// The cursor: events behind it. 0 is the beginning; left out: what comes from now on.
    #[serde(default)]
    pub after: Option<i64>,
    /// Of this room life (UUID) only.
    #[serde(default)]
    pub room: Option<String>,
    /// Seconds to wait if there is nothing yet, at most 60.
    #[serde(default)]
    pub wait: u64,
    /// Events wanted, at most 1000.
    #[serde(default = "super::rooms::default_limit")]
    pub limit: u32,
}

/// Which events.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// The cursor, as of `/events`; the header Last-Event-ID wins over it.
    #[serde(default)]
    pub after: Option<i64>,
    /// Of this room life (UUID) only.
    #[serde(default)]
    pub room: Option<String>,
}

/// A page of what the key may see.
struct Seen {
    events: Vec<EventObject>,
    next: EventId,
    gap: bool,
}

impl Api {
    fn cursor(&self, after: Option<i64>) -> EventId {
        after.map_or_else(|| *self.engine.store().watch_events().borrow(), EventId)
    }

    async fn events(
        &self,
        caller: &Caller,
        room: Option<RoomId>,
        cursor: EventId,
        limit: u32,
    ) -> Result<Seen, Problem> {
        let page = self.engine.store().events_after(caller.account.id, room, cursor, limit).await?;
        let mut known = HashMap::new();
        let mut events = Vec::with_capacity(page.events.len());
        for event in page.events {
            if self.may_see_event(caller, &event, &mut known).await? {
                events.push(EventObject::of(event));
            }
        }
        Ok(Seen { events, next: page.next, gap: page.gap })
    }

    /// A limited key sees the events of its rooms; not those of no room.
    async fn may_see_event(
        &self,
        caller: &Caller,
        event: &Event,
        known: &mut HashMap<RoomId, bool>,
    ) -> Result<bool, Problem> {
        if !caller.is_limited() {
            return Ok(true);
        }
        let Some(room) = event.room else { return Ok(false) };
        if let Some(seen) = known.get(&room) {
            return Ok(*seen);
        }
        let seen = match self.engine.store().room(caller.account.id, room).await? {
            Some(record) => self.may_see_recorded(caller, &record).await?,
            None => false,
        };
        known.insert(room, seen);
        Ok(seen)
    }
}

fn room_of(text: Option<&String>) -> Result<Option<RoomId>, Problem> {
    let parse =
        |text: &String| text.parse().map_err(|_| Problem::invalid(format!("room {text:?}: write a room's UUID")));
    text.map(parse).transpose()
}

/// Events behind a cursor, oldest first. With `wait` the answer comes as soon as there is one.
#[utoipa::path(get, path = "/events", tag = "events", params(EventQuery), responses((status = 200, body = EventList)))]
pub async fn page(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<EventQuery>,
) -> Result<Json<EventList>, Problem> {
    let room = room_of(query.room.as_ref())?;
    let until = Instant::now() + Duration::from_secs(query.wait).min(LONGEST_WAIT);
    let _place = if query.wait > 0 { Some(api.place(&caller)?) } else { None };
    let mut changed = api.engine.store().watch_events();
    let mut cursor = api.cursor(query.after);
    let mut gap = false;
    loop {
        changed.borrow_and_update();
        let seen = api.events(&caller, room, cursor, query.limit).await?;
        gap |= seen.gap;
        let more = seen.next > cursor;
        cursor = seen.next;
        if !seen.events.is_empty() {
            return Ok(Json(EventList { items: seen.events, next: cursor.0, gap }));
        }
        let news = async {
            // A page may have been full of what the key may not see.
            if !more && changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let over = tokio::select! {
            waited = timeout_at(until, news) => waited.is_err() || Instant::now() >= until,
            () = api.stop.cancelled() => true,
        };
        if over {
            return Ok(Json(EventList { items: Vec::new(), next: cursor.0, gap }));
        }
    }
}

/// Events as they come (server-sent events). The id of each is its cursor: a client that comes back with Last-Event-ID misses
/// nothing. A stream ends when its key does.
#[utoipa::path(get, path = "/events/stream", tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<i64>, Header, description = "the cursor to go on from")),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub async fn stream(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let room = room_of(query.room.as_ref())?;
    let last = match headers.get("last-event-id") {
        None => None,
        Some(value) => {
            let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
            Some(id.ok_or_else(|| Problem::invalid("Last-Event-ID: send the id of the last event that was received"))?)
        }
    };
    let place = api.place(&caller)?;
    let cursor = api.cursor(last.or(query.after));
    let (frames, reader) = mpsc::channel(FRAMES);
    tokio::spawn(follow(api, caller, room, cursor, frames, place));
    Ok(stream::answer(reader))
}

async fn follow(
    api: Api,
    mut caller: Caller,
    room: Option<RoomId>,
    mut cursor: EventId,
    frames: mpsc::Sender<Bytes>,
    _place: Place,
) {
    let mut changed = api.engine.store().watch_events();
    let mut check_at = Instant::now() + CHECK_EVERY;
    if frames.send(Bytes::from(format!("id: {cursor}\nretry: 2000\n: the cursor\n\n"))).await.is_err() {
        return;
    }
    loop {
        changed.borrow_and_update();
        let mut more = false;
        match api.events(&caller, room, cursor, PER_PAGE).await {
            Ok(seen) => {
                more = seen.next > cursor;
                cursor = seen.next;
                if seen.gap && frames.send(Bytes::from_static(b"event: gap\ndata: {}\n\n")).await.is_err() {
                    return;
                }
                for event in &seen.events {
                    if frames.send(frame(event)).await.is_err() {
                        return;
                    }
                }
            }
            // The database is busy; the cursor stays, nothing is lost.
            Err(problem) => tracing::debug!(detail = problem.detail, "an event stream waits"),
        }
        if !more {
            tokio::select! {
                result = changed.changed() => if result.is_err() { return },
                () = tokio::time::sleep_until(check_at) => {}
                () = frames.closed() => return,
                () = api.stop.cancelled() => return,
            }
        }
        if Instant::now() >= check_at {
            check_at = Instant::now() + CHECK_EVERY;
            let Some(good) = api.still_good(&caller).await else { return };
            caller = good;
            if frames.send(Bytes::from_static(b": alive\n\n")).await.is_err() {
                return;
            }
        }
    }
}

fn frame(event: &EventObject) -> Bytes {
    let data = serde_json::to_string(event).unwrap_or_default();
    Bytes::from(format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind))
}

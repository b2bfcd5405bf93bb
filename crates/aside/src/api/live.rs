//! One room, live: whole states as the media plane applies them, how loud its members are, and its log.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use call::command::ModeName;
use call::dialect::RoomView;
use call::room::{LiveMember, LiveRoom, RoomHandle};
use call::ticket::Holder;
use serde::{Deserialize, Serialize};
use store::{EventId, RoomId};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::Caller;
use super::extract::{Asked, Named};
use super::members::CoachAudience;
use super::places::Place;
use super::problem::Problem;
use super::room_log::{LogLine, line};
use super::stream::{self, ALIVE, Warden};
use crate::manage::object::micros_rfc3339;

/// Shortest time between two looks at how loud members are.
const LEVELS_EVERY: Duration = Duration::from_millis(100);
/// Lines of the log at the start, and at most at once.
const LINES: u32 = 50;
/// Frames that a slow reader may be behind; then he misses what lies between.
const FRAMES: usize = 16;

/// Whose tab it is.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LiveQuery {
    /// The id that the tab gives when it joins, to know its own member by.
    #[serde(default)]
    pub client: Option<String>,
}

/// A state of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveObject {
    /// Its name.
    pub name: String,
    /// The UUID of this life of the room.
    pub uuid: String,
    /// The media thread.
    pub shard: u16,
    /// Its tick from which what everybody hears holds.
    pub applied_tick: u64,
    /// That tick in UTC.
    pub applied_at: String,
    /// A change is not in the sound yet.
    pub pending: bool,
    /// `waiting`, `live` or `ending`.
    pub state: String,
    /// When its members were connected.
    pub started_at: Option<String>,
    /// Members at once.
    pub max_members: u32,
    /// Its members in order of entry.
    pub members: Vec<LiveMemberObject>,
    /// Who hears whom: a listener's number, and the numbers of those it hears.
    #[schema(value_type = Vec<Object>)]
    pub hears: Vec<(i64, Vec<i64>)>,
    /// Somebody has asked for a supervisor, and none has come.
    pub help: bool,
    /// Why it is over, if it is.
    pub ended: Option<Ended>,
}

/// Why a room, or a look at it, is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ended {
    /// The room's end cause; `forbidden`: the key is not for the room any more.
    pub reason: String,
}

impl Ended {
    /// The room goes on; whoever watched it may not any more.
    fn forbidden() -> Self {
        Self { reason: "forbidden".to_owned() }
    }
}

/// A member of a room that is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveMemberObject {
    /// Its number, unique in the account.
    pub id: i64,
    /// Its call.
    pub call_uuid: String,
    /// `agent`, `supervisor`, `customer` or none.
    pub role: Option<String>,
    /// Its free tag.
    pub tag: Option<String>,
    /// What it is called.
    pub label: Option<String>,
    /// Whom the call is with.
    pub number: String,
    /// Apart from the others, by a takeover too.
    pub held: bool,
    /// Heard by nobody.
    pub muted: bool,
    /// Hears nothing of the room.
    pub deaf: bool,
    /// Takes no part yet.
    pub waiting: bool,
    /// How a supervisor takes part: `monitor`, `whisper`, `barge` or `takeover`.
    pub mode: Option<String>,
    /// Whom it speaks to while it coaches.
    pub coach_audience: Option<CoachAudience>,
    /// Set aside by a takeover.
    pub taken_over: bool,
    /// `sip` or `webrtc`.
    pub transport: String,
    /// It has asked for a supervisor.
    pub help: bool,
    /// The member of this tab and key.
    pub you: bool,
}

pub(super) fn state_of(room: &RoomView) -> &'static str {
    match (room.ended_at, room.started) {
        (Some(_), _) => "ending",
        (None, true) => "live",
        (None, false) => "waiting",
    }
}

pub(super) fn mode_word(mode: ModeName) -> &'static str {
    match mode {
        ModeName::Monitor | ModeName::Stop => "monitor",
        ModeName::Whisper => "whisper",
        ModeName::Barge => "barge",
        ModeName::Takeover => "takeover",
    }
}

impl LiveObject {
    fn of(live: &LiveRoom, caller: &Caller, client: Option<&str>) -> Self {
        let reason = live.room.end_cause.and_then(|cause| call::stored::word(&cause));
        Self {
            name: live.room.name.clone(),
            uuid: live.room.uuid.clone(),
            shard: live.shard,
            applied_tick: live.tick,
            applied_at: micros_rfc3339(live.at),
            pending: live.pending,
            state: state_of(&live.room).to_owned(),
            started_at: live.room.started_at.map(micros_rfc3339),
            max_members: live.room.max_members,
            members: live.members.iter().map(|member| LiveMemberObject::of(member, caller, client)).collect(),
            hears: live.hearing.iter().map(|row| (row.listener, row.hears.clone())).collect(),
            help: live.help,
            ended: live.room.ended_at.map(|_| Ended { reason: reason.unwrap_or_else(|| "ended".to_owned()) }),
        }
    }
}

impl LiveMemberObject {
    fn of(member: &LiveMember, caller: &Caller, client: Option<&str>) -> Self {
        let view = &member.view;
        let mine = |holder: &Arc<Holder>| holder.by == caller.asker() && holder.client.as_deref() == client;
        let you = client.is_some() && member.holder.as_ref().is_some_and(mine);
        Self {
            id: view.number,
            call_uuid: view.call_uuid.clone(),
            role: view.role.map(|role| role.as_str().to_owned()),
            tag: view.tag.as_ref().map(|tag| tag.as_str().to_owned()),
            label: member.label.clone(),
            number: view.address.clone(),
            held: view.held,
            muted: view.muted,
            deaf: member.deaf,
            waiting: member.waiting,
            mode: member.mode.map(|mode| mode_word(mode).to_owned()),
            coach_audience: member.coach_audience.as_ref().map(|names| CoachAudience {
                tags: names.tags.clone(),
                roles: names.roles.clone(),
                members: names.members.clone(),
            }),
            taken_over: member.taken_over,
            transport: if member.webrtc { "webrtc" } else { "sip" }.to_owned(),
            help: member.help,
            you,
        }
    }
}

/// How loud members are: number, dBFS, and 1 for who speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Levels {
    l: Vec<(i64, i8, u8)>,
}

/// What is said of silence.
const SILENCE: i8 = -127;

impl Levels {
    fn of(handle: &RoomHandle) -> Self {
        let levels = handle.levels();
        let l = levels.iter().map(|level| (level.number, level.dbfs.unwrap_or(SILENCE), u8::from(level.speaking)));
        Self { l: l.collect() }
    }
}

/// A room as it lives (server-sent events). `room` brings its whole state, at once and within 200 ms of each change that the media
/// plane has applied; `levels` how loud its members are, at most each 100 ms; `log` the lines of its log, the last 50 first;
/// `ended` is the last; `ping` comes each 2 s. A stream ends when its key does.
#[utoipa::path(get, path = "/rooms/{room}/live", tag = "live", operation_id = "watch_room",
    params(("room" = String, Path, description = "UUID or name"), LiveQuery),
    responses((status = 200, content_type = "text/event-stream", body = LiveObject)))]
pub async fn stream(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
    Asked(query): Asked<LiveQuery>,
) -> Result<Response, Problem> {
    if query.client.as_ref().is_some_and(|client| client.len() > 128) {
        return Err(Problem::invalid("client: send at most 128 bytes"));
    }
    let (handle, snapshot) = api.must_room(&caller, &named, "watch a room").await?;
    let room = snapshot.room.uuid.parse().map_err(|_| Problem::not_found("live room", &named))?;
    let place = api.place(&caller)?;
    let (frames, reader) = mpsc::channel(FRAMES);
    let follower =
        Follower { warden: Warden::new(api.clone(), caller), api, handle, room, client: query.client, frames };
    tokio::spawn(follower.run(place));
    Ok(stream::answer(reader))
}

struct Follower {
    api: Api,
    warden: Warden,
    handle: RoomHandle,
    room: RoomId,
    client: Option<String>,
    frames: mpsc::Sender<Bytes>,
}

/// The reader is gone.
struct Gone;

impl Follower {
    async fn run(mut self, _place: Place) {
        // Whether the reader or the room went first: the stream is over.
        let _ = self.follow().await;
    }

    async fn follow(&mut self) -> Result<(), Gone> {
        let mut states = self.handle.watch();
        let mut news = self.api.engine.store().watch_events();
        let mut levels_tick = tokio::time::interval(LEVELS_EVERY);
        levels_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut levels = Levels::default();
        let mut alive_at = Instant::now() + ALIVE;
        let state = states.borrow_and_update().clone();
        let over = self.show(&state).await?;
        news.borrow_and_update();
        let mut cursor = self.first_lines().await?;
        if let Some(over) = over {
            return self.end(cursor, over).await;
        }
        loop {
            let stop = self.api.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Gone),
                () = self.frames.closed() => return Err(Gone),
                changed = states.changed() => {
                    let state = states.borrow_and_update().clone();
                    let over = match changed {
                        Ok(()) => self.show(&state).await?,
                        Err(_) => Some(Ended { reason: "ended".to_owned() }),
                    };
                    if let Some(over) = over {
                        return self.end(cursor, over).await;
                    }
                }
                changed = news.changed() => {
                    if changed.is_err() {
                        return Err(Gone);
                    }
                    cursor = self.next_lines(cursor).await?;
                }
                _ = levels_tick.tick() => {
                    let now = Levels::of(&self.handle);
                    if now != levels {
                        levels = now;
                        self.send(stream::frame("levels", &levels)).await?;
                    }
                }
                () = tokio::time::sleep_until(self.warden.due()) => {
                    if !self.warden.look().await {
                        return Err(Gone);
                    }
                    // The key may be for other rooms now.
                    if !self.may_see(&self.handle.live()) {
                        return self.end(cursor, Ended::forbidden()).await;
                    }
                }
                () = tokio::time::sleep_until(alive_at) => {
                    alive_at = Instant::now() + ALIVE;
                    self.send(stream::ping()).await?;
                }
            }
        }
    }

    async fn send(&self, frame: Bytes) -> Result<(), Gone> {
        self.frames.send(frame).await.map_err(|_| Gone)
    }

    /// Whether the key is for the room, of whose end it is told in any case.
    fn may_see(&self, live: &LiveRoom) -> bool {
        self.warden.caller().may_see_live(live) || live.room.ended_at.is_some()
    }

    /// Sends a state; why it is the last one, if it is.
    async fn show(&self, live: &Arc<LiveRoom>) -> Result<Option<Ended>, Gone> {
        if !self.may_see(live) {
            return Ok(Some(Ended::forbidden()));
        }
        let object = LiveObject::of(live, self.warden.caller(), self.client.as_deref());
        self.send(stream::frame("room", &object)).await?;
        Ok(object.ended)
    }

    /// Sends what of the log there is; the cursor behind it.
    async fn first_lines(&self) -> Result<EventId, Gone> {
        let store = self.api.engine.store();
        let newest = *store.watch_events().borrow();
        match store.last_events(self.warden.caller().account.id, self.room, LINES).await {
            Ok(events) => {
                let last = events.last().map_or(newest, |event| event.id.max(newest));
                for line in events.iter().filter_map(line) {
                    self.send_line(&line).await?;
                }
                Ok(last)
            }
            Err(error) => {
                tracing::debug!(%error, "the log of a room is not read now");
                Ok(newest)
            }
        }
    }

    /// Sends what has been logged since; the cursor behind it. Where the database is busy, the lines come with the next.
    async fn next_lines(&self, mut cursor: EventId) -> Result<EventId, Gone> {
        let store = self.api.engine.store();
        loop {
            let read = store.events_after(self.warden.caller().account.id, Some(self.room), cursor, LINES).await;
            let Ok(page) = read else { return Ok(cursor) };
            for line in page.events.iter().filter_map(line) {
                self.send_line(&line).await?;
            }
            cursor = page.next;
            if page.events.len() < LINES as usize {
                return Ok(cursor);
            }
        }
    }

    async fn send_line(&self, line: &LogLine) -> Result<(), Gone> {
        self.send(stream::frame("log", line)).await
    }

    async fn end(&self, cursor: EventId, over: Ended) -> Result<(), Gone> {
        if over != Ended::forbidden() {
            // What is told of the end is committed by then, or comes within a second.
            let gone = self.handle.gone();
            let _ = tokio::time::timeout(Duration::from_secs(2), gone).await;
            self.next_lines(cursor).await?;
        }
        self.send(stream::frame("ended", &over)).await
    }
}

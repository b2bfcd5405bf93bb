//! All live rooms at a glance, as they change: for a wall of who speaks with whom.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use call::room::{Level, LiveMember, LiveRoom, RoomHandle};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Api;
use super::caller::Caller;
use super::live::{mode_word, state_of};
use super::places::Place;
use super::problem::Problem;
use super::stream::{self, ALIVE, Warden};
use crate::manage::now;
use crate::manage::object::{micros_rfc3339, parse_rfc3339, rfc3339};

/// Rooms in one list.
const MOST: usize = 200;
/// A list of live rooms, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// When it was so.
    pub tick_at: String,
    /// At most 200.
    pub rooms: Vec<GlanceRoom>,
    /// How many further ones there are.
    pub more: usize,
}

/// A room at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GlanceRoom {
    /// Its name.
    pub name: String,
    /// The UUID of this life of the room.
    pub uuid: String,
    /// `waiting`, `live` or `ending`.
    pub state: String,
    /// When its members were connected.
    pub started_at: Option<String>,
    /// For how long they have been.
    pub duration_s: u64,
    /// Its members in order of entry.
    pub members: Vec<GlanceMember>,
    /// A customer hears a supervisor.
    pub customer_hears_supervisor: bool,
    /// Somebody has asked for a supervisor, and none has come.
    pub help: bool,
}

/// A member at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GlanceMember {
    /// Its number, unique in the account.
    pub id: i64,
    /// `agent`, `supervisor`, `customer` or none.
    pub role: Option<String>,
    /// Its free tag.
    pub tag: Option<String>,
    /// What it is called.
    pub label: Option<String>,
    /// Whom the call is with.
    pub number: String,
    /// Whether it speaks.
    pub speaking: bool,
    /// How loud it is, dBFS; none: silent.
    pub level: Option<i8>,
    /// Apart from the others, by a takeover too.
    pub held: bool,
    /// Heard by nobody.
    pub muted: bool,
    /// How a supervisor takes part: `monitor`, `whisper`, `barge` or `takeover`.
    pub mode: Option<String>,
}

impl Caller {
    /// [`Caller::may_see_room`] for a room that is watched.
    pub(super) fn may_see_live(&self, live: &LiveRoom) -> bool {
        let tags = live.members.iter().filter_map(|member| member.view.tag.as_ref().map(|tag| tag.as_str()));
        self.may_see(&live.room.name, tags)
    }
}

/// A room as it is now. Its duration is left out: it changes by itself.
pub(super) fn glance(live: &LiveRoom, handle: &RoomHandle) -> GlanceRoom {
    let levels = handle.levels();
    GlanceRoom {
        name: live.room.name.clone(),
        uuid: live.room.uuid.clone(),
        state: state_of(&live.room).to_owned(),
        started_at: live.room.started_at.map(micros_rfc3339),
        duration_s: 0,
        members: live.members.iter().map(|member| glance_at(member, &levels)).collect(),
        customer_hears_supervisor: customer_hears_supervisor(live),
        help: live.help,
    }
}

fn glance_at(member: &LiveMember, levels: &[Level]) -> GlanceMember {
    let level = levels.iter().find(|level| level.number == member.view.number);
    GlanceMember {
        id: member.view.number,
        role: member.view.role.map(|role| role.as_str().to_owned()),
        tag: member.view.tag.as_ref().map(|tag| tag.as_str().to_owned()),
        label: member.label.clone(),
        number: member.view.address.clone(),
        speaking: level.is_some_and(|level| level.speaking),
        level: level.and_then(|level| level.dbfs),
        held: member.view.held,
        muted: member.view.muted,
        mode: member.mode.map(|mode| mode_word(mode).to_owned()),
    }
}

/// Whether any customer hears any supervisor, by the matrix that is in force.
fn customer_hears_supervisor(live: &LiveRoom) -> bool {
    let has_role = |number: i64, role: conference::Role| {
        live.members.iter().any(|member| member.view.number == number && member.view.role == Some(role))
    };
    live.hearing.iter().any(|row| {
        has_role(row.listener, conference::Role::Customer)
            && row.hears.iter().any(|heard| has_role(*heard, conference::Role::Supervisor))
    })
}

/// The live rooms that the key is for (server-sent events): the event `rooms` brings the whole list, at once and then whenever
/// something has changed, at most each 250 ms; `ping` comes each 2 s. A stream ends when its key does.
#[utoipa::path(get, path = "/overview/stream", tag = "live", operation_id = "overview",
    responses((status = 200, content_type = "text/event-stream", body = Overview)))]
pub async fn stream(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    let place = api.place(&caller)?;
    // One at a time: a slow reader is given the newest list, not all he missed.
    let (frames, reader) = mpsc::channel(1);
    tokio::spawn(follow(api.clone(), Warden::new(api, caller), frames, place));
    Ok(stream::answer(reader))
}

async fn follow(api: Api, mut warden: Warden, frames: mpsc::Sender<Bytes>, _place: Place) {
    let wall = api.walls.of(warden.caller());
    let mut known: Option<(Vec<Arc<GlanceRoom>>, usize)> = None;
    let mut alive_at = Instant::now() + ALIVE;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next.min(warden.due()).min(alive_at)) => {}
            () = frames.closed() => return,
            () = api.stop.cancelled() => return,
        }
        let at = Instant::now();
        if at >= warden.due() && !warden.look().await {
            return;
        }
        if at >= next {
            let shown;
            (shown, next) = wall.look(&api.engine);
            let caller = warden.caller();
            let seen = shown.to(caller, MOST);
            if known.as_ref() != Some(&seen) {
                let frame = || stream::frame("rooms", &Overview::of(&seen.0, seen.1));
                let frame = if caller.is_limited() { frame() } else { shown.frame.get_or_init(frame).clone() };
                known = Some(seen);
                alive_at = at + ALIVE;
                if frames.send(frame).await.is_err() {
                    return;
                }
            }
        }
        if at >= alive_at {
            alive_at = at + ALIVE;
            if frames.send(stream::ping()).await.is_err() {
                return;
            }
        }
    }
}

impl Overview {
    fn of(rooms: &[Arc<GlanceRoom>], more: usize) -> Self {
        let at = now();
        let ran = |room: &GlanceRoom| {
            let started = room.started_at.as_deref().and_then(parse_rfc3339);
            started.map_or(0, |started| at.since(started).as_secs())
        };
        let lasting = |room: &Arc<GlanceRoom>| GlanceRoom { duration_s: ran(room), ..GlanceRoom::clone(room) };
        Self { tick_at: rfc3339(at), rooms: rooms.iter().map(lasting).collect(), more }
    }
}

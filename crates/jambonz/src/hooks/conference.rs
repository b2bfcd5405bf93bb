//! Status events of a conference.

use super::call::CallInfo;
use super::time::iso;
use crate::json::Object;
use crate::verbs::{StatusEvent, StatusHook};

/// Something that happened in a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening<'a> {
    /// What.
    pub event: StatusEvent,
    /// The room's name.
    pub room: &'a str,
    /// When the room started, UTC microseconds since 1970.
    pub started_at: i64,
    /// When it happened, the same.
    pub at: i64,
    /// Members after it.
    pub members: u32,
    /// `id` of a `room:say` or `room:play`.
    pub id: Option<&'a str>,
}

/// A room's id on the wire.
pub fn conference_sid(account_sid: &str, room: &str) -> String {
    format!("conf:{account_sid}:{room}")
}

/// The body for a program that asked for the event by `status`; `None` if it did not.
pub fn conference_status(call: &CallInfo, status: &StatusHook, happening: &Happening<'_>) -> Option<Object> {
    let event = status.word(happening.event)?;
    let mut body = Object::new();
    body.set("event", event);
    body.set("conference_sid", conference_sid(&call.account_sid, happening.room));
    body.set("friendly_name", happening.room);
    let milliseconds = u64::try_from(happening.at.saturating_sub(happening.started_at) / 1000).unwrap_or(0);
    body.set("duration", std::time::Duration::from_millis(milliseconds).as_secs_f64());
    body.set("time", iso(happening.at));
    body.set("members", happening.members);
    body.set_some("id", happening.id);
    body.extend(call.body());
    Some(body)
}

//! Hooks of queues.

use super::call::CallInfo;
use crate::json::Object;

/// A call in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePosition<'a> {
    /// The queue's id.
    pub queue_sid: &'a str,
    /// Seconds of waiting.
    pub waited: u64,
    /// Calls in it.
    pub size: u32,
    /// This call's place, from 0: as many come before it.
    pub position: u32,
}

/// The body of a queue's `waitHook`.
pub fn queue_wait(call: &CallInfo, position: &QueuePosition<'_>) -> Object {
    let mut body = Object::new();
    body.set("queue_sid", position.queue_sid);
    body.set("queue_time", position.waited);
    body.set("queue_size", position.size);
    body.set("queue_position", position.position);
    body.set("call_sid", call.call_sid.as_str());
    body.set("call_id", call.call_id.as_str());
    body.set_some("customerData", call.customer_data.clone());
    body
}

/// Something that happened to an account's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueEvent<'a> {
    /// A call came.
    Join {
        /// When, UTC milliseconds since 1970.
        at: u64,
    },
    /// A call went.
    Leave {
        /// `dequeued`: somebody took it; `abandoned`: it hung up, left, or has other instructions.
        reason: &'a str,
        /// When, UTC milliseconds since 1970.
        at: u64,
    },
}

/// The body of an account's `queue_event_hook`: the queue's name, and its calls after the event.
pub fn queue_event(call: &CallInfo, queue: &str, length: u32, event: &QueueEvent<'_>) -> Object {
    let mut body = Object::new();
    body.set("event", if matches!(event, QueueEvent::Join { .. }) { "join" } else { "leave" });
    body.set("account_sid", call.account_sid.as_str());
    body.set("call_sid", call.call_sid.as_str());
    body.set("queue", queue);
    body.set("length", length);
    match event {
        QueueEvent::Join { at } => body.set("join_time", *at),
        QueueEvent::Leave { reason, at } => {
            body.set("leave_reason", *reason);
            body.set("leave_time", *at);
        }
    }
    body
}

//! Bodies of REST requests and answers about calls, rooms and queues. The messages of refusals are the vendor's where it has one.

mod create;
mod records;
mod tap;
mod update;

pub use create::{CreateCall, Speech, create_call};
pub use records::{ParticipantRecord, RoomRecord, call_count, call_record, created, queue_record};
pub use tap::{RoomTap, SAMPLE_RATES, Scope, room_tap};
pub use update::update_call;

/// A body that is refused: status 400, `{"msg": …}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

impl BadRequest {
    /// The answer's body.
    pub fn body(&self) -> crate::json::Object {
        let mut body = crate::json::Object::new();
        body.set("msg", self.0.as_str());
        body
    }
}

impl From<&str> for BadRequest {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<crate::fault::Fault> for BadRequest {
    fn from(fault: crate::fault::Fault) -> Self {
        Self(fault.to_string())
    }
}

impl From<crate::change::ChangeError> for BadRequest {
    fn from(error: crate::change::ChangeError) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests;

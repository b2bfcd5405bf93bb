//! REST: `/v1/…` as the vendor's clients ask it. [`router`] is the interface; beside it stand the bodies of requests and answers
//! about calls, rooms and queues. The messages of refusals are the vendor's where it has one.

mod accounts;
mod answer;
mod api_keys;
mod applications;
mod asked;
mod calls;
mod carriers;
mod clients;
mod conferences;
mod control;
mod create;
mod discovery;
mod gateways;
mod history;
mod limit;
mod live;
mod numbers;
mod place;
mod queues;
mod records;
mod server;
mod stored;
mod tap;
mod update;
mod users;

pub use accounts::QUEUE_EVENTS;
pub use call::rate::Rate;
pub use control::Control;
pub use create::{CreateCall, Speech, create_call};
pub use limit::RATE;
pub use records::{ParticipantRecord, RoomRecord, call_count, call_record, queue_record};
pub use server::{Api, Signalling, router};
pub use stored::ApplicationSettings;
pub use tap::{RoomTap, SAMPLE_RATES, TapScope, room_tap};
pub use update::update_call;

/// A body that is refused: status 400, `{"msg": …}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

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

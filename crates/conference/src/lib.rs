//! The room as a pure state machine.
//!
//! A [`Room`] holds members, their roles and tags, mute, hold, coaching, takeover, waiting, and the rules by which it
//! starts and ends. It decides who hears whom ([`hearing::hears`]) and nothing else does: the dialects translate to
//! its commands, the media plane applies what it compiles ([`Room::hearing`]).
//!
//! Sans-IO: no clock, no thread, no socket. Time is an argument (monotonic, measured from any fixed instant), events are
//! polled ([`Room::poll_event`]), deadlines are asked for ([`Room::next_timeout`]).

#![forbid(unsafe_code)]

pub mod audience;
pub mod event;
pub mod hearing;
pub mod member;
pub mod mode;
pub mod mutation;
pub mod policy;
pub mod room;

pub use audience::{Audience, Clause, Tag, Wants};
pub use event::{EndCause, Event, LeaveCause};
pub use hearing::{Hearing, Listener, Source};
pub use member::{EarlyId, Entry, Member, MemberId, PlayerId, PrivateSound, Role, TapId, counts_as_agent};
pub use mode::{Agents, Mode};
pub use policy::Policy;
pub use room::{Room, RoomError, Status};

//! The life of a conference of the jambonz dialect: waiting and starting, events, every way out, sounds, holds, digits.

#[path = "jambonz/actions.rs"]
mod actions;
#[path = "jambonz/events.rs"]
mod events;
#[path = "jambonz/exits.rs"]
mod exits;
#[path = "jambonz/member_taps.rs"]
mod member_taps;
#[path = "jambonz/sounds.rs"]
mod sounds;
#[path = "jambonz/waiting.rs"]
mod waiting;

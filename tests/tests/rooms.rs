//! What a room does around the hearing rule: its sounds, music, digits, speech, ends, and what it tells programs. Sound is proven by what
//! phones received.

#[path = "rooms/digits.rs"]
mod digits;
#[path = "rooms/endings.rs"]
mod endings;
#[path = "rooms/events.rs"]
mod events;
#[path = "rooms/limits.rs"]
mod limits;
#[path = "rooms/music.rs"]
mod music;
#[path = "rooms/people.rs"]
mod people;
#[path = "rooms/sounds.rs"]
mod sounds;
#[path = "rooms/speech.rs"]
mod speech;

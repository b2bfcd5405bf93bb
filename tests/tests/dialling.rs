//! Dialling out by Add participant: who rings, who enters, what is heard meanwhile, and what programs are told.

#[path = "dialling/confirm.rs"]
mod confirm;
#[path = "dialling/desk.rs"]
mod desk;
#[path = "dialling/early.rs"]
mod early;
#[path = "dialling/invite.rs"]
mod invite;
#[path = "dialling/music.rs"]
mod music;
#[path = "dialling/race.rs"]
mod race;
#[path = "dialling/told.rs"]
mod told;
#[path = "dialling/trunk.rs"]
mod trunk;

//! The verbs of a document, each proven by what a phone hears, by what a program is asked and by how a call ends. What a
//! document may say: docs/plivo.md.

#[path = "verbs/digits.rs"]
mod digits;
#[path = "verbs/hangup.rs"]
mod hangup;
#[path = "verbs/instructions.rs"]
mod instructions;
#[path = "verbs/play.rs"]
mod play;
#[path = "verbs/rooms.rs"]
mod rooms;
#[path = "verbs/score.rs"]
mod score;
#[path = "verbs/signatures.rs"]
mod signatures;
#[path = "verbs/sounds.rs"]
mod sounds;
#[path = "verbs/speak.rs"]
mod speak;
#[path = "verbs/stage.rs"]
mod stage;

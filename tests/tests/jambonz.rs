//! The jambonz dialect as its users meet it: the shipped example, the guide's snippets with every official package, and the life of a conference, each
//! proven by what phones and taps received.

#[path = "jambonz/bugs.rs"]
mod bugs;
#[path = "jambonz/guide.rs"]
mod guide;
#[path = "jambonz/supervision.rs"]
mod supervision;
#[path = "jambonz/taps.rs"]
mod taps;
#[path = "jambonz/walk.rs"]
mod walk;

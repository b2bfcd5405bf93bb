//! What applications, programs and strangers do wrong to the jambonz dialect: each has a defined outcome, and nobody hears more for it.

#[path = "jambonz/frames.rs"]
mod frames;
#[path = "jambonz/keys.rs"]
mod keys;
#[path = "jambonz/vanished.rs"]
mod vanished;

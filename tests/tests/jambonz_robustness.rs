//! What applications, programs and strangers do wrong to the jambonz dialect: each has a defined outcome, and nobody hears more for it.

#[path = "jambonz/bounds.rs"]
mod bounds;
#[path = "jambonz/cut.rs"]
mod cut;
#[path = "jambonz/frames.rs"]
mod frames;
#[path = "jambonz/keys.rs"]
mod keys;
#[path = "jambonz/lost.rs"]
mod lost;
#[path = "jambonz/secured.rs"]
mod secured;
#[path = "jambonz/unheard.rs"]
mod unheard;
#[path = "jambonz/vanished.rs"]
mod vanished;

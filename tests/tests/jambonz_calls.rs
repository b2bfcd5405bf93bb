//! Calls of the jambonz dialect outside of conferences: dialling, digits, queues, streams, the calls that programs make; and both dialects in one house.

#[path = "jambonz/barge_in.rs"]
mod barge_in;
#[path = "jambonz/carriers.rs"]
mod carriers;
#[path = "jambonz/dialling.rs"]
mod dialling;
#[path = "jambonz/gathering.rs"]
mod gathering;
#[path = "jambonz/handing_over.rs"]
mod handing_over;
#[path = "jambonz/house.rs"]
mod house;
#[path = "jambonz/kept.rs"]
mod kept;
#[path = "jambonz/programs.rs"]
mod programs;
#[path = "jambonz/queue_events.rs"]
mod queue_events;
#[path = "jambonz/queues.rs"]
mod queues;
#[path = "jambonz/running.rs"]
mod running;
#[path = "jambonz/signals.rs"]
mod signals;
#[path = "jambonz/streams.rs"]
mod streams;
#[path = "jambonz/taking.rs"]
mod taking;
#[path = "jambonz/variables.rs"]
mod variables;
#[path = "jambonz/verbs.rs"]
mod verbs;

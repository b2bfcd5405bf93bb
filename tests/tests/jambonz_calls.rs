//! Calls of the jambonz dialect outside of conferences: dialling, digits, queues, streams, the calls that programs make; and both dialects in one house.

#[path = "jambonz/dialling.rs"]
mod dialling;
#[path = "jambonz/house.rs"]
mod house;
#[path = "jambonz/programs.rs"]
mod programs;
#[path = "jambonz/queues.rs"]
mod queues;
#[path = "jambonz/streams.rs"]
mod streams;
#[path = "jambonz/verbs.rs"]
mod verbs;

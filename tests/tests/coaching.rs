//! Supervisor coaching: the four tasks of the guide with Plivo's own library, real phones and measured sound; then what may happen meanwhile.
//!
//! Levels prove what is heard; that something is not heard is proven over the bytes of every packet since the INVITE wherever the
//! listener should have heard nothing at all.

#[path = "coaching/detectors.rs"]
mod detectors;
#[path = "coaching/meanwhile.rs"]
mod meanwhile;
#[path = "coaching/rooms.rs"]
mod rooms;
#[path = "coaching/tasks.rs"]
mod tasks;

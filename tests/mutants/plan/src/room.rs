//! As in `call`.

#[path = "../../../../crates/call/src/room/plan.rs"]
pub mod plan;

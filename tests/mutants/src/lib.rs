//! The hearing suite's model, histories and judges, compiled with the product's deliberate faults.

#![forbid(unsafe_code)]

#[path = "../../src/model/mod.rs"]
pub mod model;

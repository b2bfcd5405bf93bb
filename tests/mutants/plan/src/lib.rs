//! Stands in for the crate `call`: its translation of hearing to plans, compiled from the very file that production uses.

#![forbid(unsafe_code)]

pub mod room;

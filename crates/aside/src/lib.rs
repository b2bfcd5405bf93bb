//! The Aside server: configuration, command line, wiring, the native API and metrics.

#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod first_start;
pub mod manage;
pub mod serve;

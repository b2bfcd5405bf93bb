//! What tests of the jambonz dialect work with: an application in the test's own process, sinks of sound, plain requests, the
//! official clients, and the vendor's schemas for every body that the server sends.

pub mod app;
pub mod clients;
pub mod exchange;
pub mod legs;
pub mod rest;
pub mod schemas;
pub mod sink;

//! An independent model of who hears whom, histories to try it on, and judges of what the production path made of them.
//!
//! [`rule`] and [`tables`] know nothing of the product. [`stage`] plays a [`history`] on the product; [`verdict`] looks at every
//! sample that came out; [`twin`] plays a history twice and looks at every byte. [`wide`] does all of that for legs with Opus and
//! G.722.

pub mod history;
pub mod layout;
pub mod random;
pub mod rule;
pub mod stage;
pub mod suite;
pub mod tables;
pub mod talker;
pub mod twin;
pub mod verdict;
pub mod wide;
mod words;

//! Rooms, calls and the server under what is not the usual: crowds that leave at once, programs that answer late, rooms that are full, sub-accounts
//! that reach for what is not theirs, calls that are ended while they ring, callers who take places and say nothing, a server that is told to stop.

#[path = "robustness/ceilings.rs"]
mod ceilings;
#[path = "robustness/crowds.rs"]
mod crowds;
#[path = "robustness/doors.rs"]
mod doors;
#[path = "robustness/endings.rs"]
mod endings;
#[path = "robustness/late.rs"]
mod late;
#[path = "robustness/places.rs"]
mod places;
#[path = "robustness/sub_accounts.rs"]
mod sub_accounts;

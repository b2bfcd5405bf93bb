//! SIP as phones and carriers speak it: registration, calls in and out, changes during a call, refusals; our own phones, sipp and baresip.

#[path = "sip/calls.rs"]
mod calls;
#[path = "sip/changes.rs"]
mod changes;
#[path = "sip/registrar.rs"]
mod registrar;
#[path = "sip/strangers.rs"]
mod strangers;
#[path = "sip/tools.rs"]
mod tools;
#[path = "sip/trunks.rs"]
mod trunks;

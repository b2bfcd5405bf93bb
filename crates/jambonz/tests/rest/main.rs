//! The REST interface as a whole, over a database of its own: provisioning, keys, tenancy, bodies and statuses.

mod clients;
mod desk;
mod fake;
mod keys;
mod live;
mod provisioning;
mod tenancy;

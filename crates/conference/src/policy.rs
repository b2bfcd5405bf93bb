//! What the creator of a room decided for its life.

use std::time::Duration;

use crate::member::Role;

/// Limits and the conditions of start and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Members at once.
    pub max_members: u32,
    /// The room ends this long after it was opened.
    pub max_duration: Option<Duration>,
    /// A room that has not started this long after it was opened ends.
    pub max_wait: Option<Duration>,
    /// Whether the last member may remain when the others have left. It never concerns a first member who has not had
    /// company yet.
    pub stay_alone: bool,
    /// The room does not start before a member of this role is in it.
    pub wait_for: Option<Role>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_members: 10, max_duration: None, max_wait: None, stay_alone: true, wait_for: None }
    }
}

//! The verbs `enqueue` and `dequeue`.

use std::time::Duration;

use call::verb::LONGEST_QUEUE_NAME;

use crate::fault::{Fault, Properties};
use crate::hook::Hook;

/// Waits in a queue until somebody takes the call out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Enqueue {
    /// The queue's name in the account.
    pub name: String,
    /// Told how it went; its answer replaces the rest.
    pub action_hook: Option<Hook>,
    /// Asked again and again, while waiting, for what to hear.
    pub wait_hook: Option<Hook>,
    /// Lower is earlier; those without one come last, each in order of arrival.
    pub priority: Option<f64>,
}

/// Takes a call out of a queue and connects both, in a room without a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Dequeue {
    /// The queue's name in the account.
    pub name: String,
    /// How long to wait for a call; `None`: without end.
    pub timeout: Option<Duration>,
    /// A tone before both are connected.
    pub beep: bool,
    /// This call, wherever in the queue.
    pub call_sid: Option<String>,
    /// Told how it went; its answer replaces the rest.
    pub action_hook: Option<Hook>,
}

/// The queue's name. What the queues would refuse is refused here, before the call is in none.
fn name(properties: &Properties<'_>) -> Result<String, Fault> {
    let fits = |name: &&str| (1..=LONGEST_QUEUE_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    let name = properties.text("name")?.filter(fits).map(str::to_owned);
    name.ok_or_else(|| {
        properties.fault("name", format!("write 1 to {LONGEST_QUEUE_NAME} bytes of UTF-8, without control characters"))
    })
}

pub(super) fn enqueue(properties: &Properties<'_>) -> Result<Enqueue, Fault> {
    Ok(Enqueue {
        name: name(properties)?,
        action_hook: properties.hook("actionHook")?,
        wait_hook: properties.hook("waitHook")?,
        priority: properties.number("priority")?,
    })
}

pub(super) fn dequeue(properties: &Properties<'_>) -> Result<Dequeue, Fault> {
    Ok(Dequeue {
        name: name(properties)?,
        timeout: properties.seconds("timeout")?.filter(|timeout| !timeout.is_zero()),
        beep: properties.flag("beep")?,
        call_sid: properties.line("callSid")?,
        action_hook: properties.hook("actionHook")?,
    })
}

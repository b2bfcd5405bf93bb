//! The verb `conference`, also written `room`.
//!
//! In the room's terms: `memberTag` is the member's free tag; `speakOnlyTo: t` makes its audience `{tag t}`, which also
//! matches members whose role is called `t`; `joinMuted` is the mute of its microphone, which says nothing about whom it
//! coaches. All of it is part of one entry, so that nobody hears a sample that was not meant for him.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::listen::{self, Listen};
use crate::fault::{Fault, Properties};
use crate::hook::Hook;

/// Most names of events in one list.
const MOST_EVENTS: usize = 50;

/// Enters a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Conference {
    /// The room's name in the account.
    pub name: String,
    /// A short tone, once, when this member has entered.
    pub beep: bool,
    /// The member's free tag.
    pub member_tag: Option<String>,
    /// Only members with this tag, or with a role of this name, hear this member.
    pub speak_only_to: Option<String>,
    /// What happens where there is no such room yet.
    pub entrance: Entrance,
    /// The room ends when this member leaves.
    pub end_on_exit: bool,
    /// How long the others may stay after such a departure.
    pub end_grace: Option<Duration>,
    /// Members at once, 2 or more.
    pub max_participants: Option<u32>,
    /// Enters muted; hears everything.
    pub join_muted: bool,
    /// Told when this member's stay is over, for any reason; its answer replaces the rest.
    pub action_hook: Option<Hook>,
    /// Asked again and again, while waiting for the start, for what to hear.
    pub wait_hook: Option<Hook>,
    /// Asked once, just before the entry, for what to hear.
    pub enter_hook: Option<Hook>,
    /// Told the room's events.
    pub status: Option<StatusHook>,
    /// A recording was asked for; where it should lie, or empty. Only whoever opens the room can ask, and nothing is recorded.
    pub record: Option<String>,
    /// The room's mix goes there too.
    pub listen: Option<Box<Listen>>,
    /// The others hear this member's digits.
    pub distribute_dtmf: bool,
}

/// What happens where there is no such room yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entrance {
    /// `startConferenceOnEnter: false`: the call waits until somebody else starts it.
    Waits,
    /// Left out: the room starts, and this member is one like any other.
    Starts,
    /// `true`: the room starts, and this member is a moderator: a mute of all does not concern it.
    Moderates,
}

/// Where status events go, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusHook {
    /// Where to.
    pub hook: Hook,
    /// Which, each once. Empty: none.
    pub events: Vec<StatusEvent>,
    /// Whether the end of talking was asked for as `end-talking` only.
    #[serde(default)]
    pub says_end_talking: bool,
}

impl StatusHook {
    /// The name by which this program asked for the event; `None` if it did not. Where both names of the end of talking
    /// were asked for, it is told once, as `stop-talking`.
    pub fn word(&self, event: StatusEvent) -> Option<&'static str> {
        self.events.contains(&event).then_some(match event {
            StatusEvent::StopTalking if self.says_end_talking => "end-talking",
            event => event.as_str(),
        })
    }
}

/// Something that happens in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusEvent {
    /// The room started.
    Start,
    /// It ended.
    End,
    /// A member entered.
    Join,
    /// A member left.
    Leave,
    /// A member begins to talk.
    StartTalking,
    /// It stops.
    StopTalking,
    /// `room:say` begins to sound.
    SayStart,
    /// It ended.
    SayDone,
    /// `room:play` begins to sound.
    PlayStart,
    /// It ended.
    PlayDone,
}

impl StatusEvent {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::End,
        Self::Join,
        Self::Leave,
        Self::StartTalking,
        Self::StopTalking,
        Self::SayStart,
        Self::SayDone,
        Self::PlayStart,
        Self::PlayDone,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::StartTalking => "start-talking",
            Self::StopTalking => "stop-talking",
            Self::SayStart => "say-start",
            Self::SayDone => "say-done",
            Self::PlayStart => "play-start",
            Self::PlayDone => "play-done",
        }
    }
}

pub(super) fn read(properties: &Properties<'_>) -> Result<Conference, Fault> {
    // An empty one is no tag in JavaScript, and would be heard by everybody.
    if properties.text("speakOnlyTo")? == Some("") {
        return Err(
            properties.fault("speakOnlyTo", "name the tag of those who shall hear this member, or leave it out")
        );
    }
    let entrance = match properties.boolean("startConferenceOnEnter")? {
        Some(true) => Entrance::Moderates,
        Some(false) => Entrance::Waits,
        None => Entrance::Starts,
    };
    let record = properties.inner("record")?;
    Ok(Conference {
        name: properties.required_name("name")?,
        beep: properties.flag("beep")?,
        member_tag: properties.name("memberTag")?,
        speak_only_to: properties.name("speakOnlyTo")?,
        entrance,
        end_on_exit: properties.flag("endConferenceOnExit")?,
        end_grace: properties.seconds("endConferenceDuration")?.filter(|grace| !grace.is_zero()),
        max_participants: properties.whole("maxParticipants", 0, u32::MAX)?.filter(|most| *most > 1),
        join_muted: properties.flag("joinMuted")?,
        action_hook: properties.hook("actionHook")?,
        wait_hook: properties.hook("waitHook")?,
        enter_hook: properties.hook("enterHook")?,
        status: status(properties)?,
        record: record.map(|record| record.line("path").map(Option::unwrap_or_default)).transpose()?,
        listen: listen::inside(properties)?.and_then(|change| change.listen).map(Box::new),
        distribute_dtmf: properties.flag("distributeDtmf")?,
    })
}

fn status(properties: &Properties<'_>) -> Result<Option<StatusHook>, Fault> {
    let words = properties.texts("statusEvents", MOST_EVENTS)?.unwrap_or_default();
    let asked = |word: &str| words.iter().any(|one| one == word);
    let wanted =
        |event: &StatusEvent| asked(event.as_str()) || (*event == StatusEvent::StopTalking && asked("end-talking"));
    let events = StatusEvent::ALL.into_iter().filter(wanted).collect();
    let says_end_talking = asked("end-talking") && !asked("stop-talking");
    Ok(properties.hook("statusHook")?.map(|hook| StatusHook { hook, events, says_end_talking }))
}

//! From the attributes of `<MultiPartyCall>` or the parameters of Add participant to a member-to-be. Both have the same
//! names and, but for one method, the same defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use call::verb::{Fetch, Join, JoinHooks, MemberSettings, Method, Notice, RoomSettings};
use conference::{Audience, Entry, Policy, Role};
use serde::{Deserialize, Serialize};

use crate::value::{Fault, Field, Fields};

/// Most members that may be asked for. Plivo stops at 10.
pub const MOST_PARTICIPANTS: u64 = 1000;

/// What may be asked for on a server with at most so many members in a room.
pub(crate) fn most_participants(members: usize) -> u64 {
    u64::try_from(members).unwrap_or(u64::MAX).clamp(2, MOST_PARTICIPANTS)
}

/// Where the fields come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A document.
    Document,
    /// A REST request.
    Request,
}

/// A group of status events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Group {
    #[serde(rename = "mpc-state-changes")]
    Mpc,
    #[serde(rename = "participant-state-changes")]
    Participant,
    #[serde(rename = "participant-speak-events")]
    Speak,
    #[serde(rename = "participant-digit-input-events")]
    Digit,
    #[serde(rename = "add-participant-api-events")]
    AddParticipant,
    #[serde(rename = "participant-audio-events")]
    Audio,
}

const GROUPS: [(&str, Group); 6] = [
    ("mpc-state-changes", Group::Mpc),
    ("participant-state-changes", Group::Participant),
    ("participant-speak-events", Group::Speak),
    ("participant-digit-input-events", Group::Digit),
    ("add-participant-api-events", Group::AddParticipant),
    ("participant-audio-events", Group::Audio),
];

/// Where status events go: what this dialect keeps in `callbacks` of rooms and members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusCallbacks {
    pub url: String,
    pub method: Method,
    pub events: Vec<Group>,
    /// Where recordings are told, for whoever records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Fetch>,
}

impl StatusCallbacks {
    /// Reads what [`join`] wrote; nothing if another dialect wrote it.
    pub fn read(value: Option<&serde_json::Value>) -> Option<Self> {
        value.and_then(|value| Self::deserialize(value).ok())
    }
}

/// Attributes of the AI agent, which has no counterpart here.
const AI_AGENT: &str = "aiagent";

/// Every name that means something, in compared form. Documents may use no other.
const KNOWN: [&str; 50] = [
    "role",
    "maxduration",
    "maxparticipants",
    "recordminmembercount",
    "waitmusicurl",
    "waitmusicmethod",
    "waittime",
    "agentholdmusicurl",
    "agentholdmusicmethod",
    "agentholdmusic",
    "customerholdmusicurl",
    "customerholdmusicmethod",
    "customerholdmusic",
    "record",
    "recordfileformat",
    "recordparticipanttrack",
    "recordcoachvoice",
    "waitforagent",
    "recordingcallbackurl",
    "recordingcallbackmethod",
    "startrecordingaudio",
    "startrecordingaudiomethod",
    "stoprecordingaudio",
    "stoprecordingaudiomethod",
    "transcript",
    "transcriptionurl",
    "statuscallbackevents",
    "statuscallbackurl",
    "statuscallbackmethod",
    "stayalone",
    "coachmode",
    "mute",
    "hold",
    "startmpconenter",
    "endmpconexit",
    "entersound",
    "entersoundmethod",
    "exitsound",
    "exitsoundmethod",
    "onexitactionurl",
    "onexitactionmethod",
    "relaydtmfinputs",
    "aiagentstreamserviceurl",
    "aiagentstreamcontenttype",
    "aiagentstreamstatuscallbackurl",
    "aiagentstreamstatuscallbackmethod",
    "aiagentstreamsamplingrate",
    "aiagentstreamextraheaders",
    "aiagentstreamserviceheaders",
    "disablestatechangesound",
];

/// Builds the member-to-be for the room `room`.
pub(crate) fn join(fields: &Fields, room: String, origin: Origin, most_participants: u64) -> Result<Join, Fault> {
    refuse_what_is_not_here(fields, origin)?;
    let role = role(fields)?;
    check_recording(fields)?;
    let wait_music = fields.hook("waitmusicurl", "waitmusicmethod", Method::Get)?;
    let callbacks = callbacks(fields, origin)?;
    let coach = fields.boolean("coachmode", true)?;
    let entry = Entry {
        role: Some(role),
        tag: None,
        coach_audience: Audience::coached(),
        coaching: role == Role::Supervisor && coach,
        muted: fields.boolean("mute", false)?,
        held: fields.boolean("hold", false)?,
        deaf: false,
        start_on_enter: fields.boolean("startmpconenter", true)?,
        end_on_exit: fields.boolean("endmpconexit", false)?,
        relay_digits: fields.boolean("relaydtmfinputs", false)?,
        preparing: false,
    };
    Ok(Join {
        room,
        entry,
        room_settings: RoomSettings {
            policy: policy(fields, most_participants)?,
            wait_music,
            hold_music: hold_music(fields)?,
            callbacks: callbacks.clone(),
            record: fields.boolean("record", false)?,
        },
        member_settings: MemberSettings {
            enter_sound: sound(fields, "entersound", "entersoundmethod", Notice::Beeps(1))?,
            exit_sound: sound(fields, "exitsound", "exitsoundmethod", Notice::Beeps(2))?,
            on_exit: fields.hook("onexitactionurl", "onexitactionmethod", Method::Post)?,
            callbacks,
            ..MemberSettings::default()
        },
        hooks: JoinHooks::default(),
    })
}

fn refuse_what_is_not_here(fields: &Fields, origin: Origin) -> Result<(), Fault> {
    for (key, field) in fields.iter() {
        if key.starts_with(AI_AGENT) {
            return Err(Fault::new(field.name, field.value, "AI agents are not supported; leave it out"));
        }
        if origin == Origin::Document && !KNOWN.contains(&key) {
            return Err(Fault::new(
                field.name,
                field.value,
                "no such attribute; the support table lists those that are understood",
            ));
        }
    }
    if let Some(field) = fields.get("transcript")
        && field.boolean()?
    {
        return Err(Fault::new(field.name, field.value, "transcription is not supported; leave it out"));
    }
    if let Some(field) = fields.get("transcriptionurl") {
        field.url()?;
    }
    Ok(())
}

/// The role: required, any case.
pub(crate) fn role(fields: &Fields) -> Result<Role, Fault> {
    let remedy = "write Agent, Supervisor or Customer";
    let Some(field) = fields.get("role") else { return Err(Fault::new("role", "", remedy)) };
    if field.value.trim().eq_ignore_ascii_case("ai-agent") {
        return Err(Fault::new(field.name, field.value, format!("AI agents are not supported; {remedy}")));
    }
    Role::parse(field.value.trim()).ok_or_else(|| Fault::new(field.name, field.value, remedy))
}

/// Everything about recording is checked; what it asks for beyond `record` is the recorder's matter.
fn check_recording(fields: &Fields) -> Result<(), Fault> {
    fields.whole("recordminmembercount", 1, 1, 2)?;
    if let Some(format) = fields.get("recordfileformat") {
        format.one_of(&["mp3", "wav"])?;
    }
    fields.boolean("recordparticipanttrack", false)?;
    fields.boolean("recordcoachvoice", true)?;
    fields.boolean("disablestatechangesound", false)?;
    fields.hook("startrecordingaudio", "startrecordingaudiomethod", Method::Get)?;
    fields.hook("stoprecordingaudio", "stoprecordingaudiomethod", Method::Get)?;
    Ok(())
}

fn policy(fields: &Fields, most: u64) -> Result<Policy, Fault> {
    let members = fields.whole("maxparticipants", most.min(10), 2, most).map_err(|fault| {
        let remedy = if most < MOST_PARTICIPANTS {
            format!("{}, which is the server's [media] max_members_per_room", fault.remedy)
        } else {
            fault.remedy.clone()
        };
        Fault { remedy, ..fault }
    })?;
    let wait = fields.whole("waittime", 0, 0, 1800)?;
    Ok(Policy {
        max_members: u32::try_from(members).unwrap_or(u32::MAX),
        max_duration: Some(Duration::from_secs(fields.whole("maxduration", 14_400, 300, 28_800)?)),
        // Zero would end every room as it opens; it means that nothing was asked for.
        max_wait: (wait > 0).then(|| Duration::from_secs(wait)),
        stay_alone: fields.boolean("stayalone", false)?,
        wait_for: fields.boolean("waitforagent", false)?.then_some(Role::Agent),
    })
}

/// Plivo has music for agents and customers; a supervisor on hold hears the agents'.
fn hold_music(fields: &Fields) -> Result<BTreeMap<Option<Role>, Fetch>, Fault> {
    let music = |url: &str, alias: &str, method: &str| match fields.hook(url, method, Method::Get)? {
        Some(fetch) => Ok(Some(fetch)),
        None => fields.hook(alias, method, Method::Get),
    };
    let mut by_role = BTreeMap::new();
    if let Some(fetch) = music("agentholdmusicurl", "agentholdmusic", "agentholdmusicmethod")? {
        by_role.insert(Some(Role::Supervisor), fetch.clone());
        by_role.insert(Some(Role::Agent), fetch);
    }
    if let Some(fetch) = music("customerholdmusicurl", "customerholdmusic", "customerholdmusicmethod")? {
        by_role.insert(Some(Role::Customer), fetch);
    }
    Ok(by_role)
}

fn sound(fields: &Fields, key: &str, method: &str, default: Notice) -> Result<Notice, Fault> {
    let method = fields.method(method, Method::Get)?;
    let Some(field) = fields.get(key) else { return Ok(default) };
    match field.value.trim().to_ascii_lowercase().as_str() {
        "none" => Ok(Notice::Silent),
        "beep:1" => Ok(Notice::Beeps(1)),
        "beep:2" => Ok(Notice::Beeps(2)),
        _ => field.url().map(|url| Notice::Url(Fetch::new(url, method))).map_err(|_| {
            Fault::new(
                field.name,
                &call::http::shown(field.value),
                "write none, beep:1, beep:2 or an absolute http or https URL",
            )
        }),
    }
}

fn events(field: Field<'_>) -> Result<Vec<Group>, Fault> {
    let mut groups = Vec::new();
    for word in field.value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match GROUPS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            Some((_, group)) if groups.contains(group) => {}
            Some((_, group)) => groups.push(*group),
            None => {
                let names: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
                return Err(Fault::new(
                    field.name,
                    word,
                    format!("write a comma-separated list of: {}", names.join(", ")),
                ));
            }
        }
    }
    Ok(groups)
}

fn callbacks(fields: &Fields, origin: Origin) -> Result<Option<serde_json::Value>, Fault> {
    // The official SDKs send these defaults themselves, and they are not the same for documents and requests.
    let (status_default, recording_default) = match origin {
        Origin::Document => (Method::Post, Method::Post),
        Origin::Request => (Method::Get, Method::Get),
    };
    let status = fields.hook("statuscallbackurl", "statuscallbackmethod", status_default)?;
    let events = fields.get("statuscallbackevents").map_or(Ok(vec![Group::Mpc, Group::Participant]), events)?;
    // An old SDK writes `mp3` into this method: anything that is no method counts as POST.
    let recording_method =
        fields.get("recordingcallbackmethod").map_or(recording_default, |field| field.method().unwrap_or(Method::Post));
    let recording = fields
        .get("recordingcallbackurl")
        .map(|field| field.url().map(|url| Fetch::new(url, recording_method)))
        .transpose()?;
    let Some(Fetch { url, method, .. }) = status else { return Ok(None) };
    Ok(serde_json::to_value(StatusCallbacks { url, method, events, recording }).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.insert(name, value).unwrap();
        }
        fields
    }

    fn document(pairs: &[(&str, &str)]) -> Result<Join, Fault> {
        join(&fields(pairs), "r".to_owned(), Origin::Document, MOST_PARTICIPANTS)
    }

    #[test]
    fn every_default_is_the_sdks() {
        let join = document(&[("role", "Supervisor")]).unwrap();
        assert_eq!(join.entry, Entry { role: Some(Role::Supervisor), coaching: true, ..Entry::default() });
        assert_eq!(join.entry.coach_audience, Audience::coached());
        assert!(join.entry.start_on_enter && !join.entry.end_on_exit && !join.entry.relay_digits);
        let policy = &join.room_settings.policy;
        assert_eq!((policy.max_members, policy.max_duration), (10, Some(Duration::from_secs(14_400))));
        assert_eq!((policy.max_wait, policy.stay_alone, policy.wait_for), (None, false, None));
        assert_eq!(join.member_settings.enter_sound, Notice::Beeps(1));
        assert_eq!(join.member_settings.exit_sound, Notice::Beeps(2));
        assert_eq!(
            (&join.member_settings.on_exit, &join.room_settings.callbacks, join.room_settings.record),
            (&None, &None, false)
        );
    }

    #[test]
    fn the_status_method_defaults_to_post_in_documents_and_get_in_requests() {
        let pairs = [("role", "agent"), ("statusCallbackUrl", "https://a.example.com/s")];
        for (origin, method) in [(Origin::Document, Method::Post), (Origin::Request, Method::Get)] {
            let join = join(&fields(&pairs), "r".to_owned(), origin, MOST_PARTICIPANTS).unwrap();
            let callbacks = StatusCallbacks::read(join.room_settings.callbacks.as_ref()).unwrap();
            assert_eq!(callbacks.method, method);
            assert_eq!(callbacks.events, [Group::Mpc, Group::Participant]);
            assert_eq!(join.room_settings.callbacks, join.member_settings.callbacks);
        }
    }

    #[test]
    fn coach_mode_concerns_supervisors_alone() {
        assert!(!document(&[("role", "agent"), ("coachMode", "true")]).unwrap().entry.coaching);
        assert!(!document(&[("role", "customer")]).unwrap().entry.coaching);
        assert!(!document(&[("role", "SUPERVISOR"), ("coachMode", "False")]).unwrap().entry.coaching);
    }

    #[test]
    fn a_mistyped_attribute_of_a_document_is_refused_because_it_may_have_meant_mute() {
        assert_eq!(document(&[("role", "supervisor"), ("muted", "true")]).unwrap_err().name, "muted");
        assert!(
            join(&fields(&[("role", "supervisor"), ("x", "y")]), "r".to_owned(), Origin::Request, MOST_PARTICIPANTS)
                .is_ok()
        );
    }

    #[test]
    fn every_bad_value_is_named_with_what_would_be_right() {
        for (name, value) in [
            ("role", "boss"),
            ("role", "ai-agent"),
            ("maxDuration", "299"),
            ("maxDuration", "28801"),
            ("maxParticipants", "1"),
            ("maxParticipants", "1001"),
            ("waitTime", "1801"),
            ("recordMinMemberCount", "3"),
            ("coachMode", "maybe"),
            ("mute", "1"),
            ("hold", "x"),
            ("startMpcOnEnter", "x"),
            ("endMpcOnExit", "x"),
            ("stayAlone", "x"),
            ("relayDTMFInputs", "x"),
            ("record", "x"),
            ("recordFileFormat", "ogg"),
            ("statusCallbackEvents", "mpc-state-changes,nonsense"),
            ("statusCallbackMethod", "PUT"),
            ("statusCallbackUrl", "nowhere"),
            ("waitMusicUrl", "x"),
            ("waitMusicMethod", "x"),
            ("agentHoldMusicUrl", "x"),
            ("customerHoldMusicMethod", "x"),
            ("enterSound", "beep:3"),
            ("exitSound", "x"),
            ("enterSoundMethod", "x"),
            ("onExitActionUrl", "x"),
            ("onExitActionMethod", "x"),
            ("recordingCallbackUrl", "x"),
            ("startRecordingAudio", "x"),
            ("stopRecordingAudioMethod", "x"),
            ("transcript", "true"),
            ("waitForAgent", "x"),
            ("aiAgentStreamServiceUrl", "wss://a.example.com"),
            ("recordCoachVoice", "x"),
            ("recordParticipantTrack", "x"),
        ] {
            let mut pairs = vec![(name, value)];
            if name != "role" {
                pairs.push(("role", "agent"));
            }
            let fault = document(&pairs).expect_err(name);
            assert_eq!(fault.name, name);
            assert!(fault.remedy.len() > 10, "{name}: {}", fault.remedy);
        }
        assert_eq!(document(&[]).unwrap_err().name, "role");
    }

    #[test]
    fn more_participants_than_the_server_has_room_for_are_refused_with_its_limit() {
        let asked = |number: &str, most| {
            let fields = fields(&[("role", "agent"), ("maxParticipants", number)]);
            join(&fields, "r".to_owned(), Origin::Document, most)
        };
        assert_eq!(asked("64", 64).unwrap().room_settings.policy.max_members, 64);
        let fault = asked("65", 64).unwrap_err();
        assert_eq!(fault.name, "maxParticipants");
        assert!(fault.remedy.contains("2 to 64") && fault.remedy.contains("max_members_per_room"), "{}", fault.remedy);
        assert!(!asked("1001", MOST_PARTICIPANTS).unwrap_err().remedy.contains("max_members_per_room"));
        let few = join(&fields(&[("role", "agent")]), "r".to_owned(), Origin::Document, 4).unwrap();
        assert_eq!(few.room_settings.policy.max_members, 4, "the default is never more than there is");
        assert_eq!((most_participants(512), most_participants(4_096), most_participants(0)), (512, 1000, 2));
    }

    #[test]
    fn music_goes_to_the_roles_it_is_for() {
        let join = document(&[
            ("role", "agent"),
            ("agentHoldMusicUrl", "https://a.example.com/a"),
            ("customerHoldMusicUrl", "https://a.example.com/c"),
            ("waitMusicUrl", "https://a.example.com/w.mp3"),
            ("waitForAgent", "true"),
            ("waitTime", "60"),
        ])
        .unwrap();
        let music = |role| join.room_settings.hold_music.get(&Some(role)).map(|fetch| fetch.url.as_str());
        assert_eq!(music(Role::Agent), Some("https://a.example.com/a"));
        assert_eq!(music(Role::Supervisor), Some("https://a.example.com/a"));
        assert_eq!(music(Role::Customer), Some("https://a.example.com/c"));
        assert_eq!(join.room_settings.policy.wait_for, Some(Role::Agent));
        assert_eq!(join.room_settings.policy.max_wait, Some(Duration::from_secs(60)));
    }

    #[test]
    fn the_recording_method_of_an_old_sdk_is_forgiven() {
        let join = document(&[
            ("role", "agent"),
            ("statusCallbackUrl", "https://a.example.com/s"),
            ("recordingCallbackUrl", "https://a.example.com/r"),
            ("recordingCallbackMethod", "mp3"),
        ])
        .unwrap();
        let callbacks = StatusCallbacks::read(join.room_settings.callbacks.as_ref()).unwrap();
        assert_eq!(callbacks.recording, Some(Fetch::new("https://a.example.com/r", Method::Post)));
    }
}

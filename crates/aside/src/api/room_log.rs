//! A room's events in words, for people who watch it.

use call::shown;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::Event;

use crate::manage::object::rfc3339;

/// A line of a room's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its place: the event's id.
    pub id: i64,
    /// When.
    pub at: String,
    /// The event's kind, for example `member.joined`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// The number of the member it is about.
    pub member: Option<i64>,
    /// What that member is called.
    pub label: Option<String>,
    /// Whom its call is with.
    pub number: Option<String>,
    /// Who hears it then, if it is a supervisor: `monitor` (nobody), `whisper` (whom it coaches) or `barge` (all).
    pub mode: Option<String>,
}

/// The line of an event; none for what is shown otherwise (who speaks) or concerns programs alone.
pub(super) fn line(event: &Event) -> Option<LogLine> {
    let member = event.payload.get("member").filter(|member| member.is_object());
    let text = text(&event.kind, member, &event.payload)?;
    let call = event.payload.get("call");
    let id = |part: Option<&Json>, key: &str| part.and_then(|part| part.get(key)?.as_str().map(str::to_owned));
    let its_own = id(member, "call_uuid").is_some() && id(member, "call_uuid") == id(call, "uuid");
    let label = id(call, "caller_name").filter(|_| its_own).map(|name| shown::name(&name));
    Some(LogLine {
        id: event.id.0,
        at: rfc3339(event.created_at),
        kind: event.kind.clone(),
        text,
        member: member.and_then(|member| member.get("number")?.as_i64()).filter(|number| *number > 0),
        label: label.filter(|label| !label.is_empty()),
        number: id(member, "address").filter(|address| !address.is_empty()),
        mode: member.and_then(mode).map(str::to_owned),
    })
}

fn mode(member: &Json) -> Option<&'static str> {
    let is = |key: &str| member.get(key).and_then(Json::as_bool);
    let supervisor = member.get("role").and_then(Json::as_str) == Some("supervisor");
    match (is("muted")?, is("coaching")?) {
        _ if !supervisor => None,
        (true, _) => Some("monitor"),
        (false, true) => Some("whisper"),
        (false, false) => Some("barge"),
    }
}

fn text(kind: &str, member: Option<&Json>, payload: &Json) -> Option<String> {
    let who = name(member);
    let detail = |key: &str| payload.get("detail").and_then(|detail| detail.get(key)?.as_str());
    Some(match kind {
        "room.opened" => "The room was opened.".to_owned(),
        "room.started" => "The members are connected.".to_owned(),
        "room.ended" => match payload.pointer("/room/end_cause").and_then(Json::as_str) {
            Some(cause) => format!("The room has ended ({}).", cause.replace('_', " ")),
            None => "The room has ended.".to_owned(),
        },
        "room.help_asked" => format!("{who} asks for a supervisor."),
        "room.help_over" => format!("{who} needs no supervisor any more."),
        "member.joined" => format!("{who} has joined."),
        "member.left" if member.is_some_and(|member| member.get("joined_at").is_none_or(Json::is_null)) => {
            format!("{who} was dialled and did not come.")
        }
        "member.left" => match member.and_then(|member| member.get("leave_cause")?.as_str()) {
            Some(cause) => format!("{who} has left ({}).", cause.replace('_', " ")),
            None => format!("{who} has left."),
        },
        "member.muted" => format!("{who} is muted."),
        "member.unmuted" => format!("{who} is no longer muted."),
        "member.held" => format!("{who} is on hold."),
        "member.unheld" => format!("{who} is no longer on hold."),
        "member.coaching_started" => format!("{who} is heard only by those whom it coaches."),
        "member.coaching_stopped" => format!("{who} is heard by everyone."),
        "member.coaching_changed" => format!("{who} coaches others than before."),
        "member.tagged" => match member.and_then(|member| member.get("tag")?.as_str()) {
            Some(tag) => format!("{who} has the tag {tag}."),
            None => format!("{who} has no tag any more."),
        },
        "member.takeover_started" => format!("{who} has taken the call over."),
        "member.takeover_stopped" => format!("{who} has given the call back."),
        // Which key is nobody's business: it may be one of a card's number.
        "member.digit" => format!("{who} pressed a key."),
        "member.add_initiated" => "Somebody is being added.".to_owned(),
        "member.add_completed" => match detail("outcome") {
            Some(outcome) => format!("Adding somebody: {outcome}."),
            None => "Somebody was added, or could not be.".to_owned(),
        },
        "api.refused" => {
            let part = |key: &str| payload.get(key).and_then(Json::as_str).unwrap_or("something");
            format!("Refused: {} ({}).", part("what"), part("why"))
        }
        "call.fault" => {
            detail("text").map_or_else(|| "An instruction failed.".to_owned(), |text| format!("Failed: {text}."))
        }
        "warning" => detail("text").map_or_else(|| "A warning.".to_owned(), |text| format!("Warning: {text}.")),
        _ => return None,
    })
}

/// What a member is called: its role and whom the call is with.
fn name(member: Option<&Json>) -> String {
    let part = |key: &str| member.and_then(|member| member.get(key)?.as_str()).filter(|text| !text.is_empty());
    let role = match part("role") {
        Some("agent") => "The agent",
        Some("supervisor") => "The supervisor",
        Some("customer") => "The customer",
        _ => "A member",
    };
    match part("address") {
        Some(address) => format!("{role} {address}"),
        None => role.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{AccountId, EventId, Timestamp};

    use super::*;

    fn told(kind: &str, payload: Json) -> Option<LogLine> {
        line(&Event {
            id: EventId(7),
            account: AccountId::generate(),
            room: None,
            call: None,
            kind: kind.to_owned(),
            payload,
            created_at: Timestamp::from_micros(0),
        })
    }

    #[test]
    fn what_happens_is_told_in_words_with_whom_it_is_about() {
        let member = json!({ "number": 1042, "role": "agent", "address": "sip:anna@phone.test", "joined_at": 1,
            "call_uuid": "c-1", "leave_cause": "hung_up" });
        let call = json!({ "uuid": "c-1", "caller_name": "Anna" });
        let line = told("member.left", json!({ "member": member, "call": call, "detail": null })).unwrap();
        assert_eq!(line.text, "The agent sip:anna@phone.test has left (hung up).");
        assert_eq!((line.label.as_deref(), line.number.as_deref()), (Some("Anna"), Some("sip:anna@phone.test")));
        let another = json!({ "uuid": "c-2", "caller_name": "Otto" });
        let line = told("member.left", json!({ "member": member, "call": another, "detail": null })).unwrap();
        assert_eq!(line.label, None, "another's name");
        assert_eq!((line.id, line.member), (7, Some(1042)));
        let refused = told("api.refused", json!({ "what": "watch a room", "why": "no", "key": "k" })).unwrap();
        assert_eq!((refused.text.as_str(), refused.member), ("Refused: watch a room (no).", None));
        let never = told("member.left", json!({ "member": { "role": null, "number": 0 } })).unwrap();
        assert_eq!((never.text.as_str(), never.member), ("A member was dialled and did not come.", None));
    }

    #[test]
    fn a_line_about_a_supervisor_says_who_hears_him() {
        let mode = |role: &str, muted: bool, coaching: bool| {
            let member = json!({ "number": 1, "role": role, "muted": muted, "coaching": coaching });
            told("member.muted", json!({ "member": member })).unwrap().mode
        };
        let modes = [mode("supervisor", true, true), mode("supervisor", false, true), mode("supervisor", false, false)];
        assert_eq!(modes.map(Option::unwrap), ["monitor", "whisper", "barge"]);
        assert_eq!(mode("agent", false, false), None);
        assert_eq!(told("member.muted", json!({ "member": { "role": "supervisor" } })).unwrap().mode, None);
    }

    #[test]
    fn who_speaks_is_no_line_and_a_payload_that_says_nothing_harms_nothing() {
        assert_eq!(told("member.speaking_started", json!({})), None);
        for kind in ["room.ended", "member.joined", "member.tagged", "member.digit", "warning", "api.refused"] {
            assert!(told(kind, json!(null)).is_some_and(|line| !line.text.is_empty()), "{kind}");
        }
    }
}

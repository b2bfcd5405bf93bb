//! Bodies of REST answers about calls, rooms and queues.

use crate::hooks::CallInfo;
use crate::json::{Object, Value};

/// A call as it is listed and retrieved: scalars only. `duration` is in seconds, 0 before the call is answered;
/// `service_url` is where this server's REST interface is.
pub fn call_record(call: &CallInfo, duration: u64, terminated_by: Option<&str>, service_url: &str) -> Object {
    let mut record = call.body();
    for name in ["customerData", "headers"] {
        record.remove(name);
    }
    record.set("duration", duration);
    record.set_some("call_termination_by", terminated_by);
    record.set("service_url", service_url);
    record
}

/// A room for `?expand=participants`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// The UUID of this life of the room.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Seconds since it started.
    pub duration: u64,
    /// Its members, without taps.
    pub participants: Vec<ParticipantRecord>,
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantRecord {
    /// Its call.
    pub call_sid: String,
    /// For people: the caller's name, else his number.
    pub label: String,
    /// Its number, if it has one.
    pub number: Option<String>,
    /// Its free tag, else its role.
    pub member_tag: Option<String>,
    /// Whether its free tag or role is `agent`.
    pub is_agent: bool,
}

impl RoomRecord {
    /// The room's element of the list.
    pub fn body(&self) -> Object {
        let participant = |participant: &ParticipantRecord| {
            let mut body = Object::new();
            body.set("call_sid", participant.call_sid.as_str());
            body.set("label", participant.label.as_str());
            body.set_some("number", participant.number.as_deref());
            body.set("memberTag", participant.member_tag.as_deref().map_or(Value::Null, Value::from));
            body.set("isAgent", participant.is_agent);
            body
        };
        let mut body = Object::new();
        body.set("id", self.id.as_str());
        body.set("name", self.name.as_str());
        body.set("durationSec", self.duration);
        body.set("participants", self.participants.iter().map(participant).collect::<Vec<_>>());
        body
    }
}

/// An element of the list of queues. The length is a text, as the official client's type says.
pub fn queue_record(name: &str, length: u32) -> Object {
    let mut body = Object::new();
    body.set("name", name);
    body.set("length", length.to_string());
    body
}

/// Live calls by direction.
pub fn call_count(inbound: u32, outbound: u32) -> Object {
    let mut body = Object::new();
    body.set("inbound", inbound);
    body.set("outbound", outbound);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_lists_its_members_with_tags() {
        let member = |call_sid: &str, tag: Option<&str>| ParticipantRecord {
            call_sid: call_sid.to_owned(),
            label: "Bob".to_owned(),
            number: tag.map(|_| "15083084809".to_owned()),
            member_tag: tag.map(str::to_owned),
            is_agent: tag == Some("agent"),
        };
        let room = RoomRecord {
            id: "u".to_owned(),
            name: "support-room".to_owned(),
            duration: 61,
            participants: vec![member("a", Some("agent")), member("b", None)],
        };
        assert_eq!(
            room.body().to_string(),
            concat!(
                r#"{"id":"u","name":"support-room","durationSec":61,"participants":["#,
                r#"{"call_sid":"a","label":"Bob","number":"15083084809","memberTag":"agent","isAgent":true},"#,
                r#"{"call_sid":"b","label":"Bob","memberTag":null,"isAgent":false}]}"#
            )
        );
        assert_eq!(queue_record("q", 3).to_string(), r#"{"name":"q","length":"3"}"#);
        assert_eq!(call_count(1, 2).to_string(), r#"{"inbound":1,"outbound":2}"#);
    }
}

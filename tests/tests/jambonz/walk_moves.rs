//! How the people of the walk leave their room and come back to it.

use phone::{Call, Phone};
use serde_json::{Value, json};
use system_tests::jambonz::exchange::{Calling, verb};
use system_tests::model::rule::{Person, Who};
use system_tests::office::Member;

use super::{Dialect, Done, PLIVO_REQUESTS, ROOM, Somebody, TAGS, Walk, participant, person};

/// Somebody who has left it. His call may go on, where it was not he who ended it.
pub(super) struct Away {
    pub name: String,
    pub phone: Phone,
    pub call: Call,
    pub dialect: Dialect,
}

/// How often somebody left, in each way, and came back.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub hung_up: usize,
    pub by_rest: usize,
    pub by_frame: usize,
    pub by_plivo: usize,
    pub back: usize,
}

impl Walk {
    /// Hangs up, or is put out: by either API, or by a frame.
    pub(super) async fn somebody_leaves(&mut self) -> Done {
        let who = self.below(self.people.len());
        let Somebody { member, number, dialect } = self.people.remove(who);
        self.house.go(number).expect("he is in");
        let done = |what: &str, at_once: bool| Done { what: format!("{} {what}", member.name), at_once };
        let kick = json!({ "action": "kick" });
        let way = self.below(4);
        let done = if way == 0 && self.plivo < PLIVO_REQUESTS {
            (self.plivo, self.moves.by_plivo) = (self.plivo + 1, self.moves.by_plivo + 1);
            let path = format!("/MultiPartyCall/uuid_{}/Participant/{}/", member.room, member.number);
            self.exchange.office.rest.delete(&path).await;
            done("is kicked by Plivo's API", true)
        } else if way == 1 {
            self.moves.by_rest += 1;
            self.exchange.rest.action(&member.call_uuid, kick).await;
            done("is kicked by jambonz's", true)
        } else if way == 2 && dialect == Dialect::Jambonz {
            self.moves.by_frame += 1;
            self.exchange.app.action(&member.call_uuid, kick);
            done("is kicked by a frame", false)
        } else {
            self.moves.hung_up += 1;
            member.leaves().await;
            done("hangs up", false)
        };
        let Member { name, phone, call, .. } = member;
        self.away.push(Away { name, phone, call, dialect });
        done
    }

    /// By a new call, with rules of its own.
    pub(super) async fn somebody_returns(&mut self) -> Done {
        let who = self.below(self.away.len());
        let Away { name, phone, call, dialect } = self.away.remove(who);
        self.moves.back += 1;
        // One that was kicked out of the room may be over, or not.
        let _ = call.hangup().await;
        drop(call);
        let (member, person, what) = match dialect {
            Dialect::Plivo(role) => {
                (self.exchange.office.calls_in(&name, phone).await, participant(role), format!("{name} is back"))
            }
            Dialect::Jambonz => {
                let (entry, person) = self.entry();
                let what = format!("{name} is back with {entry}");
                self.exchange.app.verbs(&format!("/call/{name}"), json!([verb(&name, entry)]));
                let calling = self.exchange.dials(&name, phone).await;
                calling.answered().await;
                (self.enters(calling).await, person, what)
            }
        };
        let number = self.house.come(person).expect("the house is open");
        self.people.push(Somebody { member, number, dialect });
        Done { what, at_once: false }
    }

    /// Properties of an entry, and who that is.
    fn entry(&mut self) -> (Value, Person) {
        let mut some_tag = |of: usize| TAGS.get(self.random.below(of)).copied();
        let (tag, coached) = (some_tag(TAGS.len() + 1), some_tag(2 * TAGS.len()));
        let muted = self.below(4) == 0;
        let mut entry = json!({ "name": ROOM, "joinMuted": muted });
        for (property, value) in [("memberTag", tag), ("speakOnlyTo", coached)] {
            if let Some(value) = value {
                entry[property] = json!(value);
            }
        }
        let coaching = coached.map(|tag| vec![Who::Tag(tag.to_owned())]);
        (entry, person(None, tag, coaching, muted))
    }

    async fn enters(&mut self, calling: Calling) -> Member {
        let (joined, cursor) = self.exchange.native_event_after("member.joined", &calling.sid, self.cursor).await;
        self.cursor = cursor;
        assert_eq!(joined["room_uuid"], self.room.as_str(), "{} is in another room: {joined}", calling.name);
        let number = self.exchange.number_in(&self.room, &calling.sid).await;
        let Calling { name, phone, call, sid, .. } = calling;
        Member { name, phone, call, call_uuid: sid, room: self.room.clone(), number }
    }
}

//! A customer who waits, and agents who are dialled.

use std::collections::BTreeMap;

use phone::{Call, IncomingCall, Mouth, Phone};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::office::{DOMAIN, Member, Office};
use system_tests::program::Asked;

/// What must be zero when nothing is going on.
pub const NOTHING_LEFT: [&str; 5] =
    ["aside_calls_live", "aside_rooms_live", "aside_sip_dialogs_live", "aside_media_legs", "aside_media_rooms"];

/// Where the states of dialled legs are told.
pub const LEG: &str = "/leg";

/// An office with a customer in the room `desk`.
pub struct Desk {
    pub office: Office,
    pub customer: Member,
}

/// A request that was answered.
pub struct Dialled {
    /// Place in the program's log before it.
    pub mark: usize,
    /// The legs' UUIDs by destination.
    calls: BTreeMap<String, String>,
}

impl Dialled {
    /// The UUID of the leg to an endpoint.
    pub fn leg(&self, name: &str) -> &str {
        match self.calls.get(&address(name)) {
            Some(uuid) => uuid,
            None => panic!("{name} is not among {:?}", self.calls),
        }
    }
}

/// An endpoint as a destination.
pub fn address(name: &str) -> String {
    format!("sip:{name}@{DOMAIN}")
}

/// Several endpoints as one destination.
pub fn addresses(names: &[&str]) -> String {
    names.iter().map(|name| address(name)).collect::<Vec<_>>().join("<")
}

impl Desk {
    /// A customer who is alone in a room that has started, and says this.
    pub async fn open(mouth: Mouth) -> Self {
        let office = Office::open().await;
        let customer = office.joins("customer", "desk", "Customer", "stayAlone=\"true\"", mouth).await;
        Self { office, customer }
    }

    /// Dials agents for the customer's room: no sounds of entry, no dial music, states to [`LEG`], all events to `/events`.
    pub async fn dial(&self, to: &str, more: Value) -> Dialled {
        let mark = self.office.program.mark();
        let mut body = json!({
            "role": "agent", "from": "14155550100", "to": to, "enter_sound": "none", "exit_sound": "none", "dial_music": "none",
            "status_callback_url": self.office.program.url("/dial-events"), "status_callback_method": "POST",
            "status_callback_events": "mpc-state-changes,participant-state-changes,add-participant-api-events",
            "call_status_callback_url": self.office.program.url(LEG),
        });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let path = format!("/MultiPartyCall/uuid_{}/Participant/", self.customer.room);
        let added = self.office.rest.post(&path, body).await;
        let calls = added["calls"].as_array().cloned().unwrap_or_default();
        let text = |call: &Value, name: &str| call[name].as_str().unwrap_or_default().to_owned();
        Dialled { mark, calls: calls.iter().map(|call| (text(call, "to"), text(call, "call_uuid"))).collect() }
    }

    /// The INVITE that comes to a phone.
    pub async fn invited(&self, name: &str, phone: &Phone) -> IncomingCall {
        match phone.incoming(SOON).await {
            Some(call) => call,
            None => {
                let told =
                    self.office.program.asked().matching(|asked| asked.path == LEG || asked.path == "/dial-events");
                panic!("{name}'s phone does not ring; the program was told {told:#?}");
            }
        }
    }

    /// The phone rings, and says so.
    pub async fn rings(&self, name: &str, phone: &Phone) -> IncomingCall {
        let call = self.invited(name, phone).await;
        if let Err(error) = call.ring().await {
            panic!("{name} cannot ring: {error}");
        }
        call
    }

    /// The hang-up of a leg, as its program is told.
    pub async fn hung_up(&self, dialled: &Dialled, name: &str) -> Asked {
        let leg = dialled.leg(name);
        let is = |asked: &Asked| asked.path == LEG && asked.event() == "Hangup" && asked.param("CallUUID") == leg;
        self.office.program.asked().expect(&format!("hang-up of {name}'s leg"), dialled.mark, SOON, is).await
    }

    /// That a leg ended with this code.
    pub async fn ends_with(&self, dialled: &Dialled, name: &str, code: &str) {
        let hangup = self.hung_up(dialled, name).await;
        assert_eq!(hangup.param("HangupCauseCode"), code, "{name}: {hangup:?}");
    }

    /// What the program is told of the whole request.
    pub async fn outcome(&self, dialled: &Dialled) -> Asked {
        let name = "AddParticipantByAPIActionCompleted";
        self.office.program.event(name, dialled.mark, |event| event.path == "/dial-events").await
    }

    /// That the leg to an endpoint has entered the room.
    pub async fn entered(&self, dialled: &Dialled, name: &str) -> Asked {
        let leg = dialled.leg(name);
        self.office
            .program
            .event("ParticipantJoin", dialled.mark, |event| {
                event.path == "/events" && event.param("ParticipantCallUUID") == leg
            })
            .await
    }
}

/// Somebody answers.
pub async fn answers(name: &str, ringing: IncomingCall) -> Call {
    match ringing.answer().await {
        Ok(call) => call,
        Err(error) => panic!("{name} cannot answer: {error}"),
    }
}

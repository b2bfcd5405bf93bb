//! Two calls that were connected and go on by themselves.

use phone::{Call, Mouth, Phone};
use serde_json::json;

use super::exchange::{Calling, Exchange};
use crate::SOON;

/// A caller and the leg that he has dialled: each runs instructions of its own, and both are in the room `three`.
pub struct Legs {
    /// Who dialled. His application is at `/call/caller`.
    pub caller: Calling,
    /// The dialled phone.
    pub phone: Phone,
    /// Its end.
    pub call: Call,
    /// The server's id of the dialled leg, whose application is at `/call/adult`.
    pub sid: String,
}

impl Exchange {
    /// Makes them: the caller says and hears as told, and so does whom he dials.
    pub async fn adult(&self, caller: Mouth, agent: Mouth) -> Legs {
        self.client("agent").await;
        let phone = self.connect("agent", agent).await;
        let adult = self.app.ws("/call/adult");
        let room = json!({ "verb": "conference", "name": "three" });
        self.app.verbs(&adult, json!([room]));
        let target = json!([{ "type": "user", "name": format!("agent@{}", self.office.account.realm) }]);
        let dial = json!({ "verb": "dial", "target": target, "answerOnBridge": true });
        self.app.verbs("/call/caller", json!([dial, room]));
        let calling = self.phone("caller", caller).await;
        let caller = self.dials("caller", calling).await;
        let Some(ringing) = phone.incoming(SOON).await else { panic!("the agent's phone does not ring") };
        let call = match ringing.answer().await {
            Ok(call) => call,
            Err(error) => panic!("the agent cannot answer: {error}"),
        };
        caller.answered().await;
        self.app.command(&caller.sid, "redirect", json!({ "child_call_hook": { "url": adult, "method": "WS" } }));
        let is = |told: &super::app::Told| told.kind == "session:adulting";
        let sid = self.app.told().expect("an adult leg", caller.mark, SOON, is).await.call_sid;
        for sid in [&caller.sid, &sid] {
            self.native_event("member.joined", sid).await;
        }
        Legs { caller, phone, call, sid }
    }
}

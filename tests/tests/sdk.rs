//! Every operation of the multiparty call that is supported, through Plivo's own Node and Python libraries, on a live room.

use phone::Mouth;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::node::{ByFrontDoor, Script};
use system_tests::office::{DOMAIN, Office};

/// The two libraries have the same operations under different names, and other ways to pass arguments.
struct Library {
    shell: Script,
    python: bool,
}

impl Library {
    async fn do_it(
        &mut self,
        node: &str,
        python: &str,
        node_arguments: Value,
        python_arguments: Value,
    ) -> Result<Value, Value> {
        if self.python {
            self.shell.call(&format!("multi_party_calls.{python}"), python_arguments).await
        } else {
            self.shell.call(&format!("multiPartyCalls.{node}"), node_arguments).await
        }
    }
}

/// A field under either spelling.
fn field<'a>(object: &'a Value, snake: &str) -> &'a Value {
    let mut camel = String::new();
    let mut upper = false;
    for letter in snake.chars() {
        match letter {
            '_' => upper = true,
            letter if upper => {
                camel.extend(letter.to_uppercase());
                upper = false;
            }
            letter => camel.push(letter),
        }
    }
    object.get(snake).or_else(|| object.get(&camel)).unwrap_or(&Value::Null)
}

async fn every_operation(mut library: Library, office: Office) {
    let customer = office.joins("customer", "support", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    let supervisor = office.joins("supervisor", "support", "Supervisor", "coachMode=\"true\"", Mouth::Silence).await;
    let uuid = customer.room.clone();

    let listed =
        library.do_it("list", "list", json!([{ "status": "active" }]), json!({ "status": "active" })).await.unwrap();
    assert!(listed.to_string().contains(&uuid), "{listed}");
    for (node, python) in [
        (json!([{ "uuid": uuid }]), json!({ "uuid": uuid })),
        (json!([{ "friendlyName": "support" }]), json!({ "friendly_name": "support" })),
    ] {
        let got = library.do_it("get", "get", node, python).await.unwrap();
        assert_eq!(
            (field(&got, "mpc_uuid").as_str(), field(&got, "status").as_str()),
            (Some(uuid.as_str()), Some("Active")),
            "{got}"
        );
    }
    let listed = library
        .do_it("listParticipants", "list_participants", json!([{ "uuid": uuid }]), json!({ "uuid": uuid }))
        .await
        .unwrap();
    for member in [&customer, &agent, &supervisor] {
        assert!(listed.to_string().contains(&member.call_uuid), "{listed}");
    }
    let got = library
        .do_it(
            "getParticipant",
            "get_participant",
            json!([supervisor.number, { "uuid": uuid }]),
            json!({ "participant_id": supervisor.number, "uuid": uuid }),
        )
        .await
        .unwrap();
    assert_eq!(
        (field(&got, "role").as_str(), field(&got, "coach_mode").as_bool()),
        (Some("supervisor"), Some(true)),
        "{got}"
    );

    let mark = office.program.mark();
    for (change, event) in [
        (("coachMode", "coach_mode", false), "ParticipantCoachModeStop"),
        (("coachMode", "coach_mode", true), "ParticipantCoachModeStart"),
        (("mute", "mute", true), "ParticipantMute"),
        (("mute", "mute", false), "ParticipantUnmute"),
        (("hold", "hold", true), "ParticipantHold"),
        (("hold", "hold", false), "ParticipantUnhold"),
    ] {
        let (node, python, value) = change;
        // Node takes a false boolean for "not given": its users write texts.
        let node = json!([supervisor.number, { "uuid": uuid, node: value.to_string() }]);
        let python = json!({ "participant_id": supervisor.number, "uuid": uuid, python: value });
        library.do_it("updateParticipant", "update_participant", node, python).await.unwrap();
        office.program.event(event, mark, |told| told.param("MemberID") == supervisor.number).await;
    }

    let colleague = office.phone("colleague", Mouth::Silence).await;
    let events = office.program.url("/events");
    let to = format!("sip:colleague@{DOMAIN}");
    let mark = office.program.mark();
    let node = json!(["Agent", { "uuid": uuid, "from": "14155550100", "to": to, "statusCallbackUrl": events, "statusCallbackMethod": "POST" }]);
    let python = json!({ "role": "Agent", "uuid": uuid, "from_": "14155550100", "to_": to, "status_callback_url": events, "status_callback_method": "POST" });
    let added = library.do_it("addParticipant", "add_participant", node, python).await.unwrap();
    let call = colleague.incoming(SOON).await.expect("the colleague's phone does not ring").answer().await.unwrap();
    let joined = office.program.event("ParticipantJoin", mark, |_| true).await;
    assert!(added.to_string().contains(joined.param("ParticipantCallUUID")), "{added}");
    let member = joined.param("MemberID").to_owned();
    library
        .do_it(
            "kickParticipant",
            "kick_participant",
            json!([member, { "uuid": uuid }]),
            json!({ "participant_id": member, "uuid": uuid }),
        )
        .await
        .unwrap();
    call.wait_ended(SOON).await.unwrap();
    let exit = office.program.event("ParticipantExit", mark, |told| told.param("MemberID") == member).await;
    assert_eq!(exit.param("ParticipantExitCause"), "Kicked Out of Multiparty Call");

    library
        .do_it("start", "start", json!([{ "uuid": uuid, "status": "active" }]), json!({ "uuid": uuid }))
        .await
        .unwrap();
    library.do_it("stop", "stop", json!([{ "uuid": uuid }]), json!({ "uuid": uuid })).await.unwrap();
    for member in [customer, agent, supervisor] {
        member.call.wait_ended(SOON).await.unwrap();
    }
    let end = office.program.event("MPCEnd", 0, |_| true).await;
    assert_eq!(end.param("MPCTerminationCauseCode"), "3000");
    let gone = library
        .do_it("get", "get", json!([{ "friendlyName": "support" }]), json!({ "friendly_name": "support" }))
        .await
        .unwrap_err();
    let not_found = gone["status"] == 404 || gone["name"].as_str().is_some_and(|name| name.contains("NotFound"));
    assert!(not_found, "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_library_does_every_operation() {
    let office = Office::open().await;
    let door = ByFrontDoor::of(&office.server, &office.account).await;
    let shell = Script::node("sdk-shell.mjs", &door, &[]).await;
    every_operation(Library { shell, python: false }, office).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_library_does_every_operation() {
    let office = Office::open().await;
    let door = ByFrontDoor::of(&office.server, &office.account).await;
    let shell = Script::python("sdk_shell.py", &door, &[]).await;
    every_operation(Library { shell, python: true }, office).await;
}

//! How calls of several end: each way with its termination cause and code, the exit causes of those who were in, and what their own calls end with.

use phone::Mouth;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{hears, tones, voice};
use system_tests::office::{Member, Office};
use system_tests::program::Asked;

use super::people::mpc_end;

const STAY: &str = "stayAlone=\"true\"";

/// What a test expects of an end.
struct End<'a> {
    code: &'a str,
    cause: &'a str,
    /// Name, exit cause.
    exits: &'a [(&'a Member, &'a str)],
}

const HANGUP: &str = "Participant Call Hangup";
const ENDED: &str = "Multiparty Call Ended";
const KICKED: &str = "Kicked Out of Multiparty Call";
const TRANSFERRED: &str = "Participant Call Transferred";

/// Waits for the end and compares it, in callbacks and in the API.
async fn ends(office: &Office, what: &str, mark: usize, end: End<'_>) -> Asked {
    let told = mpc_end(office, mark).await;
    let words = (told.param("MPCTerminationCauseCode"), told.param("MPCTerminationCause"));
    assert_eq!(words, (end.code, end.cause), "{what}: {told:?}");
    for key in ["MPCDuration", "MPCBilledDuration", "MPCBilledAmount", "ParticipantCallUUID"] {
        assert!(!told.param(key).is_empty(), "{what}: MPCEnd has no {key}: {told:?}");
    }
    let room = told.param("MPCUUID");
    for (member, cause) in end.exits {
        let exit = office.program.event("ParticipantExit", 0, |e| e.param("MemberID") == member.number).await;
        assert_eq!(exit.param("ParticipantExitCause"), *cause, "{what}: {}: {exit:?}", member.name);
        assert!(!exit.param("ParticipantJoinTime").is_empty() && !exit.param("ParticipantEndTime").is_empty());
        let shown = office.rest.get(&format!("/MultiPartyCall/uuid_{room}/Participant/{}/", member.number)).await;
        assert_eq!(shown["exit_cause"], *cause, "{what}: {shown}");
    }
    let shown = office.rest.get(&format!("/MultiPartyCall/uuid_{room}/")).await;
    assert_eq!(
        (&shown["status"], &shown["termination_cause"], shown["termination_cause_code"].to_string()),
        (&Value::from("Ended"), &Value::from(end.cause), end.code.to_owned()),
        "{what}: {shown}"
    );
    told
}

/// The code with which a member's own call ended.
async fn hangup_code(office: &Office, member: &Member) -> String {
    let path = format!("/hangup/{}", member.name);
    office.program.event("Hangup", 0, |asked| asked.path == path).await.param("HangupCauseCode").to_owned()
}

async fn live(office: &Office, member: &Member) -> Value {
    let (status, body) =
        office.rest.request(Method::GET, &format!("/MultiPartyCall/uuid_{}/", member.room), None).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_to_leave_and_who_may_not_stay_alone_end_the_call_in_their_own_words() {
    let office = Office::open().await;
    let one = office.joins("one", "support", "Customer", STAY, Mouth::Silence).await;
    let two = office.joins("two", "support", "Agent", "", Mouth::Silence).await;
    let mark = office.program.mark();
    two.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == two.number).await;
    assert_eq!(live(&office, &one).await["status"], "Active", "the customer may stay alone");
    one.leaves().await;
    let exits = [(&one, HANGUP), (&two, HANGUP)];
    ends(&office, "the last", mark, End { code: "1000", cause: "No Active Participants", exits: &exits }).await;

    // By default nobody stays alone, except the first before anybody has come.
    let first = office.joins("first", "short", "Customer", "", Mouth::Silence).await;
    assert!(first.call.ear().wait_more(50, SOON).await);
    assert_eq!(live(&office, &first).await["status"], "Active", "the first waits for company");
    let other = office.joins("other", "short", "Agent", "", Mouth::Silence).await;
    let mark = office.program.mark();
    other.leaves().await;
    first.call.wait_ended(SOON).await.unwrap();
    let exits = [(&other, HANGUP), (&first, ENDED)];
    ends(&office, "alone", mark, End { code: "1010", cause: "Stay Alone Not Permitted", exits: &exits }).await;
    assert_eq!(hangup_code(&office, &first).await, "4010", "his document is over");
    assert_eq!(hangup_code(&office, &other).await, "4000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_exit_ends_the_call_ends_it_for_all_whatever_his_role() {
    let office = Office::open().await;
    for role in ["Agent", "Supervisor"] {
        let name = |who: &str| format!("{who}-{}", role.to_lowercase());
        let customer = office.joins(&name("customer"), role, "Customer", STAY, Mouth::Silence).await;
        let third = office.joins(&name("third"), role, "Customer", "", Mouth::Silence).await;
        let ender = office.joins(&name("ender"), role, role, "endMpcOnExit=\"true\"", Mouth::Silence).await;
        let mark = office.program.mark();
        ender.leaves().await;
        let exits = [(&ender, HANGUP), (&customer, ENDED), (&third, ENDED)];
        ends(&office, role, mark, End { code: "1000", cause: "No Active Participants", exits: &exits }).await;
        for member in [&customer, &third] {
            member.call.wait_ended(SOON).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_takeover_the_duty_to_end_the_call_is_the_supervisors_and_goes_back_with_him() {
    let [c, a, s] = tones();
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", STAY, voice(c)).await;
    let agent = office.joins("agent", "support", "Agent", "endMpcOnExit=\"true\"", voice(a)).await;
    let supervisor = office.joins("supervisor", "support", "Supervisor", "coachMode=\"true\"", voice(s)).await;
    office.mode(&supervisor, "takeover").await;
    let mark = office.program.mark();
    supervisor.leaves().await;
    office.program.event("ParticipantUnhold", mark, |event| event.param("MemberID") == agent.number).await;
    // The call goes on between the two, and the agent's duty is his again.
    let two = [customer.heard(Some(c)), agent.heard(Some(a))];
    hears("the agent is back", &two, &[("customer", "agent"), ("agent", "customer")]).await;

    let again = office.joins("again", "support", "Supervisor", "coachMode=\"true\"", voice(s)).await;
    office.mode(&again, "takeover").await;
    let mark = office.program.mark();
    agent.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == agent.number).await;
    // Set aside, he ends nothing by leaving.
    let two = [customer.heard(Some(c)), again.heard(Some(s))];
    hears("the agent has gone during the takeover", &two, &[("customer", "again"), ("again", "customer")]).await;
    assert_eq!(live(&office, &customer).await["status"], "Active");
    let mark = office.program.mark();
    customer.leaves().await;
    again.leaves().await;
    let exits = [(&customer, HANGUP), (&agent, HANGUP)];
    ends(&office, "takeover", mark, End { code: "1000", cause: "No Active Participants", exits: &exits }).await;

    // Without a takeover in between, his leaving ends it.
    let customer = office.joins("customer-2", "other", "Customer", STAY, Mouth::Silence).await;
    let agent = office.joins("agent-2", "other", "Agent", "endMpcOnExit=\"true\"", Mouth::Silence).await;
    let supervisor = office.joins("supervisor-2", "other", "Supervisor", "", Mouth::Silence).await;
    office.mode(&supervisor, "takeover").await;
    office.mode(&supervisor, "stop").await;
    let mark = office.program.mark();
    agent.leaves().await;
    let exits = [(&customer, ENDED), (&supervisor, ENDED)];
    ends(&office, "given back", mark, End { code: "1000", cause: "No Active Participants", exits: &exits }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_the_call_and_removes_and_moves_members_each_with_its_cause() {
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", STAY, Mouth::Silence).await;
    let exit = office.program.url("/exit");
    let asks = format!("onExitActionUrl=\"{exit}\"");
    office.program.document("/exit", "<Hangup/>");
    let leaving = office.joins("leaving", "support", "Agent", &asks, Mouth::Silence).await;
    let kicked = office.joins("kicked", "support", "Agent", "", Mouth::Silence).await;
    let moved = office.joins("moved", "support", "Agent", "", Mouth::Silence).await;
    let added = office.is_added("added", &customer.room, "agent", json!({}), Mouth::Silence).await;
    let added_kicked = office
        .is_added(
            "added-kicked",
            &customer.room,
            "agent",
            json!({ "call_status_callback_url": office.program.url("/hangup/added-kicked") }),
            Mouth::Silence,
        )
        .await;

    let mark = office.program.mark();
    for member in [&kicked, &added_kicked] {
        office.rest.delete(&format!("/MultiPartyCall/uuid_{}/Participant/{}/", member.room, member.number)).await;
        member.call.wait_ended(SOON).await.unwrap();
    }
    assert_eq!(hangup_code(&office, &kicked).await, "4010", "his own document goes on and is over");
    assert_eq!(hangup_code(&office, &added_kicked).await, "4030");
    office.program.document("/elsewhere", "<Wait length=\"60\"/>");
    office
        .rest
        .post(
            &format!("/Call/{}/", moved.call_uuid),
            json!({ "legs": "aleg", "aleg_url": office.program.url("/elsewhere") }),
        )
        .await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == moved.number).await;
    assert!(moved.call.ear().wait_more(10, SOON).await, "the call that was moved lives");

    office.rest.delete(&format!("/MultiPartyCall/uuid_{}/", customer.room)).await;
    let exits = [
        (&customer, ENDED),
        (&leaving, ENDED),
        (&added, ENDED),
        (&kicked, KICKED),
        (&added_kicked, KICKED),
        (&moved, TRANSFERRED),
    ];
    ends(&office, "request", mark, End { code: "3000", cause: "Hangup API Triggered", exits: &exits }).await;
    let asked = office.program.asked().expect("on-exit action", mark, SOON, |asked| asked.path == "/exit").await;
    for (key, value) in [
        ("MPCUUID", customer.room.as_str()),
        ("MPCFriendlyName", "support"),
        ("MemberID", leaving.number.as_str()),
        ("ParticipantCallUUID", leaving.call_uuid.as_str()),
        ("ParticipantRole", "agent"),
    ] {
        assert_eq!(asked.param(key), value, "{asked:?}");
    }
    assert!(!asked.param("ParticipantJoinTime").is_empty() && !asked.param("ParticipantEndTime").is_empty());
    for member in [&customer, &leaving, &added] {
        member.call.wait_ended(SOON).await.unwrap();
    }
    assert_eq!(hangup_code(&office, &leaving).await, "4000", "by what the action answered");
    let (status, _) =
        office.rest.request(Method::DELETE, &format!("/MultiPartyCall/uuid_{}/", customer.room), None).await;
    assert_eq!(status, 404, "an ended call cannot be ended again");
}

//! Places in rooms: a call that cannot have one stays where it is.

use phone::{CallState, Mouth};
use reqwest::Method;
use serde_json::json;
use std::time::Instant;
use system_tests::SOON;
use system_tests::ears::{hears, tones, voice};
use system_tests::office::Office;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_moved_into_a_full_room_is_refused_and_stays_where_it_is() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let host =
        office.joins("host", "full", "Customer", "stayAlone=\"true\" maxParticipants=\"2\"", Mouth::Silence).await;
    let guest = office.joins("guest", "full", "Agent", "", Mouth::Silence).await;
    let customer = office.joins("customer", "here", "Customer", "stayAlone=\"true\"", voice(c)).await;
    let agent = office.joins("agent", "here", "Agent", "", voice(a)).await;
    let two = [customer.heard(Some(c)), agent.heard(Some(a))];
    let both_ways = [("customer", "agent"), ("agent", "customer")];
    hears("before", &two, &both_ways).await;

    let (mark, begin) = (office.program.mark(), Instant::now());
    let body = json!({ "call_uuid": agent.call_uuid, "role": "agent", "enter_sound": "none", "exit_sound": "none" });
    for id in ["name_full".to_owned(), format!("uuid_{}", host.room)] {
        let path = format!("/MultiPartyCall/{id}/Participant/");
        let (status, answer) = office.rest.request(Method::POST, &path, Some(body.clone())).await;
        assert!((400..500).contains(&status) && answer["error"].is_string(), "{path}: {status} {answer}");
        assert_eq!(status, 409, "{path}: {answer}");
    }
    assert!(agent.call.ear().wait_more(50, SOON).await);
    for call in [&customer.call, &agent.call] {
        let stream = phone::analysis::continuity(&call.ear().since(begin));
        assert!(stream.is_lossless() && stream.ssrcs.len() == 1, "{stream}");
    }
    hears("after it was refused", &two, &both_ways).await;
    assert_eq!(office.native.get(&format!("/calls/{}", agent.call_uuid)).await["room_uuid"], agent.room.as_str());
    let told = office.program.asked().all();
    let moved: Vec<_> = told
        .iter()
        .skip(mark)
        .filter(|asked| matches!(asked.event(), "ParticipantExit" | "ParticipantJoin" | "Hangup"))
        .collect();
    assert!(moved.is_empty(), "{moved:?}");
    let full = office.native.get("/rooms/full").await;
    assert_eq!((&full["members"], &full["expected"]), (&json!(2), &json!(0)), "{full}");

    // The refusals keep no place: the first that becomes free is had.
    guest.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == guest.number).await;
    office.rest.post("/MultiPartyCall/name_full/Participant/", body).await;
    assert_eq!(office.native.get(&format!("/calls/{}", agent.call_uuid)).await["room_uuid"], host.room.as_str());
    assert!(matches!(customer.call.state(), CallState::Answered), "who stayed was hung up");
    hears("after the move", &[customer.heard(Some(c)), agent.heard(Some(a)), host.heard(None)], &[("host", "agent")])
        .await;
}

//! Several destinations: who answers first enters, the others ring no more.

use phone::{CallState, EndCause, Mouth};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{Heard, heard_in_silence, hears, tones, voice};
use system_tests::office::Office;

use super::desk::{Desk, NOTHING_LEFT, addresses, answers};

async fn agents<const N: usize>(office: &Office, names: [&str; N], tone: u32) -> Vec<phone::Phone> {
    let mut phones = Vec::new();
    for name in names {
        phones.push(office.phone(name, voice(tone)).await);
    }
    phones
}

#[tokio::test(flavor = "multi_thread")]
async fn all_ring_the_first_to_answer_enters_and_the_others_lose_the_race() {
    let [c, a, _] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let phones = agents(&desk.office, ["one", "two", "three"], a).await;
    // Nobody is registered for the last: that harms no other.
    desk.office.server.endpoint(&desk.office.account, "away", None).await;
    let dialled = desk.dial(&addresses(&["one", "two", "three", "away"]), json!({})).await;
    desk.ends_with(&dialled, "away", "2020").await;
    let (one, two, three) = (
        desk.rings("one", &phones[0]).await,
        desk.rings("two", &phones[1]).await,
        desk.rings("three", &phones[2]).await,
    );
    let call = answers("two", two).await;
    for (name, ringing) in [("one", one), ("three", three)] {
        let ended = ringing.wait_cancelled(SOON).await.unwrap();
        assert_eq!(ended.cause, EndCause::Cancelled, "{name}");
        let hangup = desk.hung_up(&dialled, name).await;
        let told = [hangup.param("HangupCauseCode"), hangup.param("HangupCauseName"), hangup.param("CallStatus")];
        assert_eq!(told, ["9000", "Lost Race", "no-answer"], "{name}: {hangup:?}");
    }
    let joined = desk.entered(&dialled, "two").await;
    let people = [desk.customer.heard(Some(c)), Heard { name: "two", call: &call, tone: Some(a) }];
    hears("the winner", &people, &[("customer", "two"), ("two", "customer")]).await;
    let outcome = desk.outcome(&dialled).await;
    assert_eq!(outcome.param("AddParticipantAPIRequestOutcome"), "completed", "{outcome:?}");
    assert_eq!(outcome.param("MemberID"), joined.param("MemberID"), "{outcome:?}");
    call.hangup().await.unwrap();
    desk.customer.leaves().await;
    desk.office.is_empty_again(&NOTHING_LEFT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_answer_at_once_one_enters_and_the_other_hears_nobody_and_is_hung_up() {
    let [c, a, _] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let phones = agents(&desk.office, ["one", "two"], a).await;
    for round in 0..3 {
        let dialled = desk.dial(&addresses(&["one", "two"]), json!({})).await;
        let (one, two) = (desk.rings("one", &phones[0]).await, desk.rings("two", &phones[1]).await);
        let (one, two) = tokio::join!(one.answer(), two.answer());
        let outcome = desk.outcome(&dialled).await;
        assert_eq!(outcome.param("AddParticipantAPIRequestOutcome"), "completed", "round {round}: {outcome:?}");
        let (winner, loser) = if outcome.param("ParticipantCallUUID") == dialled.leg("one") {
            (("one", one), ("two", two))
        } else {
            (("two", two), ("one", one))
        };
        desk.ends_with(&dialled, loser.0, "9000").await;
        // Too late to answer is as good as hung up.
        if let Ok(call) = &loser.1 {
            call.wait_ended(SOON).await.unwrap();
            heard_in_silence("the loser", call);
        }
        let call = winner.1.unwrap();
        let people = [desk.customer.heard(Some(c)), Heard { name: winner.0, call: &call, tone: Some(a) }];
        hears("the winner", &people, &[("customer", winner.0), (winner.0, "customer")]).await;
        call.hangup().await.unwrap();
        call.wait_ended(SOON).await.unwrap();
        desk.ends_with(&dialled, winner.0, "4000").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_destination_has_its_own_ring_timeout_and_delay() {
    let desk = Desk::open(Mouth::Silence).await;
    let phones = agents(&desk.office, ["first", "second", "third"], 1_200).await;
    let begin = std::time::Instant::now();
    let times = json!({ "ring_timeout": "1<30<30", "delay_dial": "0<2<600" });
    let dialled = desk.dial(&addresses(&["first", "second", "third"]), times).await;
    let first = desk.rings("first", &phones[0]).await;
    assert_eq!(first.wait_cancelled(SOON).await.unwrap().cause, EndCause::Cancelled);
    let rang_for = begin.elapsed();
    desk.ends_with(&dialled, "first", "6010").await;
    assert!(rang_for.as_millis() >= 1_000, "the first rang for {rang_for:?}");
    let second = desk.rings("second", &phones[1]).await;
    let after = begin.elapsed();
    assert!(after.as_millis() >= 2_000, "the second was dialled after {after:?}");
    let call = answers("second", second).await;
    desk.entered(&dialled, "second").await;
    // The third is not dialled any more.
    desk.ends_with(&dialled, "third", "9000").await;
    let rings = desk.office.program.asked().matching(|asked| asked.event() == "Ring" && asked.path == super::desk::LEG);
    let rang: Vec<_> = rings.iter().map(|asked| asked.param("To").to_owned()).collect();
    assert_eq!(rang, [super::desk::address("first"), super::desk::address("second")]);
    assert!(matches!(call.state(), CallState::Answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_fail_the_request_has_failed_and_the_customer_is_still_there() {
    let desk = Desk::open(Mouth::Silence).await;
    let phones = agents(&desk.office, ["busy", "declines", "silent"], 1_200).await;
    let dialled = desk.dial(&addresses(&["busy", "declines", "silent"]), json!({ "ring_timeout": 1 })).await;
    desk.rings("busy", &phones[0]).await.reject(486).await.unwrap();
    desk.rings("declines", &phones[1]).await.reject(603).await.unwrap();
    assert_eq!(desk.rings("silent", &phones[2]).await.wait_cancelled(SOON).await.unwrap().cause, EndCause::Cancelled);
    for (name, code) in [("busy", "3010"), ("declines", "3020"), ("silent", "6010")] {
        desk.ends_with(&dialled, name, code).await;
    }
    let outcome = desk.outcome(&dialled).await;
    assert_eq!(outcome.param("AddParticipantAPIRequestOutcome"), "failed: nobody answered", "{outcome:?}");
    assert_eq!((outcome.param("MemberID"), outcome.param("ParticipantRole")), ("", "agent"), "{outcome:?}");
    let exits = desk.office.program.asked().matching(|asked| {
        asked.event() == "ParticipantExit" && asked.path == "/events" && asked.param("ParticipantJoinTime").is_empty()
    });
    assert_eq!(exits.len(), 3, "{exits:?}");
    assert!(matches!(desk.customer.call.state(), CallState::Answered));
    // All alike: the outcome says how.
    let dialled = desk.dial(&addresses(&["busy"]), json!({})).await;
    desk.rings("busy", &phones[0]).await.reject(486).await.unwrap();
    let outcome = desk.outcome(&dialled).await;
    assert_eq!(outcome.param("AddParticipantAPIRequestOutcome"), "failed: busy", "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_ring_no_more_when_the_call_they_ring_for_is_over() {
    let desk = Desk::open(Mouth::Silence).await;
    let phones = agents(&desk.office, ["one", "two"], 1_200).await;
    let dialled = desk.dial(&addresses(&["one", "two"]), json!({ "delay_dial": "0<600" })).await;
    let one = desk.rings("one", &phones[0]).await;
    desk.office.rest.delete(&format!("/MultiPartyCall/uuid_{}/", desk.customer.room)).await;
    assert_eq!(one.wait_cancelled(SOON).await.unwrap().cause, EndCause::Cancelled);
    desk.ends_with(&dialled, "one", "4020").await;
    desk.ends_with(&dialled, "two", "4020").await;
    desk.office.is_empty_again(&NOTHING_LEFT).await;
    let opened = desk.office.program.asked().matching(|asked| asked.event() == "MPCInitialized");
    assert_eq!(opened.len(), 1, "nobody opens the call anew: {opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_hangs_up_one_leg_that_rings_and_the_others_ring_on() {
    let desk = Desk::open(Mouth::Silence).await;
    let phones = agents(&desk.office, ["one", "two"], 1_200).await;
    let dialled = desk.dial(&addresses(&["one", "two"]), json!({})).await;
    let (one, two) = (desk.rings("one", &phones[0]).await, desk.rings("two", &phones[1]).await);
    desk.office.rest.delete(&format!("/Call/{}/", dialled.leg("one"))).await;
    assert_eq!(one.wait_cancelled(SOON).await.unwrap().cause, EndCause::Cancelled);
    desk.ends_with(&dialled, "one", "4000").await;
    let call = answers("two", two).await;
    desk.entered(&dialled, "two").await;
    assert!(matches!(call.state(), CallState::Answered));
}

//! Every way out of a conference, and the action hook after each of them.

use std::time::{Duration, Instant};

use phone::analysis::exact_silence;
use phone::{EndCause, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{SETTLING, hears, silent_since, silent_since_invite, tones, voice};
use system_tests::jambonz::app::{Answer, Told};
use system_tests::jambonz::exchange::{Exchange, Via, verb};
use system_tests::office::Member;

async fn done(exchange: &Exchange, member: &Member, mark: usize, status: &str) -> Told {
    let hook = format!("/conference/{}", member.name);
    let told = exchange.app.hears(&member.call_uuid, &hook, mark, |_| true).await;
    assert_eq!(told.text("call_status"), status, "{}", told.raw);
    assert_eq!(told.text("verb_id"), "stay", "{}", told.raw);
    let times = exchange.app.told().matching(|told| told.name == hook && told.call_sid == member.call_uuid).len();
    assert_eq!(times, 1, "{hook} came {times} times");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_runs_the_action_hook_once_and_what_it_answers() {
    let [survey, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/survey.wav", survey);
    let survey_verbs = json!([{ "verb": "play", "url": url }, { "verb": "hangup" }]);
    for via in [Via::Socket, Via::Http] {
        let room = format!("support-{via:?}");
        let stay = |more: Value| {
            let mut all = json!({ "name": room, "id": "stay" });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let name = |who: &str| format!("{who}-{via:?}").to_lowercase();
        let host =
            exchange.joins_via(&name("host"), via, stay(json!({ "endConferenceOnExit": true })), Mouth::Silence).await;
        let mut members = Vec::new();
        for who in ["hangs-up", "kicked", "moved", "stays"] {
            exchange.app.verbs(&format!("/conference/{}", name(who)), survey_verbs.clone());
            members.push(exchange.joins_via(&name(who), via, stay(json!({})), Mouth::Silence).await);
        }
        let [hangs_up, kicked, moved, stays] = <[Member; 4]>::try_from(members).ok().unwrap();

        let mark = exchange.app.mark();
        hangs_up.leaves().await;
        done(&exchange, &hangs_up, mark, "completed").await;

        let (mark, since) = (exchange.app.mark(), Instant::now());
        exchange.action(&kicked, json!({ "action": "kick" })).await;
        done(&exchange, &kicked, mark, "in-progress").await;
        assert!(kicked.call.ear().wait_heard(survey, -30.0, since, SOON).await.is_some(), "no survey after the kick");
        assert_eq!(kicked.call.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);

        // Other instructions: the old verb is over, what its hook answers comes too late.
        let (mark, since) = (exchange.app.mark(), Instant::now());
        exchange.app.verbs("/next", json!([{ "verb": "pause", "length": 60 }]));
        let next = exchange.app.http("/next");
        let hook = if via == Via::Http { json!(next) } else { json!("/next") };
        exchange.rest.update(&moved.call_uuid, json!({ "call_hook": hook })).await;
        done(&exchange, &moved, mark, "in-progress").await;
        exchange.app.hears(&moved.call_uuid, "/next", mark, |_| true).await;
        exchange.native_event("member.left", &moved.call_uuid).await;

        // The host's exit ends the room for whoever is left.
        let mark = exchange.app.mark();
        host.leaves().await;
        done(&exchange, &host, mark, "completed").await;
        done(&exchange, &stays, mark, "in-progress").await;
        assert!(
            stays.call.ear().wait_heard(survey, -30.0, since, SOON).await.is_some(),
            "no survey after the room's end"
        );
        stays.call.wait_ended(SOON).await.unwrap();
        silent_since("who was moved heard a survey", &moved.call, since).await;
        moved.leaves().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_the_next_verb_runs_and_at_the_end_a_webhook_call_is_hung_up_but_a_socket_call_stays() {
    let [after, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/after.wav", after);
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let verbs = json!([verb(&name, json!({ "name": name })), { "verb": "play", "url": url }]);
        let caller = exchange.runs_via(&name, via, verbs, Mouth::Silence).await;
        let caller = exchange.is_in(caller).await;
        let since = Instant::now();
        exchange.action(&caller, json!({ "action": "kick" })).await;
        assert!(caller.call.ear().wait_heard(after, -30.0, since, SOON).await.is_some(), "the next verb did not run");
        match via {
            Via::Http => drop(caller.call.wait_ended(SOON).await.unwrap()),
            Via::Socket => {
                let quiet = caller.call.ear().wait_quiet(after, -60.0, since, SETTLING * 2, SOON).await;
                assert!(quiet.is_some());
                assert!(caller.call.ear().wait_more(50, SOON).await, "the call does not wait for commands");
                exchange.app.command(&caller.call_uuid, "redirect", json!([{ "verb": "hangup" }]));
                caller.call.wait_ended(SOON).await.unwrap();
            }
        }
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_one_too_many_is_refused_at_once_with_his_action_hook_and_hears_nothing() {
    let [c, refused, late] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/full.wav", refused);
    let full = json!({ "name": "full", "maxParticipants": 2 });
    let first = exchange.joins("first", full.clone(), voice(c)).await;
    let second = exchange.joins("second", full, Mouth::Silence).await;
    let mark = exchange.app.mark();
    let verbs = json!([verb("third", json!({ "name": "full", "id": "stay" })), { "verb": "play", "url": url }, { "verb": "hangup" }]);
    let begins = Instant::now();
    let third = exchange.runs("third", verbs, voice(late)).await;
    let told = exchange.app.hears(&third.sid, "/conference/third", mark, |_| true).await;
    assert_eq!(told.text("verb_id"), "stay");
    assert!(told.at - begins < Duration::from_secs(5), "it took {:?}", told.at - begins);
    third.ended().await;
    system_tests::ears::never_heard_since("the third", &third.call, c, begins).await;
    assert!(third.call.ear().packets().iter().any(|packet| exact_silence(std::slice::from_ref(packet)).is_err()));
    let two = [first.heard(Some(c)), second.heard(None)];
    hears("the two go on", &two, &[("second", "first")]).await;
    silent_since_invite("the third was heard", &first.call).await;
    assert!(exchange.app.told().matching(|told| told.call_sid == third.sid && told.text("event") == "join").is_empty());
    // A place that is free again can be taken.
    let mark = exchange.app.mark();
    second.leaves().await;
    exchange.app.event(&second.call_uuid, "leave", mark).await;
    exchange.joins("fourth", json!({ "name": "full" }), Mouth::Silence).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_departure_that_ends_the_room_ends_it_after_its_grace() {
    let [c, a, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let ends = |grace: u32| json!({ "name": "support", "endConferenceOnExit": true, "endConferenceDuration": grace });
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    let first = exchange.joins("first", ends(2), Mouth::Silence).await;
    let second = exchange.joins("second", ends(2), voice(a)).await;
    let mark = exchange.app.mark();
    let leaves = Instant::now();
    first.leaves().await;
    exchange.app.event(&first.call_uuid, "leave", mark).await;
    assert!(customer.call.ear().wait_heard(a, -30.0, Instant::now(), SOON).await.is_some(), "the grace is silence");
    let told = exchange.app.hears(&customer.call_uuid, "/conference/customer", mark, |_| true).await;
    let took = told.at - leaves;
    assert!((Duration::from_millis(1_800)..Duration::from_secs(6)).contains(&took), "a grace of 2 s took {took:?}");
    exchange.app.hears(&second.call_uuid, "/conference/second", mark, |_| true).await;
    exchange.native_event("room.ended", "").await;
    let silent = Instant::now() + SETTLING;
    assert!(customer.call.ear().wait_more(50, SOON).await);
    silent_since("they still hear each other", &customer.call, silent).await;
    // The name is free, and a new room is a new life.
    exchange.app.command(&customer.call_uuid, "redirect", json!([verb("customer", json!({ "name": "support" }))]));
    exchange.app.event(&customer.call_uuid, "start", mark).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_hook_that_does_not_answer_or_fails_has_its_written_outcome() {
    let [after, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/after.wav", after);
    // By WebSocket an acknowledgement that never comes is taken for an empty one.
    exchange.app.answer("/conference/silent", Answer::Silence);
    let verbs = json!([verb("silent", json!({ "name": "one" })), { "verb": "play", "url": url }]);
    let silent = exchange.runs("silent", verbs, Mouth::Silence).await;
    let silent = exchange.is_in(silent).await;
    let since = Instant::now();
    exchange.action(&silent, json!({ "action": "kick" })).await;
    assert!(silent.call.ear().wait_heard(after, -30.0, since, SOON).await.is_some(), "the next verb does not run");
    silent.leaves().await;
    // A webhook that fails, likewise.
    exchange.app.answer("/conference/failing", Answer::Http(500, "text/plain", "no".to_owned()));
    let verbs = json!([verb("failing", json!({ "name": "two" })), { "verb": "play", "url": url }]);
    let failing = exchange.runs_via("failing", Via::Http, verbs, Mouth::Silence).await;
    let failing = exchange.is_in(failing).await;
    let since = Instant::now();
    exchange.action(&failing, json!({ "action": "kick" })).await;
    assert!(failing.call.ear().wait_heard(after, -30.0, since, SOON).await.is_some(), "the next verb does not run");
    failing.call.wait_ended(SOON).await.unwrap();
    exchange.closes().await;
}

//! Status events of a conference: what is told, to whom, and how it is spelt.

use phone::Mouth;
use serde_json::json;
use system_tests::ears::{tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Exchange, Via};

fn told_of(exchange: &Exchange, sid: &str) -> Vec<String> {
    let events = exchange.app.told().all();
    let of: Vec<&Told> =
        events.iter().filter(|told| told.call_sid == sid && told.data.get("conference_sid").is_some()).collect();
    of.iter().map(|told| told.text("event").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_tells_start_join_leave_and_end_with_everything_in_them() {
    let exchange = Exchange::open().await;
    for via in [Via::Socket, Via::Http] {
        let room = format!("support: {via:?} ü");
        let name = |who: &str| format!("{who}-{via:?}").to_lowercase();
        let mark = exchange.app.mark();
        let first = exchange.joins_via(&name("first"), via, json!({ "name": room }), Mouth::Silence).await;
        let second = exchange.joins_via(&name("second"), via, json!({ "name": room }), Mouth::Silence).await;
        let start = exchange.app.event(&first.call_uuid, "start", mark).await;
        let join = exchange.app.event(&first.call_uuid, "join", mark).await;
        let joined = exchange.app.event(&second.call_uuid, "join", mark).await;
        for (told, members) in [(&join, 1), (&joined, 2)] {
            assert_eq!(told.data["members"], members, "{}", told.raw);
            assert_eq!(told.text("conference_sid"), format!("conf:{}:{room}", exchange.rest.account()), "{}", told.raw);
            assert_eq!(told.text("friendly_name"), room);
            assert_eq!(told.text("account_sid"), exchange.rest.account());
            assert_eq!(told.text("call_status"), "in-progress");
            assert!(told.data["duration"].is_number() && told.text("time").ends_with('Z'), "{}", told.raw);
        }
        assert!(start.at <= join.at && start.data["members"].as_i64() <= Some(1), "{}", start.raw);
        second.leaves().await;
        let left = exchange.app.event(&second.call_uuid, "leave", mark).await;
        assert_eq!(left.data["members"], 1, "{}", left.raw);
        first.leaves().await;
        let left = exchange.app.event(&first.call_uuid, "leave", mark).await;
        let end = exchange.app.event(&first.call_uuid, "end", mark).await;
        assert_eq!((&left.data["members"], &end.data["members"]), (&json!(0), &json!(0)));
        exchange.app.hears(&first.call_uuid, &format!("/conference/{}", first.name), mark, |_| true).await;
        assert_eq!(told_of(&exchange, &first.call_uuid), ["start", "join", "leave", "end"]);
        assert_eq!(told_of(&exchange, &second.call_uuid), ["join", "leave"]);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_talking_is_told_in_the_word_that_was_asked_for() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    for word in ["stop-talking", "end-talking"] {
        let properties = json!({ "name": word, "statusEvents": ["join", "start-talking", word] });
        let mark = exchange.app.mark();
        let speaker = exchange.joins(&format!("speaker-{word}"), properties.clone(), Mouth::Silence).await;
        let _other = exchange.joins(&format!("other-{word}"), properties, Mouth::Silence).await;
        speaker.speaks(s).await;
        exchange.app.event(&speaker.call_uuid, "start-talking", mark).await;
        speaker.falls_silent().await;
        let stopped = exchange.app.event(&speaker.call_uuid, word, mark).await;
        assert_eq!(stopped.data["members"], 2, "{}", stopped.raw);
        assert_eq!(told_of(&exchange, &speaker.call_uuid), ["join", "start-talking", word]);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_events_that_were_asked_for_are_told() {
    let exchange = Exchange::open().await;
    // The first one's choice is the room's.
    let first = exchange.joins("first", json!({ "name": "chosen", "statusEvents": ["leave"] }), Mouth::Silence).await;
    let second = exchange.joins("second", json!({ "name": "chosen" }), Mouth::Silence).await;
    let mark = exchange.app.mark();
    second.leaves().await;
    exchange.app.event(&second.call_uuid, "leave", mark).await;
    first.leaves().await;
    exchange.app.event(&first.call_uuid, "leave", mark).await;
    exchange.app.hears(&first.call_uuid, "/conference/first", mark, |_| true).await;
    assert_eq!(told_of(&exchange, &first.call_uuid), ["leave"]);
    // A hook without a list is told nothing.
    let mark = exchange.app.mark();
    let silent = exchange.joins("silent", json!({ "name": "unasked", "statusEvents": [] }), Mouth::Silence).await;
    silent.leaves().await;
    exchange.app.hears(&silent.call_uuid, "/conference/silent", mark, |_| true).await;
    assert!(told_of(&exchange, &silent.call_uuid).is_empty());
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_hook_that_never_answers_keeps_nobody_waiting() {
    let [c, a, _] = tones::<3>();
    let exchange = Exchange::open().await;
    for via in [Via::Socket, Via::Http] {
        let name = |who: &str| format!("{who}-{via:?}").to_lowercase();
        for who in ["first", "second"] {
            let answer = system_tests::jambonz::app::Answer::Silence;
            exchange.app.answer(&format!("/conference-status/{}", name(who)), answer);
        }
        let room = json!({ "name": name("room") });
        let first = exchange.joins_via(&name("first"), via, room.clone(), voice(c)).await;
        let second = exchange.joins_via(&name("second"), via, room, voice(a)).await;
        let (f, s) = (first.name.as_str(), second.name.as_str());
        let two = [first.heard(Some(c)), second.heard(Some(a))];
        system_tests::ears::hears("beside a dead status hook", &two, &[(f, s), (s, f)]).await;
        let mark = exchange.app.mark();
        exchange.action(&second, json!({ "action": "kick" })).await;
        exchange.app.hears(&second.call_uuid, &format!("/conference/{s}"), mark, |_| true).await;
    }
    exchange.closes().await;
}

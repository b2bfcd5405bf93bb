//! The native API on a live room: a customer, an agent and a supervisor on real phones.

mod common;

use std::time::{Duration, Instant};

use aside::manage::object::{micros_rfc3339, parse_rfc3339};
use common::stage::{Deadline, members, post, stage};
use common::{DEADLINE, ask};
use serde_json::{Value as Json, json};

const BETWEEN_THEM: [&str; 2] = ["agent<customer", "customer<agent"];
const LISTENING: [&str; 4] = ["agent<customer", "customer<agent", "supervisor<agent", "supervisor<customer"];

fn with(pairs: &[&str], more: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = pairs.iter().chain(more).map(|pair| (*pair).to_owned()).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_is_in_force_when_its_answer_comes_and_stays_in_the_ledger() {
    let stage = stage().await;
    let (supervisor, agent) = (stage.number("supervisor").await, stage.number("agent").await);
    let path = format!("/members/{supervisor}/mode");
    let whispered = with(&LISTENING, &["agent<supervisor"]);
    let barged = with(&LISTENING, &["agent<supervisor", "customer<supervisor"]);
    let taken_over = with(&[], &["customer<supervisor", "supervisor<customer"]);
    let mut applied = Vec::new();
    for (mode, heard) in [
        ("monitor", with(&LISTENING, &[])),
        ("whisper", whispered.clone()),
        ("barge", barged),
        ("takeover", taken_over.clone()),
        ("stop", with(&LISTENING, &[])),
        ("whisper", whispered),
    ] {
        let answer = stage.ask("PUT", &path, &stage.key, json!({ "mode": mode })).await;
        assert_eq!(answer.status, 200, "{mode}: {}", answer.text);
        assert_eq!(answer.json()["confirmed"], true);
        assert_eq!(stage.hearing(None).await, heard, "{mode}");
        applied.push((answer.json()["applied_at"].as_str().unwrap().to_owned(), heard));
    }
    let ticks: Vec<&str> = applied.iter().map(|(at, _)| at.as_str()).collect();
    assert!(ticks.is_sorted(), "{ticks:?}");
    for (index, (at, heard)) in applied.iter().enumerate() {
        // Of several changes at one tick the last one holds.
        if applied.get(index + 1).is_none_or(|(next, _)| next != at) {
            assert_eq!(stage.hearing(Some(at)).await, *heard, "the ledger at {at} of {applied:?}");
        }
    }

    let body = json!({ "mode": "takeover", "agents": [agent], "command_id": "c-1" });
    let first = stage.ask("PUT", &path, &stage.key, body.clone()).await.json();
    stage.ask("PUT", &path, &stage.key, json!({ "mode": "stop" })).await;
    assert_eq!(stage.ask("PUT", &path, &stage.key, body).await.json(), first, "a repeated command is not done again");
    assert_eq!(stage.hearing(None).await, with(&LISTENING, &[]));
    for agents in [json!([]), json!([agent, 999])] {
        let refused = stage.ask("PUT", &path, &stage.key, json!({ "mode": "takeover", "agents": agents })).await;
        assert!([400, 404].contains(&refused.status), "{}", refused.text);
    }
    assert_eq!(stage.hearing(None).await, with(&LISTENING, &[]));

    let now = micros_rfc3339(parse_rfc3339(ticks[0]).unwrap().micros() - 1);
    let ledger = stage
        .ask("GET", &format!("/hearing/between?from={now}&to=2100-01-01T00:00:00Z"), &stage.key, Json::Null)
        .await
        .json();
    let entries = ledger["items"].as_array().unwrap();
    let by_key = entries.iter().filter(|entry| entry["who"]["kind"] == "key").count();
    assert!(by_key >= 7, "{ledger}");
    assert!(entries.iter().any(|entry| entry["command_id"] == "c-1"));
    stage.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_the_scope_or_for_other_people_changes_nothing_in_a_live_room() {
    let stage = stage().await;
    let (supervisor, agent) = (stage.number("supervisor").await, stage.number("agent").await);
    let before = stage.hearing(None).await;
    let make = async |body: Json| post(stage.api, &stage.key, "/keys", body).await["key"].as_str().unwrap().to_owned();
    let monitor = make(json!({ "name": "m", "scopes": ["read", "monitor"] })).await;
    let elsewhere = make(json!({ "name": "e", "scopes": ["read", "monitor", "coach"], "rooms": "sales-*" })).await;
    let team = make(json!({ "name": "t", "scopes": ["read", "monitor", "coach"], "tag": "team-a" })).await;
    let mode = format!("/members/{supervisor}/mode");
    for (key, method, path, body) in [
        (&monitor, "PUT", mode.clone(), json!({ "mode": "barge" })),
        (&monitor, "PATCH", format!("/members/{agent}"), json!({ "mute": true })),
        (&monitor, "DELETE", String::new(), Json::Null),
        (&elsewhere, "GET", String::new(), Json::Null),
        (&elsewhere, "PUT", mode.clone(), json!({ "mode": "barge" })),
        (&elsewhere, "DELETE", format!("/members/{agent}"), Json::Null),
        (&team, "GET", "/hearing".to_owned(), Json::Null),
        (&team, "PUT", mode.clone(), json!({ "mode": "monitor" })),
    ] {
        let refused = stage.ask(method, &path, key, body).await;
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text);
    }
    assert_eq!(stage.hearing(None).await, before);
    assert!(
        ask(stage.api, "GET", "/api/v1/rooms", Some(&elsewhere), "").await.json()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(
        ask(stage.api, "GET", "/api/v1/calls", Some(&elsewhere), "").await.json()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    // Once somebody of the team is in, the room is the key's, and so is that member: nobody else.
    let tagged = stage.ask("PATCH", &format!("/members/{agent}"), &stage.key, json!({ "tag": "team-a" })).await;
    assert_eq!(tagged.status, 200, "{}", tagged.text);
    let customer = stage.number("customer").await;
    assert_eq!(stage.ask("PATCH", &format!("/members/{agent}"), &team, json!({ "hold": true })).await.status, 200);
    assert!(!stage.hearing(None).await.contains(&BETWEEN_THEM[0].to_owned()));
    assert_eq!(stage.ask("PATCH", &format!("/members/{agent}"), &team, json!({ "hold": false })).await.status, 200);
    assert_eq!(stage.ask("PATCH", &format!("/members/{customer}"), &team, json!({ "mute": true })).await.status, 403);
    // The supervisor came by himself, not with this key.
    assert_eq!(stage.ask("PUT", &mode, &team, json!({ "mode": "whisper" })).await.status, 403);
    // An agent by its tag is set aside by a takeover like the others, and this key is not for it.
    let as_agent = json!({ "tag": "agent" });
    assert_eq!(stage.ask("PATCH", &format!("/members/{customer}"), &stage.key, as_agent).await.status, 200);
    let refused = stage.ask("PUT", &mode, &team, json!({ "mode": "takeover" })).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(stage.ask("DELETE", "", &team, Json::Null).await.status, 403);
    assert_eq!(stage.ask("DELETE", &format!("/members/{agent}"), &team, Json::Null).await.status, 200);
    let gone = Deadline::new();
    while members(stage.api, &stage.key).await.len() > 2 {
        gone.pause().await;
    }
    stage.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_are_for_supervisors_and_hearing_says_from_which_tick_it_holds() {
    let stage = stage().await;
    for role in ["agent", "customer"] {
        let path = format!("/members/{}/mode", stage.number(role).await);
        for mode in ["monitor", "whisper", "barge", "takeover", "stop"] {
            let refused = stage.ask("PUT", &path, &stage.key, json!({ "mode": mode })).await;
            assert_eq!(refused.status, 409, "{role} {mode}: {}", refused.text);
        }
    }
    let path = format!("/members/{}/mode", stage.number("supervisor").await);
    for mode in ["barge", "monitor"] {
        let applied = stage.ask("PUT", &path, &stage.key, json!({ "mode": mode })).await.json();
        let shown = stage.ask("GET", "/hearing", &stage.key, Json::Null).await.json();
        assert_eq!(shown["at"], applied["applied_at"], "{mode}: {shown}");
        assert!(shown["tick"].as_u64().is_some_and(|tick| tick > 0), "{shown}");
        assert_eq!(shown["pending"], false);
    }
    stage.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_waits_as_long_as_told_and_then_hangs_up() {
    let stage = stage().await;
    let begun = Instant::now();
    tokio::time::timeout(Duration::from_secs(12), stage.server.stop(Duration::from_secs(1)))
        .await
        .expect("stops in time");
    assert!(begun.elapsed() >= Duration::from_secs(1), "live calls have their second");
    for call in &stage.calls {
        call.wait_ended(DEADLINE).await.expect("the phone was told");
    }
}

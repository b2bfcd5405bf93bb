//! The native API on a live room: a customer, an agent and a supervisor on real phones.

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aside::api::BASE;
use aside::config;
use aside::manage::object::{micros_rfc3339, parse_rfc3339};
use aside::serve::Server;
use axum::http::header;
use axum::routing::any;
use common::{DEADLINE, Directory, ask};
use phone::{Call, CallOptions, Phone, PhoneConfig};
use serde_json::{Value as Json, json};

/// A program that puts every caller into the room "support-1", in the role that it dialled.
async fn program() -> SocketAddr {
    let answer = async |uri: axum::http::Uri| {
        let role = uri.path().trim_start_matches('/').to_owned();
        let body = format!(
            "<Response><MultiPartyCall role=\"{role}\" coachMode=\"true\" stayAlone=\"true\" maxParticipants=\"4\">support-1</MultiPartyCall></Response>"
        );
        ([(header::CONTENT_TYPE, "application/xml")], body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(any(answer))).await });
    address
}

struct Stage {
    server: Server,
    api: SocketAddr,
    key: String,
    // Customer, agent, supervisor, in the order in which they called.
    calls: Vec<Call>,
    _phones: Vec<Phone>,
    _directory: Directory,
}

async fn post(api: SocketAddr, key: &str, path: &str, body: Json) -> Json {
    let answer = ask(api, "POST", &format!("{BASE}{path}"), Some(key), &body.to_string()).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text);
    answer.json()
}

async fn stage() -> Stage {
    let program = program().await;
    let directory = Directory::new();
    let text = directory.config("allow = [\"127.0.0.0/8\"]\n");
    let config = config::load_text("test", &text, Vec::new()).unwrap().config;
    let mut server = Server::start(&config).await.unwrap();
    let key = server.take_credentials().unwrap().admin_key;
    let (api, sip) = (server.addresses().api, server.addresses().sip_udp[0]);
    let (mut calls, mut phones) = (Vec::new(), Vec::new());
    for role in ["customer", "agent", "supervisor"] {
        let app = json!({ "name": role, "answer_url": format!("http://{program}/{role}") });
        post(api, &key, "/applications", app).await;
        post(api, &key, "/endpoints", json!({ "username": role, "password": "secret1", "app": role })).await;
        let mut config = PhoneConfig::new(sip, role, "secret1");
        config.domain = "phone.plivo.com".to_owned();
        let phone = Phone::start(config).await.unwrap();
        let call = phone.call("sip:100@phone.plivo.com", CallOptions::default()).unwrap();
        call.wait_answered(DEADLINE).await.unwrap();
        let stage = Deadline::new();
        while members(api, &key).await.len() <= calls.len() {
            stage.pause().await;
        }
        calls.push(call);
        phones.push(phone);
    }
    Stage { server, api, key, calls, _phones: phones, _directory: directory }
}

/// Asks again until something is so, or the test fails.
struct Deadline(Instant);

impl Deadline {
    fn new() -> Self {
        Self(Instant::now() + DEADLINE)
    }

    async fn pause(&self) {
        assert!(Instant::now() < self.0, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn members(api: SocketAddr, key: &str) -> Vec<Json> {
    let answer = ask(api, "GET", &format!("{BASE}/rooms/support-1/members"), Some(key), "").await;
    if answer.status == 404 { Vec::new() } else { answer.json()["items"].as_array().unwrap().clone() }
}

impl Stage {
    async fn ask(&self, method: &str, path: &str, key: &str, body: Json) -> common::Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(self.api, method, &format!("{BASE}/rooms/support-1{path}"), Some(key), &body).await
    }

    /// Who hears whom, by role: "customer<agent" is a customer that hears the agent.
    async fn hearing(&self, at: Option<&str>) -> Vec<String> {
        let path = at.map_or("/hearing".to_owned(), |at| format!("/hearing?at={at}"));
        let matrix = self.ask("GET", &path, &self.key, Json::Null).await.json();
        let rows = matrix["rows"].as_array().unwrap_or_else(|| panic!("{matrix}"));
        let role_of = |number: &Json| {
            let row = rows.iter().find(|row| row["listener"] == *number);
            row.map_or("?", |row| row["role"].as_str().unwrap()).to_owned()
        };
        let mut pairs: Vec<String> = rows
            .iter()
            .flat_map(|row| {
                row["hears"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|heard| format!("{}<{}", role_of(&row["listener"]), role_of(heard)))
            })
            .collect();
        pairs.sort();
        pairs
    }

    async fn number(&self, role: &str) -> i64 {
        let all = members(self.api, &self.key).await;
        all.iter().find(|member| member["role"] == role).unwrap()["member"].as_i64().unwrap()
    }
}

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
    assert_eq!(stage.ask("PUT", &mode, &team, json!({ "mode": "whisper" })).await.status, 200);
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

//! A live room: a customer, an agent and a supervisor on real phones, and the program that puts them there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aside::api::BASE;
use aside::config;
use aside::serve::Server;
use axum::http::header;
use axum::routing::any;
use phone::{Call, CallOptions, Phone, PhoneConfig};
use serde_json::{Value as Json, json};

use super::{Answer, DEADLINE, Directory, ask};

/// A program that puts every caller into the room "support-1", in the role that it dialled.
async fn program() -> SocketAddr {
    let answer = async |uri: axum::http::Uri| {
        let role = uri.path().trim_start_matches('/').to_owned();
        let body = format!(
            "<Response><MultiPartyCall role=\"{role}\" coachMode=\"true\" stayAlone=\"true\" maxParticipants=\"6\">support-1</MultiPartyCall></Response>"
        );
        ([(header::CONTENT_TYPE, "application/xml")], body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(any(answer))).await });
    address
}

/// The room "support-1" and who is in it.
pub struct Stage {
    pub server: Server,
    pub api: SocketAddr,
    pub sip: SocketAddr,
    pub key: String,
    /// Customer, agent, supervisor, in the order in which they called.
    pub calls: Vec<Call>,
    _phones: Vec<Phone>,
    _directory: Directory,
}

pub async fn post(api: SocketAddr, key: &str, path: &str, body: Json) -> Json {
    let answer = ask(api, "POST", &format!("{BASE}{path}"), Some(key), &body.to_string()).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text);
    answer.json()
}

pub async fn stage() -> Stage {
    stage_with("").await
}

/// With more lines under `[http]`.
pub async fn stage_with(more: &str) -> Stage {
    stage_as(|directory| directory.config(&format!("allow = [\"127.0.0.0/8\"]\n{more}"))).await
}

/// With this configuration.
pub async fn stage_as(text: impl FnOnce(&Directory) -> String) -> Stage {
    let program = program().await;
    let directory = Directory::new();
    let text = text(&directory);
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
    Stage { server, api, sip, key, calls, _phones: phones, _directory: directory }
}

/// Asks again until something is so, or the test fails.
pub struct Deadline(Instant);

impl Deadline {
    pub fn new() -> Self {
        Self(Instant::now() + DEADLINE)
    }

    pub async fn pause(&self) {
        assert!(Instant::now() < self.0, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn members(api: SocketAddr, key: &str) -> Vec<Json> {
    let answer = ask(api, "GET", &format!("{BASE}/rooms/support-1/members"), Some(key), "").await;
    if answer.status == 404 { Vec::new() } else { answer.json()["items"].as_array().unwrap().clone() }
}

impl Stage {
    pub async fn ask(&self, method: &str, path: &str, key: &str, body: Json) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(self.api, method, &format!("{BASE}/rooms/support-1{path}"), Some(key), &body).await
    }

    /// Who hears whom, by role: "customer<agent" is a customer that hears the agent.
    pub async fn hearing(&self, at: Option<&str>) -> Vec<String> {
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

    pub async fn number(&self, role: &str) -> i64 {
        let all = members(self.api, &self.key).await;
        all.iter().find(|member| member["role"] == role).unwrap()["member"].as_i64().unwrap()
    }
}

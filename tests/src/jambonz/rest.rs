//! The jambonz API by plain HTTP requests, as curl would make them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::SOON;

/// The API with one key, for one account.
#[derive(Debug, Clone)]
pub struct Rest {
    client: reqwest::Client,
    base: String,
    account: String,
    token: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Content-Type; empty if there is none.
    pub kind: String,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

impl Reply {
    /// The `msg` of a refusal; empty if there is none.
    pub fn msg(&self) -> &str {
        self.json.get("msg").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Rest {
    /// The API at `base` (which ends in `/v1`), for the account, with the key.
    pub fn new(base: &str, account: &str, token: &str) -> Self {
        Self {
            client: reqwest::Client::new(),
            base: base.to_owned(),
            account: account.to_owned(),
            token: token.to_owned(),
        }
    }

    /// The same with another key.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The same for another account's paths.
    pub fn of_account(&self, account: &str) -> Self {
        Self { account: account.to_owned(), ..self.clone() }
    }

    /// The account's UUID.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The key.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A path under the account.
    pub fn path(&self, rest: &str) -> String {
        format!("/Accounts/{}{rest}", self.account)
    }

    /// One request to a path under `/v1`.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let text = body.map(|body| body.to_string());
        self.send(method, path, text.as_deref(), Some("application/json")).await
    }

    /// One request with any body and content type.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<&str>, kind: Option<&str>) -> Reply {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base)).timeout(SOON);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(kind) = kind.filter(|_| body.is_some()) {
            request = request.header("content-type", kind);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: {error}"),
        };
        let status = answer.status().as_u16();
        let kind =
            answer.headers().get("content-type").map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
        let text = answer.text().await.unwrap_or_default();
        Reply { status, kind: kind.unwrap_or_default(), json: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    /// GET; the JSON of a 200.
    ///
    /// # Panics
    /// If the answer is another.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self.request(Method::GET, path, None).await;
        assert_eq!(reply.status, 200, "GET {path}: {reply:?}");
        reply.json
    }

    /// Creates something; its sid.
    ///
    /// # Panics
    /// If the answer is no 201 with a sid.
    pub async fn create(&self, path: &str, body: Value) -> String {
        let reply = self.request(Method::POST, path, Some(body.clone())).await;
        assert_eq!(reply.status, 201, "POST {path} {body}: {reply:?}");
        match reply.json.get("sid").and_then(Value::as_str) {
            Some(sid) => sid.to_owned(),
            None => panic!("POST {path}: no sid in {reply:?}"),
        }
    }

    /// An update of a live call.
    pub async fn try_update(&self, call_sid: &str, body: Value) -> Reply {
        self.request(Method::PUT, &self.path(&format!("/Calls/{call_sid}")), Some(body)).await
    }

    /// An update of a live call that must be accepted.
    ///
    /// # Panics
    /// If it is not.
    pub async fn update(&self, call_sid: &str, body: Value) {
        let reply = self.try_update(call_sid, body.clone()).await;
        assert_eq!(reply.status, 202, "update of {call_sid} by {body}: {reply:?}");
    }

    /// A participant action that must be accepted.
    pub async fn action(&self, call_sid: &str, action: Value) {
        self.update(call_sid, json!({ "conferenceParticipantAction": action })).await;
    }

    /// A path about a room.
    pub fn room(&self, name: &str, rest: &str) -> String {
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        self.path(&format!("/Conferences/{}{rest}", name.replace('+', "%20")))
    }

    /// A tap of a room.
    pub async fn tap(&self, room: &str, body: Value) -> Reply {
        self.request(Method::POST, &self.room(room, "/listen"), Some(body)).await
    }
}

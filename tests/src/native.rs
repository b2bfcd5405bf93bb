//! The native API as a program with a key uses it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::SOON;
use crate::server::{Account, Server};

/// The native API with one key.
#[derive(Debug, Clone)]
pub struct Native {
    client: reqwest::Client,
    base: String,
    key: String,
}

impl Native {
    /// The API of a server, with the account's key.
    pub fn of(server: &Server, account: &Account) -> Self {
        Self { client: reqwest::Client::new(), base: server.url("/api/v1"), key: account.key.clone() }
    }

    /// One request; status and body (null if there is none).
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request =
            self.client.request(method.clone(), format!("{}{path}", self.base)).timeout(SOON).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or_default()),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// GET; the body of a 200.
    ///
    /// # Panics
    /// If the answer is another.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.request(Method::GET, path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// POST; the body of a 2xx.
    ///
    /// # Panics
    /// If the answer is another.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.request(Method::POST, path, Some(body.clone())).await;
        assert!((200..300).contains(&status), "POST {path} {body}: {status} {answer}");
        answer
    }

    /// DELETE; it must be 2xx.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn delete(&self, path: &str) {
        let (status, answer) = self.request(Method::DELETE, path, None).await;
        assert!((200..300).contains(&status), "DELETE {path}: {status} {answer}");
    }

    /// A command whose answer means that the sound has changed.
    ///
    /// # Panics
    /// If it was refused or only put off.
    pub async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.request(method.clone(), path, body.clone()).await;
        assert!(status == 200 && answer["confirmed"] == true, "{method} {path} {body:?}: {status} {answer}");
        answer
    }

    /// Changes a member.
    pub async fn change(&self, room: &str, member: &str, patch: Value) -> Value {
        self.done(Method::PATCH, &format!("/rooms/{room}/members/{member}"), Some(patch)).await
    }

    /// Puts a supervisor into a mode.
    pub async fn mode(&self, room: &str, member: &str, mode: &str) -> Value {
        self.done(Method::PUT, &format!("/rooms/{room}/members/{member}/mode"), Some(json!({ "mode": mode }))).await
    }
}

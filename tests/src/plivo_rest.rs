//! The Plivo API by plain HTTP requests, for what official libraries would not send.

use reqwest::Method;
use serde_json::Value;

use crate::SOON;
use crate::server::{Account, Server};

/// The Plivo API as one account sees it.
#[derive(Debug, Clone)]
pub struct PlivoRest {
    client: reqwest::Client,
    base: String,
    account: Account,
}

impl PlivoRest {
    /// The API of a server.
    pub fn of(server: &Server, account: &Account) -> Self {
        let base = server.url(&format!("/v1/Account/{}", account.auth_id));
        Self { client: reqwest::Client::new(), base, account: account.clone() }
    }

    /// One request; status and body (null if there is none).
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base)).timeout(SOON);
        request = request.basic_auth(&self.account.auth_id, Some(&self.account.auth_token));
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

    /// DELETE; it must be 204.
    ///
    /// # Panics
    /// If the answer is another.
    pub async fn delete(&self, path: &str) {
        let (status, body) = self.request(Method::DELETE, path, None).await;
        assert_eq!(status, 204, "DELETE {path}: {body}");
    }
}

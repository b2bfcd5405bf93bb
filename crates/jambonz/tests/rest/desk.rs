//! A REST interface to ask.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use call::carriers::Claim;
use call::http::{Http, HttpPolicy, Network};
use jambonz::rest::{Api, Control, RATE, Rate, Signalling, router};
use serde_json::{Value as Json, json};
use store::{Account, AccountId, BearerKey, Store, StoreConfig, StoreError, Timestamp, Trunk};
use tower::ServiceExt;

use crate::fake::Paper;

/// The carrier of an account that is none of the two.
pub const THEIR_CARRIER: &str = "theirs.carrier.test";

/// What signalling was told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<String>>);

#[async_trait]
impl Signalling for Told {
    async fn registrations_over(&self, account: AccountId, endpoint: Option<&str>) {
        self.0.lock().unwrap().push(format!("registrations {account} {}", endpoint.unwrap_or("*")));
    }

    async fn trunks_changed(&self) {
        self.0.lock().unwrap().push("trunks".to_owned());
    }

    async fn claim(&self, trunk: &Trunk) -> Result<Claim, StoreError> {
        Ok(if trunk.host.as_deref() == Some(THEIR_CARRIER) { Claim::Anothers } else { Claim::Free })
    }
}

/// Two accounts, and a key for each; and the operator's key.
pub struct Desk {
    pub router: Router,
    pub store: Store,
    pub told: Arc<Told>,
    pub paper: Arc<Paper>,
    pub account: Account,
    pub other: Account,
    pub key: String,
    pub others_key: String,
    pub operator: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub status: u16,
    pub kind: String,
    pub text: String,
}

impl Said {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The refusal in words.
    pub fn msg(&self) -> String {
        let json = self.json();
        assert_eq!(json.as_object().map(|object| object.len()), Some(1), "{self:?}");
        json["msg"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

pub fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

impl Desk {
    pub async fn open() -> Self {
        Self::with_rate(RATE).await
    }

    pub async fn with_rate(rate: Rate) -> Self {
        let store = Store::open_temporary(StoreConfig::default()).unwrap();
        let told = Arc::new(Told::default());
        let shared = vec!["phone.plivo.com".to_owned()];
        let paper = Arc::new(Paper::default());
        let loopback =
            HttpPolicy { allowed: Network::parse("127.0.0.0/8").into_iter().collect(), ..HttpPolicy::default() };
        let control = Arc::clone(&paper) as Arc<dyn Control>;
        let signalling = Arc::clone(&told) as Arc<dyn Signalling>;
        let api = Api::new(control, store.clone(), Http::new(loopback), signalling, shared, rate);
        let account = Account::new("ours", Some("ours.sip.test".to_owned()), now());
        let other = Account::new("theirs", Some("theirs.sip.test".to_owned()), now());
        let mut keys = Vec::new();
        let mut batch = store.batch().put_account(account.clone()).put_account(other.clone());
        for whose in [Some(account.id), Some(other.id), None] {
            let (key, token) = BearerKey::generate(whose, now());
            batch = batch.put_bearer_key(key);
            keys.push(token.reveal().to_owned());
        }
        batch.commit().await.unwrap();
        let [key, others_key, operator] = <[String; 3]>::try_from(keys).unwrap();
        Self { router: router(Arc::new(api)), store, told, paper, account, other, key, others_key, operator }
    }

    pub fn sid(&self) -> String {
        self.account.id.to_string()
    }

    /// Asks with a key, and a body where it is not null.
    pub async fn ask_as(&self, key: &str, method: &str, path: &str, body: Json) -> Said {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(Some(&format!("Bearer {key}")), method, path, text).await
    }

    pub async fn ask(&self, method: &str, path: &str, body: Json) -> Said {
        self.ask_as(&self.key, method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Said {
        self.ask("GET", path, Json::Null).await
    }

    /// Makes something and returns its sid.
    pub async fn make(&self, path: &str, body: Json) -> String {
        let said = self.ask("POST", path, body).await;
        assert_eq!(said.status, 201, "{said:?}");
        said.json()["sid"].as_str().unwrap().to_owned()
    }

    pub async fn send(&self, authorization: Option<&str>, method: &str, path: &str, body: String) -> Said {
        let mut request = Request::builder().method(method).uri(format!("/v1{path}")).header("Host", "aside.test");
        // The official client says so with every request, whatever is in it.
        request = request.header("Content-Type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = tokio::time::timeout(Duration::from_secs(30), self.router.clone().oneshot(request));
        let response = response.await.expect("in time").unwrap();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let text = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Said { status, kind: kind.unwrap_or_default(), text: String::from_utf8(text.to_vec()).unwrap() }
    }

    pub fn application(&self, name: &str) -> Json {
        json!({
            "name": name,
            "account_sid": self.sid(),
            "call_hook": { "url": "https://app.test/calls", "method": "POST" },
            "call_status_hook": { "url": "https://app.test/status", "method": "POST" },
        })
    }
}

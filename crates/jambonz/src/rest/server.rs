//! The interface itself: who asks, how often, and for what.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use call::carriers::Claim;
use call::http::Http;
use call::rate::{Limiter, Rate, Taken};
use percent_encoding::percent_decode_str;
use store::{Account, AccountId, BearerKey, Store, StoreError, Timestamp, Trunk};

use super::answer::{Answer, Result};
use super::asked::{Asked, Scope, Who};
use super::control::Control;
use super::limit;
use super::{accounts, api_keys, applications, carriers, clients, discovery, gateways, numbers};
use crate::json::{Object, Value, parse};

/// Largest request body, in bytes.
const LARGEST_BODY: usize = 256 * 1024;

/// What must happen at once when something is provisioned.
#[async_trait]
pub trait Signalling: Send + Sync + 'static {
    /// Registrations of this endpoint, or of all of the account's, count no more.
    async fn registrations_over(&self, account: AccountId, endpoint: Option<&str>);
    /// Trunks were changed.
    async fn trunks_changed(&self);
    /// Whose the carrier of this trunk is.
    async fn claim(&self, trunk: &Trunk) -> std::result::Result<Claim, StoreError>;
}

/// What the REST interface works with.
pub struct Api {
    pub(super) control: Arc<dyn Control>,
    pub(super) store: Store,
    /// Asks programs for their variables.
    pub(super) http: Http,
    pub(super) signalling: Arc<dyn Signalling>,
    /// SIP domains that all accounts share.
    pub(super) shared_domains: Vec<String>,
    limiter: Limiter,
}

impl Api {
    /// An interface to these calls and this database. `http` asks only servers that programs may name; `shared_domains` are
    /// the SIP domains of all accounts.
    pub fn new(
        control: Arc<dyn Control>,
        store: Store,
        http: Http,
        signalling: Arc<dyn Signalling>,
        shared_domains: Vec<String>,
        rate: Rate,
    ) -> Self {
        Self { control, store, http, signalling, shared_domains, limiter: Limiter::new(rate) }
    }

    /// Requests that were refused because their account had asked too often.
    pub fn refused_requests(&self) -> u64 {
        self.limiter.refused()
    }

    /// Where an account's endpoints may register: its own realm, and those that all accounts share.
    pub(super) fn domains_of(&self, account: &Account) -> Vec<String> {
        account.sip_realm.iter().chain(&self.shared_domains).cloned().collect()
    }
}

/// What paths begin with, behind `/v1/`.
const KINDS: [&str; 8] =
    ["Accounts", "ApiKeys", "AppEnv", "Applications", "Clients", "PhoneNumbers", "SipGateways", "VoipCarriers"];

/// The routes, with and without a slash at the end. They never redirect.
pub fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for kind in KINDS {
        router = router
            .route(&format!("/v1/{kind}"), any(handle))
            .route(&format!("/v1/{kind}/"), any(handle))
            .route(&format!("/v1/{kind}/{{*rest}}"), any(handle));
    }
    router.layer(DefaultBodyLimit::disable()).with_state(api)
}

/// The system's time now.
pub(super) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (key, who) = match admitted(&api, &head.headers).await {
        Ok(admitted) => admitted,
        Err(answer) => return answer.response(),
    };
    let bucket = key.account.map_or_else(|| "operator".to_owned(), |account| account.to_string());
    let taken = api.limiter.take(&bucket, Instant::now());
    if !taken.allowed {
        let words = "too many requests for this account; ask again after the time in Retry-After";
        return told(Answer::refused(StatusCode::TOO_MANY_REQUESTS, words), taken);
    }
    let asked = match understood(&head, key, who, body).await {
        Ok(asked) => asked,
        Err(answer) => return told(answer, taken),
    };
    if asked.method == Method::GET {
        return told(worked(&api, asked).await, taken);
    }
    // The work is a task of its own: a connection that closes does not stop it half way.
    let answer = tokio::spawn(async move { worked(&api, asked).await }).await.unwrap_or_else(|_| {
        let words = "the request broke off inside the server; look at what is there before you ask again";
        Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, words)
    });
    told(answer, taken)
}

fn told(answer: Answer, taken: Taken) -> Response {
    let mut response = answer.response();
    limit::tell(taken, response.headers_mut());
    response
}

async fn worked(api: &Api, asked: Asked) -> Answer {
    dispatch(api, &asked).await.unwrap_or_else(|refusal| refusal)
}

/// Whose key it is that the request bears.
async fn admitted(api: &Api, headers: &HeaderMap) -> Result<(BearerKey, Who)> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token.len() <= 256)
        .map(|(_, token)| token.trim())
        .ok_or_else(Answer::unauthorized)?;
    let at = now();
    let key = api.store.authenticate_bearer_key(token, at).await?.ok_or_else(Answer::unauthorized)?;
    let who = match key.account {
        None => Who::Operator,
        Some(account) => {
            Who::Account(Box::new(super::asked::main(&api.store, account).await?.ok_or_else(Answer::unauthorized)?))
        }
    };
    if key.needs_touch(at) {
        // Not awaited: it is done all the same, and nobody needs to know when.
        drop(api.store.batch().touch_bearer_key(key.sid, at).commit());
    }
    Ok((key, who))
}

async fn understood(head: &Parts, key: BearerKey, who: Who, body: Body) -> Result<Asked> {
    let (method, uri) = (&head.method, &head.uri);
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let mut path = Vec::new();
    for segment in uri.path().split('/').skip(2).filter(|segment| !segment.is_empty()) {
        let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| Answer::bad("Bad request"))?;
        path.push(decoded.into_owned());
    }
    let query = uri.query().unwrap_or_default();
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().take(100).collect();
    let Ok(bytes) = to_bytes(body, LARGEST_BODY).await else {
        let words = format!("the body could not be read or is larger than {LARGEST_BODY} bytes");
        return Err(Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, words));
    };
    let reads_body = matches!(*method, Method::POST | Method::PUT);
    // Clients say that they send JSON and then send nothing.
    let body = if !reads_body || bytes.trim_ascii().is_empty() {
        Value::Object(Object::new())
    } else {
        parse(&bytes).map_err(|error| Answer::bad(format!("the body is not JSON: {error}")))?
    };
    Ok(Asked { who, key, method: method.clone(), host, path, query, body })
}

async fn dispatch(api: &Api, asked: &Asked) -> Result {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let (kind, rest) = path.split_first().ok_or_else(Answer::not_found)?;
    match *kind {
        "Accounts" => accounts::dispatch(api, asked, rest).await,
        "AppEnv" => discovery::dispatch(api, asked, rest).await,
        kind => {
            let scope = Scope::of_key(asked, &api.store).await?;
            provisioning(api, asked, &scope, kind, rest).await
        }
    }
}

/// The kinds of things that are both under `/v1/` and under an account's path.
pub(super) async fn provisioning(api: &Api, asked: &Asked, scope: &Scope, kind: &str, rest: &[&str]) -> Result {
    match kind {
        "ApiKeys" => api_keys::dispatch(api, asked, scope, rest).await,
        "Applications" => applications::dispatch(api, asked, scope, rest).await,
        "Clients" => clients::dispatch(api, asked, scope, rest).await,
        "PhoneNumbers" => numbers::dispatch(api, asked, scope, rest).await,
        "SipGateways" => gateways::dispatch(api, asked, scope, rest).await,
        "VoipCarriers" => carriers::dispatch(api, asked, scope, rest).await,
        _ => Err(Answer::not_found()),
    }
}

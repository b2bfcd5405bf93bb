//! REST: `/v1/Account/{auth_id}/…` as Plivo's SDKs ask it.

mod add;
mod answer;
mod call;
mod input;
mod object;
mod page;
mod participant;
mod replay;
mod room;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::call::command::{AccountRef, Asker};
use ::call::rate::Limiter;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::connection::Connection;
use crate::control::Control;
use crate::records::{Identity, Records};
use crate::settings::{MOST_PARTICIPANTS, most_participants};
use crate::value::Fields;
use answer::Answer;
use replay::{Key, Replays, Turn, response};

pub(crate) use replay::Handover;

pub use ::call::rate::Rate;

/// Plivo's: 300 in 5 s.
pub const RATE: Rate = Rate { burst: 300, window: Duration::from_secs(5) };

/// Largest request body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// What the REST interface works with.
pub struct Api {
    control: Arc<dyn Control>,
    records: Arc<dyn Records>,
    limiter: Limiter,
    replays: Replays,
    most_participants: u64,
}

impl Api {
    /// An interface to these rooms and records.
    pub fn new(control: Arc<dyn Control>, records: Arc<dyn Records>, rate: Rate) -> Self {
        Self {
            control,
            records,
            limiter: Limiter::new(rate),
            replays: Replays::default(),
            most_participants: MOST_PARTICIPANTS,
        }
    }

    /// The interface of a server that has at most so many members in a room, which is what may be asked for.
    #[must_use]
    pub fn with_rooms_of(self, members: usize) -> Self {
        Self { most_participants: most_participants(members), ..self }
    }

    /// Requests that were refused because their account had asked too often.
    pub fn refused_requests(&self) -> u64 {
        self.limiter.refused()
    }

    /// Requests that were worked on without protection against repetition, because too many were remembered.
    pub fn unprotected_requests(&self) -> u64 {
        self.replays.unprotected()
    }
}

/// The routes. They never redirect; a trailing slash is optional.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/Account/{auth_id}", any(handle))
        .route("/v1/Account/{auth_id}/", any(handle))
        .route("/v1/Account/{auth_id}/{*rest}", any(handle))
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

/// The answer to a path that nobody serves, for the fallback of the router this one is merged into: SDKs fail on errors that are not JSON.
pub async fn not_found() -> Response {
    response(Answer::not_found("there is nothing here; paths begin with /v1/Account/{auth_id}/"), None)
}

/// On whose behalf a request is.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub account: AccountRef,
    pub main_auth_id: String,
}

impl Scope {
    /// Whether something of this (sub-)account is its to see: a main account sees everything of its own.
    pub fn sees(&self, auth_id: &str) -> bool {
        self.is_main() || self.account.auth_id == auth_id
    }

    pub fn is_main(&self) -> bool {
        self.account.auth_id == self.main_auth_id
    }

    pub fn asker(&self) -> Asker {
        Asker { kind: store::ActorKind::Account, id: self.account.auth_id.clone() }
    }

    /// The beginning of all its URIs.
    pub fn base(&self) -> String {
        format!("/v1/Account/{}", self.account.auth_id)
    }
}

/// A request that may be worked on.
pub(crate) struct Asked {
    pub scope: Scope,
    pub method: Method,
    pub segments: Vec<String>,
    pub fields: Fields,
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let connection = head.extensions.get::<Connection>().cloned();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let mut segments = Vec::new();
    for segment in head.uri.path().split('/').skip(3).filter(|segment| !segment.is_empty()) {
        match input::decode_segment(segment) {
            Some(segment) => segments.push(segment),
            None => return response(Answer::bad_request("the path is not UTF-8"), None),
        }
    }
    let scope = match admitted(&api, &head.headers, segments.first().map_or("", String::as_str)).await {
        Ok(scope) => scope,
        Err(answer) => return response(answer, None),
    };
    let Some(body) = read(body).await else {
        let words = format!("the body could not be read or is larger than {LARGEST_BODY} bytes");
        return response(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, words), None);
    };
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fields = match input::fields(&head.method, head.uri.query().unwrap_or_default(), content_type, &body) {
        Ok(fields) => fields,
        Err(answer) => return response(answer, None),
    };
    let segments = segments.into_iter().skip(1).collect();
    let asked = Asked { scope, method: head.method, segments, fields };
    if asked.method == Method::GET {
        return response(worked(dispatch(api, asked).await), None);
    }
    let key = Key::new(&asked.scope.account.auth_id, asked.method.as_str(), target.trim_end_matches('/'), &body);
    let waiting = match api.replays.turn(key, Instant::now()) {
        Turn::Again(waiting) => waiting,
        // The work is a task of its own: a connection that closes does not stop it half way.
        Turn::First(sender, waiting) => {
            let replays = api.replays.clone();
            tokio::spawn(async move {
                let answer = worked(dispatch(api, asked).await);
                sender.send_replace(Some(answer));
                replays.worked(key, Instant::now());
            });
            waiting
        }
        Turn::Unprotected => {
            let answer = tokio::spawn(async move { worked(dispatch(api, asked).await) }).await;
            return response(answer.unwrap_or_else(|_| broken_off()), None);
        }
    };
    let (answer, handover) = waiting.answer().await;
    response(answer.unwrap_or_else(broken_off), Some((handover, connection)))
}

fn worked(result: Result<Answer, Answer>) -> Answer {
    result.unwrap_or_else(|answer| answer)
}

/// Not a 5xx: SDKs would repeat what may have been done.
fn broken_off() -> Answer {
    Answer::error(
        StatusCode::CONFLICT,
        "the request broke off inside the server; look at what is there before you ask again",
    )
}

async fn read(body: Body) -> Option<bytes::Bytes> {
    to_bytes(body, LARGEST_BODY).await.ok()
}

/// Who asks, if he may.
async fn admitted(api: &Api, headers: &HeaderMap, path_auth_id: &str) -> Result<Scope, Answer> {
    let refused = || {
        Answer::error(
            StatusCode::UNAUTHORIZED,
            "these credentials are not known; use HTTP Basic with an enabled account's auth id and auth token",
        )
    };
    let (auth_id, auth_token) = credentials(headers).ok_or_else(refused)?;
    let identity = api.records.authenticate(&auth_id, &auth_token).await?.ok_or_else(refused)?;
    let taken = api.limiter.take(&identity.account, Instant::now());
    if !taken.allowed {
        let seconds = taken.reset.as_secs().saturating_add(1);
        return Err(Answer::too_many(
            seconds,
            "too many requests for this account; ask again after the time in Retry-After",
        ));
    }
    let auth_id = acting(api, &identity, path_auth_id).await?;
    Ok(Scope { account: AccountRef { id: identity.account, auth_id }, main_auth_id: identity.main_auth_id })
}

/// An account acts under its own path, a main account also under its sub-accounts'.
async fn acting(api: &Api, identity: &Identity, path_auth_id: &str) -> Result<String, Answer> {
    let allowed = identity.auth_id == path_auth_id
        || (identity.is_main() && api.records.has_sub_account(&identity.account, path_auth_id).await?);
    if allowed { Ok(path_auth_id.to_owned()) } else { Err(Answer::not_found("no such account for these credentials")) }
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok().filter(|value| value.len() <= 1024)?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(id, token)| (id.to_owned(), token.to_owned()))
}

async fn dispatch(api: Arc<Api>, asked: Asked) -> Result<Answer, Answer> {
    if let Some(field) = asked.fields.get("callbackurl") {
        let words =
            format!("parameter {} asks for an asynchronous answer, which is not supported; leave it out", field.name);
        return Err(Answer::bad_request(words));
    }
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["MultiPartyCall", rest @ ..] => room::dispatch(&api, &asked, rest).await,
        ["Call", rest @ ..] => call::dispatch(&api, &asked, rest).await,
        [] => Err(Answer::not_found(
            "the Account resource is not offered; accounts are managed by the server's own interface",
        )),
        [other, ..] => Err(Answer::not_found(format!("the resource {other:?} is not offered; see the support table"))),
    }
}

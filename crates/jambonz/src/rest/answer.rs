//! Answers of the REST interface: bare JSON, `{"msg"}` for refusals, the status in words for 401 and 404.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use store::StoreError;

use super::BadRequest;
use crate::fault::Fault;
use crate::json::{Object, Value};

/// What is answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    body: Option<Content>,
}

#[derive(Clone, Debug)]
enum Content {
    Json(String),
    Text(&'static str),
    Words(String),
}

/// What is done, or why it is not: both are answers.
pub(super) type Result<T = Answer> = std::result::Result<T, Answer>;

impl Answer {
    pub fn ok(body: impl Into<Value>) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub fn json(status: StatusCode, body: impl Into<Value>) -> Self {
        let body: Value = body.into();
        Self { status, body: Some(Content::Json(body.to_string())) }
    }

    /// Something was made.
    pub fn created(sid: impl ToString) -> Self {
        let mut body = Object::new();
        body.set("sid", sid.to_string());
        Self::json(StatusCode::CREATED, body)
    }

    /// It was changed, or is gone.
    pub fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }

    /// A live call was changed.
    pub fn accepted() -> Self {
        Self { status: StatusCode::ACCEPTED, body: Some(Content::Text("Accepted")) }
    }

    pub fn refused(status: StatusCode, message: impl Into<String>) -> Self {
        let mut body = Object::new();
        body.set("msg", message.into());
        Self::json(status, body)
    }

    pub fn bad(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, message)
    }

    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// For a call that is over, or not far enough, the vendor answers in words.
    pub fn unprocessable_words(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, body: Some(Content::Words(message.into())) }
    }

    pub fn forbidden() -> Self {
        Self::refused(StatusCode::FORBIDDEN, "insufficient permissions")
    }

    pub fn unauthorized() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, body: Some(Content::Text("Unauthorized")) }
    }

    pub fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, body: Some(Content::Text("Not Found")) }
    }

    pub fn response(self) -> Response {
        let (kind, body) = match self.body {
            None => (None, Body::empty()),
            Some(Content::Json(text)) => (Some("application/json; charset=utf-8"), Body::from(text)),
            Some(Content::Text(text)) => (Some("text/plain; charset=utf-8"), Body::from(text)),
            Some(Content::Words(text)) => (Some("text/plain; charset=utf-8"), Body::from(text)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl From<BadRequest> for Answer {
    fn from(error: BadRequest) -> Self {
        Self::bad(error.0)
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::bad(fault.to_string())
    }
}

impl From<StoreError> for Answer {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NotFound { .. } => return Self::not_found(),
            StoreError::Invalid { .. } | StoreError::MissingReference { .. } => StatusCode::BAD_REQUEST,
            StoreError::Conflict { .. } | StoreError::InUse { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            StoreError::Busy { .. } | StoreError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => {
                tracing::error!(%error, "a request of the jambonz REST interface failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::refused(status, error.to_string())
    }
}

//! Answers: always JSON, errors always as `{api_id, error}`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use call::command::CommandError;
use serde_json::{Map, Value, json};

use crate::records::RecordsError;
use crate::value::Fault;

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
    /// Seconds to wait, for 429.
    pub retry_after: Option<u64>,
    /// Methods that are allowed, for 405.
    pub allow: Option<&'static str>,
}

fn api_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl Answer {
    /// Fields with an `api_id`.
    pub fn object(status: StatusCode, mut fields: Map<String, Value>) -> Self {
        fields.insert("api_id".to_owned(), Value::String(api_id()));
        Self { status, body: Bytes::from(Value::Object(fields).to_string()), retry_after: None, allow: None }
    }

    /// As [`Answer::object`], for a value written with `json!`.
    pub fn json(status: StatusCode, fields: Value) -> Self {
        match fields {
            Value::Object(fields) => Self::object(status, fields),
            other => Self::object(status, Map::from_iter([("message".to_owned(), other)])),
        }
    }

    /// Done, with nothing to say. Some SDKs accept nothing else for DELETE.
    pub fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Bytes::new(), retry_after: None, allow: None }
    }

    /// An error in words.
    pub fn error(status: StatusCode, error: impl Into<String>) -> Self {
        Self::json(status, json!({ "error": error.into() }))
    }

    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, error)
    }

    pub fn not_found(error: impl Into<String>) -> Self {
        Self::error(StatusCode::NOT_FOUND, error)
    }

    /// The resource is there, the method is not.
    pub fn not_allowed(allow: &'static str, error: impl Into<String>) -> Self {
        Self { allow: Some(allow), ..Self::error(StatusCode::METHOD_NOT_ALLOWED, error) }
    }

    /// Later.
    pub fn too_many(seconds: u64, error: impl Into<String>) -> Self {
        Self { retry_after: Some(seconds), ..Self::error(StatusCode::TOO_MANY_REQUESTS, error) }
    }

    /// All of it but the body.
    pub fn head(&self) -> axum::http::response::Builder {
        let mut builder = Response::builder().status(self.status);
        if !self.body.is_empty() {
            builder = builder.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(seconds) = self.retry_after {
            builder = builder.header(header::RETRY_AFTER, seconds);
        }
        if let Some(allow) = self.allow {
            builder = builder.header(header::ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            builder = builder.header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"api\""));
        }
        builder
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::bad_request(if fault.value.is_empty() {
            format!("parameter {} is missing; {}", fault.name, fault.remedy)
        } else {
            format!("parameter {} is {:?}; {}", fault.name, fault.value, fault.remedy)
        })
    }
}

impl From<CommandError> for Answer {
    fn from(error: CommandError) -> Self {
        let words = error.to_string();
        match error {
            CommandError::NotFound { .. } => Self::not_found(words),
            CommandError::Conflict(_) => Self::error(StatusCode::CONFLICT, words),
            CommandError::Invalid(_) => Self::bad_request(words),
            CommandError::Forbidden(_) => Self::error(StatusCode::FORBIDDEN, words),
            CommandError::Busy(_) | CommandError::OverLimit { .. } => Self::too_many(1, words),
            CommandError::Unavailable(_) => Self::error(StatusCode::SERVICE_UNAVAILABLE, words),
            // Nothing has changed: the SDKs' two further attempts do no harm.
            CommandError::Failed(_) => Self::error(StatusCode::INTERNAL_SERVER_ERROR, words),
        }
    }
}

impl From<RecordsError> for Answer {
    fn from(error: RecordsError) -> Self {
        tracing::error!(%error, "reading records for a request failed");
        Self::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the server could not read its records ({error}); see its log"),
        )
    }
}

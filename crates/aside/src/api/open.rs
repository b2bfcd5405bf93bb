//! What opens without a key: whoever asks has a token or a password, and is slowed down when he guesses.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::attempts::{Attempts, source_key};
use super::problem::Problem;
use crate::serve::source::Source;

/// Where a request without a key comes from.
pub struct Client {
    ip: Option<IpAddr>,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self { ip: parts.extensions.get::<Source>().map(|source| source.address.ip()) })
    }
}

impl Client {
    /// What attempts are counted under.
    pub fn key(&self) -> String {
        source_key(self.ip)
    }

    /// Takes an attempt of this source.
    ///
    /// # Errors
    /// 429: it has none left.
    pub fn take(&self, attempts: &Attempts) -> Result<(), Problem> {
        if attempts.take(&self.key(), Instant::now()) { Ok(()) } else { Err(too_often()) }
    }
}

/// 429.
pub fn too_often() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many attempts from this address; wait a minute")
}

//! Why a request got no usable answer, in words that hold no secrets.

use std::time::Duration;

use url::Url;

use super::policy::ForbiddenAddress;

/// Why a request got no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not an absolute http or https URL.
    #[error("{url:?} is not an absolute http or https URL")]
    BadUrl {
        /// What was given, as it may be [`shown`].
        url: String,
    },
    /// The URL leads to an address that programs may not reach.
    #[error("{host} leads to a private address ({address}); allow its network under [http] allow, if it is yours")]
    Forbidden {
        /// The host.
        host: String,
        /// The address.
        address: String,
    },
    /// No connection.
    #[error("no connection to {host}: {problem}")]
    Connect {
        /// The host.
        host: String,
        /// What happened.
        problem: String,
    },
    /// No answer in time.
    #[error("{host} did not answer within {} ms, time to connect included", .limit.as_millis())]
    Timeout {
        /// The host.
        host: String,
        /// For one attempt, from its begin to the last byte of the answer.
        limit: Duration,
    },
    /// Too many downloads.
    #[error("{host} was not read: other downloads of sounds took all the room for {} ms; use smaller files", .limit.as_millis())]
    Crowded {
        /// The host.
        host: String,
        /// The limit.
        limit: Duration,
    },
    /// An answer that is no success.
    #[error("{host} answered {status}")]
    Status {
        /// The host.
        host: String,
        /// The code.
        status: u16,
    },
    /// A redirect where none is followed, or too many.
    #[error("{host} redirects; give the URL that answers by itself")]
    Redirected {
        /// The host.
        host: String,
    },
    /// An answer that begins something else than a WebSocket (RFC 6455, section 4.1).
    #[error("{host} does not open a WebSocket: {problem}")]
    NoWebSocket {
        /// The host.
        host: String,
        /// What is wrong with its answer.
        problem: &'static str,
    },
    /// The answer is too long.
    #[error("the answer of {host} is over {limit} bytes")]
    TooLong {
        /// The host.
        host: String,
        /// The limit.
        limit: usize,
    },
}

/// A URL as logs, events and messages show it: scheme, host, port and path. User, password, query and fragment may hold
/// secrets.
pub fn shown(url: &str) -> String {
    const LONGEST: usize = 200;
    let text = match Url::parse(url) {
        Ok(parsed) if parsed.has_host() => {
            let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
            format!("{}://{}{port}{}", parsed.scheme(), parsed.host_str().unwrap_or_default(), parsed.path())
        }
        _ => {
            let bare = url.split(['?', '#']).next().unwrap_or_default();
            match (bare.split_once("://"), bare.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
                (None, Some((_, rest))) => rest.to_owned(),
                (_, None) => bare.to_owned(),
            }
        }
    };
    if text.chars().count() > LONGEST { text.chars().take(LONGEST).chain(['…']).collect() } else { text }
}

pub(crate) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// What became of a request that got no answer.
pub(super) fn describe(url: &Url, limit: Duration, error: reqwest::Error) -> HttpError {
    let host = host_of(url);
    // Its text would have the whole of it.
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut problem = error.to_string();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<ForbiddenAddress>() {
            return HttpError::Forbidden { host, address: refused.0.to_string() };
        }
        problem = inner.to_string();
        cause = inner.source();
    }
    if error.is_timeout() && !error.is_connect() {
        HttpError::Timeout { host, limit }
    } else {
        HttpError::Connect { host, problem }
    }
}

//! Where programs are asked, and how.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};

/// How a hook is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// By HTTP; parameters in the query.
    Get,
    /// By HTTP; parameters in the body.
    Post,
    /// Over a connection: an absolute URL is that of another application, anything else a name on the call's own connection.
    Link,
}

impl Method {
    /// `GET`, `POST` or `WS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Link => "WS",
        }
    }
}

/// Name and password of HTTP's basic authentication (RFC 7617).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BasicAuth {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BasicAuth").field("username", &self.username).finish_non_exhaustive()
    }
}

impl BasicAuth {
    /// The value of the `Authorization` header.
    pub fn header(&self) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

/// A hook: where to ask, and how. The URL may carry delivery options in its fragment; the dialect knows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fetch {
    /// Absolute URL; or, with [`Method::Link`], a name.
    pub url: String,
    /// Method.
    pub method: Method,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<BasicAuth>,
}

impl Fetch {
    /// A hook without credentials.
    pub fn new(url: impl Into<String>, method: Method) -> Self {
        Self { url: url.into(), method, auth: None }
    }

    /// Whether it is a name on the call's own connection.
    pub fn is_own_link(&self) -> bool {
        self.method == Method::Link && !self.url.contains("://")
    }
}

/// A program that is told how an instruction went, and may answer with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Where.
    pub to: Fetch,
    /// The program's name for the instruction.
    pub id: Option<String>,
}

impl From<Fetch> for Action {
    fn from(to: Fetch) -> Self {
        Self { to, id: None }
    }
}

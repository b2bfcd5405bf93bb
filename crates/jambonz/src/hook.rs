//! Hooks: where a program wants to be asked or told, and how that becomes an address.

pub use call::verb::BasicAuth;
/// How a hook is asked. By GET, nothing of the call is sent.
pub use call::verb::Method as HookMethod;
use serde::{Deserialize, Serialize};
use url::Url;

/// Longest URL that is accepted, in bytes.
pub const LONGEST_URL: usize = 4096;

/// A hook as a program wrote it: a text, or an object with `url`, `method`, and `username` with `password` (or both in
/// `basicAuth`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hook {
    /// Absolute URL, a path on the application's server, or the name of an event on its socket.
    pub url: String,
    /// The method, if the program said one; POST otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "method_word")]
    pub method: Option<HookMethod>,
    /// Credentials of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<BasicAuth>,
}

/// The method of a hook that this word names, in capitals.
pub(crate) fn method_of(word: &str) -> Option<HookMethod> {
    [HookMethod::Get, HookMethod::Post, HookMethod::Link].into_iter().find(|method| method.as_str() == word)
}

/// A hook's method in this dialect's words: `GET`, `POST`, `WS`.
mod method_word {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{HookMethod, method_of};

    pub fn serialize<S: Serializer>(method: &Option<HookMethod>, to: S) -> Result<S::Ok, S::Error> {
        method.map(HookMethod::as_str).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<HookMethod>, D::Error> {
        let word = Option::<String>::deserialize(from)?;
        let unknown = |word: &str| D::Error::unknown_variant(word, &["GET", "POST", "WS"]);
        word.map(|word| method_of(&word).ok_or_else(|| unknown(&word))).transpose()
    }
}

impl Hook {
    /// A hook that is a text.
    pub fn plain(url: impl Into<String>) -> Self {
        Self { url: url.into(), method: None, auth: None }
    }

    /// Where this hook of an application at `base` leads.
    ///
    /// # Errors
    /// See [`HookError`].
    pub fn resolve(&self, base: &Base) -> Result<Address, HookError> {
        let text = self.url.trim();
        if text.len() > LONGEST_URL || text.chars().any(char::is_control) {
            return Err(HookError::NotAUrl(quoted(text)));
        }
        let absolute = text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
        if !absolute && base.is_socket() {
            return Ok(Address::OwnSocket(text.to_owned()));
        }
        let url = base.url.join(text).map_err(|_| HookError::NotAUrl(quoted(text)))?;
        let auth = self.auth.clone().or_else(|| if absolute { None } else { base.auth.clone() });
        address(url, self.method.or(if absolute { None } else { base.method }), auth)
    }
}

/// Where an application is: what hooks without a host are relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    url: Url,
    method: Option<HookMethod>,
    auth: Option<BasicAuth>,
}

impl Base {
    /// The application that this hook, with an absolute URL, leads to.
    ///
    /// # Errors
    /// The URL is not absolute, or not of `http`, `https`, `ws` or `wss`.
    pub fn of(call_hook: &Hook) -> Result<Self, HookError> {
        let text = call_hook.url.trim();
        let url = Some(text)
            .filter(|text| text.len() <= LONGEST_URL)
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| url.host_str().is_some_and(|host| !host.is_empty()))
            .ok_or_else(|| HookError::NotAbsolute(quoted(text)))?;
        // Also checks the scheme.
        address(url.clone(), call_hook.method, None)?;
        Ok(Self { url, method: call_hook.method, auth: call_hook.auth.clone() })
    }

    /// Whether the application speaks by WebSocket.
    pub fn is_socket(&self) -> bool {
        self.method == Some(HookMethod::Link) || matches!(self.url.scheme(), "ws" | "wss")
    }

    /// Where sound is streamed to: an absolute `ws` or `wss` URL, or a path on the application's server.
    ///
    /// # Errors
    /// It is neither.
    pub fn stream(&self, url: &str) -> Result<Address, HookError> {
        let text = url.trim();
        if text.len() > LONGEST_URL || text.chars().any(char::is_control) {
            return Err(HookError::NotAUrl(quoted(text)));
        }
        let url = self.url.join(text).map_err(|_| HookError::NotAUrl(quoted(text)))?;
        address(url, Some(HookMethod::Link), None)
    }

    /// The address of the application itself.
    ///
    /// # Errors
    /// None in a base that [`Base::of`] made.
    pub fn address(&self) -> Result<Address, HookError> {
        address(self.url.clone(), self.method, self.auth.clone())
    }
}

/// Where a hook leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An event of this name on the socket of the call's application.
    OwnSocket(String),
    /// A request.
    Http {
        /// Absolute, without the fragment.
        url: String,
        /// Whether the method is GET.
        get: bool,
        /// Credentials.
        auth: Option<BasicAuth>,
        /// What its fragment says.
        retries: Retries,
    },
    /// Another application on a socket of its own.
    Socket {
        /// Absolute, `ws` or `wss`, without the fragment.
        url: String,
        /// Credentials.
        auth: Option<BasicAuth>,
        /// What its fragment says.
        retries: Retries,
    },
}

/// Further attempts that a URL asks for in its fragment: `#rc=3&rp=ct,5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How many, 0 to 5.
    pub count: u32,
    /// After a connection that could not be made.
    pub connect: bool,
    /// After an answer that did not come.
    pub timeout: bool,
    /// After a 4xx answer.
    pub status_4xx: bool,
    /// After a 5xx answer.
    pub status_5xx: bool,
}

impl Retries {
    fn of(fragment: Option<&str>) -> Self {
        let (mut count, mut policy) = (0, "ct".to_owned());
        for (key, value) in url::form_urlencoded::parse(fragment.unwrap_or_default().as_bytes()) {
            match &*key {
                "rc" => count = value.trim().parse().unwrap_or(0).min(5),
                "rp" => policy = value.to_ascii_lowercase(),
                _ => {}
            }
        }
        let has = |word: &str| policy.split(',').map(str::trim).any(|one| one == word || one == "all");
        Self { count, connect: has("ct"), timeout: has("rt"), status_4xx: has("4xx"), status_5xx: has("5xx") }
    }
}

/// Why a hook leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// No URL.
    #[error("{0:?} is no URL; write an absolute http, https, ws or wss URL of at most {LONGEST_URL} bytes, or a path")]
    NotAUrl(String),
    /// A URL without a host where one is needed.
    #[error("{0:?} is not absolute; write an http, https, ws or wss URL with a host")]
    NotAbsolute(String),
    /// A scheme that cannot be asked.
    #[error("{0:?} is of a scheme that cannot be asked; write an http, https, ws or wss URL")]
    Scheme(String),
}

fn address(mut url: Url, method: Option<HookMethod>, auth: Option<BasicAuth>) -> Result<Address, HookError> {
    let retries = Retries::of(url.fragment());
    url.set_fragment(None);
    let socket = match url.scheme() {
        "ws" | "wss" => true,
        "http" | "https" => method == Some(HookMethod::Link),
        _ => return Err(HookError::Scheme(quoted(url.as_str()))),
    };
    if !socket {
        return Ok(Address::Http { url: url.into(), get: method == Some(HookMethod::Get), auth, retries });
    }
    let text = url.as_str();
    let url = text.strip_prefix("http").map_or_else(|| text.to_owned(), |rest| format!("ws{rest}"));
    Ok(Address::Socket { url, auth, retries })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The start of a URL, without credentials and query.
fn quoted(text: &str) -> String {
    call::http::shown(text).chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Base {
        let auth = Some(BasicAuth { username: "u".to_owned(), password: "p".to_owned() });
        Base::of(&Hook { url: url.to_owned(), method: None, auth }).unwrap()
    }

    fn http(address: Address) -> (String, bool, bool) {
        match address {
            Address::Http { url, get, auth, .. } => (url, get, auth.is_some()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_path_is_asked_at_the_applications_server_with_its_credentials() {
        let resolved =
            |hook: &str| http(Hook::plain(hook).resolve(&base("https://app.example.com:8443/calls/new")).unwrap());
        assert_eq!(resolved("/done"), ("https://app.example.com:8443/done".to_owned(), false, true));
        assert_eq!(resolved("done?x=1"), ("https://app.example.com:8443/calls/done?x=1".to_owned(), false, true));
        assert_eq!(resolved("http://b.example.com/x"), ("http://b.example.com/x".to_owned(), false, false));
    }

    #[test]
    fn on_a_socket_whatever_has_no_host_is_the_name_of_an_event() {
        let base = base("wss://app.example.com/ws");
        for name in ["/done", "done", "queue:done"] {
            assert_eq!(Hook::plain(name).resolve(&base), Ok(Address::OwnSocket(name.to_owned())));
        }
        assert!(matches!(Hook::plain("https://b.example.com/").resolve(&base), Ok(Address::Http { .. })));
        assert!(matches!(Hook::plain("ws://b.example.com/").resolve(&base), Ok(Address::Socket { .. })));
        assert!(matches!(Hook::plain("ftp://b.example.com/").resolve(&base), Err(HookError::Scheme(_))));
    }

    #[test]
    fn the_method_ws_makes_a_web_url_a_socket() {
        let hook = Hook { url: "https://a.example.com/x".to_owned(), method: Some(HookMethod::Link), auth: None };
        let base = Base::of(&hook).unwrap();
        assert!(base.is_socket());
        assert!(matches!(base.address(), Ok(Address::Socket { url, .. }) if url == "wss://a.example.com/x"));
    }

    #[test]
    fn sound_goes_to_a_path_of_the_applications_server_or_to_a_socket_anywhere() {
        for (base_url, url, expected) in [
            ("https://app.example.com/x", "/audio", "wss://app.example.com/audio"),
            ("ws://app.example.com:3000/x", "/audio", "ws://app.example.com:3000/audio"),
            ("https://app.example.com/x", "ws://b.example.com/y", "ws://b.example.com/y"),
        ] {
            assert!(matches!(base(base_url).stream(url), Ok(Address::Socket { url, .. }) if url == expected), "{url}");
        }
        assert!(base("https://app.example.com").stream("file:///etc/passwd").is_err());
    }

    #[test]
    fn the_fragment_says_how_often_to_try_and_is_not_sent() {
        let hook = Hook::plain("https://a.example.com/x#rc=9&rp=5xx,rt");
        let Ok(Address::Http { url, retries, .. }) = hook.resolve(&base("http://a.example.com")) else { panic!() };
        assert_eq!(url, "https://a.example.com/x");
        assert_eq!(retries, Retries { count: 5, connect: false, timeout: true, status_4xx: false, status_5xx: true });
    }

    #[test]
    fn an_application_needs_an_absolute_url_that_can_be_asked() {
        for url in ["/x", "", "ftp://a.example.com", "http://", "mailto:a@b", "x y"] {
            assert!(Base::of(&Hook::plain(url)).is_err(), "{url:?}");
        }
    }

    #[test]
    fn passwords_are_not_in_debug_output() {
        assert!(!format!("{:?}", base("http://a.example.com")).contains("\"p\""));
    }
}

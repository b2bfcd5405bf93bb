//! Requests to programs' servers. A URL is resolved once, its addresses are checked, and the connection goes to what was
//! checked: neither a literal address, nor a name, nor a redirect reaches this machine or its network unless the
//! configuration allows it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

use crate::dialect::{DeliveryOptions, Params};
use crate::intake::Download;
use crate::verb::{BasicAuth, Method};

/// A range of addresses, for example `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Parses `address/prefix`, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse().ok()?, prefix.parse().ok()?),
            None => {
                let address: IpAddr = text.parse().ok()?;
                (address, if address.is_ipv4() { 32 } else { 128 })
            }
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Whether the range holds this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(net) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(net) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

/// Which servers programs may name.
#[derive(Clone, Debug, Default)]
pub struct HttpPolicy {
    /// Names that are not looked up: their addresses.
    pub hosts: HashMap<String, IpAddr>,
    /// Private, loopback and link-local ranges that are allowed all the same.
    pub allowed: Vec<Network>,
}

impl HttpPolicy {
    /// Whether a connection to this address is allowed.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19)))
        }
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.to_ipv4().is_some()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
                || (first & 0xffc0) == 0xfec0
                || first == 0x2002
                || (first == 0x2001 && (second == 0 || second == 0x0db8))
                || (first == 0x0064 && second == 0xff9b))
        }
    }
}

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

/// A successful answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `Content-Type`, empty if there is none.
    pub content_type: String,
    /// How long it may be used again, if it says so; zero: not at all (RFC 9111, sections 5.1 and 5.2.2).
    pub fresh_for: Option<Duration>,
    /// The body.
    pub body: bytes::Bytes,
}

/// What a POST carries.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// Nothing.
    Nothing,
    /// Form fields.
    Form(&'a Params),
    /// JSON text.
    Json(&'a str),
    /// Bytes of this type.
    Bytes(&'static str, bytes::Bytes),
}

/// A request as the engine makes it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// URL without fragment; for GET with the parameters in it.
    pub url: &'a str,
    /// Credentials.
    pub auth: Option<&'a BasicAuth>,
    /// What is sent with a POST.
    pub content: Content<'a>,
    /// Further headers.
    pub headers: &'a [(String, String)],
    /// Longest body of an answer, bytes.
    pub limit: usize,
    /// What bounds the memory of its answer; none for short documents.
    pub(crate) download: Option<&'a Download>,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    policy: Arc<HttpPolicy>,
    clients: Arc<Mutex<HashMap<u128, reqwest::Client>>>,
}

/// An absolute `http` or `https` URL, wherever it leads.
///
/// # Errors
/// `BadUrl`.
pub fn web_url(url: &str) -> Result<Url, HttpError> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    parsed.ok_or_else(|| HttpError::BadUrl { url: shown(url) })
}

const MAX_CLIENTS: usize = 32;
const MAX_REDIRECTS: usize = 5;

impl Http {
    /// A client under this policy.
    pub fn new(policy: HttpPolicy) -> Self {
        Self { policy: Arc::new(policy), clients: Arc::default() }
    }

    /// Checks a URL without asking it: scheme, and literal addresses.
    pub fn check(&self, url: &str) -> Result<Url, HttpError> {
        let parsed = web_url(url)?;
        let literal = match parsed.host().ok_or_else(|| HttpError::BadUrl { url: shown(url) })? {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            Host::Domain(_) => None,
        };
        match literal {
            Some(ip) if !self.policy.allows(ip) => {
                Err(HttpError::Forbidden { host: ip.to_string(), address: ip.to_string() })
            }
            _ => Ok(parsed),
        }
    }

    /// One exchange, tried again as `options` say. Redirects are not followed.
    pub async fn send(&self, request: &Request<'_>, options: DeliveryOptions) -> Result<Answer, HttpError> {
        let url = self.check(request.url)?;
        let mut attempt = 0;
        match self.attempts(&url, request, options, &mut attempt).await? {
            // Following it would move the instructions to a place that nobody signed for.
            (_, Some(_)) => Err(HttpError::Redirected { host: host_of(&url) }),
            (answer, None) => Ok(answer),
        }
    }

    /// Fetches a file by GET, tried again as `options` say. Redirects are followed, each one checked.
    pub(crate) async fn download(
        &self,
        url: &str,
        limit: usize,
        options: DeliveryOptions,
        download: &Download,
    ) -> Result<Answer, HttpError> {
        let mut url = self.check(url)?;
        let mut attempt = 0;
        for _ in 0..=MAX_REDIRECTS {
            let text = url.to_string();
            let request = Request {
                method: Method::Get,
                url: &text,
                auth: None,
                content: Content::Nothing,
                headers: &[],
                limit,
                download: Some(download),
            };
            match self.attempts(&url, &request, options, &mut attempt).await? {
                (answer, None) => return Ok(answer),
                (_, Some(location)) => {
                    let next = url.join(&location).map_err(|_| HttpError::BadUrl { url: shown(&location) })?;
                    url = self.check(next.as_str())?;
                }
            }
        }
        Err(HttpError::Redirected { host: host_of(&url) })
    }

    /// Exchanges until one succeeds or no attempt is left; `attempt` counts those that failed.
    async fn attempts(
        &self,
        url: &Url,
        request: &Request<'_>,
        options: DeliveryOptions,
        attempt: &mut u32,
    ) -> Result<(Answer, Option<String>), HttpError> {
        loop {
            let outcome = self.exchange(url, request, options).await;
            let again = match &outcome {
                Err(HttpError::Connect { .. }) => options.retry_connect,
                Err(HttpError::Timeout { .. }) => options.retry_timeout,
                Err(HttpError::Status { status, .. }) if *status >= 500 => options.retry_5xx,
                Err(HttpError::Status { status, .. }) if *status >= 400 => options.retry_4xx,
                _ => false,
            };
            if !again || *attempt >= options.retries {
                return outcome;
            }
            *attempt += 1;
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        request: &Request<'_>,
        options: DeliveryOptions,
    ) -> Result<(Answer, Option<String>), HttpError> {
        let client = self.client(options.connect)?;
        let end = tokio::time::Instant::now() + options.total;
        let crowded = |_| HttpError::Crowded { host: host_of(url), limit: options.total };
        if let Some(download) = request.download {
            tokio::time::timeout_at(end, download.begin()).await.map_err(crowded)?;
        }
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            // No request: a connection is asked for by `websocket`.
            Method::Link => return Err(HttpError::BadUrl { url: shown(url.as_str()) }),
        };
        let mut builder =
            client.request(method, url.clone()).timeout(end.saturating_duration_since(tokio::time::Instant::now()));
        if let Some(auth) = request.auth {
            builder = builder.basic_auth(&auth.username, Some(&auth.password));
        }
        let content_type = reqwest::header::CONTENT_TYPE;
        match (request.method, &request.content) {
            (Method::Post, Content::Form(form)) => builder = builder.form(form),
            (Method::Post, Content::Json(text)) => {
                builder = builder.header(content_type, "application/json").body((*text).to_owned());
            }
            (Method::Post, Content::Bytes(kind, bytes)) => {
                builder = builder.header(content_type, *kind).body(bytes.clone());
            }
            _ => {}
        }
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let describe = |error: reqwest::Error| describe(url, options.total, error);
        let mut response = builder.send().await.map_err(describe)?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let location = header(reqwest::header::LOCATION).filter(|_| status.is_redirection());
        if !status.is_success() && location.is_none() {
            return Err(HttpError::Status { host: host_of(url), status: status.as_u16() });
        }
        let content_type = header(reqwest::header::CONTENT_TYPE).unwrap_or_default();
        let every = response.headers().get_all(reqwest::header::CACHE_CONTROL).iter();
        let cache_control = every.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
        let fresh_for = freshness(&cache_control, header(reqwest::header::AGE).as_deref());
        let told = response.content_length().and_then(|length| usize::try_from(length).ok());
        let too_long = || HttpError::TooLong { host: host_of(url), limit: request.limit };
        if told.is_some_and(|length| length > request.limit) {
            return Err(too_long());
        }
        let mut body = bytes::BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(describe)? {
            if body.len() + chunk.len() > request.limit {
                return Err(too_long());
            }
            if let Some(download) = request.download
                && body.len() + chunk.len() > download.room()
            {
                // What it will need in all; where nobody said, the most that it may.
                let most = told.unwrap_or(request.limit).max(body.len() + chunk.len());
                tokio::time::timeout_at(end, download.grow(most)).await.map_err(crowded)?;
                body.reserve(most - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((Answer { content_type, fresh_for, body: body.freeze() }, location))
    }

    /// A GET that asks for another protocol (RFC 9110, section 7.8): its answer, whatever it says. `limit` is for the
    /// connection and for the head of the answer, each.
    pub(crate) async fn switch(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        auth: Option<&BasicAuth>,
        limit: Duration,
    ) -> Result<reqwest::Response, HttpError> {
        let mut request = self.client(limit)?.get(url.clone()).timeout(limit);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(auth) = auth {
            request = request.basic_auth(&auth.username, Some(&auth.password));
        }
        request.send().await.map_err(|error| describe(url, limit, error))
    }

    /// What a program says that it offers at this URL (RFC 9110, section 9.3.7): the body of its answer, of at most `most`
    /// bytes. `limit` is for all of it. Redirects are not followed.
    ///
    /// # Errors
    /// As for any request; `Status` for an answer that is no success.
    pub async fn options(&self, url: &str, most: usize, limit: Duration) -> Result<bytes::Bytes, HttpError> {
        let url = self.check(url)?;
        let request = self.client(limit)?.request(reqwest::Method::OPTIONS, url.clone()).timeout(limit);
        let describe = |error: reqwest::Error| describe(&url, limit, error);
        let mut response = request.send().await.map_err(describe)?;
        if !response.status().is_success() {
            return Err(HttpError::Status { host: host_of(&url), status: response.status().as_u16() });
        }
        let mut body = bytes::BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(describe)? {
            if body.len() + chunk.len() > most {
                return Err(HttpError::TooLong { host: host_of(&url), limit: most });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn client(&self, connect: Duration) -> Result<reqwest::Client, HttpError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&connect.as_millis()) {
            return Ok(client.clone());
        }
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(CheckedResolver { policy: Arc::clone(&self.policy) }))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(connect)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("aside/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| HttpError::Connect { host: "any host".into(), problem: e.to_string() })?;
        clients.insert(connect.as_millis(), client.clone());
        Ok(client)
    }
}

/// How long an answer says that it may be used again. Nothing is asked whether it has changed, so what must be asked for is
/// not used again.
fn freshness(cache_control: &str, age: Option<&str>) -> Option<Duration> {
    let mut fresh_for = None;
    for directive in cache_control.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => {
                // What is no number makes the answer stale (RFC 9111, section 4.2.1).
                let seconds = value.trim().trim_matches('"').parse().unwrap_or(0);
                fresh_for = Some(fresh_for.unwrap_or(u64::MAX).min(seconds));
            }
            _ => {}
        }
    }
    let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    fresh_for.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
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

fn describe(url: &Url, limit: Duration, error: reqwest::Error) -> HttpError {
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

#[derive(Debug, thiserror::Error)]
#[error("the address {0} is private")]
struct ForbiddenAddress(IpAddr);

struct CheckedResolver {
    policy: Arc<HttpPolicy>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let name = name.as_str().to_ascii_lowercase();
            if let Some(address) = policy.hosts.get(&name) {
                // Named in the configuration: that is the permission.
                return Ok(Box::new(std::iter::once(SocketAddr::new(*address, 0))) as Addrs);
            }
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(refused) = addresses.iter().find(|address| !policy.allows(address.ip())) {
                return Err(ForbiddenAddress(refused.ip()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_to_this_machine_or_its_network_is_refused_in_every_spelling() {
        let http = Http::new(HttpPolicy::default());
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest",
            "http://10.0.0.8:8080/",
            "http://192.168.1.1/",
            "http://172.20.3.4/",
            "http://100.64.0.1/",
            "http://[fc00::1]/",
            "http://[fe80::1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://0.0.0.0/",
        ] {
            assert!(matches!(http.check(url), Err(HttpError::Forbidden { .. })), "{url}");
        }
        assert!(http.check("http://93.184.216.34/").is_ok());
        assert!(matches!(http.check("ftp://example.com/"), Err(HttpError::BadUrl { .. })));
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, expected) in [
            ("http://user:s3cretpw@a.example.com:8080/x/y?token=tok3n#frag", "http://a.example.com:8080/x/y"),
            ("HTTPS://tok3n@a.example.com?tok3n", "https://a.example.com/"),
            ("http://[::1]:9/p?q", "http://[::1]:9/p"),
            ("http://user:s3cretpw@a b/x?token=tok3n", "http://a b/x"),
            ("user:s3cretpw@host/x?token=tok3n", "host/x"),
            ("mailto:tok3n@example.com", "example.com"),
            ("/path?token=tok3n", "/path"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
        assert_eq!(shown(&format!("http://a/{}", "x".repeat(9_000))).chars().count(), 201);
        let error =
            Http::new(HttpPolicy::default()).check("ftp://user:s3cretpw@a/?token=tok3n").unwrap_err().to_string();
        assert!(!error.contains("s3cretpw") && !error.contains("tok3n"), "{error}");
    }

    #[test]
    fn an_answer_is_fresh_for_as_long_as_it_says() {
        let seconds = |text, age| freshness(text, age).map(|fresh| fresh.as_secs());
        assert_eq!(seconds("", None), None);
        assert_eq!(seconds("public, immutable", None), None);
        assert_eq!(seconds("public, Max-Age=60", None), Some(60));
        assert_eq!(seconds("max-age=60, max-age=\"5\"", None), Some(5));
        assert_eq!(seconds("max-age=60", Some("50")), Some(10));
        assert_eq!(seconds("max-age=60", Some("90")), Some(0));
        assert_eq!(seconds("max-age=soon", None), Some(0));
        assert_eq!(seconds("max-age=60, no-store", None), Some(0));
        assert_eq!(seconds("no-cache", None), Some(0));
    }

    #[test]
    fn an_allowed_network_may_be_asked() {
        let allowed = vec![Network::parse("127.0.0.0/8").unwrap()];
        let http = Http::new(HttpPolicy { allowed, ..HttpPolicy::default() });
        assert!(http.check("http://127.0.0.1:9/").is_ok());
        assert!(http.check("http://10.0.0.1/").is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_refused() {
        let http = Http::new(HttpPolicy::default());
        let options = DeliveryOptions {
            connect: Duration::from_secs(2),
            total: Duration::from_secs(2),
            retries: 0,
            retry_connect: false,
            retry_timeout: false,
            retry_4xx: false,
            retry_5xx: false,
        };
        let request = Request {
            method: Method::Get,
            url: "http://localhost:9/",
            auth: None,
            content: Content::Nothing,
            headers: &[],
            limit: 10,
            download: None,
        };
        let error = http.send(&request, options).await.unwrap_err();
        assert!(matches!(error, HttpError::Forbidden { .. }), "{error}");
    }
}

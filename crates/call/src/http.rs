//! Requests to programs' servers. A URL is resolved once, its addresses are checked, and the connection goes to what was
//! checked: neither a literal address, nor a name, nor a redirect reaches this machine or its network unless the
//! configuration allows it.

mod attempts;
mod error;
mod policy;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::time::Instant;
use url::{Host, Url};

pub use error::{HttpError, shown};
pub use policy::{HttpPolicy, Network};

pub(crate) use error::host_of;

use crate::dialect::{DeliveryOptions, Params, Pauses};
use crate::intake::Download;
use crate::verb::{BasicAuth, Method};
use attempts::Attempts;
use error::describe;
use policy::CheckedResolver;

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

    /// One exchange, tried again at once as `options` say. Redirects are not followed.
    pub async fn send(&self, request: &Request<'_>, options: DeliveryOptions) -> Result<Answer, HttpError> {
        self.send_signed(request, &Params::new, options, Pauses::default()).await
    }

    /// The same with pauses, and further headers that are made for each attempt anew: a signature tells its time.
    pub(crate) async fn send_signed(
        &self,
        request: &Request<'_>,
        sign: &(dyn Fn() -> Params + Sync),
        options: DeliveryOptions,
        pauses: Pauses,
    ) -> Result<Answer, HttpError> {
        let url = self.check(request.url)?;
        let mut attempts = Attempts::new(options, pauses, Instant::now());
        match self.attempts(&url, request, sign, &mut attempts).await? {
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
        let mut attempts = Attempts::new(options, Pauses::default(), Instant::now());
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
            match self.attempts(&url, &request, &Params::new, &mut attempts).await? {
                (answer, None) => return Ok(answer),
                (_, Some(location)) => {
                    let next = url.join(&location).map_err(|_| HttpError::BadUrl { url: shown(&location) })?;
                    url = self.check(next.as_str())?;
                }
            }
        }
        Err(HttpError::Redirected { host: host_of(&url) })
    }

    /// Exchanges until one succeeds or no attempt is left.
    async fn attempts(
        &self,
        url: &Url,
        request: &Request<'_>,
        sign: &(dyn Fn() -> Params + Sync),
        attempts: &mut Attempts,
    ) -> Result<(Answer, Option<String>), HttpError> {
        loop {
            match self.exchange(url, request, &sign(), attempts.options(Instant::now())).await {
                Err(error) if attempts.again(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        request: &Request<'_>,
        signature: &Params,
        options: DeliveryOptions,
    ) -> Result<(Answer, Option<String>), HttpError> {
        let client = self.client(options.connect)?;
        let end = Instant::now() + options.total;
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
        let mut builder = client.request(method, url.clone()).timeout(end.saturating_duration_since(Instant::now()));
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
        for (name, value) in request.headers.iter().chain(signature) {
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
            .dns_resolver(Arc::new(CheckedResolver::new(Arc::clone(&self.policy))))
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

#[cfg(test)]
mod tests;

//! A dialog (RFC 3261 §12) and authentication of requests.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::digest::{Challenge, Credentials, authorization};
use super::endpoint::Endpoint;
use super::message::{Headers, Request, Response, host_port, uri_of};

/// One side's view of a call's signalling relation.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// Our From (or To) value with tag.
    pub local: String,
    /// Their value, with tag once known.
    pub remote: String,
    /// Where requests are addressed: their Contact.
    pub target: String,
    /// Route set, nearest first.
    pub routes: Vec<String>,
    /// Our Contact value.
    pub contact: String,
    /// Our last CSeq.
    pub cseq: Arc<AtomicU32>,
    /// Where requests go if target and routes name no IP address.
    pub fallback: SocketAddr,
}

impl Dialog {
    /// A request in this dialog with the next CSeq (`ACK`: give the INVITE's with [`with_cseq`](Self::with_cseq)).
    pub fn request(&self, method: &str) -> Request {
        self.with_cseq(method, self.cseq.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A request with a given CSeq number.
    pub fn with_cseq(&self, method: &str, cseq: u32) -> Request {
        let mut headers = Headers::default();
        headers.push("From", self.local.clone());
        headers.push("To", self.remote.clone());
        headers.push("Call-ID", self.call_id.clone());
        headers.push("CSeq", format!("{cseq} {method}"));
        for r in &self.routes {
            headers.push("Route", r.clone());
        }
        if matches!(method, "INVITE" | "UPDATE" | "REFER" | "NOTIFY") {
            headers.push("Contact", self.contact.clone());
        }
        Request { method: method.into(), uri: self.target.clone(), headers, body: Vec::new() }
    }

    /// Next hop: the first route, else the target, else the fallback.
    pub fn hop(&self) -> SocketAddr {
        let first = self.routes.first().map_or(self.target.as_str(), |r| uri_of(r));
        let ip_port =
            host_port(first).and_then(|(h, p)| Some(SocketAddr::new(h.parse::<IpAddr>().ok()?, p.unwrap_or(5060))));
        ip_port.unwrap_or(self.fallback)
    }

    /// Takes tag, target and routes from a response to our INVITE.
    pub fn learn_from_response(&mut self, response: &Response) {
        if let Some(to) = response.headers.get("To").filter(|_| response.headers.tag("To").is_some()) {
            self.remote = to.to_owned();
        }
        if let Some(contact) = response.headers.get("Contact") {
            self.target = uri_of(contact).to_owned();
        }
        self.routes = record_routes(&response.headers);
        self.routes.reverse();
    }
}

/// Record-Route values top to bottom, lists split.
pub fn record_routes(headers: &Headers) -> Vec<String> {
    headers
        .all("Record-Route")
        .flat_map(|v| v.split(','))
        .map(|v| v.trim().to_owned())
        .filter(|v| !v.is_empty())
        .collect()
}

/// A phone's credentials and the last challenge it met.
#[derive(Debug)]
pub struct Authenticator {
    /// User name in digests.
    pub username: String,
    /// Password.
    pub password: String,
    /// Last challenge, its header kind, and how often its nonce was used.
    met: Mutex<Option<(Challenge, bool, u32)>>,
}

impl Authenticator {
    /// Credentials that have met no challenge yet.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.into(), password: password.into(), met: Mutex::default() }
    }

    /// Authorises a request by the last challenge met, if any: a real phone reuses its nonce with a growing count.
    pub fn authorize(&self, request: &mut Request) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((challenge, proxy, count)) = met.as_mut() else { return };
        *count += 1;
        let who = Credentials {
            username: &self.username,
            password: &self.password,
            method: &request.method,
            uri: &request.uri,
        };
        let value = authorization(challenge, who, *count);
        request.headers.remove("Authorization");
        request.headers.remove("Proxy-Authorization");
        request.headers.push(if *proxy { "Proxy-Authorization" } else { "Authorization" }, value);
    }

    /// Learns the challenge of a 401 or 407 and says whether to try again. `answered`: the refused request answered a challenge of this same
    /// attempt; then only a stale nonce is worth another try.
    pub fn challenged(&self, response: &Response, answered: bool) -> bool {
        let proxy = response.code == 407;
        let name = if proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let Some(challenge) = Challenge::strongest(response.headers.all(name)) else { return false };
        let again = !answered || challenge.stale;
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = Some((challenge, proxy, 0));
        again
    }

    /// Forgets the challenge: the next request goes out bare.
    pub fn forget(&self) {
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Sends a request and waits for its final response; answers a challenge once, and once more if its
/// nonce was stale.
/// Gives the request that was finally sent. `None`: no answer in time.
pub async fn exchange(
    endpoint: &Endpoint,
    auth: &Authenticator,
    cseq: &AtomicU32,
    mut request: Request,
    to: SocketAddr,
) -> Option<(Request, Response)> {
    auth.authorize(&mut request);
    for attempt in 0.. {
        let mut transaction = endpoint.send(request.clone(), to);
        let response = transaction.last().await?;
        if !matches!(response.code, 401 | 407) || attempt == 2 || !auth.challenged(&response, attempt > 0) {
            return Some((request, response));
        }
        next_try(auth, cseq, &mut request);
    }
    None
}

/// Prepares a request for another try with the challenge just met.
pub fn next_try(auth: &Authenticator, cseq: &AtomicU32, request: &mut Request) {
    let number = cseq.fetch_add(1, Ordering::Relaxed) + 1;
    request.headers.set("CSeq", format!("{number} {}", request.method));
    auth.authorize(request);
}

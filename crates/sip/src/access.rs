//! Who may register and who may call: everything that has to ask the roster.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::authority::{Authority, Claim, Order, Verdict};
use crate::config::SipConfig;
use crate::connections::Owner;
use crate::counters::Counters;
use crate::digest::Answer;
use crate::header::NameAddr;
use crate::known::Known;
use crate::message::Request;
use crate::offer::{Asker, Offers};
use crate::registrar::{Ask, Grant, Refusal, Registrar, Source};
use crate::roster::{Binding, Credential, Identity, Party, Roster, RosterError, TokenVerdict};
use crate::transport::Flow;
use crate::uri::Uri;

#[cfg(test)]
mod tests;

/// A final response without body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub code: u16,
    pub reason: Option<&'static str>,
    pub headers: Vec<(String, String)>,
    /// Whoever gets it gave the password, or a token, of this endpoint.
    pub proven: Option<Owner>,
}

impl Reply {
    pub fn new(code: u16) -> Reply {
        Reply { code, reason: None, headers: Vec::new(), proven: None }
    }

    pub fn because(code: u16, reason: &'static str) -> Reply {
        Reply { code, reason: Some(reason), headers: Vec::new(), proven: None }
    }

    /// Too much is going on: try again in so many seconds.
    pub fn later(seconds: u32) -> Reply {
        Reply::new(503).with("Retry-After", seconds.to_string())
    }

    fn with_all(mut self, headers: Vec<(String, String)>) -> Reply {
        self.headers.extend(headers);
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

pub(crate) struct Access {
    pub roster: Arc<dyn Roster>,
    pub authority: Authority,
    pub known: Known,
    offers: Offers,
    pub counters: Arc<Counters>,
    config: Arc<SipConfig>,
    registrar: Mutex<Registrar>,
    /// Keeps what is stored in the order it was decided.
    storing: tokio::sync::Mutex<()>,
    /// How often registrations were revoked: one that was let in before must be asked again.
    revoked: AtomicU64,
}

/// Which header carries the challenge and which the answer.
struct Door {
    code: u16,
    challenge: &'static str,
}

/// Header of an access token (Plivo's browser SDK).
const TOKEN: &str = "X-Plivo-Jwt";
/// Its longest value, bytes.
const TOKEN_BYTES: usize = 4_096;

/// Headers by which whoever sends a request proves himself; nobody but the server has any business with them.
pub const PROOFS: [&str; 3] = ["Authorization", "Proxy-Authorization", TOKEN];

/// Who gave the right password or token.
struct Proven {
    credential: Credential,
    username: String,
    /// For the 200 to a REGISTER.
    headers: Vec<(String, String)>,
    grant: Grant,
}

impl Proven {
    fn owner(&self) -> Owner {
        Owner { account: self.credential.account.clone(), endpoint: self.credential.endpoint.clone() }
    }
}

/// So many answers of one request are looked at: one for each algorithm.
const LOOKED_AT: usize = 2;

const REGISTRAR: Door = Door { code: 401, challenge: "WWW-Authenticate" };
const PROXY: Door = Door { code: 407, challenge: "Proxy-Authenticate" };

impl Access {
    pub fn new(config: Arc<SipConfig>, roster: Arc<dyn Roster>, counters: Arc<Counters>) -> Access {
        let limits = &config.limits;
        Access {
            authority: Authority::new(limits, &config.algorithms, Instant::now()),
            known: Known::new(Duration::from_secs(u64::from(config.registration.max.max(3_600)))),
            offers: Offers::default(),
            registrar: Mutex::new(Registrar::new(limits.contacts, limits.bindings)),
            storing: tokio::sync::Mutex::new(()),
            revoked: AtomicU64::new(0),
            roster,
            counters,
            config,
        }
    }

    pub fn registrar(&self) -> MutexGuard<'_, Registrar> {
        self.registrar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn restore(&self) {
        let now = SystemTime::now();
        let bindings = self.roster.load_bindings().await;
        // No browser's connection outlives us.
        let (gone, bindings): (Vec<_>, Vec<_>) = bindings.into_iter().partition(|b| b.transport.is_websocket());
        {
            let mut registrar = self.registrar();
            for binding in bindings {
                self.known.met(binding.source.ip(), Instant::now());
                registrar.restore(binding, now);
            }
            self.counters.bindings_bound.set(registrar.len());
        }
        for binding in gone {
            self.counters.bindings_unreachable.add();
            self.roster.remove_binding(&binding).await;
        }
    }

    /// A connection is gone, and what was registered over it with it; at once for whoever calls there, then in the roster.
    pub fn unreachable(&self, connection: u64) -> Vec<Binding> {
        let mut registrar = self.registrar();
        let gone = registrar.unreachable(connection);
        self.counters.bindings_bound.set(registrar.len());
        gone
    }

    /// Takes unreachable bindings out of the roster, unless their browser came back with the same contact meanwhile.
    pub async fn forget(&self, gone: Vec<Binding>) {
        let _order = self.storing.lock().await;
        for binding in gone {
            self.counters.bindings_unreachable.add();
            if !self.is_back(&binding) {
                self.roster.remove_binding(&binding).await;
            }
        }
    }

    fn is_back(&self, binding: &Binding) -> bool {
        let contacts = self.registrar().contacts(&binding.aor, SystemTime::now());
        contacts.iter().any(|c| c.binding.contact == binding.contact)
    }

    /// Forgets what ran out.
    pub async fn sweep(&self) {
        self.authority.sweep(Instant::now());
        self.offers.sweep(Instant::now());
        self.known.sweep(Instant::now());
        let gone = {
            let mut registrar = self.registrar();
            let gone = registrar.sweep(SystemTime::now());
            self.counters.bindings_bound.set(registrar.len());
            gone
        };
        if gone.is_empty() {
            return;
        }
        let _order = self.storing.lock().await;
        for binding in gone {
            self.counters.bindings_expired.add();
            // The phone may have come back while we waited.
            if !self.is_back(&binding) {
                self.roster.remove_binding(&binding).await;
            }
        }
    }

    /// Removes the registrations of an endpoint, or of all endpoints of an account; returns how many there were.
    pub async fn revoke(&self, account: &str, endpoint: Option<&str>) -> usize {
        let _order = self.storing.lock().await;
        self.revoked.fetch_add(1, Ordering::SeqCst);
        let gone = {
            let mut registrar = self.registrar();
            let gone = registrar.forget(account, endpoint);
            self.counters.bindings_bound.set(registrar.len());
            gone
        };
        for binding in &gone {
            self.counters.bindings_revoked.add();
            self.roster.remove_binding(binding).await;
        }
        gone.len()
    }

    /// Decides a REGISTER.
    pub async fn register(&self, request: &Request, flow: Flow) -> Reply {
        let Some(to) = request.headers.name_addr("To").and_then(|to| to.sip()) else {
            return Reply::because(400, "Bad Request: To is not a SIP URI");
        };
        let realm = match self.realm_of(&[&to, &host_uri(&request.uri)]).await {
            Ok(Some(realm)) => realm,
            Ok(None) => {
                self.counters.foreign_domain.add();
                return Reply::new(404);
            }
            Err(error) => return self.unknowable(&error),
        };
        let revoked = self.revoked.load(Ordering::SeqCst);
        match self.authenticate(request, &realm, flow, &REGISTRAR).await {
            Ok(who) => {
                let owner = who.owner();
                let reply = self.bind(request, flow, (&to, &realm), who, revoked).await;
                Reply { proven: Some(owner).filter(|_| reply.code != REGISTRAR.code), ..reply }
            }
            Err(reply) => reply,
        }
    }

    /// Decides what an authenticated REGISTER asks for; `revoked` is the count from before it was.
    async fn bind(&self, request: &Request, flow: Flow, (to, realm): (&Uri, &str), who: Proven, revoked: u64) -> Reply {
        let Proven { credential, username, headers: told, grant } = who;
        if to.user() != username {
            return Reply::because(403, "Forbidden: registering for another user");
        }
        if !credential.registers {
            return Reply::because(403, "Forbidden: this user may only call");
        }
        let headers = &request.headers;
        let ask = match Ask::parse(headers, &self.config.registration) {
            Ok(ask) => ask,
            Err(refusal) => return refused(&refusal),
        };
        let source = Source {
            aor: &credential.aor,
            account: &credential.account,
            endpoint: &credential.endpoint,
            flow,
            call_id: headers.call_id(),
            cseq: headers.cseq().map_or(0, |(n, _)| n),
            user_agent: headers.get("User-Agent").unwrap_or(""),
            grant,
        };
        let _order = self.storing.lock().await;
        if self.revoked.load(Ordering::SeqCst) != revoked {
            match self.roster.credential(realm, &username).await {
                Ok(Some(still)) if still == credential => {}
                Ok(_) => return self.challenge(request, realm, false, flow, &REGISTRAR),
                Err(error) => return self.unknowable(&error),
            }
        }
        let now = SystemTime::now();
        let (applied, listing) = {
            let mut registrar = self.registrar();
            let applied = registrar.apply(&ask, &source, now);
            self.counters.bindings_bound.set(registrar.len());
            (applied, registrar.listing(&credential.aor, now))
        };
        let change = match applied {
            Ok(change) => change,
            Err(refusal) => return refused(&refusal),
        };
        for binding in &change.removed {
            self.counters.unregistrations.add();
            self.roster.remove_binding(binding).await;
        }
        for binding in &change.saved {
            self.counters.registrations.add();
            self.roster.save_binding(binding).await;
        }
        let mut reply = Reply::new(200).with_all(told);
        for contact in listing {
            reply = reply.with("Contact", contact);
        }
        reply
    }

    /// Decides who an INVITE comes from.
    pub async fn call(&self, request: &Request, flow: Flow) -> Result<Identity, Reply> {
        let from = party(&request.headers.name_addr("From"));
        let called = uri_party(&request.uri);
        let offered = answers(request).next().is_some();
        if !offered && let Some(trunk) = self.trunk(flow, &called, &from).await? {
            return Ok(trunk);
        }
        let from_uri = request.headers.name_addr("From").and_then(|f| f.sip());
        let mut domains = vec![host_uri(&request.uri)];
        domains.extend(from_uri);
        domains.rotate_right(1);
        let realm = self.realm_of(&domains.iter().collect::<Vec<_>>()).await;
        let Some(realm) = realm.map_err(|error| self.unknowable(&error))? else {
            self.counters.foreign_domain.add();
            return Err(Reply::new(403));
        };
        match self.authenticate(request, &realm, flow, &PROXY).await {
            Ok(Proven { credential, username, .. }) => {
                Ok(Identity::Endpoint { account: credential.account, endpoint: credential.endpoint, username })
            }
            Err(reply) => {
                // A carrier's own credentials for somebody else must not hide that it is a known trunk.
                if offered
                    && reply.code != 503
                    && let Some(trunk) = self.trunk(flow, &called, &from).await?
                {
                    return Ok(trunk);
                }
                Err(reply)
            }
        }
    }

    /// Decides who sends a request inside a call from a connection that is not the call's.
    pub async fn rejoin(&self, request: &Request, flow: Flow) -> Result<Owner, Reply> {
        let from = request.headers.name_addr("From").and_then(|f| f.sip());
        let realm = self.realm_of(&from.iter().collect::<Vec<_>>()).await.map_err(|error| self.unknowable(&error))?;
        let Some(realm) = realm else {
            return Err(Reply::because(403, "Forbidden: register on this connection first"));
        };
        self.authenticate(request, &realm, flow, &PROXY).await.map(|who| who.owner())
    }

    /// A browser behind a carrier's address is no carrier.
    async fn trunk(&self, flow: Flow, called: &Party, from: &Party) -> Result<Option<Identity>, Reply> {
        if flow.is_websocket() {
            return Ok(None);
        }
        let trunk = self.roster.trunk(flow.remote, called, from).await.map_err(|error| self.unknowable(&error))?;
        Ok(trunk.map(|trunk| {
            self.known.met(flow.remote.ip(), Instant::now());
            Identity::Trunk { account: trunk.account, trunk: trunk.trunk }
        }))
    }

    /// What is said when the roster cannot be asked: neither who he is nor that he is nobody.
    fn unknowable(&self, error: &RosterError) -> Reply {
        tracing::debug!(%error, "a request was put off");
        self.counters.roster_failed.add();
        Reply::later(5)
    }

    /// The realm of the first domain that is ours.
    async fn realm_of(&self, uris: &[&Uri]) -> Result<Option<String>, RosterError> {
        for uri in uris {
            if let Some(realm) = self.roster.realm(&uri.host.to_ascii_lowercase()).await? {
                return Ok(Some(realm));
            }
        }
        Ok(None)
    }

    async fn authenticate(&self, request: &Request, realm: &str, flow: Flow, door: &Door) -> Result<Proven, Reply> {
        if let Some(verdict) = self.token(request, realm, flow).await {
            return verdict;
        }
        let mut stale = false;
        let locked = || Reply::because(403, "Forbidden: too many wrong passwords");
        for answer in answers(request).filter(|a| a.realm == realm).take(LOOKED_AT) {
            // The roster is asked for those alone who got a challenge here: anybody can make an answer up.
            match self.authority.consider(&answer, flow.remote, Instant::now(), &self.counters) {
                Ok(()) => {}
                Err(Verdict::Locked) => return Err(locked()),
                Err(_) => {
                    stale = true;
                    continue;
                }
            }
            let credential = self.roster.credential(realm, &answer.username).await;
            let credential = credential.map_err(|error| self.unknowable(&error))?;
            let claim = Claim {
                answer: &answer,
                method: &request.method,
                request_uri: &request.uri,
                credential: credential.as_ref(),
                source: flow.remote,
            };
            let verdict = self.authority.verify(&claim, Instant::now(), &self.counters);
            if matches!(verdict, Verdict::Good | Verdict::Wrong) {
                self.offers.answered(self.asker(request, realm, flow), answer.algorithm);
            }
            match (verdict, credential) {
                (Verdict::Good, Some(credential)) => {
                    self.known.met(flow.remote.ip(), Instant::now());
                    let (username, grant) = (answer.username, Grant::default());
                    return Ok(Proven { credential, username, headers: Vec::new(), grant });
                }
                (Verdict::Locked, _) => return Err(locked()),
                (Verdict::Stale, _) => stale = true,
                _ => {}
            }
        }
        Err(self.challenge(request, realm, stale, flow, door))
    }

    /// What the access token of a browser's request is worth; `None`: it has none, or a password will be asked for.
    async fn token(&self, request: &Request, realm: &str, flow: Flow) -> Option<Result<Proven, Reply>> {
        let token = request.headers.get(TOKEN).filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES)?;
        if !flow.is_websocket() || answers(request).next().is_some() {
            return None;
        }
        let username = party(&request.headers.name_addr("From")).user;
        let headers = match self.roster.token(realm, &username, token, &request.method).await {
            Ok(TokenVerdict::Unknown) => return None,
            Ok(TokenVerdict::Good { credential, headers, until, rings }) => {
                self.counters.tokens_ok.add();
                self.known.met(flow.remote.ip(), Instant::now());
                let grant = Grant { until: Some(until), rings };
                return Some(Ok(Proven { credential, username, headers, grant }));
            }
            Ok(TokenVerdict::Refused { headers }) => headers,
            Err(error) => return Some(Err(self.unknowable(&error))),
        };
        self.counters.tokens_refused.add();
        Some(Err(Reply::new(401).with_all(headers)))
    }

    fn asker(&self, request: &Request, realm: &str, flow: Flow) -> Asker {
        self.offers.asker(flow.remote.ip(), realm, &party(&request.headers.name_addr("From")).user)
    }

    fn challenge(&self, request: &Request, realm: &str, stale: bool, flow: Flow, door: &Door) -> Reply {
        self.counters.challenges.add();
        let agent = request.headers.get("User-Agent").unwrap_or("");
        let headers = &request.headers;
        let asked =
            self.offers.asked(headers.get("Via").unwrap_or(""), headers.call_id(), headers.get("CSeq").unwrap_or(""));
        let md5_alone = self.offers.md5_alone(self.asker(request, realm, flow), asked, agent, Instant::now());
        let mut reply = Reply::new(door.code);
        let order = match md5_alone {
            true => Order::Md5Alone,
            false if flow.is_websocket() => Order::Md5Last,
            false => Order::Strongest,
        };
        for value in self.authority.challenge(realm, stale, order, flow.remote, Instant::now()) {
            reply = reply.with(door.challenge, value);
        }
        reply
    }
}

fn answers(request: &Request) -> impl Iterator<Item = Answer> + '_ {
    PROOFS[..2].iter().flat_map(|name| request.headers.all(name).filter_map(Answer::parse).collect::<Vec<_>>())
}

fn refused(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::Malformed(reason) => Reply::because(400, reason),
        Refusal::TooBrief(min) => Reply::new(423).with("Min-Expires", min.to_string()),
        Refusal::OutOfOrder => Reply::because(500, "Registration Out Of Order"),
        Refusal::Full => Reply::new(503).with("Retry-After", "60"),
    }
}

/// A URI of which only the host matters; an unreadable one has an empty host, which is nobody's.
fn host_uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|_| Uri::new("", "", None))
}

pub(crate) fn party(address: &Option<NameAddr>) -> Party {
    let Some(address) = address else { return Party::default() };
    let mut party = uri_party(&address.uri);
    party.display.clone_from(&address.display);
    party
}

pub(crate) fn uri_party(text: &str) -> Party {
    match Uri::parse(text) {
        Ok(uri) => Party { user: uri.user(), host: uri.host.to_ascii_lowercase(), display: String::new() },
        Err(_) => Party::default(),
    }
}

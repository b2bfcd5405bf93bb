//! Who may register and who may call: everything that has to ask the directory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use crate::authority::{Authority, Claim, Verdict};
use crate::config::SipConfig;
use crate::counters::Counters;
use crate::digest::Answer;
use crate::directory::{Credential, Directory, Identity, Party};
use crate::header::NameAddr;
use crate::message::Request;
use crate::registrar::{Ask, Refusal, Registrar, Source};
use crate::transport::Flow;
use crate::uri::Uri;

/// A final response without body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub code: u16,
    pub reason: Option<&'static str>,
    pub headers: Vec<(String, String)>,
}

impl Reply {
    pub fn new(code: u16) -> Reply {
        Reply { code, reason: None, headers: Vec::new() }
    }

    pub fn because(code: u16, reason: &'static str) -> Reply {
        Reply { code, reason: Some(reason), headers: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

pub(crate) struct Access {
    pub directory: Arc<dyn Directory>,
    pub authority: Authority,
    pub counters: Arc<Counters>,
    config: Arc<SipConfig>,
    registrar: Mutex<Registrar>,
    /// Keeps what is stored in the order it was decided.
    storing: tokio::sync::Mutex<()>,
}

/// Which header carries the challenge and which the answer.
struct Door {
    code: u16,
    challenge: &'static str,
}

const REGISTRAR: Door = Door { code: 401, challenge: "WWW-Authenticate" };
const PROXY: Door = Door { code: 407, challenge: "Proxy-Authenticate" };

impl Access {
    pub fn new(config: Arc<SipConfig>, directory: Arc<dyn Directory>, counters: Arc<Counters>) -> Access {
        let limits = &config.limits;
        Access {
            authority: Authority::new(limits, &config.algorithms, Instant::now()),
            registrar: Mutex::new(Registrar::new(limits.contacts, limits.bindings)),
            storing: tokio::sync::Mutex::new(()),
            directory,
            counters,
            config,
        }
    }

    pub fn registrar(&self) -> MutexGuard<'_, Registrar> {
        self.registrar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn restore(&self) {
        let now = SystemTime::now();
        let bindings = self.directory.load_bindings().await;
        let mut registrar = self.registrar();
        for binding in bindings {
            registrar.restore(binding, now);
        }
        self.counters.bindings_bound.set(registrar.len());
    }

    /// Forgets what ran out.
    pub async fn sweep(&self) {
        self.authority.sweep(Instant::now());
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
            let back = self
                .registrar()
                .contacts(&binding.aor, SystemTime::now())
                .iter()
                .any(|c| c.binding.contact == binding.contact);
            if !back {
                self.directory.remove_binding(&binding).await;
            }
        }
    }

    /// Decides a REGISTER.
    pub async fn register(&self, request: &Request, flow: Flow) -> Reply {
        let Some(to) = request.headers.name_addr("To").and_then(|to| to.sip()) else {
            return Reply::because(400, "Bad Request: To is not a SIP URI");
        };
        let Some(realm) = self.realm_of(&[&to, &host_uri(&request.uri)]).await else {
            self.counters.foreign_domain.add();
            return Reply::new(404);
        };
        let (credential, username) = match self.authenticate(request, &realm, flow, &REGISTRAR).await {
            Ok(who) => who,
            Err(reply) => return reply,
        };
        if to.user() != username {
            return Reply::because(403, "Forbidden: registering for another user");
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
        };
        let _order = self.storing.lock().await;
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
            self.directory.remove_binding(binding).await;
        }
        for binding in &change.saved {
            self.counters.registrations.add();
            self.directory.save_binding(binding).await;
        }
        let mut reply = Reply::new(200);
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
        if !offered && let Some(trunk) = self.directory.trunk(flow.remote, &called, &from).await {
            return Ok(Identity::Trunk { account: trunk.account, trunk: trunk.trunk });
        }
        let from_uri = request.headers.name_addr("From").and_then(|f| f.sip());
        let mut domains = vec![host_uri(&request.uri)];
        domains.extend(from_uri);
        domains.rotate_right(1);
        let Some(realm) = self.realm_of(&domains.iter().collect::<Vec<_>>()).await else {
            self.counters.foreign_domain.add();
            return Err(Reply::new(403));
        };
        match self.authenticate(request, &realm, flow, &PROXY).await {
            Ok((credential, username)) => {
                Ok(Identity::Endpoint { account: credential.account, endpoint: credential.endpoint, username })
            }
            Err(reply) => {
                // A carrier's own credentials for somebody else must not hide that it is a known trunk.
                if offered && let Some(trunk) = self.directory.trunk(flow.remote, &called, &from).await {
                    return Ok(Identity::Trunk { account: trunk.account, trunk: trunk.trunk });
                }
                Err(reply)
            }
        }
    }

    /// The realm of the first domain that is ours.
    async fn realm_of(&self, uris: &[&Uri]) -> Option<String> {
        for uri in uris {
            if let Some(realm) = self.directory.realm(&uri.host.to_ascii_lowercase()).await {
                return Some(realm);
            }
        }
        None
    }

    async fn authenticate(
        &self,
        request: &Request,
        realm: &str,
        flow: Flow,
        door: &Door,
    ) -> Result<(Credential, String), Reply> {
        let mut stale = false;
        for answer in answers(request).filter(|a| a.realm == realm) {
            let credential = self.directory.credential(realm, &answer.username).await;
            let claim = Claim {
                answer: &answer,
                method: &request.method,
                request_uri: &request.uri,
                credential: credential.as_ref(),
                source: flow.remote.ip(),
            };
            let verdict = self.authority.verify(&claim, Instant::now(), &self.counters);
            match (verdict, credential) {
                (Verdict::Good, Some(credential)) => return Ok((credential, answer.username)),
                (Verdict::Locked, _) => return Err(Reply::because(403, "Forbidden: too many wrong passwords")),
                (Verdict::Stale, _) => stale = true,
                _ => {}
            }
        }
        self.counters.challenges.add();
        let mut reply = Reply::new(door.code);
        for value in self.authority.challenge(realm, stale, Instant::now()) {
            reply = reply.with(door.challenge, value);
        }
        Err(reply)
    }
}

fn answers(request: &Request) -> impl Iterator<Item = Answer> + '_ {
    ["Authorization", "Proxy-Authorization"]
        .into_iter()
        .flat_map(|name| request.headers.all(name).filter_map(Answer::parse).collect::<Vec<_>>())
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

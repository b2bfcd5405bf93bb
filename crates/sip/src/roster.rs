//! Who may do what: asked of the outside, so that this crate knows no database.

use std::net::SocketAddr;
use std::time::SystemTime;

use async_trait::async_trait;

use crate::transport::Transport;

/// A person or number as a From, To or Request-URI names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// User part, escapes undone.
    pub user: String,
    /// Host part, lower case.
    pub host: String,
    /// Display name, quotes undone; empty if none.
    pub display: String,
}

/// What is needed to verify one user of one realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Account the endpoint belongs to.
    pub account: String,
    /// The endpoint's identifier.
    pub endpoint: String,
    /// Canonical address of record: the key under which its contacts are kept, whichever domain it registered at.
    pub aor: String,
    /// Whether it may register contacts, or only call.
    pub registers: bool,
    /// [`crate::ha1`] with MD5, lower-case hexadecimal.
    pub ha1_md5: String,
    /// [`crate::ha1`] with SHA-256, lower-case hexadecimal.
    pub ha1_sha256: String,
}

/// What an access token is worth (Plivo's browser SDK: a JWT in `X-Plivo-Jwt`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenVerdict {
    /// Tokens are not known here: the request is asked for a password as if it had none.
    Unknown,
    /// It is good for this user and what was asked.
    Good {
        /// Whose it is.
        credential: Credential,
        /// Headers of the 200 to a REGISTER, such as `X-Plivo-Jwt: exp=…`.
        headers: Vec<(String, String)>,
        /// Until when: no registration with it lasts longer.
        until: SystemTime,
        /// Whether whoever registers with it is called there.
        rings: bool,
    },
    /// It is not: answered with 401.
    Refused {
        /// Headers that say why, such as `X-Plivo-Jwt-Error-Code: 10006`.
        headers: Vec<(String, String)>,
    },
}

/// A trunk recognised by its source address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkMatch {
    /// Account the trunk belongs to.
    pub account: String,
    /// The trunk's identifier.
    pub trunk: String,
}

/// Who a caller proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A SIP user, by digest.
    Endpoint {
        /// Its account.
        account: String,
        /// Its identifier.
        endpoint: String,
        /// User name of the digest.
        username: String,
    },
    /// A carrier, by source address.
    Trunk {
        /// Its account.
        account: String,
        /// Its identifier.
        trunk: String,
    },
}

impl Identity {
    /// The account either way.
    pub fn account(&self) -> &str {
        match self {
            Identity::Endpoint { account, .. } | Identity::Trunk { account, .. } => account,
        }
    }
}

/// One registered contact, as it is kept over a restart. Key: (`aor`, `contact`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Canonical address of record ([`Credential::aor`]).
    pub aor: String,
    /// Account of the endpoint.
    pub account: String,
    /// The endpoint.
    pub endpoint: String,
    /// Contact URI exactly as the phone wrote it.
    pub contact: String,
    /// Where the REGISTER really came from.
    pub source: SocketAddr,
    /// Our socket it arrived on.
    pub local: SocketAddr,
    /// How it arrived.
    pub transport: Transport,
    /// Call-ID of the registration.
    pub call_id: String,
    /// Its last CSeq number.
    pub cseq: u32,
    /// End of the binding.
    pub expires: SystemTime,
    /// `User-Agent` of the phone.
    pub user_agent: String,
}

/// The roster could not be asked, so that nothing is known about whoever it was asked about: he is told to come again, and
/// it is not held against him.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the roster could not be asked: {0}; see that the database can be read")]
pub struct RosterError(pub String);

/// Accounts, endpoints and trunks. Every method is called outside the signalling core and may take its time; at most
/// `Limits::lookups` calls are under way at once.
#[async_trait]
pub trait Roster: Send + Sync + 'static {
    /// Realm served for a domain; `None`: the domain is not ours.
    async fn realm(&self, domain: &str) -> Result<Option<String>, RosterError>;

    /// The credential of `username` in `realm` (a value that [`Roster::realm`] returned); `None`: there is no such user.
    async fn credential(&self, realm: &str, username: &str) -> Result<Option<Credential>, RosterError>;

    /// What the access token in a REGISTER or INVITE (`method`) from a browser is worth for `username` in `realm`. Asked for
    /// requests over WebSocket without a digest answer; at most 4096 bytes of token.
    async fn token(&self, realm: &str, username: &str, token: &str, method: &str) -> Result<TokenVerdict, RosterError> {
        let _ = (realm, username, token, method);
        Ok(TokenVerdict::Unknown)
    }

    /// The trunk a call without credentials comes from, if its address (and number, if the trunk is limited to some) fits.
    async fn trunk(&self, source: SocketAddr, called: &Party, from: &Party) -> Result<Option<TrunkMatch>, RosterError>;

    /// Keeps a binding, replacing the one with the same key. The phone gets its answer afterwards. A browser's is removed again
    /// when its connection ends, and at the next start.
    async fn save_binding(&self, binding: &Binding);

    /// Forgets a binding.
    async fn remove_binding(&self, binding: &Binding);

    /// Every kept binding, asked once at start.
    async fn load_bindings(&self) -> Vec<Binding>;
}

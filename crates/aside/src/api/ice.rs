//! The STUN and TURN servers that browsers are told of.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use store::{Secret, Timestamp};
use utoipa::ToSchema;

/// A server, as browsers' RTCPeerConnection takes it (W3C WebRTC, RTCIceServer).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IceServer {
    /// Its URIs.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// How browsers prove themselves to TURN servers.
#[derive(Clone, Debug, Default)]
enum Proof {
    #[default]
    None,
    /// Each for itself, for a time.
    Shared { secret: Secret, seconds: u64 },
    /// All alike.
    Fixed { username: String, password: Secret },
}

/// The servers as configured.
#[derive(Clone, Debug, Default)]
pub struct IceServers {
    stun: Vec<String>,
    turn: Vec<String>,
    proof: Proof,
}

impl IceServers {
    /// As `[turn]` has them.
    pub fn new(section: &crate::config::TurnSection) -> Self {
        let (turn, stun): (Vec<String>, Vec<String>) =
            section.uris.iter().cloned().partition(|uri| uri.starts_with("turn"));
        let proof = match (&section.secret, &section.username, &section.password) {
            (Some(secret), ..) => Proof::Shared { secret: Secret::new(secret.clone()), seconds: section.ttl_s },
            (None, Some(username), Some(password)) => {
                Proof::Fixed { username: username.clone(), password: Secret::new(password.clone()) }
            }
            _ => Proof::None,
        };
        Self { stun, turn, proof }
    }

    /// For a browser of this name; the TURN server's log shows it.
    pub fn of(&self, name: &str, now: Timestamp) -> Vec<IceServer> {
        let mut servers = Vec::new();
        if !self.stun.is_empty() {
            servers.push(IceServer { urls: self.stun.clone(), username: None, credential: None });
        }
        if !self.turn.is_empty() {
            let (username, credential) = match &self.proof {
                Proof::None => (None, None),
                Proof::Fixed { username, password } => (Some(username.clone()), Some(password.reveal().to_owned())),
                Proof::Shared { secret, seconds } => {
                    let (username, password) = for_a_time(secret.reveal(), name, now, *seconds);
                    (Some(username), Some(password))
                }
            };
            servers.push(IceServer { urls: self.turn.clone(), username, credential });
        }
        servers
    }
}

/// Credentials that a TURN server with the same secret believes until they expire: what coturn calls `use-auth-secret`
/// (draft-uberti-behave-turn-rest-00 §2.2). HMAC with SHA-1 is what it asks for, and no collision helps anybody here.
fn for_a_time(secret: &str, name: &str, now: Timestamp, seconds: u64) -> (String, String) {
    let until = now.micros().div_euclid(1_000_000).saturating_add_unsigned(seconds);
    let username = format!("{until}:{name}");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let password = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    (username, password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TurnSection;

    fn section(secret: Option<&str>) -> TurnSection {
        TurnSection {
            uris: vec!["stun:a.test".to_owned(), "turn:b.test?transport=udp".to_owned(), "turns:b.test".to_owned()],
            secret: secret.map(str::to_owned),
            ttl_s: 600,
            ..TurnSection::default()
        }
    }

    #[test]
    fn time_limited_credentials_are_as_coturn_computes_them() {
        let servers =
            IceServers::new(&section(Some("north"))).of("1042", Timestamp::from_micros(1_700_000_000_500_000));
        assert_eq!(servers[0], IceServer { urls: vec!["stun:a.test".to_owned()], username: None, credential: None });
        assert_eq!(servers[1].username.as_deref(), Some("1700000600:1042"));
        // printf '1700000600:1042' | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(servers[1].credential.as_deref(), Some("Xm2Q4D5GxgFMvU2pKjwBKaP6KVU="));
        assert_eq!(servers[1].urls.len(), 2);
    }

    #[test]
    fn fixed_credentials_are_the_same_for_all_and_stun_wants_none() {
        let mut fixed = section(None);
        (fixed.username, fixed.password) = (Some("u".to_owned()), Some("p".to_owned()));
        let servers = IceServers::new(&fixed).of("1042", Timestamp::from_micros(0));
        assert_eq!((servers[1].username.as_deref(), servers[1].credential.as_deref()), (Some("u"), Some("p")));
        assert!(IceServers::default().of("x", Timestamp::from_micros(0)).is_empty());
    }
}

//! A registrar and relay just big enough to test a phone: digest challenges, bindings, stateless forwarding with Record-Route.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use phone::ua::digest::{Algorithm, Challenge, Credentials, parameters, response};
use phone::ua::message::{Message, Request, host_port, param, uri_of, user_of};
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// What the registrar saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub bindings: HashMap<String, (SocketAddr, u32)>,
    pub challenges: usize,
    pub refused: usize,
    pub nonce_counts: Vec<(String, String)>,
    pub dropped: usize,
}

pub struct Registrar {
    pub address: SocketAddr,
    pub seen: watch::Receiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub struct Behaviour {
    pub algorithm: Algorithm,
    pub password: &'static str,
    pub granted: u32,
    /// Each nonce serves so many requests, then it is stale.
    pub nonce_uses: usize,
    /// Lose every n-th datagram.
    pub lose_every: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { algorithm: Algorithm::Md5, password: "secret", granted: 3600, nonce_uses: 1000, lose_every: 0 }
    }
}

pub async fn registrar(behaviour: Behaviour) -> Registrar {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (tx, seen) = watch::channel(Seen::default());
    let task = tokio::spawn(async move {
        let mut relay = Relay { behaviour, address, nonces: HashMap::new(), counts: HashSet::new(), tx };
        let mut buffer = vec![0; 65_536];
        let mut number = 0usize;
        loop {
            let Ok((n, from)) = socket.recv_from(&mut buffer).await else { continue };
            number += 1;
            if relay.behaviour.lose_every > 0 && number.is_multiple_of(relay.behaviour.lose_every) {
                relay.tx.send_modify(|s| s.dropped += 1);
                continue;
            }
            for (to, bytes) in relay.handle(&buffer[..n], from) {
                socket.send_to(&bytes, to).await.unwrap();
            }
        }
    });
    Registrar { address, seen, task }
}

struct Relay {
    behaviour: Behaviour,
    address: SocketAddr,
    nonces: HashMap<String, usize>,
    counts: HashSet<(String, String)>,
    tx: watch::Sender<Seen>,
}

impl Relay {
    fn handle(&mut self, data: &[u8], from: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        match Message::parse(data).unwrap() {
            Message::Response(mut r) => {
                // Our own Via is the top one.
                let first = r.headers.0.iter().position(|(n, _)| n == "Via").unwrap();
                r.headers.0.remove(first);
                let via = r.headers.get("Via").unwrap().to_owned();
                vec![(sent_by(&via), r.to_bytes())]
            }
            Message::Request(request) => self.request(request, from),
        }
    }

    fn request(&mut self, mut request: Request, from: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        let in_dialog = request.headers.tag("To").is_some();
        if matches!(request.method.as_str(), "REGISTER" | "INVITE")
            && !in_dialog
            && let Some(refusal) = self.challenge(&request)
        {
            return vec![(from, refusal)];
        }
        if request.method == "REGISTER" {
            let contact = request.headers.get("Contact").unwrap();
            let (host, port) = host_port(uri_of(contact)).unwrap();
            let address = SocketAddr::new(host.parse().unwrap(), port.unwrap());
            let user = user_of(uri_of(request.headers.get("To").unwrap())).unwrap().to_owned();
            let asked: u32 = param(contact.rsplit_once('>').unwrap().1, "expires").unwrap().parse().unwrap();
            let granted = asked.min(self.behaviour.granted);
            self.tx.send_modify(|s| {
                s.bindings.insert(user, (address, granted));
            });
            let mut ok = request.response(200, "OK", Some("reg"));
            let bare = contact.rsplit_once('>').unwrap().0.to_owned();
            ok.headers.push("Contact", format!("{bare}>;expires={granted}"));
            return vec![(from, ok.to_bytes())];
        }
        // Loose routing: our own route goes, the next or the target is the hop.
        let mine = format!("{}", self.address);
        request.headers.0.retain(|(n, v)| !(n == "Route" && v.contains(&mine)));
        let user = user_of(&request.uri).map(str::to_owned);
        let target = match self.tx.borrow().bindings.get(user.as_deref().unwrap_or_default()) {
            Some((address, expires)) if *expires > 0 && !in_dialog => *address,
            _ => match host_port(&request.uri).and_then(|(h, p)| Some(SocketAddr::new(h.parse().ok()?, p?))) {
                Some(a) if a != self.address => a,
                _ => {
                    let mut no = request.response(404, "Not Found", Some("x"));
                    no.headers.push("Reason", "Q.850;cause=1");
                    return if request.method == "ACK" { Vec::new() } else { vec![(from, no.to_bytes())] };
                }
            },
        };
        let branch = request.headers.branch().unwrap().to_owned();
        request.headers.0.insert(0, ("Via".into(), format!("SIP/2.0/UDP {};branch={branch}r", self.address)));
        if request.method == "INVITE" && !in_dialog {
            request.headers.0.insert(1, ("Record-Route".into(), format!("<sip:{};lr>", self.address)));
            request.headers.push("X-CallUUID", "0b8a-77");
            request.headers.push("X-PH-Team", "blue");
        }
        vec![(target, request.to_bytes())]
    }

    fn challenge(&mut self, request: &Request) -> Option<Vec<u8>> {
        let user = user_of(uri_of(request.headers.get("From").unwrap())).unwrap().to_owned();
        let given: HashMap<String, String> = request
            .headers
            .get("Authorization")
            .and_then(|v| v.split_once(' '))
            .map(|(_, v)| parameters(v).into_iter().collect())
            .unwrap_or_default();
        let mut stale = false;
        if let Some(nonce) = given.get("nonce") {
            let uses = self.nonces.entry(nonce.clone()).or_insert(usize::MAX);
            let challenge = Challenge {
                algorithm: self.behaviour.algorithm,
                realm: "test".into(),
                nonce: nonce.clone(),
                opaque: None,
                qop: true,
                stale: false,
            };
            let who = Credentials {
                username: &user,
                password: self.behaviour.password,
                method: &request.method,
                uri: &request.uri,
            };
            let count = u32::from_str_radix(&given["nc"], 16).unwrap();
            let right = response(&challenge, who, Some((count, &given["cnonce"]))) == given["response"]
                && given["opaque"] == "op";
            // A retransmission repeats its count with the same CSeq; another request must not.
            let fresh = self.counts.insert((format!("{nonce}{count}"), format!("{:?}", request.headers.cseq())));
            if right && *uses < self.behaviour.nonce_uses {
                *uses += usize::from(fresh);
                let used = (nonce.clone(), given["nc"].clone());
                self.tx.send_modify(|s| s.nonce_counts.push(used));
                return None;
            }
            stale = right;
            if !right {
                self.tx.send_modify(|s| s.refused += 1);
            }
        }
        self.tx.send_modify(|s| s.challenges += 1);
        let nonce = phone::ua::token(12);
        self.nonces.insert(nonce.clone(), 0);
        let mut no = request.response(401, "Unauthorized", Some("c"));
        let algorithm = if self.behaviour.algorithm == Algorithm::Md5 { "MD5" } else { "SHA-256" };
        no.headers.push(
            "WWW-Authenticate",
            format!(
                "Digest realm=\"test\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\", opaque=\"op\"{}",
                if stale { ", stale=true" } else { "" }
            ),
        );
        Some(no.to_bytes())
    }
}

fn sent_by(via: &str) -> SocketAddr {
    via.split_whitespace().nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
}

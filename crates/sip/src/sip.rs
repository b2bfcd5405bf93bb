//! The handle the rest of the server holds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::config::SipConfig;
use crate::core::{Core, Placement};
use crate::counters::Counters;
use crate::dns;
use crate::given::check_headers;
use crate::leg::{Command, Incoming, Leg, Outgoing, SipError, Target};
use crate::registrar::Contact;
use crate::roster::Roster;
use crate::transport::{Flow, Input, Transport, Wire};
use crate::uri::{Uri, split_host_port};
use crate::websocket;

/// Commands that may wait for the core.
const COMMANDS: usize = 4_096;

/// The signalling plane; clones are handles to the same one.
#[derive(Clone)]
pub struct Sip {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<SipConfig>,
    counters: Arc<Counters>,
    wire: Arc<Wire>,
    access: Arc<Access>,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
}

/// The real addresses after binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddrs {
    /// In the order of the configuration.
    pub udp: Vec<SocketAddr>,
    /// In the order of the configuration.
    pub tcp: Vec<SocketAddr>,
}

/// A place among the WebSocket connections, taken before the handshake is answered. Dropping it gives it back.
pub struct WebSocketPlace {
    wire: Arc<Wire>,
    flow: Flow,
    receiver: Option<mpsc::Receiver<Bytes>>,
}

impl WebSocketPlace {
    /// Serves the connection until it is over. The handshake (subprotocol `sip`, no extensions) must have been answered.
    pub async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        if let Some(receiver) = self.receiver.take() {
            websocket::serve(self.wire.clone(), stream, self.flow, receiver).await;
        }
    }
}

impl std::fmt::Debug for WebSocketPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketPlace").field("peer", &self.flow.remote).finish()
    }
}

impl Drop for WebSocketPlace {
    fn drop(&mut self) {
        let connection = self.flow.connection;
        // Served or not: a task that is dropped half-way must leave nothing in the table, nor a call that waits for it.
        if self.wire.connections.close(connection) && self.receiver.is_none() {
            let _ = self.wire.input.try_send(Input::Closed(connection));
        }
    }
}

impl Sip {
    /// Loads the registrations, binds the sockets and starts. Calls come out of the receiver; one that is not taken
    /// from it in time (`Limits::incoming`) is refused with 503.
    pub async fn start(
        config: SipConfig,
        roster: Arc<dyn Roster>,
    ) -> Result<(Sip, mpsc::Receiver<Incoming>), SipError> {
        let config = Arc::new(config);
        let counters = Arc::new(Counters::default());
        let stop = CancellationToken::new();
        let access = Arc::new(Access::new(config.clone(), roster, counters.clone()));
        access.restore().await;
        let (input, inputs) = mpsc::channel(config.limits.backlog.max(1));
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (calls, incoming) = mpsc::channel(config.limits.incoming.max(1));
        let wire = Wire::open(&config, counters.clone(), input, stop.clone())
            .await
            .map_err(|error| SipError::Listen(error.to_string()))?;
        let core = Core::new(config.clone(), counters.clone(), wire.clone(), access.clone(), commands.clone(), calls);
        tokio::spawn(core.run(inputs, orders));
        let inner = Inner { config, counters, wire, access, commands, stop };
        Ok((Sip { inner: Arc::new(inner) }, incoming))
    }

    /// Where we listen.
    pub fn local_addrs(&self) -> LocalAddrs {
        LocalAddrs { udp: self.inner.wire.udp.iter().map(|(a, _)| *a).collect(), tcp: self.inner.wire.tcp.clone() }
    }

    /// Takes a place for a browser's connection; to be asked before its handshake is answered. `peer` is the browser's address,
    /// `secure` whether it came over TLS.
    ///
    /// # Errors
    /// [`SipError::Overloaded`] with too many connections in all or from one source (answer 503), [`SipError::Stopped`].
    pub fn admit_websocket(&self, peer: SocketAddr, secure: bool) -> Result<WebSocketPlace, SipError> {
        let wire = &self.inner.wire;
        if wire.stop.is_cancelled() {
            return Err(SipError::Stopped);
        }
        let transport = if secure { Transport::Wss } else { Transport::Ws };
        let known = self.inner.access.known.knows(peer.ip(), Instant::now());
        let (flow, receiver) = wire.websocket_flow(transport, peer, known).ok_or(SipError::Overloaded)?;
        Ok(WebSocketPlace { wire: wire.clone(), flow, receiver: Some(receiver) })
    }

    /// [`Sip::admit_websocket`] and [`WebSocketPlace::serve`] in one, for a stream whose handshake is done.
    ///
    /// # Errors
    /// Those of [`Sip::admit_websocket`]; the stream is dropped then.
    pub async fn serve_websocket(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        secure: bool,
    ) -> Result<(), SipError> {
        self.admit_websocket(peer, secure)?.serve(stream).await;
        Ok(())
    }

    /// Replaces the sources that no rate limit applies to (trunks): addresses with the length of their prefix. Blocks wider
    /// than /16 (IPv6: /32) stay strangers. Where calls go out to by [`Target::Uri`] is exempt anyway, for an hour.
    pub fn trust(&self, sources: impl IntoIterator<Item = (IpAddr, u8)>) {
        self.inner.wire.guard.trust(sources);
    }

    /// Removes the registrations of an endpoint (all of the account's: `None`) at once, stored ones too; returns how many
    /// there were. A REGISTER under way is asked for its password again, and what was proven on a browser's connection counts
    /// no more. Calls that are up go on.
    pub async fn revoke(&self, account: &str, endpoint: Option<&str>) -> usize {
        let gone = self.inner.access.revoke(account, endpoint).await;
        self.inner.wire.connections.disprove(account, endpoint);
        gone
    }

    /// The address that requests for `host` or `host:port` go to: static names first, then RFC 3263.
    ///
    /// # Errors
    /// A name that is malformed, local, or has no address.
    pub async fn locate(&self, authority: &str, transport: Transport) -> Result<SocketAddr, SipError> {
        let (host, port) = split_host_port(authority)
            .map_err(|why| SipError::Uri { uri: authority.chars().take(200).collect(), why: why.to_string() })?;
        dns::find(&self.inner.config, &host, port, transport).await
    }

    /// Every address that `host` or `host:port` has, at least one; see [`Sip::locate`].
    ///
    /// # Errors
    /// A name that is malformed, local, or has no address.
    pub async fn locate_all(&self, authority: &str, transport: Transport) -> Result<Vec<SocketAddr>, SipError> {
        let (host, port) = split_host_port(authority)
            .map_err(|why| SipError::Uri { uri: authority.chars().take(200).collect(), why: why.to_string() })?;
        dns::find_all(&self.inner.config, &host, port, transport).await
    }

    /// Places a call; returns as soon as the INVITE is on its way.
    pub async fn invite(&self, call: Outgoing) -> Result<Leg, SipError> {
        check_headers(&call.headers)?;
        for party in std::iter::once(&call.from).chain(&call.to).filter(|p| !p.host.is_empty()) {
            split_host_port(&party.host).map_err(|why| SipError::Uri {
                uri: party.host.escape_debug().take(200).collect(),
                why: why.to_string(),
            })?;
        }
        let placement = self.aim(call).await?;
        let (done, answer) = oneshot::channel();
        let command = Command::Invite(Box::new(placement), done);
        self.inner.commands.send(command).await.map_err(|_| SipError::Stopped)?;
        answer.await.map_err(|_| SipError::Stopped)?
    }

    async fn aim(&self, call: Outgoing) -> Result<Placement, SipError> {
        let config = &self.inner.config;
        let fault = |uri: &str, why: &dyn std::fmt::Display| SipError::Uri {
            uri: uri.chars().take(200).collect(),
            why: why.to_string(),
        };
        if let Target::Contact(contact) = &call.target {
            let (binding, flow) = (&contact.binding, contact.flow);
            let uri = binding.contact.clone();
            // A TCP phone whose connection is gone may still listen at its own Contact.
            let listens = Uri::parse(&uri).ok().filter(|u| u.ip() == Some(binding.source.ip()));
            let next_hop = match (binding.transport, listens) {
                (Transport::Tcp, Some(u)) => SocketAddr::new(binding.source.ip(), u.port.unwrap_or(5060)),
                _ => binding.source,
            };
            return Ok(Placement { transport: binding.transport, flow: Some(flow), next_hop, uri, call });
        }
        let Target::Uri(text) = &call.target else { return Err(SipError::Gone) };
        let uri = Uri::parse(text).map_err(|why| fault(text, &why))?;
        if uri.headers.is_some() {
            return Err(fault(text, &"it holds headers"));
        }
        if uri.secure {
            return Err(fault(text, &"sips needs TLS, which this server does not speak"));
        }
        let websocket = uri.param("transport").is_some_and(Transport::names_websocket);
        if websocket || call.transport.is_some_and(Transport::is_websocket) {
            return Err(fault(text, &"a browser is only reached by the contact it registered"));
        }
        let transport = call.transport.unwrap_or(if uri.wants_tcp() { Transport::Tcp } else { Transport::Udp });
        let local =
            |host: &str| config.local_domains.iter().any(|d| d.eq_ignore_ascii_case(host.trim_end_matches('.')));
        if local(&uri.host) {
            return Err(SipError::LocalDomain(uri.host));
        }
        let next_hop = match &call.route {
            Some(route) => {
                let (host, port) = split_host_port(route).map_err(|why| fault(route, &why))?;
                dns::find(config, &host, port, transport).await?
            }
            None => dns::find(config, &uri.host, uri.port, transport).await?,
        };
        self.inner.wire.guard.call(next_hop.ip(), Instant::now());
        Ok(Placement { uri: text.clone(), next_hop, transport, flow: None, call })
    }

    /// Contacts registered for a canonical address of record ([`crate::Credential::aor`]) that may be called, latest first.
    pub fn contacts(&self, aor: &str) -> Vec<Contact> {
        self.inner.access.registrar().ringing(aor, SystemTime::now())
    }

    /// Refuses new calls from now on (503, Retry-After); returns when the last dialog is gone.
    pub async fn drain(&self) {
        let _ = self.inner.commands.send(Command::Drain).await;
        self.idle().await;
    }

    async fn idle(&self) {
        let (done, idle) = oneshot::channel();
        if self.inner.commands.send(Command::Idle(done)).await.is_ok() {
            let _ = idle.await;
        }
    }

    /// Hangs up what is left, waits at most 4 s for the answers, and closes the sockets.
    pub async fn stop(&self) {
        let _ = self.inner.commands.send(Command::HangupAll).await;
        let _ = tokio::time::timeout(Duration::from_secs(4), self.idle()).await;
        self.inner.stop.cancel();
    }

    /// What was refused and what is alive.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }
}

impl std::fmt::Debug for Sip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sip").field("at", &self.local_addrs()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

//! A phone: registration, calls out, calls in.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::call::{Call, CallError, IncomingCall, incoming, outgoing};
use crate::codec::Codec;
use crate::media::{LineOptions, Mouth};
use crate::ua::dialog::{Authenticator, Dialog, exchange};
use crate::ua::endpoint::Endpoint;
use crate::ua::message::Response;
use crate::ua::token;
use crate::ua::transport::{Sockets, Transport};

/// Calls in that may wait to be fetched; further ones are answered 503.
const CALLS_WAITING: usize = 1_024;

/// Answer calls without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoAnswer {
    /// Ring so long first (zero: answer at once, without 180).
    pub after: Duration,
}

/// What a phone does wrong from the start of each call. Faults that can be switched later: [`Misbehave`](crate::media::Misbehave).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Write this address into session descriptions (a private one, as behind NAT, or a wrong one).
    pub sdp_ip: Option<IpAddr>,
    /// Write this RTP port into session descriptions.
    pub sdp_port: Option<u16>,
    /// Write this address into Contact.
    pub contact: Option<SocketAddr>,
    /// Send the first RTP packet so late.
    pub delay_first: Duration,
    /// Send RTP from a third port.
    pub other_port: bool,
    /// Leave out each n-th RTP packet.
    pub drop_every: Option<u32>,
    /// Send each n-th RTP packet twice.
    pub duplicate_every: Option<u32>,
}

/// What a phone does when it is asked to call somebody else (RFC 3515). It never calls him: it only says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnRefer {
    /// Refuses with this code.
    Refuse(u16),
    /// Accepts with 202 and reports these status codes, each once the one before is answered with 200; the last one ends the
    /// subscription. Without any it never reports.
    Accept(Vec<u16>),
}

/// A phone's configuration. [`PhoneConfig::new`] fills in what is usual.
#[derive(Debug, Clone)]
pub struct PhoneConfig {
    /// Where REGISTER and INVITE go: registrar and outbound proxy.
    pub server: SocketAddr,
    /// How.
    pub transport: Transport,
    /// Domain of the address of record.
    pub domain: String,
    /// User of the address of record.
    pub username: String,
    /// User in digests, if another.
    pub auth_username: Option<String>,
    /// Password.
    pub password: String,
    /// Name in From.
    pub display_name: Option<String>,
    /// Address to bind for SIP and media.
    pub bind: IpAddr,
    /// SIP port (0: any).
    pub port: u16,
    /// Codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// Offer telephone events (RFC 4733).
    pub telephone_events: bool,
    /// Answer by itself: such calls come from [`Phone::next_call`].
    pub auto_answer: Option<AutoAnswer>,
    /// What becomes of a REFER in a call.
    pub on_refer: OnRefer,
    /// What every call says from its first packet.
    pub mouth: Mouth,
    /// How long each ear keeps packets (zero: counts only).
    pub keep: Duration,
    /// Time between RTCP reports.
    pub rtcp_interval: Duration,
    /// SIP timer T1: first repeat; a request without answer fails after 64·T1.
    pub t1: Duration,
    /// User-Agent.
    pub user_agent: String,
    /// What it does wrong.
    pub faults: Faults,
}

impl PhoneConfig {
    /// UDP, 127.0.0.1, PCMU then PCMA, telephone events, silence, ten minutes of memory.
    pub fn new(server: SocketAddr, username: &str, password: &str) -> Self {
        Self {
            server,
            transport: Transport::Udp,
            domain: server.ip().to_string(),
            username: username.into(),
            auth_username: None,
            password: password.into(),
            display_name: None,
            bind: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            telephone_events: true,
            auto_answer: None,
            on_refer: OnRefer::Refuse(603),
            mouth: Mouth::Silence,
            keep: Duration::from_secs(600),
            rtcp_interval: Duration::from_secs(5),
            t1: Duration::from_millis(500),
            user_agent: concat!("aside-phone/", env!("CARGO_PKG_VERSION")).into(),
            faults: Faults::default(),
        }
    }
}

/// How one call out differs.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// Extra header fields of the INVITE.
    pub headers: Vec<(String, String)>,
    /// Send the INVITE here instead of to the server: phone to phone.
    pub to: Option<SocketAddr>,
    /// Other codecs than the phone's.
    pub codecs: Option<Vec<Codec>>,
    /// What is said from the first packet on.
    pub mouth: Option<Mouth>,
    /// INVITE without offer: the offer is in the 200 and the answer in the ACK.
    pub late_offer: bool,
    /// Support reliable provisional responses (RFC 3262): they are PRACKed.
    pub reliable: bool,
    /// User part of From, if another.
    pub from_user: Option<String>,
}

impl CallOptions {
    /// Only extra header fields.
    pub fn with_headers(headers: &[(&str, &str)]) -> Self {
        Self { headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), ..Self::default() }
    }
}

/// Why a phone did not start or register.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// No socket.
    #[error("cannot bind {address} for SIP: {source}; choose another address or port")]
    Bind {
        /// Wanted address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Registration refused.
    #[error("registration of {user} refused with {code} {reason}; check user name, password and domain")]
    Refused {
        /// User.
        user: String,
        /// Status code.
        code: u16,
        /// Reason phrase.
        reason: String,
    },
    /// No answer.
    #[error("no answer from {0} to REGISTER; is the server running and the transport right?")]
    NoAnswer(SocketAddr),
}

/// What the registrar granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Seconds until it ends; it is refreshed at 80 % of that.
    pub expires: u32,
    /// The 200.
    pub response: Response,
}

pub(crate) struct Context {
    pub config: PhoneConfig,
    pub endpoint: Endpoint,
    pub auth: Authenticator,
}

impl Context {
    pub(crate) fn contact(&self) -> String {
        let address = self.config.faults.contact.unwrap_or(self.endpoint.sockets().local());
        let transport = match self.config.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
        };
        format!("<sip:{}@{address}{transport}>", self.config.username)
    }

    pub(crate) fn line_options(&self, mouth: Option<Mouth>) -> LineOptions {
        let faults = &self.config.faults;
        LineOptions {
            ip: self.config.bind,
            keep: self.config.keep,
            cname: format!("{}@{}", self.config.username, self.config.bind),
            delay_first: faults.delay_first,
            other_port: faults.other_port,
            drop_every: faults.drop_every,
            duplicate_every: faults.duplicate_every,
            rtcp_interval: self.config.rtcp_interval,
            latch: false,
            mouth: mouth.unwrap_or_else(|| self.config.mouth.clone()),
        }
    }
}

/// A phone. Dropping it unplugs it: sockets close, nothing is said to anyone.
pub struct Phone {
    ctx: Arc<Context>,
    stop: CancellationToken,
    incoming: AsyncMutex<mpsc::Receiver<IncomingCall>>,
    calls: AsyncMutex<mpsc::Receiver<Call>>,
    registering: AsyncMutex<Dialog>,
    refresh: Mutex<CancellationToken>,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone")
            .field("user", &self.ctx.config.username)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Phone {
    /// Binds its sockets. It takes calls from now on; it registers when told.
    pub async fn start(config: PhoneConfig) -> Result<Self, PhoneError> {
        let stop = CancellationToken::new();
        let address = SocketAddr::new(config.bind, config.port);
        let bound = Sockets::bind(config.transport, address, stop.clone()).await;
        let (sockets, inbox) = bound.map_err(|source| PhoneError::Bind { address, source })?;
        let (invites_in, mut invites) = mpsc::channel(CALLS_WAITING);
        let endpoint = Endpoint::start(sockets, inbox, config.t1, stop.clone(), invites_in);
        let auth = Authenticator::new(config.auth_username.as_ref().unwrap_or(&config.username), &config.password);
        let auto = config.auto_answer;
        let ctx = Arc::new(Context { config, endpoint, auth });
        let (waiting, incoming_calls) = mpsc::channel(CALLS_WAITING);
        let (answered, calls) = mpsc::channel(CALLS_WAITING);
        let (taking, ending) = (Arc::clone(&ctx), stop.clone());
        tokio::spawn(async move {
            loop {
                let invite = tokio::select! {
                    () = ending.cancelled() => return,
                    i = invites.recv() => i,
                };
                let Some((request, transaction)) = invite else { return };
                let Some(call) = incoming(&taking, request, transaction) else { continue };
                match auto {
                    // A full queue drops the call, which rejects it.
                    None => drop(waiting.try_send(call)),
                    Some(auto) => drop(tokio::spawn(answer(call, auto, answered.clone()))),
                }
            }
        });
        let c = &ctx.config;
        let user = format!("<sip:{}@{}>", c.username, c.domain);
        let local_tag = token(10);
        let registering = Dialog {
            call_id: format!("{}@{}", token(24), c.bind),
            local: format!("{user};tag={local_tag}"),
            local_tag,
            remote: user,
            target: format!("sip:{}", c.domain),
            routes: Vec::new(),
            contact: ctx.contact(),
            cseq: Arc::new(AtomicU32::new(0)),
            fallback: c.server,
        };
        Ok(Self {
            ctx,
            stop,
            incoming: AsyncMutex::new(incoming_calls),
            calls: AsyncMutex::new(calls),
            registering: AsyncMutex::new(registering),
            refresh: Mutex::new(CancellationToken::new()),
        })
    }

    /// Its SIP address.
    pub fn address(&self) -> SocketAddr {
        self.ctx.endpoint.sockets().local()
    }

    /// A URI that reaches it directly.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", self.ctx.config.username, self.address())
    }

    /// Its configuration.
    pub fn config(&self) -> &PhoneConfig {
        &self.ctx.config
    }

    /// SIP messages discarded: malformed, or over a full queue.
    pub fn discarded(&self) -> u64 {
        self.ctx.endpoint.sockets().discarded()
    }

    /// Registers for `expiry` seconds and keeps it up in the background until [`unregister`](Self::unregister) or drop.
    pub async fn register(&self, expiry: u32) -> Result<Registration, PhoneError> {
        let granted = register(&self.ctx, &*self.registering.lock().await, expiry).await?;
        let stop = self.stop.child_token();
        std::mem::replace(&mut *self.refresh.lock().unwrap_or_else(PoisonError::into_inner), stop.clone()).cancel();
        let (ctx, dialog) = (Arc::clone(&self.ctx), self.registering.lock().await.clone());
        let mut expires = granted.expires;
        tokio::spawn(async move {
            loop {
                let wait = Duration::from_secs(u64::from(expires.max(1))) * 4 / 5;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                match register(&ctx, &dialog, expiry).await {
                    Ok(r) => expires = r.expires,
                    Err(error) => {
                        tracing::warn!(user = ctx.config.username, %error, "registration not refreshed; trying again");
                        expires = 5;
                    }
                }
            }
        });
        Ok(granted)
    }

    /// Removes the registration.
    pub async fn unregister(&self) -> Result<(), PhoneError> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        register(&self.ctx, &*self.registering.lock().await, 0).await.map(drop)
    }

    /// Calls a SIP URI; a bare user or number is completed with the domain. Returns once the INVITE is sent.
    pub fn call(&self, target: &str, options: CallOptions) -> Result<Call, CallError> {
        let target = if target.starts_with("sip:") || target.starts_with("sips:") || target.starts_with("tel:") {
            target.to_owned()
        } else {
            format!("sip:{target}@{}", self.ctx.config.domain)
        };
        outgoing(&self.ctx, &target, options)
    }

    /// The next call in that wants an answer (none arrive here with [`PhoneConfig::auto_answer`]). `None` after `timeout`.
    pub async fn incoming(&self, timeout: Duration) -> Option<IncomingCall> {
        let mut calls = self.incoming.lock().await;
        tokio::time::timeout(timeout, calls.recv()).await.ok().flatten()
    }

    /// The next call answered by [`PhoneConfig::auto_answer`]. `None` after `timeout`.
    pub async fn next_call(&self, timeout: Duration) -> Option<Call> {
        let mut calls = self.calls.lock().await;
        tokio::time::timeout(timeout, calls.recv()).await.ok().flatten()
    }

    /// Forgets the digest challenge it met: its next request goes out without credentials.
    pub fn forget_challenge(&self) {
        self.ctx.auth.forget();
    }

    /// Pulls the plug: no BYE, no unregistering; RTP and SIP stop at once.
    pub fn unplug(self) {
        drop(self);
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn answer(call: IncomingCall, auto: AutoAnswer, answered: mpsc::Sender<Call>) {
    if !auto.after.is_zero() {
        if call.ring().await.is_err() {
            return;
        }
        // Given up while it rang.
        if call.wait_cancelled(auto.after).await.is_ok() {
            return;
        }
    }
    match call.answer().await {
        Ok(call) => drop(answered.send(call).await),
        Err(error) => tracing::info!(%error, "call not answered"),
    }
}

async fn register(ctx: &Context, dialog: &Dialog, mut expiry: u32) -> Result<Registration, PhoneError> {
    let server = ctx.config.server;
    for _ in 0..2 {
        let mut request = dialog.request("REGISTER");
        request.headers.push("Contact", format!("{};expires={expiry}", dialog.contact));
        request.headers.push("Expires", expiry.to_string());
        request.headers.push("User-Agent", ctx.config.user_agent.clone());
        let done = exchange(&ctx.endpoint, &ctx.auth, &dialog.cseq, request, server).await;
        let (_, response) = done.ok_or(PhoneError::NoAnswer(server))?;
        let shortest = response.headers.get("Min-Expires").and_then(|v| v.parse::<u32>().ok());
        match (response.code, shortest) {
            (200..300, _) => {
                let of_contact = |v: &str| {
                    v.rsplit_once("expires=").and_then(|(_, n)| n.split([';', ',', '>']).next()?.trim().parse().ok())
                };
                // The registrar lists every binding; ours says what was granted to us.
                let address = ctx.config.faults.contact.unwrap_or(ctx.endpoint.sockets().local()).to_string();
                let bindings = response.headers.all("Contact").flat_map(|v| v.split(','));
                let ours = bindings.filter(|v| v.contains(&address)).find_map(of_contact);
                let stated = response.headers.get("Expires").and_then(|v| v.parse().ok());
                let expires = ours.or(stated).unwrap_or(expiry);
                return Ok(Registration { expires, response });
            }
            (423, Some(shortest)) if shortest > expiry => expiry = shortest,
            (code, _) => {
                return Err(PhoneError::Refused { user: ctx.config.username.clone(), code, reason: response.reason });
            }
        }
    }
    Err(PhoneError::Refused { user: ctx.config.username.clone(), code: 423, reason: "Interval Too Brief".into() })
}

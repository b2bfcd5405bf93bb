//! The running server: what it is made of, its start, and its end.

mod data_dir;
mod deadline;
mod front_door;
mod health;
mod jambonz_rest;
mod listen;
pub mod log;
mod metrics;
pub mod origin;
mod pages;
mod retention;
mod sip_socket;
pub mod source;
pub mod tls;
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::engine::{Engine, Parts};
use jambonz::Jambonz;
use media::{MediaError, MediaPlane};
use plivo::Plivo;
use serde::Serialize;
use store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::config::{Config, planes};
use crate::control::{ControlError, ControlSocket};
use crate::first_start::{Credentials, first_start};
use crate::manage::{By, Live, Manager, now};
pub use data_dir::{database_path, prepare as prepare_data_dir};
pub use front_door::load_or_make as front_door_authority;
use health::Health;
use metrics::Metrics;

/// Why the server did not start. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another server has the data directory.
    #[error(
        "another aside serves from {path}: stop it, or give this one a data directory of its own with [server] data_dir",
        path = path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory cannot be made or read.
    #[error("the data directory {path} cannot be used ({source}); check its owner and permissions", path = path.display())]
    DataDir {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Sound.
    #[error("the media plane did not start: {0}; see [media]")]
    Media(#[from] MediaError),
    /// Signalling.
    #[error("{0} ([sip] udp and tcp)")]
    Sip(#[from] sip::SipError),
    /// A web listener.
    #[error("{address} cannot be listened on ({source}); change {key} in the configuration")]
    Listen {
        /// Which key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Browsers' sound.
    #[error("WebRTC did not start: {0}; see [webrtc]")]
    Webrtc(#[from] webrtc::WebRtcError),
    /// The certificate of https.
    #[error("{path} cannot be used: {why}; see [http] tls_certificate and tls_key", path = path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The front door's or https' own certificates.
    #[error(transparent)]
    Authority(#[from] plivo::front_door::AuthorityError),
}

/// Where the server listens, with the real ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// The APIs and pages.
    pub api: SocketAddr,
    /// The same over TLS.
    pub https: Option<SocketAddr>,
    /// The front door.
    pub front_door: Option<SocketAddr>,
    /// SIP over UDP.
    pub sip_udp: Vec<SocketAddr>,
    /// SIP over TCP.
    pub sip_tcp: Vec<SocketAddr>,
}

/// A running server.
pub struct Server {
    addresses: Addresses,
    credentials: Option<Credentials>,
    store: Store,
    engine: Engine,
    api: Api,
    /// How long callbacks are sent at the end.
    drain: Duration,
    sip: sip::Sip,
    health: Arc<Health>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts everything. When it returns, calls and requests are taken.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        // Two TLS providers are linked; whoever comes first decides, and it may have been decided before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let data_dir = &config.server.data_dir;
        prepare_data_dir(data_dir)?;
        let store = Store::open(database_path(data_dir), planes::store(config)).map_err(|error| match error {
            StoreError::AlreadyOpen { .. } => StartError::InUse { path: data_dir.clone() },
            error => error.into(),
        })?;
        let started = Self::start_over(config, store.clone()).await;
        if started.is_err()
            && let Err(error) = store.shutdown().await
        {
            tracing::error!(%error, "the database could not be closed");
        }
        started
    }

    async fn start_over(config: &Config, store: Store) -> Result<Self, StartError> {
        let data_dir = &config.server.data_dir;
        let web = bind("[http] api", config.http.api).await?;
        let secured = match config.http.https {
            Some(asked) => Some((bind("[http] https", asked).await?, tls::of(config).await?)),
            None => None,
        };
        let door = front_door::open(config).await?;
        let control = ControlSocket::bind(data_dir)?;
        let credentials = first_start(&store, now()).await?;

        let (media, facts) = MediaPlane::start(planes::media(config))?;
        // The media plane's time is read first: no packet of a browser may seem to have come later than it did.
        let passed = media.now();
        let clock = Instant::now().checked_sub(passed).unwrap_or_else(Instant::now);
        let webrtc = planes::webrtc(config, clock).map(webrtc::WebRtc::start).transpose()?;
        let tickets = call::ticket::Tickets::default();
        let roster = call::roster::StoredRoster::new(store.clone(), planes::shared_domains(config), tickets.clone());
        let (sip, incoming) = sip::Sip::start(planes::sip(config), Arc::new(roster)).await?;
        let parts = Parts {
            store: store.clone(),
            media: media.clone(),
            facts,
            sip: sip.clone(),
            incoming,
            dialects: vec![
                Arc::new(Plivo::with_rooms_of(config.media.max_members_per_room)),
                Arc::new(jambonz_dialect(config, &sip)),
            ],
            webrtc: webrtc.clone(),
            tickets,
        };
        let engine = Engine::start(planes::engine(config), parts).await?;

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let shared_domains = planes::shared_domains(config);
        let carriers = engine.carriers().clone();
        let live = Live::new(sip.clone(), carriers.clone());
        let manager = Manager { store: store.clone(), shared_domains, live: Some(live), by: By::Operator };
        manager.trust_trunks().await;
        let found = carriers.clone();
        tasks.spawn(async move {
            if let Err(error) = found.find().await {
                tracing::warn!(%error, "the carriers of trunks were not looked up: they will be when somebody dials");
            }
        });
        tasks.spawn(control.serve(manager.clone(), stop.clone()));
        let health = Arc::new(Health::new(store.clone(), media.clone(), sip.clone(), engine.clone()));
        let jambonz = jambonz_rest::api(config, &engine, &manager);
        let api = Api::new(engine.clone(), manager.for_accounts(), config, stop.clone());
        let rate =
            plivo::Rate { burst: config.plivo.rate_burst, window: Duration::from_secs(config.plivo.rate_window_s) };
        let plivo = plivo::Api::new(Arc::new(engine.clone()), Arc::new(store.clone()), rate);
        let plivo = Arc::new(plivo.with_rooms_of(config.media.max_members_per_room));
        let dialects = web::Dialects { plivo: Arc::clone(&plivo), jambonz };
        let socket = config
            .webrtc
            .enabled
            .then(|| sip_socket::SipSocket::new(sip.clone(), origin::Origins::new(&config.http.origins)));
        let counts = Arc::new(listen::ListenCounts::default());
        let parts = metrics::Parts {
            engine: engine.clone(),
            media,
            sip: sip.clone(),
            webrtc,
            api: api.clone(),
            socket: socket.clone(),
            listeners: Arc::clone(&counts),
        };
        let metrics = config.metrics.enabled.then(|| Arc::new(Metrics::new(parts, &dialects, config.metrics.accounts)));
        let addresses = Addresses {
            api: address_of(&web, config.http.api),
            https: secured.as_ref().zip(config.http.https).map(|((listener, _), asked)| address_of(listener, asked)),
            front_door: door.as_ref().map(|door| address_of(&door.listener, door.asked)),
            sip_udp: sip.local_addrs().udp,
            sip_tcp: sip.local_addrs().tcp,
        };
        let router = web::router(&api, dialects, Arc::clone(&health), metrics, socket, config.http.body_bytes);
        let limits = listen::ListenLimits {
            connections: config.http.connections,
            header_timeout: Duration::from_secs(config.http.header_timeout_s),
            body_timeout: Duration::from_secs(config.http.body_timeout_s),
            write_timeout: Duration::from_secs(config.http.write_timeout_s),
        };
        let proxies = config.http.forwarded_by.iter().filter_map(|text| call::http::Network::parse(text));
        let sources = source::Sources::new(config.http.connections_per_source, proxies);
        let listener = |listener, tls| listen::Listener {
            listener,
            limits,
            sources: sources.clone(),
            tls,
            counts: Arc::clone(&counts),
        };
        tasks.spawn(listen::serve(listener(web, None), router.clone(), stop.clone()));
        if let Some((https, tls)) = secured {
            tasks.spawn(listen::serve(listener(https, Some(Arc::clone(&tls.config))), router, stop.clone()));
            tasks.spawn(tls.keep(stop.clone()));
        }
        if let Some(door) = door {
            tasks.spawn(door.serve(web::front_door_router(plivo), stop.clone()));
        }
        tasks.spawn(retention::run(store.clone(), config.store.keep_days, stop.clone()));
        tracing::info!(
            api = %addresses.api,
            https = ?addresses.https,
            front_door = ?addresses.front_door,
            sip_udp = ?addresses.sip_udp,
            sip_tcp = ?addresses.sip_tcp,
            "aside is ready"
        );
        let drain = Duration::from_secs(config.outbox.stop_wait_s);
        Ok(Self { addresses, credentials, store, engine, api, drain, sip, health, stop, tasks })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What was made at the first start, once; to be shown to the operator and nobody else.
    pub fn take_credentials(&mut self) -> Option<Credentials> {
        self.credentials.take()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The native API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Stops: no new calls from now on, up to `wait` for the live ones, then they are hung up; what is owed is recorded and
    /// sent as far as it goes, and the database closed.
    pub async fn stop(self, wait: Duration) {
        tracing::info!(wait_s = wait.as_secs(), "stopping: no new calls are taken");
        self.health.stopping();
        let shutdown = self.engine.shutdown(wait);
        tokio::pin!(shutdown);
        // Whatever holds a call up must not hold the end up.
        if tokio::time::timeout(wait + self.drain + STUBBORN, &mut shutdown).await.is_err() {
            tracing::warn!("calls would not end; their dialogs are hung up");
            self.sip.stop().await;
            let _ = tokio::time::timeout(self.drain + STUBBORN, shutdown).await;
        }
        self.sip.stop().await;
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(LAST_REQUESTS, self.tasks.wait()).await.is_err() {
            tracing::warn!("requests under way were cut off");
        }
        match self.store.shutdown().await {
            Ok(()) => tracing::info!("stopped"),
            Err(error) => tracing::error!(%error, "the database could not be closed cleanly"),
        }
    }
}

/// How much longer than asked the engine may take to end calls and finish requests.
const STUBBORN: Duration = Duration::from_secs(25);
/// How long requests under way may take when everything else has ended.
const LAST_REQUESTS: Duration = Duration::from_secs(6);

/// The dialect, which tells programs where signalling is.
fn jambonz_dialect(config: &Config, sip: &sip::Sip) -> Jambonz {
    let dialect = Jambonz::with_rooms_of(config.media.max_members_per_room);
    let bound = sip.local_addrs().udp.first().copied();
    match (bound, config.sip.external_ip) {
        (Some(bound), Some(ip)) => dialect.with_sip_address(SocketAddr::new(ip, bound.port()).to_string()),
        (Some(bound), None) if !bound.ip().is_unspecified() => dialect.with_sip_address(bound.to_string()),
        _ => dialect,
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

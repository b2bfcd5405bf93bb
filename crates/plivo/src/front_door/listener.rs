//! The listener.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::uri::Authority as HostAndPort;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, upgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::API_HOST;
use crate::connection::Watched;

/// Bounds of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; further ones are closed at once.
    pub connections: usize,
    /// Longest time for a TLS handshake, and for the first byte before it.
    pub handshake: Duration,
    /// Longest time for the head of a request, also between two requests.
    pub head: Duration,
    /// Largest head, in bytes.
    pub head_bytes: usize,
    /// Most headers.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            head_bytes: 32 * 1024,
            headers: 100,
        }
    }
}

/// What a front door needs.
#[derive(Clone)]
pub struct FrontDoor {
    /// Certificate and key.
    pub tls: Arc<ServerConfig>,
    /// Who answers: [`crate::router`], with whatever else the server offers.
    pub router: Router,
    /// Host names, besides `api.plivo.com`, for which it answers.
    pub names: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

struct Shared {
    door: FrontDoor,
    acceptor: TlsAcceptor,
    open: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

/// How long open requests may take after the shutdown began.
const GRACE: Duration = Duration::from_secs(5);

/// Answers on `listener` until `shutdown` resolves, then finishes what is under way, for 5 s at most.
///
/// # Errors
/// The listener's own, if it cannot accept any longer. Errors of single connections end those alone.
pub async fn serve(
    listener: TcpListener,
    door: FrontDoor,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let connections = door.limits.connections.max(1);
    let open = Arc::new(Semaphore::new(connections));
    let shared =
        Arc::new(Shared { acceptor: TlsAcceptor::from(door.tls.clone()), door, open: open.clone(), stop: stopped });
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, or the peer is gone already: neither ends the listener.
                    tracing::warn!(%error, "the front door could not accept a connection");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let Ok(permit) = shared.open.clone().try_acquire_owned() else {
            tracing::warn!(connections, "the front door has as many connections as it may have; one more was closed");
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            connection(shared, stream).await;
            drop(permit);
        });
    }
    drop(listener);
    stop.send_replace(true);
    // All permits are back when all connections are gone.
    let all = u32::try_from(connections).unwrap_or(u32::MAX);
    let _ = timeout(GRACE, open.acquire_many(all)).await;
    Ok(())
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut first = [0u8];
    match timeout(shared.door.limits.handshake, stream.peek(&mut first)).await {
        // A TLS handshake begins with this byte, no HTTP request does.
        Ok(Ok(1)) if first == [0x16] => secure(shared, stream).await,
        Ok(Ok(1)) => plain(shared, stream).await,
        _ => {}
    }
}

async fn secure<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(shared: Arc<Shared>, stream: S) {
    match timeout(shared.door.limits.handshake, shared.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let (stream, connection) = Watched::new(stream);
            let service = TowerToHyperService::new(shared.door.router.clone().map_request(
                move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(connection.clone());
                    request.map(Body::new)
                },
            ));
            let served = http(&shared).serve_connection(TokioIo::new(stream), service);
            until_stopped(&shared, served, http1::Connection::graceful_shutdown).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake at the front door failed; does the client trust the local authority?")
        }
        Err(_) => tracing::debug!("a TLS handshake at the front door took too long"),
    }
}

async fn plain(shared: Arc<Shared>, stream: TcpStream) {
    let of_requests = shared.clone();
    let (stream, connection) = Watched::new(stream);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let shared = of_requests.clone();
        request.extensions_mut().insert(connection.clone());
        async move { Ok::<_, Infallible>(ask(shared, request).await) }
    });
    let served = http(&shared).serve_connection(TokioIo::new(stream), service).with_upgrades();
    until_stopped(&shared, served, http1::UpgradeableConnection::graceful_shutdown).await;
}

fn http(shared: &Shared) -> http1::Builder {
    let limits = &shared.door.limits;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes.max(8192))
        .max_headers(limits.headers);
    builder
}

async fn until_stopped<C, E>(shared: &Shared, connection: C, finish: impl FnOnce(std::pin::Pin<&mut C>))
where
    C: Future<Output = Result<(), E>>,
{
    let mut stop = shared.stop.clone();
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(&mut stop) => {
            finish(connection.as_mut());
            let _ = connection.await;
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the listener is gone, which is the same.
    drop(stop.wait_for(|stopped| *stopped).await);
}

/// A request in clear: a tunnel, or one for a proxy, or an ordinary one.
async fn ask(shared: Arc<Shared>, mut request: Request<Incoming>) -> Response {
    if request.method() == Method::CONNECT {
        return match request.uri().authority().cloned() {
            Some(place) if shared.answers_for(place.host()) && place.port_u16() == Some(443) => {
                tokio::spawn(tunnel(shared, request));
                StatusCode::OK.into_response()
            }
            Some(place) => refusal(&place),
            None => refusal_text(StatusCode::BAD_REQUEST, "CONNECT needs a host and a port".to_owned()),
        };
    }
    if let Some(place) = request.uri().authority().cloned() {
        if !shared.answers_for(place.host()) {
            return refusal(&place);
        }
        // From here on it is as if it had been asked directly.
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        match target.parse::<Uri>() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return refusal_text(StatusCode::BAD_REQUEST, "the target of the request is broken".to_owned()),
        }
    }
    match shared.door.router.clone().oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn tunnel(shared: Arc<Shared>, mut request: Request<Incoming>) {
    // The connection that becomes the tunnel gives its place back; the tunnel needs one of its own.
    let Ok(permit) = shared.open.clone().try_acquire_owned() else { return };
    if let Ok(Ok(upgraded)) = timeout(shared.door.limits.handshake, upgrade::on(&mut request)).await {
        secure(shared, TokioIo::new(upgraded)).await;
    }
    drop(permit);
}

impl Shared {
    fn answers_for(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        host.eq_ignore_ascii_case(API_HOST) || self.door.names.iter().any(|name| host.eq_ignore_ascii_case(name))
    }
}

fn refusal(place: &HostAndPort) -> Response {
    refusal_text(
        StatusCode::FORBIDDEN,
        format!(
            "{place} cannot be reached through this server: it stands in for {API_HOST}:443 and is no proxy for other places. Set the proxy variable for the \
             program that uses the SDK alone, name other hosts in no_proxy, or point {API_HOST} at this server in the hosts file instead."
        ),
    )
}

fn refusal_text(status: StatusCode, words: String) -> Response {
    let body = serde_json::json!({ "api_id": uuid::Uuid::new_v4().to_string(), "error": words }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

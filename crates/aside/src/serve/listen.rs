//! HTTP listeners with limits: connections at once, of all and of one source, time for a request's head and for its body, and
//! an end that lets requests finish.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::map_request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use plivo::connection::Watched;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest head of a request, bytes.
const HEAD: usize = 64 * 1024;

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Connections of one source address at once; further ones are closed.
    pub connections_per_source: usize,
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
}

/// Serves `app` until `stop`; then requests under way are finished, and it returns.
pub async fn serve(listener: TcpListener, app: Router, limits: ListenLimits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let sources = Sources { most: limits.connections_per_source, held: Arc::default() };
    let connections = TaskTracker::new();
    let app = app.layer(map_request(move |request: Request| {
        std::future::ready(request.map(|body| Body::new(Punctual::new(body, limits.body_timeout))))
    }));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, ip, place)) = accepted else { continue };
        let Some(source) = sources.take(ip) else {
            tracing::debug!(%ip, "too many HTTP connections of one source; see [http] connections_per_source");
            continue;
        };
        // Small answers leave at once; a socket that refuses the option works all the same.
        let _ = stream.set_nodelay(true);
        let app = TowerToHyperService::new(app.clone());
        let (stream, connection) = Watched::new(stream);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(connection.clone());
            app.call(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(HEAD);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let stop = stop.clone();
        connections.spawn(async move {
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            drop((place, source));
        });
    }
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => Some((stream, from.ip().to_canonical(), place)),
        Err(error) => {
            // Out of file descriptors, mostly: it passes when connections close.
            tracing::warn!(%error, "an HTTP connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// How many connections each source has. Sources without any are forgotten.
#[derive(Clone)]
struct Sources {
    most: usize,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of a source.
struct SourcePlace {
    ip: IpAddr,
    sources: Sources,
}

impl Sources {
    fn take(&self, ip: IpAddr) -> Option<SourcePlace> {
        let ip = network_of(ip);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(ip).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(SourcePlace { ip, sources: self.clone() })
    }
}

/// An IPv6 source is its /64: one machine has all of it.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for SourcePlace {
    fn drop(&mut self) {
        let mut held = self.sources.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.ip);
            }
        }
    }
}

/// A body that must have come within a time.
struct Punctual {
    body: Body,
    over: Pin<Box<Sleep>>,
}

impl Punctual {
    fn new(body: Body, within: Duration) -> Self {
        Self { body, over: Box::pin(tokio::time::sleep(within)) }
    }
}

impl HttpBody for Punctual {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.over.as_mut().poll(context).is_ready() {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the body of the request did not come in time");
            return Poll::Ready(Some(Err(axum::Error::new(late))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

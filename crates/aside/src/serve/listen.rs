//! HTTP listeners with limits: connections at once, of all and of one source, time for a TLS handshake, for a request's head and for
//! its body, time that an answer may lie unread, and an end that lets requests finish.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::map_request;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use plivo::connection::Watched;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::WriteDeadline;
use super::source::{Source, SourcePlace, Sources, forwarded_over_tls};
use crate::api::Problem;

/// Longest head of a request, bytes.
const HEAD: usize = 64 * 1024;

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long a TLS handshake, and then a request's head, may take.
    pub header_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long an answer may lie unread.
    pub write_timeout: Duration,
}

/// What listeners count.
#[derive(Debug, Default)]
pub struct ListenCounts {
    /// Connections and proxied requests of sources that have too many.
    pub over_source_limit: AtomicU64,
    /// TLS handshakes that failed.
    pub handshakes_failed: AtomicU64,
    /// Connections ended because the client did not read.
    pub unread: Arc<AtomicU64>,
}

/// A listener.
pub struct Listener {
    /// Where connections come.
    pub listener: TcpListener,
    /// Its limits.
    pub limits: ListenLimits,
    /// Those of one source, over all listeners.
    pub sources: Sources,
    /// With TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// What becomes of connections.
    pub counts: Arc<ListenCounts>,
}

/// What a connection needs.
struct Served {
    app: Router,
    limits: ListenLimits,
    sources: Sources,
    counts: Arc<ListenCounts>,
    stop: CancellationToken,
}

/// Serves `app` until `stop`; then requests under way are finished, and it returns.
pub async fn serve(listener: Listener, app: Router, stop: CancellationToken) {
    let Listener { listener, limits, sources, tls, counts } = listener;
    let places = Arc::new(Semaphore::new(limits.connections));
    let acceptor = tls.map(TlsAcceptor::from);
    let connections = TaskTracker::new();
    let app = app.layer(map_request(move |request: Request| {
        std::future::ready(request.map(|body| Body::new(Punctual::new(body, limits.body_timeout))))
    }));
    let served = Arc::new(Served { app, limits, sources, counts, stop });
    loop {
        let accepted = tokio::select! {
            () = served.stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, from, place)) = accepted else { continue };
        // A proxy has as many as it needs: those whose requests it passes on are counted each.
        let proxied = served.sources.is_proxy(from.ip());
        let source = if proxied { None } else { served.sources.take(from.ip()) };
        if source.is_none() && !proxied {
            served.counts.over_source_limit.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(ip = %from.ip(), "too many HTTP connections of one source; see [http] connections_per_source");
            continue;
        }
        // Small answers leave at once; a socket that refuses the option works all the same.
        let _ = stream.set_nodelay(true);
        let (served, acceptor) = (Arc::clone(&served), acceptor.clone());
        connections.spawn(async move {
            let stream = WriteDeadline::new(stream, served.limits.write_timeout, Arc::clone(&served.counts.unread));
            match acceptor {
                None => served.connection(stream, from, false).await,
                Some(acceptor) => served.secured(acceptor, stream, from).await,
            }
            drop((place, source));
        });
    }
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => Some((stream, SocketAddr::new(from.ip().to_canonical(), from.port()), place)),
        Err(error) => {
            // Out of file descriptors, mostly: it passes when connections close.
            tracing::warn!(%error, "an HTTP connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

impl Served {
    async fn secured<S>(&self, acceptor: TlsAcceptor, stream: S, from: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = tokio::time::timeout(self.limits.header_timeout, acceptor.accept(stream));
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return,
            shaken = handshake => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => self.connection(stream, from, true).await,
            Ok(Err(error)) => {
                self.counts.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, ip = %from.ip(), "a TLS handshake failed");
            }
            Err(_) => {
                self.counts.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(ip = %from.ip(), "a TLS handshake took too long");
            }
        }
    }

    async fn connection<S>(&self, stream: S, from: SocketAddr, secure: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let app = TowerToHyperService::new(self.app.clone());
        let (stream, connection) = Watched::new(stream);
        let proxied = self.sources.is_proxy(from.ip());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let source = match proxied {
                false => Some(Source { address: from, secure, place: None }),
                true => self.passed_on(request.headers(), from, secure),
            };
            let place = source.as_ref().and_then(|source| source.place.clone());
            request.extensions_mut().insert(connection.clone());
            let answering = source.map(|source| {
                request.extensions_mut().insert(source);
                app.call(request)
            });
            async move {
                let Some(answering) = answering else { return Ok(too_many()) };
                let response = answering.await?;
                // It counts until its answer is given, a stream until it ends.
                let counted = |body| Body::new(Counted { body, _place: place });
                Ok::<Response, std::convert::Infallible>(response.map(counted))
            }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.header_timeout).max_buf_size(HEAD);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    }

    /// The source of a request that a proxy passed on, if it has a place. A proxy that names nobody asks for itself.
    fn passed_on(&self, headers: &axum::http::HeaderMap, proxy: SocketAddr, secure: bool) -> Option<Source> {
        let secure = secure || forwarded_over_tls(headers);
        let Some(ip) = self.sources.client(headers) else {
            return Some(Source { address: proxy, secure, place: None });
        };
        let place: Option<SourcePlace> = self.sources.take(ip);
        if place.is_none() {
            self.counts.over_source_limit.fetch_add(1, Ordering::Relaxed);
        }
        Some(Source { address: SocketAddr::new(ip, proxy.port()), secure, place: Some(Arc::new(place?)) })
    }
}

fn too_many() -> Response {
    let detail = "too many requests of one source at once; see [http] connections_per_source";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response()
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

/// A body whose request is counted until it is over.
struct Counted {
    body: Body,
    _place: Option<Arc<SourcePlace>>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

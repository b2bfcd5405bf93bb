//! SIP over WebSocket (RFC 7118). The HTTP server has done the handshake; here every WebSocket message is one SIP message.
//!
//! A connection has an allowance of its own, for many browsers share one address; whoever exceeds it waits, and nobody else
//! does. Reading, writing and pinging happen in one task: who does not read is not listened to either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::config::Limits;
use crate::parse::websocket_message;
use crate::transport::{Flow, Input, Wire};

/// Bytes read at once.
const READ_BUFFER: usize = 4_096;
/// Bytes that may wait in a connection's buffer: the largest message we send, and control frames.
const WRITE_BUFFER: usize = 1 << 20;
/// Time for saying why a connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Peer,
    Broken,
    TooLarge,
    Unproven,
    Silent,
    Slow,
    /// The core gave it up: it was counted there.
    Forgotten,
    Stopped,
}

impl End {
    fn code(self) -> Option<(CloseCode, &'static str)> {
        match self {
            End::TooLarge => Some((CloseCode::Size, "message is larger than the limit")),
            End::Unproven => Some((CloseCode::Policy, "nobody registered or called here")),
            End::Broken => Some((CloseCode::Protocol, "not a WebSocket frame")),
            End::Stopped => Some((CloseCode::Away, "the server is stopping")),
            End::Peer | End::Silent | End::Slow | End::Forgotten => None,
        }
    }
}

/// What a connection may send: a token bucket that runs into debt and says how long that takes to pay.
struct Allowance {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Allowance {
    fn new(limits: &Limits, now: Instant) -> Allowance {
        let burst = limits.websocket_burst.max(1.0);
        Allowance { rate: limits.websocket_rate.max(0.001), burst, tokens: burst, at: now }
    }

    /// Takes a token; `Some`: nothing more should be read for so long.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        (self.tokens, self.at) = ((self.tokens + gained).min(self.burst) - 1.0, now);
        (self.tokens < 0.0).then(|| Duration::from_secs_f64((-self.tokens / self.rate).min(60.0)))
    }
}

/// Serves a connection until it is over.
pub(crate) async fn serve<S>(wire: Arc<Wire>, stream: S, flow: Flow, receiver: mpsc::Receiver<Bytes>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let most = Some(wire.limits.message_bytes);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(most)
        .max_frame_size(most);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    wire.counters.websockets_served.add();
    let end = converse(&wire, &mut socket, &flow, receiver).await;
    let counters = &wire.counters;
    // One that the core gave up for too many unread messages was counted by that.
    let first = wire.connections.is_open(flow.connection);
    match end {
        End::Peer => counters.websockets_ended.add(),
        End::Broken => counters.websockets_broken.add(),
        End::TooLarge => counters.websockets_too_large.add(),
        End::Unproven => counters.websockets_unproven.add(),
        End::Silent => counters.websockets_silent.add(),
        End::Slow if first => counters.websockets_slow.add(),
        End::Slow | End::Forgotten | End::Stopped => {}
    }
    wire.close(flow.connection).await;
    if let Some((code, reason)) = end.code() {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let _ = timeout(FAREWELL, socket.close(Some(frame))).await;
    }
}

async fn converse<S>(
    wire: &Wire,
    socket: &mut WebSocketStream<S>,
    flow: &Flow,
    mut receiver: mpsc::Receiver<Bytes>,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &wire.limits;
    let began = Instant::now();
    let mut allowance = Allowance::new(limits, began);
    let (mut heard, mut pinged) = (began, began);
    let mut proof_due = Some(began + limits.websocket_unproven);
    let mut resume: Option<Instant> = None;
    loop {
        let ping_due = heard.max(pinged) + limits.websocket_ping;
        // Who is kept waiting is not silent.
        let silent_at = resume.unwrap_or(heard).max(heard) + limits.websocket_idle;
        let due = [Some(ping_due), Some(silent_at), proof_due, resume].into_iter().flatten().min().unwrap_or(ping_due);
        tokio::select! {
            biased;
            () = wire.stop.cancelled() => return End::Stopped,
            () = sleep_until(due.into()) => {
                let now = Instant::now();
                if resume.is_some_and(|at| at <= now) {
                    resume = None;
                    // Its silence was our doing.
                    heard = now;
                }
                if proof_due.is_some_and(|at| at <= now) {
                    proof_due = None;
                    if !wire.connections.is_proven(flow.connection) {
                        return End::Unproven;
                    }
                }
                if silent_at <= now {
                    return End::Silent;
                }
                if ping_due <= now {
                    pinged = now;
                    if let Err(end) = send(socket, Message::Ping(Bytes::new()), limits).await {
                        return end;
                    }
                }
            }
            queued = receiver.recv() => match queued {
                None => return End::Forgotten,
                Some(bytes) => {
                    if let Err(end) = send(socket, written(bytes), limits).await {
                        return end;
                    }
                }
            },
            came = socket.next(), if resume.is_none() => {
                let message = match came {
                    Some(Ok(Message::Close(_))) | None => return End::Peer,
                    Some(Ok(message)) => message,
                    Some(Err(error)) => return fault(&error),
                };
                heard = Instant::now();
                if let Message::Text(_) | Message::Binary(_) = &message
                    && !take(wire, flow, &message.into_data()).await
                {
                    return End::Stopped;
                }
                if let Some(wait) = allowance.take(Instant::now()) {
                    wire.counters.websockets_delayed.add();
                    resume = Some(Instant::now() + wait);
                }
            }
        }
    }
}

/// Browsers take text; a body that is none needs a binary message (RFC 7118 §4.2).
fn written(bytes: Bytes) -> Message {
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}

async fn send<S>(socket: &mut WebSocketStream<S>, message: Message, limits: &Limits) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(limits.websocket_write, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(fault(&error)),
        Err(_) => Err(End::Slow),
    }
}

fn fault(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::TooLarge,
        // Most browsers that go away do not say so.
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing) => End::Peer,
        _ => End::Broken,
    }
}

/// Hands a message to the core; `false` if there is none any more.
async fn take(wire: &Wire, flow: &Flow, data: &[u8]) -> bool {
    if data.iter().all(|b| matches!(b, b'\r' | b'\n')) {
        // RFC 5626 §3.5.1: a double CRLF is a ping, a single one its pong.
        if data == b"\r\n\r\n" {
            wire.connections.send(flow.connection, Bytes::from_static(b"\r\n"));
        }
        return true;
    }
    match websocket_message(data, flow.remote, &wire.limits) {
        Ok(message) => {
            wire.counters.messages_in.add();
            wire.input.send(Input::Message(message, *flow)).await.is_ok()
        }
        Err(fault) => {
            wire.refuse(fault, flow);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_spent_at_once_and_then_costs_time() {
        let now = Instant::now();
        let limits = Limits { websocket_rate: 10.0, websocket_burst: 3.0, ..Limits::default() };
        let mut allowance = Allowance::new(&limits, now);
        assert!((0..3).all(|_| allowance.take(now).is_none()));
        let wait = allowance.take(now).unwrap();
        assert!((0.099..0.101).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(allowance.take(now + wait + Duration::from_millis(101)).is_none());
    }
}

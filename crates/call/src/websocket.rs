//! WebSockets to programs' servers (RFC 6455), under the same rules as every other request: the name is resolved once, and
//! the connection goes to what was checked.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use url::Url;

use crate::http::{Http, HttpError, host_of, shown};
use crate::verb::BasicAuth;

/// Most redirects that are followed.
const MOST_REDIRECTS: usize = 2;
/// Longest time for the farewell.
const FAREWELL: Duration = Duration::from_secs(3);
/// Bytes that are read at once.
const READ_BUFFER: usize = 8 * 1024;
/// What a message costs beside its bytes while it waits.
const MESSAGE_COST: usize = 64;

/// How a WebSocket is opened.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// `ws`, `wss`, `http` or `https` URL; its fragment is not sent.
    pub url: &'a str,
    /// The subprotocol that is offered. A server that chooses none is taken; one that chooses another is not.
    pub subprotocol: &'a str,
    /// Credentials, for the URL's own server: they are not sent where it redirects to another one.
    pub auth: Option<&'a BasicAuth>,
    /// Longest time for the name, the connection, redirects and the handshake together.
    pub timeout: Duration,
    /// Longest message that is taken, bytes.
    pub largest: usize,
    /// Bytes that may wait to be sent, beside the message that is on its way.
    pub room: usize,
    /// A peer that takes nothing of what it is sent for this long is gone.
    pub stall: Duration,
    /// A peer that is silent for this long is pinged; after as long again it is gone.
    pub silence: Duration,
}

impl<'a> Opening<'a> {
    /// 1.5 s to open, messages of at most 256 KiB, 1 MiB to wait, 5 s until something is taken, 20 s of silence.
    pub fn new(url: &'a str, subprotocol: &'a str) -> Self {
        Self {
            url,
            subprotocol,
            auth: None,
            timeout: Duration::from_millis(1_500),
            largest: 256 * 1024,
            room: 1024 * 1024,
            stall: Duration::from_secs(5),
            silence: Duration::from_secs(20),
        }
    }
}

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// It is over: the close code of the other side (1005 if it closed without one); `None` if the connection was lost, the
    /// other side broke the rules, took nothing for too long, or did not answer a ping.
    Closed(Option<u16>),
}

/// There is no room for another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes wait to be sent already; the other side takes them too slowly")]
pub struct Full(pub usize);

impl Http {
    /// Opens a WebSocket.
    ///
    /// # Errors
    /// As for any request; [`HttpError::Status`] and [`HttpError::NoWebSocket`] if the server does not open one.
    pub async fn websocket(&self, opening: &Opening<'_>) -> Result<WebSocket, HttpError> {
        let url = self.web_address(opening.url)?;
        let late = || HttpError::Timeout { host: host_of(&url), limit: opening.timeout };
        tokio::time::timeout(opening.timeout, self.open(url.clone(), opening)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn open(&self, mut url: Url, opening: &Opening<'_>) -> Result<WebSocket, HttpError> {
        let home = url.origin();
        for _ in 0..=MOST_REDIRECTS {
            let key = generate_key();
            let headers = [
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", &key),
                ("Sec-WebSocket-Protocol", opening.subprotocol),
            ];
            let auth = opening.auth.filter(|_| url.origin() == home);
            let response = self.switch(&url, &headers, auth, opening.timeout).await?;
            let status = response.status();
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            if status == 101 {
                let refuse = |problem| HttpError::NoWebSocket { host: host_of(&url), problem };
                check(&header, &key, opening.subprotocol).map_err(refuse)?;
                let upgraded = response.upgrade().await;
                let upgraded = upgraded.map_err(|_| refuse("the connection ended during the handshake"))?;
                return Ok(WebSocket::over(upgraded, opening).await);
            }
            match header("location").filter(|_| status.is_redirection()) {
                Some(location) => {
                    let next = url.join(location).map_err(|_| HttpError::BadUrl { url: shown(location) })?;
                    url = self.web_address(next.as_str())?;
                }
                None => return Err(HttpError::Status { host: host_of(&url), status: status.as_u16() }),
            }
        }
        Err(HttpError::Redirected { host: host_of(&url) })
    }

    /// The URL of the request that opens a WebSocket, checked as far as it can be without asking.
    fn web_address(&self, url: &str) -> Result<Url, HttpError> {
        let (scheme, rest) = url.split_once(':').ok_or_else(|| HttpError::BadUrl { url: shown(url) })?;
        match scheme.to_ascii_lowercase().as_str() {
            "ws" => self.check(&format!("http:{rest}")),
            "wss" => self.check(&format!("https:{rest}")),
            _ => self.check(url),
        }
    }
}

/// Whether the answer opens what was asked for (RFC 6455, section 4.1).
fn check<'a>(header: &impl Fn(&str) -> Option<&'a str>, key: &str, subprotocol: &str) -> Result<(), &'static str> {
    let is = |name, word: &str| {
        let mut words = header(name).unwrap_or_default().split(',');
        words.any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    if !is("upgrade", "websocket") || !is("connection", "upgrade") {
        return Err("it switches to another protocol");
    }
    if header("sec-websocket-accept").map(str::trim) != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err("its Sec-WebSocket-Accept does not fit the key");
    }
    if header("sec-websocket-protocol").is_some_and(|chosen| chosen.trim() != subprotocol) {
        return Err("it chooses a subprotocol that was not offered");
    }
    if header("sec-websocket-extensions").is_some() {
        return Err("it chooses an extension, and none was offered");
    }
    Ok(())
}

/// An open WebSocket. Messages wait in it until [`WebSocket::next`] or [`WebSocket::sent`] is polled; dropping it cuts the
/// connection.
pub struct WebSocket {
    stream: WebSocketStream<reqwest::Upgraded>,
    waiting: VecDeque<Message>,
    /// What of `room` they take.
    taken: usize,
    room: usize,
    /// Something was handed over to be sent and may not have left.
    unsent: bool,
    /// Runs out when something is to be sent and nothing leaves.
    stalled: Option<Pin<Box<Sleep>>>,
    stall: Duration,
    silence: Duration,
    quiet: Pin<Box<Sleep>>,
    pinged: bool,
    /// How it ended.
    over: Option<Option<u16>>,
}

impl WebSocket {
    async fn over(upgraded: reqwest::Upgraded, opening: &Opening<'_>) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(opening.largest))
            .max_frame_size(Some(opening.largest))
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0);
        Self {
            stream: WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await,
            waiting: VecDeque::new(),
            taken: 0,
            room: opening.room,
            unsent: false,
            stalled: None,
            stall: opening.stall,
            silence: opening.silence,
            quiet: Box::pin(tokio::time::sleep(opening.silence)),
            pinged: false,
            over: None,
        }
    }

    /// Sends a text message, after those that wait.
    ///
    /// # Errors
    /// [`Full`]: it is not sent.
    pub fn text(&mut self, text: String) -> Result<(), Full> {
        self.push(text.len(), Message::text(text))
    }

    /// Sends a binary message, after those that wait.
    ///
    /// # Errors
    /// [`Full`]: it is not sent.
    pub fn binary(&mut self, bytes: Bytes) -> Result<(), Full> {
        self.push(bytes.len(), Message::Binary(bytes))
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.taken
    }

    fn push(&mut self, bytes: usize, message: Message) -> Result<(), Full> {
        let taken = self.taken.saturating_add(bytes).saturating_add(MESSAGE_COST);
        // A message that is alone may be larger than the room.
        if taken > self.room && !self.waiting.is_empty() {
            return Err(Full(self.taken));
        }
        self.taken = taken;
        self.waiting.push_back(message);
        Ok(())
    }

    /// The next message. Meanwhile those that wait are sent, and pings are answered. Nothing is lost when this is dropped
    /// before it returns.
    pub async fn next(&mut self) -> Incoming {
        if self.over.is_none()
            && let Some(incoming) = poll_fn(|context| self.poll(context)).await
        {
            return incoming;
        }
        if let Some(Some(_)) = self.over {
            // The other side's close is answered (RFC 6455, section 5.5.1).
            let _ =
                tokio::time::timeout(FAREWELL, poll_fn(|context| Pin::new(&mut self.stream).poll_flush(context))).await;
        }
        Incoming::Closed(self.over.flatten())
    }

    /// Until nothing waits to be sent any more; reads nothing. False: it is over. Nothing is lost when this is dropped before
    /// it returns.
    pub async fn sent(&mut self) -> bool {
        if self.over.is_none() && !poll_fn(|context| self.poll_send(context)).await {
            self.over = Some(None);
        }
        self.over.is_none()
    }

    /// Sends what waits, closes with this code and waits for the other side to do so, for 3 s at most.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.waiting.push_back(Message::Close(Some(frame)));
        let closed = async { while !matches!(self.next().await, Incoming::Closed(_)) {} };
        // Whoever does not answer is left all the same.
        let _ = tokio::time::timeout(FAREWELL, closed).await;
    }

    /// A message, or nothing when it is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Incoming>> {
        loop {
            if let Poll::Ready(false) = self.poll_send(context) {
                return self.end(None);
            }
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_next(context) else {
                ready!(self.quiet.as_mut().poll(context));
                if self.pinged {
                    return self.end(None);
                }
                self.heard();
                self.pinged = true;
                self.waiting.push_front(Message::Ping(Bytes::new()));
                continue;
            };
            self.heard();
            match read {
                Some(Ok(Message::Text(text))) => return Poll::Ready(Some(Incoming::Text(text.to_string()))),
                Some(Ok(Message::Binary(bytes))) => return Poll::Ready(Some(Incoming::Binary(bytes))),
                Some(Ok(Message::Close(frame))) => {
                    return self.end(Some(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                // Whoever breaks the rules is told which (RFC 6455, section 7.4.1), if that can be sent at once.
                Some(Err(error)) => {
                    let code = match error {
                        Error::Capacity(_) => Some(1009),
                        Error::Utf8(_) => Some(1007),
                        Error::Protocol(_) => Some(1002),
                        _ => None,
                    };
                    if let Some(code) = code {
                        let frame = CloseFrame { code: u16::into(code), reason: "".into() };
                        let mut stream = Pin::new(&mut self.stream);
                        if stream.as_mut().start_send(Message::Close(Some(frame))).is_ok() {
                            let _ = stream.poll_flush(context);
                        }
                    }
                    return self.end(None);
                }
                None => return self.end(None),
            }
        }
    }

    /// The other side is there.
    fn heard(&mut self) {
        self.pinged = false;
        self.quiet.as_mut().reset(Instant::now() + self.silence);
    }

    fn end(&mut self, code: Option<u16>) -> Poll<Option<Incoming>> {
        self.over = Some(code);
        Poll::Ready(None)
    }

    /// True when all is sent, false when nothing can be sent any more.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            let mut stream = Pin::new(&mut self.stream);
            let progress = match (self.waiting.is_empty(), self.unsent) {
                (true, false) => return Poll::Ready(true),
                (true, true) => stream.poll_flush(context),
                (false, _) => stream.as_mut().poll_ready(context),
            };
            match progress {
                Poll::Pending => {
                    let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.stall)));
                    ready!(stalled.as_mut().poll(context));
                    return Poll::Ready(false);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(())) => self.stalled = None,
            }
            let Some(message) = self.waiting.pop_front() else {
                self.unsent = false;
                continue;
            };
            if message.is_text() || message.is_binary() {
                self.taken = self.taken.saturating_sub(message.len() + MESSAGE_COST);
            }
            self.unsent = true;
            if Pin::new(&mut self.stream).start_send(message).is_err() {
                return Poll::Ready(false);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

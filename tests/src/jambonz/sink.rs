//! Where streams of sound go: keeps every frame, measures what is in it, answers when it is told to, and can be slow.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use phone::analysis::levels_20ms;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::app::Shared;
use crate::SOON;
use crate::log::Log;

/// The subprotocol of streams of sound.
pub const PROTOCOL: &str = "audio.drachtio.org";

/// What a stream brought.
#[derive(Debug, Clone)]
pub enum Brought {
    /// A text frame.
    Text(String),
    /// A binary frame: how many bytes.
    Sound(usize),
    /// The end, with its code.
    Closed(u16),
}

enum Order {
    Text(String),
    Binary(Vec<u8>),
    Close(u16),
}

/// One stream.
#[derive(Clone)]
pub struct Stream {
    inner: Arc<Inner>,
}

struct Inner {
    path: String,
    headers: BTreeMap<String, String>,
    began: Instant,
    log: Log<Brought>,
    // Arrival and bytes of each binary frame.
    sound: Mutex<Vec<(Instant, Vec<u8>)>>,
    orders: mpsc::UnboundedSender<Order>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {} with {} frames", self.inner.path, self.inner.log.len())
    }
}

/// All streams of an application.
#[derive(Default)]
pub struct Sinks {
    paths: Mutex<HashSet<String>>,
    streams: Log<Stream>,
    slow: watch::Sender<HashMap<String, bool>>,
}

impl Sinks {
    /// A path takes sound from now on.
    pub fn open(&self, path: &str) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    pub(super) fn takes(&self, path: &str) -> bool {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// A path reads nothing while this holds.
    pub fn reads(&self, path: &str, reads: bool) {
        self.slow.send_modify(|slow| {
            slow.insert(path.to_owned(), !reads);
        });
    }

    /// All streams so far.
    pub fn all(&self) -> Vec<Stream> {
        self.streams.all()
    }

    /// A place among them.
    pub fn mark(&self) -> usize {
        self.streams.len()
    }

    /// Waits for a stream to a path, at or after `mark`.
    pub async fn stream(&self, path: &str, mark: usize) -> Stream {
        self.streams.expect(&format!("a stream to {path}"), mark, SOON, |stream| stream.inner.path == path).await
    }
}

impl Stream {
    /// Header fields of its opening.
    pub fn header(&self, name: &str) -> &str {
        self.inner.headers.get(name).map_or("", String::as_str)
    }

    /// When it was opened.
    pub fn began(&self) -> Instant {
        self.inner.began
    }

    /// Everything it brought, in order.
    pub fn log(&self) -> &Log<Brought> {
        &self.inner.log
    }

    /// Its first text frame.
    pub async fn metadata(&self) -> Value {
        let first = self.inner.log.expect("a first frame", 0, SOON, |_| true).await;
        match first {
            Brought::Text(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            other => panic!("the first frame is {other:?}, not metadata"),
        }
    }

    /// Waits for a text frame, the first one excluded, for which `wanted` holds.
    pub async fn text(&self, what: &str, mark: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let parsed = |brought: &Brought| match brought {
            Brought::Text(text) => serde_json::from_str::<Value>(text).ok(),
            _ => None,
        };
        let is = |brought: &Brought| parsed(brought).is_some_and(|value| wanted(&value));
        parsed(&self.inner.log.expect(what, mark.max(1), SOON, is).await).unwrap_or_default()
    }

    /// Waits for its end.
    pub async fn closed(&self) -> u16 {
        match self
            .inner
            .log
            .expect("the end of a stream", 0, SOON, |brought| matches!(brought, Brought::Closed(_)))
            .await
        {
            Brought::Closed(code) => code,
            _ => 0,
        }
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        !self.inner.log.matching(|brought| matches!(brought, Brought::Closed(_))).is_empty()
    }

    /// All bytes of sound that arrived at or after an instant.
    pub fn bytes_since(&self, since: Instant) -> Vec<u8> {
        let sound = self.inner.sound.lock().unwrap_or_else(PoisonError::into_inner);
        sound.iter().filter(|(at, _)| *at >= since).flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }

    /// Waits until so many bytes have come since an instant, and gives the samples (16 bits, little endian).
    ///
    /// # Panics
    /// If they do not come.
    pub async fn samples(&self, since: Instant, count: usize) -> Vec<i16> {
        let end = Instant::now() + SOON;
        loop {
            let mark = self.inner.log.len();
            let bytes = self.bytes_since(since);
            if bytes.len() >= count * 2 {
                return bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.inner.log.find(mark, left, |_| true).await.is_none() {
                panic!("{self:?} brought {} bytes of {} since then", bytes.len(), count * 2);
            }
        }
    }

    /// Waits until a tone is in it at −30 dBFS or more; from 8 kHz up the rate must be a multiple of 8 kHz.
    ///
    /// # Panics
    /// If it does not come.
    pub async fn hears(&self, tone: u32, rate: u32, since: Instant) {
        let end = Instant::now() + SOON;
        loop {
            let mark = self.inner.log.len();
            let loudest = levels_20ms(&self.at_8k(rate, since), tone).max();
            if loudest > -30.0 {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.inner.log.find(mark, left, |_| true).await.is_none() {
                panic!("{tone} Hz is not in {self:?}; the loudest 20 ms have {loudest:.1} dBFS");
            }
        }
    }

    /// What came since an instant, as samples at 8 kHz: every n-th one, since nothing here is higher than 4 kHz.
    pub fn at_8k(&self, rate: u32, since: Instant) -> Vec<i16> {
        let step = (rate / 8_000).max(1) as usize;
        let bytes = self.bytes_since(since);
        bytes.chunks_exact(2).step_by(step).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// Sends a text frame to the server.
    pub fn send(&self, frame: &Value) {
        self.order(Order::Text(frame.to_string()));
    }

    /// Sends any text.
    pub fn send_text(&self, text: &str) {
        self.order(Order::Text(text.to_owned()));
    }

    /// Sends sound, or what is none.
    pub fn send_binary(&self, bytes: &[u8]) {
        self.order(Order::Binary(bytes.to_vec()));
    }

    /// Closes it.
    pub fn close(&self, code: u16) {
        self.order(Order::Close(code));
    }

    fn order(&self, order: Order) {
        assert!(self.inner.orders.send(order).is_ok(), "{self:?} is closed");
    }
}

pub(super) async fn serve_sink(
    shared: Arc<Shared>,
    path: String,
    headers: BTreeMap<String, String>,
    mut socket: WebSocket,
) {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let inner = Inner {
        path: path.clone(),
        headers,
        began: Instant::now(),
        log: Log::default(),
        sound: Mutex::default(),
        orders,
    };
    let stream = Stream { inner: Arc::new(inner) };
    shared.sinks.streams.push(stream.clone());
    let mut slow = shared.sinks.slow.subscribe();
    let code = loop {
        // The sender lives as long as the application.
        let _ = slow.wait_for(|slow| slow.get(&path) != Some(&true)).await;
        tokio::select! {
            changed = slow.changed() => if changed.is_err() { break 0 },
            message = socket.recv() => match message {
                None | Some(Err(_)) => break 1006,
                Some(Ok(Message::Close(frame))) => break frame.map_or(1005, |frame| frame.code),
                Some(Ok(Message::Text(text))) => stream.inner.log.push(Brought::Text(text.to_string())),
                Some(Ok(Message::Binary(bytes))) => {
                    let mut sound = stream.inner.sound.lock().unwrap_or_else(PoisonError::into_inner);
                    sound.push((Instant::now(), bytes.to_vec()));
                    drop(sound);
                    stream.inner.log.push(Brought::Sound(bytes.len()));
                }
                Some(Ok(_)) => {}
            },
            order = ordered.recv() => match order {
                None => break 0,
                Some(Order::Text(text)) => drop(socket.send(Message::Text(text.into())).await),
                Some(Order::Binary(bytes)) => drop(socket.send(Message::Binary(bytes.into())).await),
                Some(Order::Close(code)) => {
                    drop(socket.send(Message::Close(Some(CloseFrame { code, reason: "test".into() }))).await);
                    let closing = async { while let Some(Ok(_)) = socket.recv().await {} };
                    let _ = tokio::time::timeout(Duration::from_secs(2), closing).await;
                    break code;
                }
            },
        }
    };
    stream.inner.log.push(Brought::Closed(code));
}

//! An application: answers by WebSocket and by HTTP as the test says, remembers every message, and misbehaves when it is told to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::sink::{Sinks, serve_sink};
use crate::SOON;
use crate::log::Log;
use crate::server::PROGRAM_HOST;

/// The subprotocol of applications.
pub const PROTOCOL: &str = "ws.jambonz.org";

/// How a message is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// These verbs.
    Verbs(Value),
    /// An answer without verbs.
    Nothing,
    /// These frames as they are; `MSGID` in them becomes the id of the message.
    Frames(Vec<String>),
    /// No answer. By HTTP the connection stays open.
    Silence,
    /// The socket is closed with this code.
    Close(u16),
    /// The connection is gone without a word.
    Vanish,
    /// By HTTP: status, type and body.
    Http(u16, &'static str, String),
    /// As the last one, but a socket is refused so as well.
    Refuse(u16),
}

/// A message that came: a frame, or a request by HTTP.
#[derive(Debug, Clone)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// The socket; 0 for HTTP.
    pub socket: u64,
    /// The frame's type; `http` for a request, `opened` and `closed` for a socket's own life.
    pub kind: String,
    /// What it is about: the hook of a frame that has one, else the path that was asked.
    pub name: String,
    /// HTTP: the method. Sockets: the code of `closed`.
    pub method: String,
    /// The query.
    pub query: String,
    /// The frame's id.
    pub msgid: String,
    /// The call.
    pub call_sid: String,
    /// `data` of a frame, the body of a request.
    pub data: Value,
    /// All of it as it came.
    pub raw: String,
    /// Header fields of the request or of the socket's opening, names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Told {
    /// A text of the body; empty if it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.data.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The vendor's schema for this body, by the type of the frame or by the first part of the hook's name. None for what has no schema.
    pub fn schema(&self) -> Option<&'static str> {
        match self.kind.as_str() {
            "opened" | "closed" | "jambonz:error" => None,
            "session:new" => Some("session-new"),
            "session:redirect" => Some("session-redirect"),
            "session:reconnect" => Some("session-reconnect"),
            "call:status" => Some("call-status"),
            "verb:status" => Some("verb-status"),
            _ if self.method == "GET" || self.method == "OPTIONS" => None,
            _ => Some(super::schemas::of_hook(&self.name)),
        }
    }
}

enum Order {
    Text(String),
    Binary(Vec<u8>),
    Close(u16),
    Vanish,
}

#[derive(Default)]
pub(super) struct Shared {
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    sockets: Mutex<HashMap<u64, mpsc::UnboundedSender<Order>>>,
    of_call: Mutex<HashMap<String, u64>>,
    held: watch::Sender<std::collections::HashSet<String>>,
    told: Log<Told>,
    pub(super) sinks: Sinks,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An application on a port of its own. What nobody gave an answer to is answered with nothing.
pub struct App {
    shared: Arc<Shared>,
    port: u16,
    serving: JoinHandle<()>,
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl App {
    /// Starts it.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let listener = match tokio::net::TcpListener::bind("127.0.0.1:0").await {
            Ok(listener) => listener,
            Err(error) => panic!("no port for an application: {error}"),
        };
        let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
        let shared = Arc::new(Shared::default());
        let router = axum::Router::new().fallback(request).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("a test application stopped: {error}");
            }
        });
        Self { shared, port, serving }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A path of it, for a socket, under the name by which the server knows it.
    pub fn ws(&self, path: &str) -> String {
        format!("ws://{PROGRAM_HOST}:{}{path}", self.port)
    }

    /// A path of it, for HTTP.
    pub fn http(&self, path: &str) -> String {
        format!("http://{PROGRAM_HOST}:{}{path}", self.port)
    }

    /// How a path or hook is answered from now on.
    pub fn answer(&self, name: &str, answer: Answer) {
        lock(&self.shared.answers).insert(name.to_owned(), VecDeque::from([answer]));
    }

    /// How it is answered the next times, one after the other; the last answer stays.
    pub fn answers(&self, name: &str, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.shared.answers).insert(name.to_owned(), answers.into_iter().collect());
    }

    /// Verbs for a path or hook.
    pub fn verbs(&self, name: &str, verbs: Value) {
        self.answer(name, Answer::Verbs(verbs));
    }

    /// Answers of a path or hook wait from now on, until they are released.
    pub fn hold(&self, name: &str) {
        self.shared.held.send_if_modified(|held| held.insert(name.to_owned()));
    }

    /// They wait no longer.
    pub fn release(&self, name: &str) {
        self.shared.held.send_if_modified(|held| held.remove(name));
    }

    /// All that came.
    pub fn told(&self) -> &Log<Told> {
        &self.shared.told
    }

    /// A place in the log.
    pub fn mark(&self) -> usize {
        self.shared.told.len()
    }

    /// The streams of sound that reached it.
    pub fn sinks(&self) -> &Sinks {
        &self.shared.sinks
    }

    /// Waits for a message about a call, at or after `mark`.
    pub async fn hears(&self, call_sid: &str, name: &str, mark: usize, wanted: impl Fn(&Told) -> bool) -> Told {
        self.hears_within(SOON, call_sid, name, mark, wanted).await
    }

    /// As [`hears`](Self::hears), with a deadline.
    pub async fn hears_within(
        &self,
        deadline: Duration,
        call_sid: &str,
        name: &str,
        mark: usize,
        wanted: impl Fn(&Told) -> bool,
    ) -> Told {
        let is = |told: &Told| {
            (call_sid.is_empty() || told.call_sid == call_sid)
                && (told.name == name || told.kind == name)
                && wanted(told)
        };
        self.shared.told.expect(&format!("{name} of {call_sid}"), mark, deadline, is).await
    }

    /// Waits for a status event of a conference about a call.
    pub async fn event(&self, call_sid: &str, event: &str, mark: usize) -> Told {
        let is = |told: &Told| told.text("event") == event && told.data.get("conference_sid").is_some();
        let is = |told: &Told| (call_sid.is_empty() || told.call_sid == call_sid) && is(told);
        self.shared.told.expect(&format!("event {event} of {call_sid}"), mark, SOON, is).await
    }

    fn order(&self, call_sid: &str, order: Order) {
        let socket = lock(&self.shared.of_call).get(call_sid).copied();
        let Some(socket) = socket else { panic!("{call_sid} has no socket") };
        let sent = lock(&self.shared.sockets).get(&socket).is_some_and(|orders| orders.send(order).is_ok());
        assert!(sent, "the socket of {call_sid} is closed");
    }

    /// Sends a frame on the latest socket of a call.
    pub fn send(&self, call_sid: &str, frame: &Value) {
        self.order(call_sid, Order::Text(frame.to_string()));
    }

    /// Sends any text.
    pub fn send_text(&self, call_sid: &str, text: &str) {
        self.order(call_sid, Order::Text(text.to_owned()));
    }

    /// Sends bytes that are no text.
    pub fn send_binary(&self, call_sid: &str, bytes: &[u8]) {
        self.order(call_sid, Order::Binary(bytes.to_vec()));
    }

    /// Injects a command, as the official clients print it.
    pub fn command(&self, call_sid: &str, command: &str, data: Value) {
        self.send(call_sid, &json!({ "type": "command", "command": command, "data": data }));
    }

    /// A participant action.
    pub fn action(&self, call_sid: &str, action: Value) {
        self.command(call_sid, "conf:participant-action", action);
    }

    /// Closes the latest socket of a call with a code.
    pub fn close(&self, call_sid: &str, code: u16) {
        self.order(call_sid, Order::Close(code));
    }

    /// Cuts the latest socket of a call.
    pub fn vanish(&self, call_sid: &str) {
        self.order(call_sid, Order::Vanish);
    }
}

impl Shared {
    fn next_answer(&self, name: &str) -> Answer {
        let mut answers = lock(&self.answers);
        match answers.get_mut(name) {
            None => Answer::Nothing,
            Some(several) if several.len() > 1 => several.pop_front().unwrap_or(Answer::Nothing),
            Some(last) => last.front().cloned().unwrap_or(Answer::Nothing),
        }
    }

    fn peek(&self, name: &str) -> Option<Answer> {
        lock(&self.answers).get(name).and_then(|answers| answers.front().cloned())
    }

    async fn released(&self, name: &str) {
        // The sender lives as long as the application.
        let _ = self.held.subscribe().wait_for(|held| !held.contains(name)).await;
    }
}

fn fields(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

async fn request(
    State(shared): State<Arc<Shared>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let headers = fields(&head.headers);
    let query = head.uri.query().unwrap_or_default().to_owned();
    let mut told = Told {
        at,
        socket: 0,
        kind: "http".to_owned(),
        name: path.clone(),
        method: head.method.to_string(),
        query,
        msgid: String::new(),
        call_sid: String::new(),
        data: Value::Null,
        raw: String::new(),
        headers,
    };
    if let Ok(upgrade) = upgrade {
        let upgrade = upgrade.protocols([PROTOCOL, super::sink::PROTOCOL]);
        if shared.sinks.takes(&path) {
            return upgrade.on_upgrade(move |socket| serve_sink(shared, path, told.headers, socket));
        }
        if let Some(Answer::Refuse(status)) = shared.peek(&path) {
            shared.next_answer(&path);
            told.kind = "refused".to_owned();
            shared.told.push(told);
            return (axum::http::StatusCode::from_u16(status).unwrap_or_default(), "no").into_response();
        }
        return upgrade.on_upgrade(move |socket| session(shared, told, socket));
    }
    let body = to_bytes(body, 4 << 20).await.unwrap_or_default();
    told.raw = String::from_utf8_lossy(&body).into_owned();
    told.data = serde_json::from_slice(&body).unwrap_or_default();
    told.call_sid = told.text("call_sid").to_owned();
    shared.told.push(told);
    shared.released(&path).await;
    let (status, kind, body) = match shared.next_answer(&path) {
        Answer::Verbs(verbs) => (200, "application/json", verbs.to_string()),
        Answer::Http(status, kind, body) => (status, kind, body),
        Answer::Refuse(status) => (status, "text/plain", String::new()),
        Answer::Nothing => (200, "text/plain", String::new()),
        Answer::Frames(texts) => (200, "application/json", texts.concat()),
        Answer::Silence | Answer::Close(_) | Answer::Vanish => {
            std::future::pending::<()>().await;
            return Response::default();
        }
    };
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(Body::from(body)).unwrap_or_default()
}

async fn session(shared: Arc<Shared>, opening: Told, mut socket: WebSocket) {
    let number = shared.next.fetch_add(1, Ordering::Relaxed) + 1;
    let (orders, mut ordered) = mpsc::unbounded_channel();
    lock(&shared.sockets).insert(number, orders);
    shared.told.push(Told { socket: number, kind: "opened".to_owned(), ..opening.clone() });
    let mut call_sid = String::new();
    let code = loop {
        tokio::select! {
            message = socket.recv() => match message {
                None | Some(Err(_)) => break 1006,
                Some(Ok(Message::Close(frame))) => break frame.map_or(1005, |frame| frame.code),
                Some(Ok(Message::Text(text))) => {
                    let told = frame_of(&opening, number, text.as_str());
                    if call_sid.is_empty() && !told.call_sid.is_empty() {
                        call_sid = told.call_sid.clone();
                        lock(&shared.of_call).insert(call_sid.clone(), number);
                    }
                    let shared = Arc::clone(&shared);
                    shared.told.push(told.clone());
                    if wants_answer(&told.kind) {
                        // An answer that waits holds up nothing else.
                        tokio::spawn(async move {
                            shared.released(&told.name).await;
                            answer(&shared, number, &told);
                        });
                    }
                }
                Some(Ok(_)) => {}
            },
            order = ordered.recv() => match order {
                None | Some(Order::Vanish) => break 0,
                Some(Order::Text(text)) => drop(socket.send(Message::Text(text.into())).await),
                Some(Order::Binary(bytes)) => drop(socket.send(Message::Binary(bytes.into())).await),
                Some(Order::Close(code)) => {
                    drop(socket.send(Message::Close(Some(CloseFrame { code, reason: "test".into() }))).await);
                    // Until the other side has closed too, as the protocol wants it.
                    let closing = async { while let Some(Ok(_)) = socket.recv().await {} };
                    let _ = tokio::time::timeout(Duration::from_secs(2), closing).await;
                    break code;
                }
            },
        }
    };
    lock(&shared.sockets).remove(&number);
    shared.told.push(Told {
        socket: number,
        kind: "closed".to_owned(),
        method: code.to_string(),
        call_sid,
        at: Instant::now(),
        ..opening
    });
}

fn wants_answer(kind: &str) -> bool {
    !matches!(kind, "call:status" | "verb:status" | "jambonz:error" | "tts:tokens-result" | "tts:streaming-event")
}

fn frame_of(opening: &Told, socket: u64, text: &str) -> Told {
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let field = |name: &str| frame.get(name).and_then(Value::as_str).map(str::to_owned);
    let data = frame.get("data").cloned().unwrap_or_default();
    let in_data = || data.get("call_sid").and_then(Value::as_str).map(str::to_owned);
    let kind = field("type").unwrap_or_default();
    let hook = field("hook").filter(|_| matches!(kind.as_str(), "verb:hook" | "dial:confirm" | "session:redirect"));
    Told {
        at: Instant::now(),
        socket,
        name: hook.unwrap_or_else(|| opening.name.clone()),
        msgid: field("msgid").unwrap_or_default(),
        call_sid: field("call_sid").or_else(in_data).unwrap_or_default(),
        kind,
        data,
        raw: text.to_owned(),
        ..opening.clone()
    }
}

fn answer(shared: &Shared, socket: u64, told: &Told) {
    let ack = |data: Option<Value>| {
        let mut frame = json!({ "type": "ack", "msgid": told.msgid });
        if let (Some(data), Some(frame)) = (data, frame.as_object_mut()) {
            frame.insert("data".to_owned(), data);
        }
        vec![Order::Text(frame.to_string())]
    };
    // Programs acknowledge a reconnection without instructions, unless a test wants otherwise.
    let name = if told.kind == "session:reconnect" { "session:reconnect" } else { &told.name };
    let orders = match shared.next_answer(name) {
        Answer::Verbs(verbs) => ack(Some(verbs)),
        Answer::Nothing | Answer::Http(..) | Answer::Refuse(_) => ack(None),
        Answer::Frames(texts) => texts.iter().map(|text| Order::Text(text.replace("MSGID", &told.msgid))).collect(),
        Answer::Silence => Vec::new(),
        Answer::Close(code) => vec![Order::Close(code)],
        Answer::Vanish => vec![Order::Vanish],
    };
    if let Some(to) = lock(&shared.sockets).get(&socket) {
        // A socket that has closed meanwhile takes nothing.
        orders.into_iter().for_each(|order| drop(to.send(order)));
    }
}

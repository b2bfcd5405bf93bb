//! A program that the server asks: answers as the test says, and remembers every request.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::Response;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::SOON;
use crate::log::Log;
use crate::server::PROGRAM_HOST;

/// What a path answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 200 with a document.
    Xml(String),
    /// Any status, type and body.
    Plain(u16, &'static str, Vec<u8>),
    /// 200 with header fields of its own.
    With(Vec<(&'static str, &'static str)>, Vec<u8>),
    /// 302 to another URL.
    Redirect(String),
    /// No answer at all.
    Never,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When.
    pub at: Instant,
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// The query as it was sent; empty if there is none.
    pub query: String,
    /// Parameters of query and form; of repeated ones the last.
    pub params: BTreeMap<String, String>,
    /// Header fields, names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Asked {
    /// A parameter; empty if it is not there.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// The event of a callback.
    pub fn event(&self) -> &str {
        match self.param("EventName") {
            "" => self.param("Event"),
            event => event,
        }
    }
}

#[derive(Default)]
struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    held: watch::Sender<HashSet<String>>,
    asked: Log<Asked>,
}

/// A program on a port of its own. Paths that nobody gave a reply to answer 200 with nothing, as callbacks want it.
pub struct Program {
    shared: Arc<Shared>,
    port: u16,
    serving: JoinHandle<()>,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Program {
    /// Starts it.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let listener = match tokio::net::TcpListener::bind("127.0.0.1:0").await {
            Ok(listener) => listener,
            Err(error) => panic!("no port for a program: {error}"),
        };
        let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
        let shared = Arc::new(Shared::default());
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("a test program stopped: {error}");
            }
        });
        Self { shared, port, serving }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path, under the name by which the server knows it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{PROGRAM_HOST}:{}{path}", self.port)
    }

    /// What a path answers with from now on.
    pub fn reply(&self, path: &str, reply: Reply) {
        self.shared.replies.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), reply);
    }

    /// A document for a path.
    pub fn document(&self, path: &str, inside: &str) {
        self.reply(path, Reply::Xml(format!("<Response>{inside}</Response>")));
    }

    /// Answers of a path wait from now on, until they are released.
    pub fn hold(&self, path: &str) {
        self.shared.held.send_if_modified(|held| held.insert(path.to_owned()));
    }

    /// Answers of a path wait no longer.
    pub fn release(&self, path: &str) {
        self.shared.held.send_if_modified(|held| held.remove(path));
    }

    /// All that was asked.
    pub fn asked(&self) -> &Log<Asked> {
        &self.shared.asked
    }

    /// A place in the log, to wait for what comes after it.
    pub fn mark(&self) -> usize {
        self.shared.asked.len()
    }

    /// Waits for a callback with this event name for which `wanted` holds, at or after `mark`.
    pub async fn event(&self, name: &str, mark: usize, wanted: impl Fn(&Asked) -> bool) -> Asked {
        self.shared
            .asked
            .expect(&format!("callback {name}"), mark, SOON, |asked| asked.event() == name && wanted(asked))
            .await
    }

    /// As [`event`](Self::event), with a deadline.
    pub async fn event_within(
        &self,
        deadline: Duration,
        name: &str,
        mark: usize,
        wanted: impl Fn(&Asked) -> bool,
    ) -> Asked {
        self.shared
            .asked
            .expect(&format!("callback {name}"), mark, deadline, |asked| asked.event() == name && wanted(asked))
            .await
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let mut params = BTreeMap::new();
    for part in [head.uri.query().unwrap_or_default().as_bytes(), &body] {
        params.extend(url::form_urlencoded::parse(part).into_owned());
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let path = head.uri.path().to_owned();
    let reply = shared.replies.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let (method, headers) = (head.method.to_string(), headers.collect());
    shared.asked.push(Asked { at, method, path: path.clone(), query, params, headers });
    // The sender lives as long as this program.
    let _ = shared.held.subscribe().wait_for(|held| !held.contains(&path)).await;
    let (status, fields, body) = match reply {
        None => (200, vec![(CONTENT_TYPE.as_str(), "text/plain".to_owned())], Vec::new()),
        Some(Reply::Xml(text)) => (200, vec![(CONTENT_TYPE.as_str(), "application/xml".to_owned())], text.into_bytes()),
        Some(Reply::Plain(status, kind, body)) => (status, vec![(CONTENT_TYPE.as_str(), kind.to_owned())], body),
        Some(Reply::With(fields, body)) => {
            (200, fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect(), body)
        }
        Some(Reply::Redirect(to)) => (302, vec![(LOCATION.as_str(), to)], Vec::new()),
        Some(Reply::Never) => {
            std::future::pending::<()>().await;
            return Response::default();
        }
    };
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap_or_default()
}

/// A WAV file of one tone: 8 kHz, 16 bits, mono, whole seconds, so that it repeats without a seam.
pub fn tone_wav(freq: u32, dbfs: f64, seconds: u32) -> Vec<u8> {
    let samples = 8_000 * seconds;
    let peak = 32_767.0 * 10f64.powf(dbfs / 20.0);
    let bytes = samples * 2;
    let mut file = Vec::with_capacity(44 + bytes as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    for word in [16u32, 0x0001_0001, 8_000, 16_000, 0x0010_0002] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&bytes.to_le_bytes());
    for index in 0..samples {
        let turn = std::f64::consts::TAU * f64::from(freq) * f64::from(index) / 8_000.0;
        file.extend_from_slice(&((peak * turn.sin()).round() as i16).to_le_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_answers_as_told_and_remembers_what_it_was_asked() {
        let program = Program::start().await;
        program.document("/answer", "<Hangup/>");
        program.reply("/broken", Reply::Plain(500, "text/html", b"oops".to_vec()));
        let client = reqwest::Client::new();
        let base = format!("http://127.0.0.1:{}", program.port());
        let form = [("EventName", "MPCStart"), ("From", "a b")];
        let said = client.post(format!("{base}/answer?x=1")).form(&form).send().await.unwrap().text().await.unwrap();
        assert_eq!(said, "<Response><Hangup/></Response>");
        assert_eq!(client.get(format!("{base}/broken")).send().await.unwrap().status(), 500);
        assert_eq!(client.get(format!("{base}/callback")).send().await.unwrap().status(), 200);
        let start = program.event("MPCStart", 0, |asked| asked.param("x") == "1").await;
        assert_eq!((start.method.as_str(), start.path.as_str(), start.param("From")), ("POST", "/answer", "a b"));
        assert!(program.asked().find(program.mark(), Duration::from_millis(50), |_| true).await.is_none());
    }

    #[test]
    fn the_tone_file_is_what_a_phone_could_play() {
        let folder = crate::tool::Scratch::new("wav");
        let path = folder.path().join("tone.wav");
        std::fs::write(&path, tone_wav(600, -20.0, 1)).unwrap();
        let phone::Mouth::Pcm { samples, .. } = phone::Mouth::wav(&path, true).unwrap() else { panic!() };
        assert!((phone::analysis::levels_1s(&samples, 600).median() + 20.0).abs() < 0.1);
    }
}

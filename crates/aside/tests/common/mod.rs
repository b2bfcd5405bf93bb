//! What the tests share: a directory of their own, and a small HTTP client.

#![allow(dead_code, reason = "each test binary uses a part")]

pub mod stage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const DEADLINE: Duration = Duration::from_secs(30);

/// A directory that goes with its value.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("aside-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A configuration on free loopback ports in this directory.
    pub fn config(&self, more: &str) -> String {
        format!(
            "[server]\ndata_dir = {:?}\nstop_wait_s = 0\nmax_calls = 100\n\
             [sip]\nudp = [\"127.0.0.1:0\"]\ntcp = [\"127.0.0.1:0\"]\n\
             [media]\nbind = \"127.0.0.1\"\nshards = 1\n\
             [webrtc]\nbind = \"127.0.0.1\"\nfirst_port = 0\n\
             [http]\napi = \"127.0.0.1:0\"\n{more}",
            self.0.join("data")
        )
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub content_type: String,
    pub text: String,
}

impl Answer {
    /// A header of it.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// A request that was sent; what comes back is read as it comes.
pub struct Exchange {
    stream: TcpStream,
    pub seen: String,
}

impl Exchange {
    pub async fn send(
        to: std::net::SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        // A server that refuses early may close before all of it is written.
        let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes()).await;
        Self { stream, seen: String::new() }
    }

    /// Reads until this text has come.
    pub async fn until(&mut self, text: &str) {
        let reading = async {
            let mut chunk = [0; 4096];
            while !self.seen.contains(text) {
                let count = self.stream.read(&mut chunk).await.unwrap();
                assert!(count > 0, "the stream ended before {text:?}: {}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("in time");
    }

    /// Reads what comes next; nothing, if it is over.
    pub async fn more(&mut self) {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).await.unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }

    /// Reads to the end.
    pub async fn end(mut self) -> String {
        let reading = async {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = self.stream.read(&mut chunk).await {
                self.seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("in time");
        self.seen
    }
}

/// One exchange.
pub async fn ask(to: std::net::SocketAddr, method: &str, path: &str, key: Option<&str>, body: &str) -> Answer {
    let authorization = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
    let text = Exchange::send(to, method, path, &headers, body).await.end().await;
    parse(&text)
}

pub fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    let header = |wanted: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, v)| v)
    };
    let text = if header("transfer-encoding") == Some("chunked") { unchunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), content_type: header("content-type").unwrap_or_default().to_owned(), text }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        // The last one of a stream that goes on may have come in part.
        out.push_str(rest.get(..size).unwrap_or(rest));
        body = rest.get(size..).unwrap_or_default().trim_start_matches("\r\n");
    }
    out
}

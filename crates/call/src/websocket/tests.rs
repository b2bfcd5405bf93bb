//! Against servers on loopback: a real one, and some that break the rules.

use std::sync::{Arc, Mutex};

use futures_util::{Sink, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::*;
use crate::http::{HttpPolicy, Network};

pub(crate) const PROTOCOL: &str = "ws.example.org";

pub(crate) fn http() -> Http {
    Http::new(HttpPolicy { allowed: Network::parse("127.0.0.0/8").into_iter().collect(), ..HttpPolicy::default() })
}

pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("ws://{}/app?x=1", listener.local_addr().expect("an address"));
    (listener, url)
}

/// A server's side.
pub(crate) struct Server(WebSocketStream<TcpStream>);

impl Server {
    /// Takes a connection and chooses this subprotocol; what it was asked with.
    pub async fn accept(listener: &TcpListener, choose: Option<&'static str>) -> (Self, Request) {
        let (stream, _) = listener.accept().await.expect("a connection");
        let asked = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&asked);
        #[expect(clippy::result_large_err, reason = "the library's own type")]
        let answer = move |request: &Request, mut response: Response| {
            *seen.lock().expect("no panic") = Some(request.clone());
            if let Some(choose) = choose {
                response.headers_mut().insert("Sec-WebSocket-Protocol", choose.parse().expect("a header"));
            }
            Ok(response)
        };
        let socket = accept_hdr_async(stream, answer).await.expect("a handshake");
        let asked = asked.lock().expect("no panic").take().expect("a request");
        (Self(socket), asked)
    }

    pub async fn read(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await
    }

    pub async fn write(&mut self, message: Message) {
        poll_fn(|context| Pin::new(&mut self.0).poll_ready(context)).await.expect("room");
        Pin::new(&mut self.0).start_send(message).expect("sent");
        poll_fn(|context| Pin::new(&mut self.0).poll_flush(context)).await.expect("flushed");
    }
}

async fn pair(opening: impl FnOnce(&mut Opening<'_>)) -> (WebSocket, Server) {
    let (listener, url) = listen().await;
    let mut wanted = Opening { timeout: Duration::from_secs(10), ..Opening::new(&url, PROTOCOL) };
    opening(&mut wanted);
    let http = http();
    let (socket, (server, _)) = tokio::join!(http.websocket(&wanted), Server::accept(&listener, Some(PROTOCOL)));
    (socket.expect("an open socket"), server)
}

/// A server that answers each connection with the next of these heads, and holds all of them open.
async fn answering(listener: TcpListener, heads: Vec<String>) {
    let mut open = Vec::new();
    for head in heads {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            read.push(stream.read_u8().await.expect("a request"));
        }
        let text = String::from_utf8(read).expect("text");
        let key = text.lines().find(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key"));
        let key = key.and_then(|line| line.split_once(':')).expect("a key").1.trim();
        let head = head.replace("{accept}", &derive_accept_key(key.as_bytes()));
        stream.write_all(head.replace('\n', "\r\n").as_bytes()).await.expect("an answer");
        open.push(stream);
    }
    std::future::pending::<()>().await;
}

/// What comes of such answers.
async fn opened(heads: &[&str]) -> Result<WebSocket, HttpError> {
    let (listener, url) = listen().await;
    let own = url.replace("/app?x=1", "");
    let heads = heads.iter().map(|head| head.replace("{own}", &own)).collect();
    let server = tokio::spawn(answering(listener, heads));
    let result = http().websocket(&Opening { timeout: Duration::from_secs(10), ..Opening::new(&url, PROTOCOL) }).await;
    server.abort();
    result
}

#[tokio::test]
async fn a_socket_to_this_machine_or_its_network_is_refused_by_address_by_name_and_by_redirect() {
    let closed = Http::new(HttpPolicy::default());
    for url in ["ws://127.0.0.1:9/", "WSS://[::1]/x", "ws://2130706433/", "http://10.1.2.3/", "ws://localhost:9/"] {
        let refused = closed.websocket(&Opening::new(url, PROTOCOL)).await;
        assert!(matches!(refused, Err(HttpError::Forbidden { .. })), "{url}");
    }
    for url in ["", "app", "ftp://a.example.com/", "ws:/", "mailto:a@b"] {
        assert!(matches!(closed.websocket(&Opening::new(url, PROTOCOL)).await, Err(HttpError::BadUrl { .. })), "{url}");
    }
    for target in ["ws://10.0.0.1/", "http://169.254.169.254/latest", "wss://[::1]:9/"] {
        let redirect = format!("HTTP/1.1 302 Found\nLocation: {target}\nContent-Length: 0\n\n");
        let refused = opened(&[&redirect]).await;
        assert!(matches!(refused, Err(HttpError::Forbidden { .. })), "{target}");
    }
}

#[tokio::test]
async fn the_handshake_offers_the_subprotocol_and_sends_the_credentials() {
    let (listener, url) = listen().await;
    let auth = BasicAuth { username: "Aladdin".to_owned(), password: "open sesame".to_owned() };
    let opening = Opening { auth: Some(&auth), ..Opening::new(&url, PROTOCOL) };
    let http = http();
    let (socket, (_, asked)) = tokio::join!(http.websocket(&opening), Server::accept(&listener, None));
    assert!(socket.is_ok(), "a server that chooses no subprotocol is taken");
    let header = |name: &str| asked.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(asked.uri().to_string(), "/app?x=1");
    assert_eq!(header("sec-websocket-protocol"), Some(PROTOCOL));
    assert_eq!(header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_eq!(header("sec-websocket-extensions"), None);
}

#[tokio::test]
async fn two_redirects_are_followed_and_credentials_stay_with_their_server() {
    let (first, url) = listen().await;
    let (second, other) = listen().await;
    let auth = BasicAuth { username: "u".to_owned(), password: "p".to_owned() };
    let moved = |to: &str| format!("HTTP/1.1 307 Moved\nLocation: {to}\nConnection: close\nContent-Length: 0\n\n");
    let server = tokio::spawn(answering(first, vec![moved("/b"), moved(&other)]));
    let opening = Opening { auth: Some(&auth), timeout: Duration::from_secs(10), ..Opening::new(&url, PROTOCOL) };
    let http = http();
    let open = async { http.websocket(&opening).await.map(drop) };
    let (_, asked) = tokio::select! {
        Err(error) = open => panic!("{error}"),
        accepted = Server::accept(&second, Some(PROTOCOL)) => accepted,
    };
    assert!(asked.headers().get("authorization").is_none(), "another server is not told the password");
    server.abort();
    let again = moved("{own}/again");
    let refused = opened(&[&again, &again, &again, &again]).await;
    assert!(matches!(refused, Err(HttpError::Redirected { .. })));
}

#[tokio::test]
async fn an_answer_that_opens_something_else_is_refused() {
    let head = "HTTP/1.1 101 Switching Protocols\nConnection: keep-alive, Upgrade\n";
    let good = format!("{head}Upgrade: WebSocket\nSec-WebSocket-Accept: {{accept}}\n");
    for (answer, problem) in [
        (
            format!("{head}Upgrade: websocket\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n"),
            "does not fit the key",
        ),
        (format!("{head}Upgrade: websocket\n\n"), "does not fit the key"),
        (format!("{head}Upgrade: h2c\nSec-WebSocket-Accept: {{accept}}\n\n"), "another protocol"),
        (format!("{good}Sec-WebSocket-Protocol: chat\n\n"), "not offered"),
        (format!("{good}Sec-WebSocket-Extensions: permessage-deflate\n\n"), "none was offered"),
    ] {
        match opened(&[&answer]).await {
            Err(HttpError::NoWebSocket { problem: told, .. }) => assert!(told.contains(problem), "{told}"),
            Err(error) => panic!("{answer}: {error}"),
            Ok(_) => panic!("{answer} opens"),
        }
    }
    assert!(opened(&[&format!("{good}\n")]).await.is_ok(), "the same without the fault");
    for (status, expected) in [("404 Not Found", 404), ("200 OK", 200), ("503 Busy", 503)] {
        let refused = opened(&[&format!("HTTP/1.1 {status}\nContent-Length: 0\n\n")]).await;
        assert!(matches!(refused, Err(HttpError::Status { status, .. }) if status == expected));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_in_time() {
    let (listener, url) = listen().await;
    let limit = Duration::from_millis(200);
    let begun = Instant::now();
    let late = http().websocket(&Opening { timeout: limit, ..Opening::new(&url, PROTOCOL) }).await;
    assert!(matches!(late, Err(HttpError::Timeout { .. })));
    assert!(begun.elapsed() >= limit);
    drop(listener);
    let refused = http().websocket(&Opening::new(&url, PROTOCOL)).await;
    assert!(matches!(refused, Err(HttpError::Connect { .. })), "nobody listens there any more");
}

#[tokio::test]
async fn messages_pass_both_ways_and_pings_are_answered() {
    let (mut socket, mut server) = pair(|_| {}).await;
    let peer = tokio::spawn(async move {
        server.write(Message::Ping(Bytes::from_static(b"alive?"))).await;
        server.write(Message::text("grüße")).await;
        server.write(Message::binary(vec![1, 2, 3])).await;
        let mut came = Vec::new();
        while came.len() < 3 {
            came.push(server.read().await.expect("a message").expect("a good one"));
        }
        (came, server)
    });
    assert_eq!(socket.next().await, Incoming::Text("grüße".to_owned()));
    assert_eq!(socket.next().await, Incoming::Binary(Bytes::from_static(&[1, 2, 3])));
    socket.text("one".to_owned()).expect("room");
    socket.binary(Bytes::from_static(&[4])).expect("room");
    assert!(socket.sent().await);
    assert_eq!(socket.waiting(), 0);
    let (mut came, mut server) = peer.await.expect("no panic");
    let pong = came.iter().position(|message| message.is_pong()).expect("a pong");
    assert_eq!(came.remove(pong), Message::Pong(Bytes::from_static(b"alive?")));
    assert_eq!(came, [Message::text("one"), Message::binary(vec![4])]);
    let seen = tokio::spawn(async move { server.read().await });
    socket.close(1001).await;
    let Ok(Some(Ok(Message::Close(Some(frame))))) = seen.await else { panic!("no close frame") };
    assert_eq!(u16::from(frame.code), 1001);
}

#[tokio::test]
async fn the_close_code_of_the_other_side_is_told_and_answered() {
    for (code, expected) in [(Some(1000), Some(1000)), (Some(4001), Some(4001)), (None, Some(1005))] {
        let (mut socket, mut server) = pair(|_| {}).await;
        let frame = code.map(|code: u16| CloseFrame { code: code.into(), reason: "bye".into() });
        let peer = tokio::spawn(async move {
            server.write(Message::text("last words")).await;
            server.write(Message::Close(frame)).await;
            server.read().await
        });
        assert_eq!(socket.next().await, Incoming::Text("last words".to_owned()));
        assert_eq!(socket.next().await, Incoming::Closed(expected));
        assert_eq!(socket.next().await, Incoming::Closed(expected), "and stays closed");
        assert!(matches!(peer.await, Ok(Some(Ok(Message::Close(_))))), "the close is answered");
    }
    let (mut socket, server) = pair(|_| {}).await;
    drop(server);
    assert_eq!(socket.next().await, Incoming::Closed(None), "a lost connection has no code");
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection_with_its_code() {
    let (mut socket, mut server) = pair(|opening| opening.largest = 1_000).await;
    server.write(Message::text("x".repeat(1_000))).await;
    assert!(matches!(socket.next().await, Incoming::Text(text) if text.len() == 1_000));
    server.write(Message::text("x".repeat(1_001))).await;
    assert_eq!(socket.next().await, Incoming::Closed(None));
    let seen = server.read().await;
    let Some(Ok(Message::Close(Some(frame)))) = seen else { panic!("{seen:?}") };
    assert_eq!(u16::from(frame.code), 1009);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_gone_and_memory_is_bounded() {
    let stall = Duration::from_millis(300);
    let (mut socket, server) = pair(|opening| (opening.stall, opening.room) = (stall, 1 << 20)).await;
    let megabyte = "x".repeat(1 << 20);
    let mut refused = 0;
    let begun = Instant::now();
    loop {
        if socket.text(megabyte.clone()).is_err() {
            refused += 1;
        }
        assert!(socket.waiting() <= (1 << 20) + MESSAGE_COST);
        if tokio::time::timeout(Duration::from_millis(10), socket.sent()).await == Ok(false) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it never counts as gone");
    }
    assert!(refused > 0, "what finds no room is refused");
    assert!(begun.elapsed() >= stall);
    assert_eq!(socket.next().await, Incoming::Closed(None));
    drop(server);
}

#[tokio::test]
async fn a_silent_peer_is_pinged_and_one_that_does_not_answer_is_gone() {
    let (mut socket, mut server) = pair(|opening| opening.silence = Duration::from_millis(100)).await;
    let peer = tokio::spawn(async move {
        for _ in 0..4 {
            let Some(Ok(Message::Ping(_))) = server.read().await else { panic!("no ping") };
        }
        server.write(Message::text("still here")).await;
        server
    });
    assert_eq!(socket.next().await, Incoming::Text("still here".to_owned()));
    let server = peer.await.expect("no panic");
    assert_eq!(socket.next().await, Incoming::Closed(None), "nobody reads its pings any more");
    drop(server);
}

#[tokio::test]
async fn nothing_is_lost_when_waiting_is_given_up() {
    let (mut socket, mut server) = pair(|_| {}).await;
    let peer = tokio::spawn(async move {
        for number in 0..500 {
            server.write(Message::text(format!("{number}:{}", "x".repeat(number * 7)))).await;
        }
        let mut came = 0;
        while came < 500 {
            let Some(Ok(Message::Text(text))) = server.read().await else { panic!("lost after {came}") };
            assert!(text.starts_with(&format!("{came}:")), "in order");
            came += 1;
        }
    });
    let mut sent = 0;
    let mut came = 0;
    while came < 500 {
        if sent < 500 && socket.text(format!("{sent}:{}", "y".repeat(sent * 5))).is_ok() {
            sent += 1;
        }
        if let Ok(incoming) = tokio::time::timeout(Duration::from_micros(50), socket.next()).await {
            let Incoming::Text(text) = incoming else { panic!("{incoming:?}") };
            assert!(text.starts_with(&format!("{came}:")), "in order");
            came += 1;
        }
    }
    while sent < 500 {
        if socket.text(format!("{sent}:{}", "y".repeat(sent * 5))).is_ok() {
            sent += 1;
        }
        assert!(socket.sent().await);
    }
    assert!(socket.sent().await);
    peer.await.expect("all came");
}

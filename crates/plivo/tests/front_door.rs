//! The front door, from outside.

mod house;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use house::*;
use plivo::front_door::{Authority, AuthorityStore, FrontDoor, Limits, MemoryStore, serve};
use plivo::{not_found, router};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

struct Door {
    address: SocketAddr,
    pem: String,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn open(limits: Limits) -> Door {
    open_for(&Arc::new(House::default()), limits).await
}

async fn open_for(house: &Arc<House>, limits: Limits) -> Door {
    let names = vec!["api.plivo.com".to_owned(), "voice.example.com".to_owned()];
    let authority = Authority::load_or_make(&MemoryStore::default(), &names).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(house.api()).fallback(not_found);
    let door = FrontDoor { tls: authority.server_config().unwrap(), router: app, names, limits };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, door, async move { drop(stopped.await) }));
    Door { address, pem: authority.certificate_pem().to_owned(), stop: Some(stop), task }
}

fn request(target: &str) -> String {
    let auth = STANDARD.encode(format!("{MAIN}:token"));
    format!("GET {target} HTTP/1.1\r\nHost: api.plivo.com\r\nAuthorization: Basic {auth}\r\nConnection: close\r\n\r\n")
}

fn path() -> String {
    format!("/v1/Account/{MAIN}/MultiPartyCall/name_support/")
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A TLS peer that closes without its last word is no failure here.
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("an answer in time");
    String::from_utf8(bytes).unwrap()
}

fn trusting(pem: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn tls_to(
    door: &Door,
    name: &'static str,
    stream: TcpStream,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    trusting(&door.pem).connect(ServerName::try_from(name).unwrap(), stream).await
}

async fn connect_request(stream: &mut TcpStream, target: &str) -> String {
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(Duration::from_secs(10), read).await.expect("an answer in time");
    String::from_utf8(head).unwrap()
}

fn is_room(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200") && answer.contains(LIVE)
}

#[tokio::test]
async fn tls_at_once_reaches_the_interface_under_every_name() {
    let door = open(Limits::default()).await;
    for name in ["api.plivo.com", "voice.example.com"] {
        let mut stream = tls_to(&door, name, TcpStream::connect(door.address).await.unwrap()).await.unwrap();
        let answer = exchange(&mut stream, &request(&path())).await;
        assert!(is_room(&answer), "{answer}");
    }
    let stranger = tls_to(&door, "other.example.com", TcpStream::connect(door.address).await.unwrap()).await;
    assert!(stranger.is_err(), "the certificate holds for its names alone");
}

#[tokio::test]
async fn a_proxy_variable_reaches_the_interface_through_connect() {
    let door = open(Limits::default()).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    assert!(connect_request(&mut stream, "api.plivo.com:443").await.starts_with("HTTP/1.1 200"));
    let mut stream = tls_to(&door, "api.plivo.com", stream).await.unwrap();
    assert!(is_room(&exchange(&mut stream, &request(&path())).await));
}

#[tokio::test]
async fn the_front_door_is_no_proxy_to_other_places() {
    let door = open(Limits::default()).await;
    for target in ["example.com:443", "127.0.0.1:443", "api.plivo.com:22"] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let answer =
            exchange(&mut stream, &format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n"))
                .await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("no_proxy"), "{answer}");
    }
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    assert!(exchange(&mut stream, &request("http://example.com/x")).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn plain_requests_are_answered_with_absolute_and_ordinary_targets() {
    let door = open(Limits::default()).await;
    for target in [format!("http://api.plivo.com{}", path()), format!("https://api.plivo.com:443{}", path()), path()] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let answer = exchange(&mut stream, &request(&target)).await;
        assert!(is_room(&answer), "{target}: {answer}");
    }
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let answer = exchange(&mut stream, &request("/elsewhere")).await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("\"error\""), "{answer}");
}

#[tokio::test]
async fn a_client_that_says_nothing_or_nonsense_is_closed() {
    let limits =
        Limits { handshake: Duration::from_millis(100), head: Duration::from_millis(100), ..Limits::default() };
    let door = open(limits).await;
    for start in
        [&b""[..], &[0x16, 0x03, 0x01], &[0x16, 0xff, 0xff, 0xff, 0xff, 0xff], b"GET / HT", b"\x00\x00\x00\x00\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut bytes = Vec::new();
        let closed = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
        assert!(closed.is_ok(), "{start:?}");
    }
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let _ = stream.write_all(huge.as_bytes()).await;
    let mut bytes = Vec::new();
    let closed = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
    assert!(closed.is_ok() && !bytes.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_room_comes_back() {
    let door = open(Limits { connections: 1, ..Limits::default() }).await;
    let mut holder = TcpStream::connect(door.address).await.unwrap();
    holder.write_all(b"GET /").await.unwrap();
    let mut second = TcpStream::connect(door.address).await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(Duration::from_secs(10), second.read_to_end(&mut bytes)).await.expect("it is closed");
    assert!(bytes.is_empty());
    drop(holder);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(door.address).await.unwrap();
            if stream.write_all(request(&path()).as_bytes()).await.is_err() {
                continue;
            }
            let mut text = String::new();
            if stream.read_to_string(&mut text).await.is_ok() && is_room(&text) {
                break;
            }
        }
    };
    timeout(Duration::from_secs(10), again).await.expect("the place is free again");
}

#[tokio::test]
async fn it_stops_when_it_is_told_to_even_with_idle_connections() {
    let mut door = open(Limits::default()).await;
    let mut idle = TcpStream::connect(door.address).await.unwrap();
    idle.write_all(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path()).as_bytes()).await.unwrap();
    let mut first = [0u8; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 401");
    door.stop.take();
    timeout(Duration::from_secs(10), &mut door.task).await.expect("it stops").unwrap().unwrap();
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test]
async fn the_authority_is_made_once_and_again_only_for_a_new_name() {
    let store = MemoryStore::default();
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let first = Authority::load_or_make(&store, &names(&["api.plivo.com", "127.0.0.1"])).await.unwrap();
    let second = Authority::load_or_make(&store, &names(&["API.plivo.com"])).await.unwrap();
    assert!(first.is_new() && !second.is_new());
    assert_eq!(first.certificate_pem(), second.certificate_pem());
    // What was saved signs certificates that the first certificate vouches for.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = FrontDoor {
        tls: second.server_config().unwrap(),
        router: axum::Router::new(),
        names: Vec::new(),
        limits: Limits::default(),
    };
    tokio::spawn(serve(listener, door, std::future::pending()));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = trusting(first.certificate_pem())
        .connect(ServerName::try_from("api.plivo.com").unwrap(), stream)
        .await
        .unwrap();
    assert!(
        exchange(&mut stream, &request("/x"))
            .await
            .starts_with(&format!("HTTP/1.1 {}", StatusCode::NOT_FOUND.as_u16()))
    );
    let third = Authority::load_or_make(&store, &names(&["api.plivo.com", "new.example.com"])).await.unwrap();
    assert!(third.is_new() && third.certificate_pem() != first.certificate_pem());
    store.save("nonsense").await.unwrap();
    assert!(Authority::load_or_make(&store, &names(&["api.plivo.com"])).await.is_err());
}

#[tokio::test]
async fn a_client_that_has_given_up_when_its_answer_is_written_and_asks_again_never_has_it_done_twice() {
    let house = Arc::new(House { gate: tokio::sync::Semaphore::new(0), ..House::default() });
    let door = open_for(&house, Limits::default()).await;
    let auth = STANDARD.encode(format!("{MAIN}:token"));
    let (post, delete) = (r#"{"role":"agent","from":"4930","to":"494"#, "");
    for turn in 0..20 {
        // A body in the one, none in the other: 201 and 204.
        let (method, rest, body) = match turn % 2 {
            0 => ("POST", "Participant/", format!("{post}{turn}\"}}")),
            _ => ("DELETE", "", delete.to_owned()),
        };
        let text = format!(
            "{method} {}{rest} HTTP/1.1\r\nHost: api.plivo.com\r\nAuthorization: Basic {auth}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            path(),
            body.len()
        );
        let (before, waited) = (house.done().len(), house.waiting.load(std::sync::atomic::Ordering::SeqCst));
        let mut first = TcpStream::connect(door.address).await.unwrap();
        first.write_all(text.as_bytes()).await.unwrap();
        let arrives = async {
            while house.waiting.load(std::sync::atomic::Ordering::SeqCst) == waited {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), arrives).await.expect("the request arrives");
        drop(first);
        // The runtime looks at its sockets at least every 61 turns: then the server has seen the close.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        house.gate.add_permits(1);
        let mut second = TcpStream::connect(door.address).await.unwrap();
        second.write_all(text.as_bytes()).await.unwrap();
        // Done a second time it would wait here for ever. All of the answer is read: a client that leaves some has not had it.
        let mut answer = Vec::new();
        let whole = async {
            let head = |answer: &[u8]| answer.windows(4).any(|four| four == b"\r\n\r\n");
            while !head(&answer) || (method == "POST" && !answer.ends_with(b"}")) {
                assert_ne!(second.read_buf(&mut answer).await.unwrap(), 0);
            }
        };
        timeout(Duration::from_secs(10), whole).await.expect("it is not done again");
        assert!(answer.starts_with(b"HTTP/1.1 2"));
        assert_eq!(house.done().len(), before + 1, "turn {turn}");
    }
}

//! The HTTP door under callers who take its places and say nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use system_tests::SOON;
use system_tests::office::Office;
use system_tests::server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A connection from an address of our choice.
async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_come_cost_a_source_its_own_places_and_nobody_elses() {
    let options = ServerOptions::default()
        .set("http", "connections", "60")
        .set("http", "connections_per_source", "40")
        .set("http", "body_timeout_s", "2");
    let office = Office::with(options).await;
    let api = office.server.at().api;
    let head = format!(
        "POST /api/v1/rooms/x/start HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n",
        office.account.key
    );
    let noisy = Ipv4Addr::new(127, 0, 0, 9);
    let mut stalled = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(noisy, api).await;
        // One over the limit is closed, perhaps before it has written.
        let _ = stream.write_all(head.as_bytes()).await;
        stalled.push(stream);
    }
    // Another source is served all the while.
    let health = tokio::time::timeout(SOON, reqwest::get(office.server.url("/health"))).await;
    assert!(health.expect("nobody else is served").unwrap().status().is_success());
    // None of them keeps its place.
    for mut stream in stalled {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "a request without its body keeps its place");
        assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
}

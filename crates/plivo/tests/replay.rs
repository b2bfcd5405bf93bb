//! Requests that are sent again, over real connections.

mod house;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use house::*;
use plivo::router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

async fn serve(house: &Arc<House>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(house.api());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn send(address: SocketAddr, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let auth = STANDARD.encode(format!("{MAIN}:token"));
    let request = format!(
        "POST /v1/Account/{MAIN}/MultiPartyCall/name_support/Participant/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {auth}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(Duration::from_secs(10), stream.read_to_string(&mut text)).await.expect("an answer in time").unwrap();
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");
    let start = text.find("\"api_id\":\"").unwrap() + 10;
    text[start..start + 36].to_owned()
}

/// Until the house has been asked so often.
async fn waiting(house: &House, at_gate: usize) {
    let all = async {
        while house.waiting.load(std::sync::atomic::Ordering::SeqCst) < at_gate {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), all).await.expect("the request arrives");
}

const BODY: &str = r#"{"role":"agent","from":"4930","to":"4940"}"#;

fn closed_house() -> Arc<House> {
    Arc::new(House { gate: Semaphore::new(0), ..House::default() })
}

#[tokio::test]
async fn a_request_sent_again_after_its_connection_was_given_up_is_done_once() {
    let house = closed_house();
    let address = serve(&house).await;
    let first = send(address, BODY).await;
    waiting(&house, 1).await;
    drop(first);
    let second = send(address, BODY).await;
    house.gate.add_permits(10);
    answer(second).await;
    assert_eq!(house.done().len(), 1, "the side effect happened once, and the closed connection did not undo it");
}

#[tokio::test]
async fn an_answer_that_found_nobody_is_kept_for_the_next_attempt() {
    let house = closed_house();
    let address = serve(&house).await;
    let first = send(address, BODY).await;
    waiting(&house, 1).await;
    drop(first);
    // The server sees the end of the connection before the work is done: give it the turns it needs.
    let mut probe = TcpStream::connect(address).await.unwrap();
    probe.write_all(b"GET /v1/Account/x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    probe.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 401"));
    house.gate.add_permits(10);
    let all = async {
        while house.done().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), all).await.expect("the work is done without a connection");
    let second = answer(send(address, BODY).await).await;
    let third = answer(send(address, BODY).await).await;
    assert_ne!(second, third, "what was handed over once is not given again");
    assert_eq!(house.done().len(), 2);
}

#[tokio::test]
async fn equal_requests_at_the_same_time_get_one_answer_and_later_ones_their_own() {
    let house = closed_house();
    let address = serve(&house).await;
    let first = send(address, BODY).await;
    waiting(&house, 1).await;
    let second = send(address, BODY).await;
    let other = send(address, r#"{"role":"agent","from":"4930","to":"4941"}"#).await;
    waiting(&house, 2).await;
    house.gate.add_permits(10);
    let (first, second, other) = (answer(first).await, answer(second).await, answer(other).await);
    assert_eq!(first, second);
    assert_ne!(first, other);
    let later = answer(send(address, BODY).await).await;
    assert_ne!(later, first);
    assert_eq!(house.done().len(), 3);
}

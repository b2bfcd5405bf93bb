//! The HTTP listeners: TLS, clients that do not read, sources behind proxies.

mod common;

use std::time::Duration;

use aside::config;
use aside::serve::{Server, tls};
use common::{DEADLINE, Directory, Exchange, ask, parse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn metric(api: std::net::SocketAddr, name: &str) -> f64 {
    let text = ask(api, "GET", "/metrics", None, "").await.text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn https_serves_the_same_under_a_certificate_of_its_own_authority_that_stays() {
    let directory = Directory::new();
    let config = config::load_text("test", &directory.config("https = \"127.0.0.1:0\"\n"), Vec::new()).unwrap().config;
    let mut authorities = Vec::new();
    for _ in 0..2 {
        let server = Server::start(&config).await.unwrap();
        let https = server.addresses().https.unwrap();
        let authority = tls::authority(&config.server.data_dir, &config.http.https_names).await.unwrap();
        let trusted = reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
        let health = client.get(format!("https://{https}/health")).send().await.unwrap();
        assert_eq!(health.status(), 200);
        let page = client.get(format!("https://{https}/console")).send().await.unwrap();
        assert!(page.headers().contains_key("content-security-policy"));
        let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
        assert!(stranger.get(format!("https://{https}/health")).send().await.is_err(), "trusted by nobody else");
        // Plain HTTP on the TLS port is no request.
        let mut plain = TcpStream::connect(https).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(DEADLINE, plain.read_to_end(&mut answer)).await.expect("closed");
        assert!(!String::from_utf8_lossy(&answer).contains("200"));
        assert!(metric(server.addresses().api, "aside_http_handshakes_failed_total").await >= 1.0);
        authorities.push(authority.certificate_pem().to_owned());
        server.stop(Duration::ZERO).await;
    }
    assert_eq!(authorities[0], authorities[1], "browsers trust it once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_off_and_counted() {
    let directory = Directory::new();
    let config = config::load_text("test", &directory.config("write_timeout_s = 1\n"), Vec::new()).unwrap().config;
    let server = Server::start(&config).await.unwrap();
    let api = server.addresses().api;
    let mut stream = TcpStream::connect(api).await.unwrap();
    // More than all buffers between hold.
    let request = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400);
    stream.write_all(request.as_bytes()).await.unwrap();
    let begun = tokio::time::Instant::now();
    while metric(api, "aside_http_unread_total").await < 1.0 {
        assert!(begun.elapsed() < DEADLINE, "it is never cut off");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it is closed");
    let whole = String::from_utf8_lossy(&rest).matches("HTTP/1.1 200").count();
    assert!(whole < 400, "all {whole} answers came");
    server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_through_a_proxy_count_for_whom_it_names_and_not_for_the_proxy() {
    let directory = Directory::new();
    let more = "connections_per_source = 2\nforwarded_by = [\"127.0.0.0/8\"]\n";
    let config = config::load_text("test", &directory.config(more), Vec::new()).unwrap().config;
    let mut server = Server::start(&config).await.unwrap();
    let key = server.take_credentials().unwrap().admin_key;
    let api = server.addresses().api;
    let authorization = format!("Bearer {key}");
    let open = async |source: &str| {
        let headers = [("Authorization", authorization.as_str()), ("X-Forwarded-For", source)];
        let mut exchange = Exchange::send(api, "GET", "/api/v1/overview/stream", &headers, "").await;
        exchange.until("\r\n\r\n").await;
        (parse(&exchange.seen).status, exchange)
    };
    let (first, held) = open("198.51.100.7").await;
    let (second, _held) = open("192.0.2.1, 198.51.100.7").await;
    let (third, _) = open("198.51.100.7").await;
    assert_eq!((first, second, third), (200, 200, 429));
    let (other, _other) = open("198.51.100.7, 203.0.113.9").await;
    assert_eq!(other, 200, "another source");
    drop(held);
    let begun = tokio::time::Instant::now();
    while open("198.51.100.7").await.0 != 200 {
        assert!(begun.elapsed() < DEADLINE, "a place does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop(Duration::ZERO).await;
}

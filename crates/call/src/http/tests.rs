use super::*;

#[test]
fn a_url_to_this_machine_or_its_network_is_refused_in_every_spelling() {
    let http = Http::new(HttpPolicy::default());
    for url in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest",
        "http://10.0.0.8:8080/",
        "http://192.168.1.1/",
        "http://172.20.3.4/",
        "http://100.64.0.1/",
        "http://[fc00::1]/",
        "http://[fe80::1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://0.0.0.0/",
    ] {
        assert!(matches!(http.check(url), Err(HttpError::Forbidden { .. })), "{url}");
    }
    assert!(http.check("http://93.184.216.34/").is_ok());
    assert!(matches!(http.check("ftp://example.com/"), Err(HttpError::BadUrl { .. })));
}

#[test]
fn a_url_is_shown_without_what_may_be_secret() {
    for (url, expected) in [
        ("http://user:s3cretpw@a.example.com:8080/x/y?token=tok3n#frag", "http://a.example.com:8080/x/y"),
        ("HTTPS://tok3n@a.example.com?tok3n", "https://a.example.com/"),
        ("http://[::1]:9/p?q", "http://[::1]:9/p"),
        ("http://user:s3cretpw@a b/x?token=tok3n", "http://a b/x"),
        ("user:s3cretpw@host/x?token=tok3n", "host/x"),
        ("mailto:tok3n@example.com", "example.com"),
        ("/path?token=tok3n", "/path"),
    ] {
        assert_eq!(shown(url), expected, "{url}");
    }
    assert_eq!(shown(&format!("http://a/{}", "x".repeat(9_000))).chars().count(), 201);
    let error = Http::new(HttpPolicy::default()).check("ftp://user:s3cretpw@a/?token=tok3n").unwrap_err().to_string();
    assert!(!error.contains("s3cretpw") && !error.contains("tok3n"), "{error}");
}

#[test]
fn an_answer_is_fresh_for_as_long_as_it_says() {
    let seconds = |text, age| freshness(text, age).map(|fresh| fresh.as_secs());
    assert_eq!(seconds("", None), None);
    assert_eq!(seconds("public, immutable", None), None);
    assert_eq!(seconds("public, Max-Age=60", None), Some(60));
    assert_eq!(seconds("max-age=60, max-age=\"5\"", None), Some(5));
    assert_eq!(seconds("max-age=60", Some("50")), Some(10));
    assert_eq!(seconds("max-age=60", Some("90")), Some(0));
    assert_eq!(seconds("max-age=soon", None), Some(0));
    assert_eq!(seconds("max-age=60, no-store", None), Some(0));
    assert_eq!(seconds("no-cache", None), Some(0));
}

#[test]
fn an_allowed_network_may_be_asked() {
    let allowed = vec![Network::parse("127.0.0.0/8").unwrap()];
    let http = Http::new(HttpPolicy { allowed, ..HttpPolicy::default() });
    assert!(http.check("http://127.0.0.1:9/").is_ok());
    assert!(http.check("http://10.0.0.1/").is_err());
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused() {
    let http = Http::new(HttpPolicy::default());
    let options = DeliveryOptions {
        connect: Duration::from_secs(2),
        total: Duration::from_secs(2),
        retries: 0,
        retry_connect: false,
        retry_timeout: false,
        retry_4xx: false,
        retry_5xx: false,
    };
    let request = Request {
        method: Method::Get,
        url: "http://localhost:9/",
        auth: None,
        content: Content::Nothing,
        headers: &[],
        limit: 10,
        download: None,
    };
    let error = http.send(&request, options).await.unwrap_err();
    assert!(matches!(error, HttpError::Forbidden { .. }), "{error}");
}

/// Answers the first request with 503 and the second with 200; what both were, head by head.
async fn hesitant() -> (String, tokio::task::JoinHandle<Vec<String>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let served = tokio::spawn(async move {
        let mut heads = Vec::new();
        for status in ["503 Service Unavailable", "200 OK"] {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("answered");
            heads.push(String::from_utf8(head).expect("text"));
        }
        heads
    });
    (url, served)
}

#[tokio::test]
async fn each_attempt_is_signed_at_its_own_time() {
    let (url, served) = hesitant().await;
    let allowed = Network::parse("127.0.0.0/8").into_iter().collect();
    let http = Http::new(HttpPolicy { allowed, ..HttpPolicy::default() });
    let options = DeliveryOptions {
        connect: Duration::from_secs(10),
        total: Duration::from_secs(10),
        retries: 1,
        retry_connect: false,
        retry_timeout: false,
        retry_4xx: false,
        retry_5xx: true,
    };
    let own = [("X-Own".to_owned(), "yes".to_owned())];
    let request = Request {
        method: Method::Get,
        url: &url,
        auth: None,
        content: Content::Nothing,
        headers: &own,
        limit: 10,
        download: None,
    };
    let signed = std::sync::atomic::AtomicU32::new(0);
    let sign = || {
        let number = signed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        vec![("X-Signed".to_owned(), number.to_string())]
    };
    let pause = Duration::from_millis(300);
    let begun = std::time::Instant::now();
    let sent = http.send_signed(&request, &sign, options, Pauses { first: pause, all: None });
    let answer = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("it ends");
    answer.expect("the second attempt is good");
    assert!(begun.elapsed() >= pause, "the second attempt came at once");
    let heads = served.await.expect("two requests");
    for (number, head) in heads.iter().enumerate() {
        let head = head.to_ascii_lowercase();
        assert!(head.contains(&format!("x-signed: {number}\r\n")) && head.contains("x-own: yes\r\n"), "{head}");
    }
}

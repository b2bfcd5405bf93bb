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

//! What browsers need of the server: the pages, WebSockets for SIP, tokens that work once, and limits on guessing.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use aside::api::{BASE, SignIn};
use aside::config;
use aside::serve::Server;
use common::stage::stage_as;
use common::{DEADLINE, Directory, Exchange, ask, parse};
use serde_json::{Value as Json, json};
use store::{Invitation, RoomId, Scope, Store, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct House {
    server: Server,
    api: SocketAddr,
    store: Store,
    admin: String,
    _directory: Directory,
}

async fn house(more: &str) -> House {
    let directory = Directory::new();
    let config = config::load_text("test", &directory.config(more), Vec::new()).unwrap().config;
    let mut server = Server::start(&config).await.unwrap();
    let admin = server.take_credentials().unwrap().admin_key;
    let (api, store) = (server.addresses().api, server.engine().store().clone());
    House { server, api, store, admin, _directory: directory }
}

fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}

impl House {
    async fn post(&self, path: &str, key: Option<&str>, body: Json) -> common::Answer {
        ask(self.api, "POST", &format!("{BASE}{path}"), key, &body.to_string()).await
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = ask(self.api, "GET", "/metrics", None, "").await.text;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
    }

    /// The head that answers a handshake.
    async fn knock(&self, path: &str, more: &[(&str, &str)]) -> common::Answer {
        let mut headers = vec![
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend_from_slice(more);
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: aside.test\r\nConnection: Upgrade\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(self.api).await.unwrap();
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let mut seen = String::new();
        let reading = async {
            let mut chunk = [0; 4096];
            while !seen.contains("\r\n\r\n") {
                let count = stream.read(&mut chunk).await.unwrap();
                assert!(count > 0, "{seen}");
                seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("in time");
        parse(&seen)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_comes_with_a_policy_that_lets_in_nothing_foreign() {
    let house = house("").await;
    for path in ["/console", "/console/", "/phone", "/call/help-0123", "/console/lib/api.js", "/console/lib/style.css"]
    {
        let answer = ask(house.api, "GET", path, None, "").await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}: {}", answer.head));
        for part in ["default-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "object-src 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
        assert!(answer.header("permissions-policy").unwrap().contains("microphone=(self)"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "a link's token stands in its address");
        let tag = answer.header("etag").unwrap().to_owned();
        let again = Exchange::send(house.api, "GET", path, &[("If-None-Match", &tag)], "").await.end().await;
        assert_eq!(parse(&again).status, 304, "{path}");
    }
    let kinds =
        [("/console", "text/html"), ("/console/lib/api.js", "text/javascript"), ("/console/lib/style.css", "text/css")];
    for (path, kind) in kinds {
        assert!(ask(house.api, "GET", path, None, "").await.content_type.starts_with(kind), "{path}");
    }
    for path in ["/console/none.js", "/console/../Cargo.toml", "/console/%2e%2e/Cargo.toml", "/console/lib"] {
        assert_eq!(ask(house.api, "GET", path, None, "").await.status, 404, "{path}");
    }
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_for_sip_is_opened_for_own_pages_and_programs_and_for_no_foreign_page() {
    let house = house("origins = [\"https://desk.example.com\"]\n").await;
    let sip = ("Sec-WebSocket-Protocol", "sip");
    for path in ["/sip", "/ws", "/"] {
        let opened = house.knock(path, &[sip]).await;
        assert_eq!(opened.status, 101, "{path}: {}", opened.head);
        assert_eq!(opened.header("sec-websocket-protocol"), Some("sip"));
        assert_eq!(opened.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(opened.header("sec-websocket-extensions"), None);
    }
    for origin in ["http://aside.test", "https://aside.test", "https://desk.example.com"] {
        assert_eq!(house.knock("/sip", &[sip, ("Origin", origin)]).await.status, 101, "{origin}");
    }
    for origin in ["https://evil.example", "null", "http://aside.test.evil.example"] {
        assert_eq!(house.knock("/sip", &[sip, ("Origin", origin)]).await.status, 403, "{origin}");
    }
    assert_eq!(house.knock("/sip", &[]).await.status, 400, "no subprotocol");
    assert_eq!(house.knock("/sip", &[("Sec-WebSocket-Protocol", "chat")]).await.status, 400);
    assert_eq!(ask(house.api, "GET", "/sip", None, "").await.status, 426);
    assert_eq!(house.metric("aside_websockets_refused_total{why=\"origin\"}").await, 3.0);
    assert_eq!(house.metric("aside_websockets_refused_total{why=\"handshake\"}").await, 3.0);
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signalling_answers_on_the_websocket() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let house = house("").await;
    let mut request = format!("ws://{}/sip", house.api).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    let stream = TcpStream::connect(house.api).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let options = "OPTIONS sip:admin@phone.plivo.com SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKtest\r\n\
        Max-Forwards: 70\r\nFrom: <sip:a@phone.plivo.com>;tag=1\r\nTo: <sip:admin@phone.plivo.com>\r\nCall-ID: c1\r\n\
        CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    socket.send(Message::text(options)).await.unwrap();
    let answered = tokio::time::timeout(DEADLINE, async {
        loop {
            let message = socket.next().await.expect("open").expect("readable");
            if let Ok(text) = message.into_text()
                && text.starts_with("SIP/2.0 ")
            {
                return text.to_string();
            }
        }
    });
    let answer = answered.await.expect("in time");
    assert!(answer.contains("CSeq: 1 OPTIONS"), "{answer}");
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_says_whose_key_it_is_and_a_sign_in_link_works_once() {
    let house = house("").await;
    let shown = ask(house.api, "GET", "/api/v1/session", Some(&house.admin), "").await.json();

    assert_eq!(shown["key"]["scopes"].as_array().unwrap().len(), 4);
    assert_eq!((&shown["key"]["rooms"], &shown["key"]["expires_at"]), (&Json::Null, &Json::Null));
    assert!(shown["server"]["version"].is_string() && shown["now"].as_str().unwrap().ends_with('Z'), "{shown}");
    let account = shown["account"]["id"].as_str().unwrap().parse().unwrap();
    let sign_in = SignIn {
        account,
        name: "desk".to_owned(),
        scopes: [Scope::Read].into_iter().collect(),
        key_life: Duration::from_secs(60),
    };
    let token = house.server.api().sign_in(sign_in, Duration::from_secs(60)).unwrap();
    let signed = house.post("/session", None, json!({ "token": token.reveal() })).await;
    assert_eq!(signed.status, 201, "{}", signed.text);
    let key = signed.json()["key"].as_str().unwrap().to_owned();
    let who = ask(house.api, "GET", "/api/v1/session", Some(&key), "").await.json();
    assert_eq!((&who["key"]["name"], &who["key"]["scopes"]), (&json!("desk"), &json!(["read"])));
    assert!(who["key"]["expires_at"].is_string());
    assert_eq!(house.post("/session", None, json!({ "token": token.reveal() })).await.status, 404, "used twice");
    assert_eq!(house.post("/session", None, json!({ "token": "0".repeat(64) })).await.status, 404);
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_to_a_room_that_is_over_or_from_a_lost_key_lets_nobody_in() {
    let house = house("").await;
    let account = house.store.accounts(store::Page::first(1)).await.unwrap().items[0].id;
    let key = house.store.api_keys(account).await.unwrap()[0].id.clone();
    for (made_by, expires, status) in [
        (key.clone(), now().plus(Duration::from_secs(60)), 410),
        ("nokeyatall000000".to_owned(), now().plus(Duration::from_secs(60)), 404),
        (key, now().minus(Duration::from_secs(1)), 404),
    ] {
        let at = now().minus(Duration::from_secs(10));
        let (invitation, token) = Invitation::generate(account, RoomId::generate(), "agent", made_by, at, expires);
        house.store.batch().put_invitation(invitation).commit().await.unwrap();
        let body = json!({ "token": token.reveal() });
        assert_eq!(house.post("/invitations/redeem", None, body.clone()).await.status, status);
        assert_eq!(house.post("/invitations/redeem", None, body).await.status, 404, "it was used up");
    }
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_credentials_for_its_application_until_it_is_deleted() {
    let house = house("").await;
    let app = json!({ "name": "shop", "answer_url": "https://shop.example/answer" });
    let app = house.post("/applications", Some(&house.admin), app).await.json();
    let new = json!({ "name": "help-desk", "application": "shop", "label": "Visitor" });
    let made = house.post("/links", Some(&house.admin), new.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let link = made.json();
    assert_eq!(link["application"], app["app_id"]);
    let path = link["path"].as_str().unwrap();
    let token = path.strip_prefix("/call/").unwrap();
    assert!(token.starts_with("help-desk-") && token.len() == "help-desk-".len() + 64, "{path}");
    assert_eq!(house.post("/links", Some(&house.admin), new).await.status, 409, "a name is one link's");
    for wrong in [
        json!({ "name": "a b", "application": "shop" }),
        json!({ "name": "x" }),
        json!({ "name": "x", "application": "shop", "number": "15550100" }),
    ] {
        assert_eq!(house.post("/links", Some(&house.admin), wrong).await.status, 400);
    }
    assert_eq!(
        house.post("/links", Some(&house.admin), json!({ "name": "x", "number": "15550100" })).await.status,
        404
    );

    for _ in 0..2 {
        let admitted = house.post("/links/redeem", None, json!({ "token": token })).await;
        assert_eq!(admitted.status, 201, "{}", admitted.text);
        let admission = admitted.json();
        assert!(admission["sip"]["uri"].as_str().unwrap().starts_with("sip:"), "{admission}");
        assert_eq!((&admission["websocket"], &admission["member_label"]), (&json!("/sip"), &json!("Visitor")));
        for part in ["username", "password", "realm"] {
            assert!(admission["sip"][part].as_str().is_some_and(|text| !text.is_empty()), "{admission}");
        }
    }
    let listed = ask(house.api, "GET", "/api/v1/links", Some(&house.admin), "").await;
    assert_eq!(listed.json()["total"], 1);
    assert!(!listed.text.contains(&token[token.len() - 64..]), "the token is shown once");
    assert!(house.metric("aside_tickets_issued_total").await >= 2.0);
    let path = "/api/v1/links/help-desk";
    assert_eq!(ask(house.api, "DELETE", path, Some(&house.admin), "").await.status, 204);
    assert_eq!(house.post("/links/redeem", None, json!({ "token": token })).await.status, 404);
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_tokens_or_passwords_is_slowed_down() {
    let house = house("").await;
    let mut refused = Vec::new();
    for index in 0..70 {
        refused.push(house.post("/links/redeem", None, json!({ "token": format!("{index:064}") })).await.status);
    }
    assert_eq!((refused[0], refused[59], refused[60], refused[69]), (404, 404, 429, 429));

    let anna = json!({ "username": "anna", "password": "secret1" });
    assert_eq!(house.post("/endpoints", Some(&house.admin), anna.clone()).await.status, 201);
    let good = house.post("/phone/ice", None, anna.clone()).await;
    assert_eq!(good.status, 200, "{}", good.text);
    assert_eq!(good.json(), json!({ "realm": "phone.plivo.com", "websocket": "/sip", "ice_servers": [] }));
    for tried in 0..10 {
        let wrong = json!({ "username": "anna", "password": format!("secret{tried}x") });
        assert_eq!(house.post("/phone/ice", None, wrong).await.status, 401);
    }
    assert_eq!(house.post("/phone/ice", None, anna).await.status, 429, "[sip] auth_failures of one source and user");
    let help = json!({ "call_uuid": "none" });
    assert_eq!(house.post("/phone/help", None, help).await.status, 401);
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_made_at_once_count_each() {
    let house = house("").await;
    let anna = json!({ "username": "anna", "password": "secret1" });
    house.post("/endpoints", Some(&house.admin), anna.clone()).await;
    let guess = async |index: usize| {
        let wrong = json!({ "username": "anna", "password": format!("secret{index}x") });
        house.post("/phone/ice", None, wrong).await.status
    };
    let told = futures_util::future::join_all((0..60).map(guess)).await;
    let looked_at = told.iter().filter(|status| **status == 401).count();
    assert_eq!(looked_at, 10, "[sip] auth_failures: {told:?}");
    assert!(told.iter().all(|status| [401, 429].contains(status)), "{told:?}");
    // Those who know it are as many as they like.
    let otto = json!({ "username": "otto", "password": "secret1" });
    house.post("/endpoints", Some(&house.admin), otto.clone()).await;
    let good = (0..30).map(async |_| house.post("/phone/ice", None, otto.clone()).await.status);
    let told = futures_util::future::join_all(good).await;
    let let_in = told.iter().filter(|status| **status == 200).count();
    assert!(let_in >= 10, "at once: {told:?}");
    for _ in 0..20 {
        assert_eq!(house.post("/phone/ice", None, otto.clone()).await.status, 200, "one after the other");
    }
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_used_too_often_says_so_and_a_wrong_one_what_is_wrong() {
    let house = house("forwarded_by = [\"127.0.0.1/32\"]\n").await;
    let app = json!({ "name": "shop", "answer_url": "https://shop.example/answer" });
    house.post("/applications", Some(&house.admin), app).await;
    let made = house.post("/links", Some(&house.admin), json!({ "name": "busy", "application": "shop" })).await.json();
    let token = made["path"].as_str().unwrap().strip_prefix("/call/").unwrap().to_owned();
    // As many as one link may lead to in a minute, from as many places as that takes.
    let redeem = json!({ "token": token }).to_string();
    let mut last = None;
    for index in 0..=300 {
        let from = format!("2001:db8:{:x}::1", index / 50);
        let headers = [("X-Forwarded-For", from.as_str())];
        let text = Exchange::send(house.api, "POST", "/api/v1/links/redeem", &headers, &redeem).await.end().await;
        let answer = parse(&text);
        if answer.status == 429 {
            last = Some(answer.text);
            break;
        }
    }
    let last = last.expect("there is a limit");
    assert!(last.contains("this link is used too often just now; try again in a minute"), "{last}");
    for (body, wanted) in [
        (json!({ "name": "x" }), "name an application or a number that"),
        (json!({ "name": "x", "application": "shop", "number": "1" }), "not both"),
        (json!({ "name": "x", "application": "shop", "label": "a\u{202e}b" }), "format characters"),
    ] {
        let refused = house.post("/links", Some(&house.admin), body).await;
        assert!(refused.status == 400 && refused.text.contains(wanted), "{}", refused.text);
    }
    house.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_tells_browsers_to_come_again() {
    let stage = stage_as(|directory| {
        let text = directory.config("allow = [\"127.0.0.0/8\"]\n");
        text.replace("[webrtc]\n", "[webrtc]\nmax_peers = 1\n")
    })
    .await;
    let config = sip::SipConfig { udp: vec!["127.0.0.1:0".parse().unwrap()], ..sip::SipConfig::default() };
    let nobody = call::roster::StoredRoster::new(
        Store::open_temporary(store::StoreConfig::default()).unwrap(),
        Vec::new(),
        call::ticket::Tickets::default(),
    );
    let (signalling, _incoming) = sip::Sip::start(config, std::sync::Arc::new(nobody)).await.unwrap();
    let browser = webrtc::WebRtc::start(webrtc::WebRtcConfig::default()).unwrap();
    let mut held = Vec::new();
    for wanted in [200, 503] {
        let body = json!({ "mode": "monitor", "client": format!("tab{wanted}") });
        let admission = stage.ask("POST", "/join", &stage.key, body).await.json();
        let text = |part: &str| admission["sip"][part].as_str().unwrap().to_owned();
        let offered = browser.offer(webrtc::Wish::default()).await.unwrap();
        let outgoing = sip::Outgoing {
            target: sip::Target::Uri(text("uri")),
            from: sip::Party { user: "tab".to_owned(), host: text("realm"), display: String::new() },
            to: None,
            headers: Vec::new(),
            offer: sip::sdp::Session::webrtc_of(&offered.sdp).unwrap(),
            auth: Some((text("username"), text("password"))),
            route: Some(stage.sip.to_string()),
            transport: Some(sip::Transport::Udp),
        };
        let mut leg = signalling.invite(outgoing).await.unwrap();
        let told = tokio::time::timeout(DEADLINE, async {
            loop {
                match leg.next().await.expect("an answer") {
                    sip::LegEvent::Answered(_) => return 200,
                    sip::LegEvent::Refused { code, .. } => return code,
                    _ => {}
                }
            }
        });
        assert_eq!(told.await.expect("in time"), wanted);
        held.push((leg, offered));
    }
    drop(held);
    signalling.stop().await;
    stage.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turn_credentials_are_for_a_time_and_stun_servers_need_none() {
    let directory = Directory::new();
    let turn = "[turn]\nuris = [\"stun:stun.test\", \"turn:turn.test?transport=udp\"]\nsecret = \"north\"\n";
    let text = format!("{}{turn}", directory.config(""));
    let config = config::load_text("test", &text, Vec::new()).unwrap().config;
    let mut server = Server::start(&config).await.unwrap();
    let admin = server.take_credentials().unwrap().admin_key;
    let api = server.addresses().api;
    let anna = json!({ "username": "anna", "password": "secret1" }).to_string();
    ask(api, "POST", "/api/v1/endpoints", Some(&admin), &anna).await;
    let servers = ask(api, "POST", "/api/v1/phone/ice", None, &anna).await.json()["ice_servers"].clone();
    assert_eq!(servers[0], json!({ "urls": ["stun:stun.test"] }));
    let until: i64 = servers[1]["username"].as_str().unwrap().split(':').next().unwrap().parse().unwrap();
    let seconds = now().micros() / 1_000_000;
    assert!((seconds + 28_000..seconds + 29_000).contains(&until), "{servers}");
    assert!(!servers.to_string().contains("north"));
    server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_webrtc_says_so_and_opens_no_websocket() {
    let directory = Directory::new();
    let text = directory.config("").replace("[webrtc]\n", "[webrtc]\nenabled = false\n");
    let config = config::load_text("test", &text, Vec::new()).unwrap().config;
    let server = Server::start(&config).await.unwrap();
    let api = server.addresses().api;
    assert_eq!(ask(api, "GET", "/sip", None, "").await.status, 404);
    let asked = ask(api, "POST", "/api/v1/phone/ice", None, r#"{"username":"a","password":"b"}"#).await;
    assert_eq!(asked.status, 409);
    assert!(asked.text.contains("[webrtc] enabled"), "{}", asked.text);
    server.stop(Duration::ZERO).await;
}

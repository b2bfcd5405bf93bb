//! SIP over WebSocket as a transport: framing, keep-alives, and connections that are silent, slow, loud or nobody's.

mod bench;
mod browser;

use std::time::Duration;

use bench::*;
use browser::*;
use futures_util::{SinkExt, StreamExt};
use sip::{Limits, SipConfig, SipError, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

fn options(n: usize, extra: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:admin@phone.plivo.com SIP/2.0\r\nVia: SIP/2.0/WSS {HOST};branch=z9hG4bK{n}\r\nFrom: <sip:a@h>;tag=f\r\n\
         To: <sip:admin@phone.plivo.com>\r\nCall-ID: o{n}\r\nCSeq: 1 OPTIONS\r\n{extra}\r\n{body}"
    )
}

async fn limited(limits: Limits) -> Bench {
    Bench::with(SipConfig { limits, ..config() }).await
}

#[tokio::test]
async fn a_browser_registers_with_the_last_challenge_alone() {
    let bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let ok = browser.register("d1", "").await;
    assert_eq!(ok.code(), 200);
    let contact = ok.get("Contact");
    assert!(contact.starts_with("<sip:k3jd8s@abc123.invalid;transport=ws>;expires=600"), "{contact}");
    assert!(contact.ends_with(";+sip.instance=\"<urn:uuid:d1>\";reg-id=1"), "{contact}");
    assert!(ok.get("Via").starts_with("SIP/2.0/WSS abc123.invalid;"), "{ok:?}");
    let contacts = bench.sip.contacts("alice@acct.test");
    assert_eq!((contacts.len(), contacts[0].binding.transport), (1, Transport::Wss));
    assert_eq!(contacts[0].binding.source, browser.at);
    assert_eq!(bench.counter("auth_failures"), 0);
}

#[tokio::test]
async fn both_kinds_of_keep_alive_and_both_kinds_of_messages_are_answered() {
    let bench = limited(Limits { websocket_ping: Duration::from_millis(200), ..Limits::default() }).await;
    let mut browser = Browser::open(&bench).await;
    let mut next = async |message: Message| {
        browser.socket.send(message).await.unwrap();
        timeout(DEADLINE, browser.socket.next()).await.unwrap().unwrap().unwrap()
    };
    assert_eq!(next(Message::Text("\r\n\r\n".into())).await, Message::Text("\r\n".into()));
    assert_eq!(next(Message::Binary("\r\n\r\n".into())).await, Message::Text("\r\n".into()));
    assert_eq!(next(Message::Ping("abc".into())).await, Message::Pong("abc".into()));
    for message in [Message::Text(options(1, "", "").into()), Message::Binary(options(2, "", "").into())] {
        let Message::Text(text) = next(message).await else { panic!("no text") };
        assert!(text.starts_with("SIP/2.0 200 OK\r\n"), "{text}");
    }
    // A pong of the other kind is no message; who says nothing is asked whether he is there.
    assert_eq!(next(Message::Text("\r\n".into())).await, Message::Ping("".into()));
    assert_eq!((bench.counter("messages_in"), bench.counter("malformed")), (2, 0));
}

#[tokio::test]
async fn a_message_may_come_in_many_frames_and_many_pieces() {
    let bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let text = options(1, "", "");
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(40).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let kind = if n == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(piece.to_vec(), OpCode::Data(kind), n + 1 == pieces.len());
        browser.socket.send(Message::Frame(frame)).await.unwrap();
        // Control frames may come in between (RFC 6455 §5.4).
        browser.socket.send(Message::Ping("".into())).await.unwrap();
    }
    assert_eq!(browser.recv().await.code(), 200);
    // Byte by byte over TCP: a masked text frame whose mask is 0.
    let text = options(2, "", "");
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    for byte in frame {
        browser.socket.get_mut().write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(browser.recv().await.get("Call-ID"), "o2");
}

#[tokio::test]
async fn what_is_not_one_sip_message_is_refused_and_the_connection_goes_on() {
    let bench = Bench::new().await;
    let mut browser = Browser::open(&bench).await;
    let two = options(1, "Content-Length: 0\r\n", "") + &options(2, "", "");
    for (text, told) in [
        ("hello", None),
        ("{\"type\":\"REGISTER\"}", None),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", None),
        ("\u{0}\u{7}", None),
        (two.as_str(), Some("something follows")),
        (options(3, "Content-Length: 9\r\n", "a").as_str(), Some("larger than")),
        (options(4, "Nonsense\r\n", "").as_str(), Some("without a colon")),
    ] {
        browser.send(text).await;
        if let Some(told) = told {
            let got = browser.recv().await;
            assert!(got.code() == 400 && got.start().contains(told), "{got:?}");
        }
    }
    browser.send(&options(5, "", "")).await;
    assert_eq!(browser.recv().await.get("Call-ID"), "o5");
    assert_eq!((bench.counter("malformed"), bench.counter("messages_in")), (7, 1));
}

#[tokio::test]
async fn a_message_over_the_limit_ends_its_connection_and_no_other() {
    let bench = Bench::new().await;
    let (mut one, mut two) = (Browser::open(&bench).await, Browser::open(&bench).await);
    let mut other = Browser::open(&bench).await;
    one.send(&options(1, "", &"a".repeat(70_000))).await;
    assert_eq!(one.closed().await, Some(CloseCode::Size));
    // In frames that are small each; and a length that alone is too much is not waited for.
    for _ in 0..3 {
        let frame = Frame::message(vec![b'a'; 30_000], OpCode::Data(Data::Binary), false);
        if two.socket.send(Message::Frame(frame)).await.is_err() {
            break;
        }
        two.socket.send(Message::Frame(Frame::message(vec![], OpCode::Data(Data::Continue), false))).await.ok();
    }
    two.closed().await;
    let mut three = Browser::open(&bench).await;
    three.socket.get_mut().write_all(&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]).await.unwrap();
    assert_eq!(three.closed().await, Some(CloseCode::Size));
    other.send(&options(2, "", "")).await;
    assert_eq!(other.recv().await.code(), 200);
    bench.until("websockets_live", 1).await;
    assert_eq!(bench.counter("websockets_too_large") + bench.counter("websockets_broken"), 3);
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let bench = Bench::new().await;
    // Not masked; a reserved bit; a reserved opcode; text that is none; a control frame in pieces.
    for bytes in [
        &[0x81, 0x01, b'a'][..],
        &[0xc1, 0x80, 0, 0, 0, 0],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x81, 0x81, 0, 0, 0, 0, 0xff],
        &[0x09, 0x80, 0, 0, 0, 0],
    ] {
        let mut browser = Browser::open(&bench).await;
        browser.socket.get_mut().write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        timeout(DEADLINE, browser.socket.get_mut().read_to_end(&mut rest)).await.expect("still open").ok();
    }
    bench.until("websockets_live", 0).await;
    assert_eq!(bench.counter("websockets_broken"), 5);
}

#[tokio::test]
async fn a_connection_on_which_nobody_proves_himself_is_closed_in_time_and_others_stay() {
    let bench = limited(Limits { websocket_unproven: Duration::from_millis(600), ..Limits::default() }).await;
    let mut proven = Browser::registered(&bench, "alice", "d1").await;
    let (mut silent, mut stranger) = (Browser::open(&bench).await, Browser::open(&bench).await);
    // It talks, and tries, and has not proven anything.
    stranger.send(&options(1, "", "")).await;
    assert_eq!(stranger.recv().await.code(), 200);
    for browser in [&mut silent, &mut stranger] {
        assert_eq!(browser.closed().await, Some(CloseCode::Policy));
    }
    proven.send(&options(2, "", "")).await;
    assert_eq!(proven.recv().await.code(), 200);
    assert_eq!((bench.counter("websockets_unproven"), bench.counter("websockets_live")), (2, 1));
}

#[tokio::test]
async fn a_wrong_password_proves_nothing() {
    let bench = limited(Limits { websocket_unproven: Duration::from_millis(400), ..Limits::default() }).await;
    *bench.book.password.lock().unwrap() = Some("another".to_owned());
    let mut browser = Browser::open(&bench).await;
    assert_eq!(browser.register("d1", "").await.code(), 401);
    assert_eq!(browser.closed().await, Some(CloseCode::Policy));
    assert_eq!(bench.counter("auth_failures"), 1);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_pings_is_gone_and_one_that_does_stays() {
    let limits = Limits {
        websocket_ping: Duration::from_millis(100),
        websocket_idle: Duration::from_millis(600),
        ..Limits::default()
    };
    let bench = limited(limits).await;
    let silent = Browser::open(&bench).await;
    let mut quiet = Browser::open(&bench).await;
    let gone = async {
        bench.until("websockets_silent", 1).await;
        tokio::time::timeout(DEADLINE, silent.served).await.unwrap().unwrap().unwrap();
    };
    // Reading answers the pings, as a browser does by itself.
    tokio::select! {
        () = gone => {}
        got = quiet.recv() => panic!("{got:?}"),
    }
    quiet.send(&options(1, "", "")).await;
    assert_eq!(quiet.recv().await.code(), 200);
    assert_eq!(bench.counter("websockets_live"), 1);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_closed_and_costs_the_others_nothing() {
    let limits = Limits {
        websocket_write: Duration::from_millis(500),
        websocket_rate: 1e6,
        websocket_burst: 1e6,
        ..Limits::default()
    };
    let bench = limited(limits).await;
    let mut slow = Browser::open(&bench).await;
    let mut other = Browser::open(&bench).await;
    let flood = tokio::spawn(async move {
        // Each is answered with its Via, which is long: what comes back fills every buffer on the way.
        for n in 0.. {
            let text = options(n, "", "").replace(HOST, &format!("{HOST};long={}", "a".repeat(7_000)));
            if slow.socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
        }
    });
    for n in 0..20 {
        other.send(&options(n, "", "")).await;
        assert_eq!(other.recv().await.code(), 200);
    }
    bench.until("websockets_slow", 1).await;
    timeout(DEADLINE, flood).await.expect("still open").unwrap();
    other.send(&options(99, "", "")).await;
    assert_eq!(other.recv().await.get("Call-ID"), "o99");
    assert_eq!(bench.counter("websockets_live"), 1);
}

#[tokio::test]
async fn a_flood_on_one_connection_is_delayed_and_nobody_elses_is() {
    let limits = Limits { websocket_rate: 20.0, websocket_burst: 20.0, ..Limits::default() };
    let bench = limited(limits).await;
    let (mut loud, mut other) = (Browser::open(&bench).await, Browser::open(&bench).await);
    let began = std::time::Instant::now();
    for n in 0..80 {
        loud.send(&options(n, "", "")).await;
    }
    // Same address, and served at once while the other one's messages wait.
    for n in 0..15 {
        other.send(&options(1_000 + n, "", "")).await;
        assert_eq!(other.recv().await.code(), 200);
    }
    assert!(bench.counter("messages_in") < 15 + 80, "nothing was held back");
    for n in 0..80 {
        assert_eq!(loud.recv().await.get("Call-ID"), format!("o{n}"));
    }
    // 60 over the allowance, of which the last one need not be paid for.
    assert!(began.elapsed() >= Duration::from_millis(59 * 50), "{:?}", began.elapsed());
    assert!(bench.counter("websockets_delayed") > 0);
    assert_eq!((bench.counter("websockets_live"), bench.counter("rate_limited")), (2, 0));
}

#[tokio::test]
async fn datagrams_under_their_address_cut_off_neither_browsers_nor_streams() {
    let limits = Limits { source_rate: 0.001, source_burst: 5.0, transactions_per_source: 1, ..Limits::default() };
    let bench = limited(limits).await;
    let ua = Ua::new(bench.at).await;
    let mut browser = Browser::open(&bench).await;
    for n in 0..100 {
        ua.send_bytes(&build(n, PLAIN, &ua)).await;
    }
    bench.until("rate_limited", 95).await;
    assert_eq!(browser.register("d1", "").await.code(), 200);
    browser.send(&options(1, "", "")).await;
    assert_eq!(browser.recv().await.code(), 200);
    let mut stream = tokio::net::TcpStream::connect(bench.tcp).await.unwrap();
    stream.write_all(options(2, "Content-Length: 0\r\n", "").as_bytes()).await.unwrap();
    let mut start = [0; 11];
    timeout(DEADLINE, stream.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"SIP/2.0 200");
}

#[tokio::test]
async fn places_are_bounded_and_free_again_whoever_took_them() {
    let limits = Limits { websockets: 3, websockets_per_source: 2, ..Limits::default() };
    let bench = limited(limits).await;
    let peer = |text: &str| text.parse().unwrap();
    let browser = Browser::open(&bench).await;
    bench.until("websockets_live", 1).await;
    let place = bench.sip.admit_websocket(peer("127.0.0.1:9"), false).unwrap();
    assert_eq!(bench.sip.admit_websocket(peer("127.0.0.1:10"), false).err(), Some(SipError::Overloaded));
    let elsewhere = bench.sip.admit_websocket(peer("192.0.2.1:9"), true).unwrap();
    assert_eq!(bench.sip.admit_websocket(peer("192.0.2.2:9"), true).err(), Some(SipError::Overloaded));
    assert_eq!((bench.counter("websockets_refused"), bench.counter("websockets_live")), (2, 3));
    drop((place, elsewhere));
    assert_eq!(bench.counter("websockets_live"), 1);
    drop(browser.socket);
    bench.until("websockets_live", 0).await;
    assert_eq!(bench.counter("websockets_ended"), 1);
    // A server that gives up the task that serves leaves nothing behind either.
    let task = Browser::open(&bench).await;
    bench.until("websockets_live", 1).await;
    task.served.abort();
    bench.until("websockets_live", 0).await;
}

#[tokio::test]
async fn strangers_leave_a_quarter_of_the_places_to_sources_that_proved_themselves() {
    let bench = limited(Limits { websockets: 8, ..Limits::default() }).await;
    let stranger = "192.0.2.1:9".parse().unwrap();
    let taken: Vec<_> = (0..8).map_while(|_| bench.sip.admit_websocket(stranger, true).ok()).collect();
    assert_eq!((taken.len(), bench.counter("websockets_refused")), (6, 1));
    let ua = Ua::new(bench.at).await;
    assert!(bench.sip.admit_websocket(ua.at, true).is_err());
    let mut line = Call::new("line", "sip:alice@acct.test", "sip:alice@acct.test");
    line.uri = "sip:acct.test".to_owned();
    ua.send(&ua.message("REGISTER", &line, 1, &ua.contact(), "")).await;
    let auth = ua.credentials(&ua.last().await, "alice", "pw", "REGISTER", &line.uri, 1, true);
    ua.send(&ua.message("REGISTER", &line, 2, &format!("{auth}{}", ua.contact()), "")).await;
    assert_eq!(ua.last().await.code(), 200);
    assert!(bench.sip.admit_websocket(ua.at, true).is_ok());
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let bench = Bench::new().await;
    let mut browser = Browser::registered(&bench, "alice", "d1").await;
    bench.sip.stop().await;
    assert_eq!(browser.closed().await, Some(CloseCode::Away));
    assert_eq!(bench.sip.admit_websocket(browser.at, false).err(), Some(SipError::Stopped));
}

#[tokio::test]
async fn a_browser_behind_a_carriers_address_is_no_carrier() {
    let mut bench = Bench::new().await;
    bench.sip.trust([("127.0.0.1".parse().unwrap(), 32)]);
    let mut browser = Browser::open(&bench).await;
    let call = Call::new("t1", "sip:trunk@acct.test", "sip:trunk1@acct.test");
    let invite = browser.message("INVITE", &call, 1, &browser.call_contact(), OFFER);
    browser.send(&invite).await;
    assert_eq!(browser.last().await.code(), 407);
    assert!(bench.calls.try_recv().is_err());
}

#[tokio::test]
async fn one_connection_takes_no_more_than_its_share_of_transactions() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let book = std::sync::Arc::new(Book { gate: Some(gate.clone()), ..Book::default() });
    let limits = Limits { transactions_per_websocket: 3, ..Limits::default() };
    let bench = Bench::over(SipConfig { limits, ..config() }, book).await;
    let (mut loud, mut other) = (Browser::open(&bench).await, Browser::open(&bench).await);
    let register = async |browser: &mut Browser, n: usize| {
        let call = Call::new(&format!("r{n}"), "sip:alice@acct.test", "sip:acct.test");
        // A token's user is looked up, and waits there.
        let text = browser.message("REGISTER", &call, 1, "X-Plivo-Jwt: none\r\n", "");
        browser.send(&text).await;
    };
    for n in 0..10 {
        register(&mut loud, n).await;
    }
    bench.until("transactions_of_source_full", 7).await;
    register(&mut other, 10).await;
    bench.until("transactions_live", 4).await;
    gate.add_permits(100);
    assert_eq!(other.last().await.code(), 401);
}

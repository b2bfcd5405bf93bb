//! SIP over TCP: framing, and connections that are slow, many or broken.

mod bench;

use std::net::SocketAddr;
use std::time::Duration;

use bench::*;
use sip::{By, LegEvent, Limits, SipConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

async fn tcp(at: SocketAddr) -> TcpStream {
    TcpStream::connect(at).await.unwrap()
}

/// One from another address of this machine.
async fn tcp_from(ip: [u8; 4], at: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ip, 0).into())?;
    socket.connect(at).await
}

fn options(n: usize, extra: &str, ua: &Ua) -> String {
    let text = build(n, &format!("OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS){extra}\r\n"), ua);
    String::from_utf8(text).unwrap().replace("/UDP", "/TCP")
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut text)).await.expect("still open").unwrap();
    String::from_utf8(text).unwrap()
}

async fn read_message(stream: &mut TcpStream, buffer: &mut String) -> Got {
    loop {
        if let Some(end) = buffer.find("\r\n\r\n") {
            let head = Got(buffer[..end + 4].to_owned());
            let length: usize = head.get("Content-Length").parse().unwrap();
            if buffer.len() >= end + 4 + length {
                let rest = buffer.split_off(end + 4 + length);
                return Got(std::mem::replace(buffer, rest));
            }
        }
        let mut bytes = [0; 4096];
        let n = timeout(DEADLINE, stream.read(&mut bytes)).await.expect("nothing received").unwrap();
        assert!(n > 0, "closed");
        buffer.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
    }
}

#[tokio::test]
async fn tcp_messages_are_framed_by_content_length_and_nothing_else() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let options = |n: usize, extra: &str| options(n, extra, &ua);
    let mut stream = tcp(bench.tcp).await;
    let mut buffer = String::new();
    // Two in one segment with a ping between them, the second in two pieces.
    let text = format!("{}\r\n\r\n{}", options(1, "l: 3\r\n") + "a\r\n", options(2, "Content-Length: 0\r\n"));
    let (first, second) = text.split_at(text.len() - 30);
    stream.write_all(first.as_bytes()).await.unwrap();
    let one = read_message(&mut stream, &mut buffer).await;
    assert_eq!(one.get("Call-ID"), "torture1");
    stream.write_all(second.as_bytes()).await.unwrap();
    let got = read_message(&mut stream, &mut buffer).await;
    assert!(one.0.starts_with("\r\n") || got.0.starts_with("\r\n"), "no pong: {got:?}");
    assert_eq!(got.get("Call-ID"), "torture2");
    for (extra, told) in [
        ("", "missing Content-Length"),
        ("Content-Length: -1\r\n", "not a number"),
        ("Content-Length: 1\r\nl: 2\r\n", "two different"),
    ] {
        let mut stream = tcp(bench.tcp).await;
        stream.write_all(options(3, extra).as_bytes()).await.unwrap();
        let got = until_closed(&mut stream).await;
        assert!(got.starts_with("SIP/2.0 400") && got.contains(told), "{got}");
    }
    let mut stream = tcp(bench.tcp).await;
    stream.write_all(options(4, "Content-Length: 999999\r\n").as_bytes()).await.unwrap();
    assert!(until_closed(&mut stream).await.starts_with("SIP/2.0 513"));
    let mut stream = tcp(bench.tcp).await;
    stream.write_all(&vec![b'a'; 70_000]).await.unwrap();
    let mut sink = [0; 16];
    assert!(matches!(timeout(DEADLINE, stream.read(&mut sink)).await.unwrap(), Ok(0) | Err(_)));
}

#[tokio::test]
async fn connections_that_are_too_slow_are_closed() {
    let limits = Limits {
        half_message: Duration::from_millis(100),
        connection_idle: Duration::from_millis(300),
        ..Limits::default()
    };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let mut half = tcp(bench.tcp).await;
    half.write_all(b"OPTIONS sip:h SIP/2.0\r\nVia: ").await.unwrap();
    let mut idle = tcp(bench.tcp).await;
    assert_eq!(until_closed(&mut half).await, "");
    assert_eq!(until_closed(&mut idle).await, "");
    bench.until("connections_timed_out", 2).await;
    bench.until("connections_live", 0).await;
}

#[tokio::test]
async fn connections_beyond_a_sources_ceiling_are_closed_and_a_place_that_is_free_is_had() {
    let limits = Limits { half_message: DEADLINE * 6, connections_per_source: 2, ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let (first, mut second) = (tcp(bench.tcp).await, tcp(bench.tcp).await);
    bench.until("connections_live", 2).await;
    let mut third = tcp(bench.tcp).await;
    assert_eq!(until_closed(&mut third).await, "");
    assert_eq!((bench.counter("connections_refused"), bench.counter("connections_live")), (1, 2));
    // Those inside have noticed nothing.
    second.write_all(options(1, "l: 0\r\n", &ua).as_bytes()).await.unwrap();
    assert_eq!(read_message(&mut second, &mut String::new()).await.code(), 200);
    drop(first);
    bench.until("connections_live", 1).await;
    let mut next = tcp(bench.tcp).await;
    next.write_all(options(2, "l: 0\r\n", &ua).as_bytes()).await.unwrap();
    assert_eq!(read_message(&mut next, &mut String::new()).await.code(), 200);
    assert_eq!(bench.counter("connections_timed_out"), 0);
}

#[tokio::test]
async fn a_tcp_call_stays_on_its_connection_and_ends_with_it() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut stream = tcp(bench.tcp).await;
    let mut buffer = String::new();
    let mut call = Call::new("tcp1", "sip:trunk@carrier.test", "sip:1@acct.test");
    let contact = "Contact: <sip:ua@10.0.0.1:5060;transport=tcp>\r\n";
    stream.write_all(ua.message("INVITE", &call, 1, contact, OFFER).replace("/UDP", "/TCP").as_bytes()).await.unwrap();
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    let ok = loop {
        let got = read_message(&mut stream, &mut buffer).await;
        if got.code() == 200 {
            break got;
        }
    };
    assert!(ok.get("Contact").contains(&format!("{};transport=tcp", bench.tcp)), "{ok:?}");
    call.learn(&ok);
    stream.write_all(ua.message("ACK", &call, 1, "", "").replace("/UDP", "/TCP").as_bytes()).await.unwrap();
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    let control = leg.control();
    let changing = tokio::spawn(async move { control.reinvite(&sdp()).await });
    assert_eq!(read_message(&mut stream, &mut buffer).await.method(), "INVITE");
    drop(stream);
    assert!(changing.await.unwrap().is_err());
    assert!(matches!(event(&mut leg).await, LegEvent::Ended { by: By::Transport, .. }));
}

#[tokio::test]
async fn requests_inside_a_call_travel_on_its_connection_both_ways() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut stream = tcp(bench.tcp).await;
    let mut buffer = String::new();
    let mut call = Call::new("tcp2", "sip:trunk@carrier.test", "sip:1@acct.test");
    let message = |method: &str, call: &Call, cseq: u32, extra: &str, body: &str| {
        ua.message(method, call, cseq, extra, body).replace("/UDP", "/TCP").into_bytes()
    };
    let contact = "Contact: <sip:ua@10.0.0.1:5060;transport=tcp>\r\n";
    stream.write_all(&message("INVITE", &call, 1, contact, OFFER)).await.unwrap();
    let mut leg = bench.call().await.leg;
    leg.answer(&sdp(), &[]).await.unwrap();
    let ok = loop {
        let got = read_message(&mut stream, &mut buffer).await;
        if got.code() == 200 {
            break got;
        }
    };
    call.learn(&ok);
    stream.write_all(&message("ACK", &call, 1, "", "")).await.unwrap();
    assert_eq!(event(&mut leg).await, LegEvent::Acked { answer: None });
    // No datagram would hold it.
    let large = "a".repeat(65_000);
    let (control, body) = (leg.control(), large.clone());
    let asking =
        tokio::spawn(async move { control.request("MESSAGE", Some("text/plain"), body.as_bytes(), &[]).await });
    let got = read_message(&mut stream, &mut buffer).await;
    assert_eq!((got.method(), got.body()), ("MESSAGE", large.as_str()));
    stream.write_all(got.reply("202 Accepted", "", "", "").as_bytes()).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().0, 202);
    stream.write_all(&message("REFER", &call, 2, "Refer-To: <sip:bob@h>\r\n", "")).await.unwrap();
    let LegEvent::Referred { id, .. } = event(&mut leg).await else { panic!("not told") };
    leg.accept_refer(id).await.unwrap();
    assert_eq!(read_message(&mut stream, &mut buffer).await.code(), 202);
    let notify = read_message(&mut stream, &mut buffer).await;
    assert_eq!((notify.method(), notify.body()), ("NOTIFY", "SIP/2.0 100 Trying\r\n"));
    stream.write_all(notify.reply("200 OK", "", "", "").as_bytes()).await.unwrap();
    // Who waits is told when the connection breaks, and the call does not end by that alone.
    let control = leg.control();
    let asking = tokio::spawn(async move { control.request("INFO", None, b"", &[]).await });
    assert_eq!(read_message(&mut stream, &mut buffer).await.method(), "INFO");
    drop(stream);
    let broken = sip::SipError::Unanswered { method: "INFO".into(), why: "the connection broke" };
    assert_eq!(asking.await.unwrap(), Err(broken));
    assert_eq!(bench.counter("dialogs_live"), 1);
}

#[tokio::test]
async fn pipelined_messages_are_all_answered_in_order() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut stream = tcp(bench.tcp).await;
    let all: String = (0..200).map(|n| options(n, "l: 0\r\n", &ua)).collect();
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut buffer = String::new();
    for n in 0..200 {
        assert_eq!(read_message(&mut stream, &mut buffer).await.get("Call-ID"), format!("torture{n}"));
    }
}

#[tokio::test]
async fn a_message_may_be_split_anywhere() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let mut stream = tcp(bench.tcp).await;
    stream.set_nodelay(true).unwrap();
    let mut buffer = String::new();
    for split in 1..options(1_000, "l: 4\r\n", &ua).len() + 4 {
        let text = format!("{}body", options(1_000 + split, "l: 4\r\n", &ua));
        let (first, second) = text.split_at(split.min(text.len() - 1));
        stream.write_all(first.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(second.as_bytes()).await.unwrap();
        let got = read_message(&mut stream, &mut buffer).await;
        assert_eq!((got.code(), got.get("Call-ID")), (200, format!("torture{}", 1_000 + split)));
    }
    // Byte by byte.
    for byte in options(1, "l: 0\r\n", &ua).as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(read_message(&mut stream, &mut buffer).await.get("Call-ID"), "torture1");
}

#[tokio::test]
async fn a_content_length_that_lies_ends_the_connection_and_never_hides_a_message() {
    let limits = Limits { half_message: Duration::from_secs(2), ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    // Too short: what is left of the body is no message. Nothing behind it is looked at.
    let mut stream = tcp(bench.tcp).await;
    let text = format!("{}garbage\r\n\r\n{}", options(1, "l: 3\r\n", &ua) + "abc", options(2, "l: 0\r\n", &ua));
    stream.write_all(text.as_bytes()).await.unwrap();
    let got = until_closed(&mut stream).await;
    assert!(!got.contains("torture2"), "{got}");
    assert_eq!((bench.counter("messages_in"), bench.counter("malformed")), (1, 1));
    // Too long: the next message is taken for a part of the body, and what is missing never comes.
    let mut stream = tcp(bench.tcp).await;
    let text = options(3, "l: 5000\r\n", &ua) + &options(4, "l: 0\r\n", &ua);
    stream.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
    assert_eq!(bench.counter("connections_timed_out"), 1);
    // A body made to look like a message is a body.
    let mut stream = tcp(bench.tcp).await;
    let inner = options(5, "l: 0\r\n", &ua);
    let text = options(6, &format!("l: {}\r\n", inner.len()), &ua) + &inner + &options(7, "l: 0\r\n", &ua);
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut buffer = String::new();
    for expected in ["torture6", "torture7"] {
        assert_eq!(read_message(&mut stream, &mut buffer).await.get("Call-ID"), expected);
    }
}

#[tokio::test]
async fn ten_thousand_connections_that_say_nothing_whole_are_bounded_and_leave_room_again() {
    let limits = Limits {
        half_message: Duration::from_secs(3),
        connections: 300,
        connections_per_source: 100,
        ..Limits::default()
    };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let mut held = Vec::new();
    for n in 0..10_000u16 {
        let ip = [127, 0, 1, (n % 5) as u8 + 1];
        let Ok(mut stream) = tcp_from(ip, bench.tcp).await else { continue };
        // Half of them begin a message, the others say nothing at all.
        if n % 2 == 0 {
            let _ = stream.write_all(b"OPTIONS sip:h SIP/2.0\r\nVia: ").await;
        }
        assert!(bench.counter("connections_live") <= 300);
        if held.len() < 400 {
            held.push(stream);
        }
    }
    // On a slow machine the first ones' time is over before the last ones come.
    assert!(bench.counter("connections_refused") >= 5_000, "{}", bench.counter("connections_refused"));
    // The others are served meanwhile, and when the silent ones' time is over there is room again.
    ua.send_bytes(&build(1, PLAIN, &ua)).await;
    assert_eq!(ua.last().await.code(), 200);
    bench.until("connections_live", 0).await;
    let mut stream = tcp(bench.tcp).await;
    stream.write_all(options(2, "l: 0\r\n", &ua).as_bytes()).await.unwrap();
    assert_eq!(read_message(&mut stream, &mut String::new()).await.code(), 200);
}

#[tokio::test]
async fn a_connection_that_has_spoken_may_be_silent_for_long() {
    let limits = Limits { half_message: Duration::from_secs(2), ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let mut stream = tcp(bench.tcp).await;
    let mut buffer = String::new();
    stream.write_all(options(1, "l: 0\r\n", &ua).as_bytes()).await.unwrap();
    assert_eq!(read_message(&mut stream, &mut buffer).await.code(), 200);
    // One that never speaks is closed: by then the other has been silent for as long.
    let mut silent = tcp(bench.tcp).await;
    assert_eq!(until_closed(&mut silent).await, "");
    stream.write_all(options(2, "l: 0\r\n", &ua).as_bytes()).await.unwrap();
    assert_eq!(read_message(&mut stream, &mut buffer).await.code(), 200);
}

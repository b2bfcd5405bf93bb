//! What hostile or broken peers send, on real sockets.

mod bench;

use std::net::SocketAddr;
use std::time::Duration;

use bench::*;
use sip::{By, LegEvent, Limits, SipConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Name, message, expected code; 0: silence. `$V` is a good Via, `$M` the mandatory headers after it for the method
/// named behind it, `$B` an SDP body with its headers.
const TORTURE: &[(&str, &str, u16)] = &[
    ("plain", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)\r\n", 200),
    (
        "folded lines, spaces before colons, compact and mixed-case names, escaped quotes",
        "OPTIONS sip:h;unknown-param SIP/2.0\r\nTO :\r\n sip:v@h ;   tag    = \r\nfrom   : \"J \\\\\\\"\"\r\n  <sip:j@h>\r\n  ;\r\n  tag = 98\r\n\
         MaX-fOrWaRdS: 0068\r\nCall-ID: w.\r\nCSeq: 0009\r\n  OPTIONS\r\n$VSubject:\r\nNewFangled: x\r\n y\r\nl: 0\r\n\r\n",
        200,
    ),
    ("method made of odd token characters", "!im%p*0_`'.+ sip:h SIP/2.0\r\n$V$M(!im%p*0_`'.+)\r\n", 501),
    ("an escaped method name is another method", "RE%47IST%45R sip:h SIP/2.0\r\n$V$M(RE%47IST%45R)\r\n", 501),
    (
        "no white space before the bracket",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Contact: caller<sip:c@h>\r\n\r\n",
        200,
    ),
    (
        "controls inside a quoted name",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Contact: \"BEL:\\\x07 NUL:\\\0\" <sip:c@h>\r\n\r\n",
        200,
    ),
    ("semicolon in the user part", "OPTIONS sip:u;par=u%40n@h SIP/2.0\r\n$V$M(OPTIONS)\r\n", 200),
    (
        "unknown transports in lower Vias",
        "OPTIONS sip:h SIP/2.0\r\n$VVia: SIP/2.0/SCTP t2;branch=z9hG4bKb, SIP/2.0/UNKNOWN t5\r\n$M(OPTIONS)\r\n",
        200,
    ),
    (
        "bytes behind the body of a datagram",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)l: 0\r\n\r\nINVITE sip:x SIP/2.0\r\n\r\n",
        200,
    ),
    ("Max-Forwards 0 at its goal", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Max-Forwards: 0\r\n\r\n", 200),
    (
        "branch of nothing but the cookie",
        "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK;rport\r\n$M(OPTIONS)\r\n",
        200,
    ),
    (
        "IPv6 in Via",
        "OPTIONS sip:[::1] SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::9:1]:6050;rport;branch=z9hG4bK6\r\n$M(OPTIONS)\r\n",
        200,
    ),
    ("unknown scheme", "OPTIONS nobodyKnows:opaque SIP/2.0\r\n$V$M(OPTIONS)\r\n", 416),
    ("unknown scheme with an authority", "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0\r\n$V$M(OPTIONS)\r\n", 416),
    (
        "unknown Require and Proxy-Require",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Require: nothing\r\nProxy-Require: noway\r\n\r\n",
        420,
    ),
    ("another version", "OPTIONS sip:h SIP/7.0\r\n$V$M(OPTIONS)\r\n", 505),
    ("CSeq of another method", "OPTIONS sip:h SIP/2.0\r\n$V$M(INVITE)\r\n", 400),
    ("unknown method with CSeq of another", "NEWMETHOD sip:h SIP/2.0\r\n$V$M(INVITE)\r\n", 400),
    (
        "CSeq beyond 2^31",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 36893488147419103232 OPTIONS\r\n\r\n",
        400,
    ),
    ("Max-Forwards beyond 255", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Max-Forwards: 300\r\n\r\n", 400),
    ("no Call-ID, From, To", "INVITE sip:h SIP/2.0\r\n$VCSeq: 193942 INVITE\r\nl: 0\r\n\r\n", 400),
    ("two CSeq, Call-ID, To", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)$M(OPTIONS)\r\n", 400),
    (
        "two Content-Lengths",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Content-Length: 5\r\nContent-Length: 2\r\n\r\nhello",
        400,
    ),
    ("Content-Length beyond the datagram", "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Length: 9999\r\n\r\nv=0", 400),
    ("negative Content-Length", "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Length: -999\r\n\r\nv=0", 400),
    ("Via of separators", "INVITE sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.15;;,;,,\r\n$M(INVITE)\r\n", 400),
    ("Contact of quotes", "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Contact: \"Joe\" <sip:j@h>;;,\"\r\n\r\n", 400),
    (
        "unbalanced quote in To",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: <sip:a@h>;tag=1\r\nTo: \"Mr. J <sip:j@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
        400,
    ),
    ("Request-URI in brackets", "INVITE <sip:u@h> SIP/2.0\r\n$V$M(INVITE)\r\n", 400),
    ("white space in the Request-URI", "INVITE sip:u@h; lr SIP/2.0\r\n$V$M(INVITE)\r\n", 400),
    ("two spaces in the request line", "INVITE  sip:u@h  SIP/2.0\r\n$V$M(INVITE)\r\n", 400),
    ("spaces after the version", "OPTIONS sip:h SIP/2.0  \r\n$V$M(OPTIONS)\r\n", 400),
    ("headers in the Request-URI", "INVITE sip:u@h?Route=%3Csip:h%3E SIP/2.0\r\n$V$M(INVITE)\r\n", 400),
    (
        "headers in a bare Contact",
        "REGISTER sip:acct.test SIP/2.0\r\n$V$M(REGISTER)Contact: sip:u@h?Route=%3Csip:h%3E\r\n\r\n",
        400,
    ),
    (
        "spaces inside the brackets of To",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: <sip:a@h>;tag=1\r\nTo: \"W, T\" < sip:t@h >\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
        400,
    ),
    (
        "comma in a bare display name",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: Bell, A <sip:a@h>;tag=1\r\nTo: <sip:t@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
        400,
    ),
    ("header line without colon", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)garbage\r\n\r\n", 400),
    ("no end of headers", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)", 400),
    (
        "unknown authorization scheme",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <sip:alice@acct.test>;tag=1\r\nTo: <sip:alice@acct.test>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\nAuthorization: NoOneKnows opaque-data=here\r\n\r\n",
        401,
    ),
    (
        "unknown contact parameters",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <sip:alice@acct.test>;tag=1\r\nTo: <sip:alice@acct.test>\r\nCall-ID: r2\r\nCSeq: 1 REGISTER\r\nContact: <sip:+1@h;unknownparam>;x=y\r\n\r\n",
        401,
    ),
    (
        "To of an unknown scheme",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <isbn:2>;tag=1\r\nTo: <isbn:2983792873>\r\nCall-ID: r3\r\nCSeq: 1 REGISTER\r\n\r\n",
        400,
    ),
    (
        "unknown content type",
        "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Type: application/unknownformat\r\nl: 5\r\n\r\n<a/>x",
        415,
    ),
    (
        "multipart message",
        "MESSAGE sip:h SIP/2.0\r\n$V$M(MESSAGE)Content-Type: multipart/mixed;boundary=7a\r\nl: 4\r\n\r\n--7a",
        405,
    ),
    (
        "bad Date is only a bad Date",
        "INVITE sip:trunk1@h SIP/2.0\r\n$V$M(INVITE)Date: Fri, 01 Jan 2010 16:00:00 EST\r\n$B",
        480,
    ),
    (
        "body without Content-Length, no tags, no Contact, no branch",
        "INVITE sip:trunk2@h SIP/2.0\r\nVia: SIP/2.0/UDP iftgw;rport\r\nFrom: <sip:+1@h;user=phone>\r\nTo: sip:+2@h;user=phone\r\nCall-ID: i2543\r\nCSeq: 56 INVITE\r\n$B",
        480,
    ),
    ("response with an overlarge code", "SIP/2.0 4294967301 better not\r\n$V$M(INVITE)\r\n", 0),
    ("response with huge numbers", "SIP/2.0 503 x\r\n$V$M(INVITE)Retry-After: 9999999999999999999\r\n\r\n", 0),
    ("response without reason", "SIP/2.0 100 \r\n$V$M(INVITE)\r\n", 0),
    ("stray 200 with a foreign Via", "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 255.255.255.255\r\n$M(INVITE)\r\n", 0),
    ("malformed ACK", "ACK sip:h SIP/2.0\r\n$V$M(INVITE)\r\n", 0),
    ("not SIP at all", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0),
    ("nothing but zeros", "\0\0\0\0", 0),
];

fn build(n: usize, template: &str, ua: &Ua) -> String {
    let mut text = template.replace("$V", &format!("Via: SIP/2.0/UDP {};rport;branch=z9hG4bKt{n}\r\n", ua.at));
    let body = format!("Content-Type: application/sdp\r\n\r\n{OFFER}");
    text = text.replace("$B", &body);
    while let Some((before, rest)) = text.split_once("$M(") {
        let (method, after) = rest.split_once(')').unwrap();
        text = format!(
            "{before}From: <sip:trunk@h>;tag=f{n}\r\nTo: <sip:b@h>\r\nCall-ID: torture{n}\r\nCSeq: 1 {method}\r\n{after}"
        );
    }
    text
}

#[tokio::test]
async fn every_torture_message_gets_its_verdict() {
    let mut bench = Bench::new().await;
    let mut faults = Vec::new();
    for (n, (name, template, code)) in TORTURE.iter().enumerate() {
        let ua = Ua::new(bench.at).await;
        ua.send(&build(n, template, &ua)).await;
        if *code == 480 {
            // Well-formed calls reach the engine, which here lets go of them.
            assert!(bench.call().await.offer.is_some(), "{name}");
        }
        let got = match code {
            0 => {
                // A following request shows that the message itself was passed over.
                ua.send(&build(1_000 + n, TORTURE[0].1, &ua)).await;
                let next = ua.last().await;
                if next.get("Call-ID") == format!("torture{}", 1_000 + n) { 0 } else { next.code() }
            }
            _ => loop {
                match ua.try_recv(Duration::from_secs(3)).await.map(|g| g.code()) {
                    None => break 0,
                    Some(100) => {}
                    Some(code) => break code,
                }
            },
        };
        if got != *code {
            faults.push(format!("{name}: {got}, not {code}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn a_malformed_request_is_told_what_is_wrong() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    ua.send(&build(1, "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Length: 9999\r\n\r\nv=0", &ua)).await;
    let got = ua.last().await;
    assert_eq!(got.start(), "SIP/2.0 400 Bad Request: Content-Length is larger than the datagram");
    assert!(got.get("Via").contains("received=127.0.0.1") && got.get("To").contains(";tag="));
    assert_eq!((bench.counter("malformed"), bench.counter("malformed_answered")), (1, 1));
}

#[tokio::test]
async fn a_flood_is_dropped_and_counted() {
    let limits = Limits { source_rate: 1.0, source_burst: 20.0, ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    for n in 0..200 {
        ua.send(&build(n, TORTURE[0].1, &ua)).await;
    }
    bench.until("rate_limited", 180).await;
    bench.sip.trust(["127.0.0.1".parse().unwrap()]);
    ua.send(&build(900, TORTURE[0].1, &ua)).await;
    while ua.last().await.get("Call-ID") != "torture900" {}
}

async fn tcp(at: SocketAddr) -> TcpStream {
    TcpStream::connect(at).await.unwrap()
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
    let options = |n: usize, extra: &str| {
        build(n, &format!("OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS){extra}\r\n"), &ua).replace("/UDP", "/TCP")
    };
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
async fn slow_and_too_many_connections_are_closed() {
    let limits = Limits {
        half_message: Duration::from_millis(100),
        connection_idle: Duration::from_millis(300),
        connections_per_source: 2,
        ..Limits::default()
    };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let mut half = tcp(bench.tcp).await;
    half.write_all(b"OPTIONS sip:h SIP/2.0\r\nVia: ").await.unwrap();
    let mut idle = tcp(bench.tcp).await;
    bench.until("connections_live", 2).await;
    let mut third = tcp(bench.tcp).await;
    assert_eq!(until_closed(&mut third).await, "");
    assert_eq!(bench.counter("connections_refused"), 1);
    assert_eq!(until_closed(&mut half).await, "");
    assert_eq!(until_closed(&mut idle).await, "");
    assert_eq!(bench.counter("connections_timed_out"), 2);
    bench.until("connections_live", 0).await;
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
async fn a_peer_that_takes_no_events_or_answers_fills_nothing() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let (mut leg, call) = up(&mut bench, &ua, "digits").await;
    for n in 0..200 {
        ua.send(&ua.message("INFO", &call, 2 + n, "Content-Type: application/dtmf\r\n", "1")).await;
        assert_eq!(ua.last().await.code(), 200);
    }
    bench.until("events_dropped", 167).await;
    ua.send(&ua.message("BYE", &call, 300, "", "")).await;
    let mut digits = 0;
    loop {
        match event(&mut leg).await {
            LegEvent::InfoDigit('1') => digits += 1,
            LegEvent::Ended { by: By::Remote, .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(digits, 33);
}

#[tokio::test]
async fn challenged_invites_are_neither_repeated_nor_kept() {
    let bench = Bench::with(SipConfig { timers: hasty(), ..config() }).await;
    let ua = Ua::new(bench.at).await;
    for n in 0..50 {
        let call = Call::new(&format!("spoof{n}"), "sip:alice@acct.test", "sip:1@acct.test");
        ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
        assert_eq!(ua.last().await.code(), 407);
    }
    // 64 x T1 would be 1.28 s; no ACK ever comes.
    bench.until("transactions_live", 0).await;
    assert!(ua.try_recv(Duration::from_millis(200)).await.is_none());
    assert_eq!(bench.counter("messages_out"), 50);
}

//! What hostile or broken peers send, on real sockets.

mod bench;

use std::time::Duration;

use bench::*;
use sip::{By, LegEvent, Limits, SipConfig};

#[tokio::test]
async fn a_malformed_request_is_told_what_is_wrong() {
    let bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    ua.send_bytes(&build(1, "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Length: 9999\r\n\r\nv=0", &ua)).await;
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
        ua.send_bytes(&build(n, PLAIN, &ua)).await;
    }
    bench.until("rate_limited", 180).await;
    bench.sip.trust([("127.0.0.1".parse().unwrap(), 32)]);
    ua.send_bytes(&build(900, PLAIN, &ua)).await;
    while ua.last().await.get("Call-ID") != "torture900" {}
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

#[tokio::test]
async fn a_flood_of_invites_from_one_source_costs_it_its_allowance_and_nobody_else() {
    let limits = Limits { source_rate: 10.0, source_burst: 100.0, ..Limits::default() };
    let mut bench = Bench::with(SipConfig { timers: hasty(), limits, ..config() }).await;
    let (flooder, phone) = (Ua::at("127.0.0.2", bench.at).await, Ua::new(bench.at).await);
    for n in 0..5_000 {
        let call = Call::new(&format!("flood{n}"), "sip:alice@acct.test", "sip:1@acct.test");
        flooder.send(&flooder.message("INVITE", &call, 1, &flooder.contact(), OFFER)).await;
        if n == 2_500 {
            // In the middle of it a call of somebody else comes through at once.
            let (leg, _) = up(&mut bench, &phone, "between").await;
            leg.hangup(None).await.unwrap();
            let bye = phone.request("BYE").await;
            phone.send(&bye.reply("200 OK", "", "", "")).await;
        }
    }
    let looked_at = bench.counter("challenges");
    assert!((90..1_000).contains(&looked_at), "{looked_at}");
    assert!(bench.counter("rate_limited") >= 3_000, "{}", bench.counter("rate_limited"));
    assert_eq!(bench.counter("calls_in"), 1);
    bench.until("transactions_live", 0).await;
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn calls_nobody_takes_are_refused_when_their_bounds_are_reached() {
    let limits = Limits { incoming: 5, dialogs: 8, transactions: 40, ..Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    let mut codes = Vec::new();
    for n in 0..30 {
        let call = Call::new(&format!("many{n}"), "sip:trunk@carrier.test", "sip:1@acct.test");
        ua.send(&ua.message("INVITE", &call, 1, &ua.contact(), OFFER)).await;
        codes.push(ua.recv().await.code());
    }
    assert_eq!(codes.iter().filter(|code| **code == 100).count(), 5, "{codes:?}");
    assert_eq!((codes[29], bench.counter("calls_refused"), bench.counter("dialogs_live")), (503, 25, 5));
}

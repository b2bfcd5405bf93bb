//! Many calls, and an independent SIP implementation as the peer.

mod bench;

use std::collections::HashSet;
use std::process::Stdio;
use std::time::Duration;

use bench::*;
use sip::{LegEvent, SipConfig, Timers};
use tokio::process::Command;
use tokio::time::timeout;

const CALLS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_two_thousand_calls_nothing_is_left() {
    let t1 = Duration::from_millis(60);
    let timers = Timers { t1, t2: t1 * 8, t4: t1 * 8 };
    let mut bench = Bench::with(SipConfig { timers, ..config() }).await;
    bench.sip.trust([("127.0.0.1".parse().unwrap(), 32)]);
    let callee = Ua::new(bench.at).await;
    let callee_at = callee.at;
    let peer = tokio::spawn(async move {
        while let Some(got) = callee.try_recv(Duration::from_secs(30)).await {
            let extra = format!("{}Content-Type: application/sdp\r\n", callee.contact());
            match got.method() {
                "INVITE" => callee.send(&got.reply("200 OK", "u", &extra, OFFER)).await,
                "BYE" => callee.send(&got.reply("200 OK", "", "", "")).await,
                _ => {}
            }
        }
    });
    let caller = Ua::new(bench.at).await;
    let caller_task = tokio::spawn(async move {
        let call = |n: usize| Call::new(&format!("load{n}"), "sip:trunk@carrier.test", "sip:1@acct.test");
        let (mut next, mut over) = (0, HashSet::new());
        while over.len() < CALLS {
            while next < CALLS && next < over.len() + 40 {
                caller.send(&caller.message("INVITE", &call(next), 1, &caller.contact(), OFFER)).await;
                next += 1;
            }
            let got = caller.recv().await;
            if got.code() < 200 {
                continue;
            }
            assert_eq!(got.code(), 200, "{got:?}");
            let n: usize = got.get("Call-ID").trim_start_matches("load").parse().unwrap();
            let mut call = call(n);
            call.learn(&got);
            if got.get("CSeq").ends_with("INVITE") {
                call.uri = format!("sip:{}", caller.server);
                caller.send(&caller.message("ACK", &call, 1, "", "")).await;
                caller.send(&caller.message("BYE", &call, 2, "", "")).await;
            } else {
                over.insert(n);
            }
        }
    });
    let sip = bench.sip.clone();
    let template = bench.outgoing(&format!("sip:bob@{callee_at}"));
    let placing = tokio::spawn(async move {
        let mut live = tokio::task::JoinSet::new();
        for _ in 0..CALLS {
            if live.len() >= 40 {
                live.join_next().await.unwrap().unwrap();
            }
            let (sip, call) = (sip.clone(), template.clone());
            live.spawn(async move {
                let mut leg = sip.invite(call).await.unwrap();
                assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
                leg.hangup(None).await.unwrap();
            });
        }
        while let Some(done) = live.join_next().await {
            done.unwrap();
        }
    });
    for _ in 0..CALLS {
        let mut incoming = bench.call().await;
        tokio::spawn(async move {
            incoming.leg.answer(&sdp(), &[]).await.unwrap();
            while incoming.leg.next().await.is_some() {}
        });
    }
    timeout(Duration::from_secs(60), async { (caller_task.await.unwrap(), placing.await.unwrap()) }).await.unwrap();
    bench.until("dialogs_live", 0).await;
    bench.until("transactions_live", 0).await;
    assert_eq!(bench.counter("dialogs_created"), bench.counter("dialogs_reaped"));
    assert_eq!((bench.counter("calls_in"), bench.counter("calls_out")), (CALLS as u64, CALLS as u64));
    assert_eq!((bench.counter("acks_missing"), bench.counter("events_dropped")), (0, 0));
    peer.abort();
}

fn sipp(arguments: &[&str]) -> tokio::process::Child {
    Command::new("sipp")
        .args(arguments)
        .args(["-i", "127.0.0.1", "-nostdin", "-timeout", "30", "-timeout_error"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("sipp is needed for this test; install the package sip-tester")
}

async fn succeeds(child: tokio::process::Child) {
    let output = timeout(Duration::from_secs(40), child.wait_with_output()).await.expect("sipp hangs").unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn sipp_calls_in_over_udp_and_tcp() {
    let mut bench = Bench::new().await;
    for (transport, at) in [("u1", bench.at), ("t1", bench.tcp)] {
        let child = sipp(&["-sn", "uac", &at.to_string(), "-m", "20", "-r", "40", "-d", "50", "-t", transport]);
        for _ in 0..20 {
            let mut incoming = bench.call().await;
            tokio::spawn(async move {
                incoming.leg.ring(&[]).await.unwrap();
                incoming.leg.answer(&sdp(), &[]).await.unwrap();
                while incoming.leg.next().await.is_some() {}
            });
        }
        succeeds(child).await;
    }
    bench.until("dialogs_live", 0).await;
}

#[tokio::test]
async fn sipp_is_called_over_udp_and_tcp() {
    let bench = Bench::new().await;
    for (transport, suffix) in [("u1", ""), ("t1", ";transport=tcp")] {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = sipp(&["-sn", "uas", "-p", &free.port().to_string(), "-m", "10", "-t", transport]);
        if transport == "t1" {
            let up = async {
                while tokio::net::TcpStream::connect(free).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(DEADLINE, up).await.expect("sipp does not listen");
        }
        for _ in 0..10 {
            let mut leg = bench.sip.invite(bench.outgoing(&format!("sip:service@{free}{suffix}"))).await.unwrap();
            assert_eq!(event(&mut leg).await, LegEvent::Ringing { code: 180 });
            assert!(matches!(event(&mut leg).await, LegEvent::Answered(_)));
            leg.hangup(None).await.unwrap();
        }
        succeeds(child).await;
    }
    bench.until("dialogs_live", 0).await;
}

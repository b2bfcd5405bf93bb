//! A phone that never answers a REFER: its call is not held up by it, and its program is told when the time is up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use phone::{Mouth, Phone, PhoneConfig};
use serde_json::{Value, json};
use system_tests::ears::{hears, tones, voice};
use system_tests::jambonz::exchange::{Calling, Exchange, verb};
use system_tests::log::Log;
use system_tests::server::PASSWORD;
use system_tests::{LATER, SOON};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// 64 times T1: a request other than INVITE is given up (RFC 3261, timer F).
const GIVEN_UP: Duration = Duration::from_secs(32);

/// Carries one phone's signalling, but for every REFER to it.
struct Road {
    /// Where the phone sends.
    here: SocketAddr,
    /// Where the server sends.
    there: SocketAddr,
    lost: Arc<Log<Instant>>,
    carrying: [JoinHandle<()>; 2],
}

impl Drop for Road {
    fn drop(&mut self) {
        self.carrying.iter().for_each(JoinHandle::abort);
    }
}

impl Road {
    async fn to(server: SocketAddr) -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0");
        let (front, back) = tokio::try_join!(bind(), bind()).unwrap();
        let (here, there) = (front.local_addr().unwrap(), back.local_addr().unwrap());
        let (front, back) = (Arc::new(front), Arc::new(back));
        let (lost, phone) = (Arc::new(Log::default()), Arc::new(Mutex::new(None)));
        let out = tokio::spawn({
            let (front, back, phone) = (Arc::clone(&front), Arc::clone(&back), Arc::clone(&phone));
            async move {
                let mut datagram = vec![0; 65_535];
                while let Ok((length, from)) = front.recv_from(&mut datagram).await {
                    *phone.lock().unwrap() = Some(from);
                    let _ = back.send_to(&datagram[..length], server).await;
                }
            }
        });
        let home = tokio::spawn({
            let lost = Arc::clone(&lost);
            async move {
                let mut datagram = vec![0; 65_535];
                while let Ok((length, _)) = back.recv_from(&mut datagram).await {
                    let to = *phone.lock().unwrap();
                    match to {
                        _ if datagram.starts_with(b"REFER ") => lost.push(Instant::now()),
                        Some(to) => drop(front.send_to(&datagram[..length], to).await),
                        None => {}
                    }
                }
            }
        });
        Self { here, there, lost, carrying: [out, home] }
    }
}

/// A phone behind such a road.
async fn unmoved(exchange: &Exchange, name: &str, mouth: Mouth) -> (Phone, Road) {
    let hook = json!({ "url": exchange.app.ws(&format!("/call/{name}")), "method": "WS" });
    exchange.application(name, hook.clone(), hook, json!({})).await;
    exchange.client(name).await;
    let road = Road::to(exchange.office.server.at().sip_udp).await;
    let mut config = PhoneConfig::new(road.here, name, PASSWORD);
    config.domain = exchange.office.account.realm.clone();
    config.faults.contact = Some(road.there);
    config.mouth = mouth;
    let phone = Phone::start(config).await.unwrap();
    phone.register(600).await.unwrap();
    (phone, road)
}

async fn refers(exchange: &Exchange, name: &str, verbs: Value, mouth: Mouth) -> (Calling, Road, Instant) {
    exchange.app.verbs(&format!("/call/{name}"), verbs);
    let (phone, road) = unmoved(exchange, name, mouth).await;
    let calling = exchange.dials(name, phone).await;
    calling.answered().await;
    let at = road.lost.expect("a REFER", 0, SOON, |_| true).await;
    (calling, road, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_does_not_answer_a_refer_holds_up_nothing_and_its_program_is_told_in_the_end() {
    let [after, whispered, a] = tones();
    let exchange = Exchange::open().await;
    let [url_of_after, url_of_whisper] =
        [("/after.wav", after), ("/whisper.wav", whispered)].map(|(path, tone)| exchange.tone(path, tone));
    let refer = json!({ "verb": "sip:refer", "referTo": "sip:desk@example.com", "actionHook": "/sip-refer/done" });
    let then = json!({ "verb": "play", "url": url_of_after, "loop": 60 });
    let waits = json!([refer, then]);
    let (stays, road, referred) = refers(&exchange, "stays", waits.clone(), Mouth::Silence).await;
    let (moved, _road, _) = refers(&exchange, "moved", waits.clone(), voice(whispered)).await;
    let (leaves, _other, _) = refers(&exchange, "leaves", waits, Mouth::Silence).await;
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;

    // Commands apply at once.
    let since = Instant::now();
    let whisper = json!({ "whisper": [{ "verb": "play", "url": url_of_whisper }] });
    exchange.app.command(&stays.sid, "whisper", whisper);
    let heard = stays.call.ear().wait_heard(whispered, -30.0, since, SOON).await.expect("no whisper meanwhile");
    assert!(heard.at < referred + GIVEN_UP / 2, "the whisper waited for the phone");
    let dub = json!({ "action": "addTrack", "track": "one", "play": url_of_whisper, "loop": true });
    exchange.rest.update(&stays.sid, json!({ "dub": dub })).await;
    assert!(
        stays.call.ear().wait_heard(whispered, -30.0, heard.at + Duration::from_millis(1_500), SOON).await.is_some()
    );
    exchange.rest.update(&stays.sid, json!({ "dub": { "action": "removeTrack", "track": "one" } })).await;
    // So do other instructions: nobody waits for the phone any more.
    exchange.app.command(&moved.sid, "redirect", json!([verb("moved", json!({ "name": "support" }))]));
    let two = [moved.heard(Some(whispered)), agent.heard(Some(a))];
    let both = [("moved", "agent"), ("agent", "moved")];
    hears("moved meanwhile", &two, &both).await;
    assert!(referred.elapsed() < GIVEN_UP, "this was to be measured while the phone is waited for");
    // A hang-up as well.
    leaves.call.hangup().await.unwrap();
    let is = |told: &system_tests::jambonz::app::Told| told.text("call_status") == "completed";
    exchange.app.hears(&leaves.sid, "call:status", leaves.mark, is).await;
    assert!(referred.elapsed() < GIVEN_UP, "the hang-up waited for the phone");

    // In the end the program is told, and the next verb runs.
    let done = exchange.app.hears_within(LATER, &stays.sid, "/sip-refer/done", stays.mark, |_| true).await;
    let took = done.at - referred;
    assert!((GIVEN_UP * 9 / 10..GIVEN_UP * 13 / 10).contains(&took), "it was told after {took:?}");
    let status = done.data["refer_status"].as_u64().unwrap_or_default();
    assert!((400..700).contains(&status), "{}", done.raw);
    assert_eq!((done.text("call_status"), &done.data["final_referred_call_status"]), ("in-progress", &Value::Null));
    let heard = stays.call.ear().wait_heard(after, -30.0, done.at, SOON).await;
    assert!(heard.is_some(), "the next verb does not run");
    assert!(road.lost.len() > 5, "the request was sent {} times", road.lost.len());
    // The end of a transfer that nobody waits for moves nobody.
    hears("after the end of it", &two, &both).await;
    system_tests::ears::never_heard_since("the replaced verbs", &moved.call, after, referred).await;
    let told = exchange.app.told().matching(|told| told.call_sid == moved.sid && told.name == "/sip-refer/done");
    assert!(told.len() <= 1 && told.iter().all(|told| told.at < done.at - GIVEN_UP / 4), "{told:?}");
    exchange.closes().await;
}

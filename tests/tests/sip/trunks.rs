//! Carriers: calls in by address and number, calls out with digest and rules.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use phone::{Call, CallError, CallOptions, Mouth, Phone, PhoneConfig};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, hears, tones, voice};
use system_tests::office::Office;
use system_tests::plivo_rest::PlivoRest;
use system_tests::server::{Account, ServerOptions, text};

/// Addresses of this machine that stand for other machines.
const CARRIER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

async fn carrier(office: &Office, ip: Ipv4Addr, mouth: Mouth) -> Phone {
    let mut config = PhoneConfig::new(office.server.at().sip_udp, "14155550199", "");
    config.bind = IpAddr::V4(ip);
    config.domain = "carrier.test".into();
    config.mouth = mouth;
    Phone::start(config).await.unwrap()
}

fn call_number(office: &Office, phone: &Phone, number: &str) -> Call {
    phone.call(&format!("sip:{number}@{}", office.server.at().sip_udp), CallOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_is_known_by_its_address_and_a_number_leads_to_its_application() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let account = &office.account.auth_id;
    let agent = office.joins("agent", "room", "Agent", "stayAlone=\"true\"", voice(a)).await;
    office.room_document("number", "room", "Customer", "");
    let url = office.program.url("/answer/number");
    let app = office.server.application(&office.account, "number", &url, &[]).await;
    office.server.aside(&["trunk", "create", "carrier", "--account", account, "--source", "127.0.0.2/32"]).await;
    office.server.aside(&["number", "create", "+14155550123", "--account", account, "--app", &app]).await;
    let phone = carrier(&office, CARRIER, voice(c)).await;
    let call = call_number(&office, &phone, "+14155550123");
    call.wait_answered(SOON).await.unwrap();
    let asked = office
        .program
        .asked()
        .expect("request for instructions", 0, SOON, |asked| asked.path == "/answer/number")
        .await;
    assert_eq!((asked.param("From"), asked.param("To")), ("14155550199", "14155550123"), "{asked:?}");
    let people = [Heard { name: "caller", call: &call, tone: Some(c) }, agent.heard(Some(a))];
    hears("by trunk", &people, &[("caller", "agent"), ("agent", "caller")]).await;

    for (ip, number) in [(CARRIER, "14155550124"), (STRANGER, "14155550123")] {
        let phone = carrier(&office, ip, Mouth::Silence).await;
        match call_number(&office, &phone, number).wait_answered(SOON).await {
            Err(CallError::Ended(ended)) => assert!(matches!(ended.code, Some(401 | 403 | 404 | 407)), "{ended:?}"),
            other => panic!("{ip} reached {number}: {other:?}"),
        }
    }
}

/// A trunk that leads to a phone.
async fn trunk_to(office: &Office, at: SocketAddr, more: &[&str]) {
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let mut arguments =
        vec!["trunk", "create", "out", "--account", &office.account.auth_id, "--host", &host, "--port", &port];
    arguments.extend(more);
    office.server.aside(&arguments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_dialled_by_the_trunk_that_permits_it_with_an_allowed_caller_id() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", voice(c)).await;
    let phone = carrier(&office, CARRIER, voice(a)).await;
    let rules = ["--allow-prefix", "1415", "--allow-caller-id", "1415555", "--caller-id", "14155550000"];
    trunk_to(&office, phone.address(), &rules).await;
    let path = format!("/MultiPartyCall/uuid_{}/Participant/", customer.room);
    let add = |from: &str, to: &str| json!({ "role": "agent", "from": from, "to": to, "enter_sound": "none", "exit_sound": "none", "dial_music": "none" });
    let (status, refused) =
        office.rest.request(reqwest::Method::POST, &path, Some(add("14155550100", "442071838750"))).await;
    assert!((400..500).contains(&status), "a destination that no trunk permits: {status} {refused}");
    for (asked, shown) in [("14155550100", "14155550100"), ("13105550100", "14155550000")] {
        office.rest.post(&path, add(asked, "14155550177")).await;
        let ringing = phone.incoming(SOON).await.expect("the carrier is not called");
        assert!(ringing.from().contains(&format!("sip:{shown}@")), "{}", ringing.from());
        assert!(ringing.to().contains("14155550177"), "{}", ringing.to());
        let call = ringing.answer().await.unwrap();
        let people = [customer.heard(Some(c)), Heard { name: "callee", call: &call, tone: Some(a) }];
        hears("by trunk", &people, &[("customer", "callee"), ("callee", "customer")]).await;
        call.hangup().await.unwrap();
        office.program.event("ParticipantExit", 0, |event| event.param("ParticipantRole") == "agent").await;
    }
}

/// Pings that a source sends; a stranger gets an answer to a tenth of them here.
const PINGS: usize = 200;

/// How many pings from an address are answered, one after another and each sent again until it is, within 5 s.
async fn pings_answered(office: &Office, from: Ipv4Addr) -> usize {
    let socket = tokio::net::UdpSocket::bind((from, 0)).await.unwrap();
    let (at, server) = (socket.local_addr().unwrap(), office.server.at().sip_udp);
    let (mut answered, mut buffer) = (0, vec![0; 4096]);
    let all = async {
        while answered < PINGS {
            let ping = format!(
                "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{}{answered}\r\nMax-Forwards: 70\r\n\
                 From: <sip:ping@{at}>;tag=1\r\nTo: <sip:{server}>\r\nCall-ID: {answered}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
                at.port()
            );
            socket.send_to(ping.as_bytes(), server).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_millis(500), socket.recv_from(&mut buffer)).await;
            answered += usize::from(answer.is_ok());
        }
    };
    // Being late is an answer as well: the count tells.
    let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_carrier_is_not_limited_as_a_stranger_is_from_its_first_day_to_its_last() {
    let options = ServerOptions::default().set("sip", "source_rate", "1.0").set("sip", "source_burst", "20.0");
    let mut office = Office::with(options).await;
    let account = office.account.auth_id.clone();
    let third = Ipv4Addr::new(127, 0, 0, 4);
    assert!(pings_answered(&office, STRANGER).await < 100);
    office.server.aside(&["trunk", "create", "carrier", "--account", &account, "--source", "127.0.0.2/32"]).await;
    assert_eq!(pings_answered(&office, CARRIER).await, PINGS, "a new trunk");
    office.server.restart().await;
    assert_eq!(pings_answered(&office, CARRIER).await, PINGS, "a trunk from before the start");
    office.server.aside(&["trunk", "update", "carrier", "--account", &account, "--source", "127.0.0.4/32"]).await;
    assert_eq!(pings_answered(&office, third).await, PINGS, "its new address");
    assert!(pings_answered(&office, CARRIER).await < 100, "its old address");
    office.server.aside(&["trunk", "delete", "carrier", "--account", &account]).await;
    assert!(pings_answered(&office, third).await < 100, "a deleted trunk");
}

async fn dial(rest: &PlivoRest, room: &str, to: &str) -> (u16, Value) {
    let body = json!({ "role": "agent", "from": "14155550100", "to": to, "enter_sound": "none", "exit_sound": "none" });
    rest.request(Method::POST, &format!("/MultiPartyCall/{room}/Participant/"), Some(body)).await
}

async fn refused(office: &Office, phone: &Phone, number: &str) -> Option<u16> {
    match call_number(office, phone, number).wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => ended.code,
        other => panic!("{number} was reached: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_trunk_brings_calls_in_and_out_within_limits_of_its_own_until_it_is_revoked() {
    let office = Office::open().await;
    let (owner, account) = (office.server.account("owner").await, office.account.auth_id.clone());
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let phone = carrier(&office, CARRIER, Mouth::Silence).await;
    let port = phone.address().port().to_string();
    let rules = ["--allow-prefix", "1", "--caller-id", "14155550000", "--source", "127.0.0.2/32"];
    let mut trunk =
        vec!["trunk", "create", "shared", "--account", &owner.auth_id, "--host", "127.0.0.2", "--port", &port];
    trunk.extend(rules);
    office.server.aside(&trunk).await;
    office.room_document("number", "room", "Agent", "");
    let app = office.server.application(&office.account, "number", &office.program.url("/answer/number"), &[]).await;
    office.server.aside(&["number", "create", "+14155550123", "--account", &account, "--app", &app]).await;
    let room = format!("uuid_{}", customer.room);
    // Another account's trunk is nothing to this one.
    let unknown = refused(&office, &phone, "14155550123").await;
    assert!(matches!(unknown, Some(401 | 403 | 404 | 407)), "{unknown:?}");
    assert_eq!(dial(&office.rest, &room, "14155550177").await.0, 403);

    let grant = ["trunk", "grant", "shared", "--account", &owner.auth_id, "--to", &account];
    office.server.aside(&[&grant[..], &["--allow-prefix", "1415", "--max-concurrent", "1"]].concat()).await;
    let listed = office.server.aside(&["trunk", "grants", "shared", "--account", &owner.auth_id]).await;
    assert_eq!((&listed["items"][0]["auth_id"], &listed["total"]), (&json!(account), &json!(1)), "{listed}");
    let incoming = call_number(&office, &phone, "14155550123");
    incoming.wait_answered(SOON).await.unwrap();
    office.program.event("ParticipantJoin", 0, |event| event.param("ParticipantRole") == "agent").await;
    assert_eq!(refused(&office, &phone, "14155550123").await, Some(486), "beyond the calls at once of the grant");
    incoming.hangup().await.unwrap();
    office.program.event("ParticipantExit", 0, |event| event.param("ParticipantRole") == "agent").await;
    let (status, answer) = dial(&office.rest, &room, "13105550100").await;
    assert_eq!(status, 403, "a destination of the trunk's that was not granted: {answer}");
    let (status, answer) = dial(&office.rest, &room, "14155550177").await;
    assert_eq!(status, 201, "{answer}");
    let call = phone.incoming(SOON).await.expect("the carrier is not called").answer().await.unwrap();
    call.hangup().await.unwrap();

    office.server.aside(&["trunk", "revoke", "shared", "--account", &owner.auth_id, "--to", &account]).await;
    assert_eq!(dial(&office.rest, &room, "14155550177").await.0, 403);
    let unknown = refused(&office, &phone, "14155550123").await;
    assert!(matches!(unknown, Some(401 | 403 | 404 | 407)), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_account_dials_by_a_trunk_that_it_was_granted_and_by_no_other() {
    let office = Office::open().await;
    let main = office.account.auth_id.clone();
    let phone = carrier(&office, CARRIER, Mouth::Silence).await;
    trunk_to(&office, phone.address(), &["--allow-prefix", "1", "--caller-id", "14155550000"]).await;
    let made = office.server.aside(&["account", "create", "desk", "--parent", &main]).await;
    let sub =
        Account { auth_id: text(&made, "auth_id"), auth_token: text(&made, "auth_token"), ..office.account.clone() };
    let rest = PlivoRest::of(&office.server, &sub);
    let (status, answer) = dial(&rest, "name_desk", "14155550177").await;
    assert_eq!(status, 403, "{answer}");
    office
        .server
        .aside(&["trunk", "grant", "out", "--account", &main, "--to", &sub.auth_id, "--allow-prefix", "1415"])
        .await;
    assert_eq!(dial(&rest, "name_desk", "13105550100").await.0, 403);
    let (status, answer) = dial(&rest, "name_desk", "14155550177").await;
    assert_eq!(status, 201, "{answer}");
    phone.incoming(SOON).await.expect("the carrier is not called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_into_a_private_network_is_dialled_only_if_the_configuration_says_so() {
    let options = ServerOptions::default().set("sip", "allow", "[\"127.0.0.3\"]");
    let office = Office::with(options).await;
    let rules = ["--allow-prefix", "1415", "--caller-id", "14155550000"];
    let phone = carrier(&office, CARRIER, Mouth::Silence).await;
    trunk_to(&office, phone.address(), &rules).await;
    let (status, answer) = dial(&office.rest, "name_room", "14155550177").await;
    assert_eq!(status, 403, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("[sip] allow"), "{answer}");
    let allowed = carrier(&office, STRANGER, Mouth::Silence).await;
    let (account, port) = (office.account.auth_id.clone(), allowed.address().port().to_string());
    office
        .server
        .aside(&["trunk", "update", "out", "--account", &account, "--host", "127.0.0.3", "--port", &port])
        .await;
    let (status, answer) = dial(&office.rest, "name_room", "14155550177").await;
    assert_eq!(status, 201, "{answer}");
    allowed.incoming(SOON).await.expect("the carrier is not called");
    // A name is looked up when it is dialled, and where it leads is checked then.
    let here = carrier(&office, Ipv4Addr::LOCALHOST, Mouth::Silence).await;
    let port = here.address().port().to_string();
    office
        .server
        .aside(&["trunk", "update", "out", "--account", &account, "--host", "localhost", "--port", &port])
        .await;
    let body = json!({ "role": "agent", "from": "14155550100", "to": "14155550178", "call_status_callback_url": office.program.url("/leg") });
    office.rest.post("/MultiPartyCall/name_room/Participant/", body).await;
    let hangup = office.program.event("Hangup", 0, |asked| asked.path == "/leg").await;
    assert_eq!(hangup.param("HangupCauseCode"), "2000", "{hangup:?}");
}

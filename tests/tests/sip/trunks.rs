//! Carriers: calls in by address and number, calls out with digest and rules.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use phone::{Call, CallError, CallOptions, Mouth, Phone, PhoneConfig};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{Heard, hears, tones, voice};
use system_tests::office::Office;

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

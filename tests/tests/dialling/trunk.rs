//! A carrier over TCP: calls to it and from it.

use std::net::{IpAddr, Ipv4Addr};

use phone::{CallOptions, Phone, PhoneConfig, Transport};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{Heard, hears, tones, voice};

use super::desk::{Desk, LEG, answers};

/// An address of this machine that stands for another machine.
const CARRIER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_over_tcp_is_called_and_calls() {
    let [c, a, _] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let (office, account) = (&desk.office, desk.office.account.auth_id.as_str());
    let mut config = PhoneConfig::new(office.server.at().sip_tcp, "14155550199", "");
    config.bind = IpAddr::V4(CARRIER);
    config.domain = "carrier.test".into();
    config.transport = Transport::Tcp;
    config.mouth = voice(a);
    let carrier = Phone::start(config).await.unwrap();
    let (host, port) = (carrier.address().ip().to_string(), carrier.address().port().to_string());
    let source = format!("{CARRIER}/32");
    let trunk = [
        "trunk",
        "create",
        "carrier",
        "--account",
        account,
        "--host",
        &host,
        "--port",
        &port,
        "--transport",
        "tcp",
        "--source",
        &source,
        "--allow-prefix",
        "1415",
        "--allow-caller-id",
        "1415",
    ];
    office.server.aside(&trunk).await;
    // To the carrier: answered, and hung up by us in the same dialog.
    let path = format!("/MultiPartyCall/uuid_{}/Participant/", desk.customer.room);
    let mark = office.program.mark();
    let body = json!({ "role": "agent", "from": "14155550100", "to": "+1 415 555 0177", "enter_sound": "none", "exit_sound": "none",
        "dial_music": "none", "call_status_callback_url": office.program.url(LEG) });
    let added = office.rest.post(&path, body).await;
    let ringing = desk.rings("carrier", &carrier).await;
    let via = ringing.headers().get("Via").unwrap_or_default().to_owned();
    assert!(via.starts_with("SIP/2.0/TCP "), "{via}");
    assert!(ringing.to().contains("sip:14155550177@"), "{}", ringing.to());
    let call = answers("carrier", ringing).await;
    let people = [desk.customer.heard(Some(c)), Heard { name: "callee", call: &call, tone: Some(a) }];
    hears("to the carrier", &people, &[("customer", "callee"), ("callee", "customer")]).await;
    office.rest.delete(&format!("/Call/{}/", added["call_uuid"].as_str().unwrap_or_default())).await;
    call.wait_ended(SOON).await.unwrap();
    let hangup = office.program.event("Hangup", mark, |asked| asked.path == LEG).await;
    assert_eq!((hangup.param("HangupCauseCode"), hangup.param("To")), ("4000", "14155550177"), "{hangup:?}");
    // From the carrier.
    office.room_document("number", "desk", "Agent", "");
    let url = office.program.url("/answer/number");
    let app = office.server.application(&office.account, "number", &url, &[]).await;
    office.server.aside(&["number", "create", "14155550123", "--account", account, "--app", &app]).await;
    let target = format!("sip:14155550123@{}", office.server.at().sip_tcp);
    let call = carrier.call(&target, CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let people = [desk.customer.heard(Some(c)), Heard { name: "caller", call: &call, tone: Some(a) }];
    hears("from the carrier", &people, &[("customer", "caller"), ("caller", "customer")]).await;
    call.hangup().await.unwrap();
}

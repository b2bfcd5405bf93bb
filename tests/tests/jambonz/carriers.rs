//! `dial` beyond the account's own phones: numbers by a carrier that was made by REST, and SIP addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use phone::{Call, CallOptions, Mouth, Phone, PhoneConfig};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Calling, Exchange, verb};

/// An address of this machine that stands for another machine.
const CARRIER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Another one.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A phone that plays another machine: it is not registered anywhere.
async fn elsewhere(exchange: &Exchange, address: Ipv4Addr, user: &str, mouth: Mouth) -> Phone {
    let mut config = PhoneConfig::new(exchange.office.server.at().sip_udp, user, "");
    config.bind = IpAddr::V4(address);
    config.domain = "carrier.test".into();
    config.mouth = mouth;
    Phone::start(config).await.unwrap()
}

/// A carrier whose calls come from, and go to, this phone; its sid.
async fn carrier(exchange: &Exchange, name: &str, phone: &Phone) -> String {
    let rest = &exchange.rest;
    let sid = rest.create("/VoipCarriers", json!({ "account_sid": rest.account(), "name": name })).await;
    let gateway = json!({
        "voip_carrier_sid": sid, "ipv4": phone.address().ip().to_string(), "port": phone.address().port(),
        "netmask": 32, "inbound": true, "outbound": true,
    });
    rest.create("/SipGateways", gateway).await;
    sid
}

fn dial(target: Value, more: Value) -> Value {
    let targets = if target.is_array() { target } else { json!([target]) };
    let mut verb = json!({
        "verb": "dial", "target": targets, "answerOnBridge": true, "callerId": "15550100", "actionHook": "/dial/done",
    });
    verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    verb
}

/// Somebody dials; returns as soon as the application was asked.
async fn dials(exchange: &Exchange, name: &str, verb: Value, mouth: Mouth) -> Calling {
    exchange.app.verbs(&format!("/call/{name}"), json!([verb, { "verb": "hangup" }]));
    let phone = exchange.phone(name, mouth).await;
    exchange.dials(name, phone).await
}

async fn done(exchange: &Exchange, calling: &Calling) -> Told {
    exchange.app.hears(&calling.sid, "/dial/done", calling.mark, |_| true).await
}

fn outcome(told: &Told) -> (&str, Option<u64>) {
    (told.text("dial_call_status"), told.data["dial_sip_status"].as_u64())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_dialled_by_a_carrier_both_hear_each_other_and_the_action_hook_tells_which_call_it_was() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let remote = elsewhere(&exchange, CARRIER, "14155550199", voice(a)).await;
    carrier(&exchange, "carrier", &remote).await;
    for (name, trunk) in [("named", json!({ "trunk": "carrier" })), ("unnamed", json!({}))] {
        let mut target = json!({ "type": "phone", "number": "+1 (415) 555-0177", "headers": { "X-Target": name } });
        target.as_object_mut().unwrap().extend(trunk.as_object().unwrap().clone());
        let caller = dials(&exchange, name, dial(target, json!({ "headers": { "X-Dial": "7" } })), voice(c)).await;
        let ringing = remote.incoming(SOON).await.expect("the carrier is not called");
        assert!(ringing.to().contains("sip:14155550177@"), "{}", ringing.to());
        assert!(ringing.from().contains("sip:15550100@"), "{}", ringing.from());
        let fields = ["X-Target", "X-Dial"].map(|field| ringing.headers().get(field).unwrap_or_default().to_owned());
        assert_eq!(fields, [name, "7"]);
        let call = ringing.answer().await.unwrap();
        let connected = Instant::now();
        caller.answered().await;
        let two = [caller.heard(Some(c)), Heard { name: "callee", call: &call, tone: Some(a) }];
        hears(name, &two, &[(name, "callee"), ("callee", name)]).await;
        call.hangup().await.unwrap();
        let lasted = connected.elapsed().as_secs();
        let told = done(&exchange, &caller).await;
        assert_eq!(outcome(&told), ("completed", Some(200)), "{}", told.raw);
        assert_eq!(told.text("dial_sbc_callid"), call.call_id(), "{}", told.raw);
        let child = told.text("dial_call_sid").to_owned();
        assert!(!child.is_empty() && child != caller.sid, "{}", told.raw);
        let duration = told.data["duration"].as_u64().expect("a duration");
        assert!(duration + 1 >= lasted && duration <= lasted + 1, "{lasted} s of connection: {}", told.raw);
        let shown = exchange.rest.get(&exchange.rest.path(&format!("/Calls/{child}"))).await;
        let known = (&shown["direction"], &shown["parent_call_sid"], &shown["call_status"]);
        assert_eq!(known, (&json!("outbound"), &json!(caller.sid), &json!("completed")), "{shown}");
        caller.ended().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carriers_call_is_cut_at_its_limit_and_its_refusals_are_told_as_they_are() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let remote = elsewhere(&exchange, CARRIER, "14155550199", voice(a)).await;
    let sid = carrier(&exchange, "carrier", &remote).await;
    let number = json!({ "type": "phone", "number": "14155550177" });
    // A limit.
    let limited = dials(&exchange, "limited", dial(number.clone(), json!({ "timeLimit": 2 })), voice(c)).await;
    let ringing = remote.incoming(SOON).await.expect("the carrier is not called");
    // From before the answer on: nothing can be too late for this.
    let answered = Instant::now();
    let call = ringing.answer().await.unwrap();
    limited.answered().await;
    assert!(call.ear().wait_heard(c, -30.0, answered, SOON).await.is_some(), "they are not connected");
    call.wait_ended(SOON).await.expect("the limit ends the call");
    assert!(answered.elapsed() >= Duration::from_millis(1_700), "it ended after {:?}", answered.elapsed());
    let told = done(&exchange, &limited).await;
    assert_eq!((outcome(&told), &told.data["duration"]), (("completed", Some(200)), &json!(2)), "{}", told.raw);
    // Refusals.
    for (name, code, status) in [("busy", 486, "busy"), ("declined", 603, "busy"), ("unknown", 404, "failed")] {
        let caller = dials(&exchange, name, dial(number.clone(), json!({})), Mouth::Silence).await;
        remote.incoming(SOON).await.expect("the carrier is not called").reject(code).await.unwrap();
        let told = done(&exchange, &caller).await;
        assert_eq!(outcome(&told), (status, Some(u64::from(code))), "{name}: {}", told.raw);
        caller.ended().await;
    }
    // A carrier that does not exist, and none at all.
    let other = json!({ "type": "phone", "number": "14155550177", "trunk": "other" });
    let caller = dials(&exchange, "wrong", dial(other, json!({})), Mouth::Silence).await;
    assert_eq!(done(&exchange, &caller).await.text("dial_call_status"), "failed");
    let gone = exchange.rest.request(Method::DELETE, &format!("/VoipCarriers/{sid}"), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let caller = dials(&exchange, "gone", dial(number, json!({})), Mouth::Silence).await;
    assert_eq!(done(&exchange, &caller).await.text("dial_call_status"), "failed");
    assert!(remote.incoming(SETTLING).await.is_none(), "the carrier is called all the same");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_phone_and_a_carrier_the_first_to_answer_is_connected_and_the_other_is_cancelled() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let remote = elsewhere(&exchange, CARRIER, "14155550199", voice(a)).await;
    carrier(&exchange, "carrier", &remote).await;
    exchange.client("desk").await;
    let desk = exchange.connect("desk", voice(a)).await;
    let user = format!("desk@{}", exchange.office.account.realm);
    let both = json!([{ "type": "phone", "number": "14155550177" }, { "type": "user", "name": user }]);
    for winner in ["desk", "carrier"] {
        let name = format!("for-{winner}");
        let caller = dials(&exchange, &name, dial(both.clone(), json!({})), voice(c)).await;
        let (at_desk, at_carrier) = tokio::join!(desk.incoming(SOON), remote.incoming(SOON));
        let (at_desk, at_carrier) = (at_desk.expect("the desk rings"), at_carrier.expect("the carrier is called"));
        let (wins, loses) = if winner == "desk" { (at_desk, at_carrier) } else { (at_carrier, at_desk) };
        // A provisional answer: what has none cannot be cancelled.
        loses.ring().await.unwrap();
        let call: Call = wins.answer().await.unwrap();
        caller.answered().await;
        loses.wait_cancelled(SOON).await.expect("the other one is called on");
        let two = [caller.heard(Some(c)), Heard { name: winner, call: &call, tone: Some(a) }];
        hears(winner, &two, &[(name.as_str(), winner), (winner, name.as_str())]).await;
        call.hangup().await.unwrap();
        let told = done(&exchange, &caller).await;
        assert_eq!(outcome(&told), ("completed", Some(200)), "{}", told.raw);
        assert_eq!(told.text("dial_sbc_callid"), call.call_id(), "{}", told.raw);
        caller.ended().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_a_carrier_reaches_its_application() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let remote = elsewhere(&exchange, CARRIER, "14155550199", voice(a)).await;
    let sid = carrier(&exchange, "carrier", &remote).await;
    let hook = json!({ "url": exchange.app.ws("/call/number"), "method": "WS" });
    let application = exchange.application("number", hook.clone(), hook, json!({})).await;
    exchange.app.verbs("/call/number", json!([verb("number", json!({ "name": "support" }))]));
    let number = json!({
        "number": "14155550123", "voip_carrier_sid": sid, "account_sid": exchange.rest.account(),
        "application_sid": application,
    });
    exchange.rest.create("/PhoneNumbers", number).await;
    let guest = exchange.joins("guest", json!({ "name": "support" }), voice(c)).await;
    let mark = exchange.app.mark();
    let target = format!("sip:14155550123@{}", exchange.office.server.at().sip_udp);
    let call = remote.call(&target, CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let told = exchange.app.hears("", "session:new", mark, |_| true).await;
    let of = (told.text("direction"), told.text("from"), told.text("to"), told.text("originating_sip_trunk_name"));
    assert_eq!(of, ("inbound", "14155550199", "14155550123", "carrier"), "{}", told.raw);
    let two = [guest.heard(Some(c)), Heard { name: "caller", call: &call, tone: Some(a) }];
    hears("from the carrier", &two, &[("guest", "caller"), ("caller", "guest")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sip_address_of_the_accounts_realm_is_its_phone_and_private_addresses_and_carriers_are_not_called() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    exchange.client("desk").await;
    let desk = exchange.connect("desk", voice(a)).await;
    let sip = |uri: String| json!({ "type": "sip", "sipUri": uri, "headers": { "X-Target": "desk" } });
    let uri = format!("sip:desk@{}", exchange.office.account.realm);
    let caller = dials(&exchange, "caller", dial(sip(uri), json!({})), voice(c)).await;
    let ringing = desk.incoming(SOON).await.expect("the desk does not ring");
    assert!(ringing.from().contains("15550100"), "{}", ringing.from());
    assert_eq!(ringing.headers().get("X-Target"), Some("desk"));
    let call = ringing.answer().await.unwrap();
    caller.answered().await;
    let two = [caller.heard(Some(c)), Heard { name: "desk", call: &call, tone: Some(a) }];
    hears("by its address", &two, &[("caller", "desk"), ("desk", "caller")]).await;
    call.hangup().await.unwrap();
    let told = done(&exchange, &caller).await;
    assert_eq!(outcome(&told), ("completed", Some(200)), "{}", told.raw);
    // Whoever may be called by a trunk alone is not called by his address.
    let remote = elsewhere(&exchange, CARRIER, "14155550199", Mouth::Silence).await;
    carrier(&exchange, "carrier", &remote).await;
    let stranger = elsewhere(&exchange, STRANGER, "stranger", Mouth::Silence).await;
    for (name, phone) in [("to-carrier", &remote), ("to-stranger", &stranger)] {
        let uri = format!("sip:{name}@{}", phone.address());
        let caller = dials(&exchange, name, dial(sip(uri), json!({})), Mouth::Silence).await;
        let told = done(&exchange, &caller).await;
        assert_eq!(told.text("dial_call_status"), "failed", "{name}: {}", told.raw);
        caller.ended().await;
        assert!(phone.incoming(SETTLING).await.is_none(), "{name}: he was called");
    }
    exchange.closes().await;
}

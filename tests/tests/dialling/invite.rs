//! What a callee's phone sees and hears of the request: headers, caller's name, digits.

use std::time::Instant;

use phone::{Content, Mouth};
use serde_json::json;
use system_tests::SOON;

use super::desk::{Desk, addresses, answers};

#[tokio::test(flavor = "multi_thread")]
async fn the_invite_carries_the_callers_name_and_the_requests_own_headers() {
    let desk = Desk::open(Mouth::Silence).await;
    let phone = desk.office.phone("agent", Mouth::Silence).await;
    let more =
        json!({ "caller_name": "Front \"Desk\" \\ Ltd", "sip_headers": "Team=red team,X-PH-Case=42,Plivo-Secret=x" });
    let dialled = desk.dial(&addresses(&["agent"]), more).await;
    let ringing = desk.rings("agent", &phone).await;
    let headers = ringing.headers();
    let told = [headers.get("X-PH-Team"), headers.get("X-PH-Case"), headers.get("X-PH-Plivo-Secret")];
    assert_eq!(told, [Some("red team"), Some("42"), None], "{headers:?}");
    assert_eq!(headers.get("X-CallUUID"), Some(dialled.leg("agent")), "{headers:?}");
    assert!(ringing.from().starts_with(r#""Front \"Desk\" \\ Ltd" <sip:14155550100@"#), "{}", ringing.from());
    ringing.reject(486).await.unwrap();
    // Without a name the caller id stands for it; headers may be an object.
    desk.dial(&addresses(&["agent"]), json!({ "sip_headers": { "Team": "blue" } })).await;
    let ringing = desk.rings("agent", &phone).await;
    assert_eq!(ringing.headers().get("X-PH-Team"), Some("blue"));
    assert!(
        ringing.from().contains("14155550100") && ringing.from().contains("sip:14155550100@"),
        "{}",
        ringing.from()
    );
    ringing.reject(486).await.unwrap();
    // What would forge a header is refused, and nobody is dialled.
    let path = format!("/MultiPartyCall/uuid_{}/Participant/", desk.customer.room);
    for forged in [json!({ "sip_headers": "Team=red\r\nVia: x" }), json!({ "caller_name": "a\r\nVia: x" })] {
        let mut body = json!({ "role": "agent", "from": "14155550100", "to": addresses(&["agent"]) });
        body.as_object_mut().unwrap().extend(forged.as_object().unwrap().clone());
        let (status, refused) = desk.office.rest.request(reqwest::Method::POST, &path, Some(body)).await;
        assert_eq!(status, 400, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_sent_as_telephone_events_after_the_answer_with_their_pauses() {
    let desk = Desk::open(Mouth::Silence).await;
    let phone = desk.office.phone("machine", Mouth::Silence).await;
    let dialled = desk.dial(&addresses(&["machine"]), json!({ "send_digits": "1w2W3*#" })).await;
    let ringing = desk.rings("machine", &phone).await;
    assert_eq!(ringing.call().ear().digits(), "", "before the answer");
    let answered = Instant::now();
    let call = answers("machine", ringing).await;
    desk.entered(&dialled, "machine").await;
    let all = |ear: &phone::Ear| ear.digits() == "123*#";
    assert!(call.ear().wait_until(SOON, all).await, "he received {:?}", call.ear().digits());
    let packets = call.ear().packets();
    let first = |wanted: char| {
        let event = phone::rtp::digit_to_event(wanted);
        let is = |packet: &&phone::Packet| packet.content == Content::Event && packet.payload.first() == event.as_ref();
        packets.iter().find(is)
    };
    let firsts: Vec<&phone::Packet> = "123".chars().filter_map(first).collect();
    // By the sender's clock, which no delay on the way changes.
    let between = |pair: &[&phone::Packet]| pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) / 8;
    let pauses: Vec<u32> = firsts.windows(2).map(between).collect();
    assert!(firsts[0].at >= answered && pauses[0] >= 500 && pauses[1] >= 1_000, "{pauses:?}");
}

use super::*;
use crate::hook::Hook;
use crate::json::{Object, Value, parse};
use crate::verbs::{StatusEvent, StatusHook};

/// The least that a call is.
fn call() -> CallInfo {
    CallInfo {
        call_sid: "c".to_owned(),
        direction: CallDirection::Outbound,
        from: "1".to_owned(),
        to: "2".to_owned(),
        call_id: "i".to_owned(),
        sbc_callid: "i".to_owned(),
        sip_status: 200,
        sip_reason: "OK".to_owned(),
        status: CallStatus::InProgress,
        account_sid: "acc".to_owned(),
        trace_id: "t".to_owned(),
        application_sid: None,
        fs_sip_address: None,
        caller_id: None,
        caller_name: None,
        parent_call_sid: None,
        originating_sip_ip: None,
        originating_sip_trunk_name: None,
        headers: Vec::new(),
        customer_data: None,
    }
}

const BLOCK: &str = r#""call_sid":"c","direction":"outbound","from":"1","to":"2","call_id":"i","sbc_callid":"i","sip_status":200,"sip_reason":"OK","call_status":"in-progress","account_sid":"acc","trace_id":"t""#;

#[test]
fn a_status_event_is_worded_as_on_the_wire() {
    let status = StatusHook { hook: Hook::plain("/s"), events: vec![StatusEvent::Join], says_end_talking: false };
    let happening =
        |event| Happening { event, room: "support-23", started_at: 1_000_000, at: 13_345_678, members: 2, id: None };
    let body = conference_status(&call(), &status, &happening(StatusEvent::Join)).unwrap();
    assert_eq!(
        body.to_string(),
        format!(
            r#"{{"event":"join","conference_sid":"conf:acc:support-23","friendly_name":"support-23","duration":12.345,"time":"1970-01-01T00:00:13.345Z","members":2,{BLOCK}}}"#
        )
    );
    assert_eq!(conference_status(&call(), &status, &happening(StatusEvent::Leave)), None);
}

#[test]
fn what_programs_attach_keeps_its_spelling_and_order() {
    let data = parse(br#"{"orderId":7,"deep":{"camelCase":[1.0]},"z":1,"a":2}"#).unwrap();
    let call = CallInfo { customer_data: data.as_object().cloned(), ..call() };
    let expected = format!(r#"{{{BLOCK},"customerData":{{"orderId":7,"deep":{{"camelCase":[1]}},"z":1,"a":2}}}}"#);
    assert_eq!(call.body().to_string(), expected);
}

#[test]
fn an_action_hook_of_a_conference_carries_the_call_and_the_id_and_nothing_else() {
    assert_eq!(action(&call(), None, &Outcome::Done).to_string(), format!("{{{BLOCK}}}"));
    assert_eq!(action(&call(), Some("x"), &Outcome::Done).to_string(), format!(r#"{{{BLOCK},"verb_id":"x"}}"#));
}

#[test]
fn headers_of_an_invite_keep_their_names_and_repeat_joined() {
    let headers = [("Via", "a"), ("VIA", "b"), ("X-Custom", "c")];
    let sip = SipRequest {
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..SipRequest::default()
    };
    let body = session_new(&call(), &SessionStart { sip: Some(sip), ..SessionStart::default() });
    let headers = body.get("sip").and_then(Value::as_object).and_then(|sip| sip.get("headers")).unwrap();
    assert_eq!(headers.to_string(), r#"{"via":"a, b","X-Custom":"c"}"#);
}

#[test]
fn a_call_that_was_never_answered_ends_by_its_status() {
    for (status, expected) in [
        (486, CallStatus::Busy),
        (600, CallStatus::Busy),
        (603, CallStatus::Busy),
        (487, CallStatus::NoAnswer),
        (404, CallStatus::Failed),
        (503, CallStatus::Failed),
    ] {
        assert_eq!(CallStatus::of_refusal(status), expected);
    }
}

#[test]
fn a_queue_tells_who_came_and_why_he_left() {
    let text = |event: &QueueEvent<'_>| queue_event(&call(), "support", 2, event).to_string();
    assert_eq!(
        text(&QueueEvent::Join { at: 1_700_000_000_123 }),
        r#"{"event":"join","account_sid":"acc","call_sid":"c","queue":"support","length":2,"join_time":1700000000123}"#
    );
    let left = text(&QueueEvent::Leave { reason: "dequeued", at: 5 });
    assert!(left.ends_with(r#""length":2,"leave_reason":"dequeued","leave_time":5}"#), "{left}");
}

#[test]
fn a_stray_key_in_a_body_is_impossible_to_repeat() {
    let mut body = Object::new();
    body.set("a", 1.0);
    body.set("b", 2.0);
    body.set("a", 3.0);
    assert_eq!(body.to_string(), r#"{"a":3,"b":2}"#);
}

#[test]
fn a_listed_call_is_scalars_only() {
    let data = parse(br#"{"a":1}"#).unwrap();
    let headers = vec![("X-A".to_owned(), "b".to_owned())];
    let call = CallInfo { customer_data: data.as_object().cloned(), headers, ..call() };
    let record = crate::rest::call_record(&call, 12, Some("caller"), "http://a/v1");
    assert!(record.iter().all(|(_, value)| !matches!(value, Value::Object(_) | Value::Array(_))), "{record}");
    assert!(
        record.to_string().ends_with(r#""duration":12,"call_termination_by":"caller","service_url":"http://a/v1"}"#)
    );
}

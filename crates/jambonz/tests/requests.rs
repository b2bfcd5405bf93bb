//! What programs are asked with, how it is signed, and what their settings say.

mod house;

use std::time::Duration;

use call::dialect::{AtEnd, Body, CallView, Dialect, Origin, Purpose, Referred, SigningKeys};
use call::verb::{BasicAuth, Fetch, Method};
use house::{CALL, answered, view};
use jambonz::Jambonz;
use serde_json::{Value as Json, json};

fn ask(call: &CallView, purpose: &Purpose) -> Json {
    match Jambonz::default().with_sip_address("192.0.2.7:5060").request(call, purpose) {
        Body::Json(text) => serde_json::from_str(&text).expect("it is JSON"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_that_comes_in_begins_with_its_invite_and_its_applications_settings() {
    let body = ask(&view(), &Purpose::Answer);
    for (name, told) in [
        ("call_sid", json!(CALL)),
        ("call_status", json!("trying")),
        ("sip_status", json!(100)),
        ("sip_reason", json!("Trying")),
        ("direction", json!("inbound")),
        ("from", json!("15083084809")),
        ("to", json!("16173333456")),
        ("caller_name", json!("Zoë")),
        ("trace_id", json!("7d3b0c1e6f5a4a629d0e2f1f6a0b9c01")),
        ("originating_sip_ip", json!("198.51.100.4")),
        ("originating_sip_trunk_name", json!("carrier")),
        ("fs_sip_address", json!("192.0.2.7:5060")),
        ("customerData", json!({"orderId": 7, "deepKey": {"aB": 1.5}})),
        ("env_vars", json!({"ROOM_NAME": "support"})),
    ] {
        assert_eq!(body[name], told, "{name}");
    }
    assert_eq!(
        body["defaults"],
        json!({"synthesizer": {"vendor": "default", "language": "en-GB", "voice": "Ann"}, "recognizer": {}})
    );
    let sip = &body["sip"];
    assert_eq!(sip["headers"]["X-Account"], "7");
    assert_eq!(sip["headers"]["from"], "\"Zoë\" <sip:15083084809@192.0.2.1>;tag=1");
    assert_eq!((&sip["calledNumber"], &sip["callingNumber"]), (&json!("16173333456"), &json!("15083084809")));
    assert_eq!((&sip["source_address"], &sip["source_port"]), (&json!("198.51.100.4"), &json!(5062)));
    assert_eq!(sip["payload"], json!([{"type": "application/sdp", "content": "v=0\r\n"}]));
    let text = body.to_string();
    assert!(!text.contains("hush") && !text.contains("password"), "credentials are nobody's business: {text}");
}

#[test]
fn a_call_that_was_made_begins_answered_and_without_an_invite() {
    let settings = view().origin.expect("there is one").settings.clone();
    let made = CallView { origin: Some(std::sync::Arc::new(Origin { invite: None, settings })), ..answered() };
    let body = ask(&made, &Purpose::Answer);
    assert_eq!((&body["call_status"], &body["sip_status"]), (&json!("in-progress"), &json!(200)));
    assert!(body.get("sip").is_none() && body.get("env_vars").is_some() && body.get("defaults").is_some());
}

#[test]
fn what_comes_later_is_the_call_alone() {
    for purpose in [Purpose::Redirect, Purpose::Transfer, Purpose::Wait, Purpose::Enter, Purpose::Confirm] {
        let body = ask(&answered(), &purpose);
        for name in ["sip", "defaults", "env_vars"] {
            assert!(body.get(name).is_none(), "{purpose:?}: {name}");
        }
        assert_eq!(body["call_sid"], CALL);
    }
    assert_eq!(Jambonz::default().request(&answered(), &Purpose::Sound), Body::Nothing);
}

#[test]
fn other_questions_say_what_they_are_about() {
    assert_eq!(ask(&answered(), &Purpose::Keys("*2".to_owned()))["dtmf"], "*2");
    let refer = Referred {
        to: "\"x\" <sip:200@example.com;user=phone>".to_owned(),
        by: Some("sip:me@x.org".to_owned()),
        agent: Some("Phone 1".to_owned()),
    };
    let child = CallView { parent: Some("11111111-1111-4111-8111-111111111111".to_owned()), ..answered() };
    assert_eq!(
        ask(&child, &Purpose::ReferredTo(Box::new(refer)))["refer_details"],
        json!({
            "sip_refer_to": "\"x\" <sip:200@example.com;user=phone>",
            "refer_to_user": "200",
            "sip_referred_by": "sip:me@x.org",
            "referred_by_user": "me",
            "sip_user_agent": "Phone 1",
            "referring_call_sid": CALL,
            "referred_call_sid": "11111111-1111-4111-8111-111111111111",
        })
    );
    let adult = ask(&child, &Purpose::Adulting(Box::new(CallView { uuid: "parent".to_owned(), ..answered() })));
    assert_eq!((&adult["call_sid"], &adult["parent_call_info"]["call_sid"]), (&json!(CALL), &json!("parent")));
    let info = ask(&answered(), &Purpose::InDialog(r#"{"sip_method":"INFO","sip_body":"hi"}"#.to_owned()));
    assert_eq!((&info["sip_method"], &info["call_sid"]), (&json!("INFO"), &json!(CALL)));
    // What a NOTIFY says is not the state of this call.
    assert_eq!(
        ask(&answered(), &Purpose::Transferred(180)),
        json!({"event": "transfer-status", "call_status": 180, "call_sid": CALL})
    );
}

#[test]
fn every_request_is_signed_over_the_body_that_is_sent() {
    let keys =
        SigningKeys { token: "t".to_owned(), main_token: "m".to_owned(), webhook_secret: "wh_secret_x".to_owned() };
    let dialect = Jambonz::default();
    let body = Body::Json(r#"{"a":1}"#.to_owned());
    let sign = |method, body: &Body| dialect.sign(&keys, method, "https://a.example.com/x", body, 1_700_000_000);
    let header = |value: String| vec![("Jambonz-Signature".to_owned(), value)];
    let posted = jambonz::signature::posted("wh_secret_x", r#"{"a":1}"#, 1_700_000_000);
    assert_eq!(sign(Method::Post, &body), header(posted));
    // A GET sends no body, whatever there was to say.
    let bodiless = jambonz::signature::bodiless("wh_secret_x", 1_700_000_000);
    assert_eq!(sign(Method::Get, &body), header(bodiless.clone()));
    assert_eq!(sign(Method::Post, &Body::Nothing), header(bodiless));
}

#[test]
fn the_fragment_of_a_hook_says_how_often_to_try() {
    let options = |url| Jambonz::default().delivery(url);
    let plain = options("https://a.example.com/x?rc=3");
    assert_eq!((plain.retries, plain.connect, plain.total), (0, Duration::from_secs(10), Duration::from_secs(10)));
    let asked = options("https://a.example.com/x#rc=3&rp=ct,5xx");
    assert_eq!(asked.retries, 3);
    assert!(asked.retry_connect && asked.retry_5xx && !asked.retry_4xx && !asked.retry_timeout);
    let all = options("https://a.example.com/x#rc=99&rp=all");
    assert_eq!(all.retries, 5);
    assert!(all.retry_connect && all.retry_5xx && all.retry_4xx && all.retry_timeout);
    assert_eq!(options("no url").retries, 0);
}

#[test]
fn settings_say_credentials_voice_and_instructions() {
    let dialect = Jambonz::default();
    let profile = dialect.profile(&json!({
        "call_hook_auth": {"username": "a", "password": "b"},
        "call_status_hook_auth": {"username": "c", "password": "d"},
        "app_json": "[{\"verb\":\"hangup\"}]",
        "speech": {"synthesis_language": "de-DE"},
    }));
    let auth = |username: &str, password: &str| {
        Some(BasicAuth { username: username.to_owned(), password: password.to_owned() })
    };
    assert_eq!((profile.auth, profile.status_auth), (auth("a", "b"), auth("c", "d")));
    assert_eq!(profile.voice, Some((String::new(), "de-DE".to_owned())));
    assert_eq!(profile.document.as_deref(), Some(r#"[{"verb":"hangup"}]"#));
    for nothing in [json!({}), json!(null), json!({"speech": 1})] {
        assert_eq!(dialect.profile(&nothing), call::dialect::Profile::default(), "{nothing}");
    }
}

#[test]
fn a_call_whose_verbs_are_through_stays_with_a_program_on_a_socket() {
    let dialect = Jambonz::default();
    for (url, method, at_end, linked) in [
        ("https://a.example.com/", Method::Post, AtEnd::Hangup, false),
        ("https://a.example.com/", Method::Get, AtEnd::Hangup, false),
        ("wss://a.example.com/", Method::Link, AtEnd::Stay, true),
        ("https://a.example.com/", Method::Link, AtEnd::Stay, true),
    ] {
        let application = Fetch::new(url, method);
        assert_eq!(dialect.at_end(&application), at_end, "{url} {method:?}");
        if linked {
            let link = dialect.link(&application).expect("it is reached by a connection");
            assert_eq!(link.subprotocol(), "ws.jambonz.org");
        }
    }
    assert_eq!(dialect.refusal(), (480, "Temporarily Unavailable"));
    assert_eq!(dialect.name(), "jambonz");
}

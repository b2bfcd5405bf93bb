//! Signatures against the official packages' verifiers.

mod house;

use std::time::{SystemTime, UNIX_EPOCH};

use jambonz::hooks::{SessionStart, call_status, session_new};
use jambonz::signature::{bodiless, posted};
use serde_json::json;

const SECRET: &str = "wh_secret_jiZ2zFBu5aVsXZgY4vSDsz";

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()).expect("small")
}

#[test]
fn the_official_packages_accept_every_signed_body() {
    let call = house::call();
    let bodies = [
        call.body().to_string(),
        call_status(&call, None).to_string(),
        session_new(&call, &SessionStart::default()).to_string(),
        // Printed by somebody else, and put right.
        jambonz::json::canonical(r#"{"b":12.0,"x":"\u003c\ud83d","9":1e21,"10":-0.0,"b":"\/"}"#).expect("JSON"),
    ];
    let mut cases: Vec<_> = bodies
        .iter()
        .map(|body| json!({"secret": SECRET, "header": posted(SECRET, body, now()), "body": body}))
        .collect();
    for parsed in ["object", "undefined", "string"] {
        cases.push(json!({"secret": SECRET, "header": bodiless(SECRET, now()), "parsed": parsed}));
    }
    let verdicts = house::node("signature.cjs", &json!(cases));
    assert_eq!(verdicts.as_array().map(Vec::len), Some(cases.len()));
    for (verdict, case) in verdicts.as_array().expect("a list").iter().zip(&cases) {
        assert_eq!(*verdict, json!({"node": null, "sdk": null}), "{case}");
    }
}

#[test]
fn the_official_packages_refuse_what_is_forged_changed_or_old() {
    let body = house::call().body().to_string();
    let changed = body.replace("15083084809", "15083084800");
    let cases = json!([
        {"secret": SECRET, "header": posted("another", &body, now()), "body": body},
        {"secret": SECRET, "header": posted(SECRET, &body, now()), "body": changed},
        {"secret": SECRET, "header": posted(SECRET, &body, now() - 1000), "body": body},
        {"secret": SECRET, "header": bodiless(SECRET, now()), "body": body},
    ]);
    let verdicts = house::node("signature.cjs", &cases);
    for (verdict, case) in verdicts.as_array().expect("a list").iter().zip(cases.as_array().expect("a list")) {
        assert!(verdict["node"].is_string() && verdict["sdk"].is_string(), "{case}: {verdict}");
    }
}

//! What the tests against the official packages share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jambonz::hooks::{CallDirection, CallInfo, CallStatus};
use jambonz::json::{Value, parse};

/// Runs `tests/node/<script>` with the official packages: `input` on its standard input, JSON from its standard output.
///
/// The packages are in the `node_modules` of the folder that `ASIDE_TEST_MODULES` names, else in this repository's `tests`.
///
/// # Panics
/// If they are not installed: what has not run has proven nothing.
pub fn node(script: &str, input: &serde_json::Value) -> serde_json::Value {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("ASIDE_TEST_MODULES").map_or_else(|| here.join("../../tests"), PathBuf::from);
    let modules = folder.join("node_modules");
    assert!(
        modules.join("@jambonz/schema").is_dir(),
        "{} lacks the packages; scripts/test installs them",
        modules.display()
    );
    let mut child = Command::new("node")
        .arg(here.join("tests/node").join(script))
        .env("NODE_PATH", &modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let input = serde_json::to_vec(input).expect("the input is JSON");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("node ends");
    let _ = writer.join();
    assert!(output.status.success(), "{script} failed");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// One of this crate's values from one of serde_json's.
pub fn value(json: &serde_json::Value) -> Value {
    parse(json.to_string().as_bytes()).expect("it is JSON")
}

pub fn call() -> CallInfo {
    CallInfo {
        call_sid: "7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01".to_owned(),
        direction: CallDirection::Inbound,
        from: "15083084809".to_owned(),
        to: "16173333456".to_owned(),
        call_id: "a84b4c76e66710@pc33.example.com".to_owned(),
        sbc_callid: "a84b4c76e66710@pc33.example.com".to_owned(),
        sip_status: 200,
        sip_reason: "OK".to_owned(),
        status: CallStatus::InProgress,
        account_sid: "9351f46a-678c-43f5-b8a6-d4eb58d131af".to_owned(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        application_sid: Some("0e0681b0-d49f-4fb8-b973-b5a3c6758de1".to_owned()),
        fs_sip_address: Some("192.0.2.7:5060".to_owned()),
        fs_public_ip: Some("192.0.2.7".to_owned()),
        caller_id: Some("15083084809".to_owned()),
        caller_name: Some("Zoë <&> \"x\"".to_owned()),
        parent_call_sid: Some("11111111-1111-4111-8111-111111111111".to_owned()),
        originating_sip_ip: Some("198.51.100.4".to_owned()),
        originating_sip_trunk_name: Some("carrier".to_owned()),
        headers: vec![("X-Reason".to_owned(), "1".to_owned())],
        customer_data: parse(br#"{"orderId":7,"2":"b","1":"a","deepKey":{"aB":[1.50,-0.0]}}"#)
            .ok()
            .and_then(|value| value.as_object().cloned()),
        api_base_url: Some("https://aside.example.com/v1".to_owned()),
    }
}

//! What the tests against the official packages share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use call::cause::{HangupCause, HangupSource};
use call::dialect::{CallState, CallView, Direction, Invite, MemberView, Origin, RoomView, SipView};
use conference::MemberId;
use jambonz::hooks::{CallDirection, CallInfo, CallStatus};
use jambonz::json::{Value, parse};

/// Node with `tests/node/<script>` and the official packages, not started yet.
///
/// The packages are in the `node_modules` of the folder that `ASIDE_TEST_MODULES` names, else in this repository's `tests`.
///
/// # Panics
/// If they are not installed: what has not run has proven nothing.
pub fn program(script: &str) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("ASIDE_TEST_MODULES").map_or_else(|| here.join("../../tests"), PathBuf::from);
    let modules = folder.join("node_modules");
    assert!(
        modules.join("@jambonz/schema").is_dir(),
        "{} lacks the packages; scripts/test installs them",
        modules.display()
    );
    let mut node = Command::new("node");
    node.arg(here.join("tests/node").join(script)).env("NODE_PATH", &modules);
    node
}

/// Runs `tests/node/<script>` as [`program`] makes it: `input` on its standard input, JSON from its standard output.
pub fn node(script: &str, input: &serde_json::Value) -> serde_json::Value {
    let mut child = program(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
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
        caller_id: Some("15083084809".to_owned()),
        caller_name: Some("Zoë <&> \"x\"".to_owned()),
        parent_call_sid: Some("11111111-1111-4111-8111-111111111111".to_owned()),
        originating_sip_ip: Some("198.51.100.4".to_owned()),
        originating_sip_trunk_name: Some("carrier".to_owned()),
        headers: vec![("X-Reason".to_owned(), "1".to_owned())],
        customer_data: parse(br#"{"orderId":7,"2":"b","1":"a","deepKey":{"aB":[1.50,-0.0]}}"#)
            .ok()
            .and_then(|value| value.as_object().cloned()),
    }
}

/// An instant, UTC microseconds since 1970: 2026-03-01T10:20:18Z.
pub const AT: i64 = 1_772_360_418_000_000;

pub const CALL: &str = "7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01";
pub const ACCOUNT: &str = "9351f46a-678c-43f5-b8a6-d4eb58d131af";

/// A call that comes in, as the engine knows it; it has just begun.
pub fn view() -> CallView {
    let headers = [
        ("From", "\"Zoë\" <sip:15083084809@192.0.2.1>;tag=1"),
        ("Content-Type", "application/sdp"),
        ("X-Account", "7"),
    ];
    let invite = Invite {
        uri: "sip:16173333456@aside.example.com;user=phone".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: "v=0\r\n".to_owned(),
        transport: "udp".to_owned(),
    };
    let settings = serde_json::json!({
        "call_hook_auth": {"username": "app", "password": "hush-1"},
        "call_status_hook_auth": {"username": "app", "password": "hush-2"},
        "env_vars": {"ROOM_NAME": "support"},
        "speech": {"synthesis_vendor": "default", "synthesis_language": "en-GB", "synthesis_voice": "Ann"},
    });
    CallView {
        from: "sip:15083084809@aside.example.com".to_owned(),
        to: "16173333456".to_owned(),
        caller_name: "Zoë".to_owned(),
        sip: SipView {
            call_id: "a84b4c76e66710@pc33.example.com".to_owned(),
            status: 100,
            reason: "Trying".to_owned(),
            source: Some(([198, 51, 100, 4], 5062).into()),
            trunk: Some("carrier".to_owned()),
            bye: Vec::new(),
        },
        app_sid: Some("0e0681b0-d49f-4fb8-b973-b5a3c6758de1".to_owned()),
        attached: Some(r#"{"orderId":7,"deepKey":{"aB":1.5}}"#.to_owned()),
        origin: Some(std::sync::Arc::new(Origin { invite: Some(invite), settings })),
        ..CallView::new(CALL.to_owned(), ACCOUNT.to_owned(), Direction::Inbound, AT)
    }
}

/// The same, answered.
pub fn answered() -> CallView {
    CallView {
        state: CallState::InProgress,
        answered_at: Some(AT + 1_000_000),
        sip: SipView { status: 200, reason: "OK".to_owned(), ..view().sip },
        ..view()
    }
}

/// The same, over after 17 seconds.
pub fn ended() -> CallView {
    CallView {
        state: CallState::Ended,
        ended_at: Some(AT + 18_500_000),
        cause: Some(HangupCause::Normal(HangupSource::Caller)),
        sip: SipView { bye: vec![("X-Reason".to_owned(), "1".to_owned())], ..answered().sip },
        ..answered()
    }
}

/// A room with two members, that started at [`AT`].
pub fn room(callbacks: Option<serde_json::Value>) -> RoomView {
    RoomView {
        uuid: "22222222-2222-4222-8222-222222222222".to_owned(),
        name: "support-23".to_owned(),
        auth_id: String::new(),
        started: true,
        opened_at: AT - 5_000_000,
        started_at: Some(AT),
        ended_at: None,
        end_cause: None,
        callbacks,
        stay_alone: true,
        members: 2,
        unnamed: false,
        max_members: 100,
        max_duration_s: None,
    }
}

/// A member that takes part.
pub fn member(callbacks: Option<serde_json::Value>) -> MemberView {
    MemberView {
        number: 1,
        id: MemberId(1),
        role: None,
        tag: None,
        call_uuid: CALL.to_owned(),
        address: "15083084809".to_owned(),
        from: "15083084809".to_owned(),
        to: "16173333456".to_owned(),
        direction: Direction::Inbound,
        coaching: false,
        muted: false,
        held: false,
        joined_at: Some(AT),
        left_at: None,
        leave_cause: None,
        start_on_enter: true,
        end_on_exit: false,
        admitted: true,
        callbacks,
    }
}

//! Whose requests these are: everything a sub-account's application is asked is signed by its token, and by its main account's
//! beside it; Plivo's own validators tell.

use std::collections::BTreeMap;
use std::process::Stdio;

use phone::{Mouth, Transport};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::office::{DOMAIN, Office};
use system_tests::plivo_rest::PlivoRest;
use system_tests::program::{Asked, Reply};
use system_tests::server::{Account, text};
use system_tests::tool::package_dir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::play::MP3;
use super::stage::dials_again;

/// What the official packages say of these cases, in order.
async fn verdicts(mut command: Command, cases: &[Value]) -> Vec<(bool, bool)> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(serde_json::to_string(cases).unwrap().as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "a validator failed");
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    found.iter().map(|found| (found["v3"] == true, found["v2"] == true)).collect()
}

fn validators() -> [(&'static str, Command); 2] {
    let scripts = package_dir().join("validators");
    let mut node = Command::new("node");
    node.arg(scripts.join("validate.cjs")).env("NODE_PATH", package_dir().join("node_modules"));
    let mut python = Command::new(package_dir().join(".venv/bin/python"));
    python.arg(scripts.join("validate.py"));
    [("npm", node), ("PyPI", python)]
}

/// A request as a validator takes it: with the signatures of `kind` ("" or "-ma") and a token to check them by.
fn case(office: &Office, asked: &Asked, kind: &str, token: &str) -> Value {
    let header = |name: &str| asked.headers.get(name).cloned().unwrap_or_default();
    let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
    let of_query: Vec<String> =
        url::form_urlencoded::parse(asked.query.as_bytes()).map(|(name, _)| name.into_owned()).collect();
    let form: BTreeMap<_, _> = asked.params.iter().filter(|(name, _)| !of_query.contains(name)).collect();
    json!({
        "method": asked.method, "url": format!("{}{query}", office.program.url(&asked.path)), "params": form, "token": token,
        "nonce": header("x-plivo-signature-v3-nonce"),
        "v3": header(&format!("x-plivo-signature{kind}-v3")), "v2": header(&format!("x-plivo-signature{kind}-v2")),
    })
}

/// The packages accept every request by these tokens, and none by the other of the two.
async fn are_signed_by(office: &Office, asked: &[Asked], token: &str, main_token: &str) {
    for (name, kind, by, accepted) in [
        ("V3", "", token, true),
        ("Ma-V3", "-ma", main_token, true),
        ("V3 by the main account's token", "", main_token, token == main_token),
        ("Ma-V3 by the sub-account's token", "-ma", token, token == main_token),
        ("V3 by a stranger's token", "", "c3RyYW5nZXI", false),
    ] {
        let cases: Vec<Value> = asked.iter().map(|asked| case(office, asked, kind, by)).collect();
        for (package, command) in validators() {
            let found = verdicts(command, &cases).await;
            assert_eq!(found.len(), cases.len());
            for (found, case) in found.iter().zip(&cases) {
                assert_eq!(*found, (accepted, accepted), "{package}, {name}: {case}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_sub_accounts_application_is_asked_bears_both_signatures() {
    let office = Office::open().await;
    let program = &office.program;
    let made = office.server.aside(&["account", "create", "desk", "--parent", &office.account.auth_id]).await;
    let sub = Account {
        auth_id: text(&made, "auth_id"),
        auth_token: text(&made, "auth_token"),
        realm: office.account.realm.clone(),
        key: String::new(),
    };
    let rest = PlivoRest::of(&office.server, &sub);
    let url = |path: &str| program.url(path);

    // Answer, action, redirect, music, room events, on-exit action, hang-up; forms and queries.
    let action = url("/action?menu=1&amp;spaced=a%20b");
    program.document(
        "/answer/caller",
        &format!(r#"<GetDigits action="{action}" method="POST" numDigits="1" timeout="30"/>"#),
    );
    program.document("/action", &format!(r#"<Redirect method="GET">{}</Redirect>"#, url("/next?step=2")));
    let (events, music, exit) = (url("/events"), url("/music.mp3"), url("/exit"));
    program.document(
        "/next",
        &format!(
            r#"<MultiPartyCall role="Customer" stayAlone="true" startMpcOnEnter="false" statusCallbackUrl="{events}" waitMusicUrl="{music}" onExitActionUrl="{exit}" onExitActionMethod="GET">desk</MultiPartyCall>"#
        ),
    );
    program.reply("/music.mp3", Reply::Plain(200, "audio/mpeg", MP3.to_vec()));
    program.document("/exit", "<Hangup/>");
    let (answer, hangup) = (url("/answer/caller"), url("/hangup/caller"));
    let more = ["--sub-account", &sub.auth_id, "--hangup-url", &hangup];
    let app = office.server.application(&office.account, "caller", &answer, &more).await;
    office.server.endpoint(&office.account, "caller", Some(&app)).await;
    let phone = office.connect("caller", Mouth::Silence, Transport::Udp).await;
    let caller = dials_again(&office, "caller", phone).await;
    caller.answered().await;
    caller.call.send_digits("1").await.expect("the key is pressed");
    let joined = program.event("ParticipantJoin", 0, |_| true).await;
    let room = joined.param("MPCUUID").to_owned();

    // A call that the sub-account's program makes: its own callbacks.
    let agent = office.phone("agent", Mouth::Silence).await;
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:agent@{DOMAIN}"), "dial_music": "none",
        "call_status_callback_url": url("/status"), "call_status_callback_method": "GET" });
    rest.post(&format!("/MultiPartyCall/uuid_{room}/Participant/"), body).await;
    agent.incoming(SOON).await.expect("the agent's phone does not ring").answer().await.expect("the agent answers");
    program.event("StartApp", 0, |asked| asked.path == "/status").await;
    rest.delete(&format!("/MultiPartyCall/uuid_{room}/")).await;
    caller.ended().await;
    program.event("MPCEnd", 0, |_| true).await;
    program.event("Hangup", 0, |asked| asked.path == "/hangup/caller").await;
    program.event("Hangup", 0, |asked| asked.path == "/status").await;

    let all = program.asked().all();
    for path in ["/answer/caller", "/action", "/next", "/music.mp3", "/events", "/exit", "/hangup/caller", "/status"] {
        assert!(all.iter().any(|asked| asked.path == path), "{path} was not asked");
    }
    assert!(all.len() > 12, "{}", all.len());
    for asked in &all {
        let parent = asked.param("ParentAuthID");
        assert!(parent.is_empty() || parent == office.account.auth_id, "{asked:?}");
    }
    are_signed_by(&office, &all, &sub.auth_token, &office.account.auth_token).await;

    // The main account's own: one token for both.
    let mark = program.mark();
    program.document("/answer/main", "<Hangup/>");
    let phone = office.phone("main", Mouth::Silence).await;
    let main = dials_again(&office, "main", phone).await;
    assert!(main.call.wait_answered(SOON).await.is_err());
    main.asks(&office, "/hangup/main").await;
    let own: Vec<Asked> = program.asked().all().into_iter().skip(mark).collect();
    assert_eq!(own.len(), 2, "{own:?}");
    are_signed_by(&office, &own, &office.account.auth_token, &office.account.auth_token).await;
}

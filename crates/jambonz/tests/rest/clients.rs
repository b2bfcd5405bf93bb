//! The official clients, unmodified, over HTTP.

use std::path::{Path, PathBuf};

use call::command::CallCommand;
use call::dialect::Direction;
use serde_json::{Value as Json, json};
use tokio::process::Command;

use crate::desk::Desk;
use crate::fake::{call, member, room};

const CALL: &str = "7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_clients_work_unmodified() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("ASIDE_TEST_MODULES").map_or_else(|| here.join("../../tests"), PathBuf::from);
    let modules = folder.join("node_modules");
    assert!(
        modules.join("@jambonz/sdk").is_dir(),
        "{} lacks the packages; scripts/test installs them",
        modules.display()
    );
    let desk = Desk::open().await;
    let live = call(&desk.account, CALL, Direction::Inbound);
    *desk.paper.rooms.lock().unwrap() = vec![room(&desk.account, "support", true, vec![member(&live, 1, None, None)])];
    *desk.paper.calls.lock().unwrap() = vec![live];
    *desk.paper.queues.lock().unwrap() = vec![("sales".to_owned(), 3)];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = desk.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let output = Command::new("node")
        .arg(here.join("tests/node/rest.cjs"))
        .args([&format!("http://{address}"), &desk.sid(), &desk.key, CALL])
        .env("NODE_PATH", &modules)
        .env("ASIDE_MODULES", &modules)
        .output()
        .await
        .expect("node starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let got: Json = serde_json::from_slice(&output.stdout).unwrap();
    for client in ["older", "sdk"] {
        let got = &got[client];
        assert_eq!((&got["made"], &got["one"]), (&json!(CALL), &json!("in-progress")), "{client}: {got}");
        assert_eq!(got["list"], 1, "{client}: {got}");
        assert!(
            got["missing"].as_str().is_some_and(|error| error.contains("404") || error.contains("not found")),
            "{got}"
        );
    }
    assert_eq!(got["older"]["applications"], json!(["by the client"]));
    assert!(got["older"]["message"].as_str().is_some_and(|error| !error.is_empty()), "{got}");
    assert_eq!(
        (&got["sdk"]["count"], &got["sdk"]["rooms"]),
        (&json!({ "inbound": 1, "outbound": 0 }), &json!(["support"]))
    );
    assert_eq!(got["sdk"]["queues"], json!([{ "name": "sales", "length": "3" }]));
    assert_eq!(desk.paper.placed.lock().unwrap().len(), 2);
    let did = desk.paper.did.lock().unwrap();
    let coached = did
        .iter()
        .filter(|(_, command, _)| matches!(command, CallCommand::Member(change) if change.coach == Some(true)));
    assert_eq!(coached.count(), 2, "both coach: {did:?}");
    let ended = did.iter().filter(|(_, command, _)| *command == CallCommand::Hangup(None));
    assert_eq!(ended.count(), 2, "both hang up: {did:?}");
}

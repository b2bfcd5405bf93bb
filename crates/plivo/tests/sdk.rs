//! The official Node and Python packages, led here by environment and constants alone.

mod house;
mod packages;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use call::command::{MemberChange, Newcomer, Whom};
use house::*;
use plivo::front_door::{Authority, FrontDoor, Limits, MemoryStore, serve};
use plivo::{not_found, router};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/validators")
        .join(name)
        .canonicalize()
        .expect("the scripts are there")
}

async fn open(house: &Arc<House>) -> (std::net::SocketAddr, String) {
    let names = vec!["api.plivo.com".to_owned()];
    let authority = Authority::load_or_make(&MemoryStore::default(), &names).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(house.api()).fallback(not_found);
    let door = FrontDoor { tls: authority.server_config().unwrap(), router: app, names, limits: Limits::default() };
    tokio::spawn(serve(listener, door, std::future::pending()));
    (address, authority.certificate_pem().to_owned())
}

async fn run(mut command: Command) -> Value {
    let output = command.output().await.expect("the interpreter starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_done(house: &House) {
    let done = house.done();
    assert_eq!(done.len(), 5, "{done:?}");
    assert_eq!(done[0], Did::Start);
    let Did::Add(add) = &done[1] else { panic!("{done:?}") };
    assert!(!add.join.entry.coaching, "coach_mode false arrives as false");
    assert!(matches!(&add.who, Newcomer::Dialled(dial) if dial.destinations[0].to == "sip:boss@phone.plivo.com"));
    let change = MemberChange { coach: Some(false), mute: Some(true), ..MemberChange::default() };
    assert_eq!(done[2], Did::Change(Whom::Members(vec![3]), change));
    assert_eq!(done[3..], [Did::Kick(Whom::Members(vec![3])), Did::End]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_package_works_with_two_environment_variables() {
    let modules = packages::folder();
    let house = Arc::new(House::default());
    let (address, pem) = open(&house).await;
    let authority = std::env::temp_dir().join(format!("aside-front-door-{}.pem", std::process::id()));
    std::fs::write(&authority, pem).unwrap();
    let mut node = Command::new("node");
    node.arg(script("client.cjs"))
        .args([MAIN, "token", "support", "3"])
        .env("NODE_PATH", modules.join("node_modules"))
        .env("NODE_EXTRA_CA_CERTS", &authority)
        .env("https_proxy", format!("http://{address}"))
        .env_remove("no_proxy")
        .env_remove("NO_PROXY");
    let got = run(node).await;
    std::fs::remove_file(&authority).unwrap();
    assert_eq!((&got["list"], &got["name"]), (&2.into(), &"support".into()), "{got}");
    assert_eq!(
        got["added"]["calls"][0]["callUuid"].as_str().or(got["added"]["calls"][0]["call_uuid"].as_str()),
        Some("leg-0"),
        "{got}"
    );
    assert!(got["updated"].to_string().contains("succeeded"), "{got}");
    assert!(got["missing"].as_str().is_some_and(|error| error.contains("nobody")), "{got}");
    assert_done(&house);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_package_works_with_its_constants_set() {
    let modules = packages::folder();
    let house = Arc::new(House::default());
    let (address, _) = open(&house).await;
    let mut python = Command::new("python3");
    python
        .arg(script("client.py"))
        .args([&format!("http://{address}"), MAIN, "token", "support", "3"])
        .env("PYTHONPATH", modules.join("python"));
    let got = run(python).await;
    assert_eq!((&got["list"], &got["name"], &got["added"]), (&2.into(), &"support".into(), &"leg-0".into()), "{got}");
    assert!(got["updated"].to_string().contains("succeeded"), "{got}");
    assert!(got["missing"].as_str().is_some_and(|error| error.contains("nobody")), "{got}");
    assert_done(&house);
}

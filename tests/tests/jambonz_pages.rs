//! The program printed in docs/jambonz-node.md runs as printed, with the official package.

use std::time::Instant;

use phone::{Call, CallOptions, Mouth, Phone};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{Heard, hears, tones, voice};
use system_tests::jambonz::exchange::Exchange;
use system_tests::server::PROGRAM_HOST;
use system_tests::tool::{Scratch, Tool, package_dir};
use tokio::net::TcpStream;
use tokio::process::Command;

/// The page's program.
fn program() -> String {
    let path = package_dir().join("../docs/jambonz-node.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let blocks = text.split("```js\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.map(str::to_owned).next().expect("the page has a program")
}

/// A port that is free now: the program must know its own before it listens.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Waits until somebody listens; a foreign program has no other sign.
async fn listens(port: u16, tool: &Tool) {
    let end = Instant::now() + SOON * 2;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < end, "the program does not listen: {:?}", tool.err.all());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn calls(exchange: &Exchange, port: u16, name: &str, mouth: Mouth) -> (Phone, Call) {
    let hook = json!({ "url": format!("ws://{PROGRAM_HOST}:{port}/{name}"), "method": "WS" });
    let cursor = exchange.cursor().await;
    let phone = exchange.phone_of(name, hook.clone(), hook, mouth).await;
    let call = phone.call(&exchange.number_of(name), CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    exchange.native_event_after("member.joined", "", cursor).await;
    (phone, call)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_program_coaches_and_lets_everybody_hear_and_back() {
    let [c, a, s] = tones();
    let exchange = Exchange::open().await;
    let folder = Scratch::new("jambonz-page");
    std::fs::write(folder.path().join("app.mjs"), program()).unwrap();
    std::os::unix::fs::symlink(package_dir().join("node_modules"), folder.path().join("node_modules")).unwrap();
    let port = free_port();
    let mut command = Command::new("node");
    command
        .arg("app.mjs")
        .current_dir(folder.path())
        .env("BASE_URL", exchange.office.server.url(""))
        .env("ACCOUNT_SID", exchange.rest.account())
        .env("API_KEY", exchange.rest.token())
        .env("PORT", port.to_string())
        .env_remove("no_proxy")
        .env_remove("NO_PROXY");
    let mut tool = Tool::start("the page's program", &mut command);
    listens(port, &tool).await;

    let (_customers, customer) = calls(&exchange, port, "customer", voice(c)).await;
    let (_agents, agent) = calls(&exchange, port, "agent", voice(a)).await;
    let (_supervisors, supervisor) = calls(&exchange, port, "supervisor", voice(s)).await;
    let people = [
        Heard { name: "customer", call: &customer, tone: Some(c) },
        Heard { name: "agent", call: &agent, tone: Some(a) },
        Heard { name: "supervisor", call: &supervisor, tone: Some(s) },
    ];
    let coached = [
        ("customer", "agent"),
        ("agent", "customer"),
        ("agent", "supervisor"),
        ("supervisor", "customer"),
        ("supervisor", "agent"),
    ];
    tool.line("the supervisor's own entry", SOON, |line| line == "join 3").await;
    hears("he coaches", &people, &coached).await;
    tool.tell("uncoach").await;
    tool.line("the answer", SOON, |line| line == "uncoach: done").await;
    let all: Vec<_> = coached.iter().copied().chain([("customer", "supervisor")]).collect();
    hears("everybody hears him", &people, &all).await;
    tool.tell("coach agent").await;
    tool.line("the answer", SOON, |line| line == "coach: done").await;
    hears("he coaches again", &people, &coached).await;
    exchange.closes().await;
}

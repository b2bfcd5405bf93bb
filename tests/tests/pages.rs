//! The programs printed in the documentation run as printed, with the official libraries.

use std::path::Path;
use std::time::Instant;

use phone::{CallOptions, Mouth, Phone};
use system_tests::SOON;
use system_tests::ears::{hears, tones, voice};
use system_tests::office::Office;
use system_tests::server::PROGRAM_HOST;
use system_tests::tool::{Scratch, Tool, package_dir};
use tokio::net::TcpStream;
use tokio::process::Command;

/// The program of a page: its fenced block of this language that serves something.
fn program(page: &str, language: &str, serves: &str) -> String {
    let path = package_dir().join("../docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fence = format!("```{language}\n");
    let mut blocks = text.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.find(|block| block.contains(serves)).unwrap_or_else(|| panic!("{page} has no program")).to_owned()
}

/// A port that is free now, for a program that must know its address before it listens.
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

/// The page's call centre: customer and agent talk, the supervisor is heard by the agent alone.
async fn coaches(office: Office, port: u16, mut command: Command, scratch: &Path) {
    let here = format!("http://{PROGRAM_HOST}:{port}");
    let ca = office.server.ca().await;
    command
        .env("PLIVO_AUTH_ID", &office.account.auth_id)
        .env("PLIVO_AUTH_TOKEN", &office.account.auth_token)
        .env("PORT", port.to_string())
        .env("PUBLIC_URL", &here)
        .env("https_proxy", format!("http://{}", office.server.at().front_door))
        .env("NODE_EXTRA_CA_CERTS", &ca)
        .env("FRONT_DOOR", format!("http://{}", office.server.at().front_door))
        .env("FRONT_DOOR_CA", &ca)
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .current_dir(scratch);
    let tool = Tool::start("the page's program", &mut command);
    listens(port, &tool).await;

    let [low, middle, high] = tones();
    let customer = rings(&office, "customer", &format!("{here}/customer"), low).await;
    let agent = rings(&office, "agent", &format!("{here}/supervisor"), middle).await;
    let supervisor = rings(&office, "supervisor", &format!("{here}/supervisor"), high).await;

    let customer_call = customer.call("hotline", CallOptions::default()).unwrap();
    let incoming = agent
        .incoming(SOON * 2)
        .await
        .unwrap_or_else(|| panic!("the agent's phone does not ring: {:?}", tool.err.all()));
    let agent_call = incoming.answer().await.unwrap();
    customer_call.wait_answered(SOON).await.unwrap();
    let supervisor_call = supervisor.call("coaching", CallOptions::default()).unwrap();
    supervisor_call.wait_answered(SOON).await.unwrap();
    // The customer's status URL is the room's: it is told of everybody who enters.
    tool.line("the supervisor's entry", SOON, |line| line.to_lowercase().starts_with("participantjoin supervisor"))
        .await;

    let people = [
        system_tests::ears::Heard { name: "customer", call: &customer_call, tone: Some(low) },
        system_tests::ears::Heard { name: "agent", call: &agent_call, tone: Some(middle) },
        system_tests::ears::Heard { name: "supervisor", call: &supervisor_call, tone: Some(high) },
    ];
    let allowed = [
        ("customer", "agent"),
        ("agent", "customer"),
        ("agent", "supervisor"),
        ("supervisor", "customer"),
        ("supervisor", "agent"),
    ];
    hears("the page's call centre", &people, &allowed).await;
}

async fn rings(office: &Office, name: &str, answer_url: &str, tone: u32) -> Phone {
    let app = office.server.application(&office.account, name, answer_url, &[]).await;
    office.server.endpoint(&office.account, name, Some(&app)).await;
    let mouth: Mouth = voice(tone);
    office.connect(name, mouth, phone::Transport::Udp).await
}

async fn node_page(page: &str) {
    let scratch = Scratch::new("page");
    let file = scratch.path().join("app.js");
    std::fs::write(&file, program(page, "js", "app.listen")).unwrap();
    let mut command = Command::new("node");
    command.arg(&file).env("NODE_PATH", package_dir().join("node_modules"));
    coaches(Office::open().await, free_port(), command, scratch.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_page_s_program_coaches_an_agent() {
    node_page("plivo-node.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_s_program_coaches_an_agent() {
    node_page("quick-start.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_page_s_program_coaches_an_agent() {
    let scratch = Scratch::new("page");
    let file = scratch.path().join("app.py");
    std::fs::write(&file, program("plivo-python.md", "python", "app.run")).unwrap();
    let mut command = Command::new(package_dir().join(".venv/bin/python"));
    command.arg(&file);
    coaches(Office::open().await, free_port(), command, scratch.path()).await;
}

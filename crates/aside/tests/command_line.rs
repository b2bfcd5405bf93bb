//! The command line as people and scripts use it: with the database alone, and with a running server.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use common::{DEADLINE, Directory, ask};
use serde_json::Value as Json;

struct Shell {
    directory: Directory,
    config: PathBuf,
}

impl Shell {
    fn new() -> Self {
        let directory = Directory::new();
        let config = directory.path().join("aside.toml");
        std::fs::write(&config, directory.config("")).unwrap();
        Self { directory, config }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aside"));
        command.args(arguments).arg("--config").arg(&self.config).current_dir(self.directory.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn good(&self, arguments: &[&str]) -> Json {
        let output = self.command(arguments).arg("--json").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// A server process; killed by its id if a test fails.
struct Serving {
    child: Child,
    lines: Receiver<String>,
}

impl Serving {
    fn start(shell: &Shell) -> Self {
        let mut child =
            shell.command(&["serve", "--announce"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The lines before the announcement, and the announcement.
    fn ready(&self) -> (Vec<String>, Json) {
        let mut before = Vec::new();
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("the server announces itself");
            match line.starts_with('{') {
                true => return (before, serde_json::from_str(&line).unwrap()),
                false => before.push(line),
            }
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(name).arg(self.child.id().to_string()).status().unwrap().success());
    }

    fn end(mut self) -> std::process::ExitStatus {
        // The reader's channel closes when the process has ended.
        while self.lines.recv_timeout(DEADLINE).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_limit_from_an_unset_variable_makes_no_key_without_limits() {
    let shell = Shell::new();
    shell.good(&["account", "create", "main"]);
    for limit in ["--rooms", "--tag", "--expires"] {
        let told = shell.refused(&["key", "create", "supervisors", "--scopes", "monitor", limit, ""]);
        assert!(told.contains("leave it out"), "{told}");
    }
    assert_eq!(shell.good(&["key", "list"])["items"].as_array().map(Vec::len), Some(0));
}

#[test]
fn everything_is_managed_without_a_server() {
    let shell = Shell::new();
    assert!(shell.refused(&["application", "list"]).contains("aside account create"));
    let account = shell.good(&["account", "create", "acme"]);
    assert!(
        account["auth_id"].as_str().unwrap().starts_with("MA") && account["auth_token"].as_str().unwrap().len() == 40
    );
    assert!(shell.good(&["account", "show", "acme"]).get("auth_token").is_none(), "a token is shown once");
    shell.good(&[
        "application",
        "create",
        "shop",
        "--answer-url",
        "https://shop.example/a",
        "--fallback-url",
        "https://b.example/",
    ]);
    let endpoint = shell.good(&["endpoint", "create", "alice", "--app", "shop"]);
    assert_eq!(endpoint["password"].as_str().unwrap().len(), 40, "a password is made up where none is given");
    assert!(shell.refused(&["endpoint", "create", "alice", "--password", "secret1"]).contains("taken"));
    shell.good(&[
        "trunk",
        "create",
        "carrier",
        "--source",
        "192.0.2.0/24",
        "--source",
        "198.51.100.7",
        "--host",
        "sip.example",
        "--allow-prefix",
        "1",
    ]);
    shell.good(&["number", "create", "+14155550123", "--app", "shop", "--trunk", "carrier"]);
    let updated = shell.good(&["application", "update", "shop", "--fallback-url", "", "--answer-method", "GET"]);
    assert_eq!((updated["fallback_url"].clone(), updated["answer_method"].as_str()), (Json::Null, Some("GET")));
    let key =
        shell.good(&["key", "create", "desk", "--scopes", "read,coach", "--rooms", "support-*", "--expires", "30d"]);
    assert!(key["key"].as_str().unwrap().starts_with("aside_"));
    for (what, total) in [("account", 1), ("application", 1), ("endpoint", 1), ("number", 1), ("trunk", 1), ("key", 1)]
    {
        assert_eq!(shell.good(&[what, "list"])["total"], total, "{what}");
    }
    let people = shell.run(&["endpoint", "list"]);
    let text = String::from_utf8(people.stdout).unwrap();
    assert!(text.starts_with("ENDPOINT_ID") && text.contains("alice"), "{text}");
    assert!(shell.refused(&["application", "delete", "shop"]).contains("refers to it"));
    for (what, id) in [
        ("number", "14155550123"),
        ("endpoint", "alice"),
        ("application", "shop"),
        ("trunk", "carrier"),
        ("key", "desk"),
    ] {
        shell.good(&[what, "delete", id]);
        assert!(shell.refused(&[what, "show", id]).contains("there is no"), "{what}");
    }
}

#[test]
fn leave_to_use_a_trunk_is_the_owners_to_give_and_to_take() {
    let shell = Shell::new();
    let account = |name: &str| shell.good(&["account", "create", name])["auth_id"].as_str().unwrap().to_owned();
    let (owner, other) = (account("owner"), account("other"));
    shell.good(&["trunk", "create", "carrier", "--account", &owner, "--host", "sip.example", "--allow-prefix", "1"]);
    let own =
        |more: &[&'static str]| [&["trunk", "grant", "carrier", "--account", &owner, "--to", &other], more].concat();
    assert!(shell.refused(&own(&["--allow-prefix", "+1415"])).contains("1415"), "prefixes are digits");
    let granted = shell.good(&own(&["--allow-prefix", "1415", "--calls-per-second", "2"]));
    assert_eq!((&granted["auth_id"], &granted["calls_per_second"]), (&Json::from(other.as_str()), &Json::from(2)));
    // Again: changed, not a second one.
    shell.good(&own(&["--allow-prefix", "1212"]));
    let listed = shell.good(&["trunk", "grants", "carrier", "--account", &owner]);
    assert_eq!((&listed["total"], &listed["items"][0]["allowed_prefixes"][0]), (&Json::from(1), &Json::from("1212")));
    // It is not the other account's to pass on, nor to take away; and nobody needs leave for his own.
    let theirs = ["trunk", "grant", "carrier", "--account", &other, "--to", &owner];
    assert!(shell.refused(&theirs).contains("no trunk"), "{listed}");
    let revoke = |by: &str| ["trunk", "revoke", "carrier", "--account", by, "--to", &other].map(str::to_owned);
    let refused = revoke(&other);
    assert!(shell.refused(&refused.each_ref().map(String::as_str)).contains("no trunk"));
    let own = ["trunk", "grant", "carrier", "--account", &owner, "--to", &owner];
    assert!(shell.refused(&own).contains("its own already"));
    shell.good(&revoke(&owner).each_ref().map(String::as_str));
    assert_eq!(shell.good(&["trunk", "grants", "carrier", "--account", &owner])["total"], 0);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let shell = Shell::new();
    shell.good(&["account", "create", "acme"]);
    for (arguments, hint) in [
        (vec!["application", "create", "a", "--answer-url", "ftp://x/"], "http"),
        (vec!["endpoint", "create", "al ice"], "letters"),
        (vec!["endpoint", "create", "alice", "--password", "x"], "6 to 128"),
        (vec!["number", "create", "abc"], "digits"),
        (vec!["number", "create", "14155550123", "--app", "none"], "there is no application"),
        (vec!["trunk", "create", "t", "--source", "all"], "192.0.2.0/24"),
        (vec!["trunk", "create", "t", "--username", "u"], "both"),
        (vec!["trunk", "create", "t", "--allow-prefix", "+1"], "1415"),
        (vec!["key", "create", "k", "--scopes", "read", "--expires", "2001-01-01T00:00:00Z"], "past"),
        (vec!["account", "delete", "acme"], "--enabled false"),
        (vec!["account", "create", "x", "--realm", "phone.plivo.com"], "share"),
    ] {
        let said = shell.refused(&arguments);
        assert!(said.contains(hint), "{arguments:?}: {said}");
    }
}

#[test]
fn a_password_can_be_kept_out_of_the_list_of_processes() {
    let shell = Shell::new();
    shell.good(&["account", "create", "acme"]);
    let mut child = shell
        .command(&["endpoint", "create", "alice", "--password", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"from the input\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let made: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(made.get("password").is_none(), "only a password that was made up is shown");
}

#[test]
fn a_wrong_configuration_is_told_whole_and_nothing_starts() {
    let shell = Shell::new();
    std::fs::write(&shell.config, "[server]\nmax_calls = 0\n[sip]\nudpp = []\n").unwrap();
    for command in ["check-config", "serve"] {
        let said = shell.refused(&[command]);
        assert!(said.contains("line 2: [server] max_calls = 0") && said.contains("line 4: [sip] udpp"), "{said}");
        assert!(said.contains("did you mean udp?"), "{said}");
    }
    assert!(shell.refused(&["check-config", "--json"]).contains("\"problems\":["));
    let sample = shell.run(&["check-config", "--print-defaults"]);
    std::fs::write(&shell.config, &sample.stdout).unwrap();
    assert!(shell.run(&["check-config"]).status.success(), "the sample is a good configuration");
    assert!(!shell.directory.path().join("data").exists());
}

#[test]
fn the_description_and_the_front_doors_certificate_are_printed() {
    let shell = Shell::new();
    assert_eq!(shell.good(&["openapi"])["info"]["title"], "Aside native API");
    let pem = |_| String::from_utf8(shell.run(&["front-door", "ca"]).stdout).unwrap();
    let (first, second) = (pem(1), pem(2));
    assert!(first.starts_with("-----BEGIN CERTIFICATE-----") && !first.contains("PRIVATE"));
    assert_eq!(first, second, "programs trust it once");
}

#[tokio::test]
async fn a_server_shows_its_credentials_once_is_managed_while_it_runs_and_stops_cleanly() {
    let shell = Shell::new();
    let serving = Serving::start(&shell);
    let (before, announced) = serving.ready();
    let shown = before.join("\n");
    assert!(shown.contains("not shown again") && shown.contains("aside_"), "{shown}");
    let admin = shown.split_whitespace().find(|word| word.starts_with("aside_")).unwrap().to_owned();
    let api: SocketAddr = announced["api"].as_str().unwrap().parse().unwrap();
    assert!(
        api.port() != 0 && announced["sip_udp"][0].is_string() && announced["sip_tcp"][0].is_string(),
        "{announced}"
    );

    let said = shell.refused(&["serve"]);
    assert!(said.contains("another aside serves from") && said.contains("[server] data_dir"), "{said}");

    shell.good(&["application", "create", "shop", "--answer-url", "https://shop.example/a"]);
    let seen = ask(api, "GET", "/api/v1/applications", Some(&admin), "").await.json();
    assert_eq!(seen["items"][0]["name"], "shop");
    assert!(
        shell
            .refused(&["application", "create", "shop", "--answer-url", "https://x.example/"])
            .contains("already in use")
    );

    serving.signal("-TERM");
    assert!(serving.end().success());
    assert_eq!(shell.good(&["application", "list"])["total"], 1, "the database is free again");
    let serving = Serving::start(&shell);
    assert_eq!(serving.ready().0, Vec::<String>::new(), "credentials are shown at the first start only");
    serving.signal("-INT");
    assert!(serving.end().success());
}

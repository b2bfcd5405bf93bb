//! The server under test: the built program with a data directory, ports and a range of RTP ports of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::SOON;
use crate::ports::PortSlice;
use crate::tool::{self, Scratch, Tool};

/// Servers at once in one test process: sound is measured in real time, so the machine must keep up.
const SERVERS_AT_ONCE: usize = 2;

static PLACES: std::sync::OnceLock<Arc<Semaphore>> = std::sync::OnceLock::new();

/// The host name under which programs are reached; the server's configuration gives it the loopback address.
pub const PROGRAM_HOST: &str = "callcenter.test";

/// How a server is configured: every key can be replaced.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    settings: BTreeMap<(String, String), String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let mut options = Self { settings: BTreeMap::new() };
        for (section, key, value) in [
            ("server", "log_level", "\"info\""),
            ("server", "max_calls", "100"),
            ("server", "stop_wait_s", "0"),
            ("sip", "udp", "[\"127.0.0.1:0\"]"),
            ("sip", "tcp", "[\"127.0.0.1:0\"]"),
            ("sip", "allow", "[\"127.0.0.0/8\"]"),
            ("media", "bind", "\"127.0.0.1\""),
            ("media", "shards", "2"),
            ("media", "port_rest_s", "1"),
            ("webrtc", "bind", "\"127.0.0.1\""),
            ("webrtc", "first_port", "0"),
            ("webrtc", "advertised", "[\"127.0.0.1\"]"),
            ("http", "api", "\"127.0.0.1:0\""),
            ("http", "front_door", "\"127.0.0.1:0\""),
            ("http", "allow", "[\"127.0.0.0/8\"]"),
            ("http", "hosts", "{ \"callcenter.test\" = \"127.0.0.1\" }"),
        ] {
            options = options.set(section, key, value);
        }
        options
    }
}

impl ServerOptions {
    /// Sets `[section] key` to a value written as TOML.
    #[must_use]
    pub fn set(mut self, section: &str, key: &str, toml: &str) -> Self {
        self.settings.insert((section.to_owned(), key.to_owned()), toml.to_owned());
        self
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut current = "";
        for ((section, key), value) in &self.settings {
            if section != current {
                text.push_str(&format!("[{section}]\n"));
                current = section;
            }
            text.push_str(&format!("{key} = {value}\n"));
        }
        text
    }
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP: native API, Plivo API, metrics.
    pub api: SocketAddr,
    /// HTTPS under Plivo's names.
    pub front_door: SocketAddr,
    /// SIP over UDP.
    pub sip_udp: SocketAddr,
    /// SIP over TCP.
    pub sip_tcp: SocketAddr,
}

/// An account and its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User name of the Plivo API.
    pub auth_id: String,
    /// Password of the Plivo API.
    pub auth_token: String,
    /// SIP domain of its endpoints.
    pub realm: String,
    /// A native key with every scope.
    pub key: String,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    // Ends first: it uses all that comes after.
    process: Tool,
    options: ServerOptions,
    at: Addresses,
    scratch: Scratch,
    _ports: PortSlice,
    _place: OwnedSemaphorePermit,
}

/// The built program: `ASIDE_BIN`, or the one beside this test.
///
/// # Panics
/// If it has not been built.
pub fn binary() -> PathBuf {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("aside"));
    let path = std::env::var_os("ASIDE_BIN").map(PathBuf::from).or_else(beside).unwrap_or_default();
    assert!(path.is_file(), "{} is not there; build it with `cargo build --release -p aside`", path.display());
    path
}

impl Server {
    /// Starts one with an account of its own.
    pub async fn start(options: ServerOptions) -> (Self, Account) {
        let places = PLACES.get_or_init(|| Arc::new(Semaphore::new(SERVERS_AT_ONCE)));
        let Ok(place) = Arc::clone(places).acquire_owned().await else { panic!("no place for a server") };
        let scratch = Scratch::new("server");
        let ports = PortSlice::take();
        let options = options
            .set("server", "data_dir", &format!("{:?}", scratch.path().join("data").display().to_string()))
            .set("media", "first_port", &ports.first.to_string())
            .set("media", "last_port", &ports.last.to_string());
        write_config(scratch.path(), &options);
        // Made before the first start, which would otherwise make an account by itself.
        let account = parse(&cli(scratch.path(), &["account", "create", "main"]).await);
        let (process, at) = launch(scratch.path()).await;
        let server = Self { process, options, at, scratch, _ports: ports, _place: place };
        let account = server.with_key(&account).await;
        (server, account)
    }

    /// Where it listens.
    pub fn at(&self) -> Addresses {
        self.at
    }

    /// Its process.
    pub fn process(&self) -> &Tool {
        &self.process
    }

    /// A URL of its HTTP address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at.api)
    }

    /// A folder for what belongs to this test.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Runs `aside` with this server's configuration and reads its JSON.
    pub async fn aside(&self, arguments: &[&str]) -> Value {
        parse(&cli(self.scratch.path(), arguments).await)
    }

    /// Another account.
    pub async fn account(&self, name: &str) -> Account {
        let made = self.aside(&["account", "create", name]).await;
        self.with_key(&made).await
    }

    async fn with_key(&self, made: &Value) -> Account {
        let auth_id = text(made, "auth_id");
        let key = self
            .aside(&["key", "create", "tests", "--account", &auth_id, "--scopes", "read,monitor,coach,admin"])
            .await;
        Account { auth_token: text(made, "auth_token"), realm: text(made, "realm"), key: text(&key, "key"), auth_id }
    }

    /// An application of the account; its id.
    pub async fn application(&self, account: &Account, name: &str, answer_url: &str, more: &[&str]) -> String {
        let mut arguments =
            vec!["application", "create", name, "--account", &account.auth_id, "--answer-url", answer_url];
        arguments.extend(more);
        text(&self.aside(&arguments).await, "app_id")
    }

    /// An endpoint of the account with the password [`PASSWORD`], whose calls go to the application.
    pub async fn endpoint(&self, account: &Account, username: &str, app: Option<&str>) -> Value {
        let mut arguments = vec!["endpoint", "create", username, "--account", &account.auth_id, "--password", PASSWORD];
        if let Some(app) = app {
            arguments.extend(["--app", app]);
        }
        self.aside(&arguments).await
    }

    /// The certificate of the front door, as a file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub async fn ca(&self) -> PathBuf {
        let pem = text(&self.aside(&["front-door", "ca"]).await, "certificate");
        assert!(pem.contains("BEGIN CERTIFICATE"), "no certificate: {pem}");
        let path = self.scratch.path().join("ca.pem");
        if let Err(error) = std::fs::write(&path, pem) {
            panic!("{}: {error}", path.display());
        }
        path
    }

    /// Kills it as a power cut would.
    pub async fn kill9(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again on the same data and the same addresses.
    pub async fn restart(&mut self) {
        self.process.kill().await;
        let Addresses { api, front_door, sip_udp, sip_tcp } = self.at;
        for (section, key, value) in [
            ("http", "api", format!("\"{api}\"")),
            ("http", "front_door", format!("\"{front_door}\"")),
            ("sip", "udp", format!("[\"{sip_udp}\"]")),
            ("sip", "tcp", format!("[\"{sip_tcp}\"]")),
        ] {
            self.options = self.options.clone().set(section, key, &value);
        }
        write_config(self.scratch.path(), &self.options);
        let (process, at) = launch(self.scratch.path()).await;
        assert_eq!(at, self.at, "it listens elsewhere after a restart");
        self.process = process;
    }

    /// Ends it as an operator would, and returns whether it ended well.
    pub async fn stop(&mut self) -> bool {
        self.process.terminate().await;
        self.process.ended(SOON * 2).await.success()
    }

    /// A Prometheus metric: the sum over its labels; `None` if there is none of that name.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        metric_in(&self.metrics().await, name)
    }

    /// Waits until a metric has a value. What is counted beside the traffic may be counted a moment after it.
    ///
    /// # Panics
    /// If it never has, with what it has.
    pub async fn metric_becomes(&self, name: &str, value: f64) {
        let end = std::time::Instant::now() + SOON;
        loop {
            let now = self.metric(name).await;
            if now == Some(value) {
                return;
            }
            assert!(std::time::Instant::now() < end, "{name} is {now:?}, never {value}");
            // Metrics have no event to wait for.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// All metrics as they are served.
    ///
    /// # Panics
    /// If they are not.
    pub async fn metrics(&self) -> String {
        match reqwest::get(self.url("/metrics")).await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => panic!("no metrics: {error}"),
        }
    }
}

/// The password of every endpoint.
pub const PASSWORD: &str = "correct-horse-7";

/// The sum of a metric over its labels.
pub fn metric_in(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.split_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.trim().parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

fn write_config(folder: &Path, options: &ServerOptions) {
    let path = folder.join("aside.toml");
    if let Err(error) = std::fs::write(&path, options.text()) {
        panic!("{}: {error}", path.display());
    }
}

async fn cli(folder: &Path, arguments: &[&str]) -> String {
    let config = folder.join("aside.toml").display().to_string();
    let mut all = vec!["--config", &config, "--json"];
    all.extend(arguments);
    tool::run(binary(), &all).await
}

async fn launch(folder: &Path) -> (Tool, Addresses) {
    let config = folder.join("aside.toml");
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(&config).arg("--announce").current_dir(folder);
    let process = Tool::start("aside", &mut command);
    let announced = process.line("an announcement", SOON * 2, |line| line.trim_start().starts_with('{')).await;
    let announced = parse(&announced);
    let address = |name: &str| -> SocketAddr {
        let value =
            announced.get(name).and_then(|value| value.as_array().map_or(Some(value), |several| several.first()));
        match value.and_then(Value::as_str).and_then(|text| text.parse().ok()) {
            Some(address) => address,
            None => panic!("the announcement names no {name}: {announced}"),
        }
    };
    let at = Addresses {
        api: address("api"),
        front_door: address("front_door"),
        sip_udp: address("sip_udp"),
        sip_tcp: address("sip_tcp"),
    };
    (process, at)
}

fn parse(json: &str) -> Value {
    match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => panic!("not JSON ({error}): {json}"),
    }
}

/// A text of a JSON object.
///
/// # Panics
/// If it has none.
pub fn text(object: &Value, name: &str) -> String {
    match object.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => panic!("no {name} in {object}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_can_be_replaced_and_stands_in_its_section() {
        let text = ServerOptions::default().set("media", "shards", "1").set("server", "max_calls", "7").text();
        let media = text.split("[media]").nth(1).unwrap().split('[').next().unwrap();
        assert!(media.contains("shards = 1\n") && !text.contains("shards = 2") && text.contains("max_calls = 7"));
    }

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_mixed_up_with_longer_names() {
        let text = "# HELP calls x\ncalls{account=\"a\"} 2\ncalls{account=\"b\"} 3\ncalls_total 9\nrooms 4\n";
        assert_eq!(metric_in(text, "calls"), Some(5.0));
        assert_eq!(metric_in(text, "rooms"), Some(4.0));
        assert_eq!(metric_in(text, "legs"), None);
    }
}

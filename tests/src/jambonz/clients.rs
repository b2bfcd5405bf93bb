//! Programs written with jambonz's official packages, run as they are.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;

use super::app::Told;
use super::exchange::Exchange;
use crate::SOON;
use crate::server::PROGRAM_HOST;
use crate::tool::{Tool, package_dir};

/// A package that serves applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// `@jambonz/sdk`, by WebSocket.
    Sdk,
    /// `@jambonz/node-client-ws`.
    NodeClientWs,
    /// `@jambonz/sdk`, by HTTP.
    SdkHook,
    /// `@jambonz/node-client`, by HTTP.
    NodeClientHook,
}

impl Library {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sdk, Self::NodeClientWs, Self::SdkHook, Self::NodeClientHook];
    /// Those that can inject commands.
    pub const SOCKETS: [Self; 2] = [Self::Sdk, Self::NodeClientWs];

    fn port_name(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::NodeClientWs => "ws",
            Self::SdkHook => "sdkHook",
            Self::NodeClientHook => "nodeHook",
        }
    }

    fn scheme(self) -> &'static str {
        if Self::SOCKETS.contains(&self) { "ws" } else { "http" }
    }
}

/// The program that serves applications with all packages at once.
#[derive(Debug)]
pub struct Clients {
    tool: Tool,
    ports: Value,
    asked: u64,
}

impl Clients {
    /// Starts it for an exchange's account.
    pub async fn start(exchange: &Exchange) -> Self {
        let mut command = Command::new("node");
        command.arg(package_dir().join("apps/jambonz-clients.mjs")).current_dir(package_dir());
        environment(&mut command, exchange);
        let tool = Tool::start("jambonz-clients.mjs", &mut command);
        let ready = tool.line("its ports", SOON * 2, |line| line.contains("\"ready\"")).await;
        let ready: Value = serde_json::from_str(&ready).unwrap_or_default();
        Self { tool, ports: ready["ports"].clone(), asked: 0 }
    }

    /// The URL of a path that a package serves.
    pub fn url(&self, library: Library, path: &str) -> String {
        format!("{}://{PROGRAM_HOST}:{}{path}", library.scheme(), self.ports[library.port_name()])
    }

    /// A place in its reports.
    pub fn mark(&self) -> usize {
        self.tool.out.len()
    }

    /// Waits for a report at or after `mark`.
    pub async fn report(&self, what: &str, mark: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let parsed = |line: &String| serde_json::from_str::<Value>(line).ok();
        let is = |line: &String| parsed(line).is_some_and(|value| wanted(&value));
        parsed(&self.tool.out.expect(what, mark, SOON, is).await).unwrap_or_default()
    }

    /// Whether it still runs: an uncaught exception would have ended it.
    pub fn is_alive(&self) -> bool {
        self.tool.pid().is_some() && self.tool.err.matching(|line| line.contains("Uncaught")).is_empty()
    }

    /// One order.
    ///
    /// # Errors
    /// What the package threw.
    pub async fn order(&mut self, mut order: Value) -> Result<Value, Value> {
        self.asked += 1;
        let (id, mark) = (self.asked, self.mark());
        if let Some(order) = order.as_object_mut() {
            order.insert("id".to_owned(), id.into());
        }
        self.tool.tell(&order.to_string()).await;
        let answer =
            self.report(&format!("answer to {order}"), mark, |report| report.get("id") == Some(&id.into())).await;
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"].clone()),
        }
    }

    async fn must(&mut self, order: Value) -> Value {
        match self.order(order.clone()).await {
            Ok(result) => result,
            Err(error) => panic!("{order}: {error}\n{}", self.tool.transcript()),
        }
    }

    /// What a path or hook answers, in the packages' methods: `[["conference", {…}]]`.
    pub async fn script(&mut self, path: &str, verbs: Value) {
        self.must(json!({ "op": "script", "path": path, "verbs": verbs })).await;
    }

    /// `session.injectCommand` as a program writes it.
    pub async fn inject(&mut self, library: Library, call_sid: &str, command: &str, data: Value) {
        let library = library.port_name();
        self.must(
            json!({ "op": "inject", "library": library, "call_sid": call_sid, "command": command, "data": data }),
        )
        .await;
    }

    /// One of the guide's four commands, as it is printed there.
    pub async fn snippet(&mut self, library: Library, call_sid: &str, name: &str) {
        self.must(json!({ "op": "snippet", "library": library.port_name(), "call_sid": call_sid, "name": name })).await;
    }

    /// Any method of a session.
    pub async fn method(&mut self, library: Library, call_sid: &str, name: &str, arguments: Value) {
        let library = library.port_name();
        self.must(
            json!({ "op": "method", "library": library, "call_sid": call_sid, "name": name, "arguments": arguments }),
        )
        .await;
    }

    /// A REST operation such as `calls.update`, by `sdk` or `node`.
    ///
    /// # Errors
    /// What the package threw.
    pub async fn rest(&mut self, client: &str, operation: &str, arguments: Value) -> Result<Value, Value> {
        self.order(json!({ "op": "rest", "client": client, "operation": operation, "arguments": arguments })).await
    }

    /// All that the packages were told, for the judge of bodies.
    ///
    /// # Panics
    /// If a package refused a signature.
    pub fn told(&self) -> Vec<Told> {
        let reports = self.tool.out.all();
        let reports = reports.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut told = Vec::new();
        for report in reports {
            if let Some(request) = report.get("request") {
                assert_eq!(request["verified"], true, "a package refused a signature: {request}");
            }
            told.extend(told_of(&report));
        }
        told
    }
}

fn environment(command: &mut Command, exchange: &Exchange) {
    command
        .env("BASE_URL", exchange.office.server.url(""))
        .env("ACCOUNT_SID", exchange.rest.account())
        .env("API_KEY", exchange.rest.token())
        .env("WEBHOOK_SECRET", &exchange.secret)
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY");
}

fn told_of(report: &Value) -> Option<Told> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = |kind: String, name: String, data: Value, raw: &Value| Told {
        at: std::time::Instant::now(),
        socket: report.get("socket").and_then(Value::as_u64).unwrap_or_default(),
        kind,
        name,
        method: String::new(),
        query: String::new(),
        msgid: text(raw, "msgid"),
        call_sid: text(&data, "call_sid"),
        data,
        raw: raw.to_string(),
        headers: Default::default(),
    };
    // The first frame of a stream of sound is a program's own.
    let of_sound = report.get("protocol").and_then(Value::as_str) == Some(super::sink::PROTOCOL);
    if let Some(frame) = report.get("frame").filter(|frame| frame.is_object() && !of_sound) {
        let hook = text(frame, "hook");
        return Some(told(text(frame, "type"), hook, frame.get("data").cloned().unwrap_or_default(), frame));
    }
    let request = report.get("request")?;
    // Signatures were verified by the package itself.
    Some(told("verified".to_owned(), text(request, "path"), request["body"].clone(), request))
}

/// A file of an official package that is run as it was shipped.
pub fn shipped(path: &str) -> PathBuf {
    let path = package_dir().join("node_modules/@jambonz").join(path);
    assert!(path.is_file(), "{} is missing; scripts/test runs `npm ci`", path.display());
    path
}

/// Starts a TypeScript program of a package. Its own port is replaced; frames that its sockets receive are reported.
pub async fn example(exchange: &Exchange, path: &str, arguments: &[&str], environment_of: &[(&str, &str)]) -> Tool {
    let mut command = Command::new("node");
    command.arg("--import").arg("tsx").arg("--import").arg(package_dir().join("apps/jambonz-listen.mjs"));
    command.arg(shipped(path)).args(arguments).current_dir(package_dir());
    environment(&mut command, exchange);
    command.env("PORT", "0").envs(environment_of.iter().copied());
    Tool::start(path, &mut command)
}

/// The port on which an example listens.
pub async fn port_of(example: &Tool) -> u16 {
    let line = example.line("its port", SOON * 2, |line| line.contains("\"listening\"")).await;
    let report: Value = serde_json::from_str(&line).unwrap_or_default();
    report["listening"]["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

/// What an example was told.
pub fn told_to(example: &Tool) -> Vec<Told> {
    example.out.all().iter().filter_map(|line| told_of(&serde_json::from_str(line).ok()?)).collect()
}

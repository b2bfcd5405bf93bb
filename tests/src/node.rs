//! Programs written with the official Plivo libraries, run as they are: the call-centre application, and a shell that calls any
//! operation of a library.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::SOON;
use crate::server::{Account, Server};
use crate::tool::{Tool, package_dir};

/// A program that speaks JSON lines on its standard output.
#[derive(Debug)]
pub struct Script {
    tool: Tool,
    port: u16,
    asked: u64,
}

/// Where to find the Plivo API from the environment alone, and as whom.
#[derive(Debug, Clone)]
pub struct ByFrontDoor {
    front_door: String,
    ca: PathBuf,
    account: Account,
}

impl ByFrontDoor {
    /// The front door of a server, for an account.
    pub async fn of(server: &Server, account: &Account) -> Self {
        Self {
            front_door: format!("http://{}", server.at().front_door),
            ca: server.ca().await,
            account: account.clone(),
        }
    }
}

impl Script {
    /// A script of `apps/` for node, pointed at the server by environment variables only.
    pub async fn node(name: &str, door: &ByFrontDoor, environment: &[(&str, &str)]) -> Self {
        let script = package_dir().join("apps").join(name);
        assert!(
            package_dir().join("node_modules/plivo").is_dir(),
            "node_modules is missing; scripts/test runs `npm ci`"
        );
        let mut command = Command::new("node");
        command.arg(script).env("https_proxy", &door.front_door).env("NODE_EXTRA_CA_CERTS", &door.ca);
        Self::start(name, command, &door.account, environment).await
    }

    /// A script of `apps/` for Python. The library takes no proxy from the environment, so the script is told.
    pub async fn python(name: &str, door: &ByFrontDoor, environment: &[(&str, &str)]) -> Self {
        let script = package_dir().join("apps").join(name);
        let python = package_dir().join(".venv/bin/python");
        assert!(python.is_file(), ".venv is missing; scripts/test makes it");
        let mut command = Command::new(python);
        command.arg(script).env("FRONT_DOOR", &door.front_door).env("FRONT_DOOR_CA", &door.ca);
        Self::start(name, command, &door.account, environment).await
    }

    async fn start(name: &str, mut command: Command, account: &Account, environment: &[(&str, &str)]) -> Self {
        command.env("PLIVO_AUTH_ID", &account.auth_id).env("PLIVO_AUTH_TOKEN", &account.auth_token).env("PORT", "0");
        command
            .envs(environment.iter().copied())
            .current_dir(package_dir())
            .env_remove("no_proxy")
            .env_remove("NO_PROXY");
        let tool = Tool::start(name, &mut command);
        let ready = tool.line("the first line", SOON * 2, |line| line.starts_with('{')).await;
        let port =
            serde_json::from_str::<Value>(&ready).ok().and_then(|ready| ready.get("port")?.as_u64()).unwrap_or(0);
        Self { tool, port: u16::try_from(port).unwrap_or(0), asked: 0 }
    }

    /// The port it serves on, if it does.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// What it has reported so far.
    pub fn reports(&self) -> Vec<Value> {
        self.tool.out.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// A place in its reports.
    pub fn mark(&self) -> usize {
        self.tool.out.len()
    }

    /// Waits for a report at or after `mark`.
    ///
    /// # Panics
    /// If it does not come.
    pub async fn report(&self, what: &str, mark: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let parsed = |line: &String| serde_json::from_str::<Value>(line).ok();
        let line =
            self.tool.out.expect(what, mark, SOON, |line| parsed(line).is_some_and(|value| wanted(&value))).await;
        parsed(&line).unwrap_or_default()
    }

    /// Waits for the callback of this event whose parameters are wanted; returns its parameters.
    pub async fn event(&self, name: &str, mark: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let is = |report: &Value| {
            let params = report.get("params").unwrap_or(&Value::Null);
            params.get("EventName").or_else(|| params.get("Event")).and_then(Value::as_str) == Some(name)
                && wanted(params)
        };
        self.report(&format!("callback {name}"), mark, is).await.get("params").cloned().unwrap_or_default()
    }

    /// Calls an operation of the library (shells only), such as `multiPartyCalls.get` or `multi_party_calls.get`. What the library answered,
    /// or the error it raised.
    pub async fn call(&mut self, operation: &str, arguments: Value) -> Result<Value, Value> {
        self.asked += 1;
        let id = self.asked;
        let mark = self.mark();
        self.tool.tell(&json!({ "id": id, "operation": operation, "arguments": arguments }).to_string()).await;
        let report = self
            .report(&format!("answer to {operation}"), mark, |report| {
                report.get("id").and_then(Value::as_u64) == Some(id)
            })
            .await;
        match report.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(report.get("result").cloned().unwrap_or_default()),
        }
    }

    /// As an operator's click: asks a path of the program.
    ///
    /// # Panics
    /// If it fails.
    pub async fn click(&self, path: &str) {
        let answer = match reqwest::Client::new().post(format!("http://127.0.0.1:{}{path}", self.port)).send().await {
            Ok(answer) => answer,
            Err(error) => panic!("{path}: {error}"),
        };
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path} answered {status}: {body}");
    }
}

/// The path of a script, for tests of scripts alone.
pub fn script(name: &str) -> PathBuf {
    Path::new(package_dir()).join("apps").join(name)
}

//! The whole server: the built program with an account, a number, and an application whose documents never change.

mod application;
mod caller;

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub use caller::{Caller, Placed};

use crate::failure::{Failure, Result, Tried};
use crate::generator::{PHONES, SERVER};
use crate::os;

/// The number that everybody calls.
const NUMBER: &str = "14155550123";

/// What a caller's application does with him; told by the first digits of his own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Answers, and waits until he hangs up.
    Wait,
    /// Joins a room in a role.
    Join {
        /// 0 customer, 1 agent, 2 supervisor, who whispers.
        role: usize,
        /// Which room.
        room: usize,
    },
}

impl Purpose {
    /// The caller's own number.
    pub fn number(self, call: usize) -> String {
        match self {
            Self::Wait => format!("1200{call:07}"),
            Self::Join { role, room } => format!("130{role}{room:07}"),
        }
    }

    /// What a caller with this number is for.
    fn of(number: &str) -> Option<Self> {
        let digits = number.trim_start_matches('+');
        if digits.starts_with("1200") {
            return Some(Self::Wait);
        }
        let rest = digits.strip_prefix("130")?;
        Some(Self::Join { role: rest.get(..1)?.parse().ok()?, room: rest.get(1..)?.parse().ok()? })
    }
}

/// The name of a room.
pub fn room_name(room: usize) -> String {
    format!("bench-{room}")
}

/// A running server. Dropping it kills it and removes its data.
pub struct House {
    process: Child,
    folder: PathBuf,
    /// Its APIs.
    pub api: SocketAddr,
    /// Its SIP.
    pub sip: SocketAddr,
    /// A key for the native API.
    pub key: String,
}

impl House {
    /// The built program beside this one, if it is there.
    fn program() -> Result<PathBuf> {
        let path = std::env::current_exe().tried("finding this program")?.with_file_name("aside");
        if path.is_file() {
            return Ok(path);
        }
        Err(Failure::Server(format!("{} is not there; build it with `cargo build --release -p aside`", path.display())))
    }

    /// Starts one: its sound on one CPU, everything else on another (or the same).
    ///
    /// # Errors
    /// The program is not there or does not start.
    pub fn start(media_cpu: usize, control_cpu: usize, load_cpu: usize) -> Result<Self> {
        let program = Self::program()?;
        let folder = std::env::temp_dir().join(format!("aside-bench-{}-{}", std::process::id(), os::monotonic()));
        std::fs::create_dir_all(&folder).tried("making a folder for the server's data")?;
        let application = application::start(SERVER.into())?;
        let config = format!(
            "[server]\ndata_dir = {:?}\nlog_level = \"error\"\nmax_calls = 20000\nmax_rooms = 20000\nstop_wait_s = 0\n\
             [sip]\nudp = [\"{SERVER}:0\"]\ntcp = [\"{SERVER}:0\"]\nsource_rate = 1000000.0\nsource_burst = 1000000.0\ndialogs = 100000\n\
             [media]\nbind = \"{SERVER}\"\nshards = 1\npin_cpus = [{media_cpu}]\nport_rest_s = 1\nfirst_port = 16384\nlast_port = 59999\n\
             [http]\napi = \"{SERVER}:0\"\nallow = [\"127.0.0.0/8\"]\n",
            folder.join("data").display().to_string(),
        );
        std::fs::write(folder.join("aside.toml"), config).tried("writing the server's configuration")?;
        let source = format!("{PHONES}/32");
        let url = format!("http://{application}/answer");
        command(&program, &folder, &["account", "create", "bench"])?;
        command(&program, &folder, &["application", "create", "bench", "--answer-url", &url])?;
        command(&program, &folder, &["trunk", "create", "bench", "--source", &source, "--max-concurrent", "1000000"])?;
        command(&program, &folder, &["number", "create", &format!("+{NUMBER}"), "--app", "bench"])?;
        let key = command(&program, &folder, &["key", "create", "bench", "--scopes", "read,monitor,coach,admin"])?;
        let key = key.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        // What a thread starts inherits its CPU.
        os::pin(control_cpu).tried("pinning the server")?;
        let spawned = Command::new(&program)
            .args(["serve", "--announce", "--config"])
            .arg(folder.join("aside.toml"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        os::pin(load_cpu).tried("pinning the load")?;
        let mut process = spawned.tried("starting the server")?;
        let announced = announcement(&mut process);
        let unset = SocketAddr::new(IpAddr::V4(SERVER), 0);
        let mut house = Self { process, folder, api: unset, sip: unset, key };
        let announced = announced?;
        house.api = address(&announced, "api")?;
        house.sip = address(&announced, "sip_udp")?;
        Ok(house)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// CPU time of the process so far, ms; exact to the system's clock tick.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_ms(&self) -> Result<f64> {
        let path = format!("/proc/{}/task", self.process.id());
        let mut all = 0.0;
        for task in std::fs::read_dir(&path).tried(&path)?.flatten() {
            let text = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let times = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let ticks: f64 = times.split(' ').skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
            all += ticks * 10.0;
        }
        Ok(all)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn command(program: &Path, folder: &Path, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(program)
        .arg("--config")
        .arg(folder.join("aside.toml"))
        .arg("--json")
        .args(arguments)
        .current_dir(folder)
        .output()
        .tried("running the server's program")?;
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).map_err(|_| {
        Failure::Server(format!("aside {}: {said}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
    })
}

fn announcement(process: &mut Child) -> Result<Value> {
    let out = process.stdout.take().ok_or_else(|| Failure::Server("has no output".to_owned()))?;
    let mut lines = BufReader::new(out);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).tried("reading the server's announcement")? == 0 {
            return Err(Failure::Server("ended before it was ready".to_owned()));
        }
        if line.starts_with('{') {
            return serde_json::from_str(&line).map_err(|e| Failure::Server(format!("announced {line:?}: {e}")));
        }
    }
}

fn address(announced: &Value, name: &str) -> Result<SocketAddr> {
    let value = announced.get(name).and_then(|value| value.as_array().map_or(Some(value), |several| several.first()));
    value
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::Server(format!("announced no {name}: {announced}")))
}

/// A request of the native API as bytes on a connection that stays.
pub fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = write!(
        bytes,
        "{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    bytes
}

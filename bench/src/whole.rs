//! The whole server with calls in rooms: how soon a command of the native API is heard, idle and loaded, and what a member weighs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::command::{self, Probe, Reaction};
use crate::failure::{Failure, Result, Tried};
use crate::house::{Caller, House, Placed, Purpose, request, room_name};
use crate::lab::{Lab, SERVED};
use crate::memory::{Growth, resident};
use crate::rooms::{Hearing, MEMBERS};

/// Probe rooms.
const PROBES: usize = 40;
/// Rooms that talk beside: with the probes' own, a thousand members and more.
const LOADED: usize = 333;
/// Calls that are being placed at once.
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

/// What the whole server showed.
#[derive(Clone, Debug, Serialize)]
pub struct Whole {
    /// With the probe rooms alone.
    pub idle: Reaction,
    /// With a thousand members more, who talk.
    pub loaded: Reaction,
    /// What those members weigh, everything included.
    pub memory: Growth,
    /// Commands that were answered otherwise than by 200.
    pub refused: u64,
}

impl Whole {
    /// Why it does not count.
    pub fn void(&self) -> Option<&String> {
        self.idle.void.as_ref().or(self.loaded.void.as_ref())
    }
}

/// A connection of the native API that commands one room's supervisor.
struct Remote {
    stream: TcpStream,
    path: String,
    /// Answers read so far that are complete, and what is left.
    unread: Vec<u8>,
}

/// Measures each for `counted`.
///
/// # Errors
/// The server is not there, or does not do as told.
pub fn measure(lab: &mut Lab, counted: Duration) -> Result<Whole> {
    let house = House::start(lab.server_cpu, lab.load_cpu, lab.load_cpu)?;
    let mut caller = Caller::open(house.sip)?;
    let load = lab.generator.open(SERVED, LOADED * MEMBERS)?;
    let reports = load.reports.port();
    let mut probes = command::probes(PROBES)?;
    let mut placed = Vec::new();
    for (room, probe) in probes.iter().enumerate() {
        for (role, phone) in probe.phones.iter().enumerate() {
            placed.push(Placed { purpose: Purpose::Join { role, room }, media: phone.port()?, reports });
        }
    }
    let ports = caller.keep(&placed, AT_ONCE)?;
    for (phone, port) in probes.iter().flat_map(|probe| &probe.phones).zip(&ports) {
        phone.connect(*port)?;
    }
    let mut remotes = (0..PROBES).map(|room| Remote::open(&house, room)).collect::<Result<Vec<_>>>()?;
    let mut refused = 0;
    let idle = react(lab, &house, &mut probes, &mut remotes, 0, counted, &mut refused)?;
    let process = house.process().to_string();
    let before = resident(&process)?;
    let placed: Vec<Placed> = load
        .legs
        .iter()
        .enumerate()
        .map(|(n, phone)| Placed {
            purpose: Purpose::Join { role: n % MEMBERS, room: PROBES + n / MEMBERS },
            media: phone.port(),
            reports,
        })
        .collect();
    let ports = caller.keep(&placed, AT_ONCE)?;
    lab.generator.connect(SERVED, ports)?;
    let loaded = react(lab, &house, &mut probes, &mut remotes, LOADED, counted, &mut refused)?;
    let after = resident(&process)?;
    let members = LOADED * MEMBERS;
    let memory =
        Growth { members, bytes_per_member: after.saturating_sub(before) as f64 / members as f64, before, after };
    lab.generator.close(SERVED)?;
    Ok(Whole { idle, loaded, memory, refused })
}

fn react(
    lab: &mut Lab,
    house: &House,
    probes: &mut [Probe],
    remotes: &mut [Remote],
    loaded: usize,
    counted: Duration,
    refused: &mut u64,
) -> Result<Reaction> {
    command::watch(lab, probes, loaded, counted, |probe, hearing| {
        let Some(remote) = remotes.get_mut(probe) else { return };
        *refused += remote.read();
        let mode = if hearing == Hearing::Plain { "barge" } else { "whisper" };
        let body = format!("{{\"mode\":\"{mode}\"}}");
        let _ = remote.stream.write_all(&request("PUT", &remote.path, &house.key, &body));
    })
}

impl Remote {
    /// Waits until all members are in the room, and learns the supervisor's number.
    fn open(house: &House, room: usize) -> Result<Self> {
        let mut stream = TcpStream::connect(house.api).tried("connecting to the native API")?;
        stream.set_nodelay(true).tried("a connection of the native API")?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).tried("a connection of the native API")?;
        let name = room_name(room);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = ask(&mut stream, &request("GET", &format!("/rooms/{name}/members"), &house.key, ""))?;
            let members = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            let supervisor =
                members.iter().find(|member| member.get("role").and_then(Value::as_str) == Some("supervisor"));
            let number = supervisor.and_then(|member| member.get("member")).and_then(Value::as_i64);
            if let (MEMBERS, Some(number)) = (members.len(), number) {
                stream.set_nonblocking(true).tried("a connection of the native API")?;
                return Ok(Self { stream, path: format!("/rooms/{name}/members/{number}/mode"), unread: Vec::new() });
            }
            if Instant::now() > deadline {
                return Err(Failure::Server(format!("has not all members in room {name}: {answer}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Reads what has been answered; how many answers were no 200.
    fn read(&mut self) -> u64 {
        let mut buffer = [0u8; 4_096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(len @ 1..) => self.unread.extend_from_slice(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let text = String::from_utf8_lossy(&self.unread);
        let (answers, good) = (text.matches("HTTP/1.1 ").count(), text.matches("HTTP/1.1 200").count());
        let refused = (answers - good) as u64;
        if refused > 0 {
            eprintln!("  refused: {text}");
        }
        self.unread.clear();
        refused
    }
}

/// Asks and waits for the JSON of the answer.
fn ask(stream: &mut TcpStream, request: &[u8]) -> Result<Value> {
    stream.write_all(request).tried("asking the native API")?;
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 16_384];
    loop {
        let len = stream.read(&mut buffer).tried("the native API's answer")?;
        if len == 0 {
            return Err(Failure::Server(format!("closed the connection: {}", String::from_utf8_lossy(&bytes))));
        }
        bytes.extend_from_slice(buffer.get(..len).unwrap_or_default());
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if length.is_some_and(|length| body.len() >= length) {
            return Ok(serde_json::from_str(body).unwrap_or(Value::Null));
        }
    }
}

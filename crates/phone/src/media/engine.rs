//! The one media thread of the process.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::line::{LineError, Misbehave, Remote, Switched};
use super::mouth::Mouth;
use super::outgoing::{FRAME_TIME, Outgoing};

/// Commands that may wait for the media thread.
const QUEUE: usize = 65_536;
/// With more lines than this a line is polled only at its own deadline.
const POLLED_APART: usize = 160;

pub(super) enum Command {
    Open(u64, Box<Outgoing>),
    Connect(u64, Remote),
    Say(u64, Mouth, oneshot::Sender<Switched>),
    Digits(u64, Vec<u8>, oneshot::Sender<()>),
    Misbehave(u64, Misbehave),
    Close(u64),
}

static ENGINE: OnceLock<SyncSender<Command>> = OnceLock::new();
static POLL_OVERRIDE_MICROS: AtomicU64 = AtomicU64::new(0);
static LINES: AtomicU64 = AtomicU64::new(0);

/// Overrides the polling interval of all lines of the process (50 µs – 20 ms); zero restores the default rule.
pub fn set_poll_interval(interval: Duration) {
    let micros = if interval.is_zero() { 0 } else { (interval.as_micros() as u64).clamp(50, 20_000) };
    POLL_OVERRIDE_MICROS.store(micros, Ordering::Relaxed);
}

/// The polling interval in force: the accuracy of arrival times.
pub fn poll_interval() -> Duration {
    interval_for(LINES.load(Ordering::Relaxed) as usize).unwrap_or(FRAME_TIME)
}

/// `None`: only at each line's own deadline.
fn interval_for(lines: usize) -> Option<Duration> {
    match POLL_OVERRIDE_MICROS.load(Ordering::Relaxed) {
        0 if lines > POLLED_APART => None,
        0 => Some(Duration::from_micros((lines as u64 * 31).max(250))),
        micros => Some(Duration::from_micros(micros)),
    }
}

pub(super) fn send(command: Command) -> Result<(), LineError> {
    let engine = ENGINE.get_or_init(|| {
        let (tx, rx) = sync_channel(QUEUE);
        if let Err(error) = std::thread::Builder::new().name("phone-media".into()).spawn(move || run(&rx)) {
            tracing::error!(%error, "cannot start the media thread; lines will report that they are closed");
        }
        tx
    });
    engine.try_send(command).map_err(|e| match e {
        TrySendError::Full(_) => LineError::Busy(QUEUE),
        TrySendError::Disconnected(_) => LineError::Closed,
    })
}

fn run(commands: &Receiver<Command>) {
    let mut lines: HashMap<u64, Outgoing> = HashMap::new();
    let mut due: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
    let mut next_poll = Instant::now();
    loop {
        let now = Instant::now();
        while let Some(&Reverse((deadline, id))) = due.peek() {
            if deadline > now {
                break;
            }
            due.pop();
            if let Some(line) = lines.get_mut(&id) {
                line.receive();
                due.push(Reverse((line.tick(Instant::now()), id)));
            }
        }
        let interval = interval_for(lines.len());
        if let Some(interval) = interval
            && now >= next_poll
        {
            for line in lines.values_mut() {
                line.receive();
            }
            next_poll = now + interval;
        }
        let wake = match (due.peek(), interval) {
            _ if lines.is_empty() => None,
            (Some(Reverse((deadline, _))), Some(_)) => Some(next_poll.min(*deadline)),
            (Some(Reverse((deadline, _))), None) => Some(*deadline),
            (None, _) => Some(next_poll),
        };
        let received = match wake {
            None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => commands.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(command) => obey(command, &mut lines, &mut due),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Bounded, so that a flood of commands cannot keep packets waiting.
        for command in commands.try_iter().take(256) {
            obey(command, &mut lines, &mut due);
        }
        LINES.store(lines.len() as u64, Ordering::Relaxed);
    }
}

fn obey(command: Command, lines: &mut HashMap<u64, Outgoing>, due: &mut BinaryHeap<Reverse<(Instant, u64)>>) {
    match command {
        // Every line ticks from its opening, also before it sends: it polls and reports by its own clock.
        Command::Open(id, line) => {
            due.push(Reverse((line.next_tick(), id)));
            lines.insert(id, *line);
        }
        Command::Connect(id, remote) => {
            if let Some(line) = lines.get_mut(&id) {
                line.connect(remote);
            }
        }
        Command::Say(id, mouth, reply) => {
            if let Some(line) = lines.get_mut(&id) {
                line.say(mouth, reply);
            }
        }
        Command::Digits(id, events, reply) => {
            if let Some(line) = lines.get_mut(&id) {
                line.dial(&events, reply);
            }
        }
        Command::Misbehave(id, fault) => {
            if let Some(line) = lines.get_mut(&id) {
                line.misbehave(&fault);
            }
        }
        Command::Close(id) => {
            if let Some(mut line) = lines.remove(&id) {
                line.receive();
                line.goodbye();
            }
        }
    }
}

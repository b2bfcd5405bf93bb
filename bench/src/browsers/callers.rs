//! The load: a process of its own on the other CPU with all callers, told what to do over its standard input, a line of JSON each.

use std::ffi::OsStr;
use std::io::BufRead;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::caller::{Caller, Window};
use super::conversation::Conversation;
use crate::failure::{Failure, Result, Tried};
use crate::generator::Ran;
use crate::histogram::Histogram;
use crate::os::{self, Inbox};
use crate::rooms::MEMBERS;
use crate::worker::{self, Worker, confused};

/// Sub-slots of a tick: packets leave evenly.
const SLOTS: usize = 80;
const SLOT_NS: u64 = 20_000_000 / SLOTS as u64;
const TICK_NS: u64 = 20_000_000;
const LATE_NS: u64 = 5_000_000;
/// How often callers look whether something came while nothing is asked of them.
const IDLE: Duration = Duration::from_millis(40);
/// How long a batch of calls may take to connect.
const PATIENCE: Duration = Duration::from_secs(15);

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Makes this many callers more, who offer.
    Offer { callers: usize },
    /// Answers to these offers, in order; to connect.
    Connect { answers: Vec<String> },
    /// Lets some talk.
    Talk(Talk),
    /// Ends all.
    Leave,
}

/// A stretch of talking. Times are of the monotonic clock, ns.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Talk {
    /// The first caller who talks; a multiple of three.
    pub first: usize,
    /// How many do; a multiple of three.
    pub callers: usize,
    /// When the first packet leaves.
    pub start: u64,
    /// From when on is counted.
    pub from: u64,
    /// Until when is counted, and talked.
    pub to: u64,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Offered { offers: Vec<String> },
    Connected { cpu_ms: f64 },
    Talked(Ran),
    Done,
}

struct Load {
    callers: Vec<Caller>,
    conversation: Conversation,
    /// Ticks talked so far: timestamps go on.
    ticks: u32,
    inbox: Inbox,
}

/// Runs the callers until standard input ends.
///
/// # Errors
/// The CPU or the prompts are not there.
pub fn serve(cpu: usize, prompts: &Path) -> Result<()> {
    os::raise_open_files();
    let conversation = Conversation::new(prompts)?;
    let mut load = Load { callers: Vec::new(), conversation, ticks: 0, inbox: Inbox::default() };
    let (sender, orders) = sync_channel(4);
    let read = move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().name("orders".to_owned()).spawn(read).tried("reading orders")?;
    os::pin(cpu).tried("pinning the callers to their CPU")?;
    let mut out = std::io::stdout().lock();
    while let Some(line) = next(&orders, &mut load) {
        worker::serve(&line, &mut out, |order| load.obey(order))?;
    }
    Ok(())
}

/// The next order; meanwhile consent goes on.
fn next(orders: &Receiver<String>, load: &mut Load) -> Option<String> {
    loop {
        match orders.recv_timeout(IDLE) {
            Ok(line) => return Some(line),
            Err(RecvTimeoutError::Timeout) => load.idle(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

impl Load {
    fn idle(&mut self) {
        for caller in &mut self.callers {
            caller.work(&mut self.inbox, None);
        }
    }

    fn obey(&mut self, order: Order) -> Result<Answer> {
        Ok(match order {
            Order::Offer { callers } => {
                let mut offers = Vec::with_capacity(callers);
                for _ in 0..callers {
                    let (caller, offer) = Caller::new()?;
                    self.callers.push(caller);
                    offers.push(offer);
                }
                Answer::Offered { offers }
            }
            Order::Connect { answers } => Answer::Connected { cpu_ms: self.connect(&answers)? },
            Order::Talk(talk) => Answer::Talked(self.talk(talk)?),
            Order::Leave => {
                self.callers.clear();
                Answer::Done
            }
        })
    }

    fn connect(&mut self, answers: &[String]) -> Result<f64> {
        let cpu = own_cpu();
        let first = self.callers.len().saturating_sub(answers.len());
        for (caller, answer) in self.callers.iter_mut().skip(first).zip(answers) {
            caller.accept(answer)?;
        }
        let begun = Instant::now();
        let mut idled = begun;
        loop {
            let mut any = false;
            let new = self.callers.get_mut(first..).unwrap_or_default();
            for caller in new.iter_mut().filter(|caller| !caller.connected) {
                any |= caller.work(&mut self.inbox, None);
            }
            if new.iter().all(|caller| caller.connected) {
                return Ok((own_cpu().saturating_sub(cpu)).as_secs_f64() * 1e3);
            }
            if begun.elapsed() > PATIENCE || new.iter().any(|caller| caller.closed) {
                let without = new.iter().filter(|caller| !caller.connected).count();
                return Err(Failure::Generator(format!("{without} of {} callers did not connect", new.len())));
            }
            if idled.elapsed() > IDLE {
                idled = Instant::now();
                self.idle();
            }
            if !any {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    fn talk(&mut self, talk: Talk) -> Result<Ran> {
        let Self { callers, conversation, ticks, inbox } = self;
        let talking = callers.get_mut(talk.first..talk.first + talk.callers).ok_or_else(|| {
            Failure::Generator(format!("there are no {} callers from {} on", talk.callers, talk.first))
        })?;
        if talking.iter().any(|caller| caller.closed) {
            return Err(Failure::Generator("a caller has lost his call".to_owned()));
        }
        for caller in talking.iter_mut() {
            caller.work(inbox, None);
            caller.begin();
        }
        let dropped = dropped(talking);
        let (mut own, mut late, mut ran) = (Histogram::default(), Histogram::default(), Ran::default());
        let offset = os::realtime() - os::monotonic().cast_signed();
        let window = Window { from: talk.from.cast_signed() + offset, to: talk.to.cast_signed() + offset };
        let cpu = own_cpu();
        let slots = (talk.to.saturating_sub(talk.start) / SLOT_NS) as usize;
        let all = talking.len();
        for n in 0..slots {
            let due = talk.start + n as u64 * SLOT_NS;
            os::sleep_until(due);
            let tick = n / SLOTS;
            for at in (n % SLOTS..all).step_by(SLOTS) {
                let Some(caller) = talking.get_mut(at) else { continue };
                let lateness = os::monotonic().cast_signed() - due.cast_signed();
                let place = Conversation::place((talk.first + at) / MEMBERS, tick);
                let said = caller.say(*ticks + tick as u32, conversation.payload(at % MEMBERS, place));
                if due >= talk.from {
                    own.add(lateness);
                    ran.sent += u64::from(said);
                }
            }
            for at in ((n + SLOTS / 2) % SLOTS..all).step_by(SLOTS) {
                if let Some(caller) = talking.get_mut(at) {
                    caller.work(inbox, Some((&window, &mut late)));
                }
            }
        }
        for caller in talking.iter_mut() {
            caller.work(inbox, Some((&window, &mut late)));
        }
        *ticks += (slots / SLOTS) as u32 + 50;
        ran.cpu_ms = own_cpu().saturating_sub(cpu).as_secs_f64() * 1e3;
        ran.received = talking.iter().map(|caller| caller.received).sum();
        ran.expected = talking.iter().map(Caller::expected).sum();
        ran.dropped = self::dropped(talking).saturating_sub(dropped);
        ran.late = late.over(LATE_NS);
        ran.lateness = late.spread();
        ran.own_lateness = own.spread();
        self.idle();
        Ok(ran)
    }
}

fn dropped(callers: &[Caller]) -> u64 {
    callers.iter().map(|caller| u64::from(caller.dropped)).sum()
}

fn own_cpu() -> Duration {
    os::thread_cpu(os::thread_id()).unwrap_or_default()
}

/// The number of whole ticks in a stretch of the monotonic clock.
pub fn ticks(ns: u64) -> usize {
    (ns / TICK_NS) as usize
}

/// Callers in a process of their own. Dropping it ends it.
pub struct Callers(Worker<Order, Answer>);

impl Callers {
    /// Starts the process on a CPU.
    ///
    /// # Errors
    /// This program cannot be started again.
    pub fn start(cpu: usize, prompts: &Path) -> Result<Self> {
        let cpu = cpu.to_string();
        let arguments = ["callers", "--cpu", &cpu, "--prompts"].map(OsStr::new);
        Worker::start(arguments.into_iter().chain([prompts.as_os_str()])).map(Self)
    }

    /// Makes callers; their offers.
    ///
    /// # Errors
    /// No ports.
    pub fn offer(&mut self, callers: usize) -> Result<Vec<String>> {
        let Answer::Offered { offers } = self.0.ask(&Order::Offer { callers })? else { return Err(confused()) };
        Ok(offers)
    }

    /// Connects the newest callers; the load's CPU time, ms.
    ///
    /// # Errors
    /// One does not connect.
    pub fn connect(&mut self, answers: Vec<String>) -> Result<f64> {
        let Answer::Connected { cpu_ms } = self.0.ask(&Order::Connect { answers })? else { return Err(confused()) };
        Ok(cpu_ms)
    }

    /// Lets callers talk; does not wait. [`Self::talked`] must follow.
    ///
    /// # Errors
    /// The process has ended.
    pub fn talk(&mut self, talk: Talk) -> Result<()> {
        self.0.tell(&Order::Talk(talk))
    }

    /// Waits until they have talked.
    ///
    /// # Errors
    /// A call was lost.
    pub fn talked(&mut self) -> Result<Ran> {
        let Answer::Talked(ran) = self.0.answer()? else { return Err(confused()) };
        Ok(ran)
    }

    /// Ends all callers.
    ///
    /// # Errors
    /// The process has ended.
    pub fn leave(&mut self) -> Result<()> {
        if matches!(self.0.ask(&Order::Leave)?, Answer::Done) { Ok(()) } else { Err(confused()) }
    }
}

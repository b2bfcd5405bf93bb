//! Both ends of the generator's process: the one that drives it, and the one that is driven.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::talkers::{PHONES, Talkers};
use super::{Answer, Group, Order, Ran, Run};
use crate::failure::{Failure, Result, Tried};
use crate::os;
use crate::speech::Conversation;

/// Runs the generator until its standard input ends.
///
/// # Errors
/// The CPU does not exist, or the other end is gone.
pub fn serve(cpu: usize) -> Result<()> {
    os::pin(cpu).tried("pinning the generator to its CPU")?;
    os::raise_open_files();
    let conversation = Conversation::new();
    let mut groups: HashMap<Group, Talkers> = HashMap::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.tried("reading orders")?;
        let answer = obey(&line, &mut groups, &conversation)
            .unwrap_or_else(|failure| Answer::Failed { why: failure.to_string() });
        let text = serde_json::to_string(&answer).map_err(|e| Failure::Generator(e.to_string()))?;
        writeln!(out, "{text}").and_then(|()| out.flush()).tried("answering")?;
    }
    Ok(())
}

fn obey(line: &str, groups: &mut HashMap<Group, Talkers>, conversation: &Conversation) -> Result<Answer> {
    let order: Order =
        serde_json::from_str(line).map_err(|e| Failure::Generator(format!("an order makes no sense: {e}")))?;
    let unknown = || Failure::Generator("there is no such group".to_owned());
    Ok(match order {
        Order::Open { group, legs } => {
            let talkers = Talkers::open(legs)?;
            let (ports, reports) = talkers.ports()?;
            groups.insert(group, talkers);
            Answer::Opened { ports, reports }
        }
        Order::Connect { group, ports } => {
            groups.get_mut(&group).ok_or_else(unknown)?.connect(&ports)?;
            Answer::Done
        }
        Order::Run(run) => Answer::Ran(groups.get_mut(&run.group).ok_or_else(unknown)?.run(run, conversation)),
        Order::Close { group } => {
            groups.remove(&group).ok_or_else(unknown)?;
            Answer::Done
        }
    })
}

/// A generator that runs. Dropping it ends its process.
pub struct Generator {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Where the phones of a group are.
#[derive(Clone, Debug)]
pub struct Phones {
    /// Of each leg.
    pub legs: Vec<SocketAddr>,
    /// Of all their reports.
    pub reports: SocketAddr,
}

impl Generator {
    /// Starts the process on a CPU.
    ///
    /// # Errors
    /// This program cannot be started again.
    pub fn start(cpu: usize) -> Result<Self> {
        let program = std::env::current_exe().tried("finding this program")?;
        let mut child = Command::new(program)
            .args(["generator", "--cpu", &cpu.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .tried("starting the generator")?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or_else(|| Failure::Generator("has no output".to_owned()))?;
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    fn tell(&mut self, order: &Order) -> Result<()> {
        let text = serde_json::to_string(order).map_err(|e| Failure::Generator(e.to_string()))?;
        let orders = self.orders.as_mut().ok_or_else(|| Failure::Generator("has no input".to_owned()))?;
        writeln!(orders, "{text}").and_then(|()| orders.flush()).tried("telling the generator")
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line).tried("hearing the generator")?;
        match serde_json::from_str(&line).map_err(|_| Failure::Generator(format!("ended or said: {line:?}")))? {
            Answer::Failed { why } => Err(Failure::Generator(why)),
            answer => Ok(answer),
        }
    }

    /// Binds the phones of a group.
    ///
    /// # Errors
    /// See [`Talkers::open`].
    pub fn open(&mut self, group: Group, legs: usize) -> Result<Phones> {
        self.tell(&Order::Open { group, legs })?;
        let Answer::Opened { ports, reports } = self.answer()? else { return Err(confused()) };
        let at = |port: u16| SocketAddr::V4(SocketAddrV4::new(PHONES, port));
        Ok(Phones { legs: ports.into_iter().map(at).collect(), reports: at(reports) })
    }

    /// Tells a group's phones where the server is.
    ///
    /// # Errors
    /// See [`Talkers::connect`].
    pub fn connect(&mut self, group: Group, ports: Vec<u16>) -> Result<()> {
        self.tell(&Order::Connect { group, ports })?;
        if matches!(self.answer()?, Answer::Done) { Ok(()) } else { Err(confused()) }
    }

    /// Closes a group.
    ///
    /// # Errors
    /// There is no such group.
    pub fn close(&mut self, group: Group) -> Result<()> {
        self.tell(&Order::Close { group })?;
        if matches!(self.answer()?, Answer::Done) { Ok(()) } else { Err(confused()) }
    }

    /// Lets a group talk; does not wait. [`Self::ran`] must follow.
    ///
    /// # Errors
    /// The process has ended.
    pub fn run(&mut self, run: Run) -> Result<()> {
        self.tell(&Order::Run(run))
    }

    /// Waits for the end of the run and tells what came of it.
    ///
    /// # Errors
    /// The process has ended.
    pub fn ran(&mut self) -> Result<Ran> {
        let Answer::Ran(ran) = self.answer()? else { return Err(confused()) };
        Ok(ran)
    }
}

fn confused() -> Failure {
    Failure::Generator("gave another answer than asked for".to_owned())
}

impl Drop for Generator {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

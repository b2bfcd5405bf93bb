//! Both ends of the generator's process: the one that drives it, and the one that is driven.

use std::collections::HashMap;
use std::io::BufRead;
use std::net::{SocketAddr, SocketAddrV4};

use super::talkers::{PHONES, Talkers};
use super::{Answer, Group, Order, Ran, Run};
use crate::failure::{Failure, Result, Tried};
use crate::os;
use crate::speech::Conversation;
use crate::worker::{self, Worker, confused};

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
        worker::serve(&line.tried("reading orders")?, &mut out, |order| obey(order, &mut groups, &conversation))?;
    }
    Ok(())
}

fn obey(order: Order, groups: &mut HashMap<Group, Talkers>, conversation: &Conversation) -> Result<Answer> {
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
pub struct Generator(Worker<Order, Answer>);

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
        Worker::start(["generator", "--cpu", &cpu.to_string()]).map(Self)
    }

    /// Binds the phones of a group.
    ///
    /// # Errors
    /// See [`Talkers::open`].
    pub fn open(&mut self, group: Group, legs: usize) -> Result<Phones> {
        let Answer::Opened { ports, reports } = self.0.ask(&Order::Open { group, legs })? else {
            return Err(confused());
        };
        let at = |port: u16| SocketAddr::V4(SocketAddrV4::new(PHONES, port));
        Ok(Phones { legs: ports.into_iter().map(at).collect(), reports: at(reports) })
    }

    /// Tells a group's phones where the server is.
    ///
    /// # Errors
    /// See [`Talkers::connect`].
    pub fn connect(&mut self, group: Group, ports: Vec<u16>) -> Result<()> {
        if matches!(self.0.ask(&Order::Connect { group, ports })?, Answer::Done) { Ok(()) } else { Err(confused()) }
    }

    /// Closes a group.
    ///
    /// # Errors
    /// There is no such group.
    pub fn close(&mut self, group: Group) -> Result<()> {
        if matches!(self.0.ask(&Order::Close { group })?, Answer::Done) { Ok(()) } else { Err(confused()) }
    }

    /// Lets a group talk; does not wait. [`Self::ran`] must follow.
    ///
    /// # Errors
    /// The process has ended.
    pub fn run(&mut self, run: Run) -> Result<()> {
        self.0.tell(&Order::Run(run))
    }

    /// Waits for the end of the run and tells what came of it.
    ///
    /// # Errors
    /// The process has ended.
    pub fn ran(&mut self) -> Result<Ran> {
        let Answer::Ran(ran) = self.0.answer()? else { return Err(confused()) };
        Ok(ran)
    }
}

//! Processes of this program that do the measuring's work on a CPU of their own: told what to do over their standard input, a line of
//! JSON for each order, they answer each with a line of JSON.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result, Tried};

/// What a line of an answer holds: an answer, or why there is none.
type Line<Answer> = std::result::Result<Answer, String>;

/// A process that takes orders. Dropping it ends it.
pub struct Worker<Order, Answer> {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    speaks: PhantomData<fn(Order) -> Answer>,
}

impl<Order: Serialize, Answer: DeserializeOwned> Worker<Order, Answer> {
    /// Starts this program once more, with these arguments.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Self> {
        let program = std::env::current_exe().tried("finding this program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .tried("starting this program once more")?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or_else(|| Failure::Generator("has no output".to_owned()))?;
        Ok(Self { child, orders, answers: BufReader::new(answers), speaks: PhantomData })
    }

    /// Gives an order; [`Self::answer`] must follow.
    ///
    /// # Errors
    /// The process has ended.
    pub fn tell(&mut self, order: &Order) -> Result<()> {
        let text = json(order)?;
        let orders = self.orders.as_mut().ok_or_else(|| Failure::Generator("has no input".to_owned()))?;
        writeln!(orders, "{text}").and_then(|()| orders.flush()).tried("telling a process what to do")
    }

    /// Waits for the answer to an order.
    ///
    /// # Errors
    /// The order could not be carried out, or the process has ended.
    pub fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line).tried("hearing a process")?;
        let answer: Line<Answer> =
            serde_json::from_str(&line).map_err(|_| Failure::Generator(format!("ended or said: {line:?}")))?;
        answer.map_err(Failure::Generator)
    }

    /// Gives an order and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::tell`] and [`Self::answer`].
    pub fn ask(&mut self, order: &Order) -> Result<Answer> {
        self.tell(order)?;
        self.answer()
    }
}

impl<Order, Answer> Drop for Worker<Order, Answer> {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

/// The process answered something else than was asked for.
pub fn confused() -> Failure {
    Failure::Generator("gave another answer than asked for".to_owned())
}

/// The worker's side: carries out the order of a line and answers it.
///
/// # Errors
/// Nobody hears the answer.
pub fn serve<Order: DeserializeOwned, Answer: Serialize>(
    line: &str,
    out: &mut impl Write,
    obey: impl FnOnce(Order) -> Result<Answer>,
) -> Result<()> {
    let order = serde_json::from_str(line).map_err(|e| Failure::Generator(format!("an order makes no sense: {e}")));
    let answer: Line<Answer> = order.and_then(obey).map_err(|failure| failure.to_string());
    let text = json(&answer)?;
    writeln!(out, "{text}").and_then(|()| out.flush()).tried("answering")
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::Generator(error.to_string()))
}

//! Programs that the tests run: ended with their handle, their output kept for when something fails.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::log::Log;

/// The folder of this package: applications, scenarios, official libraries.
pub fn package_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of its own, removed when dropped (kept if `ASIDE_TEST_KEEP` is set). Its path is short enough for Unix sockets.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Panics
    /// If the temporary folder cannot be written.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aside-{name}-{:08x}", rand::random::<u32>()));
        if let Err(error) = std::fs::create_dir_all(&path) {
            panic!("{} cannot be made: {error}", path.display());
        }
        Self { path }
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("ASIDE_TEST_KEEP").is_none() {
            // What cannot be removed is left to the system.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A running program. Dropping it kills it; if the test is failing, its output is shown.
#[derive(Debug)]
pub struct Tool {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    /// Lines of its standard output.
    pub out: Arc<Log<String>>,
    /// Lines of its standard error output.
    pub err: Arc<Log<String>>,
    quiet: bool,
}

impl Tool {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{name} cannot be started ({error}); scripts/test installs what is needed"),
        };
        let (out, err) = (Arc::new(Log::default()), Arc::new(Log::default()));
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(keep_lines(BufReader::new(stdout), Arc::clone(&out)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep_lines(BufReader::new(stderr), Arc::clone(&err)));
        }
        Self { name: name.to_owned(), input: child.stdin.take(), child, out, err, quiet: false }
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// If it does not read.
    pub async fn tell(&mut self, line: &str) {
        let Some(input) = &mut self.input else { panic!("{} reads no more", self.name) };
        if let Err(error) = input.write_all(format!("{line}\n").as_bytes()).await {
            panic!("{} does not read: {error}", self.name);
        }
    }

    /// Waits for a line of its standard output.
    pub async fn line(&self, what: &str, deadline: Duration, wanted: impl Fn(&str) -> bool) -> String {
        self.out.expect(&format!("{what} from {}", self.name), 0, deadline, |line| wanted(line)).await
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it goes on.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        // Its input is closed so that it does not wait for more.
        self.input = None;
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => panic!("{}: {error}", self.name),
            Err(_) => panic!("{} did not end within {deadline:?}:\n{}", self.name, self.transcript()),
        }
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().await;
    }

    /// Asks it to end (SIGTERM), as an operator would.
    pub async fn terminate(&mut self) {
        if let Some(pid) = self.pid() {
            // It may have ended by itself.
            let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
        }
    }

    /// Do not show its output when the test fails.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The last of what it printed.
    pub fn transcript(&self) -> String {
        let last = |log: &Log<String>| {
            let all = log.all();
            all.iter().skip(all.len().saturating_sub(150)).map(|line| format!("  {line}\n")).collect::<String>()
        };
        format!("-- {} printed:\n{}-- and on its error output:\n{}", self.name, last(&self.out), last(&self.err))
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.quiet {
            eprintln!("{}", self.transcript());
        }
    }
}

async fn keep_lines(reader: impl tokio::io::AsyncBufRead + Unpin, log: Arc<Log<String>>) {
    let mut lines = reader.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(line);
    }
}

/// Runs a command to its end and returns what it printed; a panic with its error output if it fails.
///
/// # Panics
/// If it cannot be started or fails.
pub async fn run(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let shown = program.as_ref().to_string_lossy().into_owned();
    match Command::new(program.as_ref()).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await {
        Ok(done) if done.status.success() => String::from_utf8_lossy(&done.stdout).into_owned(),
        Ok(done) => panic!("{shown} {arguments:?} failed:\n{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => panic!("{shown} cannot be started: {error}"),
    }
}

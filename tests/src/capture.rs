//! The wire itself: tcpdump on the loopback interface, for phones that have no ears of their own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use phone::capture::Pcap;
use tokio::process::Command;

use crate::SOON;
use crate::tool::{Scratch, Tool};

/// Set to `1` where the wire cannot be captured at all and tests may leave out what only the wire shows.
pub const WITHOUT_CAPTURE: &str = "ASIDE_TEST_WITHOUT_CAPTURE";

/// A running capture of UDP on loopback.
#[derive(Debug)]
pub struct Capture {
    tool: Tool,
    file: PathBuf,
    _folder: Scratch,
}

impl Capture {
    /// Starts one with a filter of tcpdump, and waits until it captures. `None` only if that fails and [`WITHOUT_CAPTURE`]
    /// allows it to.
    ///
    /// # Panics
    /// If it fails otherwise: what is not measured is not proven.
    pub async fn start(filter: &str) -> Option<Self> {
        match Self::try_start(filter).await {
            Ok(capture) => Some(capture),
            Err(why) if std::env::var_os(WITHOUT_CAPTURE).is_some_and(|value| value == "1") => {
                eprintln!("not measured on the wire, as {WITHOUT_CAPTURE} allows: {why}");
                None
            }
            Err(why) => panic!(
                "the loopback interface cannot be captured, so what is on the wire is not measured: {why}\n\
                 Install tcpdump (scripts/test does) and run this as root or with CAP_NET_RAW and CAP_NET_ADMIN on tcpdump; \
                 {WITHOUT_CAPTURE}=1 leaves this measurement out"
            ),
        }
    }

    async fn try_start(filter: &str) -> Result<Self, String> {
        let found = Command::new("tcpdump").arg("--version").stdin(Stdio::null()).output().await;
        found.map_err(|error| format!("tcpdump cannot be started ({error})"))?;
        let folder = Scratch::new("capture");
        let file = folder.path().join("wire.pcap");
        let mut command = Command::new("tcpdump");
        command.args(["-i", "lo", "-U", "-s", "0", "-w"]).arg(&file).arg(filter);
        let tool = Tool::start("tcpdump", &mut command).quiet();
        match tool.err.find(0, SOON, |line| line.contains("listening on") || line.contains("permi")).await {
            Some(said) if said.contains("listening on") => Ok(Self { tool, file, _folder: folder }),
            Some(said) => Err(said),
            None => Err(format!("tcpdump does not capture\n{}", tool.transcript())),
        }
    }

    /// What was captured, once `enough` holds.
    ///
    /// # Panics
    /// If that does not happen, or the file cannot be read.
    pub async fn until(&mut self, deadline: Duration, mut enough: impl FnMut(&Pcap) -> bool) -> Pcap {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            let bytes = std::fs::read(&self.file).unwrap_or_default();
            match Pcap::parse(&bytes) {
                Ok(pcap) if enough(&pcap) => return pcap,
                _ if tokio::time::Instant::now() > end => {
                    panic!("not enough on the wire within {deadline:?}\n{}", self.tool.transcript())
                }
                // A file has no event to wait for; tcpdump writes it packet by packet.
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

//! The wire itself: tcpdump on the loopback interface, for phones that have no ears of their own.

use std::path::PathBuf;
use std::time::Duration;

use phone::capture::Pcap;
use tokio::process::Command;

use crate::SOON;
use crate::tool::{Scratch, Tool};

/// A running capture of UDP on loopback.
#[derive(Debug)]
pub struct Capture {
    tool: Tool,
    file: PathBuf,
    _folder: Scratch,
}

impl Capture {
    /// Starts one with a filter of tcpdump, and waits until it captures. `None` if this user may not capture.
    pub async fn start(filter: &str) -> Option<Self> {
        let folder = Scratch::new("capture");
        let file = folder.path().join("wire.pcap");
        let mut command = Command::new("tcpdump");
        command.args(["-i", "lo", "-U", "-s", "0", "-w"]).arg(&file).arg(filter);
        let tool = Tool::start("tcpdump", &mut command).quiet();
        let said = tool.err.find(0, SOON, |line| line.contains("listening on") || line.contains("permission")).await?;
        said.contains("listening on").then_some(Self { tool, file, _folder: folder })
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

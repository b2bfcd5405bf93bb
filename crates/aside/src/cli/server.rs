//! `aside serve` and the front door's certificate.

use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{Failure, print};
use super::{Common, small_runtime};
use crate::config::Config;
use crate::demo::DemoOptions;
use crate::serve::{Server, front_door_authority, log, prepare_data_dir};

/// How to serve.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Print one line of JSON with the addresses when everything is ready.
    #[arg(long)]
    announce: bool,
}

pub(super) fn serve(common: &Common, config: &Config, args: &ServeArgs) -> Result<(), Failure> {
    log::start(&config.server);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(common, config, args))
}

async fn run(common: &Common, config: &Config, args: &ServeArgs) -> Result<(), Failure> {
    // Before anything starts: a signal that comes early must not be lost.
    let mut signals = Signals::new()?;
    // A file at the limit of its size is to be a write that fails, which the store waits out, and not the end of the server.
    drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
    let mut server = Server::start(config).await?;
    if let Some(credentials) = server.take_credentials() {
        // Shown once, on the standard output only: never in the log.
        print(&if common.json { format!("{}\n", serde_json::to_string(&credentials)?) } else { credentials.human() })?;
    }
    if args.announce {
        print(&format!("{}\n", serde_json::to_string(server.addresses())?))?;
    }
    signals.next().await;
    let stop = server.stop(Duration::from_secs(config.server.stop_wait_s));
    tokio::select! {
        () = stop => Ok(()),
        () = signals.next() => {
            tracing::warn!("a second signal: stopping at once; calls are closed in the records at the next start");
            Ok(())
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How to show the demo.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct DemoArgs {
    /// Walk through the four tasks once, print each measured matrix, and fail if a pair is wrong.
    #[arg(long)]
    once: bool,
    /// Walk through them over and over in this terminal, in place of the page.
    #[arg(long)]
    terminal: bool,
    /// With --terminal: print line after line instead of a live view.
    #[arg(long)]
    plain: bool,
    /// Serve the page in the local network too, over HTTPS with a certificate of this machine's own.
    #[arg(long, conflicts_with_all = ["once", "terminal"])]
    lan: bool,
}

pub(super) fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let DemoArgs { once, terminal, plain, lan } = *args;
    // Lines are for the terminal.
    let options = DemoOptions { once, terminal: terminal || plain, plain, lan };
    let right = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(crate::demo::run(options));
    if right? { Ok(()) } else { Err(crate::demo::DemoError::Wrong.into()) }
}

pub(super) fn front_door_ca(common: &Common, config: &Config) -> Result<(), Failure> {
    let data_dir = &config.server.data_dir;
    prepare_data_dir(data_dir)?;
    let authority = small_runtime()?.block_on(front_door_authority(data_dir, &config.http.front_door_names));
    certificate(common, authority.map_err(crate::serve::StartError::from)?.certificate_pem())
}

pub(super) fn https_ca(common: &Common, config: &Config) -> Result<(), Failure> {
    let data_dir = &config.server.data_dir;
    prepare_data_dir(data_dir)?;
    let authority = small_runtime()?.block_on(crate::serve::tls::authority(data_dir, &config.http.https_names));
    certificate(common, authority.map_err(crate::serve::StartError::from)?.certificate_pem())
}

fn certificate(common: &Common, pem: &str) -> Result<(), Failure> {
    print(&if common.json { format!("{}\n", serde_json::json!({ "certificate": pem })) } else { pem.to_owned() })
}

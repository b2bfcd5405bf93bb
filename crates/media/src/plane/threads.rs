//! Production: each shard on a thread of its own with absolute deadlines, and one thread that collects.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::Duration;

use super::{Collector, FactReceiver, MediaPlane, Platform, Shared};
use crate::MediaError;
use crate::config::MediaConfig;
use crate::net::Socket;
use crate::net::os::{Anchor, OsNet, UdpPort, prepare_shard_thread};
use crate::shard::ShardCore;

/// How often the collector looks while answers are due, and otherwise.
const BUSY: Duration = Duration::from_micros(500);
const QUIET: Duration = Duration::from_millis(5);

/// The operating system's ports and clock.
pub(crate) struct OsPlatform(pub Anchor);

impl Platform for OsPlatform {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn bind(&self, address: SocketAddr) -> std::io::Result<Socket> {
        UdpPort::bind(address).map(Socket::Udp)
    }
}

pub(super) fn start(config: MediaConfig) -> Result<(MediaPlane, FactReceiver), MediaError> {
    let anchor = Anchor::now();
    let cpus = config.pin_cpus.clone();
    let platform = Arc::new(OsPlatform(anchor));
    let (plane, cores, collector, facts) = MediaPlane::assemble(config, platform, anchor.utc_micros)?;
    let stop = plane.shared().stop.clone();
    for (id, core) in cores.into_iter().enumerate() {
        let (stopped, cpu) = (stop.clone(), cpus.get(id).copied());
        let spawned = Builder::new().name(format!("media-{id}")).spawn(move || run(core, anchor, cpu, &stopped));
        if let Err(source) = spawned {
            stop.store(true, Ordering::Release);
            return Err(MediaError::Thread { what: "media shard", source });
        }
    }
    let shared = Arc::downgrade(plane.shared());
    let collecting = Builder::new().name("media-facts".to_owned()).spawn(move || collect(collector, &shared));
    match collecting {
        Ok(handle) => {
            let _ = plane.shared().collector.set(handle.thread().clone());
            Ok((plane, facts))
        }
        Err(source) => {
            stop.store(true, Ordering::Release);
            Err(MediaError::Thread { what: "media facts", source })
        }
    }
}

fn run(mut core: ShardCore, anchor: Anchor, cpu: Option<usize>, stop: &AtomicBool) {
    if !prepare_shard_thread(cpu) {
        tracing::warn!(cpu, "a media shard could not be pinned to its CPU; it floats");
    }
    let mut net = OsNet::default();
    while !stop.load(Ordering::Acquire) {
        anchor.sleep_until(core.deadline());
        core.slot(anchor.elapsed(), &mut net);
    }
}

fn collect(mut collector: Collector, shared: &Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        collector.poll(&shared);
        let due = shared.lock().outstanding > 0;
        drop(shared);
        std::thread::park_timeout(if due { BUSY } else { QUIET });
    }
}

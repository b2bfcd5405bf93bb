//! RTP ports: each server gets a range that no other server of any test process on this machine uses.

use std::fs::{DirBuilder, File, OpenOptions};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems hand out by themselves.
const FIRST: u16 = 16_384;
const SLICE: u16 = 256;
const SLICES: u16 = 64;

static NEXT: AtomicU16 = AtomicU16::new(0);
static TAKING: Mutex<()> = Mutex::new(());

/// A range of ports; free again when dropped or when the process ends.
#[derive(Debug)]
pub struct PortSlice {
    /// First port, even.
    pub first: u16,
    /// Last port, odd.
    pub last: u16,
    _lock: File,
}

impl PortSlice {
    /// Takes a range that is free.
    ///
    /// # Panics
    /// If all are taken.
    pub fn take() -> Self {
        let _one_at_a_time = TAKING.lock();
        let directory = std::env::temp_dir().join("aside-test-ports");
        // That it is there already is as good.
        let _ = DirBuilder::new().recursive(true).create(&directory);
        let begin = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add((std::process::id() % u32::from(SLICES)) as u16);
        for step in 0..SLICES {
            let index = begin.wrapping_add(step) % SLICES;
            let path = directory.join(format!("{index}.lock"));
            let Ok(file) = OpenOptions::new().create(true).truncate(false).write(true).open(&path) else { continue };
            let first = FIRST + index * SLICE;
            // Programs that know nothing of these locks may use ports of the range.
            let unused = || (first..first + SLICE).all(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
            if file.try_lock().is_ok() && unused() {
                return Self { first, last: first + SLICE - 1, _lock: file };
            }
        }
        panic!("all {SLICES} ranges of RTP ports are taken, or {} cannot be written", directory.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_never_share_an_rtp_port() {
        let taken: Vec<PortSlice> = (0..5).map(|_| PortSlice::take()).collect();
        for (index, slice) in taken.iter().enumerate() {
            assert!(slice.first % 2 == 0 && slice.last % 2 == 1);
            assert!(taken.iter().skip(index + 1).all(|other| other.first > slice.last || other.last < slice.first));
        }
    }
}

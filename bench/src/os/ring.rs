//! Datagrams of many sockets by one system call, through io_uring; what a floor should use where it is faster.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue, types};

use super::LONGEST;

/// A ring whose requests all end before a call returns: none may wait, so nothing is ever under way afterwards.
pub struct Ring {
    ring: IoUring,
    inbox: Vec<[u8; LONGEST]>,
    /// By socket: how its last receive and its last send ended, as the system calls would have, with `-errno` for errors.
    received: Vec<i32>,
    sent: Vec<i32>,
}

impl Ring {
    /// A ring for so many sockets at once.
    ///
    /// # Errors
    /// The kernel has no io_uring, or refuses it to this process.
    pub fn open(sockets: usize) -> io::Result<Self> {
        let entries = u32::try_from(sockets).unwrap_or(u32::MAX).next_power_of_two();
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().setup_submit_all().build(entries)?;
        Ok(Self { ring, inbox: vec![[0; LONGEST]; sockets], received: vec![0; sockets], sent: vec![0; sockets] })
    }

    /// Receives at most one datagram on each socket, and sends back what came.
    pub fn reflect<'a>(&mut self, sockets: impl Iterator<Item = &'a UdpSocket> + Clone) {
        let receives = sockets.clone().zip(self.inbox.iter_mut()).map(|(socket, place)| {
            opcode::Recv::new(types::Fd(socket.as_raw_fd()), place.as_mut_ptr(), LONGEST as u32)
                .flags(libc::MSG_DONTWAIT)
                .build()
        });
        // SAFETY: each request writes into a place of `inbox` with its length, and has ended when `run` returns.
        unsafe { run(&mut self.ring, &mut self.received, receives) };
        let sends = sockets.zip(&self.inbox).zip(&self.received).map(|((socket, place), len)| {
            let len = u32::try_from(*len).unwrap_or(0).min(LONGEST as u32);
            match len {
                0 => opcode::Nop::new().build(),
                len => opcode::Send::new(types::Fd(socket.as_raw_fd()), place.as_ptr(), len)
                    .flags(libc::MSG_DONTWAIT)
                    .build(),
            }
        });
        // SAFETY: each request reads from a place of `inbox`, which nobody changes before `run` returns.
        unsafe { run(&mut self.ring, &mut self.sent, sends) };
    }
}

/// Submits requests and waits until all have ended.
///
/// # Safety
/// The memory that the requests point to lives and is theirs until this returns.
unsafe fn run(ring: &mut IoUring, results: &mut [i32], requests: impl Iterator<Item = squeue::Entry>) {
    let mut count = 0;
    let mut queue = ring.submission();
    for (request, result) in requests.zip(results.iter_mut()) {
        *result = -libc::EAGAIN;
        // SAFETY: by this function's own promise.
        if unsafe { queue.push(&request.user_data(count)) }.is_err() {
            break;
        }
        count += 1;
    }
    drop(queue);
    let mut ended = 0;
    while ended < count {
        let _ = ring.submit_and_wait((count - ended) as usize);
        for done in ring.completion() {
            ended += 1;
            if let Some(result) = results.get_mut(done.user_data() as usize) {
                *result = done.result();
            }
        }
    }
}

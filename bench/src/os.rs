//! Clocks, CPUs and sockets as the standard library does not give them: the one module with `unsafe`.
//!
//! Each block calls one libc function with pointers to local values that outlive the call and whose size is passed along.
#![allow(unsafe_code)]

mod ring;

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

pub use ring::Ring;

fn clock(id: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec, which `time` is; a clock that does not exist is refused.
    if unsafe { libc::clock_gettime(id, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32))
}

/// The monotonic clock, ns; the same for all processes of the machine.
pub fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC).unwrap_or_default().as_nanos() as u64
}

/// The real-time clock, ns since 1970: the one the kernel stamps packets with.
pub fn realtime() -> i64 {
    clock(libc::CLOCK_REALTIME).unwrap_or_default().as_nanos() as i64
}

/// CPU time that a thread of this process has used, exact to the nanosecond.
///
/// # Errors
/// There is no such thread.
pub fn thread_cpu(thread: u32) -> io::Result<Duration> {
    // The kernel's encoding of a thread's scheduler clock (include/linux/posix-timers.h): !tid << 3 | per thread | scheduler.
    clock((!thread << 3 | 0b110).cast_signed())
}

/// The calling thread's number.
pub fn thread_id() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }.unsigned_abs()
}

/// Sleeps until a time of the monotonic clock.
pub fn sleep_until(at: u64) {
    let time =
        libc::timespec { tv_sec: (at / 1_000_000_000) as libc::time_t, tv_nsec: (at % 1_000_000_000) as libc::c_long };
    // SAFETY: reads one timespec, which `time` is; no remainder is asked for. A signal only wakes early.
    unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, std::ptr::null_mut()) };
}

/// Gives the calling thread, and those it starts, one CPU and exact timers.
///
/// # Errors
/// There is no such CPU for this process.
pub fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: PR_SET_TIMERSLACK takes plain integers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong, 0, 0, 0) };
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: an all-zero cpu_set_t is an empty set; CPU_SET stays inside it by the check above; its size is given.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Raises the limit of open files to what is allowed; answers the limit.
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls take one rlimit, which `limit` is.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
    limit.rlim_cur
}

/// Asks the kernel to stamp what a socket receives with its arrival and with the number of datagrams dropped so far.
///
/// # Errors
/// The kernel refuses.
pub fn stamp_arrivals(socket: &UdpSocket, buffer: i32) -> io::Result<()> {
    for (option, value) in [(libc::SO_TIMESTAMPNS, 1), (libc::SO_RXQ_OVFL, 1), (libc::SO_RCVBUF, buffer)] {
        let value: libc::c_int = value;
        // SAFETY: `value` is a live c_int and its length is given.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Longest datagram read whole.
pub const LONGEST: usize = 2_048;
/// Datagrams read by one call.
pub const BATCH: usize = 4;

/// Room for control messages, aligned as they need it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 96]);

/// What one call received.
pub struct Inbox {
    bytes: [[u8; LONGEST]; BATCH],
    control: [Control; BATCH],
    arrived: [Arrived; BATCH],
}

/// One datagram's length, arrival (ns of the real-time clock) and the drops of its socket so far, if any were told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrived {
    len: usize,
    /// ns of the real-time clock.
    pub at: i64,
    /// Datagrams this socket has dropped since it was opened.
    pub dropped: Option<u32>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { bytes: [[0; LONGEST]; BATCH], control: [Control([0; 96]); BATCH], arrived: [Arrived::default(); BATCH] }
    }
}

impl Inbox {
    /// Reads up to [`BATCH`] datagrams that wait, without waiting; answers how many. An error of an earlier send counts as none.
    pub fn receive(&mut self, socket: &UdpSocket) -> usize {
        let Self { bytes, control, arrived } = self;
        // SAFETY: all-zero is a valid iovec and message header. Every pointer put in is to memory of `self`, with its length.
        unsafe {
            let mut pieces: [libc::iovec; BATCH] = std::mem::zeroed();
            let mut messages: [libc::mmsghdr; BATCH] = std::mem::zeroed();
            for n in 0..BATCH {
                pieces[n] = libc::iovec { iov_base: bytes[n].as_mut_ptr().cast(), iov_len: LONGEST };
                messages[n].msg_hdr.msg_iov = &raw mut pieces[n];
                messages[n].msg_hdr.msg_iovlen = 1;
                messages[n].msg_hdr.msg_control = control[n].0.as_mut_ptr().cast();
                messages[n].msg_hdr.msg_controllen = control[n].0.len() as _;
            }
            let count = libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            );
            let count = usize::try_from(count).unwrap_or(0).min(BATCH);
            for n in 0..count {
                arrived[n] = stamps(&messages[n].msg_hdr);
                arrived[n].len = (messages[n].msg_len as usize).min(LONGEST);
            }
            count
        }
    }

    /// What the last call received, by number.
    pub fn get(&self, n: usize) -> Option<(&[u8], Arrived)> {
        let arrived = *self.arrived.get(n)?;
        Some((self.bytes.get(n)?.get(..arrived.len)?, arrived))
    }
}

/// # Safety
/// `message` was filled by the kernel and its control buffer is alive.
unsafe fn stamps(message: &libc::msghdr) -> Arrived {
    let mut arrived = Arrived::default();
    // SAFETY: the CMSG macros stay within msg_controllen, which the kernel set; data is read unaligned with the type that its
    // kind has.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(message);
        while let Some(control) = head.as_ref() {
            let data = libc::CMSG_DATA(control);
            match (control.cmsg_level, control.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = data.cast::<libc::timespec>().read_unaligned();
                    arrived.at = time.tv_sec * 1_000_000_000 + time.tv_nsec;
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => arrived.dropped = Some(data.cast::<u32>().read_unaligned()),
                _ => {}
            }
            head = libc::CMSG_NXTHDR(message, control);
        }
    }
    arrived
}

/// Receives one datagram with its sender's address and arrival stamp, as the server does; how many bytes, if one waited.
pub fn receive_whole(socket: &UdpSocket, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: all-zero is a valid empty address and message header; every pointer put in is to a live local with its length.
    unsafe {
        let mut from: libc::sockaddr_storage = std::mem::zeroed();
        let mut control = Control([0; 96]);
        let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        let read = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
        usize::try_from(read).ok().inspect(|_| {
            let _ = stamps(&message);
        })
    }
}

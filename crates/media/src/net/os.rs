//! Real sockets and the few system calls the standard library lacks: the one module with `unsafe`.
//!
//! Each block calls one libc function with pointers to local values that outlive the call and whose size is passed along.
#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::{Net, Received, Sent, Socket};

/// Receive buffer asked of the system, bytes: about a second of G.711 with the kernel's overhead.
const RECEIVE_BUFFER: libc::c_int = 128 << 10;

/// A non-blocking UDP socket, connected while its leg is latched.
#[derive(Debug)]
pub(crate) struct UdpPort {
    socket: UdpSocket,
    /// Bound to an IPv6 address: IPv4 peers are reached by their mapped addresses.
    v6: bool,
    connected: Option<SocketAddr>,
}

impl UdpPort {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let size = RECEIVE_BUFFER;
        let on: libc::c_int = 1;
        for (option, value) in [(libc::SO_RCVBUF, size), (libc::SO_TIMESTAMPNS, on)] {
            // SAFETY: `value` is a live c_int and its length is given. A refusal leaves the default, which works.
            unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const value).cast(),
                    size_of::<libc::c_int>() as libc::socklen_t,
                );
            }
        }
        Ok(Self { socket, v6: address.is_ipv6(), connected: None })
    }

    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.v6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            other => other,
        }
    }

    /// Receives with the sender's address and the kernel's arrival stamp.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Duration)> {
        // SAFETY: all-zero is a valid empty address.
        let mut from: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        let mut control = Control([0; 64]);
        let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all-zero is a valid empty message header; every pointer put in is to a live local with its length.
        let (read, stamp) = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_name = (&raw mut from).cast();
            message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            message.msg_iov = &raw mut piece;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = control.0.len() as _;
            let read = libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
            if read < 0 {
                return Err(io::Error::last_os_error());
            }
            (read as usize, stamp(&message))
        };
        let from = address(&from).ok_or(io::ErrorKind::InvalidData)?;
        Ok((read.min(buffer.len()), from, stamp.map_or(Duration::ZERO, age)))
    }
}

/// Room for control messages, aligned as they need it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// The arrival stamp among the control messages of `message`.
///
/// # Safety
/// `message` was filled by `recvmsg` and its control buffer is alive.
unsafe fn stamp(message: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the CMSG macros stay within msg_controllen, which the kernel set; the data of SCM_TIMESTAMPNS is a timespec,
    // read unaligned because the macros promise no alignment.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(message);
        while let Some(control) = head.as_ref() {
            if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned();
                return Some(Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32));
            }
            head = libc::CMSG_NXTHDR(message, control);
        }
    }
    None
}

/// How long ago a stamp was. A clock that was set in between gives 0 rather than nonsense.
fn age(stamp: Duration) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(stamp);
    if age > Duration::from_secs(2) { Duration::ZERO } else { age }
}

fn address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in, which is smaller and less aligned.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            Some(SocketAddr::from((v4.sin_addr.s_addr.to_ne_bytes(), u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, with sockaddr_in6.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            Some(SocketAddr::from((v6.sin6_addr.s6_addr, u16::from_be(v6.sin6_port))))
        }
        _ => None,
    }
}

/// The operating system's network.
#[derive(Debug, Default)]
pub(crate) struct OsNet;

impl Net for OsNet {
    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Received {
        let Socket::Udp(port) = socket else { return Received::Empty };
        // Always with the sender's address: packets that waited before a connect may be anyone's.
        match port.receive(buffer) {
            Ok((len, from, age)) => Received::Packet { len, from, age },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Empty,
            Err(_) => Received::Refused,
        }
    }

    fn send(&mut self, socket: &mut Socket, to: SocketAddr, bytes: &[u8]) -> Sent {
        let Socket::Udp(port) = socket else { return Sent::No };
        let to = port.reachable(to);
        let once = |port: &UdpPort| {
            if port.connected == Some(to) { port.socket.send(bytes) } else { port.socket.send_to(bytes, to) }
        };
        match once(port) {
            Ok(_) => Sent::Yes,
            // An ICMP error of an earlier packet is reported here once; this packet has not been tried yet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => match once(port) {
                Ok(_) => Sent::Yes,
                Err(_) => Sent::No,
            },
            Err(_) => Sent::No,
        }
    }

    fn connect(&mut self, socket: &mut Socket, to: SocketAddr) {
        if let Socket::Udp(port) = socket {
            let to = port.reachable(to);
            port.connected = port.socket.connect(to).is_ok().then_some(to);
        }
    }

    fn disconnect(&mut self, socket: &mut Socket) {
        let Socket::Udp(port) = socket else { return };
        if port.connected.take().is_none() {
            return;
        }
        // SAFETY: an all-zero sockaddr is valid, and AF_UNSPEC needs only its family; its length is given.
        unsafe {
            let mut nobody: libc::sockaddr = std::mem::zeroed();
            nobody.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
            libc::connect(port.socket.as_raw_fd(), &raw const nobody, size_of::<libc::sockaddr>() as libc::socklen_t);
        }
    }
}

fn read_monotonic() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec, which `time` is. CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// A zero of time on the monotonic clock and its place in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    monotonic: Duration,
    /// UTC of the zero, microseconds since 1970.
    pub utc_micros: i64,
}

impl Anchor {
    pub(crate) fn now() -> Self {
        let utc = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { monotonic: read_monotonic(), utc_micros: i64::try_from(utc.as_micros()).unwrap_or(i64::MAX) }
    }

    /// Time since the zero.
    pub(crate) fn elapsed(&self) -> Duration {
        read_monotonic().saturating_sub(self.monotonic)
    }

    /// Sleeps until `deadline` after the zero: an absolute deadline, so lateness never adds up.
    pub(crate) fn sleep_until(&self, deadline: Duration) {
        let at = self.monotonic + deadline;
        let time = libc::timespec { tv_sec: at.as_secs() as libc::time_t, tv_nsec: at.subsec_nanos().into() };
        // SAFETY: reads one timespec, which `time` is; no remainder is asked for. A signal only wakes early.
        unsafe {
            libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, std::ptr::null_mut())
        };
    }
}

/// Prepares the calling thread for ticking: exact timers, and a CPU of its own where configured. Whether pinning worked.
pub(crate) fn prepare_shard_thread(cpu: Option<usize>) -> bool {
    // SAFETY: PR_SET_TIMERSLACK takes plain integers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong, 0, 0, 0) };
    let Some(cpu) = cpu else { return true };
    if cpu >= libc::CPU_SETSIZE as usize {
        return false;
    }
    // SAFETY: an all-zero cpu_set_t is an empty set; CPU_SET stays inside it by the check above; its size is given.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0
    }
}

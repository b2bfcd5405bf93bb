//! One UDP socket: its options, its connection, its stamps.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

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
        Self::stamped(&socket);
        Ok(Self { socket, v6: address.is_ipv6(), connected: None })
    }

    /// Gives a socket its buffer, and stamps to what it receives.
    pub(super) fn stamped(socket: &UdpSocket) {
        for (option, value) in [(libc::SO_RCVBUF, RECEIVE_BUFFER), (libc::SO_TIMESTAMPNS, 1)] {
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
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub(super) fn is_connected_to(&self, to: SocketAddr) -> bool {
        self.connected == Some(to)
    }

    /// The address as this socket has to be told it.
    pub(super) fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.v6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            other => other,
        }
    }

    /// Receives with the sender's address and the kernel's arrival stamp.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
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
        Ok((read.min(buffer.len()), from, stamp))
    }

    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let sent = if self.is_connected_to(to) { self.socket.send(bytes) } else { self.socket.send_to(bytes, to) };
        sent.map(|_| ())
    }

    pub(super) fn connect(&mut self, to: SocketAddr) {
        let to = self.reachable(to);
        self.connected = self.socket.connect(to).is_ok().then_some(to);
    }

    pub(super) fn disconnect(&mut self) {
        if self.connected.take().is_none() {
            return;
        }
        // SAFETY: an all-zero sockaddr is valid, and AF_UNSPEC needs only its family; its length is given.
        unsafe {
            let mut nobody: libc::sockaddr = std::mem::zeroed();
            nobody.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
            libc::connect(self.fd(), &raw const nobody, size_of::<libc::sockaddr>() as libc::socklen_t);
        }
    }
}

/// Length, sender and the kernel's arrival stamp (real-time clock, since 1970) of a datagram.
pub(super) type Datagram = (usize, SocketAddr, Option<Duration>);

/// Room for control messages, aligned as they need it.
#[repr(C, align(8))]
pub(super) struct Control(pub [u8; 64]);

/// The arrival stamp among the control messages of `message`.
///
/// # Safety
/// `message` was filled by `recvmsg` and its control buffer is alive.
pub(super) unsafe fn stamp(message: &libc::msghdr) -> Option<Duration> {
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

/// The address that the kernel wrote.
pub(super) fn address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
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

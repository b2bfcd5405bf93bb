//! The system calls that the standard library lacks, and the one module with `unsafe`.
//!
//! Each block calls one function of the system with pointers to values that outlive the call and whose sizes are passed along.
#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{SockAddr, SockAddrStorage};

use super::{BATCH, LONGEST};

/// Length, sender (of datagrams) and stamp (real-time clock, since 1970) of what was received.
pub(super) type Head = (usize, Option<SocketAddr>, Option<Duration>);

/// Room for control messages, aligned as they need it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Asks for a stamp on what a socket receives. A refusal leaves it without, which works.
pub(crate) fn stamp_arrivals(socket: &impl AsRawFd) {
    let on: libc::c_int = 1;
    // SAFETY: `on` is a live c_int and its length is given.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// Receives up to [`BATCH`] datagrams; how many. `each` gets their heads in order.
pub(super) fn receive_batch(
    socket: &UdpSocket,
    into: &mut [[u8; LONGEST]; BATCH],
    mut each: impl FnMut(Head),
) -> io::Result<usize> {
    let mut names: [SockAddrStorage; BATCH] = std::array::from_fn(|_| SockAddrStorage::zeroed());
    let mut controls = [Control([0; 64]); BATCH];
    // SAFETY: all-zero is a valid empty piece and message header.
    let (mut pieces, mut messages) = unsafe {
        let pieces: [libc::iovec; BATCH] = std::mem::zeroed();
        let messages: [libc::mmsghdr; BATCH] = std::mem::zeroed();
        (pieces, messages)
    };
    let parts = messages.iter_mut().zip(&mut pieces).zip(&mut names).zip(&mut controls).zip(into);
    for ((((message, piece), name), control), bytes) in parts {
        *piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        message.msg_hdr.msg_name = (&raw mut *name).cast();
        message.msg_hdr.msg_namelen = name.size_of();
        message.msg_hdr.msg_iov = &raw mut *piece;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        message.msg_hdr.msg_controllen = control.0.len() as _;
    }
    // SAFETY: every header points to live, distinct storage with its length; their number is given; no timeout is.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            BATCH as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    for (message, name) in messages.iter().zip(names).take(count as usize) {
        // SAFETY: the call above filled this header, and its control buffer is alive.
        let stamp = unsafe { stamp(&message.msg_hdr) };
        // One that was cut is kept as an empty one, so that heads and bytes stay in step.
        let cut = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let len = if cut { 0 } else { (message.msg_len as usize).min(LONGEST) };
        // SAFETY: the call wrote an address of this length into the storage, which began as zeros.
        let from = unsafe { SockAddr::new(name, message.msg_hdr.msg_namelen) };
        each((len, from.as_socket(), stamp));
    }
    Ok(count as usize)
}

/// Receives one datagram, or what waits on a stream.
pub(crate) fn receive_one(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Head> {
    let mut name = SockAddrStorage::zeroed();
    let mut control = Control([0; 64]);
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all-zero is a valid empty message header; every pointer put in is to a live local with its length.
    let (read, message, stamp) = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = (&raw mut name).cast();
        message.msg_namelen = name.size_of();
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        let read = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
        if read < 0 {
            return Err(io::Error::last_os_error());
        }
        (read as usize, message, stamp(&message))
    };
    let len = if message.msg_flags & libc::MSG_TRUNC == 0 { read.min(buffer.len()) } else { 0 };
    // SAFETY: the call wrote an address of this length into the storage, which began as zeros; a stream has none.
    let from = unsafe { SockAddr::new(name, message.msg_namelen) };
    Ok((len, from.as_socket(), stamp))
}

/// Sends up to [`BATCH`] datagrams; how many of the first ones the system took.
pub(super) fn send_batch(socket: &UdpSocket, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
    let mut names: [Option<SockAddr>; BATCH] = [const { None }; BATCH];
    // SAFETY: all-zero is a valid empty piece and message header.
    let (mut pieces, mut messages) = unsafe {
        let pieces: [libc::iovec; BATCH] = std::mem::zeroed();
        let messages: [libc::mmsghdr; BATCH] = std::mem::zeroed();
        (pieces, messages)
    };
    let mut count = 0;
    let parts = messages.iter_mut().zip(&mut pieces).zip(&mut names).zip(datagrams);
    for (((message, piece), name), (to, bytes)) in parts {
        let name = name.insert(SockAddr::from(*to));
        // The system only reads what a name and a piece to send point to.
        *piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        message.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        message.msg_hdr.msg_namelen = name.len();
        message.msg_hdr.msg_iov = &raw mut *piece;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` headers point to live storage with its length.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// The stamp among the control messages of `message`.
///
/// # Safety
/// `message` was filled by a receiving call and its control buffer is alive.
unsafe fn stamp(message: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the CMSG macros stay within msg_controllen, which the system set; the data of SCM_TIMESTAMPNS is a timespec,
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

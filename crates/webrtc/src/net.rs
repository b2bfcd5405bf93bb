//! Batches of datagrams: the two system calls that the standard library lacks, and the one module with `unsafe`.
//!
//! Each block calls one function of the system with pointers to values that outlive the call and whose sizes are passed along.
//! Where the system lacks or forbids the calls, plain ones take their place.
#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams per call.
pub(crate) const BATCH: usize = 32;
/// Longest datagram that is taken, bytes: longer ones are none of ours.
pub(crate) const LONGEST: usize = 2_000;

/// Room for a batch of received datagrams.
pub(crate) struct Received {
    bytes: Box<[[u8; LONGEST]; BATCH]>,
    /// Length and sender of each.
    heads: Vec<(usize, SocketAddr)>,
}

impl Received {
    pub(crate) fn new() -> Self {
        Self { bytes: Box::new([[0; LONGEST]; BATCH]), heads: Vec::with_capacity(BATCH) }
    }

    /// The datagrams of the last batch.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.heads.iter().zip(self.bytes.iter()).map(|((len, from), bytes)| (*from, bytes.get(..*len).unwrap_or(&[])))
    }
}

/// A non-blocking socket that sends and receives in batches.
pub(crate) struct BatchSocket {
    socket: UdpSocket,
    /// Whether the batch calls work here.
    batches: bool,
}

impl BatchSocket {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, batches: true })
    }

    pub(crate) fn fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }

    /// Receives what waits, at most [`BATCH`]; whether more may wait.
    pub(crate) fn receive(&mut self, into: &mut Received) -> bool {
        into.heads.clear();
        if self.batches {
            match receive_batch(&self.socket, into) {
                Ok(count) => return count == BATCH,
                Err(error) if unsupported(&error) => self.batches = false,
                // An ICMP error of something sent: nothing was received, more may wait.
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        for bytes in into.bytes.iter_mut() {
            match self.socket.recv_from(bytes) {
                Ok(head) => into.heads.push(head),
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// Sends all; how many the system did not take.
    pub(crate) fn send<'a>(&mut self, datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>) -> usize {
        let mut waiting: [Option<(SocketAddr, &[u8])>; BATCH] = [None; BATCH];
        let mut count = 0;
        let mut unsent = 0;
        for datagram in datagrams {
            if let Some(slot) = waiting.get_mut(count) {
                *slot = Some(datagram);
                count += 1;
            }
            if count == BATCH {
                unsent += self.send_some(waiting.iter().flatten());
                count = 0;
            }
        }
        unsent + self.send_some(waiting.iter().take(count).flatten())
    }

    fn send_some<'a>(&mut self, datagrams: impl Iterator<Item = &'a (SocketAddr, &'a [u8])> + Clone) -> usize {
        let all = datagrams.clone().count();
        let mut done = 0;
        let mut unsent = 0;
        while self.batches && done < all {
            match send_batch(&self.socket, datagrams.clone().skip(done)) {
                Ok(0) => break,
                Ok(sent) => done += sent,
                Err(error) if unsupported(&error) => self.batches = false,
                // The first of the batch was refused: go on behind it.
                Err(_) => {
                    unsent += 1;
                    done += 1;
                }
            }
        }
        for (to, bytes) in datagrams.skip(done) {
            unsent += usize::from(self.socket.send_to(bytes, to).is_err());
        }
        unsent
    }
}

fn unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EOPNOTSUPP))
}

fn receive_batch(socket: &UdpSocket, into: &mut Received) -> io::Result<usize> {
    // SAFETY: all-zero is a valid empty address, piece and message header.
    let (mut names, mut pieces, mut messages) = unsafe {
        let names: [libc::sockaddr_storage; BATCH] = std::mem::zeroed();
        let pieces: [libc::iovec; BATCH] = std::mem::zeroed();
        let messages: [libc::mmsghdr; BATCH] = std::mem::zeroed();
        (names, pieces, messages)
    };
    let parts = messages.iter_mut().zip(&mut pieces).zip(&mut names).zip(into.bytes.iter_mut());
    for (((message, piece), name), bytes) in parts {
        *piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        message.msg_hdr.msg_name = (&raw mut *name).cast();
        message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        message.msg_hdr.msg_iov = &raw mut *piece;
        message.msg_hdr.msg_iovlen = 1;
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
    for (message, name) in messages.iter().zip(&names).take(count as usize) {
        let cut = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        // One that was cut is kept as an empty one, so that heads and bytes stay in step.
        let len = if cut { 0 } else { (message.msg_len as usize).min(LONGEST) };
        into.heads.push((len, address(name).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))));
    }
    Ok(count as usize)
}

fn send_batch<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = &'a (SocketAddr, &'a [u8])>,
) -> io::Result<usize> {
    // SAFETY: all-zero is a valid empty address, piece and message header.
    let (mut names, mut pieces, mut messages) = unsafe {
        let names: [libc::sockaddr_storage; BATCH] = std::mem::zeroed();
        let pieces: [libc::iovec; BATCH] = std::mem::zeroed();
        let messages: [libc::mmsghdr; BATCH] = std::mem::zeroed();
        (names, pieces, messages)
    };
    let mut count = 0;
    let parts = messages.iter_mut().zip(&mut pieces).zip(&mut names).zip(datagrams);
    for (((message, piece), name), (to, bytes)) in parts {
        // The system only reads what a piece to send points to.
        *piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        message.msg_hdr.msg_namelen = put_address(*to, name);
        message.msg_hdr.msg_name = (&raw mut *name).cast();
        message.msg_hdr.msg_iov = &raw mut *piece;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` headers point to live storage with its length.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// The address that the system wrote.
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

/// Writes an address as the system wants it; its length.
fn put_address(address: SocketAddr, storage: &mut libc::sockaddr_storage) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: the storage is larger than a sockaddr_in and aligned for any address.
            let place = unsafe { &mut *(&raw mut *storage).cast::<libc::sockaddr_in>() };
            place.sin_family = libc::AF_INET as libc::sa_family_t;
            place.sin_port = v4.port().to_be();
            place.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above, with sockaddr_in6.
            let place = unsafe { &mut *(&raw mut *storage).cast::<libc::sockaddr_in6>() };
            place.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            place.sin6_port = v6.port().to_be();
            place.sin6_addr.s6_addr = v6.ip().octets();
            place.sin6_scope_id = v6.scope_id();
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(address: &str) -> (BatchSocket, BatchSocket) {
        let bind = || BatchSocket::new(UdpSocket::bind(address).expect("a port")).expect("a socket");
        (bind(), bind())
    }

    fn passes_in_order(address: &str, batches: bool) {
        let (mut from, mut to) = pair(address);
        (from.batches, to.batches) = (batches, batches);
        let target = to.socket.local_addr().expect("an address");
        let packets: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 1 + usize::from(n)]).collect();
        assert_eq!(from.send(packets.iter().map(|p| (target, p.as_slice()))), 0);
        let mut received = Received::new();
        let mut got: Vec<Vec<u8>> = Vec::new();
        loop {
            let more = to.receive(&mut received);
            for (source, bytes) in received.iter() {
                assert_eq!(source, from.socket.local_addr().expect("an address"));
                got.push(bytes.to_vec());
            }
            if !more {
                break;
            }
        }
        assert_eq!(got, packets);
    }

    #[test]
    fn batches_pass_whole_and_in_order() {
        passes_in_order("127.0.0.1:0", true);
        passes_in_order("[::1]:0", true);
    }

    #[test]
    fn plain_calls_take_the_place_of_batches() {
        passes_in_order("127.0.0.1:0", false);
    }

    #[test]
    fn a_datagram_that_is_too_long_is_empty_and_moves_no_other() {
        let (mut from, mut to) = pair("127.0.0.1:0");
        let target = to.socket.local_addr().expect("an address");
        let long = [7; LONGEST + 1];
        assert_eq!(from.send([&long[..], &[1, 2, 3]].into_iter().map(|p| (target, p))), 0);
        let mut received = Received::new();
        to.receive(&mut received);
        let got: Vec<Vec<u8>> = received.iter().map(|(_, bytes)| bytes.to_vec()).collect();
        assert_eq!(got, [vec![], vec![1, 2, 3]]);
    }

    #[test]
    fn one_refused_address_costs_no_other_datagram() {
        let (mut from, mut to) = pair("127.0.0.1:0");
        let target = to.socket.local_addr().expect("an address");
        let nowhere: SocketAddr = "[2001:db8::1]:9".parse().expect("an address");
        let sent = from.send([(target, &b"a"[..]), (nowhere, b"b"), (target, b"c")].into_iter());
        assert_eq!(sent, 1);
        let mut received = Received::new();
        to.receive(&mut received);
        assert_eq!(received.iter().count(), 2);
    }
}

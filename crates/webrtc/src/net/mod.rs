//! Batches of datagrams, each with the time of its arrival.
//!
//! Where the system lacks or forbids the calls for batches, plain ones take their place.

mod arrival;
mod calls;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

pub(crate) use arrival::Clocks;
pub(crate) use calls::{receive_one, stamp_arrivals};

/// Datagrams per call.
pub(crate) const BATCH: usize = 32;
/// Longest datagram that is taken, bytes: longer ones are none of ours.
pub(crate) const LONGEST: usize = 2_000;

/// A datagram to send.
type Letter<'a> = (SocketAddr, &'a [u8]);

/// Room for a batch of received datagrams.
pub(crate) struct Received {
    bytes: Box<[[u8; LONGEST]; BATCH]>,
    /// Length, sender and stamp of each.
    heads: Vec<(usize, SocketAddr, Option<Duration>)>,
    /// After they were read.
    read: Clocks,
    /// When none of them was there yet.
    emptied: Instant,
}

impl Received {
    pub(crate) fn new() -> Self {
        let (bytes, heads) = (Box::new([[0; LONGEST]; BATCH]), Vec::with_capacity(BATCH));
        Self { bytes, heads, read: Clocks::now(), emptied: Instant::now() }
    }

    /// The datagrams of the last batch: sender, arrival, bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketAddr, Instant, &[u8])> {
        self.heads.iter().zip(self.bytes.iter()).map(|((len, from, stamp), bytes)| {
            (*from, self.read.arrival(*stamp, self.emptied), bytes.get(..*len).unwrap_or(&[]))
        })
    }

    fn note(heads: &mut Vec<(usize, SocketAddr, Option<Duration>)>, (len, from, stamp): calls::Head) {
        heads.push((len, from.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))), stamp));
    }
}

/// A non-blocking socket that sends and receives in batches.
pub(crate) struct BatchSocket {
    socket: UdpSocket,
    /// Whether the batch calls work here.
    batches: bool,
    /// When nothing waited, the last time that was seen.
    emptied: Instant,
}

impl BatchSocket {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let emptied = Instant::now();
        stamp_arrivals(&socket);
        Ok(Self { socket, batches: true, emptied })
    }

    pub(crate) fn fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }

    /// Receives what waits, at most [`BATCH`]; whether more may wait.
    pub(crate) fn receive(&mut self, into: &mut Received) -> bool {
        into.heads.clear();
        let begun = Instant::now();
        let mut count = if self.batches {
            calls::receive_batch(&self.socket, &mut into.bytes, |head| Received::note(&mut into.heads, head))
        } else {
            self.receive_singly(into)
        };
        if self.batches
            && let Err(error) = &count
            && unsupported(error)
        {
            let singly = self.receive_singly(into);
            if singly.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::WouldBlock) {
                give_up(&mut self.batches, error);
            }
            count = singly;
        }
        (into.read, into.emptied) = (Clocks::now(), self.emptied);
        // An ICMP error of something sent: nothing was received, more may wait.
        let more = count.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |count| count == BATCH);
        if !more {
            self.emptied = begun;
        }
        more
    }

    fn receive_singly(&self, into: &mut Received) -> io::Result<usize> {
        for bytes in into.bytes.iter_mut() {
            match receive_one(&self.socket, bytes) {
                Ok(head) => Received::note(&mut into.heads, head),
                Err(error) if into.heads.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(into.heads.len())
    }

    /// Sends all; how many the system did not take.
    pub(crate) fn send<'a>(&mut self, datagrams: impl Iterator<Item = Letter<'a>>) -> usize {
        let mut waiting: [Letter<'_>; BATCH] = [(SocketAddr::from(([0, 0, 0, 0], 0)), &[]); BATCH];
        let mut count = 0;
        let mut unsent = 0;
        for datagram in datagrams {
            if let Some(slot) = waiting.get_mut(count) {
                *slot = datagram;
                count += 1;
            }
            if count == BATCH {
                unsent += self.send_some(&waiting);
                count = 0;
            }
        }
        unsent + self.send_some(waiting.get(..count).unwrap_or(&[]))
    }

    fn send_some(&mut self, datagrams: &[Letter<'_>]) -> usize {
        let Self { socket, batches, .. } = self;
        let singly = |(to, bytes): &Letter<'_>| socket.send_to(bytes, to).map(drop);
        send_by(batches, datagrams, |some| calls::send_batch(socket, some), singly)
    }
}

/// Sends by `batch`, which answers how many of the first it took, while it `works`; else one by one, `singly`. How many neither took.
fn send_by<'a>(
    works: &mut bool,
    mut left: &[Letter<'a>],
    mut batch: impl FnMut(&[Letter<'a>]) -> io::Result<usize>,
    mut singly: impl FnMut(&Letter<'a>) -> io::Result<()>,
) -> usize {
    let mut unsent = 0;
    while let Some((first, others)) = left.split_first() {
        let sent = if *works { batch(left) } else { singly(first).map(|()| 1) };
        left = match sent {
            Ok(count) => left.get(count.max(1)..).unwrap_or(&[]),
            Err(error) => {
                // The first was refused: by a filter's rule, or because there is no such call here. The plain call tells which.
                let refused = !(*works && unsupported(&error) && singly(first).is_ok());
                if !refused {
                    give_up(works, &error);
                }
                unsent += usize::from(refused);
                others
            }
        };
    }
    unsent
}

/// What the system also says where a call is missing or forbidden.
fn unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EOPNOTSUPP))
}

fn give_up(batches: &mut bool, error: &io::Error) {
    *batches = false;
    tracing::warn!(%error, "this system has no recvmmsg or sendmmsg, or forbids them: WebRTC goes on with a call for each datagram");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(address: &str) -> (BatchSocket, BatchSocket) {
        let bind = || BatchSocket::new(UdpSocket::bind(address).expect("a port")).expect("a socket");
        (bind(), bind())
    }

    fn real_time() -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock that is set")
    }

    /// The system begins to stamp soon after the first socket asked for it.
    fn until_stamped(from: &mut BatchSocket, to: &mut BatchSocket, target: SocketAddr) {
        let mut received = Received::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut stamped = false;
        while !stamped {
            assert!(Instant::now() < deadline, "nothing is stamped");
            from.send([(target, &b"probe"[..])].into_iter());
            let sent = real_time();
            while to.receive(&mut received) {}
            stamped = received.heads.iter().any(|(_, _, stamp)| stamp.is_some_and(|stamp| stamp <= sent));
        }
    }

    fn passes_in_order(address: &str, batches: bool) {
        let (mut from, mut to) = pair(address);
        (from.batches, to.batches) = (batches, batches);
        let target = to.socket.local_addr().expect("an address");
        until_stamped(&mut from, &mut to, target);
        let packets: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 1 + usize::from(n)]).collect();
        assert_eq!(from.send(packets.iter().map(|p| (target, p.as_slice()))), 0);
        let sent = Instant::now();
        let mut received = Received::new();
        let mut got: Vec<Vec<u8>> = Vec::new();
        loop {
            let more = to.receive(&mut received);
            for (source, arrived, bytes) in received.iter() {
                assert_eq!(source, from.socket.local_addr().expect("an address"));
                assert!(arrived <= sent, "it arrived when it was sent, not when it was read");
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
        passes_in_order("[::1]:0", false);
    }

    #[test]
    fn what_waits_on_a_stream_is_as_old_as_its_stamp() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        stamp_arrivals(&listener);
        let mut from = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let (to, _) = listener.accept().expect("a connection");
        let mut buffer = [0; 64];
        let deadline = Instant::now() + Duration::from_secs(5);
        // The system begins to stamp soon after the first socket asked for it.
        loop {
            assert!(Instant::now() < deadline, "nothing is stamped");
            from.write_all(b"waits").expect("written");
            let written = real_time();
            let (len, _, stamp) = receive_one(&to, &mut buffer).expect("it is there");
            assert_eq!(buffer.get(..len), Some(&b"waits"[..]));
            if stamp.is_some_and(|stamp| stamp <= written) {
                break;
            }
        }
    }

    #[test]
    fn a_datagram_that_is_too_long_is_empty_and_moves_no_other() {
        for batches in [true, false] {
            let (mut from, mut to) = pair("127.0.0.1:0");
            to.batches = batches;
            let target = to.socket.local_addr().expect("an address");
            let long = [7; LONGEST + 1];
            assert_eq!(from.send([&long[..], &[1, 2, 3]].into_iter().map(|p| (target, p))), 0);
            let mut received = Received::new();
            to.receive(&mut received);
            let got: Vec<Vec<u8>> = received.iter().map(|(_, _, bytes)| bytes.to_vec()).collect();
            assert_eq!(got, [vec![], vec![1, 2, 3]]);
        }
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

    /// Sends four of which the last but one is refused with `error` by both calls, or by the batch call alone.
    fn refused(error: i32, by_both: bool) -> (bool, usize, Vec<u8>) {
        let to = SocketAddr::from(([192, 0, 2, 1], 9));
        let letters: Vec<Letter<'_>> = [&b"1"[..], b"2", b"3", b"4"].into_iter().map(|bytes| (to, bytes)).collect();
        let (mut works, out) = (true, std::cell::RefCell::new(Vec::new()));
        let refusal = || io::Error::from_raw_os_error(error);
        let batch = |some: &[Letter<'_>]| {
            let taken = some.iter().take_while(|(_, bytes)| *bytes != b"3").count();
            out.borrow_mut().extend(some.iter().take(taken).map(|(_, bytes)| bytes[0]));
            if taken == 0 { Err(refusal()) } else { Ok(taken) }
        };
        let singly = |(_, bytes): &Letter<'_>| match *bytes {
            b"3" if by_both => Err(refusal()),
            bytes => {
                out.borrow_mut().push(bytes[0]);
                Ok(())
            }
        };
        let unsent = send_by(&mut works, &letters, batch, singly);
        (works, unsent, out.into_inner())
    }

    #[test]
    fn a_filter_that_refuses_one_datagram_ends_no_batches() {
        assert_eq!(refused(libc::EPERM, true), (true, 1, b"124".to_vec()));
        assert_eq!(refused(libc::ENETUNREACH, false), (true, 1, b"124".to_vec()));
        assert_eq!(
            refused(libc::EPERM, false),
            (false, 0, b"1234".to_vec()),
            "the call is forbidden, not the datagram"
        );
        assert_eq!(refused(libc::ENOSYS, false), (false, 0, b"1234".to_vec()));
    }
}

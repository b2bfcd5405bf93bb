//! Even/odd RTP port pairs: one pair per leg, and closed pairs rest before anyone gets them again.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::MediaError;
use crate::net::Socket;
use crate::plane::Platform;

/// A bound pair: RTP on an even port, RTCP on the next. Dropping it closes both and starts their rest.
#[derive(Debug)]
pub struct Ports {
    // Declared before the lease, hence closed before it ends.
    pub(crate) rtp: Socket,
    pub(crate) rtcp: Socket,
    lease: Lease,
}

impl Ports {
    /// Address and port of RTP, as an SDP names it; the address is the configured one to bind, which may be unspecified.
    #[must_use]
    pub fn rtp_addr(&self) -> SocketAddr {
        SocketAddr::new(self.lease.bind, self.lease.port)
    }

    /// Address and port of RTCP: the next port.
    #[must_use]
    pub fn rtcp_addr(&self) -> SocketAddr {
        SocketAddr::new(self.lease.bind, self.lease.port + 1)
    }
}

struct Lease {
    port: u16,
    bind: IpAddr,
    allocator: Arc<Allocator>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({})", self.port)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = self.allocator.platform.now();
        self.allocator.lock().resting.push_back((now + self.allocator.rest, self.port));
    }
}

#[derive(Default)]
struct Pool {
    free: VecDeque<u16>,
    resting: VecDeque<(Duration, u16)>,
}

/// Hands out pairs.
pub(crate) struct Allocator {
    bind: IpAddr,
    range: RangeInclusive<u16>,
    rest: Duration,
    platform: Arc<dyn Platform>,
    pool: Mutex<Pool>,
}

impl Allocator {
    pub(crate) fn new(
        bind: IpAddr,
        range: RangeInclusive<u16>,
        rest: Duration,
        platform: Arc<dyn Platform>,
    ) -> Result<Self, MediaError> {
        let free: VecDeque<u16> = range.clone().filter(|p| p % 2 == 0 && *p != 0 && *p < *range.end()).collect();
        if free.is_empty() {
            return Err(MediaError::Config("the port range holds no even/odd pair"));
        }
        Ok(Self { bind, range, rest, platform, pool: Mutex::new(Pool { free, resting: VecDeque::new() }) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds the pair that has been free longest. A port that someone else holds is left to rest.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<Ports, MediaError> {
        let now = self.platform.now();
        let mut tries = {
            let mut pool = self.lock();
            while pool.resting.front().is_some_and(|(until, _)| *until <= now) {
                if let Some((_, port)) = pool.resting.pop_front() {
                    pool.free.push_back(port);
                }
            }
            pool.free.len()
        };
        let mut refusal = None;
        while tries > 0 {
            tries -= 1;
            let Some(port) = self.lock().free.pop_front() else { break };
            // From here on the lease gives the port back, whatever happens.
            let lease = Lease { port, bind: self.bind, allocator: self.clone() };
            let pair = self.bind(port).and_then(|rtp| Ok((rtp, self.bind(port + 1)?)));
            match pair {
                Ok((rtp, rtcp)) => return Ok(Ports { rtp, rtcp, lease }),
                Err(error @ MediaError::Socket { .. }) => {
                    // Neither the address nor a file descriptor comes back by trying the next port.
                    let hopeless = matches!(&error, MediaError::Socket { source, .. }
                        if source.kind() != std::io::ErrorKind::AddrInUse && source.kind() != std::io::ErrorKind::PermissionDenied);
                    if hopeless {
                        return Err(error);
                    }
                    refusal = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or(MediaError::NoPorts { first: *self.range.start(), last: *self.range.end() }))
    }

    fn bind(&self, port: u16) -> Result<Socket, MediaError> {
        let address = SocketAddr::new(self.bind, port);
        self.platform.bind(address).map_err(|source| MediaError::Socket { address, source })
    }
}

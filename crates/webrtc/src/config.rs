//! What the engine is told at its start.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use audio::Format;

use crate::error::WebRtcError;
use crate::format::FORMATS;

/// An address of this machine that browsers reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// What sockets are bound to; unspecified only with an advertised address.
    pub bind: IpAddr,
    /// What candidates say, where a translation stands in front (1:1 NAT). `None`: the bound address.
    pub advertised: Option<IpAddr>,
}

impl Address {
    /// An address that is bound and advertised.
    pub fn of(bind: IpAddr) -> Self {
        Self { bind, advertised: None }
    }

    pub(crate) fn visible(&self) -> IpAddr {
        self.advertised.unwrap_or(self.bind)
    }
}

/// Configuration of the engine.
#[derive(Clone, Debug)]
pub struct WebRtcConfig {
    /// Threads, each with one UDP port per address; 1 to 64.
    pub threads: usize,
    /// Addresses, best first; 1 to 8.
    pub addresses: Vec<Address>,
    /// UDP (and TCP) port of the first thread; the next ones follow. 0: any free port.
    pub first_port: u16,
    /// Whether candidates over TCP are offered too (RFC 6544): for networks that let no UDP out.
    pub tcp: bool,
    /// ICE lite (RFC 8445 §2.5): browsers check, we answer. Right on a public address; behind a NAT take full ICE.
    pub lite: bool,
    /// Zero of [`media::PathPacket::arrival`]: the origin of the media plane's clock.
    pub clock: Instant,
    /// Formats, best first.
    pub formats: Vec<Format>,
    /// `maxaveragebitrate` that we ask of Opus senders, bit/s; 6 000 to 510 000.
    pub max_average_bitrate: u32,
    /// Legs at most, in all threads; one account has at most three quarters of them.
    pub max_peers: usize,
    /// Legs that are being connected at most; one account has at most three quarters of them.
    pub max_half_open: usize,
    /// Legs of one source (IPv6: /64) that are being connected at most; also its unidentified TCP connections.
    pub max_half_open_per_source: usize,
    /// A leg that is not connected after so long is closed.
    pub connect_timeout: Duration,
    /// After so much silence (no packet, no consent by RFC 7675) a leg counts as disconnected. With ICE lite consent depends on
    /// what the browser sends by itself, some every six seconds: two seconds are added.
    pub disconnected_after: Duration,
    /// After so much silence a leg is closed.
    pub failed_after: Duration,
    /// Commands that may wait per thread; a full queue answers [`WebRtcError::Busy`].
    pub command_capacity: usize,
    /// Send and receive buffer asked of the system per socket, bytes.
    pub socket_buffer: usize,
}

impl Default for WebRtcConfig {
    fn default() -> Self {
        Self {
            threads: 1,
            addresses: vec![Address::of(IpAddr::V4(Ipv4Addr::LOCALHOST))],
            first_port: 0,
            tcp: true,
            lite: true,
            clock: Instant::now(),
            formats: FORMATS.to_vec(),
            max_average_bitrate: 48_000,
            max_peers: 2_000,
            max_half_open: 200,
            max_half_open_per_source: 20,
            connect_timeout: Duration::from_secs(15),
            disconnected_after: Duration::from_secs(5),
            failed_after: Duration::from_secs(30),
            command_capacity: 256,
            socket_buffer: 4 << 20,
        }
    }
}

impl WebRtcConfig {
    pub(crate) fn check(&self) -> Result<(), WebRtcError> {
        let refuse = |why| Err(WebRtcError::Config(why));
        if !(1..=64).contains(&self.threads) {
            return refuse("threads must be 1 to 64");
        }
        if self.addresses.is_empty() || self.addresses.len() > 8 {
            return refuse("1 to 8 addresses are needed");
        }
        if self.addresses.iter().any(|a| a.visible().is_unspecified() || a.visible().is_multicast()) {
            return refuse("an address that is unspecified needs an advertised one that browsers can reach");
        }
        if self.addresses.iter().any(|a| a.visible().is_ipv4() != a.bind.is_ipv4()) {
            return refuse("an advertised address must be of the same family as the bound one");
        }
        let visible: std::collections::HashSet<_> = self.addresses.iter().map(Address::visible).collect();
        if visible.len() != self.addresses.len() {
            return refuse("an address is named twice");
        }
        if self.first_port != 0 && usize::from(self.first_port) + self.threads > 65_536 {
            return refuse("first_port and threads pass port 65535");
        }
        if self.formats.is_empty() || self.formats.iter().any(|format| !FORMATS.contains(format)) {
            return refuse("formats must be some of Opus, G.722, PCMU and PCMA");
        }
        if !(6_000..=510_000).contains(&self.max_average_bitrate) {
            return refuse("max_average_bitrate must be 6000 to 510000");
        }
        if self.max_peers == 0 || self.max_peers > 1 << 20 {
            return refuse("max_peers must be 1 to 1048576");
        }
        if self.max_half_open == 0 || self.max_half_open_per_source == 0 {
            return refuse("max_half_open and max_half_open_per_source must be at least 1");
        }
        if !(8..=1 << 16).contains(&self.command_capacity) {
            return refuse("command_capacity must be 8 to 65536");
        }
        if self.disconnected_after < Duration::from_secs(1) || self.failed_after <= self.silence() {
            return refuse(
                "disconnected_after must be at least 1 s, and failed_after longer (with ICE lite by two more seconds)",
            );
        }
        Ok(())
    }

    /// How long a leg may be silent before it counts as disconnected.
    pub(crate) fn silence(&self) -> Duration {
        if self.lite { self.disconnected_after + Duration::from_secs(2) } else { self.disconnected_after }
    }
}

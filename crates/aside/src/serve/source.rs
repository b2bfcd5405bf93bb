//! Where connections and requests come from, and how many of one source there may be at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use call::http::Network;

/// The source of a request.
#[derive(Clone)]
pub struct Source {
    /// The client; behind a proxy that is trusted, whom the proxy names. The port is the connection's.
    pub address: SocketAddr,
    /// Whether the client speaks TLS, as far as this server or a proxy that is trusted says.
    pub secure: bool,
    /// Of a request that a proxy passed on: its place among those of its source.
    pub place: Option<Arc<SourcePlace>>,
}

/// How many connections each source has. Sources without any are forgotten.
#[derive(Clone)]
pub struct Sources {
    most: usize,
    proxies: Arc<[Network]>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of a source, or one request of it through a proxy.
pub struct SourcePlace {
    ip: IpAddr,
    sources: Sources,
}

impl Sources {
    /// At most so many of each source; `proxies` pass on requests of others.
    pub fn new(most: usize, proxies: impl IntoIterator<Item = Network>) -> Self {
        Self { most, proxies: proxies.into_iter().collect(), held: Arc::default() }
    }

    /// Whether requests from there are others'.
    pub fn is_proxy(&self, ip: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(ip))
    }

    /// A place for one more; `None`: the source has as many as it may.
    pub fn take(&self, ip: IpAddr) -> Option<SourcePlace> {
        let ip = network_of(ip);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(ip).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(SourcePlace { ip, sources: self.clone() })
    }

    /// Whom a proxy passed a request on for: the last in `X-Forwarded-For` that is no proxy itself. What clients write there
    /// stands before what the proxy adds, and is not believed. `None`: it names nobody.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let values: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?")).collect();
        for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            // Beyond what cannot be read, nothing can be believed.
            let ip = address(hop.trim())?;
            if !self.is_proxy(ip) {
                return Some(ip);
            }
        }
        None
    }
}

/// Some proxies write the port too.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches(['[', ']']);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    ip.map(|ip| ip.to_canonical())
}

/// Whether a proxy says that its client speaks TLS.
pub fn forwarded_over_tls(headers: &HeaderMap) -> bool {
    let last = headers.get_all("x-forwarded-proto").iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    last.is_some_and(|scheme| matches!(scheme.trim(), "https" | "wss"))
}

/// An IPv6 source is its /64: one machine has all of it.
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for SourcePlace {
    fn drop(&mut self) {
        let mut held = self.sources.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(most: usize) -> Sources {
        Sources::new(most, ["10.0.0.0/8", "127.0.0.1"].into_iter().filter_map(Network::parse))
    }

    fn forwarded(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_proxys_client_is_the_last_that_is_no_proxy_whatever_he_claims_himself() {
        for (values, client) in [
            (&["198.51.100.7"][..], Some("198.51.100.7")),
            (&["192.0.2.1, 198.51.100.7"], Some("198.51.100.7")),
            (&["192.0.2.1", "198.51.100.7, 10.1.1.1"], Some("198.51.100.7")),
            (&["198.51.100.7:4711"], Some("198.51.100.7")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["::ffff:198.51.100.7"], Some("198.51.100.7")),
            (&["198.51.100.7, unknown"], None),
            (&["10.1.1.1"], None),
            (&[], None),
        ] {
            let found = sources(1).client(&forwarded(values)).map(|ip| ip.to_string());
            assert_eq!(found.as_deref(), client, "{values:?}");
        }
    }

    #[test]
    fn a_source_at_its_limit_leaves_the_rest_to_others_and_gets_places_back() {
        let sources = sources(2);
        let (one, other): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        let first = sources.take(one).expect("a place");
        let _second = sources.take(neighbour).expect("a place in the same /64");
        assert!(sources.take(one).is_none() && sources.take(other).is_some());
        drop(first);
        assert!(sources.take(one).is_some());
        assert_eq!(sources.held.lock().unwrap().len(), 1, "sources without connections are forgotten");
    }
}

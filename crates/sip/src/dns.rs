//! From a host name to an address (RFC 3263: SRV, then A and AAAA), behind one function.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use rsipstack::resolver::SipResolver;
use rsipstack::sip::{Domain, Transport as Theirs};

use crate::config::SipConfig;
use crate::leg::SipError;
use crate::transport::Transport;

const PATIENCE: Duration = Duration::from_secs(5);

/// Finds where requests for a host go. Local domains are never looked up.
pub(crate) async fn find(
    config: &SipConfig,
    host: &str,
    port: Option<u16>,
    transport: Transport,
) -> Result<SocketAddr, SipError> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if config.local_domains.iter().any(|d| d.trim_end_matches('.').eq_ignore_ascii_case(&host)) {
        return Err(SipError::LocalDomain(host));
    }
    if let Some(address) = config.hosts.get(&host) {
        return Ok(*address);
    }
    if let Ok(ip) = host.parse() {
        return Ok(SocketAddr::new(ip, port.unwrap_or(5060)));
    }
    static RESOLVER: OnceLock<SipResolver> = OnceLock::new();
    let resolver = RESOLVER.get_or_init(SipResolver::new);
    let theirs = match transport {
        Transport::Udp => Theirs::Udp,
        Transport::Tcp => Theirs::Tcp,
    };
    let unknown = |why: String| SipError::Resolve { host: host.clone(), why };
    let domain = Domain::from(host.as_str());
    let found = tokio::time::timeout(PATIENCE, resolver.lookup(&domain, port.map(Into::into), Some(theirs), false)).await;
    match found {
        Ok(Ok(targets)) => targets.first().map(|t| t.addr).ok_or_else(|| unknown("it has no address".to_owned())),
        Ok(Err(error)) => Err(unknown(error.to_string())),
        Err(_) => Err(unknown("the resolver did not answer in time".to_owned())),
    }
}

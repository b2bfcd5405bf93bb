//! From a host name to an address (RFC 3263: SRV, then A and AAAA), behind one function.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

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
    let unknown = |why: String| SipError::Resolve { host: host.clone(), why };
    match tokio::time::timeout(PATIENCE, look_up(&host, port, transport)).await {
        Ok(Ok(address)) => Ok(address),
        Ok(Err(why)) => Err(unknown(why)),
        Err(_) => Err(unknown("the resolver did not answer in time".to_owned())),
    }
}

async fn look_up(host: &str, port: Option<u16>, transport: Transport) -> Result<SocketAddr, String> {
    let resolver = resolver()?;
    if let Some(port) = port {
        return Ok(SocketAddr::new(address(resolver, host).await?, port));
    }
    let service = match transport {
        Transport::Udp => format!("_sip._udp.{host}."),
        Transport::Tcp => format!("_sip._tcp.{host}."),
    };
    // No SRV record is the common case, not a fault: RFC 3263 §4.2 goes on with A and AAAA.
    if let Ok(found) = resolver.srv_lookup(service).await {
        let mut servers: Vec<_> = found
            .message()
            .all_sections()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => {
                    Some((srv.priority, std::cmp::Reverse(srv.weight), srv.target.to_string(), srv.port))
                }
                _ => None,
            })
            .collect();
        servers.sort();
        if let Some((_, _, target, port)) = servers.first() {
            return Ok(SocketAddr::new(address(resolver, target).await?, *port));
        }
    }
    Ok(SocketAddr::new(address(resolver, host).await?, 5060))
}

async fn address(resolver: &TokioResolver, host: &str) -> Result<IpAddr, String> {
    let found = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
    found.iter().next().ok_or_else(|| "it has no address".to_owned())
}

fn resolver() -> Result<&'static TokioResolver, String> {
    static RESOLVER: OnceLock<Result<TokioResolver, String>> = OnceLock::new();
    let built =
        || TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| error.to_string());
    RESOLVER.get_or_init(built).as_ref().map_err(Clone::clone)
}

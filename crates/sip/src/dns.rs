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
    let found = look(config, host, port, transport, Reach::First).await?;
    let nowhere = || SipError::Resolve { host: host.to_owned(), why: "it has no address".to_owned() };
    found.first().copied().ok_or_else(nowhere)
}

/// Every address that a host has, in the order in which they are tried; at least one.
pub(crate) async fn find_all(
    config: &SipConfig,
    host: &str,
    port: Option<u16>,
    transport: Transport,
) -> Result<Vec<SocketAddr>, SipError> {
    look(config, host, port, transport, Reach::All).await
}

/// How much of what a name has is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    First,
    All,
}

async fn look(
    config: &SipConfig,
    host: &str,
    port: Option<u16>,
    transport: Transport,
    reach: Reach,
) -> Result<Vec<SocketAddr>, SipError> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if config.local_domains.iter().any(|d| d.trim_end_matches('.').eq_ignore_ascii_case(&host)) {
        return Err(SipError::LocalDomain(host));
    }
    // Browsers have no name; what they write ends so (RFC 7118 §5.1), and nobody else's may (RFC 6761 §6.4).
    if host.rsplit('.').next() == Some("invalid") {
        return Err(SipError::Resolve { host, why: "it names no host (.invalid)".to_owned() });
    }
    if let Some(address) = config.hosts.get(&host) {
        return Ok(vec![*address]);
    }
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port.unwrap_or(5060))]);
    }
    let unknown = |why: String| SipError::Resolve { host: host.clone(), why };
    match tokio::time::timeout(PATIENCE, look_up(&host, port, transport, reach)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(why)) => Err(unknown(why)),
        Err(_) => Err(unknown("the resolver did not answer in time".to_owned())),
    }
}

/// At least one address.
async fn look_up(host: &str, port: Option<u16>, transport: Transport, reach: Reach) -> Result<Vec<SocketAddr>, String> {
    let resolver = resolver()?;
    let at = |port: u16| move |ip: IpAddr| SocketAddr::new(ip, port);
    if let Some(port) = port {
        return Ok(addresses(resolver, host).await?.into_iter().map(at(port)).collect());
    }
    let service = match transport {
        Transport::Udp => format!("_sip._udp.{host}."),
        Transport::Tcp => format!("_sip._tcp.{host}."),
        Transport::Ws | Transport::Wss => {
            return Err("a browser is only reached by the contact it registered".to_owned());
        }
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
        if reach == Reach::First {
            servers.truncate(1);
        }
        let (mut all, mut failed) = (Vec::new(), None);
        for (_, _, target, port) in servers {
            match addresses(resolver, &target).await {
                Ok(found) => all.extend(found.into_iter().map(at(port))),
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        match failed {
            Some(why) if all.is_empty() => return Err(why),
            _ if !all.is_empty() => return Ok(all),
            _ => {}
        }
    }
    Ok(addresses(resolver, host).await?.into_iter().map(at(5060)).collect())
}

/// At least one.
async fn addresses(resolver: &TokioResolver, host: &str) -> Result<Vec<IpAddr>, String> {
    let found = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
    let all: Vec<IpAddr> = found.iter().collect();
    if all.is_empty() { Err("it has no address".to_owned()) } else { Ok(all) }
}

fn resolver() -> Result<&'static TokioResolver, String> {
    static RESOLVER: OnceLock<Result<TokioResolver, String>> = OnceLock::new();
    let built =
        || TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| error.to_string());
    RESOLVER.get_or_init(built).as_ref().map_err(Clone::clone)
}

//! `/SipGateways`: where calls of a carrier come from, and where they go.

use std::net::IpAddr;

use axum::http::{Method, StatusCode};
use call::carriers::Claim;
use store::{Gateway, Transport, Trunk};
use uuid::Uuid;

use super::answer::{Answer, Result};
use super::asked::{Asked, Scope, Who, flag, listed, uuid};
use super::carriers::put;
use super::server::Api;
use crate::json::{Object, Value};

/// Fewest leading bits of an IPv4 network that calls may come from; a wider one would be half of the Internet.
const WIDEST_V4: u32 = 16;
/// The same of an IPv6 network.
const WIDEST_V6: u32 = 32;

pub(super) async fn dispatch(api: &Api, asked: &Asked, scope: &Scope, rest: &[&str]) -> Result {
    match (&asked.method, rest) {
        (&Method::GET, []) => list(api, asked, scope).await,
        (&Method::POST, []) => create(api, asked, scope).await,
        (&Method::GET, [sid]) => {
            let (trunk, place) = find(api, scope, sid).await?;
            let gateway = trunk.gateways().into_iter().nth(place).ok_or_else(Answer::not_found)?;
            Ok(Answer::ok(record(&trunk, &gateway)))
        }
        (&Method::PUT, [sid]) => {
            let (mut trunk, place) = find(api, scope, sid).await?;
            let (before, mut gateways) = (trunk.clone(), trunk.gateways());
            apply(asked, gateways.get_mut(place).ok_or_else(Answer::not_found)?)?;
            trunk.set_gateways(gateways)?;
            of_nobody_else(api, asked, &trunk, &before).await?;
            put(api, trunk).await?;
            Ok(Answer::done())
        }
        (&Method::DELETE, [sid]) => {
            let (mut trunk, place) = find(api, scope, sid).await?;
            let mut gateways = trunk.gateways();
            if place < gateways.len() {
                gateways.remove(place);
            }
            trunk.set_gateways(gateways)?;
            put(api, trunk).await?;
            Ok(Answer::done())
        }
        _ => Err(Answer::not_found()),
    }
}

/// Refuses an account the carrier of another one: it trusts this server, and would let both call.
async fn of_nobody_else(api: &Api, asked: &Asked, trunk: &Trunk, before: &Trunk) -> Result<()> {
    let same = before.host == trunk.host && before.sources == trunk.sources;
    // What goes away is nobody's business.
    let gone = trunk.host.is_none() && trunk.sources.iter().all(|block| before.sources.contains(block));
    if same || gone || matches!(asked.who, Who::Operator) {
        return Ok(());
    }
    if api.signalling.claim(trunk).await? == Claim::Free {
        return Ok(());
    }
    let words = "another account has a carrier at this address; an operator's key can add it";
    Err(Answer::refused(StatusCode::FORBIDDEN, words))
}

/// The carrier that has this gateway, and the gateway's place in its list.
async fn find(api: &Api, scope: &Scope, sid: &str) -> Result<(Trunk, usize)> {
    let sid = uuid(sid)?;
    for account in scope.accounts() {
        for trunk in api.store.trunks(account.id).await? {
            if let Some(place) = trunk.gateways().iter().position(|gateway| gateway.sid == sid) {
                return Ok((trunk, place));
            }
        }
    }
    Err(Answer::not_found())
}

/// The carrier of this sid.
async fn carrier(api: &Api, scope: &Scope, sid: &str) -> Result<Trunk> {
    let unknown = || Answer::bad("unknown voip_carrier_sid");
    let sid = Uuid::parse_str(sid).map_err(|_| unknown())?;
    for account in scope.accounts() {
        if let Some(trunk) = api.store.trunk(account.id, sid.into()).await? {
            return Ok(trunk);
        }
    }
    Err(unknown())
}

async fn list(api: &Api, asked: &Asked, scope: &Scope) -> Result {
    let mut trunks = Vec::new();
    match asked.parameter("voip_carrier_sid") {
        Some(sid) => trunks.push(carrier(api, scope, sid).await?),
        None => {
            for account in scope.accounts() {
                trunks.extend(api.store.trunks(account.id).await?);
            }
        }
    }
    let records = |trunk: &Trunk| trunk.gateways().iter().map(|one| record(trunk, one)).collect::<Vec<_>>();
    listed(asked, trunks.iter().flat_map(records).collect())
}

async fn create(api: &Api, asked: &Asked, scope: &Scope) -> Result {
    let properties = asked.properties()?;
    let sid = properties.line("voip_carrier_sid")?.ok_or_else(|| Answer::bad("missing voip_carrier_sid"))?;
    let address = properties.line("ipv4")?.filter(|text| !text.is_empty());
    let mut trunk = carrier(api, scope, &sid).await?;
    let mut gateway = Gateway {
        sid: store::id::uuid(),
        address: address.ok_or_else(|| Answer::bad("missing ipv4"))?,
        netmask: 32,
        port: None,
        transport: Transport::Udp,
        inbound: false,
        outbound: false,
        active: true,
    };
    if gateway.address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
        gateway.netmask = 128;
    }
    apply(asked, &mut gateway)?;
    if !gateway.inbound && !gateway.outbound {
        return Err(Answer::bad("a gateway must be inbound, outbound, or both"));
    }
    let sid = gateway.sid;
    let (before, mut gateways) = (trunk.clone(), trunk.gateways());
    gateways.push(gateway);
    trunk.set_gateways(gateways)?;
    of_nobody_else(api, asked, &trunk, &before).await?;
    put(api, trunk).await?;
    Ok(Answer::created(sid))
}

fn apply(asked: &Asked, gateway: &mut Gateway) -> Result<()> {
    let properties = asked.properties()?;
    if let Some(address) = properties.line("ipv4")?.filter(|text| !text.is_empty()) {
        Trunk::check_host(&address)?;
        gateway.address = address;
    }
    for (name, field) in
        [("inbound", &mut gateway.inbound), ("outbound", &mut gateway.outbound), ("is_active", &mut gateway.active)]
    {
        if let Some(value) = flag(asked, name)? {
            *field = value;
        }
    }
    if let Some(protocol) = properties.choice(
        "protocol",
        &[("udp", Some(Transport::Udp)), ("tcp", Some(Transport::Tcp)), ("tls", None), ("tls/srtp", None)],
    )? {
        gateway.transport = protocol
            .ok_or_else(|| Answer::bad("carriers cannot use TLS yet: choose tcp or udp, inside a network you trust"))?;
    }
    match asked.object()?.get("port") {
        None => {}
        Some(Value::Null) => gateway.port = None,
        Some(_) => {
            let port = properties.number("port")?.filter(|port| port.fract() == 0.0 && (1.0..=65_535.0).contains(port));
            let port = port.ok_or_else(|| Answer::bad("port must be a number from 1 to 65535"))?;
            gateway.port = u16::try_from(crate::fault::whole(port, 1, 65_535)).ok();
        }
    }
    let v6 = gateway.address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
    let (widest, whole) = if v6 { (WIDEST_V6, 128) } else { (WIDEST_V4, 32) };
    if let Some(mask) = properties.number("netmask")? {
        if mask.fract() != 0.0 || !(f64::from(widest)..=f64::from(whole)).contains(&mask) {
            return Err(Answer::bad(format!("netmask must be a number from {widest} to {whole}")));
        }
        gateway.netmask = u8::try_from(crate::fault::whole(mask, widest, whole)).unwrap_or(32);
    }
    Ok(())
}

fn record(trunk: &Trunk, gateway: &Gateway) -> Object {
    let mut body = Object::new();
    body.set("sip_gateway_sid", gateway.sid.to_string());
    body.set("voip_carrier_sid", trunk.id.to_string());
    body.set("ipv4", gateway.address.as_str());
    body.set("port", gateway.port.map_or(Value::Null, Value::from));
    body.set("netmask", u32::from(gateway.netmask));
    body.set("inbound", gateway.inbound);
    body.set("outbound", gateway.outbound);
    body.set("is_active", gateway.active);
    body.set("protocol", gateway.transport.as_str());
    body
}

//! Gateways: a trunk's sources and its host, each as a thing with an id, as jambonz's REST interface has them.
//!
//! What counts is the trunk's `sources`, `host`, `port` and `transport`. The list of gateways only remembers in which pieces,
//! and under which ids, they were written; what was written otherwise gets an id from what it says.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::column::json_column;
use crate::error::{Result, StoreError};
use crate::trunk::{Cidr, Transport, Trunk};

/// Where calls of a trunk come from, or go, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its id.
    pub sid: Uuid,
    /// A name or an address; an address if calls come in from it.
    pub address: String,
    /// Leading bits of the address that count, for calls in.
    pub netmask: u8,
    /// For calls out; if none, by DNS or the transport's default.
    pub port: Option<u16>,
    /// For calls out.
    pub transport: Transport,
    /// Whether calls come from there.
    pub inbound: bool,
    /// Whether calls go there.
    pub outbound: bool,
    /// Whether it is in use.
    pub active: bool,
}

json_column!(Vec<Gateway>);

impl Gateway {
    /// The block of addresses that calls come from.
    ///
    /// # Errors
    /// `Invalid`: the address is none, or the mask is too wide for it.
    pub fn block(&self) -> Result<Cidr> {
        let invalid = |why: String| StoreError::Invalid { what: "gateway", why };
        let address: IpAddr = self.address.parse().map_err(|_| {
            invalid(format!("{:?} is no IP address; calls come in from addresses, not from names", self.address))
        })?;
        format!("{address}/{}", self.netmask)
            .parse()
            .map_err(|_| invalid(format!("netmask {} is longer than the address", self.netmask)))
    }

    fn leads_out(&self, trunk: &Trunk) -> bool {
        trunk.host.as_deref() == Some(self.address.as_str())
            && trunk.port == self.port
            && trunk.transport == self.transport
    }
}

impl Trunk {
    /// The gateways that this trunk's sources and host are.
    pub fn gateways(&self) -> Vec<Gateway> {
        let mut gateways: Vec<Gateway> = Vec::new();
        for mut gateway in self.gateways.iter().cloned() {
            if gateway.active {
                gateway.inbound &= gateway.block().is_ok_and(|block| self.sources.contains(&block));
                gateway.outbound &= gateway.leads_out(self);
                // The trunk says otherwise by now.
                if !gateway.inbound && !gateway.outbound {
                    continue;
                }
            }
            gateways.push(gateway);
        }
        for block in &self.sources {
            let known = |gateway: &Gateway| {
                gateway.active && gateway.inbound && gateway.block().is_ok_and(|known| known == *block)
            };
            if !gateways.iter().any(known) {
                gateways.push(Gateway {
                    sid: self.gateway_id(&block.to_string()),
                    address: block.address().to_string(),
                    netmask: block.prefix(),
                    port: None,
                    transport: self.transport,
                    inbound: true,
                    outbound: false,
                    active: true,
                });
            }
        }
        if let Some(host) = &self.host
            && !gateways.iter().any(|gateway| gateway.active && gateway.outbound)
        {
            gateways.push(Gateway {
                sid: self.gateway_id(host),
                address: host.clone(),
                netmask: if host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) { 128 } else { 32 },
                port: self.port,
                transport: self.transport,
                inbound: false,
                outbound: true,
                active: true,
            });
        }
        gateways
    }

    /// Makes these its gateways: its sources and host are what they say.
    ///
    /// # Errors
    /// `Invalid`: several lead out, or calls come in from what is no address. The trunk is as before then.
    pub fn set_gateways(&mut self, gateways: Vec<Gateway>) -> Result<()> {
        let active = || gateways.iter().filter(|gateway| gateway.active);
        let sources = active().filter(|gateway| gateway.inbound).map(Gateway::block).collect::<Result<Vec<_>>>()?;
        let mut out = active().filter(|gateway| gateway.outbound);
        let (first, second) = (out.next(), out.next());
        if second.is_some() {
            let why =
                "a carrier has one gateway for calls out here; make the other one inbound, or another carrier of it";
            return Err(StoreError::Invalid { what: "gateway", why: why.to_owned() });
        }
        self.host = first.map(|gateway| gateway.address.clone());
        self.port = first.and_then(|gateway| gateway.port);
        self.transport = first.map_or(self.transport, |gateway| gateway.transport);
        self.sources.clear();
        for block in sources {
            if !self.sources.contains(&block) {
                self.sources.push(block);
            }
        }
        self.gateways = gateways;
        Ok(())
    }

    /// The id of a gateway that was never given one: the same as long as it says the same.
    fn gateway_id(&self, says: &str) -> Uuid {
        let digest = Sha256::digest(format!("{} {says}", self.id));
        let mut bytes = [0u8; 16];
        bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountId, Timestamp};

    fn trunk() -> Trunk {
        Trunk::new(AccountId::generate(), "carrier", Timestamp::from_micros(0))
    }

    fn gateway(address: &str, inbound: bool, outbound: bool) -> Gateway {
        Gateway {
            sid: crate::id::uuid(),
            address: address.to_owned(),
            netmask: 32,
            port: Some(5060),
            transport: Transport::Tcp,
            inbound,
            outbound,
            active: true,
        }
    }

    #[test]
    fn gateways_that_were_never_written_have_lasting_ids() {
        let mut carrier = trunk();
        carrier.sources = vec!["192.0.2.0/24".parse().expect("block")];
        carrier.host = Some("sip.carrier.test".to_owned());
        let before = carrier.gateways();
        assert_eq!(before.len(), 2);
        carrier.name = "renamed".to_owned();
        assert_eq!(carrier.gateways(), before);
        carrier.set_gateways(before.clone()).expect("they say what is");
        assert_eq!(carrier.gateways(), before);
        assert_ne!(trunk().gateway_id("a"), trunk().gateway_id("a"), "another trunk's gateways have other ids");
    }

    #[test]
    fn gateways_become_sources_and_host_and_follow_what_the_operator_changes() {
        let mut carrier = trunk();
        let (both, out) = (gateway("192.0.2.7", true, true), gateway("sip.carrier.test", false, true));
        carrier.set_gateways(vec![both.clone()]).expect("one");
        assert_eq!(carrier.sources, ["192.0.2.7".parse().expect("block")]);
        assert_eq!((carrier.host.as_deref(), carrier.port), (Some("192.0.2.7"), Some(5060)));
        assert_eq!(carrier.gateways(), std::slice::from_ref(&both));
        let was = carrier.clone();
        assert!(carrier.set_gateways(vec![both.clone(), out.clone()]).is_err(), "two lead out");
        assert!(carrier.set_gateways(vec![gateway("carrier.test", true, false)]).is_err(), "a name calls in");
        assert_eq!(carrier, was);
        let idle = Gateway { active: false, ..out };
        carrier.set_gateways(vec![both.clone(), idle.clone()]).expect("one of them is idle");
        assert_eq!(carrier.gateways(), [both.clone(), idle.clone()]);
        // The operator gives the trunk another host and takes its source away.
        carrier.host = Some("other.test".to_owned());
        carrier.sources.clear();
        let now = carrier.gateways();
        assert_eq!(now.len(), 2);
        assert_eq!((&now[0], now[1].address.as_str()), (&idle, "other.test"));
        carrier.set_gateways(Vec::new()).expect("none");
        assert_eq!((carrier.host.as_deref(), carrier.sources.len()), (None, 0));
    }
}

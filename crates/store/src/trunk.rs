//! Trunks: SIP carriers, who may use them and for what.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rusqlite::Connection;
use rusqlite::types::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::account::{delete, delete_used};
use crate::column::{Column, json_column, record, select, select_one, text_enum, upsert};
use crate::error::{Result, StoreError};
use crate::gateway::Gateway;
use crate::id::{AccountId, TrunkId};
use crate::secret::Secret;
use crate::store::Store;
use crate::time::Timestamp;

/// Calls out per second of a trunk that nobody said otherwise of.
pub const DEFAULT_CALLS_PER_SECOND: u32 = 10;
/// Calls at once of a trunk that nobody said otherwise of.
pub const DEFAULT_CONCURRENT_CALLS: u32 = 100;

text_enum! {
    /// How SIP travels.
    pub enum Transport {
        /// UDP.
        Udp = "udp",
        /// TCP.
        Tcp = "tcp",
        /// TLS over TCP.
        Tls = "tls",
    }
}

/// A block of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Its address as written; bits behind the prefix mean nothing.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits count.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` is in the block. IPv4 in IPv6 form (`::ffff:192.0.2.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (block.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (block.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || StoreError::Invalid {
            what: "address block",
            why: format!("{text:?} is not an address such as 192.0.2.1 or a block such as 192.0.2.0/24"),
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(width);
        if prefix > width { Err(invalid()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What may stand in From on calls out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerIdRules {
    /// Used when the asked-for caller id is not allowed; if none, the call is refused.
    pub default: Option<String>,
    /// Allowed caller ids, as prefixes of digits; `""` allows any.
    pub allowed: Vec<String>,
}

json_column!(Vec<Cidr>, CallerIdRules);

record! {
    /// A trunk. Nothing is open by default: no source address comes in, no destination goes out, unless listed.
    pub struct Trunk in "trunks" as "a trunk", key (account, id) {
        /// Whose.
        pub account: AccountId,
        /// Its UUID, unique.
        pub id: TrunkId,
        /// Unique in the account.
        pub name: String,
        /// Where its calls come from.
        pub sources: Vec<Cidr>,
        /// Where calls out go; none for a trunk that only brings calls in.
        pub host: Option<String>,
        /// Port of `host`; if none, by DNS or the transport's default.
        pub port: Option<u16>,
        /// For calls out.
        pub transport: Transport,
        /// For digest on calls out.
        pub username: Option<String>,
        /// For digest on calls out; stored recoverable, since the challenge's realm is not known beforehand.
        pub password: Option<Secret>,
        /// What may stand in From.
        pub caller_id: CallerIdRules,
        /// Destinations that may be dialled, as prefixes of digits; none: no calls out; `""`: any.
        pub allowed_prefixes: Vec<String>,
        /// Most calls out per second, by all who use it.
        pub max_calls_per_second: u32,
        /// Most calls at once, in and out, by all who use it.
        pub max_concurrent: u32,
        /// Whether it is in use.
        pub enabled: bool,
        /// When it was made.
        pub created_at: Timestamp,
        /// The pieces in which `sources` and `host` were written; see [`Trunk::gateways`].
        pub gateways: Vec<Gateway>,
    }
}

impl Trunk {
    /// A new trunk by which no call comes or goes, with the usual limits.
    pub fn new(account: AccountId, name: impl Into<String>, created_at: Timestamp) -> Self {
        Self {
            account,
            id: TrunkId::generate(),
            name: name.into(),
            sources: Vec::new(),
            host: None,
            port: None,
            transport: Transport::Udp,
            username: None,
            password: None,
            caller_id: CallerIdRules::default(),
            allowed_prefixes: Vec::new(),
            max_calls_per_second: DEFAULT_CALLS_PER_SECOND,
            max_concurrent: DEFAULT_CONCURRENT_CALLS,
            enabled: true,
            created_at,
            gateways: Vec::new(),
        }
    }

    /// Checks where calls out go.
    ///
    /// # Errors
    /// `Invalid`: it is neither a name nor an address.
    pub fn check_host(host: &str) -> Result<()> {
        let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '@';
        if host.is_empty() || host.len() > 253 || host.contains(wrong) {
            let why = format!("{host:?}: write a name or an address such as sip.example.com");
            return Err(StoreError::Invalid { what: "host", why });
        }
        Ok(())
    }
}

record! {
    /// Leave for an account (or sub-account) other than the owner to use a trunk, within its own limits as well as the trunk's.
    pub struct TrunkGrant in "trunk_grants" as "a trunk grant", key (account, trunk) {
        /// Who may use it.
        pub account: AccountId,
        /// Which.
        pub trunk: TrunkId,
        /// Destinations that this account may dial, as prefixes of digits; none: no calls out.
        pub allowed_prefixes: Vec<String>,
        /// Most calls out per second by this account.
        pub max_calls_per_second: u32,
        /// Most calls at once by this account.
        pub max_concurrent: u32,
    }
}

/// A trunk that an account may use.
#[derive(Clone, Debug, PartialEq)]
pub struct UsableTrunk {
    /// The trunk.
    pub trunk: Trunk,
    /// The leave to use it; none for the owner.
    pub grant: Option<TrunkGrant>,
}

impl UsableTrunk {
    /// Whether `digits` (E.164 without `+`) may be dialled: by the trunk's list and by the grant's.
    pub fn permits(&self, digits: &str) -> bool {
        let listed = |prefixes: &[String]| prefixes.iter().any(|prefix| digits.starts_with(prefix.as_str()));
        self.trunk.host.is_some()
            && listed(&self.trunk.allowed_prefixes)
            && self.grant.as_ref().is_none_or(|grant| listed(&grant.allowed_prefixes))
    }
}

pub(crate) fn put(conn: &Connection, trunk: &Trunk) -> Result<()> {
    upsert(conn, trunk)
}

pub(crate) fn remove(conn: &Connection, account: AccountId, id: TrunkId) -> Result<()> {
    let text = "DELETE FROM trunks WHERE account = ?1 AND id = ?2";
    // A number that comes in on it may be another account's, whose business it is then.
    let users = [(
        "the number",
        "SELECT CASE account WHEN ?1 THEN number ELSE 'of another account' END FROM numbers WHERE trunk = ?2 LIMIT 1",
    )];
    delete_used(conn, "deleting a trunk", text, [account.put(), id.put()], &users)
}

/// Only the owner can give leave.
pub(crate) fn put_grant(conn: &Connection, owner: AccountId, grant: &TrunkGrant) -> Result<()> {
    let found: Option<Trunk> = select_one(conn, "WHERE account = ? AND id = ?", [owner.put(), grant.trunk.put()])?;
    found.ok_or(StoreError::NotFound { what: "granting a trunk" })?;
    upsert(conn, grant)
}

pub(crate) fn remove_grant(conn: &Connection, owner: AccountId, account: AccountId, trunk: TrunkId) -> Result<()> {
    let text = "DELETE FROM trunk_grants WHERE account = ? AND trunk = ?
                AND EXISTS (SELECT 1 FROM trunks WHERE trunks.id = trunk AND trunks.account = ?)";
    delete(conn, "withdrawing a trunk grant", text, [account.put(), trunk.put(), owner.put()])
}

/// The enabled trunks of enabled accounts.
fn enabled(conn: &Connection) -> Result<Vec<Trunk>> {
    let rest =
        "WHERE enabled = 1 AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = account AND accounts.enabled = 1)
                ORDER BY id";
    select(conn, rest, [])
}

impl Store {
    /// A trunk of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn trunk(&self, account: AccountId, id: TrunkId) -> Result<Option<Trunk>> {
        let values = [account.put(), id.put()];
        self.read("reading a trunk", move |conn| select_one(conn, "WHERE account = ? AND id = ?", values)).await
    }

    /// A trunk of the account by its name.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn trunk_by_name(&self, account: AccountId, name: &str) -> Result<Option<Trunk>> {
        let values = [account.put(), Value::Text(name.to_owned())];
        self.read("reading a trunk", move |conn| select_one(conn, "WHERE account = ? AND name = ?", values)).await
    }

    /// The account's own trunks by name.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn trunks(&self, account: AccountId) -> Result<Vec<Trunk>> {
        self.read("reading trunks", move |conn| select(conn, "WHERE account = ? ORDER BY name", [account.put()])).await
    }

    /// The enabled trunks that the account may use: its own, then those it has a grant for.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn usable_trunks(&self, account: AccountId) -> Result<Vec<UsableTrunk>> {
        self.read("reading trunks", move |conn| {
            let own: Vec<Trunk> = select(conn, "WHERE account = ? AND enabled = 1 ORDER BY name", [account.put()])?;
            let mut usable: Vec<UsableTrunk> =
                own.into_iter().map(|trunk| UsableTrunk { trunk, grant: None }).collect();
            let grants: Vec<TrunkGrant> = select(conn, "WHERE account = ? ORDER BY trunk", [account.put()])?;
            for grant in grants {
                let trunk: Option<Trunk> = select_one(conn, "WHERE id = ? AND enabled = 1", [grant.trunk.put()])?;
                usable.extend(
                    trunk
                        .filter(|trunk| trunk.account != account)
                        .map(|trunk| UsableTrunk { trunk, grant: Some(grant) }),
                );
            }
            Ok(usable)
        })
        .await
    }

    /// The leaves that the owner has given to use one of his trunks.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn trunk_grants(&self, owner: AccountId, trunk: TrunkId) -> Result<Vec<TrunkGrant>> {
        let rest = "WHERE trunk = ? AND EXISTS (SELECT 1 FROM trunks WHERE trunks.id = trunk AND trunks.account = ?)
                    ORDER BY account";
        self.read("reading trunk grants", move |conn| select(conn, rest, [trunk.put(), owner.put()])).await
    }

    /// The trunks of all accounts, those that are not in use as well.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn all_trunks(&self) -> Result<Vec<Trunk>> {
        self.read("reading trunks", move |conn| select(conn, "ORDER BY id", [])).await
    }

    /// Where the calls of enabled trunks come from, of all enabled accounts.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn trunk_sources(&self) -> Result<Vec<Cidr>> {
        self.read("reading trunks", move |conn| {
            Ok(enabled(conn)?.into_iter().flat_map(|trunk| trunk.sources).collect())
        })
        .await
    }

    /// The enabled trunks, of any enabled account, that calls from `source` come in on. This is how such a call finds its account,
    /// so it takes none; where several match, the called number decides.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn resolve_trunks(&self, source: IpAddr) -> Result<Vec<Trunk>> {
        self.read("reading trunks", move |conn| {
            Ok(enabled(conn)?
                .into_iter()
                .filter(|trunk| trunk.sources.iter().any(|block| block.contains(source)))
                .collect())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_outside_every_listed_block_is_not_a_trunks() {
        let block = |text: &str| text.parse::<Cidr>().expect(text);
        let address = |text: &str| text.parse::<IpAddr>().expect(text);
        assert!(block("192.0.2.0/24").contains(address("192.0.2.255")));
        assert!(block("192.0.2.0/24").contains(address("::ffff:192.0.2.7")));
        assert!(!block("192.0.2.0/24").contains(address("192.0.3.0")));
        assert!(block("192.0.2.1").contains(address("192.0.2.1")));
        assert!(!block("192.0.2.1").contains(address("192.0.2.2")));
        assert!(block("0.0.0.0/0").contains(address("203.0.113.9")));
        assert!(!block("0.0.0.0/0").contains(address("2001:db8::1")));
        assert!(block("2001:db8::/32").contains(address("2001:db8:ffff::1")));
        assert!(!block("2001:db8::/32").contains(address("2001:db9::1")));
        for wrong in ["", "192.0.2.0/33", "192.0.2/24", "a/8", "192.0.2.0/-1", "::/129"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong} should be refused");
        }
    }
}

//! Trunks: SIP carriers.

use call::carriers::Claim;
use clap::Args;
use serde::{Deserialize, Serialize};
use store::{
    Account, CallerIdRules, Cidr, DEFAULT_CALLS_PER_SECOND as DEFAULT_RATE,
    DEFAULT_CONCURRENT_CALLS as DEFAULT_CONCURRENT, Secret, Timestamp, Transport, Trunk,
};
use utoipa::ToSchema;

use super::object::TrunkObject;
use super::select::{check_name, set, set_or_clear};
use super::{Action, Answer, By, ManageError, Manager, Refusal, many, one};

/// A new trunk. Nothing is open unless it is named: no source comes in, no destination goes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkCreate {
    /// For people, unique in the account.
    pub name: String,
    /// A network its calls come from, such as 192.0.2.0/24; may be repeated.
    #[arg(long = "source")]
    #[serde(default)]
    pub sources: Vec<String>,
    /// Where calls out go.
    #[arg(long)]
    #[serde(default)]
    pub host: Option<String>,
    /// Port of the host.
    #[arg(long)]
    #[serde(default)]
    pub port: Option<u16>,
    /// `udp` or `tcp`; udp if left out.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub transport: Option<Transport>,
    /// For digest on calls out.
    #[arg(long)]
    #[serde(default)]
    pub username: Option<String>,
    /// For digest on calls out. On the command line `-` reads it from the standard input.
    #[arg(long)]
    #[serde(default)]
    pub password: Option<String>,
    /// Caller id where the asked-for one is not allowed; without it such calls are refused.
    #[arg(long)]
    #[serde(default)]
    pub caller_id: Option<String>,
    /// Caller ids that may be shown, as prefixes of digits; may be repeated, an empty text allows any.
    #[arg(long = "allow-caller-id")]
    #[serde(default)]
    pub allowed_caller_ids: Vec<String>,
    /// Destinations that may be dialled, as prefixes of digits; may be repeated, an empty text allows any.
    #[arg(long = "allow-prefix")]
    #[serde(default)]
    pub allowed_prefixes: Vec<String>,
    /// Most calls out per second.
    #[arg(long, default_value_t = DEFAULT_RATE)]
    #[serde(default = "default_rate")]
    pub calls_per_second: u32,
    /// Most calls at once, in and out.
    #[arg(long, default_value_t = DEFAULT_CONCURRENT)]
    #[serde(default = "default_concurrent")]
    pub max_concurrent: u32,
}

fn default_rate() -> u32 {
    DEFAULT_RATE
}

fn default_concurrent() -> u32 {
    DEFAULT_CONCURRENT
}

/// A changed trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrunkUpdate {
    /// For people, unique in the account.
    #[arg(long)]
    pub name: Option<String>,
    /// The networks its calls come from, all of them; may be repeated.
    #[arg(long = "source")]
    pub sources: Option<Vec<String>>,
    /// Where calls out go; an empty text clears it.
    #[arg(long)]
    pub host: Option<String>,
    /// Port of the host; 0 clears it.
    #[arg(long)]
    pub port: Option<u16>,
    /// `udp` or `tcp`.
    #[arg(long)]
    #[schema(value_type = Option<String>)]
    pub transport: Option<Transport>,
    /// For digest on calls out; an empty text clears it.
    #[arg(long)]
    pub username: Option<String>,
    /// For digest on calls out; an empty text clears it. On the command line `-` reads it from the standard input.
    #[arg(long)]
    pub password: Option<String>,
    /// Caller id where the asked-for one is not allowed; an empty text clears it.
    #[arg(long)]
    pub caller_id: Option<String>,
    /// Caller ids that may be shown, all of them, as prefixes of digits; may be repeated.
    #[arg(long = "allow-caller-id")]
    pub allowed_caller_ids: Option<Vec<String>>,
    /// Destinations that may be dialled, all of them, as prefixes of digits; may be repeated.
    #[arg(long = "allow-prefix")]
    pub allowed_prefixes: Option<Vec<String>>,
    /// Most calls out per second.
    #[arg(long)]
    pub calls_per_second: Option<u32>,
    /// Most calls at once, in and out.
    #[arg(long)]
    pub max_concurrent: Option<u32>,
    /// Whether it is in use.
    #[arg(long)]
    pub enabled: Option<bool>,
}

impl Manager {
    pub(super) async fn trunks(
        &self,
        account: &Account,
        action: Action<TrunkCreate, TrunkUpdate>,
        now: Timestamp,
    ) -> Result<Answer, ManageError> {
        let asked = match &action {
            Action::Create(new) => new.transport,
            Action::Update(changed) => changed.change.transport,
            _ => None,
        };
        if asked == Some(Transport::Tls) {
            let message = "trunks cannot use TLS yet: choose tcp or udp, inside a network you trust".to_owned();
            return Err(ManageError { kind: Refusal::Invalid, message });
        }
        match action {
            Action::Create(new) => {
                let trunk = Trunk {
                    sources: networks(&new.sources)?,
                    host: new.host,
                    port: new.port,
                    transport: new.transport.unwrap_or(Transport::Udp),
                    username: new.username,
                    password: new.password.map(Secret::new),
                    caller_id: CallerIdRules { default: new.caller_id, allowed: new.allowed_caller_ids },
                    allowed_prefixes: new.allowed_prefixes,
                    max_calls_per_second: new.calls_per_second,
                    max_concurrent: new.max_concurrent,
                    ..Trunk::new(account.id, new.name, now)
                };
                self.put_trunk(trunk).await
            }
            Action::List(listing) => {
                let (trunks, total) = listing.cut(self.store.trunks(account.id).await?);
                many(trunks.iter().map(TrunkObject::of).collect(), total)
            }
            Action::Show(named) => one(&TrunkObject::of(&self.trunk(account, &named.id).await?)),
            Action::Update(change) => {
                let mut trunk = self.trunk(account, &change.id).await?;
                let change = change.change;
                set(&mut trunk.name, change.name);
                if let Some(sources) = change.sources {
                    trunk.sources = networks(&sources)?;
                }
                set_or_clear(&mut trunk.host, change.host);
                if let Some(port) = change.port {
                    trunk.port = Some(port).filter(|port| *port != 0);
                }
                set(&mut trunk.transport, change.transport);
                set_or_clear(&mut trunk.username, change.username);
                if let Some(password) = change.password {
                    trunk.password = Some(password).filter(|password| !password.is_empty()).map(Secret::new);
                }
                set_or_clear(&mut trunk.caller_id.default, change.caller_id);
                set(&mut trunk.caller_id.allowed, change.allowed_caller_ids);
                set(&mut trunk.allowed_prefixes, change.allowed_prefixes);
                set(&mut trunk.max_calls_per_second, change.calls_per_second);
                set(&mut trunk.max_concurrent, change.max_concurrent);
                set(&mut trunk.enabled, change.enabled);
                self.put_trunk(trunk).await
            }
            Action::Delete(named) => {
                let trunk = self.trunk(account, &named.id).await?;
                self.store.batch().delete_trunk(account.id, trunk.id).commit().await?;
                self.trust_trunks().await;
                Ok(Answer::Deleted(trunk.id.to_string()))
            }
        }
    }

    async fn put_trunk(&self, trunk: Trunk) -> Result<Answer, ManageError> {
        check_name("name", &trunk.name)?;
        if let Some(host) = &trunk.host {
            Trunk::check_host(host)?;
        }
        if trunk.username.is_some() != trunk.password.is_some() {
            return Err(ManageError::invalid("username and password: give both, or neither"));
        }
        for (what, list) in [("allow-prefix", &trunk.allowed_prefixes), ("allow-caller-id", &trunk.caller_id.allowed)] {
            check_prefixes(what, list)?;
        }
        if self.by == By::Account {
            let before = self.store.trunk(trunk.account, trunk.id).await?;
            let same = |before: &Trunk| before.host == trunk.host && before.sources == trunk.sources;
            if !before.as_ref().is_some_and(same) && self.claim(&trunk).await? == Claim::Anothers {
                return Err(ManageError::conflict(
                    "another account has a carrier at this host or these sources; the operator can add it (`aside trunk`), or \
                     its account can grant it",
                ));
            }
        }
        self.store.batch().put_trunk(trunk.clone()).commit().await?;
        self.trust_trunks().await;
        one(&TrunkObject::of(&trunk))
    }
}

/// Prefixes of numbers.
pub(super) fn check_prefixes(what: &str, list: &[String]) -> Result<(), ManageError> {
    match list.iter().find(|prefix| !prefix.bytes().all(|b| b.is_ascii_digit())) {
        Some(wrong) => Err(ManageError::invalid(format!("{what} {wrong:?}: write digits without +, such as 1415"))),
        None => Ok(()),
    }
}

fn networks(texts: &[String]) -> Result<Vec<Cidr>, ManageError> {
    texts.iter().map(|text| text.parse().map_err(ManageError::from)).collect()
}

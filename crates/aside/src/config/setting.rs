//! What a key may hold: how it is read from TOML, how it is written, and how a person is told what it should look like.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A type that a key may have.
pub trait Setting: Serialize + DeserializeOwned + Clone {
    /// What to write, for error messages.
    const SHAPE: &'static str;

    /// The value as TOML; `None` where nothing is set.
    fn show(&self) -> Option<String> {
        toml::Value::try_from(self).ok().map(|value| value.to_string())
    }

    /// From a TOML value.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn from_value(value: toml::Value) -> Result<Self, String> {
        value.try_into().map_err(|error: toml::de::Error| error.message().trim().to_owned())
    }
}

macro_rules! settings {
    ($($type:ty: $shape:literal,)+) => {
        $(impl Setting for $type { const SHAPE: &'static str = $shape; })+
    };
}

settings! {
    bool: "write true or false",
    u8: "write a whole number from 0 to 255",
    u16: "write a whole number from 0 to 65535",
    u32: "write a whole number, 0 or more",
    u64: "write a whole number, 0 or more",
    usize: "write a whole number, 0 or more",
    f64: "write a number such as 500.0",
    String: "write a text in quotes",
    PathBuf: "write a path in quotes",
    IpAddr: "write an address in quotes, such as \"192.0.2.10\"",
    SocketAddr: "write an address and a port in quotes, such as \"0.0.0.0:5060\"",
    Vec<SocketAddr>: "write a list of addresses with ports, such as [\"0.0.0.0:5060\"]",
    Vec<String>: "write a list of texts, such as [\"one\", \"two\"]",
    Vec<IpAddr>: "write a list of addresses, such as [\"192.0.2.10\"]",
    Vec<usize>: "write a list of whole numbers, such as [2, 3]",
    BTreeMap<String, IpAddr>: "write a table of names and addresses, such as { \"callcenter.test\" = \"127.0.0.1\" }",
    BTreeMap<String, SocketAddr>: "write a table of names and addresses with ports, such as { \"carrier.test\" = \"192.0.2.7:5060\" }",
    LogFormat: "write \"text\" or \"json\"",
    Synchronous: "write \"off\", \"normal\" or \"full\"",
}

impl Setting for Option<IpAddr> {
    const SHAPE: &'static str = "write an address in quotes, such as \"192.0.2.10\", or leave the key out";

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Setting::show)
    }
}

impl Setting for Option<String> {
    const SHAPE: &'static str = "write a text in quotes, or leave the key out";

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Setting::show)
    }

    fn from_value(value: toml::Value) -> Result<Self, String> {
        String::from_value(value).map(|text| Some(text).filter(|text| !text.is_empty()))
    }
}

impl Setting for Option<PathBuf> {
    const SHAPE: &'static str = "write a path in quotes, or leave the key out";

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Setting::show)
    }

    fn from_value(value: toml::Value) -> Result<Self, String> {
        PathBuf::from_value(value).map(|path| Some(path).filter(|path| !path.as_os_str().is_empty()))
    }
}

impl Setting for Option<SocketAddr> {
    const SHAPE: &'static str = "write an address and a port in quotes, such as \"127.0.0.1:8443\", or \"off\"";

    fn show(&self) -> Option<String> {
        self.as_ref().map_or(Some("\"off\"".to_owned()), Setting::show)
    }

    fn from_value(value: toml::Value) -> Result<Self, String> {
        match value.as_str() {
            Some("off") => Ok(None),
            _ => SocketAddr::from_value(value).map(Some),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// The death of the process.
    Off,
    /// That, and a loss of power except for the last commits.
    #[default]
    Normal,
    /// A loss of power too.
    Full,
}

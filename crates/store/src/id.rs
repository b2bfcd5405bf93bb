//! Identifiers and their generators.
//!
//! Secrets come from the thread's cryptographic generator, which is seeded by the operating system.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new random one.
            pub fn generate() -> Self {
                Self(Uuid::new_v4())
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// An account or sub-account; also its jambonz `account_sid`.
    AccountId
);
uuid_id!(
    /// A call (one leg): Plivo's `CallUUID` and jambonz's `call_sid` alike.
    CallId
);
uuid_id!(
    /// One life of a room: Plivo's `mpc_uuid`.
    RoomId
);
uuid_id!(
    /// A trunk.
    TrunkId
);

macro_rules! row_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id!(
    /// An event's place in the stream: the cursor. Grows by commit order, never reused.
    EventId
);
row_id!(
    /// A callback in the outbox.
    DeliveryId
);
row_id!(
    /// A ledger entry. Grows by commit order, never reused.
    LedgerId
);

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const DIGITS: &[u8] = b"0123456789";

fn from_alphabet(alphabet: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).filter_map(|_| alphabet.get(rng.random_range(0..alphabet.len())).copied().map(char::from)).collect()
}

fn digits(length: usize) -> String {
    let first = from_alphabet(b"123456789", 1);
    first + &from_alphabet(DIGITS, length.saturating_sub(1))
}

/// A main account's auth id: `MA` and 18 of A–Z, 0–9 (some official SDKs check the shape).
pub fn auth_id() -> String {
    format!("MA{}", from_alphabet(UPPER, 18))
}

/// A sub-account's auth id: `SA` and 18 of A–Z, 0–9.
pub fn sub_auth_id() -> String {
    format!("SA{}", from_alphabet(UPPER, 18))
}

/// Whether `text` has the shape of an auth id.
pub fn is_auth_id(text: &str) -> bool {
    text.len() == 20
        && (text.starts_with("MA") || text.starts_with("SA"))
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// An auth token: 40 letters and digits (238 bits).
pub fn auth_token() -> String {
    from_alphabet(ALNUM, 40)
}

/// A secret that hooks are signed with: `wh_secret_` and 40 letters and digits.
pub fn webhook_secret() -> String {
    format!("wh_secret_{}", from_alphabet(ALNUM, 40))
}

/// An application id: 17 digits, the first not zero.
pub fn app_id() -> String {
    digits(17)
}

/// An endpoint id: 14 digits, the first not zero.
pub fn endpoint_id() -> String {
    digits(14)
}

/// The username that Plivo would give to an endpoint created as `name`: `name` and 12 digits.
pub fn endpoint_username(name: &str) -> String {
    format!("{name}{}", digits(12))
}

/// The visible part of an API key: 16 of a–z, 0–9.
pub fn api_key_id() -> String {
    from_alphabet(LOWER, 16)
}

/// A random UUID.
pub fn uuid() -> Uuid {
    Uuid::new_v4()
}

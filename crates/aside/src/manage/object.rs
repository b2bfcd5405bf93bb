//! What answers show of things. Secrets stand in them only when they have just been made.

use jiff::Timestamp as Utc;
use serde::{Deserialize, Serialize};
use store::{AccountId, Store, Timestamp};
use utoipa::ToSchema;

use super::ManageError;

/// RFC 3339 in UTC, with microseconds.
pub fn rfc3339(at: Timestamp) -> String {
    micros_rfc3339(at.micros())
}

/// RFC 3339 in UTC of microseconds since 1970.
pub fn micros_rfc3339(micros: i64) -> String {
    Utc::from_microsecond(micros).map_or_else(|_| micros.to_string(), |utc| format!("{utc:.6}"))
}

/// A time given as RFC 3339.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    text.parse::<Utc>().ok().map(|utc| Timestamp::from_micros(utc.as_microsecond()))
}

/// An account or sub-account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountObject {
    /// `MA…`, or `SA…` for a sub-account.
    pub auth_id: String,
    /// The token. Shown only when it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// The secret that hooks of the jambonz dialect are signed with. Shown only when it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// Its UUID: jambonz' `account_sid`.
    pub id: String,
    /// The main account's UUID, for a sub-account.
    pub parent: Option<String>,
    /// For people.
    pub name: String,
    /// The SIP domain of its endpoints.
    pub realm: Option<String>,
    /// Whether it may do anything.
    pub enabled: bool,
    /// When it was made.
    pub created_at: String,
}

impl AccountObject {
    pub(crate) fn of(account: &store::Account) -> Self {
        Self {
            auth_id: account.auth_id.clone(),
            auth_token: None,
            webhook_secret: None,
            id: account.id.to_string(),
            parent: account.parent.map(|parent| parent.to_string()),
            name: account.name.clone(),
            realm: account.sip_realm.clone(),
            enabled: account.enabled,
            created_at: rfc3339(account.created_at),
        }
    }

    pub(crate) fn with_token(account: &store::Account) -> Self {
        Self { auth_token: Some(account.auth_token.reveal().to_owned()), ..Self::of(account) }
    }

    pub(crate) fn with_webhook_secret(self, account: &store::Account) -> Self {
        Self { webhook_secret: Some(account.webhook_secret.reveal().to_owned()), ..self }
    }
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationObject {
    /// Its id.
    pub app_id: String,
    /// For people, unique in the account.
    pub name: String,
    /// Its UUID: jambonz' `application_sid`.
    pub sid: String,
    /// Whose words it speaks: `plivo` or `jambonz`.
    pub dialect: String,
    /// Where instructions come from.
    pub answer_url: String,
    /// `GET` or `POST`.
    pub answer_method: String,
    /// Told at the end of a call.
    pub hangup_url: Option<String>,
    /// `GET` or `POST`.
    pub hangup_method: String,
    /// Asked if `answer_url` fails.
    pub fallback_url: Option<String>,
    /// `GET` or `POST`.
    pub fallback_method: String,
    /// For numbers without one.
    pub default_number_app: bool,
    /// For endpoints without one.
    pub default_endpoint_app: bool,
    /// Whether anybody may call its SIP URI.
    pub public_uri: bool,
    /// The sub-account it is for.
    pub sub_account: Option<String>,
    /// Whether it takes calls.
    pub enabled: bool,
    /// When it was made.
    pub created_at: String,
}

impl ApplicationObject {
    pub(crate) async fn of(store: &Store, app: &store::Application) -> Result<Self, ManageError> {
        Ok(Self {
            app_id: app.app_id.clone(),
            name: app.name.clone(),
            sid: app.sid.to_string(),
            dialect: app.dialect.to_string(),
            answer_url: app.answer_url.clone(),
            answer_method: app.answer_method.to_string(),
            hangup_url: app.hangup_url.clone(),
            hangup_method: app.hangup_method.to_string(),
            fallback_url: app.fallback_answer_url.clone(),
            fallback_method: app.fallback_method.to_string(),
            default_number_app: app.default_number_app,
            default_endpoint_app: app.default_endpoint_app,
            public_uri: app.public_uri,
            sub_account: sub(store, app.sub_account).await?,
            enabled: app.enabled,
            created_at: rfc3339(app.created_at),
        })
    }
}

/// An endpoint: a SIP user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndpointObject {
    /// Its id.
    pub endpoint_id: String,
    /// The user part of its SIP address.
    pub username: String,
    /// The password. Shown only when it has just been made up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Where it may register: `sip:username@domain` for each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<String>,
    /// For people.
    pub alias: String,
    /// The application for its calls; none: the account's default.
    pub app_id: Option<String>,
    /// The sub-account it is for.
    pub sub_account: Option<String>,
    /// Whether it may register and call.
    pub enabled: bool,
    /// When it was made.
    pub created_at: String,
}

impl EndpointObject {
    pub(crate) async fn of(store: &Store, endpoint: &store::Endpoint, domains: &[String]) -> Result<Self, ManageError> {
        Ok(Self {
            endpoint_id: endpoint.endpoint_id.clone(),
            username: endpoint.username.clone(),
            password: None,
            addresses: domains.iter().map(|domain| format!("sip:{}@{domain}", endpoint.username)).collect(),
            alias: endpoint.alias.clone(),
            app_id: endpoint.app_id.clone(),
            sub_account: sub(store, endpoint.sub_account).await?,
            enabled: endpoint.enabled,
            created_at: rfc3339(endpoint.created_at),
        })
    }
}

/// A number that calls come in on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NumberObject {
    /// Digits, without `+`.
    pub number: String,
    /// For people.
    pub alias: Option<String>,
    /// The application for its calls; none: the account's default.
    pub app_id: Option<String>,
    /// The trunk it comes in on; none: any of the account's.
    pub trunk: Option<String>,
    /// The sub-account it is for.
    pub sub_account: Option<String>,
    /// When it was added.
    pub created_at: String,
}

impl NumberObject {
    pub(crate) async fn of(store: &Store, number: &store::Number) -> Result<Self, ManageError> {
        Ok(Self {
            number: number.number.clone(),
            alias: number.alias.clone(),
            app_id: number.app_id.clone(),
            trunk: number.trunk.map(|trunk| trunk.to_string()),
            sub_account: sub(store, number.sub_account).await?,
            created_at: rfc3339(number.created_at),
        })
    }
}

/// A trunk: a SIP carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrunkObject {
    /// Its UUID.
    pub id: String,
    /// Unique in the account.
    pub name: String,
    /// Networks its calls come from.
    pub sources: Vec<String>,
    /// Where calls out go; none: it only brings calls in.
    pub host: Option<String>,
    /// Port of `host`.
    pub port: Option<u16>,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// For digest on calls out.
    pub username: Option<String>,
    /// Whether a password is kept for it.
    pub has_password: bool,
    /// Caller id where the asked-for one is not allowed.
    pub caller_id: Option<String>,
    /// Caller ids that may be shown, as prefixes of digits.
    pub allowed_caller_ids: Vec<String>,
    /// Destinations that may be dialled, as prefixes of digits; none: no calls out.
    pub allowed_prefixes: Vec<String>,
    /// Most calls out per second.
    pub calls_per_second: u32,
    /// Most calls at once.
    pub max_concurrent: u32,
    /// Whether it is in use.
    pub enabled: bool,
    /// When it was made.
    pub created_at: String,
}

impl TrunkObject {
    pub(crate) fn of(trunk: &store::Trunk) -> Self {
        Self {
            id: trunk.id.to_string(),
            name: trunk.name.clone(),
            sources: trunk.sources.iter().map(ToString::to_string).collect(),
            host: trunk.host.clone(),
            port: trunk.port,
            transport: trunk.transport.to_string(),
            username: trunk.username.clone(),
            has_password: trunk.password.is_some(),
            caller_id: trunk.caller_id.default.clone(),
            allowed_caller_ids: trunk.caller_id.allowed.clone(),
            allowed_prefixes: trunk.allowed_prefixes.clone(),
            calls_per_second: trunk.max_calls_per_second,
            max_concurrent: trunk.max_concurrent,
            enabled: trunk.enabled,
            created_at: rfc3339(trunk.created_at),
        }
    }
}

/// Leave to use a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantObject {
    /// The trunk's UUID.
    pub trunk: String,
    /// The trunk's name.
    pub name: String,
    /// The account or sub-account that may use it.
    pub auth_id: String,
    /// Destinations it may dial, as prefixes of digits; none: no calls out.
    pub allowed_prefixes: Vec<String>,
    /// Its most calls out per second.
    pub calls_per_second: u32,
    /// Its most calls at once, in and out.
    pub max_concurrent: u32,
}

impl GrantObject {
    pub(crate) async fn of(
        store: &Store,
        trunk: &store::Trunk,
        grant: &store::TrunkGrant,
    ) -> Result<Self, ManageError> {
        Ok(Self {
            trunk: trunk.id.to_string(),
            name: trunk.name.clone(),
            auth_id: sub(store, Some(grant.account)).await?.unwrap_or_else(|| grant.account.to_string()),
            allowed_prefixes: grant.allowed_prefixes.clone(),
            calls_per_second: grant.max_calls_per_second,
            max_concurrent: grant.max_concurrent,
        })
    }
}

/// A callback: a request that tells a program what happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallbackObject {
    /// Its id.
    pub id: String,
    /// `pending`, `done` or `failed`.
    pub state: String,
    /// Where to.
    pub url: String,
    /// `GET` or `POST`.
    pub method: String,
    /// The event it tells of, in the event stream.
    pub event: i64,
    /// When it was made.
    pub created_at: String,
    /// Attempts begun.
    pub attempts: u32,
    /// When it was taken or given up.
    pub settled_at: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// What it says; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<serde_json::Value>,
}

impl CallbackObject {
    pub(crate) fn brief(callback: &store::Delivery) -> Self {
        Self {
            id: callback.id.to_string(),
            state: callback.state.to_string(),
            url: callback.url.clone(),
            method: callback.method.to_string(),
            event: callback.event.0,
            created_at: rfc3339(callback.created_at),
            attempts: callback.attempts,
            settled_at: callback.settled_at.map(rfc3339),
            last_error: callback.last_error.clone(),
            body: None,
        }
    }

    pub(crate) fn whole(callback: &store::Delivery) -> Self {
        let body = match &callback.body {
            store::Body::Form(fields) => fields.iter().cloned().collect(),
            store::Body::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
        };
        Self { body: Some(body), ..Self::brief(callback) }
    }
}

/// A key of the native API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyObject {
    /// Its id.
    pub id: String,
    /// The key itself. Shown only when it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How it begins.
    pub prefix: String,
    /// For people.
    pub name: String,
    /// What it may do: `read`, `monitor`, `coach`, `admin`.
    pub scopes: Vec<String>,
    /// Only rooms whose name matches (`*` any text, `?` one character).
    pub rooms: Option<String>,
    /// Only rooms with a member of this tag, and only those members.
    pub tag: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// From when on it is refused.
    pub expires_at: Option<String>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<String>,
}

impl KeyObject {
    pub(crate) fn of(key: &store::ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            key: None,
            prefix: key.prefix(),
            name: key.name.clone(),
            scopes: key.scopes.0.iter().map(|scope| scope.as_str().to_owned()).collect(),
            rooms: key.room_pattern.clone(),
            tag: key.tag.clone(),
            created_at: rfc3339(key.created_at),
            expires_at: key.expires_at.map(rfc3339),
            last_used_at: key.last_used_at.map(rfc3339),
        }
    }
}

/// The auth id of a sub-account.
async fn sub(store: &Store, id: Option<AccountId>) -> Result<Option<String>, ManageError> {
    let Some(id) = id else { return Ok(None) };
    Ok(store.account(id).await?.map(|account| account.auth_id))
}

/// A key of the jambonz REST interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JambonzKeyObject {
    /// Its id.
    pub id: String,
    /// The key itself. Shown only when it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The account's UUID; none: the operator's, for all accounts.
    pub account_sid: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// From when on it is refused.
    pub expires_at: Option<String>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<String>,
}

impl JambonzKeyObject {
    pub(crate) fn of(key: &store::BearerKey) -> Self {
        Self {
            id: key.sid.to_string(),
            key: None,
            account_sid: key.account.map(|account| account.to_string()),
            created_at: rfc3339(key.created_at),
            expires_at: key.expires_at.map(rfc3339),
            last_used_at: key.last_used_at.map(rfc3339),
        }
    }
}

/// A link by which customers call from a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkObject {
    /// Its UUID.
    pub id: String,
    /// For people; part of its address.
    pub name: String,
    /// The page's path on this server. Shown only when it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The application that calls lead to, by id.
    pub application: Option<String>,
    /// The number that is called.
    pub number: Option<String>,
    /// What callers are called.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// From when on it is refused.
    pub expires_at: Option<String>,
    /// When it was last used.
    pub last_used_at: Option<String>,
}

impl LinkObject {
    pub(crate) fn of(link: &store::Link) -> Self {
        Self {
            id: link.id.to_string(),
            name: link.name.clone(),
            path: None,
            application: link.app_id.clone(),
            number: link.number.clone(),
            label: link.label.clone(),
            created_at: rfc3339(link.created_at),
            expires_at: link.expires_at.map(rfc3339),
            last_used_at: link.last_used_at.map(rfc3339),
        }
    }
}

//! Applications: where a call's instructions come from.

use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::account::{check_sub, delete_used, filter};
use crate::column::{Column, execute, record, select_one, text_enum, upsert};
use crate::error::{Result, StoreError};
use crate::id::{self, AccountId};
use crate::page::{Listed, Page};
use crate::store::Store;
use crate::time::Timestamp;

text_enum! {
    /// Which contract an application, call, room or callback follows.
    pub enum Dialect {
        /// XML, Plivo's REST and callbacks.
        Plivo = "plivo",
        /// Verb JSON, jambonz's REST and hooks.
        Jambonz = "jambonz",
        /// Aside's own API.
        Native = "native",
    }
}

text_enum! {
    /// How a URL is requested.
    pub enum Method {
        /// Parameters in the query.
        Get = "GET",
        /// Parameters in the body.
        Post = "POST",
        /// Over a WebSocket: for applications of the jambonz dialect alone.
        Ws = "WS",
    }
}

record! {
    /// An application.
    pub struct Application in "applications" as "an application", key (account, app_id) {
        /// Whose.
        pub account: AccountId,
        /// 17 digits, unique over all accounts (`sip:{app_id}@app.plivo.com` names it).
        pub app_id: String,
        /// Its UUID: jambonz's `application_sid`, unique.
        pub sid: Uuid,
        /// The sub-account it is for.
        pub sub_account: Option<AccountId>,
        /// Unique in the account.
        pub name: String,
        /// Its contract.
        pub dialect: Dialect,
        /// Where instructions for a call come from (jambonz: `call_hook`).
        pub answer_url: String,
        /// How.
        pub answer_method: Method,
        /// Told at the end of a call (jambonz: `call_status_hook`).
        pub hangup_url: Option<String>,
        /// How.
        pub hangup_method: Method,
        /// Asked if `answer_url` fails.
        pub fallback_answer_url: Option<String>,
        /// How.
        pub fallback_method: Method,
        /// For numbers without one; at most one per account: storing one with this set clears it on the others.
        pub default_number_app: bool,
        /// For endpoints without one; likewise.
        pub default_endpoint_app: bool,
        /// Whether anybody may call its SIP URI.
        pub public_uri: bool,
        /// Whether it takes calls.
        pub enabled: bool,
        /// What only its dialect knows (hook credentials, speech defaults, `app_json`), as JSON.
        pub settings: Json,
        /// When it was made.
        pub created_at: Timestamp,
    }
}

impl Application {
    /// A new application with fresh ids, method POST throughout, and no defaults.
    pub fn new(
        account: AccountId,
        name: impl Into<String>,
        dialect: Dialect,
        answer_url: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            account,
            app_id: id::app_id(),
            sid: id::uuid(),
            sub_account: None,
            name: name.into(),
            dialect,
            answer_url: answer_url.into(),
            answer_method: Method::Post,
            hangup_url: None,
            hangup_method: Method::Post,
            fallback_answer_url: None,
            fallback_method: Method::Post,
            default_number_app: false,
            default_endpoint_app: false,
            public_uri: false,
            enabled: true,
            settings: Json::Object(serde_json::Map::new()),
            created_at,
        }
    }
}

const STORING: &str = "storing an application";

pub(crate) fn put(conn: &Connection, application: &Application) -> Result<()> {
    let app_id = &application.app_id;
    if app_id.is_empty() || app_id.len() > 20 || !app_id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(StoreError::Invalid { what: "app_id", why: "it must be 1 to 20 digits".to_owned() });
    }
    let methods = [application.answer_method, application.hangup_method, application.fallback_method];
    if application.dialect != Dialect::Jambonz && methods.contains(&Method::Ws) {
        return Err(StoreError::Invalid {
            what: "method",
            why: "WS is for applications of the jambonz dialect".to_owned(),
        });
    }
    check_sub(conn, STORING, application.account, application.sub_account)?;
    for (set, text) in [
        (
            application.default_number_app,
            "UPDATE applications SET default_number_app = 0 WHERE account = ? AND app_id <> ?",
        ),
        (
            application.default_endpoint_app,
            "UPDATE applications SET default_endpoint_app = 0 WHERE account = ? AND app_id <> ?",
        ),
    ] {
        if set {
            execute(conn, STORING, text, [application.account.put(), app_id.put()])?;
        }
    }
    upsert(conn, application)
}

pub(crate) fn remove(conn: &Connection, account: AccountId, app_id: &str) -> Result<()> {
    let values = [account.put(), Value::Text(app_id.to_owned())];
    let text = "DELETE FROM applications WHERE account = ? AND app_id = ?";
    let users = [
        ("the endpoint", "SELECT username FROM endpoints WHERE account = ? AND app_id = ? LIMIT 1"),
        ("the number", "SELECT number FROM numbers WHERE account = ? AND app_id = ? LIMIT 1"),
        ("the link", "SELECT name FROM links WHERE account = ? AND app_id = ? LIMIT 1"),
    ];
    delete_used(conn, "deleting an application", text, values, &users)
}

pub(crate) fn detach(conn: &Connection, account: AccountId, app_id: &str) -> Result<()> {
    for text in [
        "UPDATE endpoints SET app_id = NULL WHERE account = ? AND app_id = ?",
        "UPDATE numbers SET app_id = NULL WHERE account = ? AND app_id = ?",
        // A link leads to nothing else.
        "DELETE FROM links WHERE account = ? AND app_id = ?",
    ] {
        execute(conn, "detaching an application", text, [account.put(), Value::Text(app_id.to_owned())])?;
    }
    Ok(())
}

impl Store {
    /// An application of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn application(&self, account: AccountId, app_id: &str) -> Result<Option<Application>> {
        let values = [account.put(), Value::Text(app_id.to_owned())];
        self.read("reading an application", move |conn| select_one(conn, "WHERE account = ? AND app_id = ?", values))
            .await
    }

    /// An application of the account by its UUID (jambonz's `application_sid`).
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn application_by_sid(&self, account: AccountId, sid: Uuid) -> Result<Option<Application>> {
        let values = [account.put(), sid.put()];
        self.read("reading an application", move |conn| select_one(conn, "WHERE account = ? AND sid = ?", values)).await
    }

    /// An application of the account by its name.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn application_by_name(&self, account: AccountId, name: &str) -> Result<Option<Application>> {
        let values = [account.put(), Value::Text(name.to_owned())];
        self.read("reading an application", move |conn| select_one(conn, "WHERE account = ? AND name = ?", values))
            .await
    }

    /// The application that a SIP URI on the shared application domain names. Its caller has no account yet, so this takes
    /// none: check `public_uri`, or that the caller belongs to the same account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn resolve_application(&self, app_id: &str) -> Result<Option<Application>> {
        let values = [Value::Text(app_id.to_owned())];
        self.read("reading an application", move |conn| select_one(conn, "WHERE app_id = ? AND enabled = 1", values))
            .await
    }

    /// The account's default application for numbers.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn default_number_application(&self, account: AccountId) -> Result<Option<Application>> {
        let rest = "WHERE account = ? AND default_number_app = 1";
        self.read("reading an application", move |conn| select_one(conn, rest, [account.put()])).await
    }

    /// The account's default application for endpoints.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn default_endpoint_application(&self, account: AccountId) -> Result<Option<Application>> {
        let rest = "WHERE account = ? AND default_endpoint_app = 1";
        self.read("reading an application", move |conn| select_one(conn, rest, [account.put()])).await
    }

    /// The account's applications, newest first; of one sub-account, if given.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn applications(
        &self,
        account: AccountId,
        sub: Option<AccountId>,
        page: Page,
    ) -> Result<Listed<Application>> {
        self.read("reading applications", move |conn| {
            filter(account, sub).list(conn, "applications", "created_at DESC, app_id", page)
        })
        .await
    }
}

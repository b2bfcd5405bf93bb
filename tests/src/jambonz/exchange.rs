//! A telephone exchange with jambonz applications: phones whose calls ask the application, members of rooms, and the account's Plivo side beside it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use phone::{Call, CallOptions, Mouth, Phone, Transport};
use serde_json::{Value, json};

use super::app::{App, Told};
use super::clients::Clients;
use super::rest::Rest;
use crate::SOON;
use crate::office::{Member, Office, registered};
use crate::program::{Reply, tone_wav};
use crate::server::{Account, PASSWORD, ServerOptions, text};

/// How an application is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By WebSocket.
    Socket,
    /// By HTTP.
    Http,
}

/// A server, an application, an account.
pub struct Exchange {
    /// The application of this process: sessions come to `/call/NAME`.
    pub app: App,
    /// The account's key.
    pub rest: Rest,
    /// The server's own key, for what no account may do.
    pub admin: Rest,
    /// The account's webhook secret.
    pub secret: String,
    /// Server, native API, and the Plivo side of the same account.
    pub office: Office,
    applications: Mutex<HashMap<String, String>>,
    judged: AtomicBool,
}

/// A call of a phone to an application.
pub struct Calling {
    /// Its name.
    pub name: String,
    /// The phone.
    pub phone: Phone,
    /// The phone's end.
    pub call: Call,
    /// The server's id of the call.
    pub sid: String,
    /// The application's log before it.
    pub mark: usize,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let judged = self.judged.load(Ordering::Relaxed);
        assert!(
            judged || std::thread::panicking(),
            "a test must end with `closes()`: it judges every body that was sent"
        );
    }
}

impl Exchange {
    /// One on a server of its own.
    pub async fn open() -> Self {
        Self::with(Self::options()).await
    }

    /// The configuration of [`open`](Self::open): the vendor's limit of requests would end some tests.
    pub fn options() -> ServerOptions {
        ServerOptions::default().set("jambonz", "rate_burst", "100000")
    }

    /// As [`open`](Self::open) with a configuration.
    pub async fn with(options: ServerOptions) -> Self {
        let (app, office) = tokio::join!(App::start(), Office::with(options));
        let sid = account_sid(&office, &office.account.auth_id).await;
        let base = office.server.url("/v1");
        let admin = Rest::new(&base, &sid, &admin_key(&office).await);
        let rest = key_of(&admin, &sid).await;
        let secret = text(&rest.get(&rest.path("/WebhookSecret")).await, "webhook_secret");
        Self { app, rest, admin, secret, office, applications: Mutex::default(), judged: AtomicBool::new(false) }
    }

    /// Another account: its key.
    pub async fn another(&self, name: &str) -> Rest {
        let account = self.office.server.account(name).await;
        self.key_of(&account).await
    }

    /// A key of an account.
    pub async fn key_of(&self, account: &Account) -> Rest {
        let sid = account_sid(&self.office, &account.auth_id).await;
        key_of(&self.admin, &sid).await
    }

    /// An application whose calls go to a URL; its sid.
    pub async fn application(&self, name: &str, call_hook: Value, status_hook: Value, more: Value) -> String {
        let mut body = json!({
            "name": name, "account_sid": self.rest.account(), "call_hook": call_hook, "call_status_hook": status_hook,
        });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let sid = self.rest.create("/Applications", body).await;
        self.applications.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), sid.clone());
        sid
    }

    /// A SIP user of the account.
    pub async fn client(&self, name: &str) -> String {
        let body = json!({
            "account_sid": self.rest.account(), "username": name, "password": PASSWORD, "is_active": true,
            "allow_direct_app_calling": true, "allow_direct_queue_calling": true, "allow_direct_user_calling": true,
        });
        self.rest.create("/Clients", body).await
    }

    /// A phone whose calls ask `/call/NAME` of this process's application, by WebSocket.
    pub async fn phone(&self, name: &str, mouth: Mouth) -> Phone {
        self.phone_via(name, Via::Socket, mouth).await
    }

    /// As [`phone`](Self::phone), by WebSocket or HTTP.
    pub async fn phone_via(&self, name: &str, via: Via, mouth: Mouth) -> Phone {
        let path = format!("/call/{name}");
        let (hook, status) = match via {
            Via::Socket => (
                json!({ "url": self.app.ws(&path), "method": "WS" }),
                json!({ "url": self.app.ws(&path), "method": "WS" }),
            ),
            Via::Http => (
                json!({ "url": self.app.http(&path), "method": "POST" }),
                json!({ "url": self.app.http(&format!("/call-status/{name}")), "method": "POST" }),
            ),
        };
        self.phone_of(name, hook, status, mouth).await
    }

    /// A phone whose calls ask other URLs.
    pub async fn phone_of(&self, name: &str, call_hook: Value, status_hook: Value, mouth: Mouth) -> Phone {
        self.application(name, call_hook, status_hook, json!({})).await;
        self.client(name).await;
        self.connect(name, mouth).await
    }

    /// A phone of a client that is there.
    pub async fn connect(&self, name: &str, mouth: Mouth) -> Phone {
        registered(&self.office.server, name, &self.office.account.realm, mouth, Transport::Udp).await
    }

    /// What a phone dials to reach an application of this name.
    pub fn number_of(&self, application: &str) -> String {
        let applications = self.applications.lock().unwrap_or_else(PoisonError::into_inner);
        match applications.get(application) {
            Some(sid) => format!("app-{sid}"),
            None => panic!("there is no application {application}"),
        }
    }

    /// Dials; returns when the application of this process has been asked.
    pub async fn dials(&self, name: &str, phone: Phone) -> Calling {
        let mark = self.app.mark();
        let call = match phone.call(&self.number_of(name), CallOptions::default()) {
            Ok(call) => call,
            Err(error) => panic!("{name} cannot call: {error}"),
        };
        let path = format!("/call/{name}");
        let asked = |told: &Told| told.name == path && matches!(told.kind.as_str(), "session:new" | "http");
        let told = self.app.told().expect(&format!("a session at {path}"), mark, SOON, asked).await;
        Calling { name: name.to_owned(), phone, call, sid: told.call_sid, mark }
    }

    /// A new phone that runs these verbs; returns when it was answered.
    pub async fn runs(&self, name: &str, verbs: Value, mouth: Mouth) -> Calling {
        self.runs_via(name, Via::Socket, verbs, mouth).await
    }

    /// As [`runs`](Self::runs), by WebSocket or HTTP.
    pub async fn runs_via(&self, name: &str, via: Via, verbs: Value, mouth: Mouth) -> Calling {
        self.app.verbs(&format!("/call/{name}"), verbs);
        let phone = self.phone_via(name, via, mouth).await;
        let calling = self.dials(name, phone).await;
        calling.answered().await;
        calling
    }

    /// Somebody who joins a room with these properties of `conference`, and is in when this returns.
    pub async fn joins(&self, name: &str, conference: Value, mouth: Mouth) -> Member {
        self.joins_via(name, Via::Socket, conference, mouth).await
    }

    /// As [`joins`](Self::joins), by WebSocket or HTTP.
    pub async fn joins_via(&self, name: &str, via: Via, conference: Value, mouth: Mouth) -> Member {
        let calling = self.runs_via(name, via, json!([verb(name, conference)]), mouth).await;
        self.is_in(calling).await
    }

    /// As [`joins`](Self::joins): he says a tone from his first packet on. The call stays up as long as what is returned.
    pub async fn joins_and_speaks(&self, name: &str, conference: Value, tone: u32) -> Member {
        self.joins(name, conference, crate::ears::voice(tone)).await
    }

    /// Waits until a call is in a room.
    pub async fn is_in(&self, calling: Calling) -> Member {
        let joined = self.native_event("member.joined", &calling.sid).await;
        let room = joined["room_uuid"].as_str().unwrap_or_default().to_owned();
        let number = self.number_in(&room, &calling.sid).await;
        let Calling { name, phone, call, sid, .. } = calling;
        Member { name, phone, call, call_uuid: sid, room, number }
    }

    /// The native number of a call's member.
    pub async fn number_in(&self, room: &str, sid: &str) -> String {
        let shown = self.office.native.get(&format!("/rooms/{room}")).await;
        let members = shown["member_list"].as_array().cloned().unwrap_or_default();
        match members.iter().rev().find(|member| member["call_uuid"] == sid) {
            Some(member) => member["member"].to_string(),
            None => panic!("{sid} is not in {shown}"),
        }
    }

    /// Waits for an event of the native stream about a call, past ones included.
    pub async fn native_event(&self, kind: &str, sid: &str) -> Value {
        self.native_event_after(kind, sid, 0).await.0
    }

    /// As [`native_event`](Self::native_event) behind a cursor; the cursor behind it.
    pub async fn native_event_after(&self, kind: &str, sid: &str, after: i64) -> (Value, i64) {
        let mut cursor = after;
        let mut seen = Vec::new();
        let found = async {
            loop {
                let page = self.office.native.get(&format!("/events?after={cursor}&wait=10")).await;
                let items = page["items"].as_array().cloned().unwrap_or_default();
                let is = |event: &&Value| event["kind"] == kind && (sid.is_empty() || event["call_uuid"] == sid);
                if let Some(event) = items.iter().find(is) {
                    return (event.clone(), event["id"].as_i64().unwrap_or(cursor));
                }
                seen.extend(items.iter().map(|event| format!("{} {}", event["kind"], event["call_uuid"])));
                cursor = page["next"].as_i64().unwrap_or(cursor);
            }
        };
        match tokio::time::timeout(SOON, found).await {
            Ok(found) => found,
            Err(_) => panic!("no {kind} of {sid}; there were {seen:?}"),
        }
    }

    /// The cursor of the native events behind all that have happened.
    pub async fn cursor(&self) -> i64 {
        let mut cursor = 0;
        loop {
            let page = self.office.native.get(&format!("/events?after={cursor}&limit=1000")).await;
            let next = page["next"].as_i64().unwrap_or(cursor);
            if page["items"].as_array().is_none_or(Vec::is_empty) {
                return next;
            }
            cursor = next;
        }
    }

    /// A participant action by REST; when this returns the sound has changed.
    pub async fn action(&self, member: &Member, action: Value) -> Instant {
        self.rest.action(&member.call_uuid, action).await;
        Instant::now()
    }

    /// Injects a participant action on the member's own socket, and waits until the native stream tells of it.
    pub async fn injects(&self, member: &Member, action: Value, told: &str) -> Instant {
        let cursor = self.cursor().await;
        self.app.action(&member.call_uuid, action);
        self.native_event_after(told, &member.call_uuid, cursor).await;
        Instant::now()
    }

    /// Serves a tone of a second; its URL.
    pub fn tone(&self, path: &str, freq: u32) -> String {
        self.office.program.reply(path, Reply::Plain(200, "audio/wav", tone_wav(freq, -20.0, 1)));
        self.office.program.url(path)
    }

    /// Who hears whom by the server's own account: pairs of calls (listener, speaker).
    pub async fn hearing(&self, room: &str) -> Vec<(String, String)> {
        let matrix = self.office.native.get(&format!("/rooms/{room}/hearing")).await;
        let rows = matrix["rows"].as_array().cloned().unwrap_or_default();
        let call = |number: &Value| {
            let row = rows.iter().find(|row| row["listener"] == *number);
            row.and_then(|row| row["call_uuid"].as_str()).unwrap_or_default().to_owned()
        };
        let mut pairs: Vec<(String, String)> = rows
            .iter()
            .flat_map(|row| {
                let listener = row["call_uuid"].as_str().unwrap_or_default().to_owned();
                let heard = row["hears"].as_array().cloned().unwrap_or_default();
                heard.iter().map(|speaker| (listener.clone(), call(speaker))).collect::<Vec<_>>()
            })
            .collect();
        pairs.sort();
        pairs
    }

    /// Ends a test: every body that the application received is judged.
    pub async fn closes(self) {
        self.closes_with(&[]).await;
    }

    /// Ends a test in which other programs received bodies too.
    pub async fn closes_after(self, clients: &Clients) {
        self.closes_with(&clients.told()).await;
    }

    /// Ends a test with what other programs were told.
    pub async fn closes_with(self, others: &[Told]) {
        self.judged.store(true, Ordering::Relaxed);
        let mut told = self.app.told().all();
        told.extend(others.iter().cloned());
        super::schemas::judge(&told, &self.secret).await;
    }
}

/// The verb of somebody in a room: his properties, and hooks for what he has not asked for himself.
pub fn verb(name: &str, conference: Value) -> Value {
    let mut verb = json!({
        "verb": "conference",
        "actionHook": format!("/conference/{name}"),
        "statusHook": format!("/conference-status/{name}"),
        "statusEvents": ["start", "end", "join", "leave"],
    });
    if let (Some(verb), Some(own)) = (verb.as_object_mut(), conference.as_object()) {
        verb.extend(own.clone());
    }
    verb
}

async fn account_sid(office: &Office, auth_id: &str) -> String {
    text(&office.server.aside(&["account", "show", auth_id]).await, "id")
}

/// A key of the jambonz API that is no account's: made by the command line.
async fn admin_key(office: &Office) -> String {
    let made = office.server.aside(&["jambonz-key", "create", "--operator"]).await;
    text(&made, "key")
}

/// A key of an account.
async fn key_of(admin: &Rest, account: &str) -> Rest {
    let reply = admin.request(reqwest::Method::POST, "/ApiKeys", Some(json!({ "account_sid": account }))).await;
    assert_eq!(reply.status, 201, "no key for {account}: {reply:?}");
    admin.of_account(account).with_token(&text(&reply.json, "token"))
}

impl Calling {
    /// Waits for the answer.
    pub async fn answered(&self) {
        if let Err(error) = self.call.wait_answered(SOON).await {
            panic!("{}'s call was not answered: {error}", self.name);
        }
    }

    /// Waits for the end.
    pub async fn ended(&self) -> phone::Ended {
        match self.call.wait_ended(SOON * 2).await {
            Ok(ended) => ended,
            Err(error) => panic!("{}'s call goes on: {error}", self.name),
        }
    }

    /// As a listener who says this tone, if any.
    pub fn heard(&self, tone: Option<u32>) -> crate::ears::Heard<'_> {
        crate::ears::Heard { name: &self.name, call: &self.call, tone }
    }
}

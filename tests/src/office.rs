//! A call centre whose program is the test itself: phones that are registered, documents that say what each does, and members in rooms.

use std::time::{Duration, Instant};

use phone::{Call, CallOptions, Mouth, Phone, PhoneConfig, Transport};
use serde_json::json;

use crate::SOON;
use crate::native::Native;
use crate::plivo_rest::PlivoRest;
use crate::program::{Asked, Program};
use crate::server::{Account, PASSWORD, Server, ServerOptions};

/// The domain under which phones of official SDKs register.
pub const DOMAIN: &str = "phone.plivo.com";

/// Attributes that keep a room free of sounds nobody asked for.
pub const NO_SOUNDS: &str = r#"enterSound="none" exitSound="none""#;

/// A server, a program and an account.
pub struct Office {
    /// The program: its documents are at `/answer/NAME`, status events go to `/events`.
    pub program: Program,
    /// The account.
    pub account: Account,
    /// Its Plivo API.
    pub rest: PlivoRest,
    /// Its native API.
    pub native: Native,
    // Ends last.
    /// The server.
    pub server: Server,
}

/// Somebody in a room.
pub struct Member {
    /// His name, which is also his endpoint's user name.
    pub name: String,
    /// The phone.
    pub phone: Phone,
    /// The phone's end of the call.
    pub call: Call,
    /// The server's id of the call.
    pub call_uuid: String,
    /// The room life.
    pub room: String,
    /// His number.
    pub number: String,
}

impl Office {
    /// A call centre on a server of its own.
    pub async fn open() -> Self {
        Self::with(ServerOptions::default()).await
    }

    /// As [`open`](Self::open) with a configuration.
    pub async fn with(options: ServerOptions) -> Self {
        let (program, (server, account)) = tokio::join!(Program::start(), Server::start(options));
        let (rest, native) = (PlivoRest::of(&server, &account), Native::of(&server, &account));
        Self { program, account, rest, native, server }
    }

    /// A phone that is registered; its calls ask `/answer/NAME`.
    pub async fn phone(&self, name: &str, mouth: Mouth) -> Phone {
        let answer = self.program.url(&format!("/answer/{name}"));
        let hangup = self.program.url(&format!("/hangup/{name}"));
        let app = self.server.application(&self.account, name, &answer, &["--hangup-url", &hangup]).await;
        self.server.endpoint(&self.account, name, Some(&app)).await;
        self.connect(name, mouth, Transport::Udp).await
    }

    /// Another phone for an endpoint that is there.
    pub async fn connect(&self, name: &str, mouth: Mouth, transport: Transport) -> Phone {
        registered(&self.server, name, DOMAIN, mouth, transport).await
    }

    /// The document of `<MultiPartyCall>` for a member; its status events go to `/events`.
    pub fn room_document(&self, name: &str, room: &str, role: &str, attributes: &str) {
        let events = self.program.url("/events");
        let inside = format!(
            r#"<MultiPartyCall role="{role}" statusCallbackUrl="{events}" {NO_SOUNDS} {attributes}>{room}</MultiPartyCall>"#
        );
        self.program.document(&format!("/answer/{name}"), &inside);
    }

    /// Somebody who calls in and is in the room when this returns.
    pub async fn joins(&self, name: &str, room: &str, role: &str, attributes: &str, mouth: Mouth) -> Member {
        self.room_document(name, room, role, attributes);
        let phone = self.phone(name, mouth).await;
        self.calls_in(name, phone).await
    }

    /// A call of a registered phone into the room that its document names.
    pub async fn calls_in(&self, name: &str, phone: Phone) -> Member {
        let mark = self.program.mark();
        let call = match phone.call("hotline", CallOptions::default()) {
            Ok(call) => call,
            Err(error) => panic!("{name} cannot call: {error}"),
        };
        let path = format!("/answer/{name}");
        let asked =
            self.program.asked().expect(&format!("request to {path}"), mark, SOON, |asked| asked.path == path).await;
        let call_uuid = asked.param("CallUUID").to_owned();
        if let Err(error) = call.wait_answered(SOON).await {
            panic!("{name}'s call was not answered: {error}");
        }
        let joined =
            self.program.event("ParticipantJoin", mark, |event| event.param("ParticipantCallUUID") == call_uuid).await;
        self.member(name, phone, call, &joined)
    }

    fn member(&self, name: &str, phone: Phone, call: Call, joined: &Asked) -> Member {
        Member {
            name: name.to_owned(),
            phone,
            call,
            call_uuid: joined.param("ParticipantCallUUID").to_owned(),
            room: joined.param("MPCUUID").to_owned(),
            number: joined.param("MemberID").to_owned(),
        }
    }

    /// Somebody who is dialled by a program (Add participant) and answers.
    pub async fn is_added(&self, name: &str, room: &str, role: &str, more: serde_json::Value, mouth: Mouth) -> Member {
        let phone = self.phone(name, mouth).await;
        let mark = self.program.mark();
        let mut body = json!({
            "role": role, "from": "14155550100", "to": format!("sip:{name}@{DOMAIN}"), "enter_sound": "none", "exit_sound": "none",
            "status_callback_url": self.program.url("/events"), "status_callback_method": "POST", "dial_music": "none",
        });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let added = self.rest.post(&format!("/MultiPartyCall/uuid_{room}/Participant/"), body).await;
        let call_uuid = added["calls"][0]["call_uuid"].as_str().unwrap_or_default().to_owned();
        let Some(incoming) = phone.incoming(SOON).await else { panic!("{name}'s phone does not ring: {added}") };
        let call = match incoming.answer().await {
            Ok(call) => call,
            Err(error) => panic!("{name} cannot answer: {error}"),
        };
        let joined =
            self.program.event("ParticipantJoin", mark, |event| event.param("ParticipantCallUUID") == call_uuid).await;
        self.member(name, phone, call, &joined)
    }

    /// Changes a member through the Plivo API; when this returns, the sound has changed.
    pub async fn update(&self, member: &Member, change: serde_json::Value) -> Instant {
        self.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/{}/", member.room, member.number), change).await;
        Instant::now()
    }

    /// Changes a member through the native API; when this returns, the sound has changed.
    pub async fn patch(&self, member: &Member, change: serde_json::Value) -> Instant {
        self.native.change(&member.room, &member.number, change).await;
        Instant::now()
    }

    /// Puts a supervisor into a mode; when this returns, the sound has changed.
    pub async fn mode(&self, member: &Member, mode: &str) -> Instant {
        self.native.mode(&member.room, &member.number, mode).await;
        Instant::now()
    }

    /// Waits until nothing is left of all calls, in the server's own counts.
    ///
    /// # Panics
    /// If something stays.
    pub async fn is_empty_again(&self, metrics: &[&str]) {
        let end = Instant::now() + SOON * 3;
        loop {
            let text = self.server.metrics().await;
            let left: Vec<_> = metrics.iter().map(|name| (*name, crate::server::metric_in(&text, name))).collect();
            if left.iter().all(|(_, value)| *value == Some(0.0)) {
                return;
            }
            assert!(Instant::now() < end, "still there: {left:?}");
            // Metrics have no event to wait for.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Member {
    /// Says something else from now on; when this returns, it is on its way.
    pub async fn says(&self, mouth: Mouth) -> Instant {
        match self.call.say(mouth).await {
            Ok(switched) => switched.at,
            Err(error) => panic!("{} cannot speak: {error}", self.name),
        }
    }

    /// Says his tone.
    pub async fn speaks(&self, tone: u32) -> Instant {
        self.says(crate::ears::voice(tone)).await
    }

    /// Falls silent.
    pub async fn falls_silent(&self) -> Instant {
        self.says(Mouth::Silence).await
    }

    /// Hangs up.
    pub async fn leaves(&self) {
        if let Err(error) = self.call.hangup().await {
            panic!("{} cannot hang up: {error}", self.name);
        }
    }

    /// As a listener who says this tone, if any.
    pub fn heard(&self, tone: Option<u32>) -> crate::ears::Heard<'_> {
        crate::ears::Heard { name: &self.name, call: &self.call, tone }
    }
}

/// A phone of an endpoint that is there, registered.
///
/// # Panics
/// If it is refused.
pub async fn registered(server: &Server, name: &str, domain: &str, mouth: Mouth, transport: Transport) -> Phone {
    let at = match transport {
        Transport::Udp => server.at().sip_udp,
        Transport::Tcp => server.at().sip_tcp,
    };
    let mut config = PhoneConfig::new(at, name, PASSWORD);
    config.domain = domain.to_owned();
    config.transport = transport;
    config.mouth = mouth;
    let phone = match Phone::start(config).await {
        Ok(phone) => phone,
        Err(error) => panic!("{name}: {error}"),
    };
    if let Err(error) = phone.register(600).await {
        panic!("{name}: {error}");
    }
    phone
}

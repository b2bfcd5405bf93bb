//! The dialect as the engine sees it.

use std::sync::Arc;
use std::time::Duration;

use call::command::CallCommand;
use call::dialect::{
    AtEnd, Body, CallView, Callback, DeliveryOptions, Dialect, DocumentError, Happening, Pauses, Profile, Purpose,
    Shortcut, SigningKeys,
};
use call::link::Protocol;
use call::stream::Words;
use call::verb::{Fetch, Instruction, Method, Prompt, Verb};

use crate::document::Reach;
use crate::frames::{self, Frame};
use crate::hook::{Address, Base, Hook};
use crate::hooks::CallInfo;
use crate::link::Link;
use crate::rest::ApplicationSettings;
use crate::{callbacks, command, document, request, signature, verbs};

/// How long a program may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long all attempts at a hook may take, with the waits between them.
const ALL_ATTEMPTS: Duration = Duration::from_secs(60);
/// Before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The jambonz dialect. One value serves all accounts.
#[derive(Clone, Debug)]
pub struct Jambonz {
    most_members: u32,
    sip_address: Option<String>,
}

impl Default for Jambonz {
    fn default() -> Self {
        Self { most_members: u32::MAX, sip_address: None }
    }
}

impl Jambonz {
    /// Its name in records and commands.
    pub const NAME: &'static str = "jambonz";

    /// The dialect on a server that has at most so many members in a room.
    pub fn with_rooms_of(members: usize) -> Self {
        Self { most_members: u32::try_from(members).unwrap_or(u32::MAX), ..Self::default() }
    }

    /// The same, telling programs this server's address for signalling (`fs_sip_address`, host and port).
    #[must_use]
    pub fn with_sip_address(self, address: impl Into<String>) -> Self {
        Self { sip_address: Some(address.into()), ..self }
    }

    fn info(&self, call: &CallView) -> CallInfo {
        CallInfo { fs_sip_address: self.sip_address.clone(), ..crate::call_info::call_info(call) }
    }

    fn reach(&self, base: &Fetch) -> Reach {
        Reach::of(base).with_rooms_of(self.most_members)
    }
}

impl Dialect for Jambonz {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn request(&self, call: &CallView, purpose: &Purpose) -> Body {
        let body = request::body(call, &self.info(call), purpose, |other| self.info(other));
        body.map_or(Body::Nothing, |body| Body::Json(body.to_string()))
    }

    fn document(
        &self,
        base: &Fetch,
        purpose: &Purpose,
        content_type: &str,
        body: &[u8],
    ) -> Result<Option<Vec<Instruction>>, DocumentError> {
        document::read(&self.reach(base), purpose, content_type, body)
    }

    fn prompts(&self, content_type: &str, body: &[u8]) -> Result<Vec<Prompt>, DocumentError> {
        let nowhere = Reach::of(&Fetch::new("", Method::Post));
        let read = document::read(&nowhere, &Purpose::Wait, content_type, body)?;
        let Some(read) = read else { return Err(DocumentError::WrongType(content_type.to_owned())) };
        let heard = |instruction: Instruction| match instruction.verb {
            Verb::Prompt(prompt) => vec![prompt],
            Verb::Play(play) => play.prompts,
            _ => Vec::new(),
        };
        Ok(read.into_iter().flat_map(heard).collect())
    }

    fn sign(&self, keys: &SigningKeys, method: Method, _url: &str, body: &Body, at: i64) -> Vec<(String, String)> {
        let value = match (method, body) {
            (Method::Post, Body::Json(text)) => signature::posted(&keys.webhook_secret, text, at),
            _ => signature::bodiless(&keys.webhook_secret, at),
        };
        vec![(signature::HEADER.to_owned(), value)]
    }

    fn callbacks(&self, happening: &Happening<'_>) -> Vec<Callback> {
        callbacks::callbacks(happening, |call| self.info(call))
    }

    fn queue_callbacks(&self, happening: &Happening<'_>, settings: &serde_json::Value) -> Vec<Callback> {
        callbacks::of_queue(happening, settings, |call| self.info(call))
    }

    fn delivery(&self, url: &str) -> DeliveryOptions {
        let options = DeliveryOptions {
            connect: ANSWER,
            total: ANSWER,
            retries: 0,
            retry_connect: false,
            retry_timeout: false,
            retry_4xx: false,
            retry_5xx: false,
        };
        match Base::of(&Hook::plain(url)).and_then(|base| base.address()) {
            Ok(Address::Http { retries, .. } | Address::Socket { retries, .. }) => DeliveryOptions {
                retries: retries.count,
                retry_connect: retries.connect,
                retry_timeout: retries.timeout,
                retry_4xx: retries.status_4xx,
                retry_5xx: retries.status_5xx,
                ..options
            },
            Ok(Address::OwnSocket(_)) | Err(_) => options,
        }
    }

    fn pauses(&self) -> Pauses {
        Pauses { first: FIRST_PAUSE, all: Some(ALL_ATTEMPTS) }
    }

    fn largest_document(&self) -> usize {
        verbs::LARGEST
    }

    fn link(&self, application: &Fetch) -> Option<Box<dyn Protocol>> {
        Link::to(application).map(|link| Box::new(link) as Box<dyn Protocol>)
    }

    fn command(&self, base: &Fetch, frame: &str) -> Option<CallCommand> {
        let Ok(Frame::Command(read)) = frames::read(frame) else { return None };
        // The program is told of a command that cannot be done.
        let refused = |error: command::BadCommand| CallCommand::Unsupported(format!("a command ({error})"));
        Some(command::command(&self.reach(base), read.change).unwrap_or_else(refused))
    }

    fn shortcut<'a>(&self, user: &str, header: &dyn Fn(&str) -> Option<&'a str>) -> Option<Shortcut> {
        Some(crate::shortcut::read(user, header))
    }

    fn sound_words(&self) -> Option<Arc<dyn Words>> {
        Some(crate::sound::words())
    }

    fn at_end(&self, application: &Fetch) -> AtEnd {
        if Reach::of(application).is_socket() { AtEnd::Stay } else { AtEnd::Hangup }
    }

    fn profile(&self, settings: &serde_json::Value) -> Profile {
        let settings: ApplicationSettings = serde_json::from_value(settings.clone()).unwrap_or_default();
        let speech = settings.speech;
        let voice = (speech.synthesis_voice, speech.synthesis_language);
        Profile {
            auth: settings.call_hook_auth,
            status_auth: settings.call_status_hook_auth,
            voice: (voice != (None, None)).then(|| (voice.0.unwrap_or_default(), voice.1.unwrap_or_default())),
            document: settings.app_json,
        }
    }

    fn refusal(&self) -> (u16, &'static str) {
        (480, "Temporarily Unavailable")
    }
}

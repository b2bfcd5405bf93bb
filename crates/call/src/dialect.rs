//! The seam between the engine and a dialect: a dialect is a pure translation. It parses documents to verbs, words
//! requests and callbacks, and signs them; it performs no request and decides no hearing.

mod happening;
mod outcome;
mod shortcut;
mod view;

use std::sync::Arc;
use std::time::Duration;

pub use happening::{Happening, Kind};
pub use outcome::{Dialled, Gathered, InputEnd, Outcome, QueueView, Referred, Understood};
pub use shortcut::Shortcut;
pub use view::{CallState, CallView, Direction, Invite, MemberView, Origin, RoomView, SipView};

use crate::command::CallCommand;
use crate::link;
use crate::stream::Words;
use crate::verb::{BasicAuth, Fetch, Instruction, Method, Prompt};

/// Parameters of a request, in the order in which they are written. Keys may repeat.
pub type Params = Vec<(String, String)>;

/// A dialect. One value serves all accounts.
pub trait Dialect: Send + Sync + 'static {
    /// Its name in records: `plivo`, `jambonz`.
    fn name(&self) -> &'static str;

    /// What a request for instructions says.
    fn request(&self, call: &CallView, purpose: &Purpose) -> Body;

    /// Instructions from the answer to such a request; `None`: nothing new, the old ones go on. `base` is the application's
    /// own address, which others are relative to.
    fn document(
        &self,
        base: &Fetch,
        purpose: &Purpose,
        content_type: &str,
        body: &[u8],
    ) -> Result<Option<Vec<Instruction>>, DocumentError>;

    /// Prompts from a document that music and sound URLs may answer with; verbs other than prompts are left out.
    fn prompts(&self, content_type: &str, body: &[u8]) -> Result<Vec<Prompt>, DocumentError>;

    /// Headers that sign a request at `at` (seconds since 1970). `url` is what is asked for (no fragment; the query as sent
    /// for GET).
    fn sign(&self, keys: &SigningKeys, method: Method, url: &str, body: &Body, at: i64) -> Vec<(String, String)>;

    /// What a happening is worth to this dialect's programs: the callbacks to deliver, in order.
    fn callbacks(&self, happening: &Happening<'_>) -> Vec<Callback>;

    /// What a happening to a queue is worth to the account, by its settings in the dialect's words.
    fn queue_callbacks(&self, happening: &Happening<'_>, settings: &serde_json::Value) -> Vec<Callback> {
        let _ = (happening, settings);
        Vec::new()
    }

    /// Delivery limits that the URL asks for, for example in its fragment.
    fn delivery(&self, url: &str) -> DeliveryOptions;

    /// How long is waited between the attempts at a request for instructions.
    fn pauses(&self) -> Pauses {
        Pauses::default()
    }

    /// Longest document, bytes: of a longer answer nothing is read.
    fn largest_document(&self) -> usize {
        100 * 1024
    }

    /// The protocol with an application that is reached by a connection of its own for each call.
    fn link(&self, application: &Fetch) -> Option<Box<dyn link::Protocol>> {
        let _ = application;
        None
    }

    /// The words on streams of sound, if there are any.
    fn sound_words(&self) -> Option<Arc<dyn Words>> {
        None
    }

    /// What a frame commands that came over such a connection; `base` as for [`Dialect::document`].
    fn command(&self, base: &Fetch, frame: &str) -> Option<CallCommand> {
        let _ = (base, frame);
        None
    }

    /// What an endpoint means that has dialled this user name, in this dialect's words; `header` reads the INVITE's headers.
    /// `None`: whatever it dials is its application's.
    fn shortcut<'a>(&self, user: &str, header: &dyn Fn(&str) -> Option<&'a str>) -> Option<Shortcut> {
        let _ = (user, header);
        None
    }

    /// What becomes of a call whose instructions are through.
    fn at_end(&self, application: &Fetch) -> AtEnd {
        let _ = application;
        AtEnd::Hangup
    }

    /// What an application's settings, in the dialect's words, say.
    fn profile(&self, settings: &serde_json::Value) -> Profile {
        let _ = settings;
        Profile::default()
    }

    /// The final status that refuses a call for which there are no instructions.
    fn refusal(&self) -> (u16, &'static str) {
        (500, "Instructions Unavailable")
    }
}

/// What an application's settings say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Credentials of its hook for instructions.
    pub auth: Option<BasicAuth>,
    /// Credentials of its hook for states.
    pub status_auth: Option<BasicAuth>,
    /// Voice and language of prompts that name none.
    pub voice: Option<(String, String)>,
    /// A document that is run in place of asking.
    pub document: Option<String>,
}

/// What becomes of a call whose instructions are through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// It ends.
    Hangup,
    /// It stays up until its program says what next.
    Stay,
}

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing but its URL.
    Nothing,
    /// Parameters: in the query of a GET, else in a form.
    Form(Params),
    /// JSON text, byte for byte; nothing in a GET.
    Json(String),
}

/// Why a document cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Neither a document of the dialect nor sound.
    #[error("the answer is of type {0:?}; answer with application/xml")]
    WrongType(String),
    /// In the dialect's own words.
    #[error("{0}")]
    Invalid(String),
    /// Not well formed.
    #[error("the document is broken at byte {offset}: {problem}; check that it is well formed and within the limits")]
    Malformed {
        /// Where.
        offset: usize,
        /// What.
        problem: String,
    },
    /// A verb that does not exist here.
    #[error("unknown verb {0:?}; see the support table for the verbs that are understood")]
    UnknownVerb(String),
    /// A bad attribute or child.
    #[error("{verb}: attribute {attribute} is {value:?}; {remedy}")]
    BadAttribute {
        /// The verb.
        verb: String,
        /// The attribute.
        attribute: String,
        /// What it was.
        value: String,
        /// What it may be.
        remedy: String,
    },
}

/// What a request for instructions is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// The call's first instructions.
    Answer,
    /// The same, after the first URL failed.
    Fallback,
    /// After digits were gathered.
    Digits(String),
    /// A redirect.
    Redirect,
    /// A program moved the call to other instructions.
    Transfer,
    /// After the call left a room.
    LeftRoom(Box<Departure>),
    /// A sound or music URL.
    Sound,
    /// An instruction is over: how it went, and the program's name for it.
    Action(Box<Outcome>, Option<String>),
    /// What to hear while a room has not started, or on hold.
    Wait,
    /// What to hear in a queue.
    QueueWait(Box<QueueView>),
    /// What to hear just before the member takes part.
    Enter,
    /// What a callee hears before he is connected.
    Confirm,
    /// Keys of a pattern were pressed: which.
    Keys(String),
    /// The far side wants to move the call (RFC 3515).
    ReferredTo(Box<Referred>),
    /// The far side reports on a transfer: the status of the call that it made.
    Transferred(u16),
    /// A request within the dialog, in the dialect's words: JSON text of further properties.
    InDialog(String),
    /// A dialled call goes on by itself: the call that dialled it.
    Adulting(Box<CallView>),
}

impl Purpose {
    /// Whether a request that fails ends the call; otherwise its instructions go on.
    pub fn is_vital(&self) -> bool {
        matches!(
            self,
            Self::Answer
                | Self::Fallback
                | Self::Digits(_)
                | Self::Redirect
                | Self::Transfer
                | Self::LeftRoom(_)
                | Self::Confirm
        )
    }
}

/// A stay in a room that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Departure {
    /// The room's id.
    pub room: String,
    /// Its name.
    pub room_name: String,
    /// The member as it left.
    pub member: MemberView,
}

/// The secrets that sign requests.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    /// The (sub-)account's token.
    pub token: String,
    /// The main account's token; the same for a main account.
    pub main_token: String,
    /// The main account's secret for requests of the dialects that sign with one.
    pub webhook_secret: String,
}

/// How a callback may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// Longest time to connect.
    pub connect: Duration,
    /// Longest time for the whole exchange.
    pub total: Duration,
    /// Further attempts, after [`Dialect::pauses`], for requests whose answer is awaited.
    pub retries: u32,
    /// Retry after a refused or timed-out connection.
    pub retry_connect: bool,
    /// Retry after a timed-out answer.
    pub retry_timeout: bool,
    /// Retry after 4xx.
    pub retry_4xx: bool,
    /// Retry after 5xx.
    pub retry_5xx: bool,
}

/// Waits between the attempts at a request. By default there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// Before the second attempt; twice as long before each one after it.
    pub first: Duration,
    /// Longest time for all attempts, with the waits between them.
    pub all: Option<Duration>,
}

/// Something that a program is told, and whose answer nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// By HTTP.
    Request {
        /// Where to.
        to: Fetch,
        /// What it says.
        body: Body,
    },
    /// Over the connection of a call.
    Message {
        /// The call.
        call: String,
        /// What is said.
        tell: link::Tell,
    },
}

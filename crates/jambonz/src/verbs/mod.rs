//! Verb arrays: what applications answer with, as typed instructions.
//!
//! Both ways of writing are read, `{"verb":"say","text":"…"}` and `{"say":{"text":"…"}}`; `room` is `conference`, `stream` is
//! `listen`. What the vendor's schemas refuse (a missing property, a wrong type, a word outside an enumeration) is refused
//! with its place, before anything of the document runs. What they allow is accepted: unknown properties are passed over,
//! numbers out of range are brought into it, addresses are checked when they are used. Only limits of this server
//! go further: sizes, counts, names of 1 to 255 characters (of queues: 256 bytes) without control characters, no empty `speakOnlyTo`, and
//! SIP headers of one line.

mod conference;
mod config;
mod dial;
mod gather;
mod listen;
mod names;
mod prompt;
mod queue;
mod signalling;
mod speech;
mod track;

use std::time::Duration;

pub use conference::{Conference, Entrance, StatusEvent, StatusHook};
pub use config::{BargeIn, Config};
pub use dial::{Dial, DtmfCapture, Target, TargetKind};
pub use gather::{Complete, Gather};
pub use listen::{Listen, ListenChange, MixType, TwoWay};
pub use names::{READ, UNSUPPORTED};
pub use prompt::{Play, Repeat, Say};
pub use queue::{Dequeue, Enqueue};
pub use signalling::{Decline, Dtmf, Message, Redirect, Refer};
pub use speech::{Recognizer, Synthesizer};
pub use track::{Dub, DubAction, DubSpeech};

pub use crate::fault::DocumentError;
use crate::fault::{Fault, Properties, quoted};
use crate::json::{self, Object, Value};

/// Largest document, in bytes.
pub const LARGEST: usize = 256 * 1024;
/// Most verbs of one document.
pub const MOST_VERBS: usize = 500;
/// Most elements of a list in a verb.
pub const MOST_ELEMENTS: usize = 500;

/// One instruction. They run one at a time, first to last.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The program's name for it, which its events and action hook repeat (`verb_id`).
    pub id: Option<String>,
    /// What to do.
    pub verb: Verb,
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Answers the call (200 OK).
    Answer,
    /// Rings (180), with this text in `Alert-Info`.
    Alert(String),
    /// Speaks a text.
    Say(Say),
    /// Plays sound files.
    Play(Play),
    /// Is silent for a while.
    Pause(Duration),
    /// Collects digits or speech.
    Gather(Box<Gather>),
    /// Calls somebody and connects both, in a room without a name.
    Dial(Box<Dial>),
    /// Puts the call into a room.
    Conference(Box<Conference>),
    /// Puts the call into a queue.
    Enqueue(Enqueue),
    /// Connects the call with the first of a queue.
    Dequeue(Dequeue),
    /// Takes the call out of the queue in whose wait hook this is.
    Leave,
    /// Streams the call's sound to a program.
    Listen(Box<Listen>),
    /// Changes a track that is mixed into the call.
    Dub(Dub),
    /// Sends digits.
    Dtmf(Dtmf),
    /// Sets what later hooks carry as `customerData`.
    Tag(Object),
    /// Sets what holds for the whole call.
    Config(Box<Config>),
    /// Sends a text message.
    Message(Message),
    /// Refuses a call that has not been answered.
    Decline(Decline),
    /// Moves the caller elsewhere (SIP REFER).
    Refer(Refer),
    /// Asks for other instructions, which replace the rest.
    Redirect(Redirect),
    /// Ends the call, with these headers in the BYE.
    Hangup(Vec<(String, String)>),
    /// A verb that the vendor's schemas know and this server does not run: to be told by `jambonz:error`, and passed over.
    Unsupported(String),
}

impl Verb {
    /// Its name in events and errors.
    pub fn name(&self) -> &str {
        match self {
            Self::Answer => "answer",
            Self::Alert(_) => "alert",
            Self::Say(_) => "say",
            Self::Play(_) => "play",
            Self::Pause(_) => "pause",
            Self::Gather(_) => "gather",
            Self::Dial(_) => "dial",
            Self::Conference(_) => "conference",
            Self::Enqueue(_) => "enqueue",
            Self::Dequeue(_) => "dequeue",
            Self::Leave => "leave",
            Self::Listen(_) => "listen",
            Self::Dub(_) => "dub",
            Self::Dtmf(_) => "dtmf",
            Self::Tag(_) => "tag",
            Self::Config(_) => "config",
            Self::Message(_) => "message",
            Self::Decline(_) => "sip:decline",
            Self::Refer(_) => "sip:refer",
            Self::Redirect(_) => "redirect",
            Self::Hangup(_) => "hangup",
            Self::Unsupported(name) => name,
        }
    }
}

/// Where a document is run that may hold few verbs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The answer of a conference's `waitHook` or `enterHook`, or of a hold's `wait_hook`.
    ConferenceWait,
    /// The answer of a queue's `waitHook`.
    QueueWait,
    /// A whisper.
    Whisper,
    /// The answer of a dial's `confirmHook`, which the called party alone hears.
    Confirm,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::ConferenceWait => "the answer of a conference's wait or enter hook",
            Self::QueueWait => "the answer of a queue's wait hook",
            Self::Whisper => "a whisper",
            Self::Confirm => "the answer of a confirm hook",
        }
    }

    const fn allowed(self) -> &'static str {
        match self {
            Self::ConferenceWait => "play, say and pause",
            Self::QueueWait => "play, say, pause, leave and tag",
            Self::Whisper => "play and say",
            Self::Confirm => "play, say, pause, gather and hangup",
        }
    }

    const fn allows(self, verb: &Verb) -> bool {
        match verb {
            Verb::Say(_) | Verb::Play(_) => true,
            Verb::Pause(_) => !matches!(self, Self::Whisper),
            Verb::Leave | Verb::Tag(_) => matches!(self, Self::QueueWait),
            Verb::Gather(_) | Verb::Hangup(_) => matches!(self, Self::Confirm),
            _ => false,
        }
    }
}

/// Reads a document from the body of an answer.
///
/// # Errors
/// See [`DocumentError`]; every one says what to change.
pub fn document(body: &[u8]) -> Result<Vec<Instruction>, DocumentError> {
    if body.len() > LARGEST {
        return Err(DocumentError::TooLarge { bytes: body.len(), most: LARGEST });
    }
    instructions(&json::parse(body)?)
}

/// Reads a document that is a JSON value already.
///
/// # Errors
/// As [`document`].
pub fn instructions(document: &Value) -> Result<Vec<Instruction>, DocumentError> {
    let Value::Array(elements) = document else {
        return Err(DocumentError::NotAnArray(document.kind()));
    };
    if elements.len() > MOST_VERBS {
        return Err(DocumentError::TooManyVerbs { count: elements.len(), most: MOST_VERBS });
    }
    elements.iter().enumerate().map(|(index, element)| instruction(index, element)).collect()
}

/// Reads a document, or a single verb without an array around it, for a place where few verbs are allowed.
///
/// # Errors
/// As [`document`]; and a verb is not allowed there.
pub fn instructions_for(place: Place, document: &Value) -> Result<Vec<Instruction>, DocumentError> {
    let read = match document {
        Value::Object(_) => vec![instruction(0, document)?],
        _ => instructions(document)?,
    };
    for (index, instruction) in read.iter().enumerate() {
        if !place.allows(&instruction.verb) {
            let verb = READ.iter().find(|name| **name == instruction.verb.name()).copied().unwrap_or("this verb");
            return Err(DocumentError::NotHere { index, verb, place: place.name(), allowed: place.allowed() });
        }
    }
    Ok(read)
}

fn instruction(index: usize, element: &Value) -> Result<Instruction, DocumentError> {
    let not_a_verb = |problem: String| DocumentError::NotAVerb { index, problem };
    let Value::Object(element) = element else {
        return Err(not_a_verb(format!("it is {}", element.kind())));
    };
    let empty = Object::new();
    let (written, object) = match (element.get("verb"), element.iter().next()) {
        (Some(Value::Text(name)), _) => (name.as_str(), element),
        (Some(other), _) => return Err(not_a_verb(format!("its verb is {}", other.kind()))),
        (None, Some((name, Value::Object(object)))) if element.len() == 1 => (name.as_str(), object),
        (None, Some((name, Value::Null))) if element.len() == 1 => (name.as_str(), &empty),
        (None, Some((name, value))) if element.len() == 1 => {
            return Err(not_a_verb(format!("{:?} has {} instead of an object", quoted(name.as_str()), value.kind())));
        }
        _ => return Err(not_a_verb("it has no verb property".to_owned())),
    };
    let name = names::canonical(written);
    if !READ.contains(&name) {
        if names::is_unsupported(name) {
            let id = object.get("id").and_then(Value::as_str).map(quoted);
            return Ok(Instruction { id, verb: Verb::Unsupported(name.to_owned()) });
        }
        return Err(DocumentError::UnknownVerb { index, verb: quoted(written) });
    }
    let properties = Properties::new(object);
    let bad = |fault: Fault| DocumentError::BadProperty {
        index,
        verb: written.to_owned(),
        property: fault.property,
        value: fault.value,
        remedy: fault.remedy,
    };
    let id = properties.line("id").map_err(bad)?;
    Ok(Instruction { id, verb: verb(name, &properties).map_err(bad)? })
}

fn verb(name: &str, properties: &Properties<'_>) -> Result<Verb, Fault> {
    Ok(match name {
        "answer" => Verb::Answer,
        "alert" => Verb::Alert(properties.required_line("message")?),
        "say" => Verb::Say(prompt::say(properties)?),
        "play" => Verb::Play(prompt::play(properties)?),
        "pause" => Verb::Pause(prompt::pause(properties)?),
        "gather" => Verb::Gather(Box::new(gather::read(properties)?)),
        "dial" => Verb::Dial(Box::new(dial::read(properties)?)),
        "conference" => Verb::Conference(Box::new(conference::read(properties)?)),
        "enqueue" => Verb::Enqueue(queue::enqueue(properties)?),
        "dequeue" => Verb::Dequeue(queue::dequeue(properties)?),
        "leave" => Verb::Leave,
        "listen" => Verb::Listen(Box::new(listen::read(properties)?)),
        "dub" => Verb::Dub(track::read(properties)?),
        "dtmf" => Verb::Dtmf(signalling::dtmf(properties)?),
        "tag" => Verb::Tag(properties.required_object("data")?.clone()),
        "config" => Verb::Config(Box::new(config::read(properties)?)),
        "message" => Verb::Message(signalling::message(properties)?),
        "sip:decline" => Verb::Decline(signalling::decline(properties)?),
        "sip:refer" => Verb::Refer(signalling::refer(properties)?),
        "redirect" => Verb::Redirect(signalling::redirect(properties)?),
        "hangup" => Verb::Hangup(properties.headers("headers")?),
        other => Verb::Unsupported(other.to_owned()),
    })
}

// Commands and updates have some verbs' properties too.
pub(crate) use config::read as config;
pub(crate) use dial::rest_target;
pub(crate) use prompt::{play, say};
pub(crate) use signalling::keys;
pub(crate) use track::read as dub;

#[cfg(test)]
mod tests;

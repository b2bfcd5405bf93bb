//! Frames from the application.

use super::command;
use crate::answer::Answer;
use crate::change::{Change, ChangeError};
use crate::fault::quoted;
use crate::hooks::{self, ErrorReport};
use crate::json::{self, JsonError, Object, Value};

/// Largest frame, in bytes.
pub const LARGEST_FRAME: usize = 24 * 1024;
/// Longest id of a message, in bytes.
const LONGEST_ID: usize = 256;

/// A frame from the application.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The answer to a frame that wanted one. An id that nobody waits for, or one that was answered already, is passed over.
    Ack {
        /// The id of that frame.
        msgid: String,
        /// What it says.
        answer: Answer,
    },
    /// Something to do now. Commands of one call apply in the order in which they come.
    Command(Command),
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The call that it names, if it does: to be honoured where that call is of the same session, a dialled leg for example.
    /// Otherwise the session's own call is meant.
    pub call_sid: Option<String>,
    /// What to do.
    pub change: Change,
}

/// Why a frame is not understood. It has done nothing; the call goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too many bytes.
    #[error("the frame has {0} bytes; send at most {LARGEST_FRAME}")]
    TooLarge(usize),
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not an object.
    #[error("the frame is {0}; send a JSON object with a type")]
    NotAnObject(&'static str),
    /// A type that applications do not send.
    #[error("type is {0}; send ack or command")]
    UnknownType(String),
    /// An ack without the id of what it answers.
    #[error("the ack has no msgid; repeat the msgid of the frame that it answers")]
    NoMessageId,
    /// A command without a name.
    #[error("the command has no name; write it under command")]
    NoCommand,
    /// No such command.
    #[error("there is no command {0:?}; see the support table for the commands that are understood")]
    UnknownCommand(String),
    /// A command without what belongs to it.
    #[error("command {0} needs data")]
    NoData(String),
    /// `callSid` is no text.
    #[error("callSid is {0}; write the sid of a call")]
    CallSid(String),
    /// What belongs to it is wrong.
    #[error("command {command}: {error}")]
    Data {
        /// Its name.
        command: String,
        /// What is wrong.
        error: Box<ChangeError>,
    },
}

impl FrameError {
    /// The data of the `jambonz:error` that answers this frame.
    pub fn report(&self, frame: &str) -> Object {
        hooks::error(&ErrorReport {
            msg: "InvalidMessage",
            details: &self.to_string(),
            content: Some(&quoted(frame)),
            ..ErrorReport::default()
        })
    }
}

/// Reads a frame.
///
/// # Errors
/// See [`FrameError`]; every one says what to change.
pub fn read(text: &str) -> Result<Frame, FrameError> {
    if text.len() > LARGEST_FRAME {
        return Err(FrameError::TooLarge(text.len()));
    }
    let value = json::parse(text.as_bytes())?;
    let Value::Object(frame) = &value else { return Err(FrameError::NotAnObject(value.kind())) };
    match frame.get("type") {
        Some(Value::Text(kind)) if kind.is("ack") => ack(frame),
        Some(Value::Text(kind)) if kind.is("command") => command(frame).map(Frame::Command),
        Some(other) => Err(FrameError::UnknownType(quoted(&other.to_string()))),
        None => Err(FrameError::UnknownType("missing".to_owned())),
    }
}

fn ack(frame: &Object) -> Result<Frame, FrameError> {
    let msgid = frame.get("msgid").and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
    let msgid = msgid.ok_or(FrameError::NoMessageId)?.to_owned();
    let answer = frame.get("data").map_or(Answer::Nothing, Answer::of);
    Ok(Frame::Ack { msgid, answer })
}

fn command(frame: &Object) -> Result<Command, FrameError> {
    let name = frame.get("command").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or(FrameError::NoCommand)?;
    let call_sid = match frame.get("callSid") {
        Some(Value::Text(sid)) => Some(sid.as_str().to_owned()).filter(|sid| !sid.is_empty()),
        None | Some(Value::Null) => None,
        Some(other) => return Err(FrameError::CallSid(quoted(&other.to_string()))),
    };
    let queue = frame.get("queueCommand").is_some_and(Value::is_truthy);
    let data = frame.get("data").filter(|data| data.is_truthy());
    let change = match command::read(name, data, queue) {
        Ok(Some(change)) => change,
        Ok(None) => return Err(FrameError::UnknownCommand(quoted(name))),
        Err(command::Refusal::NoData) => return Err(FrameError::NoData(quoted(name))),
        Err(command::Refusal::Data(error)) => {
            return Err(FrameError::Data { command: quoted(name), error: Box::new(error) });
        }
    };
    Ok(Command { call_sid, change })
}

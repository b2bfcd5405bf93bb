//! Documents: from this dialect's instructions to those that run.

mod prompts;
mod reach;
mod room;
mod verb;

use call::dialect::{DocumentError, Purpose};
use call::verb::{self as run, Fetch, Label};

pub(crate) use prompts::say;
pub(crate) use reach::Reach;

use crate::hook::HookError;
use crate::json;
use crate::json::Value;
use crate::verbs::{self, Instruction, Place};

/// Why well-formed instructions cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("element {index}, {verb}: {error}")]
pub struct NotRun {
    /// Which, from 0.
    pub index: usize,
    /// The verb.
    pub verb: String,
    /// What is wrong with one of its addresses.
    pub error: HookError,
}

/// What these run as; hooks are relative to `base`, the application's own address.
///
/// # Errors
/// A hook leads nowhere.
pub fn instructions(base: &Fetch, instructions: Vec<Instruction>) -> Result<Vec<run::Instruction>, NotRun> {
    Reach::of(base).instructions(instructions)
}

/// Who is meant by a target; `None`: somebody who cannot be called from here. `base` as for [`instructions`].
///
/// # Errors
/// A hook leads nowhere.
pub fn target(base: &Fetch, target: &verbs::Target) -> Result<Option<run::Target>, HookError> {
    Reach::of(base).target(target)
}

/// Instructions in an answer; `None`: nothing new.
pub(crate) fn read(
    reach: &Reach,
    purpose: &Purpose,
    content_type: &str,
    body: &[u8],
) -> Result<Option<Vec<run::Instruction>>, DocumentError> {
    let read = match elements(purpose, content_type, body)? {
        Some(read) => read,
        // Over a connection, instructions may still come by command.
        None if matches!(purpose, Purpose::Answer | Purpose::Fallback) && !reach.is_socket() => {
            return Err(DocumentError::Invalid(format!(
                "the answer, of type {content_type:?}, has no verbs; answer with application/json and an array of verbs"
            )));
        }
        None => return Ok(None),
    };
    reach.instructions(read).map(Some).map_err(|error| DocumentError::Invalid(error.to_string()))
}

fn elements(purpose: &Purpose, content_type: &str, body: &[u8]) -> Result<Option<Vec<Instruction>>, DocumentError> {
    // What is not declared to be JSON is not looked at: frameworks send `OK` unasked.
    if !content_type.to_ascii_lowercase().contains("application/json") || body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let invalid = |error: verbs::DocumentError| DocumentError::Invalid(error.to_string());
    if body.len() > verbs::LARGEST {
        return Err(invalid(verbs::DocumentError::TooLarge { bytes: body.len(), most: verbs::LARGEST }));
    }
    let value = json::parse(body).map_err(|error| invalid(error.into()))?;
    let says_nothing = match &value {
        Value::Object(object) => object.is_empty(),
        value => !value.is_truthy(),
    };
    if says_nothing {
        return Ok(None);
    }
    let read = match place(purpose) {
        Some(place) => verbs::instructions_for(place, &value),
        None => verbs::instructions(&value),
    };
    Ok(Some(read.map_err(invalid)?).filter(|read| !read.is_empty()))
}

fn place(purpose: &Purpose) -> Option<Place> {
    match purpose {
        Purpose::Wait | Purpose::Enter => Some(Place::ConferenceWait),
        Purpose::QueueWait(_) => Some(Place::QueueWait),
        Purpose::Confirm => Some(Place::Confirm),
        _ => None,
    }
}

impl Reach {
    /// What these run as.
    pub(crate) fn instructions(&self, instructions: Vec<Instruction>) -> Result<Vec<run::Instruction>, NotRun> {
        let mut run = Vec::with_capacity(instructions.len());
        for (index, instruction) in instructions.into_iter().enumerate() {
            let label = Label { verb: instruction.verb.name().to_owned(), id: instruction.id.clone() };
            let name = instruction.verb.name().to_owned();
            let verbs = self.verbs(instruction).map_err(|error| NotRun { index, verb: name, error })?;
            run.extend(verbs.into_iter().map(|verb| run::Instruction { verb, label: Some(label.clone()) }));
        }
        Ok(run)
    }
}

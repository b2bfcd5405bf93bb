//! What is wrong with what a program wrote.

mod properties;

pub(crate) use properties::{LONGEST_NAME, Properties, leading_number, real, seconds, whole};

use crate::json::{JsonError, Value};

/// How much of a bad value an error repeats, in characters.
const QUOTED: usize = 120;

/// Why a document cannot be run. Nothing of it has been run then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Too many bytes.
    #[error("the document has {bytes} bytes; send at most {most}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not a list.
    #[error("the document is {0}; answer with a JSON array of verbs")]
    NotAnArray(&'static str),
    /// Too many verbs.
    #[error("the document has {count} verbs; send at most {most}")]
    TooManyVerbs {
        /// How many.
        count: usize,
        /// The most.
        most: usize,
    },
    /// An element of another form.
    #[error("element {index} is no verb: {problem}; write {{\"verb\":\"say\",…}} or {{\"say\":{{…}}}}")]
    NotAVerb {
        /// Which, from 0.
        index: usize,
        /// What it is.
        problem: String,
    },
    /// A verb of no schema.
    #[error("element {index}: there is no verb {verb:?}; see the support table for the verbs that are understood")]
    UnknownVerb {
        /// Which, from 0.
        index: usize,
        /// Its name.
        verb: String,
    },
    /// A property that is missing or of a wrong value.
    #[error("element {index}, {verb}: property {property} is {value}; {remedy}")]
    BadProperty {
        /// Which, from 0.
        index: usize,
        /// The verb.
        verb: String,
        /// The property, with its place: `target[0].type`.
        property: String,
        /// What it was, as JSON, or `missing`.
        value: String,
        /// What it may be.
        remedy: String,
    },
    /// A verb that cannot be used here.
    #[error("element {index}: {verb} cannot be used in {place}; use {allowed}")]
    NotHere {
        /// Which, from 0.
        index: usize,
        /// The verb.
        verb: &'static str,
        /// Where.
        place: &'static str,
        /// What can be used.
        allowed: &'static str,
    },
}

/// A property that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("property {property} is {value}; {remedy}")]
pub struct Fault {
    /// The property, with its place: `target[0].type`.
    pub property: String,
    /// What it was, as JSON, or `missing`.
    pub value: String,
    /// What it may be.
    pub remedy: String,
}

impl Fault {
    pub(crate) fn new(property: &str, value: Option<&Value>, remedy: impl Into<String>) -> Self {
        let value = value.map_or_else(|| "missing".to_owned(), |value| told(property, value));
        Self { property: property.to_owned(), value, remedy: remedy.into() }
    }
}

/// Words in names of properties whose values are nobody's to read.
const SECRETS: [&str; 4] = ["password", "secret", "token", "auth"];

/// Whether nothing can be in it that is nobody's to read.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(_) | Value::Array(_) => false,
        Value::Text(text) => !text.as_str().contains("://"),
        _ => true,
    }
}

/// A bad value as errors tell it, which others than its author may read: without secrets, and what may hold some by its kind
/// alone.
fn told(property: &str, value: &Value) -> String {
    let name = property.rsplit('.').next().unwrap_or(property).to_ascii_lowercase();
    let secret = SECRETS.iter().any(|word| name.contains(word));
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(items) if secret || !items.iter().all(is_plain) => format!("an array of {}", items.len()),
        Value::Text(_) if secret => "a string that is not shown".to_owned(),
        Value::Number(_) if secret => "a number that is not shown".to_owned(),
        Value::Text(text) if text.as_str().contains("://") => format!("{:?}", call::http::shown(text.as_str())),
        _ => quoted(&value.to_string()),
    }
}

/// The start of a value, for error messages.
pub(crate) fn quoted(text: &str) -> String {
    if text.chars().count() <= QUOTED {
        return text.to_owned();
    }
    text.chars().take(QUOTED).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::Hook;

    #[test]
    fn an_error_repeats_no_password_and_nothing_that_may_hold_one() {
        let text = r#"{"password":12345,"wsAuth":"s3cret","url":"https://u:s3cret@host.test:1/x?token=s3cret",
            "target":[{"auth":{"password":"s3cret"}}],"hook":{"password":"s3cret"},"loop":"much","list":[[{"password":"s3cret"}]]}"#;
        let value = crate::json::parse(text.as_bytes()).unwrap();
        let properties = Properties::new(value.as_object().unwrap());
        let told: Vec<String> = ["password", "wsAuth", "url", "target", "hook", "loop", "none", "list"]
            .map(|name| properties.fault(name, "write it").to_string())
            .into();
        assert!(told.iter().all(|words| !words.contains("s3cret") && !words.contains("12345")), "{told:#?}");
        assert!(told[2].contains("https://host.test:1/x") && told[5].contains("much") && told[6].contains("missing"));
        for wrong in ["https://u:s3cret@host.test:99999/x?token=s3cret", "ftp://u:s3cret@host.test/?s3cret"] {
            let error = crate::hook::Base::of(&Hook::plain(wrong)).unwrap_err().to_string();
            assert!(!error.contains("s3cret") && error.contains("host.test"), "{error}");
        }
    }
}

//! The reading of the properties that a program wrote.

use std::time::Duration;

use super::Fault;
use crate::hook::{self, BasicAuth, Hook, HookMethod, LONGEST_URL};
use crate::json::{Object, Value};

/// Longest duration that a property can ask for.
const LONGEST: f64 = 30.0 * 86_400.0;
/// Most SIP headers of one verb.
const MOST_HEADERS: usize = 50;
/// Longest name of a room, member tag or track, in characters.
pub(crate) const LONGEST_NAME: usize = 255;

/// The properties of a verb or of an object in it. `null` counts as left out.
#[derive(Clone, Debug)]
pub(crate) struct Properties<'a> {
    object: &'a Object,
    /// What precedes a property's name in messages: empty, or like `target[0].`.
    place: String,
}

type Read<T> = Result<T, Fault>;

impl<'a> Properties<'a> {
    pub fn new(object: &'a Object) -> Self {
        Self { object, place: String::new() }
    }

    /// Those of an object at `place`.
    pub fn at(object: &'a Object, place: impl Into<String>) -> Self {
        Self { object, place: format!("{}.", place.into()) }
    }

    pub fn place(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    pub fn fault(&self, name: &str, remedy: impl Into<String>) -> Fault {
        Fault::new(&self.place(name), self.object.get(name), remedy)
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| **value != Value::Null)
    }

    pub fn text(&self, name: &str) -> Read<Option<&'a str>> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| self.fault(name, "write a string"))).transpose()
    }

    /// A text of one line.
    pub fn line(&self, name: &str) -> Read<Option<String>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if text.len() > LONGEST_URL || text.chars().any(char::is_control) {
            return Err(self.fault(name, format!("write one line of at most {LONGEST_URL} bytes")));
        }
        Ok(Some(text.to_owned()))
    }

    pub fn required_line(&self, name: &str) -> Read<String> {
        self.line(name)?.ok_or_else(|| self.fault(name, "write a string"))
    }

    /// A name of 1 to [`LONGEST_NAME`] characters; an empty one counts as left out.
    pub fn name(&self, name: &str) -> Read<Option<String>> {
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        if text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
            let remedy = format!("write 1 to {LONGEST_NAME} characters, without control characters");
            return Err(self.fault(name, remedy));
        }
        Ok(Some(text.to_owned()))
    }

    pub fn required_name(&self, name: &str) -> Read<String> {
        self.name(name)?.ok_or_else(|| self.fault(name, format!("write 1 to {LONGEST_NAME} characters")))
    }

    pub fn boolean(&self, name: &str) -> Read<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.fault(name, "write true or false, without quotes")),
        }
    }

    /// Whether it is there and true.
    pub fn flag(&self, name: &str) -> Read<bool> {
        self.boolean(name).map(|value| value == Some(true))
    }

    pub fn number(&self, name: &str) -> Read<Option<f64>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(self.fault(name, "write a number, without quotes")),
        }
    }

    /// A number, or a text with one; a text without one counts as left out.
    pub fn loose_number(&self, name: &str) -> Read<Option<f64>> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(leading_number(text.as_str())),
            Some(Value::Number(number)) => Ok(Some(*number)),
            None => Ok(None),
            Some(_) => Err(self.fault(name, "write a number or a string with one")),
        }
    }

    /// A number brought into the range.
    pub fn whole(&self, name: &str, least: u32, most: u32) -> Read<Option<u32>> {
        Ok(self.number(name)?.map(|number| whole(number, least, most)))
    }

    /// Seconds, brought to between 0 and 30 days.
    pub fn seconds(&self, name: &str) -> Read<Option<Duration>> {
        Ok(self.number(name)?.map(seconds))
    }

    pub fn object(&self, name: &str) -> Read<Option<&'a Object>> {
        self.get(name).map(|value| value.as_object().ok_or_else(|| self.fault(name, "write an object"))).transpose()
    }

    pub fn required_object(&self, name: &str) -> Read<&'a Object> {
        self.object(name)?.ok_or_else(|| self.fault(name, "write an object"))
    }

    /// The properties of the object of this name.
    pub fn inner(&self, name: &str) -> Read<Option<Self>> {
        Ok(self.object(name)?.map(|object| Self::at(object, self.place(name))))
    }

    pub fn array(&self, name: &str, most: usize) -> Read<Option<&'a [Value]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(items)) if items.len() <= most => Ok(Some(items)),
            Some(Value::Array(items)) => Err(Fault {
                property: self.place(name),
                value: format!("an array of {}", items.len()),
                remedy: format!("write at most {most} elements"),
            }),
            Some(_) => Err(self.fault(name, "write an array")),
        }
    }

    /// An array of texts.
    pub fn texts(&self, name: &str, most: usize) -> Read<Option<Vec<String>>> {
        let Some(items) = self.array(name, most)? else { return Ok(None) };
        let text = |(index, item): (usize, &Value)| {
            item.as_str()
                .map(str::to_owned)
                .ok_or_else(|| Fault::new(&format!("{}[{index}]", self.place(name)), Some(item), "write a string"))
        };
        items.iter().enumerate().map(text).collect::<Read<_>>().map(Some)
    }

    /// A text, or an array of texts.
    pub fn text_or_texts(&self, name: &str, most: usize) -> Read<Option<Vec<String>>> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(Some(vec![text.as_str().to_owned()])),
            Some(Value::Array(_)) => self.texts(name, most),
            None => Ok(None),
            Some(_) => Err(self.fault(name, "write a string or an array of strings")),
        }
    }

    /// One of the words.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Read<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
                Err(self.fault(name, format!("write one of: {words}")))
            }
        }
    }

    /// A hook: a text, or an object with `url`.
    pub fn hook(&self, name: &str) -> Read<Option<Hook>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Text(_)) => Ok(self.line(name)?.map(Hook::plain)),
            Some(Value::Object(object)) => {
                let inner = Self::at(object, self.place(name));
                Ok(Some(Hook { url: inner.required_line("url")?, method: inner.method()?, auth: inner.hook_auth()? }))
            }
            Some(_) => Err(self.fault(name, "write a URL or an object with a url")),
        }
    }

    pub fn required_hook(&self, name: &str) -> Read<Hook> {
        self.hook(name)?.ok_or_else(|| self.fault(name, "write a URL or an object with a url"))
    }

    fn method(&self) -> Read<Option<HookMethod>> {
        let Some(text) = self.text("method")? else { return Ok(None) };
        match hook::method_of(&text.to_ascii_uppercase()) {
            Some(method) => Ok(Some(method)),
            None => Err(self.fault("method", "write GET, POST or WS")),
        }
    }

    fn hook_auth(&self) -> Read<Option<BasicAuth>> {
        if let Some(auth) = self.auth("basicAuth")? {
            return Ok(Some(auth));
        }
        let (username, password) = (self.line("username")?, self.line("password")?);
        Ok(username
            .filter(|name| !name.is_empty())
            .map(|username| BasicAuth { username, password: password.unwrap_or_default() }))
    }

    /// An object with `username` and `password`.
    pub fn auth(&self, name: &str) -> Read<Option<BasicAuth>> {
        let Some(inner) = self.inner(name)? else { return Ok(None) };
        Ok(Some(BasicAuth { username: inner.required_line("username")?, password: inner.required_line("password")? }))
    }

    /// SIP headers: an object of texts and numbers.
    pub fn headers(&self, name: &str) -> Read<Vec<(String, String)>> {
        let Some(object) = self.object(name)? else { return Ok(Vec::new()) };
        if object.len() > MOST_HEADERS {
            return Err(self.fault(name, format!("write at most {MOST_HEADERS} headers")));
        }
        let mut headers = Vec::with_capacity(object.len());
        for (header, value) in object.iter() {
            let place = format!("{}.{}", self.place(name), header.as_str());
            let fault = |remedy: &str| Fault::new(&place, Some(value), remedy);
            if !is_token(header.as_str()) {
                return Err(fault("name the header with letters, digits and -"));
            }
            let text = match value {
                Value::Text(text) => text.as_str().to_owned(),
                Value::Number(_) => value.to_string(),
                _ => return Err(fault("write a string or a number")),
            };
            // A line break would let a program write headers that are not its own.
            if text.len() > LONGEST_URL || text.chars().any(char::is_control) {
                return Err(fault("write one line"));
            }
            headers.push((header.as_str().to_owned(), text));
        }
        Ok(headers)
    }
}

/// A token as SIP's headers are named (RFC 3261, 25.1).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// The number that a text starts with, as JavaScript's `parseFloat` reads it, roughly.
pub(crate) fn leading_number(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// A number brought into the range, without its fraction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of the type")]
pub(crate) fn whole(number: f64, least: u32, most: u32) -> u32 {
    real(number).clamp(f64::from(least), f64::from(most)) as u32
}

/// Seconds brought to between 0 and 30 days.
pub(crate) fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(real(number).clamp(0.0, LONGEST))
}

/// The number, or 0 for what is no number.
pub(crate) fn real(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number }
}

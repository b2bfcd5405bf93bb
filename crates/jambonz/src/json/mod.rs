//! JSON as JavaScript sees it.
//!
//! Programs check the signature of a hook over `JSON.stringify(JSON.parse(body))`, so a body must be its own
//! re-serialisation, byte for byte. [`canonical`] is that function; [`Value`] is what lies between its halves: numbers are
//! doubles, a repeated key keeps its first place and its last value, keys that look like array indices come first, and a
//! text may hold half of a surrogate pair.

mod convert;
mod number;
mod parse;
mod print;
mod text;

use std::collections::HashMap;

pub use parse::{DEEPEST, JsonError, parse};
pub use text::Text;

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; JavaScript has doubles only. One that is not finite prints as `null`.
    Number(f64),
    /// A text.
    Text(Text),
    /// A list.
    Array(Vec<Value>),
    /// Named values.
    Object(Object),
}

impl Value {
    /// The text without regard for lone surrogates; `None` for any other type.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The object; `None` for any other type.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Whether a condition in JavaScript would take it for true.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::Text(text) => !text.as_str().is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// What it is called in error messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl std::fmt::Display for Value {
    /// As `JSON.stringify` prints it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        print::value(self, formatter)
    }
}

/// Named values in the order in which the names were first written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    entries: Vec<(Text, Value)>,
}

impl Object {
    /// An object without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// From names and values; a repeated name keeps its first place and its last value.
    pub fn from_entries(entries: Vec<(Text, Value)>) -> Self {
        let mut places: HashMap<Text, usize> = HashMap::with_capacity(entries.len());
        let mut kept: Vec<(Text, Value)> = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            match places.get(&name).and_then(|place| kept.get_mut(*place)) {
                Some(entry) => entry.1 = value,
                None => {
                    places.insert(name.clone(), kept.len());
                    kept.push((name, value));
                }
            }
        }
        Self { entries: kept }
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// Sets `name`: at its place if it is there, else last.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.entries.iter_mut().find(|(key, _)| key.is(name)) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((Text::from(name), value)),
        }
    }

    /// As [`Object::set`], if there is a value.
    pub fn set_some<T: Into<Value>>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Everything of `other`, as by [`Object::set`].
    pub fn extend(&mut self, other: Self) {
        let entries = std::mem::take(&mut self.entries);
        *self = Self::from_entries(entries.into_iter().chain(other.entries).collect());
    }

    /// Without this name.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let place = self.entries.iter().position(|(key, _)| key.is(name))?;
        Some(self.entries.remove(place).1)
    }

    /// Names and values in the order in which they were written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        print::object(self, formatter)
    }
}

/// What `JSON.stringify(JSON.parse(text))` makes of a text.
///
/// # Errors
/// The text is no JSON, or nested deeper than [`DEEPEST`].
pub fn canonical(text: &str) -> Result<String, JsonError> {
    parse(text.as_bytes()).map(|value| value.to_string())
}

/// A number as JavaScript's `String(number)` writes it.
pub fn number(value: f64) -> String {
    number::text(value)
}

#[cfg(test)]
mod tests;

//! `JSON.parse`, with a limit to its depth.

use super::{Object, Text, Value};

/// How deep arrays and objects may be nested.
pub const DEEPEST: usize = 64;

/// Why a text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("byte {0} is not UTF-8; send JSON in UTF-8")]
    NotUtf8(usize),
    /// Something else is wanted here.
    #[error("broken JSON at byte {offset}: {expected} is wanted there")]
    Broken {
        /// Where, in bytes.
        offset: usize,
        /// What would go on.
        expected: &'static str,
    },
    /// Nested too deep.
    #[error("the JSON is nested deeper than {DEEPEST} at byte {0}; send it flatter")]
    TooDeep(usize),
}

/// Reads a JSON text. A byte order mark at its start is passed over.
///
/// # Errors
/// See [`JsonError`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8(error.valid_up_to()))?;
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut parser = Parser { text, at: start };
    let value = parser.value(0)?;
    parser.space();
    if parser.at < text.len() { Err(parser.broken("the end of the text")) } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn broken(&self, expected: &'static str) -> JsonError {
        JsonError::Broken { offset: self.at, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.broken("a value"))
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth >= DEEPEST => Err(JsonError::TooDeep(self.at)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(Value::Text),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.broken("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Object(Object::new()));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.broken("a name in double quotes"));
            }
            let name = self.string()?;
            self.space();
            if !self.take(b':') {
                return Err(self.broken("a colon"));
            }
            entries.push((name, self.value(depth)?));
            self.space();
            if self.take(b'}') {
                return Ok(Value::Object(Object::from_entries(entries)));
            }
            if !self.take(b',') {
                return Err(self.broken("a comma or }"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(self.broken("a comma or ]"));
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.broken("a digit"));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        text.parse().map(Value::Number).map_err(|_| JsonError::Broken { offset: start, expected: "a number" })
    }

    fn string(&mut self) -> Result<Text, JsonError> {
        self.at += 1;
        let mut text = Text::default();
        loop {
            let rest = self.rest();
            let plain =
                rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\').unwrap_or(rest.len());
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut text)?;
                }
                Some(_) => return Err(self.broken("an escape instead of a control character")),
                None => return Err(self.broken("a closing quote")),
            }
        }
    }

    fn escape(&mut self, text: &mut Text) -> Result<(), JsonError> {
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex()?;
                return self.unit(unit, text);
            }
            _ => return Err(self.broken("one of \" \\ / b f n r t u")),
        };
        self.at += 1;
        text.push(character);
        Ok(())
    }

    /// Adds the unit, together with its other half if that follows.
    fn unit(&mut self, unit: u16, text: &mut Text) -> Result<(), JsonError> {
        let before = self.at;
        if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
            self.at += 2;
            let low = self.hex()?;
            if let Some(Ok(character)) = char::decode_utf16([unit, low]).next() {
                text.push(character);
                return Ok(());
            }
            self.at = before;
        }
        match char::from_u32(u32::from(unit)) {
            Some(character) => text.push(character),
            None => text.push_lone(unit),
        }
        Ok(())
    }

    fn hex(&mut self) -> Result<u16, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let unit = digits
            .iter()
            .try_fold(0_u32, |unit, byte| char::from(*byte).to_digit(16).map(|digit| unit * 16 + digit))
            .filter(|_| digits.len() == 4)
            .and_then(|unit| u16::try_from(unit).ok())
            .ok_or_else(|| self.broken("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }
}

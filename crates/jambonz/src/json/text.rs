//! JavaScript's strings are sequences of 16-bit units; a pair of surrogates may be torn apart, for example by
//! `text.slice(0, 10)`.

/// A text, usually plain. Halves of surrogate pairs are kept beside it, so that they print as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    /// A lone surrogate stands in here as U+FFFD.
    text: String,
    /// Byte offsets of such stand-ins, ascending, with the surrogate.
    lone: Vec<(usize, u16)>,
}

impl Text {
    /// The text, U+FFFD in place of lone surrogates.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is exactly `other`.
    pub fn is(&self, other: &str) -> bool {
        self.lone.is_empty() && self.text == other
    }

    /// Adds a character.
    pub(super) fn push(&mut self, character: char) {
        self.text.push(character);
    }

    /// Adds plain text.
    pub(super) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds half a surrogate pair.
    pub(super) fn push_lone(&mut self, surrogate: u16) {
        self.lone.push((self.text.len(), surrogate));
        self.text.push(char::REPLACEMENT_CHARACTER);
    }

    /// The characters, or the surrogate where there is half a pair.
    pub(super) fn units(&self) -> impl Iterator<Item = Result<char, u16>> {
        let mut lone = self.lone.iter().peekable();
        self.text.char_indices().map(move |(offset, character)| match lone.next_if(|(at, _)| *at == offset) {
            Some((_, surrogate)) => Err(*surrogate),
            None => Ok(character),
        })
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text, lone: Vec::new() }
    }
}

//! A document as a tree. Read with a pull parser: no DTD, no entities but the five of XML and numeric ones, everything
//! bounded.

use call::dialect::DocumentError;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// Largest document, in bytes.
pub const LARGEST: usize = 100 * 1024;
/// Deepest nesting, `Response` counted in.
pub const DEEPEST: usize = 8;
/// Most elements.
pub const MOST_ELEMENTS: usize = 1000;
/// Most attributes of one element.
const MOST_ATTRIBUTES: usize = 64;

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
    /// Where it begins, in bytes.
    pub offset: usize,
}

/// What is in an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Text(String),
    Element(Element),
}

impl Element {
    /// Its own text, without that of its children, trimmed.
    pub fn text(&self) -> String {
        let text: String =
            self.children.iter().map(|node| if let Node::Text(text) = node { text } else { "" }).collect();
        text.trim().to_owned()
    }

    /// Its child elements.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| if let Node::Element(element) = node { Some(element) } else { None })
    }

    /// The attribute of exactly this name, if it is not empty.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, value)| key == name && !value.trim().is_empty())
            .map(|(_, value)| value.as_str())
    }
}

pub(super) fn malformed(offset: usize, problem: impl Into<String>) -> DocumentError {
    DocumentError::Malformed { offset, problem: problem.into() }
}

/// Reads a document; its root is returned.
pub(super) fn parse(body: &[u8]) -> Result<Element, DocumentError> {
    if body.len() > LARGEST {
        return Err(malformed(LARGEST, format!("it has {} bytes, more than {LARGEST}", body.len())));
    }
    let text = std::str::from_utf8(body).map_err(|error| malformed(error.valid_up_to(), "it is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    let mut reader = Reader::from_str(text);
    loop {
        let offset = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader.read_event().map_err(|error| {
            malformed(usize::try_from(reader.error_position()).unwrap_or(usize::MAX), error.to_string())
        })?;
        match event {
            Event::Start(start) => builder.open(element(&start, offset)?)?,
            Event::Empty(start) => {
                builder.open(element(&start, offset)?)?;
                builder.close();
            }
            Event::End(_) => builder.close(),
            Event::Text(text) => builder.text(&text, offset)?,
            Event::CData(text) => builder.text(&text, offset)?,
            Event::GeneralRef(reference) => {
                let character = match &*reference {
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "amp" => Some('&'),
                    "apos" => Some('\''),
                    "quot" => Some('"'),
                    _ => reference.resolve_char_ref().map_err(|error| malformed(offset, error.to_string()))?,
                };
                let Some(character) = character else {
                    return Err(malformed(offset, format!("&{}; is not one of XML's five entities", &*reference)));
                };
                builder.text(character.encode_utf8(&mut [0; 4]), offset)?;
            }
            Event::DocType(_) => return Err(malformed(offset, "it has a DTD; leave it out")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return builder.finish(text.len()),
        }
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Builder {
    fn open(&mut self, element: Element) -> Result<(), DocumentError> {
        self.elements += 1;
        if self.root.is_some() {
            return Err(malformed(element.offset, "it has a second root element"));
        }
        if self.elements > MOST_ELEMENTS {
            return Err(malformed(element.offset, format!("it has more than {MOST_ELEMENTS} elements")));
        }
        if self.open.len() >= DEEPEST {
            return Err(malformed(element.offset, format!("it is nested deeper than {DEEPEST}")));
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) {
        let Some(done) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(done)),
            None => self.root = Some(done),
        }
    }

    fn text(&mut self, text: &str, offset: usize) -> Result<(), DocumentError> {
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            return Err(malformed(offset, "it contains a control character"));
        }
        match self.open.last_mut() {
            Some(element) => match element.children.last_mut() {
                Some(Node::Text(before)) => before.push_str(text),
                _ => element.children.push(Node::Text(text.to_owned())),
            },
            None if text.trim().is_empty() => {}
            None => return Err(malformed(offset, "there is text outside the root element")),
        }
        Ok(())
    }

    fn finish(self, end: usize) -> Result<Element, DocumentError> {
        if let Some(element) = self.open.last() {
            return Err(malformed(end, format!("<{}> is not closed", element.name)));
        }
        self.root.ok_or_else(|| malformed(end, "it is empty"))
    }
}

fn element(start: &BytesStart<'_>, offset: usize) -> Result<Element, DocumentError> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| malformed(offset, error.to_string()))?;
        if attributes.len() >= MOST_ATTRIBUTES {
            return Err(malformed(offset, format!("an element has more than {MOST_ATTRIBUTES} attributes")));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| malformed(offset, error.to_string()))?;
        attributes.push((attribute.key.0.to_owned(), value.into_owned()));
    }
    Ok(Element { name: start.name().0.to_owned(), attributes, children: Vec::new(), offset })
}

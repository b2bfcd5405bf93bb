//! Documents: what an answer URL says, as verbs.

mod prompt;
mod tree;
mod verb;

use call::dialect::DocumentError;
use call::verb::{Prompt, Verb};

use crate::value::Fault;
use tree::{Element, Node, malformed};

pub use tree::{DEEPEST, LARGEST, MOST_ELEMENTS};

/// Reads a document as instructions; `most_participants` may be asked for in a call.
///
/// `text/html`, `text/plain` and a missing type are forgiven where the body is plainly a document: frameworks send them
/// unasked.
///
/// # Errors
/// See [`DocumentError`]; every one says what to change.
pub fn document(content_type: &str, body: &[u8], most_participants: u64) -> Result<Vec<Verb>, DocumentError> {
    let root = response(content_type, body)?;
    let mut verbs = Vec::new();
    for node in &root.children {
        match node {
            Node::Text(text) if text.trim().is_empty() => {}
            Node::Text(text) => {
                let start: String = text.trim().chars().take(40).collect();
                return Err(malformed(root.offset, format!("there is text between the verbs: {start:?}")));
            }
            Node::Element(element) => verb::read(element, most_participants, &mut verbs)?,
        }
    }
    Ok(verbs)
}

/// Reads a document that music and sound URLs answer with: `Play`, `Speak` and `Wait`; other verbs are left out.
///
/// # Errors
/// As [`document`].
pub fn prompts(content_type: &str, body: &[u8]) -> Result<Vec<Prompt>, DocumentError> {
    let root = response(content_type, body)?;
    let mut prompts = Vec::new();
    for element in root.elements().filter(|element| prompt::is_prompt(&element.name)) {
        prompt::read(element, &mut prompts)?;
    }
    Ok(prompts)
}

fn response(content_type: &str, body: &[u8]) -> Result<Element, DocumentError> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_xml = matches!(kind.as_str(), "application/xml" | "text/xml") || kind.ends_with("+xml");
    let forgiven = matches!(kind.as_str(), "" | "text/html" | "text/plain") && looks_like_a_document(body);
    if !is_xml && !forgiven {
        return Err(DocumentError::WrongType(content_type.chars().take(100).collect()));
    }
    let root = tree::parse(body)?;
    if root.name != "Response" {
        return Err(malformed(root.offset, format!("the root element is <{}>; it must be <Response>", root.name)));
    }
    Ok(root)
}

fn looks_like_a_document(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    body.starts_with(b"<?xml") || body.starts_with(b"<Response")
}

fn bad(verb: &str, fault: Fault) -> DocumentError {
    DocumentError::BadAttribute {
        verb: verb.to_owned(),
        attribute: fault.name,
        value: fault.value,
        remedy: fault.remedy,
    }
}

#[cfg(test)]
mod tests;

//! What an application says to a hook: by HTTP, or in an ack.

use crate::json::Value;
use crate::verbs::{self, DocumentError, Instruction};

/// What an application says to a hook.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing new: go on.
    Nothing,
    /// These replace the rest.
    Verbs(Vec<Instruction>),
    /// Verbs that cannot be run. The hook is answered nevertheless.
    Refused(DocumentError),
}

/// An answer by HTTP that is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the application answered with status {0}; answer with 200, 202 or 204")]
pub struct BadStatus(pub u16);

impl Answer {
    /// What is in an ack's `data`, or in a body that is JSON.
    pub fn of(data: &Value) -> Self {
        match data {
            data if !data.is_truthy() => Self::Nothing,
            // What some programs put where nothing is meant.
            Value::Object(object) if object.is_empty() => Self::Nothing,
            data => match verbs::instructions(data) {
                Ok(verbs) if verbs.is_empty() => Self::Nothing,
                Ok(verbs) => Self::Verbs(verbs),
                Err(error) => Self::Refused(error),
            },
        }
    }

    /// What an answer by HTTP says. A body that is not declared to be JSON is not looked at: frameworks send `OK` unasked.
    ///
    /// # Errors
    /// The status is neither 200 nor 202 nor 204.
    pub fn by_http(status: u16, content_type: &str, body: &[u8]) -> Result<Self, BadStatus> {
        if !matches!(status, 200 | 202 | 204) {
            return Err(BadStatus(status));
        }
        let json = content_type.to_ascii_lowercase().contains("application/json");
        if !json || body.trim_ascii().is_empty() {
            return Ok(Self::Nothing);
        }
        if body.len() > verbs::LARGEST {
            let error = DocumentError::TooLarge { bytes: body.len(), most: verbs::LARGEST };
            return Ok(Self::Refused(error));
        }
        Ok(crate::json::parse(body).map_or_else(|error| Self::Refused(error.into()), |value| Self::of(&value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_or_empty_says_nothing() {
        for (status, kind, body) in [
            (204, "", ""),
            (200, "text/plain", "OK"),
            (202, "application/json", ""),
            (200, "application/json; charset=utf-8", "[]"),
            (200, "Application/JSON", "{}"),
            (200, "application/json", "null"),
        ] {
            assert_eq!(Answer::by_http(status, kind, body.as_bytes()), Ok(Answer::Nothing), "{body}");
        }
    }

    #[test]
    fn verbs_replace_the_rest_and_bad_ones_are_named() {
        let json = |body: &str| Answer::by_http(200, "application/json; charset=utf-8", body.as_bytes());
        assert!(matches!(json(r#"[{"verb":"hangup"}]"#), Ok(Answer::Verbs(verbs)) if verbs.len() == 1));
        assert!(matches!(json(r#"[{"verb":"sing"}]"#), Ok(Answer::Refused(DocumentError::UnknownVerb { .. }))));
        assert!(matches!(json(r#"{"verb":"hangup"}"#), Ok(Answer::Refused(DocumentError::NotAnArray(_)))));
        assert!(matches!(json("<html>"), Ok(Answer::Refused(DocumentError::Json(_)))));
        let large = " ".repeat(verbs::LARGEST) + "[]";
        assert!(matches!(json(&large), Ok(Answer::Refused(DocumentError::TooLarge { .. }))));
    }

    #[test]
    fn other_statuses_are_failures() {
        for status in [201, 301, 404, 500] {
            assert_eq!(Answer::by_http(status, "application/json", b"[]"), Err(BadStatus(status)));
        }
    }
}

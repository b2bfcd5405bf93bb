//! What an application says to a hook in an ack.

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

impl Answer {
    /// What is in an ack's `data`.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn of(text: &str) -> Answer {
        Answer::of(&parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_empty_says_nothing() {
        for text in ["[]", "{}", "null"] {
            assert_eq!(of(text), Answer::Nothing, "{text}");
        }
    }

    #[test]
    fn verbs_replace_the_rest_and_bad_ones_are_named() {
        assert!(matches!(of(r#"[{"verb":"hangup"}]"#), Answer::Verbs(verbs) if verbs.len() == 1));
        assert!(matches!(of(r#"[{"verb":"sing"}]"#), Answer::Refused(DocumentError::UnknownVerb { .. })));
        assert!(matches!(of(r#"{"verb":"hangup"}"#), Answer::Refused(DocumentError::NotAnArray(_))));
    }
}

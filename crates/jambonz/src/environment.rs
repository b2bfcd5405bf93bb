//! The environment variables that an application says it has: the answer to `OPTIONS` on its `call_hook`.

use crate::fault::quoted;
use crate::json::Value;

/// Most variables of an application.
const MOST: usize = 200;

/// A variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// `string`, `number`, `boolean`, or what the application calls it.
    pub kind: String,
    /// For people.
    pub description: String,
    /// The value where none is set.
    pub default: Option<Value>,
    /// Whether a value must be set.
    pub required: bool,
    /// A secret: never shown again.
    pub obscure: bool,
}

/// Why an answer names no variables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// Not an object.
    #[error("the answer to OPTIONS is {0}; answer with a JSON object of variables")]
    NotAnObject(&'static str),
    /// Too many.
    #[error("the application has {0} variables; declare at most {MOST}")]
    TooMany(usize),
    /// One that is not declared as an object.
    #[error("variable {name:?} is {found}; write an object with type and description")]
    NotDeclared {
        /// Which.
        name: String,
        /// What it is.
        found: &'static str,
    },
}

/// Reads the answer. Names that start with `/` are other paths of the same server, and passed over.
///
/// # Errors
/// See [`EnvironmentError`].
pub fn variables(answer: &Value) -> Result<Vec<Variable>, EnvironmentError> {
    let object = answer.as_object().ok_or(EnvironmentError::NotAnObject(answer.kind()))?;
    if object.len() > MOST {
        return Err(EnvironmentError::TooMany(object.len()));
    }
    let declared = object.iter().filter(|(name, _)| !name.as_str().starts_with('/'));
    declared
        .map(|(name, declaration)| {
            let name = name.as_str().to_owned();
            let Value::Object(declaration) = declaration else {
                return Err(EnvironmentError::NotDeclared { name: quoted(&name), found: declaration.kind() });
            };
            let text = |key| declaration.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let flag = |key| declaration.get(key).is_some_and(Value::is_truthy);
            Ok(Variable {
                kind: text("type"),
                description: text("description"),
                default: declaration.get("default").filter(|value| **value != Value::Null).cloned(),
                required: flag("required"),
                obscure: flag("obscure"),
                name,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn variables_are_named_and_other_paths_are_passed_over() {
        let answer = parse(
            br#"{"ROOM_NAME":{"type":"string","description":"Room","default":"support-room"},
                 "PIN":{"type":"number","required":true,"obscure":true},"/other":{"X":{"type":"string"}}}"#,
        );
        let variables = variables(&answer.unwrap()).unwrap();
        assert_eq!(variables.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(), ["ROOM_NAME", "PIN"]);
        assert!(variables[1].required && variables[1].obscure && variables[1].default.is_none());
    }

    #[test]
    fn what_declares_nothing_is_refused() {
        for text in ["[]", "\"OK\"", r#"{"A":1}"#] {
            assert!(variables(&parse(text.as_bytes()).unwrap()).is_err(), "{text}");
        }
        let many = format!("{{{}}}", (0..=MOST).map(|n| format!("\"V{n}\":{{}}")).collect::<Vec<_>>().join(","));
        assert_eq!(variables(&parse(many.as_bytes()).unwrap()), Err(EnvironmentError::TooMany(MOST + 1)));
    }
}

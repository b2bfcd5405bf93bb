//! `JSON.stringify`, without indentation.

use std::fmt::{Formatter, Result, Write as _};

use super::{Object, Text, Value, number};

pub(super) fn value(value: &Value, out: &mut Formatter<'_>) -> Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(true) => out.write_str("true"),
        Value::Bool(false) => out.write_str("false"),
        Value::Number(number) if number.is_finite() => out.write_str(&number::text(*number)),
        Value::Number(_) => out.write_str("null"),
        Value::Text(text) => self::text(text, out),
        Value::Array(items) => {
            out.write_char('[')?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.write_char(',')?;
                }
                self::value(item, out)?;
            }
            out.write_char(']')
        }
        Value::Object(object) => self::object(object, out),
    }
}

pub(super) fn object(object: &Object, out: &mut Formatter<'_>) -> Result {
    let mut indices: Vec<(u32, &Text, &Value)> =
        object.iter().filter_map(|(name, value)| index(name).map(|index| (index, name, value))).collect();
    indices.sort_unstable_by_key(|(index, ..)| *index);
    let named = object.iter().filter(|(name, _)| index(name).is_none());
    out.write_char('{')?;
    for (place, (name, value)) in indices.iter().map(|(_, name, value)| (*name, *value)).chain(named).enumerate() {
        if place > 0 {
            out.write_char(',')?;
        }
        text(name, out)?;
        out.write_char(':')?;
        self::value(value, out)?;
    }
    out.write_char('}')
}

/// The array index that a name is, if it is one (ECMA-262, 6.1.7): such names come first, in ascending order.
fn index(name: &Text) -> Option<u32> {
    let text = name.as_str();
    let canonical = text == "0" || (text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten().filter(|index| *index < u32::MAX)
}

fn text(text: &Text, out: &mut Formatter<'_>) -> Result {
    out.write_char('"')?;
    for unit in text.units() {
        match unit {
            Ok('"') => out.write_str("\\\"")?,
            Ok('\\') => out.write_str("\\\\")?,
            Ok('\u{8}') => out.write_str("\\b")?,
            Ok('\u{c}') => out.write_str("\\f")?,
            Ok('\n') => out.write_str("\\n")?,
            Ok('\r') => out.write_str("\\r")?,
            Ok('\t') => out.write_str("\\t")?,
            Ok(control) if control < ' ' => write!(out, "\\u{:04x}", u32::from(control))?,
            Ok(character) => out.write_char(character)?,
            Err(surrogate) => write!(out, "\\u{surrogate:04x}")?,
        }
    }
    out.write_char('"')
}

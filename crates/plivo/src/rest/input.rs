//! What a request says: JSON, a form or a query, with the laxity that the official SDKs need.

use std::borrow::Cow;

use axum::http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::answer::Answer;
use crate::value::Fields;

/// The parameters of a request. A DELETE has none: SDKs send bodies with it that mean nothing.
pub(crate) fn fields(method: &Method, query: &str, content_type: &str, body: &[u8]) -> Result<Fields, Answer> {
    let mut fields = Fields::default();
    if *method == Method::DELETE {
        return Ok(fields);
    }
    add_form(&mut fields, query.as_bytes())?;
    if *method != Method::POST || body.trim_ascii().is_empty() {
        return Ok(fields);
    }
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with("multipart/") {
        return Err(Answer::bad_request(
            "multipart bodies are not read; send application/json or application/x-www-form-urlencoded",
        ));
    }
    if kind.ends_with("json") || body.trim_ascii_start().starts_with(b"{") {
        add_json(&mut fields, body)?;
    } else {
        add_form(&mut fields, body)?;
    }
    Ok(fields)
}

fn add_form(fields: &mut Fields, text: &[u8]) -> Result<(), Answer> {
    for (name, value) in url::form_urlencoded::parse(text) {
        fields.insert(&name, &value)?;
    }
    Ok(())
}

fn add_json(fields: &mut Fields, body: &[u8]) -> Result<(), Answer> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Answer::bad_request(format!("the body is not JSON: {error}")))?;
    let Value::Object(object) = value else {
        return Err(Answer::bad_request("the body is JSON but no object; send {\"parameter\": value}"));
    };
    for (name, value) in &object {
        if let Some(text) = flat(name, value)? {
            fields.insert(name, &text)?;
        }
    }
    Ok(())
}

/// A value as the text that a form would carry: numbers and booleans as such, lists joined, maps of SIP headers as `k=v,k2=v2`.
fn flat(name: &str, value: &Value) -> Result<Option<String>, Answer> {
    let nested = || {
        Answer::bad_request(format!("parameter {name} is nested; send text, a number, true, false or a list of those"))
    };
    Ok(match value {
        Value::Null => None,
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let joint = if matches!(name, "to" | "ring_timeout" | "delay_dial") { "<" } else { "," };
            let mut texts = Vec::new();
            for item in items {
                match item {
                    Value::Array(_) | Value::Object(_) => return Err(nested()),
                    item => texts.extend(flat(name, item)?),
                }
            }
            Some(texts.join(joint))
        }
        Value::Object(map) if Fields::key(name) == "sipheaders" => {
            let mut pairs = Vec::new();
            for (key, value) in map {
                match value {
                    Value::Array(_) | Value::Object(_) => return Err(nested()),
                    value => pairs.push(format!("{key}={}", flat(name, value)?.unwrap_or_default())),
                }
            }
            Some(pairs.join(","))
        }
        Value::Object(_) => return Err(nested()),
    })
}

/// Percent-decodes one segment of a path; `None` if it is not UTF-8.
pub(crate) fn decode_segment(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(Cow::into_owned)
}

/// What does not stand for itself in a segment (RFC 3986, section 3.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// The opposite, for URIs in answers.
pub(crate) fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(fields: &Fields, key: &str) -> Option<String> {
        fields.get(key).map(|field| field.value.to_owned())
    }

    #[test]
    fn json_forms_and_queries_say_the_same() {
        let json = br#"{"status":["active"],"mute":true,"max_duration":300,"caller_name":null,"hold":"false"}"#;
        let from_json = fields(&Method::POST, "", "application/json", json).unwrap();
        let form = b"status=active&mute=true&max_duration=300&hold=false";
        let from_form = fields(&Method::POST, "", "application/x-www-form-urlencoded; charset=utf-8", form).unwrap();
        let from_query = fields(&Method::GET, "status=active&mute=true&max_duration=300&hold=false", "", b"").unwrap();
        for fields in [from_json, from_form, from_query] {
            assert_eq!(text(&fields, "status").as_deref(), Some("active"));
            assert_eq!(fields.boolean("mute", false), Ok(true));
            assert_eq!(fields.boolean("hold", true), Ok(false));
            assert_eq!(fields.whole("maxduration", 0, 300, 400), Ok(300));
            assert!(fields.get("callername").is_none());
        }
    }

    #[test]
    fn a_delete_ignores_whatever_body_an_sdk_sends() {
        assert!(fields(&Method::DELETE, "", "application/json", b"{broken").unwrap().iter().next().is_none());
    }

    #[test]
    fn bodies_that_make_no_sense_are_refused_with_a_reason() {
        for (kind, body) in [
            ("application/json", &b"{broken"[..]),
            ("application/json", b"[1]"),
            ("application/json", br#"{"to":{"a":1}}"#),
            ("multipart/form-data; boundary=x", b"--x"),
            ("application/json", br#"{"mute":true,"Mute":false}"#),
        ] {
            let answer = fields(&Method::POST, "", kind, body).unwrap_err();
            assert_eq!(answer.status, 400);
            assert!(String::from_utf8_lossy(&answer.body).contains("\"error\""));
        }
    }

    #[test]
    fn segments_are_decoded_and_encoded() {
        assert_eq!(decode_segment("name_room%20a").as_deref(), Some("name_room a"));
        assert_eq!(decode_segment("100%").as_deref(), Some("100%"));
        assert_eq!(decode_segment("a+b").as_deref(), Some("a+b"));
        assert_eq!(decode_segment("%ff"), None);
        assert_eq!(encode_segment("name_room ä/?#"), "name_room%20%C3%A4%2F%3F%23");
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200), query in ".{0,40}") {
            let _ = fields(&Method::POST, &query, "application/json", &body);
            let _ = fields(&Method::POST, &query, "", &body);
        }

        #[test]
        fn an_encoded_segment_decodes_to_itself(name in ".{0,60}") {
            prop_assert_eq!(decode_segment(&encode_segment(&name)), Some(name));
        }
    }
}

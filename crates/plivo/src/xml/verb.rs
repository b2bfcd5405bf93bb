//! The verbs.

use std::time::Duration;

use call::dialect::DocumentError;
use call::verb::{Action, Fetch, Gather, Hangup, Method, Refusal, Report, Verb};

use super::bad;
use super::prompt::{attribute, field, is_prompt, read as read_prompt};
use super::tree::Element;
use crate::settings::{self, Origin};
use crate::value::{Fault, Field, Fields, room_name};

/// Keys of a phone, in Plivo's default order.
const KEYS: &str = "1234567890*#";

/// Reads one verb.
pub(super) fn read(element: &Element, most_participants: u64, verbs: &mut Vec<Verb>) -> Result<(), DocumentError> {
    match element.name.as_str() {
        name if is_prompt(name) => {
            let mut prompts = Vec::new();
            read_prompt(element, &mut prompts)?;
            verbs.extend(prompts.into_iter().map(Verb::Prompt));
            return Ok(());
        }
        "MultiPartyCall" => verbs.push(multi_party_call(element, most_participants)?),
        "GetDigits" => verbs.push(get_digits(element)?),
        "Hangup" => verbs.push(hangup(element)?),
        "Redirect" => {
            let text = element.text();
            let url = Field { name: "text", value: &text }.url().map_err(|fault| bad("Redirect", fault))?;
            let method = attribute(element, "method", Method::Post, |field| field.method())?;
            verbs.push(Verb::Redirect(Fetch::new(url, method)));
        }
        other => return Err(DocumentError::UnknownVerb(other.to_owned())),
    }
    Ok(())
}

fn multi_party_call(element: &Element, most_participants: u64) -> Result<Verb, DocumentError> {
    let verb = "MultiPartyCall";
    if let Some(child) = element.elements().next() {
        return Err(bad(
            verb,
            Fault::new("text", &format!("<{}>", child.name), "the element holds the call's name and nothing else"),
        ));
    }
    let mut fields = Fields::default();
    for (name, value) in &element.attributes {
        fields.insert(name, value).map_err(|fault| bad(verb, fault))?;
    }
    let room = room_name("text", &element.text()).map_err(|fault| bad(verb, fault))?;
    let join = settings::join(&fields, room, Origin::Document, most_participants).map_err(|fault| bad(verb, fault))?;
    Ok(Verb::Join(Box::new(join)))
}

fn get_digits(element: &Element) -> Result<Verb, DocumentError> {
    let mut prompts = Vec::new();
    for child in element.elements() {
        if !is_prompt(&child.name) {
            return Err(DocumentError::UnknownVerb(format!("{} in GetDigits", child.name)));
        }
        read_prompt(child, &mut prompts)?;
    }
    let seconds =
        |name, default, most| attribute(element, name, default, |field| field.whole(1, most)).map(Duration::from_secs);
    let method = attribute(element, "method", Method::Post, |field| field.method())?;
    let action = field(element, "action")
        .map(|field| field.url().map(|url| Fetch::new(url, method)).map_err(|fault| bad("GetDigits", fault)))
        .transpose()?;
    let digits = attribute(element, "numDigits", 99, |field| field.whole(1, 99))?;
    let attempts = attribute(element, "retries", 1, |field| field.whole(1, 100))?;
    // Digits are never logged, so there is nothing to turn off.
    attribute(element, "log", true, |field| field.boolean())?;
    Ok(Verb::Gather(Gather {
        prompts,
        action: action.map(Action::from),
        report: match attribute(element, "redirect", true, |field| field.boolean())? {
            true => Report::DigitsFollowed,
            false => Report::DigitsOnly,
        },
        first_digit: seconds("timeout", 5, 600)?,
        next_digit: seconds("digitTimeout", 2, 600)?,
        finish_on: attribute(element, "finishOnKey", Some('#'), finish_key)?,
        max_digits: usize::try_from(digits).unwrap_or(99),
        valid: attribute(element, "validDigits", KEYS.to_owned(), valid_digits)?,
        invalid_sound: attribute(element, "invalidDigitsSound", None, |field| field.url().map(Some))?,
        attempts: u32::try_from(attempts).unwrap_or(1),
        beep: attribute(element, "playBeep", false, |field| field.boolean())?,
        ..Gather::default()
    }))
}

fn finish_key(field: Field<'_>) -> Result<Option<char>, Fault> {
    let text = field.value.trim();
    let mut keys = text.chars();
    match (keys.next(), keys.next()) {
        (Some(key), None) if KEYS.contains(key) => Ok(Some(key)),
        _ if text.eq_ignore_ascii_case("none") => Ok(None),
        _ => Err(Fault::new(field.name, field.value, "write one of 0 to 9, * and #, or none")),
    }
}

fn valid_digits(field: Field<'_>) -> Result<String, Fault> {
    let digits: String = field.value.chars().filter(|c| !matches!(c, ',' | ' ')).collect();
    if digits.is_empty() || !digits.chars().all(|digit| KEYS.contains(digit)) {
        return Err(Fault::new(field.name, field.value, "write digits out of 0 to 9, * and #"));
    }
    Ok(digits)
}

fn hangup(element: &Element) -> Result<Verb, DocumentError> {
    let refusal = attribute(element, "reason", None, |field| {
        Ok(Some(match field.one_of(&["rejected", "busy"])? {
            "busy" => Refusal::Busy,
            _ => Refusal::Rejected,
        }))
    })?;
    let after = attribute(element, "schedule", None, |field| field.whole(0, 86_400).map(Some))?;
    let after = after.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    Ok(Verb::Hangup(Hangup { refusal, after, headers: Vec::new() }))
}

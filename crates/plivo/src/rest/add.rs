//! Add participant.

use std::time::Duration;

use axum::http::StatusCode;
use call::command::{AddMember, Confirm, Destination, Dial, DialMusic, Newcomer};
use call::dialect::Params;
use call::verb::{Fetch, Method};
use conference::Role;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::room::{Id, live};
use super::{Api, Asked};
use crate::dialect::Plivo;
use crate::parameters::address;
use crate::settings::{self, Origin};
use crate::value::{Fault, Field, Fields};

/// Most destinations that may ring at once.
const MOST_DESTINATIONS: usize = 20;
/// Most custom SIP headers.
const MOST_HEADERS: usize = 24;
/// Header names that Plivo drops without a word.
const RESERVED: [&str; 6] = ["ph-", "plivo", "fs-", "sipauth", "zt-", "twilio"];

pub(super) async fn add(api: &Api, asked: &Asked, id: &Id) -> Result<Answer, Answer> {
    let fields = &asked.fields;
    let room = match &id.room {
        call::command::RoomRef::Name(name) => name.clone(),
        call::command::RoomRef::Uuid(_) => String::new(),
    };
    let join = settings::join(fields, room, Origin::Request, api.most_participants)?;
    let who = newcomer(fields, join.entry.role)?;
    let may_be_alone = fields.boolean("creatempcwithsingleparticipant", true)?;

    let account = &asked.scope.account;
    let there = live(api, asked, id).await?;
    if there.is_none() {
        if id.is_uuid() {
            return Err(id.missing());
        }
        if api.control.room(account, &id.room).await?.is_some() {
            let words = format!(
                "another account under the same main account has a multiparty call of the name {:?}; choose another name",
                join.room
            );
            return Err(Answer::error(StatusCode::CONFLICT, words));
        }
    }
    let company = there.is_some_and(|snapshot| !snapshot.members.is_empty() || snapshot.expected > 0);
    if !may_be_alone && !company {
        return Err(Answer::bad_request(
            "parameter create_mpc_with_single_participant is \"false\", and this participant would be the only one; add it when somebody is in the call",
        ));
    }
    let add = AddMember { room: id.room.clone(), who, join, dialect: Plivo::NAME };
    let added = api.control.add_member(account, add, asked.scope.asker()).await?;

    let calls: Vec<Value> = added
        .calls
        .iter()
        .map(|call| {
            let mut object = Map::from_iter([
                ("to".to_owned(), Value::from(address(&call.to))),
                ("from".to_owned(), Value::from(address(&call.from))),
                ("call_uuid".to_owned(), Value::from(call.call_uuid.as_str())),
            ]);
            if let Some(member) = call.member {
                object.insert("member_id".to_owned(), Value::String(member.to_string()));
            }
            Value::Object(object)
        })
        .collect();
    let mut body = json!({
        "message": "add participant action initiated",
        "request_uuid": added.request_uuid,
        "mpc_uuid": added.room_uuid,
        "calls": calls,
    });
    if let (Some(object), [only]) = (body.as_object_mut(), added.calls.as_slice()) {
        object.insert("call_uuid".to_owned(), Value::from(only.call_uuid.as_str()));
        if let Some(member) = only.member {
            object.insert("member_id".to_owned(), Value::String(member.to_string()));
        }
    }
    Ok(Answer::json(StatusCode::CREATED, body))
}

fn newcomer(fields: &Fields, role: Option<Role>) -> Result<Newcomer, Fault> {
    match (fields.get("calluuid"), fields.get("from"), fields.get("to")) {
        (Some(call), None, None) => {
            let uuid = call.value.trim().to_ascii_lowercase();
            if uuid::Uuid::parse_str(&uuid).is_err() {
                return Err(Fault::new(call.name, call.value, "write the UUID of a live call"));
            }
            // What concerns the dialling is checked even where nobody is dialled.
            dial_options(fields)?;
            Ok(Newcomer::Call(uuid))
        }
        (Some(call), ..) => Err(Fault::new(call.name, call.value, "give either call_uuid or from and to, not both")),
        (None, Some(_), Some(_)) => dial(fields, role).map(|dial| Newcomer::Dialled(Box::new(dial))),
        (None, None, _) => Err(Fault::new("from", "", "give from and to, or call_uuid")),
        (None, Some(_), None) => Err(Fault::new("to", "", "give from and to, or call_uuid")),
    }
}

struct DialOptions {
    confirm: Option<Confirm>,
    dial_music: DialMusic,
    headers: Params,
    send_digits: Option<String>,
    state_callback: Option<Fetch>,
}

fn dial_options(fields: &Fields) -> Result<DialOptions, Fault> {
    let sound = fields.hook("confirmkeysoundurl", "confirmkeysoundmethod", Method::Get)?;
    let confirm = fields
        .get("confirmkey")
        .map(|field| confirm_key(field).map(|key| Confirm::Key { key, sound: sound.clone() }))
        .transpose()?;
    if let Some(field) = fields.get("sendonpreanswer")
        && field.boolean()?
    {
        return Err(Fault::new(field.name, field.value, "digits are sent after the answer; leave it out"));
    }
    Ok(DialOptions {
        confirm,
        dial_music: fields.get("dialmusic").map_or(Ok(DialMusic::Ringback), dial_music)?,
        headers: fields.get("sipheaders").map_or(Ok(Params::new()), sip_headers)?,
        send_digits: fields.get("senddigits").map(send_digits).transpose()?,
        state_callback: fields.hook("callstatuscallbackurl", "callstatuscallbackmethod", Method::Post)?,
    })
}

fn dial(fields: &Fields, role: Option<Role>) -> Result<Dial, Fault> {
    let options = dial_options(fields)?;
    let from = fields.get("from").map_or(Err(Fault::new("from", "", "give from and to, or call_uuid")), caller_id)?;
    let to = fields.get("to").ok_or_else(|| Fault::new("to", "", "give from and to, or call_uuid"))?;
    let wanted: Vec<&str> = to.value.split('<').map(str::trim).collect();
    if wanted.len() > 1 && role != Some(Role::Agent) {
        return Err(Fault::new(to.name, to.value, "several destinations are for agents only; give one"));
    }
    if wanted.len() > MOST_DESTINATIONS {
        return Err(Fault::new(to.name, to.value, format!("give at most {MOST_DESTINATIONS} destinations")));
    }
    let ring = seconds(fields.get("ringtimeout"), 45, 1, wanted.len())?;
    let delay = seconds(fields.get("delaydial"), 0, 0, wanted.len())?;
    let mut destinations = Vec::new();
    for ((text, ring_timeout), delay) in wanted.into_iter().zip(ring).zip(delay) {
        let to = destination(text).ok_or_else(|| {
            Fault::new(to.name, text, "write a number in E.164 form or a sip: URI; join several with <")
        })?;
        destinations.push(Destination { to, ring_timeout, delay });
    }
    let caller_name = match fields.get("callername") {
        Some(field) if field.value.chars().count() > 50 || field.value.chars().any(char::is_control) => {
            return Err(Fault::new(field.name, field.value, "write at most 50 characters, without control characters"));
        }
        Some(field) => field.value.trim().to_owned(),
        None => from.clone(),
    };
    Ok(Dial {
        from,
        caller_name,
        destinations,
        headers: options.headers,
        confirm: options.confirm,
        dial_music: options.dial_music,
        state_callback: options.state_callback,
        send_digits: options.send_digits,
    })
}

/// One value for all destinations, or one for each from the first on; the rest get the default.
fn seconds(field: Option<Field<'_>>, default: u64, least: u64, count: usize) -> Result<Vec<Duration>, Fault> {
    let Some(field) = field else { return Ok(vec![Duration::from_secs(default); count]) };
    let mut values = Vec::new();
    for part in field.value.split('<') {
        values.push(Duration::from_secs(Field { name: field.name, value: part }.whole(least, 600)?));
    }
    if values.len() > count {
        return Err(Fault::new(
            field.name,
            field.value,
            "give one value, or at most as many as there are destinations in to",
        ));
    }
    let rest = match values.as_slice() {
        [only] => *only,
        _ => Duration::from_secs(default),
    };
    values.resize(count, rest);
    Ok(values)
}

/// A number, without its decoration, or a SIP URI.
fn destination(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("sip:").or_else(|| lower.strip_prefix("sips:")) {
        let plain = text.len() <= 255
            && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | ',' | '\\' | '?'));
        let has_parts = rest
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
        return (plain && has_parts).then(|| text.to_owned());
    }
    number(text)
}

fn number(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    let bare = digits.strip_prefix('+').unwrap_or(&digits);
    ((2..=20).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

fn caller_id(field: Field<'_>) -> Result<String, Fault> {
    let text = field.value.trim();
    if let Some(number) = number(text) {
        return Ok(number);
    }
    let plain = !text.is_empty()
        && text.len() <= 128
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | ',' | '\\'));
    if plain { Ok(text.to_owned()) } else { Err(Fault::new(field.name, field.value, "write a number or a SIP user")) }
}

fn confirm_key(field: Field<'_>) -> Result<char, Fault> {
    let mut keys = field.value.trim().chars();
    match (keys.next(), keys.next()) {
        (Some(key), None) if key.is_ascii_digit() || matches!(key, '#' | '*') => Ok(key),
        _ => Err(Fault::new(field.name, field.value, "write one of 0 to 9, # and *")),
    }
}

fn dial_music(field: Field<'_>) -> Result<DialMusic, Fault> {
    match field.value.trim().to_ascii_lowercase().as_str() {
        "real" => Ok(DialMusic::Ringback),
        "none" => Ok(DialMusic::Silent),
        _ => field.url().map(|url| DialMusic::Url(Fetch::new(url, Method::Get))).map_err(|_| {
            Fault::new(field.name, &call::http::shown(field.value), "write real, none or an absolute http or https URL")
        }),
    }
}

fn send_digits(field: Field<'_>) -> Result<String, Fault> {
    let text = field.value.trim();
    if text.len() <= 100 && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | 'w' | 'W')) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(field.name, field.value, "write at most 100 of 0 to 9, *, #, w and W"))
}

/// `k=v,k2=v2` as `X-PH-k: v`. Reserved names are dropped, as Plivo does.
fn sip_headers(field: Field<'_>) -> Result<Params, Fault> {
    let fault = |remedy: &str| Fault::new(field.name, field.value, remedy);
    let mut headers = Params::new();
    for pair in field.value.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| fault("write name=value,name2=value2"))?;
        let (name, value) = (name.trim(), value.trim());
        let bare = match name.get(..5) {
            Some(start) if start.eq_ignore_ascii_case("X-PH-") => name.get(5..).unwrap_or_default(),
            _ => name,
        };
        if bare.is_empty() || bare.len() > 50 || !bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(fault("names of headers are at most 50 letters, digits and -"));
        }
        if value.len() > 255 || !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(fault("values of headers are at most 255 printable ASCII characters"));
        }
        let lower = bare.to_ascii_lowercase();
        if lower == "clientregion" || RESERVED.iter().any(|reserved| lower.starts_with(reserved)) {
            continue;
        }
        headers.push((format!("X-PH-{bare}"), value.to_owned()));
    }
    if headers.len() > MOST_HEADERS {
        return Err(fault("give at most 24 headers"));
    }
    Ok(headers)
}

//! Verbs that send something other than sound.

use crate::fault::{Fault, Properties, whole};
use crate::hook::Hook;

/// Asks for other instructions.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// Where.
    pub action_hook: Hook,
}

/// Refuses a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// SIP status, 400 to 699.
    pub status: u16,
    /// Reason phrase.
    pub reason: Option<String>,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
}

/// Moves the caller elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Refer {
    /// SIP URI, or a user at the caller's own host.
    pub refer_to: String,
    /// The `Referred-By` header's URI.
    pub referred_by: Option<String>,
    /// Its display name.
    pub referred_by_name: Option<String>,
    /// Headers of the REFER.
    pub headers: Vec<(String, String)>,
    /// Told how it went; its answer replaces the rest.
    pub action_hook: Option<Hook>,
    /// Told each NOTIFY.
    pub event_hook: Option<Hook>,
}

/// Sends digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtmf {
    /// As they were written.
    pub digits: String,
}

impl Dtmf {
    /// The keys among the digits: 0 to 9, `*`, `#`, A to D.
    pub fn keys(&self) -> impl Iterator<Item = char> {
        keys(&self.digits)
    }
}

/// A text message, which cannot be sent from here.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// To whom.
    pub to: String,
    /// From whom.
    pub from: String,
    /// Told that it was not sent.
    pub action_hook: Option<Hook>,
}

/// The keys of a phone in a text.
pub(crate) fn keys(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| c.to_ascii_uppercase()).filter(|c| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D'))
}

pub(super) fn redirect(properties: &Properties<'_>) -> Result<Redirect, Fault> {
    // Checked, without effect.
    properties.hook("statusHook")?;
    Ok(Redirect { action_hook: properties.required_hook("actionHook")? })
}

pub(super) fn decline(properties: &Properties<'_>) -> Result<Decline, Fault> {
    let status = properties.number("status")?;
    let status = status.ok_or_else(|| properties.fault("status", "write a SIP status from 400 to 699"))?;
    Ok(Decline {
        status: u16::try_from(whole(status, 400, 699)).unwrap_or(603),
        reason: properties.line("reason")?,
        headers: properties.headers("headers")?,
    })
}

pub(super) fn refer(properties: &Properties<'_>) -> Result<Refer, Fault> {
    Ok(Refer {
        refer_to: properties.required_line("referTo")?,
        referred_by: properties.line("referredBy")?,
        referred_by_name: properties.line("referredByDisplayName")?,
        headers: properties.headers("headers")?,
        action_hook: properties.hook("actionHook")?,
        event_hook: properties.hook("eventHook")?,
    })
}

pub(super) fn dtmf(properties: &Properties<'_>) -> Result<Dtmf, Fault> {
    // Checked, without effect.
    properties.number("duration")?;
    Ok(Dtmf { digits: properties.required_line("dtmf")? })
}

pub(super) fn message(properties: &Properties<'_>) -> Result<Message, Fault> {
    // Checked, without effect.
    for name in ["text", "carrier", "account_sid", "message_sid"] {
        properties.text(name)?;
    }
    properties.text_or_texts("media", super::MOST_ELEMENTS)?;
    Ok(Message {
        to: properties.required_line("to")?,
        from: properties.required_line("from")?,
        action_hook: properties.hook("actionHook")?,
    })
}

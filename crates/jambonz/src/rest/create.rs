//! `POST /v1/Accounts/{account}/Calls`.

use std::time::Duration;

use super::BadRequest;
use crate::fault::{Properties, quoted};
use crate::hook::{Base, Hook, HookError};
use crate::json::{Object, Value};
use crate::verbs::{self, Instruction, Target};

/// Longest caller, in characters.
const LONGEST_FROM: usize = 256;
/// How long a call rings where the program does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// A call to make.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCall {
    /// The number or user shown.
    pub from: String,
    /// Whom to call; a `user` without `@` is of the account's own realm.
    pub to: Target,
    /// Where the instructions come from: an application, unless there is a hook.
    pub application_sid: Option<String>,
    /// Where the instructions come from; absolute.
    pub call_hook: Option<Hook>,
    /// Told the call's states; absolute.
    pub call_status_hook: Option<Hook>,
    /// The instructions themselves; no hook is asked then.
    pub app_json: Option<Vec<Instruction>>,
    /// `customerData` of the call's hooks.
    pub tag: Option<Object>,
    /// Headers of the INVITE.
    pub headers: Vec<(String, String)>,
    /// The display name shown.
    pub caller_name: Option<String>,
    /// Longest time of ringing.
    pub timeout: Duration,
    /// Longest call.
    pub time_limit: Option<Duration>,
    /// Told of SIP requests within the dialog.
    pub sip_request_hook: Option<Hook>,
    /// Asked when the callee sends a REFER.
    pub refer_hook: Option<Hook>,
    /// The voice and the recogniser, in place of the application's: vendor, language and voice as they were written.
    pub speech: Speech,
}

/// The voice and the recogniser of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Speech {
    /// Who speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthesis_vendor: Option<String>,
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthesis_language: Option<String>,
    /// The voice's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthesis_voice: Option<String>,
    /// Who understands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recognizer_vendor: Option<String>,
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recognizer_language: Option<String>,
}

/// Reads the body of a request for a call. Unlike the vendor's server it asks for no speech settings beside a `call_hook`.
///
/// # Errors
/// The body breaks a rule; no call has been made.
pub fn create_call(body: &Value) -> Result<CreateCall, BadRequest> {
    let object = body.as_object().ok_or("the body must be a JSON object")?;
    let properties = Properties::new(object);
    let from = properties.line("from")?.filter(|from| !from.is_empty()).ok_or("missing from parameter")?;
    if from.chars().count() > LONGEST_FROM {
        return Err(BadRequest(format!("from must have 1 to {LONGEST_FROM} characters")));
    }
    let to = target(object)?;
    let call_hook = absolute_hook(&properties, "call_hook")?;
    let call_status_hook = absolute_hook(&properties, "call_status_hook")?;
    let application_sid = properties.line("application_sid")?.filter(|sid| !sid.is_empty());
    let app_json = app_json(&properties)?;
    if application_sid.is_none() && call_hook.is_none() && app_json.is_none() {
        return Err("either call_hook or application_sid required".into());
    }
    // Checked, without effect.
    properties.line("fromHost")?;
    Ok(CreateCall {
        from,
        to,
        application_sid,
        call_hook,
        call_status_hook,
        app_json,
        tag: properties.object("tag")?.cloned(),
        headers: properties.headers("headers")?,
        caller_name: properties.line("callerName")?,
        timeout: properties.seconds("timeout")?.filter(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT),
        time_limit: properties.seconds("timeLimit")?.filter(|limit| !limit.is_zero()),
        sip_request_hook: properties.hook("sipRequestWithinDialogHook")?,
        refer_hook: properties.hook("referHook")?,
        speech: Speech {
            synthesis_vendor: properties.line("speech_synthesis_vendor")?,
            synthesis_language: properties.line("speech_synthesis_language")?,
            synthesis_voice: properties.line("speech_synthesis_voice")?,
            recognizer_vendor: properties.line("speech_recognizer_vendor")?,
            recognizer_language: properties.line("speech_recognizer_language")?,
        },
    })
}

fn target(object: &Object) -> Result<Target, BadRequest> {
    let value = object.get("to");
    let invalid = || {
        let written = value.map_or_else(|| "undefined".to_owned(), ToString::to_string);
        BadRequest(format!("missing or invalid to property: {}", quoted(&written)))
    };
    let to = value.and_then(Value::as_object).ok_or_else(invalid)?;
    let needed = match to.get("type").and_then(Value::as_str) {
        Some("phone" | "teams") => "number",
        Some("user") => "name",
        Some("sip") => "sipUri",
        _ => return Err(invalid()),
    };
    if to.get(needed).and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(invalid());
    }
    let mut target = verbs::rest_target(&Value::Object(to.clone()))?;
    if target.trunk.is_none() {
        target.trunk = Properties::new(object).line("trunk")?;
    }
    Ok(target)
}

fn absolute_hook(properties: &Properties<'_>, name: &str) -> Result<Option<Hook>, BadRequest> {
    // An empty one is not there.
    if properties.get(name).and_then(Value::as_str).is_some_and(str::is_empty) {
        return Ok(None);
    }
    let hook = properties
        .hook(name)
        .map_err(|_| BadRequest(format!("{name} must be string or an object containing a url property")))?;
    match hook.as_ref().map(Base::of) {
        None | Some(Ok(_)) => Ok(hook),
        Some(Err(HookError::NotAUrl(_) | HookError::NotAbsolute(_) | HookError::Scheme(_))) => {
            Err(BadRequest(format!("{name} url be an absolute url")))
        }
    }
}

/// A text with a verb array in it, or the array itself.
fn app_json(properties: &Properties<'_>) -> Result<Option<Vec<Instruction>>, BadRequest> {
    let bad = |error: verbs::DocumentError| BadRequest(format!("invalid app_json: {error}"));
    match properties.get("app_json") {
        None => Ok(None),
        Some(Value::Text(text)) if text.as_str().trim().is_empty() => Ok(None),
        Some(Value::Text(text)) => verbs::document(text.as_str().as_bytes()).map(Some).map_err(bad),
        Some(other) => verbs::instructions(other).map(Some).map_err(bad),
    }
}

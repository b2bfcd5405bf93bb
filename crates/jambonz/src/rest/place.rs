//! Calls to be made, in the engine's words.

use call::command::PlaceCall;
use call::verb::{Fetch, Method, Settings};
use store::{Account, Application, Dialect};
use uuid::Uuid;

use super::answer::{Answer, Result};
use super::server::Api;
use super::{ApplicationSettings, CreateCall};
use crate::document::{self, Reach};
use crate::hook::Hook;
use crate::verbs;

/// What a request for a call orders.
pub(super) async fn order(api: &Api, account: &Account, wanted: CreateCall) -> Result<PlaceCall> {
    let application = match &wanted.application_sid {
        None => None,
        Some(sid) => Some(application(api, account, sid).await?),
    };
    let mut settings = application.as_ref().map(ApplicationSettings::of).unwrap_or_default();
    let own_hook = wanted.call_hook.is_some();
    let call_hook = wanted.call_hook.or_else(|| application.as_ref().map(|app| settings.call_hook(app)));
    let status_hook =
        wanted.call_status_hook.or_else(|| application.as_ref().and_then(|app| settings.call_status_hook(app)));
    // Without an address of its own, an application has absolute hooks alone.
    let nowhere = Fetch::new(String::new(), Method::Post);
    let base = match &call_hook {
        Some(hook) => fetch(&Reach::of(&nowhere), "call_hook", hook)?,
        None => nowhere,
    };
    let reach = Reach::of(&base);
    let run = match (wanted.app_json, settings.app_json.take()) {
        (Some(verbs), _) => Some(verbs),
        // A hook in the request is asked instead of the application's own instructions.
        (None, Some(text)) if !own_hook => Some(verbs::document(text.as_bytes()).map_err(broken)?),
        (None, _) => None,
    };
    let run = run.map(|verbs| document::instructions(&base, verbs)).transpose().map_err(broken)?;
    let speech = wanted.speech;
    for (kept, asked) in [
        (&mut settings.speech.synthesis_vendor, speech.synthesis_vendor),
        (&mut settings.speech.synthesis_language, speech.synthesis_language),
        (&mut settings.speech.synthesis_voice, speech.synthesis_voice),
        (&mut settings.speech.recognizer_vendor, speech.recognizer_vendor),
        (&mut settings.speech.recognizer_language, speech.recognizer_language),
    ] {
        *kept = asked.or_else(|| kept.take());
    }
    let mut target = document::target(&base, &wanted.to)
        .map_err(|error| Answer::bad(format!("to: {error}")))?
        .ok_or_else(|| Answer::bad("to: targets of this type cannot be called from here; use phone, user or sip"))?;
    target.headers.extend(wanted.headers);
    let hook = |name: &str, hook: &Option<Hook>| hook.as_ref().map(|hook| fetch(&reach, name, hook)).transpose();
    let refer_hook = hook("referHook", &wanted.refer_hook)?;
    let request_hook = hook("sipRequestWithinDialogHook", &wanted.sip_request_hook)?;
    let hooked = refer_hook.is_some() || request_hook.is_some();
    let of_call = Settings { refer_hook, request_hook, ..Settings::default() };
    Ok(PlaceCall {
        target,
        from: wanted.from,
        caller_name: wanted.caller_name.unwrap_or_default(),
        ring_timeout: wanted.timeout,
        limit: wanted.time_limit,
        attached: wanted.tag.map(|tag| tag.to_string()),
        status: hook("call_status_hook", &status_hook)?,
        application: base,
        run,
        app_id: application.as_ref().map(|app| app.app_id.clone()),
        app_sid: application.as_ref().map(|app| app.sid.to_string()),
        settings: serde_json::to_value(&settings).unwrap_or_default(),
        settings_of_call: hooked.then(|| Box::new(of_call)),
        dialect: Dialect::Jambonz.as_str(),
    })
}

async fn application(api: &Api, account: &Account, sid: &str) -> Result<Application> {
    let unknown = || Answer::bad("unknown application_sid");
    let sid = Uuid::parse_str(sid).map_err(|_| unknown())?;
    let found = api.store.application_by_sid(account.id, sid).await?;
    found.filter(|app| app.enabled && app.dialect == Dialect::Jambonz).ok_or_else(unknown)
}

fn fetch(reach: &Reach, name: &str, hook: &Hook) -> Result<Fetch> {
    reach.fetch(hook).map_err(|error| Answer::bad(format!("{name}: {error}")))
}

fn broken(error: impl std::fmt::Display) -> Answer {
    Answer::bad(format!("app_json: {error}"))
}

//! Every body that the server sends, against the vendor's schemas of callbacks; its signature, and what official packages need of its shape.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::process::Command;

use super::app::Told;
use crate::SOON;
use crate::tool::{Tool, package_dir};

/// Schemas of hooks, by the first part of the hook's name: a test calls its hooks `/conference-wait/…`, `/dial/…` and so on.
const OF_HOOKS: [(&str, &str); 18] = [
    ("call", "session-new"),
    ("call-status", "call-status"),
    ("conference", "conference"),
    ("conference-status", "conference-status"),
    ("conference-wait", "conference-wait"),
    ("conference-enter", "conference-wait"),
    ("dequeue", "dequeue"),
    ("dial", "dial"),
    ("dial-dtmf", "dial-dtmf"),
    ("dial-refer", "dial-refer"),
    ("enqueue", "enqueue"),
    ("enqueue-wait", "enqueue-wait"),
    ("gather", "gather"),
    ("guide", "session-new"),
    ("listen", "listen"),
    ("play", "play"),
    ("sip-refer", "sip-refer"),
    ("message", "message"),
];

/// Events that the vendor's schema does not know, though its documentation does.
const LATER_EVENTS: [&str; 5] = ["end-talking", "say-start", "say-done", "play-start", "play-done"];

/// Members of the old package's session object that a key of the first message must not overwrite.
const NEEDED: [&str; 12] =
    ["say", "play", "tag", "send", "reply", "on", "emit", "close", "payload", "ws", "locals", "logger"];

/// Keys whose content belongs to programs.
const OWN: [&str; 3] = ["customerData", "env_vars", "sip"];

/// The schema of a hook's body by its name.
pub fn of_hook(name: &str) -> &'static str {
    let first = name.trim_start_matches('/').split('/').next().unwrap_or_default();
    OF_HOOKS.iter().find(|(part, _)| *part == first).map_or("base", |(_, schema)| schema)
}

/// Judges everything that an application was told.
///
/// # Panics
/// With all that is wrong.
pub async fn judge(told: &[Told], secret: &str) {
    let mut wrong: Vec<String> = Vec::new();
    let mut ids = HashMap::new();
    for one in told {
        let mut say = |what: String| wrong.push(format!("{} {}: {what}\n    {}", one.kind, one.name, one.raw));
        if one.kind == "http" {
            if let Err(why) = signed(one, secret) {
                say(why);
            }
        } else if !matches!(one.kind.as_str(), "opened" | "closed" | "refused" | "verified") {
            if one.kind.is_empty() || one.msgid.is_empty() {
                say("a frame without type or msgid ends the old package's process".to_owned());
            }
            if ids.insert(one.msgid.clone(), ()).is_some() {
                say("its msgid was used before".to_owned());
            }
        }
        if one.kind == "session:new" {
            for key in NEEDED.iter().filter(|key| one.data.get(**key).is_some()) {
                say(format!("its key {key} takes the place of what the old package needs"));
            }
        }
        for key in one.data.as_object().into_iter().flat_map(|data| data.keys()) {
            if key.chars().any(char::is_uppercase) && !OWN.contains(&key.as_str()) && one.kind != "jambonz:error" {
                say(format!("{key} is not in snake case"));
            }
        }
    }
    let bodies: Vec<(&Told, &str)> = told.iter().filter_map(|one| Some((one, one.schema()?))).collect();
    for (number, why) in against_schemas(&bodies).await {
        let Some((one, schema)) = bodies.get(number) else { continue };
        wrong.push(format!("{} {} against {schema}: {why}\n    {}", one.kind, one.name, one.raw));
    }
    assert!(wrong.is_empty(), "bodies that are not as they should be:\n  {}", wrong.join("\n  "));
}

async fn against_schemas(bodies: &[(&Told, &str)]) -> Vec<(usize, String)> {
    if bodies.is_empty() {
        return Vec::new();
    }
    let mut command = Command::new("node");
    command.arg(package_dir().join("validators/jambonz-hooks.mjs")).current_dir(package_dir());
    let mut tool = Tool::start("the validator", &mut command);
    for (number, (one, schema)) in bodies.iter().enumerate() {
        let mut body = one.data.clone();
        if let Some(event) = body.get_mut("event")
            && event.as_str().is_some_and(|event| LATER_EVENTS.contains(&event))
        {
            *event = json!("stop-talking");
        }
        tool.tell(&json!({ "number": number, "schema": schema, "body": body }).to_string()).await;
    }
    assert!(tool.ended(SOON * 2).await.success(), "{}", tool.transcript());
    let looked = tool.line("a count", SOON, |line| line.contains("\"looked\"")).await;
    assert_eq!(looked, json!({ "looked": bodies.len() }).to_string(), "{}", tool.transcript());
    let verdicts = tool.out.all();
    let of = |line: &String| {
        let verdict: Value = serde_json::from_str(line).ok()?;
        let number = usize::try_from(verdict.get("number")?.as_u64()?).ok()?;
        Some((number, verdict.get("wrong")?.as_str()?.to_owned()))
    };
    verdicts.iter().filter_map(of).collect()
}

/// Whether a request was signed over its body as it was sent, and the body is what JavaScript would print again.
fn signed(told: &Told, secret: &str) -> Result<(), String> {
    if told.method == "OPTIONS" {
        return Ok(());
    }
    let header = told.headers.get("jambonz-signature").ok_or("there is no Jambonz-Signature")?;
    let time = header.split(',').find_map(|part| part.strip_prefix("t=")).ok_or("no time in the signature")?;
    let body = if told.method == "GET" { "{}" } else { told.raw.as_str() };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return Err("no key".to_owned()) };
    mac.update(format!("{time}.{body}").as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let good = header.split(',').any(|part| part.strip_prefix("v1=") == Some(expected.as_str()));
    if good { Ok(()) } else { Err(format!("the signature {header} is not that of its body")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_has_the_schema_that_its_name_begins_with() {
        assert_eq!(of_hook("/conference-wait/customer"), "conference-wait");
        assert_eq!(of_hook("/conference/done"), "conference");
        assert_eq!(of_hook("/whatever"), "base");
    }
}

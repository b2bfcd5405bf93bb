//! `/Accounts/{sid}/Calls` and `CallCount`.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use call::command::{CallCommand, CommandError};
use call::dialect::{CallView, Direction};
use call::stored;
use store::Account;

use super::answer::{Answer, Result};
use super::asked::{Asked, uuid};
use super::live::{account_ref, asker, record};
use super::server::{Api, now};
use super::{call_count, create_call, update_call};
use crate::command;
use crate::json::Object;

/// How long a call that is over stays listed.
const LISTED: Duration = Duration::from_secs(3600);

pub(super) async fn dispatch(api: &Api, asked: &Asked, account: &Account, rest: &[&str]) -> Result {
    let [sid] = rest else {
        return match (&asked.method, rest) {
            (&Method::GET, []) => list(api, asked, account).await,
            (&Method::POST, []) => create(api, asked, account).await,
            _ => Err(Answer::not_found()),
        };
    };
    let sid = uuid(sid)?.to_string();
    match asked.method {
        Method::GET => {
            let call = known(api, account, &sid).await?.ok_or_else(Answer::not_found)?;
            Ok(Answer::ok(record(asked, &call)))
        }
        Method::PUT | Method::POST => update(api, asked, account, &sid).await,
        Method::DELETE => hang_up(api, asked, account, &sid).await,
        _ => Err(Answer::not_found()),
    }
}

/// A call that is live, or has not been over for long.
async fn known(api: &Api, account: &Account, sid: &str) -> Result<Option<CallView>> {
    if let Some(call) = api.control.call(&account_ref(account), sid).await {
        return Ok(Some(call));
    }
    let Ok(id) = sid.parse() else { return Ok(None) };
    let since = now().minus(LISTED);
    let row = api.store.call(account.id, id).await?;
    Ok(row.filter(|row| row.ended_at.is_none_or(|ended| ended >= since)).as_ref().map(stored::call))
}

async fn list(api: &Api, asked: &Asked, account: &Account) -> Result {
    let mut calls = api.control.calls(&account_ref(account)).await;
    let live: HashSet<String> = calls.iter().map(|call| call.uuid.clone()).collect();
    let ended = api.store.ended_calls(account.id, now().minus(LISTED)).await?;
    // One that ended since is there already.
    calls.extend(ended.iter().filter(|row| !live.contains(&row.id.to_string())).map(stored::call));
    let mut records: Vec<Object> = calls.iter().map(|call| record(asked, call)).collect();
    for (parameter, property) in
        [("direction", "direction"), ("from", "from"), ("to", "to"), ("callStatus", "call_status")]
    {
        if let Some(wanted) = asked.parameter(parameter).filter(|wanted| !wanted.is_empty()) {
            let of =
                |record: &Object| record.get(property).and_then(|value| value.as_str()).map(plain).map(str::to_owned);
            records.retain(|record| of(record).is_some_and(|is| is == plain(wanted)));
        }
    }
    Ok(Answer::ok(records))
}

/// A number with or without its plus sign is the same.
fn plain(text: &str) -> &str {
    text.strip_prefix('+').unwrap_or(text)
}

pub(super) async fn count(api: &Api, account: &Account) -> Result {
    let calls = api.control.calls(&account_ref(account)).await;
    let of = |direction| calls.iter().filter(|call| call.direction == direction).count();
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Answer::ok(call_count(small(of(Direction::Inbound)), small(of(Direction::Outbound)))))
}

async fn create(api: &Api, asked: &Asked, account: &Account) -> Result {
    let call = super::place::order(api, account, create_call(&asked.body)?).await?;
    let owner = account_ref(account);
    let placed = api.control.place(&owner, call, asker(asked)).await.map_err(|error| match error {
        // Whom to call, not what was asked under this path.
        CommandError::NotFound { .. } => Answer::bad(error.to_string()),
        CommandError::Busy(_) | CommandError::Unavailable(_) | CommandError::OverLimit { .. } => no_capacity(&error),
        error => error.into(),
    })?;
    let mut body = Object::new();
    body.set("sid", placed.call);
    body.set("callId", placed.call_id);
    Ok(Answer::json(StatusCode::CREATED, body))
}

/// The vendor's status where no server can take the call.
fn no_capacity(error: &CommandError) -> Answer {
    let status = StatusCode::from_u16(480).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    Answer::refused(status, error.to_string())
}

async fn update(api: &Api, asked: &Asked, account: &Account, sid: &str) -> Result {
    let changes = update_call(&asked.body)?;
    let owner = account_ref(account);
    let call = known(api, account, sid).await?.ok_or_else(Answer::not_found)?;
    if call.ended_at.is_some() {
        return Err(gone(sid));
    }
    let mut commands = Vec::new();
    for change in changes {
        commands.extend(command::commands(change, &call).map_err(|error| Answer::bad(error.to_string()))?);
    }
    // Nothing of it is done then.
    if let Some(CallCommand::Unsupported(name)) = commands.iter().find(|one| matches!(one, CallCommand::Unsupported(_)))
    {
        return Err(Answer::bad(format!("{name} is not supported by this server")));
    }
    let mut answer = Answer::accepted();
    for command in commands {
        match api.control.command(&owner, sid, command, asker(asked)).await {
            Ok(changed) => {
                if let Some((status, reason)) = changed.sip {
                    let mut body = Object::new();
                    body.set("status", status);
                    body.set("reason", reason);
                    answer = Answer::ok(body);
                }
            }
            // It was there a moment ago.
            Err(CommandError::NotFound { what: "call", .. }) => return Err(gone(sid)),
            Err(CommandError::Conflict(why)) => {
                let words = format!("current call state is incompatible with requested action: {why}");
                return Err(Answer::unprocessable_words(words));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answer)
}

fn gone(sid: &str) -> Answer {
    Answer::unprocessable_words(format!("call session is gone for call_sid {sid}"))
}

/// The vendor's server would forget the call and let it go on; its clients say that this ends it.
async fn hang_up(api: &Api, asked: &Asked, account: &Account, sid: &str) -> Result {
    let owner = account_ref(account);
    known(api, account, sid).await?.ok_or_else(Answer::not_found)?;
    match api.control.command(&owner, sid, CallCommand::Hangup(None), asker(asked)).await {
        // It is over, which is what was asked for.
        Ok(_) | Err(CommandError::NotFound { .. }) => Ok(Answer::done()),
        Err(error) => Err(error.into()),
    }
}

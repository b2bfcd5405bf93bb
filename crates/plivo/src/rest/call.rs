//! Operations on single calls: their record, hanging up, other instructions.

use axum::http::{Method, StatusCode};
use call::command::{CallCommand, CallSnapshot};
use call::verb::{Fetch, Method as HookMethod};
use serde_json::json;

use super::answer::Answer;
use super::{Api, Asked, object};
use crate::value::Fault;

pub(super) async fn dispatch(api: &Api, asked: &Asked, rest: &[&str]) -> Result<Answer, Answer> {
    match rest {
        [] => Err(Answer::not_allowed(
            "",
            "calls are neither made nor listed here; a multiparty call's add participant dials, and its participants can be listed",
        )),
        [uuid] => match asked.method {
            Method::GET => get(api, asked, uuid).await,
            Method::POST => transfer(api, asked, uuid).await,
            Method::DELETE => {
                live(api, asked, uuid).await?;
                api.control
                    .command_call(&asked.scope.account, uuid, CallCommand::Hangup(None), asked.scope.asker())
                    .await?;
                Ok(Answer::done())
            }
            _ => Err(Answer::not_allowed("GET, POST, DELETE", "use GET, POST or DELETE")),
        },
        _ => Err(Answer::not_found(
            "playing, speaking, recording and digits on single calls are not supported; see the support table",
        )),
    }
}

fn missing(uuid: &str) -> Answer {
    let uuid: String = uuid.chars().take(60).collect();
    Answer::not_found(format!(
        "call {uuid:?} is not there; a live one is asked for with ?status=live, its record is there when it is over"
    ))
}

async fn live(api: &Api, asked: &Asked, uuid: &str) -> Result<CallSnapshot, Answer> {
    let found = api.control.call(&asked.scope.account, uuid).await;
    found.filter(|call| asked.scope.sees(&call.call.auth_id)).ok_or_else(|| missing(uuid))
}

async fn get(api: &Api, asked: &Asked, uuid: &str) -> Result<Answer, Answer> {
    match asked.fields.get("status") {
        Some(field) => {
            field.one_of(&["live"])?;
            let call = live(api, asked, uuid).await?.call;
            Ok(Answer::object(StatusCode::OK, object::live_call(&call)))
        }
        None => {
            let call =
                api.records.call(&asked.scope.account.id, uuid).await?.filter(|call| asked.scope.sees(&call.auth_id));
            let object = call.and_then(|call| object::call_record(&asked.scope, &call)).ok_or_else(|| missing(uuid))?;
            Ok(Answer::object(StatusCode::OK, object))
        }
    }
}

async fn transfer(api: &Api, asked: &Asked, uuid: &str) -> Result<Answer, Answer> {
    if let Some(field) = asked.fields.get("legs") {
        field.one_of(&["aleg"]).map_err(|_| {
            Fault::new(field.name, field.value, "a call here has one leg; write aleg, and name the other call itself")
        })?;
    }
    let method = asked.fields.method("alegmethod", HookMethod::Post)?;
    let url = match asked.fields.get("alegurl") {
        Some(field) => field.url()?,
        None => return Err(Fault::new("aleg_url", "", "write the URL of the new instructions").into()),
    };
    live(api, asked, uuid).await?;
    let command = CallCommand::Transfer(Fetch::new(url, method));
    api.control.command_call(&asked.scope.account, uuid, command, asked.scope.asker()).await?;
    Ok(Answer::json(StatusCode::ACCEPTED, json!({ "message": "call transfered", "call_uuids": [uuid] })))
}

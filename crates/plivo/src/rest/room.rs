//! Operations on multiparty calls.

use axum::http::{Method, StatusCode};
use call::command::{RoomRef, RoomSnapshot};
use call::dialect::RoomView;
use serde_json::{Value, json};

use super::answer::Answer;
use super::page::Part;
use super::{Api, Asked, add, object, participant};
use crate::records::{Between, State, Wanted};
use crate::value::{Fault, Fields, room_name};
use crate::{cause, clock};

pub(super) async fn dispatch(api: &Api, asked: &Asked, rest: &[&str]) -> Result<Answer, Answer> {
    match rest {
        [] => match asked.method {
            Method::GET => list(api, asked).await,
            _ => Err(Answer::not_allowed(
                "GET",
                "multiparty calls are opened by add participant or by a document; here they can be listed",
            )),
        },
        [id] => {
            let id = Id::read(id)?;
            match asked.method {
                Method::GET => get(api, asked, &id).await,
                Method::POST => start(api, asked, &id).await,
                Method::DELETE => end(api, asked, &id).await,
                _ => Err(Answer::not_allowed("GET, POST, DELETE", "use GET, POST or DELETE")),
            }
        }
        [id, "Participant"] => {
            let id = Id::read(id)?;
            match asked.method {
                Method::GET => participant::list(api, asked, &id).await,
                Method::POST => add::add(api, asked, &id).await,
                _ => Err(Answer::not_allowed("GET, POST", "use GET or POST")),
            }
        }
        [id, "Participant", member] => {
            let id = Id::read(id)?;
            match asked.method {
                Method::GET => participant::get(api, asked, &id, member).await,
                Method::POST => participant::update(api, asked, &id, member).await,
                Method::DELETE => participant::kick(api, asked, &id, member).await,
                _ => Err(Answer::not_allowed("GET, POST, DELETE", "use GET, POST or DELETE")),
            }
        }
        [_, "Record"]
        | [_, "Record", "Pause" | "Resume"]
        | [_, "Participant", _, "Record"]
        | [_, "Participant", _, "Record", "Pause" | "Resume"] => {
            Err(Answer::not_allowed("", "starting and stopping a recording by request is not supported"))
        }
        [_, "Member", _, "Play" | "Speak"] => {
            Err(Answer::not_allowed("", "playing or speaking into a live multiparty call by request is not supported"))
        }
        _ => Err(Answer::not_found("there is no such multiparty call resource; see the support table")),
    }
}

/// How a path names a multiparty call.
pub(super) struct Id {
    pub room: RoomRef,
    /// As it was written.
    pub form: String,
}

impl Id {
    fn read(text: &str) -> Result<Self, Answer> {
        let room = if let Some(name) = text.strip_prefix("name_") {
            RoomRef::Name(room_name("friendly_name", name)?)
        } else if let Some(uuid) = text.strip_prefix("uuid_") {
            RoomRef::Uuid(uuid.to_ascii_lowercase())
        } else {
            return Err(Answer::bad_request(format!(
                "{text:?} names no multiparty call; write name_{{friendly name}} or uuid_{{mpc uuid}}"
            )));
        };
        Ok(Self { room, form: text.to_owned() })
    }

    pub fn is_uuid(&self) -> bool {
        matches!(self.room, RoomRef::Uuid(_))
    }

    pub fn missing(&self) -> Answer {
        let hint =
            if self.is_uuid() { "" } else { "; a name is known while the call is live, after that use its uuid" };
        Answer::not_found(format!("multiparty call {} is not there{hint}", self.form))
    }
}

/// The live room, if it may be seen.
pub(super) async fn live(api: &Api, asked: &Asked, id: &Id) -> Result<Option<RoomSnapshot>, Answer> {
    let found = api.control.room(&asked.scope.account, &id.room).await?;
    Ok(found.filter(|snapshot| asked.scope.sees(&snapshot.room.auth_id)))
}

/// The live room, or a 404.
pub(super) async fn must_live(api: &Api, asked: &Asked, id: &Id) -> Result<RoomSnapshot, Answer> {
    live(api, asked, id).await?.ok_or_else(|| id.missing())
}

/// The room that has ended, if it is asked for by UUID.
pub(super) async fn ended(api: &Api, asked: &Asked, id: &Id) -> Result<Option<RoomView>, Answer> {
    let RoomRef::Uuid(uuid) = &id.room else { return Ok(None) };
    let found = api.records.room(&asked.scope.account.id, uuid).await?;
    Ok(found.filter(|room| asked.scope.sees(&room.auth_id)))
}

async fn get(api: &Api, asked: &Asked, id: &Id) -> Result<Answer, Answer> {
    let room = match live(api, asked, id).await? {
        Some(snapshot) => snapshot.room,
        None => ended(api, asked, id).await?.ok_or_else(|| id.missing())?,
    };
    Ok(Answer::object(StatusCode::OK, object::room(&asked.scope, &room, &id.form)))
}

async fn start(api: &Api, asked: &Asked, id: &Id) -> Result<Answer, Answer> {
    match asked.fields.get("status") {
        Some(field) => field.one_of(&["active"])?,
        None => return Err(Fault::new("status", "", "write active").into()),
    };
    must_live(api, asked, id).await?;
    api.control.start(&asked.scope.account, &id.room, asked.scope.asker()).await?;
    Ok(Answer::done())
}

async fn end(api: &Api, asked: &Asked, id: &Id) -> Result<Answer, Answer> {
    must_live(api, asked, id).await?;
    api.control.end(&asked.scope.account, &id.room, asked.scope.asker()).await?;
    Ok(Answer::done())
}

async fn list(api: &Api, asked: &Asked) -> Result<Answer, Answer> {
    let part = Part::read(&asked.fields)?;
    let wanted = wanted(asked)?;
    let (rooms, count) = api.records.rooms(&asked.scope.account.id, &wanted, part.limit, part.offset).await?;
    let objects: Vec<Value> = rooms
        .iter()
        .map(|room| Value::Object(object::room(&asked.scope, room, &format!("uuid_{}", room.uuid))))
        .collect();
    let path = format!("{}/MultiPartyCall/", asked.scope.base());
    Ok(Answer::json(StatusCode::OK, json!({ "meta": part.meta(count, &path, &asked.fields), "objects": objects })))
}

fn wanted(asked: &Asked) -> Result<Wanted, Fault> {
    let fields = &asked.fields;
    let own = (!asked.scope.is_main()).then(|| asked.scope.account.auth_id.clone());
    let sub = match fields.get("subaccount") {
        Some(field) if field.value.len() == 20 && field.value.starts_with("SA") => Some(field.value.to_owned()),
        Some(field) => {
            return Err(Fault::new(field.name, field.value, "write a sub-account's auth id: SA and 18 characters"));
        }
        None => None,
    };
    let state = match fields.get("status") {
        Some(field) => Some(match field.one_of(&["initialized", "active", "ended"])? {
            "initialized" => State::Initialized,
            "active" => State::Active,
            _ => State::Ended,
        }),
        None => None,
    };
    let causes = match fields.get("terminationcausecode") {
        Some(field) => {
            let remedy = "write 0, 1000, 1010, 2000 or 3000";
            let code = field.whole(0, 9999).map_err(|_| Fault::new(field.name, field.value, remedy))?;
            Some(cause::causes_of(code).ok_or_else(|| Fault::new(field.name, field.value, remedy))?)
        }
        None => None,
    };
    // A sub-account that asks for another one's rooms finds none.
    let auth_id = match (own, sub) {
        (Some(own), Some(sub)) if own != sub => Some(String::new()),
        (Some(own), _) => Some(own),
        (None, sub) => sub,
    };
    Ok(Wanted {
        auth_id,
        name: fields.get("friendlyname").map(|field| field.value.trim().to_owned()),
        state,
        causes,
        opened: between(fields, "creationtime")?,
        ended: between(fields, "endtime")?,
    })
}

fn between(fields: &Fields, name: &str) -> Result<Between, Fault> {
    let at = |bound: &str| {
        fields
            .get(&format!("{name}{bound}"))
            .map(|field| {
                clock::parse(field.value).ok_or_else(|| {
                    Fault::new(field.name, field.value, "write a UTC time as YYYY-MM-DD HH:MM[:SS[.ffffff]]")
                })
            })
            .transpose()
    };
    Ok(Between { gt: at("gt")?, gte: at("gte")?, lt: at("lt")?, lte: at("lte")? })
}

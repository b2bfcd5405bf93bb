//! `/Accounts/{sid}/Conferences`.

use axum::http::{Method, StatusCode};
use call::command::{CommandError, RoomSnapshot, TapRoom};
use call::dialect::MemberView;
use call::verb::{Stream, StreamMix};
use conference::Role;
use store::Account;

use super::answer::{Answer, Result};
use super::asked::Asked;
use super::live::{account_ref, asker};
use super::server::{Api, now};
use super::{ParticipantRecord, RoomRecord, RoomTap, TapScope, room_tap};
use crate::json::{Object, Value};

pub(super) async fn dispatch(api: &Api, asked: &Asked, account: &Account, rest: &[&str]) -> Result {
    match (&asked.method, rest) {
        (&Method::GET, []) => list(api, asked, account).await,
        (&Method::POST, [name, "listen"]) => tap(api, asked, account, name).await,
        (&Method::DELETE, [name, "listen"]) => untap(api, asked, account, name).await,
        _ => Err(Answer::not_found()),
    }
}

async fn list(api: &Api, asked: &Asked, account: &Account) -> Result {
    let mut rooms = api.control.rooms(&account_ref(account)).await;
    rooms.retain(|room| room.room.started && !room.room.unnamed && room.room.ended_at.is_none());
    rooms.sort_by(|one, other| one.room.name.cmp(&other.room.name));
    match asked.parameter("expand") {
        None | Some("") => {
            Ok(Answer::ok(rooms.iter().map(|room| Value::from(room.room.name.as_str())).collect::<Vec<_>>()))
        }
        Some("participants") => {
            let mut records = Vec::with_capacity(rooms.len());
            for room in &rooms {
                records.push(Value::from(expanded(api, account, room).await.body()));
            }
            Ok(Answer::ok(records))
        }
        Some(_) => Err(Answer::bad("expand must be participants")),
    }
}

async fn expanded(api: &Api, account: &Account, room: &RoomSnapshot) -> RoomRecord {
    let owner = account_ref(account);
    let mut participants = Vec::with_capacity(room.members.len());
    for member in room.members.iter().filter(|member| member.left_at.is_none()) {
        let call = api.control.call(&owner, &member.call_uuid).await;
        participants.push(participant(member, call.map(|call| call.caller_name).unwrap_or_default()));
    }
    let started = room.room.started_at.unwrap_or(room.room.opened_at);
    let duration = u64::try_from(now().micros().saturating_sub(started)).unwrap_or(0) / 1_000_000;
    RoomRecord { id: room.room.uuid.clone(), name: room.room.name.clone(), duration, participants }
}

fn participant(member: &MemberView, caller_name: String) -> ParticipantRecord {
    let inbound = member.direction == call::dialect::Direction::Inbound;
    let named = Some(caller_name).filter(|name| inbound && !name.is_empty());
    let digits = member.address.strip_prefix('+').unwrap_or(&member.address);
    let number = (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.to_owned());
    let tag = member.tag.as_ref().map(|tag| tag.as_str().to_owned());
    let is_agent = tag.as_deref() == Some("agent") || member.role == Some(Role::Agent);
    ParticipantRecord {
        call_sid: member.call_uuid.clone(),
        label: named.unwrap_or_else(|| member.address.clone()),
        number,
        member_tag: tag.or_else(|| member.role.map(|role| role.as_str().to_owned())),
        is_agent,
    }
}

async fn tap(api: &Api, asked: &Asked, account: &Account, room: &str) -> Result {
    let wanted = room_tap(&asked.body)?;
    let members = wanted.scope == TapScope::Members;
    let tap = TapRoom { stream: stream(wanted), members };
    let tapped = match api.control.tap(&account_ref(account), room, tap, asker(asked)).await {
        Ok(tapped) => tapped.ok_or_else(Answer::not_found)?,
        // Where it should lead does not answer.
        Err(CommandError::Failed(words)) => return Err(Answer::refused(StatusCode::BAD_GATEWAY, words)),
        Err(error) => return Err(error.into()),
    };
    let mut body = Object::new();
    body.set("botMemberId", tapped.id.as_str());
    body.set("botId", tapped.id.as_str());
    Ok(Answer::json(if tapped.known { StatusCode::OK } else { StatusCode::CREATED }, body))
}

fn stream(tap: RoomTap) -> Stream {
    Stream {
        url: tap.url,
        auth: tap.auth,
        sample_rate: tap.sample_rate,
        mix: StreamMix::Mixed,
        metadata: Some(tap.metadata.to_string()),
        digits: false,
        two_way: None,
        limit: None,
        silence: None,
        finish_on: String::new(),
        beep: false,
        action: None,
        id: None,
    }
}

async fn untap(api: &Api, asked: &Asked, account: &Account, room: &str) -> Result {
    let members = TapScope::of(asked.parameter("scope"))? == TapScope::Members;
    let was = api.control.untap(&account_ref(account), room, members).await?;
    if was { Ok(Answer::done()) } else { Err(Answer::not_found()) }
}

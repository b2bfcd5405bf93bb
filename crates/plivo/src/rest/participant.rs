//! Operations on participants.

use axum::http::StatusCode;
use call::command::{MemberChange, Whom};
use call::dialect::RoomView;
use conference::Role;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::page::Part;
use super::room::{Id, ended, live, must_live};
use super::{Api, Asked, object};
use crate::records::Participant;

/// Most members that one request may name.
const MOST_NAMED: usize = 100;

/// The room and everybody who is or was in it, in order of entry.
async fn everybody(api: &Api, asked: &Asked, id: &Id) -> Result<(RoomView, Vec<Participant>), Answer> {
    let account = &asked.scope.account.id;
    let Some(snapshot) = live(api, asked, id).await? else {
        let room = ended(api, asked, id).await?.ok_or_else(|| id.missing())?;
        let members = api.records.participants(account, &room.uuid).await?;
        return Ok((room, members));
    };
    // The records have those who left; those who are in are asked of the room, which is never behind.
    let mut members = api.records.participants(account, &snapshot.room.uuid).await?;
    let present: Vec<Participant> = snapshot.members.into_iter().map(Participant::from).collect();
    members.retain(|member| member.left_at.is_some() && !present.iter().any(|there| there.number == member.number));
    members.extend(present);
    members.sort_by_key(|member| member.number);
    Ok((snapshot.room, members))
}

pub(super) async fn list(api: &Api, asked: &Asked, id: &Id) -> Result<Answer, Answer> {
    let part = Part::read(&asked.fields)?;
    let call = asked.fields.get("calluuid").map(|field| field.value.trim().to_owned());
    let (room, mut members) = everybody(api, asked, id).await?;
    members.retain(|member| call.as_ref().is_none_or(|call| member.call_uuid.eq_ignore_ascii_case(call)));
    let count = members.len() as u64;
    let objects: Vec<Value> = members
        .iter()
        .skip(part.offset as usize)
        .take(part.limit as usize)
        .map(|member| Value::Object(object::participant(&asked.scope, &room, &id.form, member)))
        .collect();
    let path = format!("{}/MultiPartyCall/{}/Participant/", asked.scope.base(), super::input::encode_segment(&id.form));
    Ok(Answer::json(StatusCode::OK, json!({ "meta": part.meta(count, &path, &asked.fields), "objects": objects })))
}

pub(super) async fn get(api: &Api, asked: &Asked, id: &Id, member: &str) -> Result<Answer, Answer> {
    let number: i64 = member.trim().parse().map_err(|_| bad_member(member))?;
    let (room, members) = everybody(api, asked, id).await?;
    match members.iter().find(|member| member.number == number) {
        Some(member) => Ok(Answer::object(StatusCode::OK, object::participant(&asked.scope, &room, &id.form, member))),
        None => Err(missing(number)),
    }
}

fn bad_member(text: &str) -> Answer {
    let text: String = text.chars().take(60).collect();
    Answer::bad_request(format!(
        "{text:?} names no participant; write a member id, several separated by commas, or all"
    ))
}

fn missing(number: i64) -> Answer {
    Answer::not_found(format!("participant {number} is not in this multiparty call"))
}

/// One member id, several separated by commas, or `all`.
fn whom(text: &str) -> Result<Whom, Answer> {
    if text.trim().eq_ignore_ascii_case("all") {
        return Ok(Whom::All);
    }
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let number = part.trim().parse::<i64>().ok().filter(|number| *number > 0).ok_or_else(|| bad_member(text))?;
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    if numbers.len() > MOST_NAMED {
        return Err(Answer::bad_request(format!("name at most {MOST_NAMED} participants, or all")));
    }
    Ok(Whom::Members(numbers))
}

pub(super) async fn update(api: &Api, asked: &Asked, id: &Id, member: &str) -> Result<Answer, Answer> {
    let whom = whom(member)?;
    let flag = |key: &str| asked.fields.get(key).map(|field| field.boolean()).transpose();
    let change =
        MemberChange { mute: flag("mute")?, hold: flag("hold")?, coach: flag("coachmode")?, ..MemberChange::default() };
    flag("disablestatechangesound")?;
    if change == MemberChange::default() {
        return Err(Answer::bad_request("nothing is to be changed; give at least one of coach_mode, mute and hold"));
    }
    let snapshot = must_live(api, asked, id).await?;
    if let Whom::Members(numbers) = &whom {
        for number in numbers {
            let Some(member) = snapshot.members.iter().find(|member| member.number == *number) else {
                return Err(missing(*number));
            };
            if change.coach.is_some() && member.role != Some(Role::Supervisor) {
                let words = format!("parameter coach_mode concerns supervisors; participant {number} is none");
                return Err(Answer::bad_request(words));
            }
        }
    } else if change.coach.is_some() {
        return Err(Answer::bad_request("parameter coach_mode cannot be changed for all; name the supervisors"));
    }
    let name = snapshot.room.name;
    let words: Map<String, Value> = [
        ("mute", change.mute, "mute/unmute member(s)"),
        ("hold", change.hold, "hold/unhold member(s)"),
        ("coach_mode", change.coach, "coach_mode enable/disable"),
    ]
    .into_iter()
    .filter(|(_, changed, _)| changed.is_some())
    .map(|(key, _, what)| (key.to_owned(), Value::String(format!("MPC: {name} {what} succeeded"))))
    .collect();
    api.control.change(&asked.scope.account, &id.room, whom, change, asked.scope.asker()).await?;
    Ok(Answer::object(StatusCode::ACCEPTED, words))
}

pub(super) async fn kick(api: &Api, asked: &Asked, id: &Id, member: &str) -> Result<Answer, Answer> {
    let whom = whom(member)?;
    let snapshot = must_live(api, asked, id).await?;
    if let Whom::Members(numbers) = &whom
        && let Some(gone) =
            numbers.iter().find(|number| !snapshot.members.iter().any(|member| member.number == **number))
    {
        return Err(missing(*gone));
    }
    api.control.kick(&asked.scope.account, &id.room, whom, asked.scope.asker()).await?;
    Ok(Answer::done())
}

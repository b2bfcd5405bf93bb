//! Members: look, change, move between modes, remove.

use axum::extract::State;
use axum::{Extension, Json};
use call::command::{MemberChange, ModeCommand, RoomSnapshot, Whom};
use call::dialect::MemberView;
use conference::{Audience, Clause, Role, Tag};
use serde::{Deserialize, Deserializer, Serialize};
use store::Scope;
use utoipa::ToSchema;

use super::caller::Caller;
use super::extract::{Body, Named};
use super::object::{AppliedObject, MemberList, MemberObject};
use super::problem::Problem;
use super::{Answered, Api, applied};

/// Longest tag, bytes.
const LONGEST_TAG: usize = 128;
/// Most members, tags or roles in one list of a request.
const LONGEST_LIST: usize = 100;

/// How a supervisor takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeName {
    /// Hears all, heard by nobody.
    Monitor,
    /// Hears all, heard by those it coaches.
    Whisper,
    /// Hears all, heard by all.
    Barge,
    /// Barge, and agents are set aside until `stop` or until the supervisor leaves.
    Takeover,
    /// Gives a takeover back, then monitor.
    Stop,
}

impl From<ModeName> for call::command::ModeName {
    fn from(mode: ModeName) -> Self {
        match mode {
            ModeName::Monitor => Self::Monitor,
            ModeName::Whisper => Self::Whisper,
            ModeName::Barge => Self::Barge,
            ModeName::Takeover => Self::Takeover,
            ModeName::Stop => Self::Stop,
        }
    }
}

/// A change of mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// The mode.
    pub mode: ModeName,
    /// For a takeover: the members to set aside; all agents if left out.
    #[serde(default)]
    pub agents: Option<Vec<i64>>,
    /// The same id twice is done once; the second answer is the first one's.
    #[serde(default)]
    pub command_id: Option<String>,
}

/// Whom a coaching member speaks to: whoever matches any of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CoachAudience {
    /// Members with one of these tags, or a role of that name.
    pub tags: Vec<String>,
    /// Members of one of these roles: `agent`, `supervisor`, `customer`.
    pub roles: Vec<String>,
    /// These members.
    pub members: Vec<i64>,
}

/// A change of a member; what is left out stays as it is. All of it holds from the same tick.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemberPatch {
    /// Heard by nobody.
    pub mute: Option<bool>,
    /// Apart from the others, with hold music.
    pub hold: Option<bool>,
    /// Hears nothing of the room.
    pub deaf: Option<bool>,
    /// Heard by its coach audience alone.
    pub coach: Option<bool>,
    /// Whom it speaks to while it coaches.
    pub coach_audience: Option<CoachAudience>,
    /// Its free tag; null takes it away.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tag: Option<Option<String>>,
}

/// A null that is there is a value; one that is not there is none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn find(room: &RoomSnapshot, number: i64) -> Result<&MemberView, Problem> {
    let found = room.members.iter().find(|member| member.number == number);
    found.ok_or_else(|| Problem::not_found("member", &number.to_string()))
}

/// The numbers of the agents in a room: those whom a takeover sets aside, by role or by tag.
pub(super) fn agents_of(room: &RoomSnapshot) -> Vec<i64> {
    let agents = room.members.iter().filter(|member| conference::counts_as_agent(member.role, member.tag.as_ref()));
    agents.map(|member| member.number).collect()
}

/// The members of a live room.
#[utoipa::path(get, path = "/rooms/{room}/members", tag = "members",
    params(("room" = String, Path, description = "UUID or name")), responses((status = 200, body = MemberList)))]
pub async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
) -> Result<Json<MemberList>, Problem> {
    let (_, snapshot) = api.must_room(&caller, &named, "list members").await?;
    Ok(Json(MemberList { items: snapshot.members.iter().map(MemberObject::live).collect() }))
}

/// A member of a live room.
#[utoipa::path(get, path = "/rooms/{room}/members/{member}", tag = "members",
    params(("room" = String, Path, description = "UUID or name"), ("member" = i64, Path, description = "its number")),
    responses((status = 200, body = MemberObject)))]
pub async fn get(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named((named, number)): Named<(String, i64)>,
) -> Result<Json<MemberObject>, Problem> {
    let (_, snapshot) = api.must_room(&caller, &named, "read a member").await?;
    find(&snapshot, number).map(|member| Json(MemberObject::live(member)))
}

/// Changes a member's rules. The answer means that the sound has changed.
#[utoipa::path(patch, path = "/rooms/{room}/members/{member}", tag = "members", request_body = MemberPatch,
    params(("room" = String, Path, description = "UUID or name"), ("member" = i64, Path, description = "its number")),
    responses((status = 200, body = AppliedObject), (status = 202, body = AppliedObject)))]
pub async fn change(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named((named, number)): Named<(String, i64)>,
    Body(patch): Body<MemberPatch>,
) -> Answered {
    let what = "change a member";
    let (handle, snapshot) = api.must_room(&caller, &named, what).await?;
    api.check_members(&caller, &snapshot, &[number], what).await?;
    if patch == MemberPatch::default() {
        return Err(Problem::invalid("name at least one of mute, hold, deaf, coach, coach_audience, tag"));
    }
    let member = find(&snapshot, number)?;
    let reaches = patch.mute.is_some() || patch.coach.is_some() || patch.coach_audience.is_some();
    if member.role == Some(Role::Supervisor) && reaches {
        api.check_directed(&caller, (&handle, &snapshot), member, what).await?;
    }
    let change = MemberChange {
        mute: patch.mute,
        hold: patch.hold,
        coach: patch.coach,
        coach_audience: patch.coach_audience.map(|audience| audience_of(&audience, &snapshot)).transpose()?,
        tag: patch.tag.map(|tag| tag.filter(|tag| !tag.is_empty()).map(|tag| tag_of(&tag)).transpose()).transpose()?,
        deaf: patch.deaf,
    };
    Ok(applied(handle.change(Whom::Members(vec![number]), change, caller.asker()).await?))
}

fn tag_of(text: &str) -> Result<Tag, Problem> {
    if text.is_empty() || text.len() > LONGEST_TAG || text.chars().any(char::is_control) {
        return Err(Problem::invalid(format!("a tag has 1 to {LONGEST_TAG} bytes without control characters")));
    }
    Ok(Tag::new(text))
}

fn audience_of(wanted: &CoachAudience, room: &RoomSnapshot) -> Result<Audience, Problem> {
    if [wanted.tags.len(), wanted.roles.len(), wanted.members.len()].iter().any(|length| *length > LONGEST_LIST) {
        return Err(Problem::invalid(format!(
            "a coach audience names at most {LONGEST_LIST} tags, roles or members each"
        )));
    }
    let mut clauses = Vec::new();
    for tag in &wanted.tags {
        clauses.push(Clause::Tag(tag_of(tag)?));
    }
    for role in &wanted.roles {
        let known = Role::parse(role);
        clauses
            .push(Clause::Role(known.ok_or_else(|| {
                Problem::invalid(format!("{role:?} is no role; write agent, supervisor or customer"))
            })?));
    }
    for member in &wanted.members {
        clauses.push(Clause::Member(find(room, *member)?.id));
    }
    Ok(Audience::Only(clauses))
}

/// Puts a supervisor into a mode. The answer means that the sound has changed. `monitor` and `stop` need the scope
/// monitor, the others coach; for a supervisor who did not come with this key all need coach, and a key that is not limited to
/// a tag. 409 for a member that is no supervisor.
#[utoipa::path(put, path = "/rooms/{room}/members/{member}/mode", tag = "members", request_body = ModeRequest,
    params(("room" = String, Path, description = "UUID or name"), ("member" = i64, Path, description = "the supervisor's number")),
    responses((status = 200, body = AppliedObject), (status = 202, body = AppliedObject),
        (status = 409, description = "the member is no supervisor, or the command_id was another command's", body = Problem,
            content_type = "application/problem+json")))]
pub async fn mode(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named((named, number)): Named<(String, i64)>,
    Body(request): Body<ModeRequest>,
) -> Answered {
    let what = "change a mode";
    let needed = match request.mode {
        ModeName::Monitor | ModeName::Stop => Scope::Monitor,
        ModeName::Whisper | ModeName::Barge | ModeName::Takeover => Scope::Coach,
    };
    let (handle, snapshot) = api.must_room(&caller, &named, what).await?;
    if !caller.key.scopes.contains(needed) {
        return Err(api.missing_scope(&caller, &[needed], what, snapshot.room.uuid.parse().ok()).await);
    }
    let supervisor = find(&snapshot, number)?;
    api.check_directed(&caller, (&handle, &snapshot), supervisor, what).await?;
    if request.command_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 128) {
        return Err(Problem::invalid("a command_id has 1 to 128 bytes"));
    }
    // To the engine an empty list is all agents; a program that computed one meant nobody.
    if request.agents.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::invalid("agents is empty; name some, or leave it out to set all agents aside"));
    }
    let agents = request.agents.unwrap_or_default();
    match request.mode {
        ModeName::Takeover if agents.len() > LONGEST_LIST => {
            return Err(Problem::invalid(format!("name at most {LONGEST_LIST} agents")));
        }
        ModeName::Takeover if agents.is_empty() => {
            let mut all = agents_of(&snapshot);
            all.retain(|agent| *agent != number);
            api.check_members(&caller, &snapshot, &all, what).await?;
        }
        ModeName::Takeover => api.check_members(&caller, &snapshot, &agents, what).await?,
        _ if !agents.is_empty() => return Err(Problem::invalid("agents goes with the mode takeover only")),
        _ => {}
    }
    let mode = request.mode.into();
    let command = ModeCommand { member: number, mode, agents, command_id: request.command_id };
    Ok(applied(handle.mode(command, caller.asker()).await?))
}

/// Removes a member from its room; its call goes on with its own instructions, or ends.
#[utoipa::path(delete, path = "/rooms/{room}/members/{member}", tag = "members",
    params(("room" = String, Path, description = "UUID or name"), ("member" = i64, Path, description = "its number")),
    responses((status = 200, body = AppliedObject), (status = 202, body = AppliedObject)))]
pub async fn kick(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named((named, number)): Named<(String, i64)>,
) -> Answered {
    let what = "remove a member";
    let (handle, snapshot) = api.must_room(&caller, &named, what).await?;
    api.check_members(&caller, &snapshot, &[number], what).await?;
    Ok(applied(handle.kick(Whom::Members(vec![number]), caller.asker()).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_null_is_taken_away_and_one_left_out_stays() {
        let patch = |text: &str| serde_json::from_str::<MemberPatch>(text).unwrap();
        assert_eq!(patch("{}").tag, None);
        assert_eq!(patch(r#"{"tag":null}"#).tag, Some(None));
        assert_eq!(patch(r#"{"tag":"vip"}"#).tag, Some(Some("vip".to_owned())));
        assert!(
            serde_json::from_str::<MemberPatch>(r#"{"muted":true}"#).is_err(),
            "a mistyped key may have meant mute"
        );
    }
}

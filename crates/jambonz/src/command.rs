//! What a change of a live call means in the engine's words.

use call::command::{CallCommand, MemberChange, Next};
use call::dialect::CallView;
use call::verb::{Fetch, Instruction, Method, Prompt, StreamChange, Verb};
use conference::{Audience, Tag};

use crate::change::{CallEnd, Change, ParticipantAction, RoomSound, StreamStatus};
use crate::document::{NotRun, Reach, say};
use crate::hook::{Hook, HookError};
use crate::verbs;

/// Why a change cannot be made. Nothing of it has been done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    /// A hook leads nowhere.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Instructions cannot be run.
    #[error(transparent)]
    Instructions(#[from] NotRun),
}

/// The commands to a live call, in order; its hooks are relative to its application, which a snapshot has.
///
/// # Errors
/// See [`BadCommand`].
pub fn commands(change: Change, call: &CallView) -> Result<Vec<CallCommand>, BadCommand> {
    let none = Fetch::new("", Method::Post);
    of_change(call.application.as_ref().unwrap_or(&none), change)
}

/// The commands to a call whose application is at `base`, in order.
///
/// # Errors
/// See [`BadCommand`].
pub fn of_change(base: &Fetch, change: Change) -> Result<Vec<CallCommand>, BadCommand> {
    Ok(vec![command(&Reach::of(base), change)?])
}

pub(crate) fn command(reach: &Reach, change: Change) -> Result<CallCommand, BadCommand> {
    Ok(match change {
        Change::Instructions { verbs, queue } => CallCommand::Instructions { run: reach.instructions(verbs)?, queue },
        Change::Split { parent, child } => {
            let run = |verbs: Option<Vec<verbs::Instruction>>| {
                verbs.map(|verbs| reach.instructions(verbs).map(Next::Run)).transpose()
            };
            CallCommand::Split { parent: run(parent)?, child: run(child)? }
        }
        Change::CallHook { call: Some(hook), child: None } => CallCommand::Transfer(reach.fetch(&hook)?),
        Change::CallHook { call, child } => {
            let ask = |hook: Option<Hook>| hook.map(|hook| reach.fetch(&hook).map(Next::Fetch)).transpose();
            CallCommand::Split { parent: ask(call)?, child: ask(child)? }
        }
        Change::End(CallEnd::Completed) => CallCommand::Hangup(None),
        Change::End(CallEnd::NoAnswer) => CallCommand::Cancel,
        Change::Mute(mute) => CallCommand::Mute(mute),
        Change::ConferenceMute(mute) => CallCommand::MuteRoom(mute),
        Change::ConferenceHold(hold) => hold_of(reach, hold.on, hold.wait_hook.as_ref())?,
        Change::Participant(action) => participant(reach, action)?,
        Change::Listen(status) => CallCommand::Stream(match status {
            StreamStatus::Pause => StreamChange::Pause,
            StreamStatus::Silence => StreamChange::Silence,
            StreamStatus::Resume => StreamChange::Resume,
        }),
        Change::Whisper(verbs) => CallCommand::Whisper(prompts(reach.instructions(verbs)?)),
        Change::Dub(dub) => CallCommand::Dub(reach.dub(&dub)),
        Change::Dtmf { keys } => CallCommand::SendDigits(keys),
        Change::Tag(data) => CallCommand::Attach(data.to_string()),
        Change::SipRequest(request) => CallCommand::Request {
            method: request.method,
            content_type: request.content_type,
            body: request.content.unwrap_or_default(),
            headers: request.headers,
        },
        Change::Record => CallCommand::Unsupported("record".to_owned()),
        Change::RoomSay(RoomSound { sound, id, replace }) => {
            CallCommand::RoomSound { prompts: say(&sound), spoken: true, id, replace }
        }
        Change::RoomPlay(RoomSound { sound, id, replace }) => {
            CallCommand::RoomSound { prompts: reach.play(&sound), spoken: false, id, replace }
        }
        Change::Config(config) => CallCommand::Configure(Box::new(reach.config(&config, None)?)),
        Change::Tokens => CallCommand::Unsupported("tts:tokens".to_owned()),
        Change::Unsupported(name) => CallCommand::Unsupported(name),
    })
}

fn hold_of(reach: &Reach, on: bool, wait: Option<&Hook>) -> Result<CallCommand, HookError> {
    Ok(CallCommand::Hold { on, wait: wait.filter(|_| on).map(|hook| reach.fetch(hook)).transpose()? })
}

/// As in the table at the top of this crate.
fn participant(reach: &Reach, action: ParticipantAction) -> Result<CallCommand, HookError> {
    let change = MemberChange::default();
    Ok(CallCommand::Member(match action {
        ParticipantAction::Tag(tag) => MemberChange { tag: Some(Some(Tag::new(tag))), ..change },
        ParticipantAction::Untag => MemberChange { tag: Some(None), ..change },
        ParticipantAction::Coach(tag) => {
            MemberChange { coach: Some(true), coach_audience: Some(Audience::tag(Tag::new(tag))), ..change }
        }
        ParticipantAction::Uncoach => MemberChange { coach: Some(false), ..change },
        ParticipantAction::Mute => MemberChange { mute: Some(true), ..change },
        ParticipantAction::Unmute => MemberChange { mute: Some(false), ..change },
        ParticipantAction::Hold(wait) => return hold_of(reach, true, wait.as_ref()),
        ParticipantAction::Unhold => return hold_of(reach, false, None),
        ParticipantAction::Kick => return Ok(CallCommand::Kick),
    }))
}

/// What is heard of these.
fn prompts(instructions: Vec<Instruction>) -> Vec<Prompt> {
    let heard = |instruction: Instruction| match instruction.verb {
        Verb::Prompt(prompt) => vec![prompt],
        Verb::Play(play) => play.prompts,
        _ => Vec::new(),
    };
    instructions.into_iter().flat_map(heard).collect()
}

//! Supervisors' modes, and the memory of commands that had an id: a repeat is answered without being done again.

use conference::{Agents, Mode};
use tokio::sync::{oneshot, watch};

use super::actor::Actor;
use super::change::Extras;
use super::message::Reply;
use super::publish::After;
use crate::command::{Applied, Asker, CommandError, ModeCommand, ModeName, Whom};

/// Commands whose ids are remembered.
const REMEMBERED_COMMANDS: usize = 64;

/// What became of a command, or will.
pub(super) type Outcome = watch::Receiver<Option<Result<Applied, CommandError>>>;

impl Actor {
    pub(super) async fn mode(&mut self, command: ModeCommand, by: Asker, reply: Reply<Applied>) {
        let same_id =
            |done: &&(ModeCommand, Outcome)| command.command_id.is_some() && done.0.command_id == command.command_id;
        match self.commands.iter().find(same_id) {
            Some((done, outcome)) if *done == command => return answer_repeat(outcome.clone(), reply),
            Some(_) => {
                let text = "this command_id was another command's; give each command an id of its own";
                return drop(reply.send(Err(CommandError::Conflict(text.into()))));
            }
            None => {}
        }
        let remembered = command.clone();
        let ModeCommand { member, mode, agents, command_id } = command;
        let whom = self.members_of(&Whom::Members(vec![member]));
        let (ids, agents) = match whom.and_then(|ids| Ok((ids, self.members_of(&Whom::Members(agents))?))) {
            Ok(found) => found,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mode = match mode {
            ModeName::Monitor => Mode::Monitor,
            ModeName::Whisper => Mode::Whisper,
            ModeName::Barge => Mode::Barge,
            ModeName::Takeover if agents.is_empty() => Mode::Takeover(Agents::All),
            ModeName::Takeover => Mode::Takeover(Agents::These(agents)),
            ModeName::Stop => Mode::Stop,
        };
        let mut room = self.room.clone();
        let Some(id) = ids.first() else { return };
        if let Err(error) = room.mode(*id, &mode) {
            return drop(reply.send(Err(error.into())));
        }
        let (tell, told) = oneshot::channel();
        let extras = Extras { after: vec![After::Applied(tell)], command_id: command_id.clone(), ..Extras::default() };
        let settled = self.settle(room, by, extras).await;
        let (done, outcome) = watch::channel(None);
        if command_id.is_some() && settled.is_ok() {
            if self.commands.len() >= REMEMBERED_COMMANDS {
                self.commands.pop_front();
            }
            self.commands.push_back((remembered, outcome));
        }
        tokio::spawn(async move {
            let answer = told.await.unwrap_or_else(|_| Err(CommandError::Failed("the room ended".into())));
            done.send_replace(Some(answer.clone()));
            drop(reply.send(answer));
        });
    }
}

/// Answers a command that was given before as it was answered then, or will be.
fn answer_repeat(mut done: Outcome, reply: Reply<Applied>) {
    tokio::spawn(async move {
        let answer = done.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        drop(reply.send(answer.unwrap_or_else(|| Err(CommandError::Failed("the room ended".into())))));
    });
}

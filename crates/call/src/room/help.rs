//! Asking for a supervisor: an agent does it, those who watch rooms see it, and it is over when a supervisor comes, when the agent
//! takes it back, or when he leaves.

use conference::{MemberId, Role, Room};

use super::actor::Actor;
use super::message::Reply;
use super::publish::After;
use crate::command::{Applied, Asker, CommandError};
use crate::dialect::{Kind, MemberView};

impl Actor {
    /// The member of this call asks for a supervisor, or (false) no more. A repeat is answered and tells nobody anything.
    pub(super) async fn ask_for_help(&mut self, call: &str, wanted: bool, by: Asker, reply: Reply<Applied>) {
        let seat = self.seats.iter().find(|(_, seat)| seat.call.uuid == call);
        let Some(id) = seat.map(|(id, _)| *id) else {
            return drop(reply.send(Err(CommandError::NotFound { what: "member", id: call.to_owned() })));
        };
        let changed = if wanted { self.help.insert(id) } else { self.help.remove(&id) };
        let records = match self.view_of(id).filter(|_| changed) {
            Some(view) => vec![self.happened(&self.room.clone(), Kind::Help(wanted), Some(view), None)],
            None => Vec::new(),
        };
        self.publish_seen(records, vec![After::Applied(reply)], by).await;
    }

    /// Who needs no supervisor any more because one of these has entered.
    pub(super) fn helped_by(&mut self, room: &Room, entered: &[MemberId]) -> Vec<MemberView> {
        let supervisor = |id: &MemberId| room.member(*id).is_some_and(|member| member.role == Some(Role::Supervisor));
        if self.help.is_empty() || !entered.iter().any(supervisor) {
            return Vec::new();
        }
        std::mem::take(&mut self.help).into_iter().filter_map(|id| self.view_of(id)).collect()
    }
}

//! A member's hold, and what its call is told of it: what the call hears meanwhile begins and ends with the hold itself,
//! whoever asked for that.

use conference::{MemberId, Room};

use super::actor::Actor;
use super::change::Extras;
use super::message::Reply;
use super::publish::After;
use crate::command::{Applied, Asker};
use crate::session::{CallMessage, HoldTold};
use crate::verb::Fetch;

/// A call puts itself on hold, or takes itself off.
pub(crate) struct Hold {
    /// As this member.
    pub member: MemberId,
    /// On hold.
    pub on: bool,
    /// Asked again and again for what it hears meanwhile.
    pub wait: Option<Fetch>,
}

impl Actor {
    pub(super) async fn hold(&mut self, hold: Hold, by: Asker, reply: Reply<Applied>) {
        let Hold { member, on, wait } = hold;
        let mut room = self.room.clone();
        if let Err(error) = room.hold(member, on) {
            return drop(reply.send(Err(error.into())));
        }
        let mut after = vec![After::Applied(reply)];
        after.extend(self.tell_hold(member, on, wait));
        // A refusal has been answered by `settle`, and then nothing is told.
        let _ = self.settle(room, by, Extras { after, ..Extras::default() }).await;
    }

    /// Tells those who have been taken off hold.
    pub(super) fn tell_unheld(&mut self, old: &Room) -> Vec<After> {
        let held = |room: &Room, id: MemberId| room.member(id).map(|member| member.held);
        let released = |id: &MemberId| held(old, *id) == Some(true) && held(&self.room, *id) == Some(false);
        let released: Vec<MemberId> = self.seats.keys().copied().filter(released).collect();
        released.into_iter().filter_map(|id| self.tell_hold(id, false, None)).collect()
    }

    fn tell_hold(&mut self, member: MemberId, held: bool, wait: Option<Fetch>) -> Option<After> {
        let mailbox = self.seats.get(&member)?.mailbox.clone();
        self.holds_told += 1;
        let told = HoldTold { room: self.me.uuid().to_owned(), member, number: self.holds_told, held, wait };
        Some(After::Notify(mailbox, Box::new(CallMessage::Hold(Box::new(told)))))
    }
}

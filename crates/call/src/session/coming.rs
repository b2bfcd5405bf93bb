//! What programs want of a member before it is one: a callee is asked whether he takes the call, or waits for his caller; a
//! caller waits for an answer, or in a queue. He enters with it, so that nobody hears him a moment too long.

use conference::Entry;

use super::dial::not_yet;
use crate::command::{CallCommand, CommandError, MemberChange};
use crate::verb::Fetch;

/// A call on its way into a room.
#[derive(Clone, Debug, Default)]
pub(super) struct Coming {
    /// It will be a moderator there.
    pub(super) moderator: bool,
    change: MemberChange,
    /// Asked for what it hears on hold.
    wait: Option<Fetch>,
}

/// What a command is that was not kept.
#[derive(Debug, PartialEq)]
pub(super) enum NotKept {
    /// For a member that is in.
    Refused(CommandError),
    /// Not for a member.
    Other(Box<CallCommand>),
}

impl Coming {
    /// Of a member that will be a moderator, or not.
    pub(super) fn new(moderator: bool) -> Self {
        Self { moderator, ..Self::default() }
    }

    /// Keeps what is for the member.
    pub(super) fn keep(&mut self, command: CallCommand) -> Result<(), NotKept> {
        match command {
            CallCommand::Member(change) => self.member(change),
            CallCommand::Mute(mute) => self.change.mute = Some(mute),
            CallCommand::MuteRoom(mute) if !self.moderator => self.change.mute = Some(mute),
            CallCommand::MuteRoom(_) => return Err(NotKept::Refused(not_yet())),
            CallCommand::Hold { on, wait } => (self.change.hold, self.wait) = (Some(on), wait.filter(|_| on)),
            other => return Err(NotKept::Other(Box::new(other))),
        }
        Ok(())
    }

    fn member(&mut self, change: MemberChange) {
        let MemberChange { mute, hold, coach, coach_audience, tag, deaf } = change;
        let kept = &mut self.change;
        kept.mute = mute.or(kept.mute);
        kept.hold = hold.or(kept.hold);
        kept.coach = coach.or(kept.coach);
        kept.coach_audience = coach_audience.or(kept.coach_audience.take());
        kept.tag = tag.or(kept.tag.take());
        kept.deaf = deaf.or(kept.deaf);
        if hold == Some(false) {
            self.wait = None;
        }
    }

    /// The member enters so; what it is to hear, if it is on hold.
    pub(super) fn enters(self, entry: &mut Entry) -> Option<Fetch> {
        let MemberChange { mute, hold, coach, coach_audience, tag, deaf } = self.change;
        entry.muted = mute.unwrap_or(entry.muted);
        entry.held = hold.unwrap_or(entry.held);
        entry.coaching = coach.unwrap_or(entry.coaching);
        entry.deaf = deaf.unwrap_or(entry.deaf);
        if let Some(audience) = coach_audience {
            entry.coach_audience = audience;
        }
        if let Some(tag) = tag {
            entry.tag = tag;
        }
        self.wait.filter(|_| entry.held)
    }
}

#[cfg(test)]
mod tests {
    use conference::{Audience, Tag};

    use super::*;
    use crate::verb::Method;

    fn wait() -> Fetch {
        Fetch::new("https://app.example.com/wait", Method::Post)
    }

    #[test]
    fn a_member_enters_as_programs_have_said_last_before_it_came() {
        let mut coming = Coming::new(false);
        let tag = || Tag::new("new");
        let coach = MemberChange {
            coach: Some(true),
            coach_audience: Some(Audience::tag(tag())),
            tag: Some(Some(tag())),
            deaf: Some(true),
            ..MemberChange::default()
        };
        for command in [
            CallCommand::Mute(true),
            CallCommand::Member(coach),
            CallCommand::MuteRoom(false),
            CallCommand::Mute(true),
            CallCommand::Hold { on: true, wait: Some(wait()) },
        ] {
            coming.keep(command).unwrap();
        }
        let mut entry = Entry { end_on_exit: true, ..Entry::default() };
        assert_eq!(coming.enters(&mut entry), Some(wait()));
        let wanted = Entry {
            muted: true,
            held: true,
            coaching: true,
            coach_audience: Audience::tag(tag()),
            tag: Some(tag()),
            deaf: true,
            end_on_exit: true,
            ..Entry::default()
        };
        assert_eq!(entry, wanted);
    }

    #[test]
    fn what_was_wanted_is_kept_for_another_attempt_if_the_first_does_not_come_in() {
        let mut coming = Coming::new(false);
        coming.keep(CallCommand::Mute(true)).unwrap();
        for attempt in [coming.clone(), coming] {
            let mut entry = Entry::default();
            assert_eq!(attempt.enters(&mut entry), None);
            assert!(entry.muted);
        }
    }

    #[test]
    fn whoever_is_taken_off_hold_before_it_comes_hears_no_music() {
        let unholds = MemberChange { hold: Some(false), ..MemberChange::default() };
        for unhold in [CallCommand::Member(unholds), CallCommand::Hold { on: false, wait: None }] {
            let mut coming = Coming::new(false);
            coming.keep(CallCommand::Hold { on: true, wait: Some(wait()) }).unwrap();
            coming.keep(unhold).unwrap();
            let mut entry = Entry { muted: true, held: true, ..Entry::default() };
            assert_eq!(coming.enters(&mut entry), None);
            assert_eq!((entry.muted, entry.held), (true, false), "what nobody spoke of is as it was");
        }
    }

    #[test]
    fn what_is_for_a_member_that_is_in_is_refused_and_what_is_for_none_is_given_back() {
        let mut coming = Coming::new(true);
        assert!(matches!(coming.keep(CallCommand::MuteRoom(true)), Err(NotKept::Refused(CommandError::Conflict(_)))));
        assert_eq!(coming.keep(CallCommand::Cancel), Err(NotKept::Other(Box::new(CallCommand::Cancel))));
        let mut entry = Entry::default();
        assert_eq!((coming.enters(&mut entry), entry), (None, Entry::default()));
    }
}

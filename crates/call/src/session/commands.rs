//! What programs ask of a call while it lives.

use std::sync::Arc;

use conference::LeaveCause;
use tokio::sync::oneshot;

use super::asked::Program;
use super::attached::attached;
use super::message::answer_after;
use super::prompts::{Lane, Playing, repeat};
use super::{CallMessage, Session};
use crate::cause::HangupCause;
use crate::command::{Applied, Asker, CallChanged, CallCommand, CommandError, MemberChange, Next, Whom};
use crate::dialect::Kind;
use crate::interpreter::may_follow;
use crate::room::{Announced, Answer, Hold, RoomNotice, Sounds};
use crate::verb::{Fetch, Instruction, Label, Prompt, Settings};

/// Whoever asked waits here.
pub(super) type CommandReply = oneshot::Sender<Result<CallChanged, CommandError>>;

impl Session {
    /// Does what a program asks, in the order in which it was asked. Nobody who has gone away is waited for.
    pub(super) async fn command(&mut self, command: CallCommand, by: Asker, reply: CommandReply) {
        let Some((command, by, reply)) = self.rooms.keep((command, by, reply)) else { return };
        let Some((command, by, reply)) = self.ties.put_off((command, by, reply)) else { return };
        let done = match command {
            CallCommand::Hangup(refusal) => {
                self.end(HangupCause::Requested, refusal, true).await;
                Ok(())
            }
            CallCommand::Cancel if self.view.answered_at.is_some() => {
                Err(CommandError::Conflict("the call is answered already; complete it instead".to_owned()))
            }
            CallCommand::Cancel => {
                self.end(HangupCause::Requested, None, true).await;
                Ok(())
            }
            CallCommand::Transfer(fetch) => return self.transfer(fetch, reply).await,
            CallCommand::Instructions { run, queue: true } => self.follow(run),
            CallCommand::Instructions { run, queue: false } => {
                self.becomes_independent();
                let recorded = self.abandon(LeaveCause::Transferred).await;
                self.control.placed = false;
                self.programs.own.document(run, self.inner.clock.monotonic());
                drop(answer_after(recorded, reply).send(Ok(CallChanged::default())));
                return;
            }
            CallCommand::Split { parent, child } => return self.split(parent, child, reply).await,
            CallCommand::Member(change) => return self.change_member(change, by, reply),
            CallCommand::Mute(mute) => {
                let change = MemberChange { mute: Some(mute), ..MemberChange::default() };
                return self.change_member(change, by, reply);
            }
            CallCommand::Hold { on, wait } => return self.hold(on, wait, by, reply),
            CallCommand::MuteRoom(mute) => return self.mute_room(mute, by, reply),
            CallCommand::Kick => return self.kick(by, reply),
            CallCommand::Whisper(prompts) => {
                self.whisper(prompts).await;
                Ok(())
            }
            CallCommand::SendDigits(digits) => self.send_digits(digits),
            CallCommand::Attach(data) => self.attach(data),
            CallCommand::Dub(dub) => self.dub(dub).await,
            CallCommand::Stream(change) => self.change_stream(change, None).await,
            CallCommand::Configure(settings) => {
                self.programs.own.configure(&settings, None);
                self.configure(*settings, None).await;
                Ok(())
            }
            CallCommand::RoomSound { prompts, spoken, id, replace } => self.room_sound(prompts, (spoken, id), replace),
            CallCommand::Request { method, content_type, body, headers } => {
                return self.request(method, content_type, body, headers, reply);
            }
            CallCommand::Unsupported(name) => {
                let text = format!("{name} is not done here; see the support table for what is");
                Err(CommandError::Invalid(text))
            }
        };
        drop(reply.send(done.map(|()| CallChanged::default())));
    }

    /// These come after the rest.
    fn follow(&mut self, run: Vec<Instruction>) -> Result<(), CommandError> {
        match self.ties.then() {
            // They follow what the call goes on with in a moment.
            Some(Next::Run(then)) => {
                may_follow(then.len(), run.len())?;
                then.extend(run);
                Ok(())
            }
            _ => self.programs.own.append(run, self.inner.clock.monotonic()),
        }
    }

    async fn transfer(&mut self, fetch: Fetch, reply: CommandReply) {
        self.becomes_independent();
        let recorded = self.abandon(LeaveCause::Transferred).await;
        self.control.placed = false;
        self.programs.own.transfer(fetch, self.inner.clock.monotonic());
        // The call does not wait for it.
        drop(answer_after(recorded, reply).send(Ok(CallChanged::default())));
    }

    /// A command was refused that nobody waits for, or an instruction of this label failed.
    pub(super) async fn refused(&mut self, error: CommandError, of: Option<Label>) {
        self.happened(Kind::Fault(error.to_string(), of)).await;
    }

    /// Changes the member that the call is. The order of changes is that of the requests: the room has it in its queue when
    /// this returns.
    fn change_member(&self, change: MemberChange, by: Asker, reply: CommandReply) {
        let Some(stay) = &self.rooms.stay else { return self.no_member(reply) };
        reply_when(stay.room.enqueue_change(Whom::Members(vec![stay.number]), change, by), reply);
    }

    /// What is heard meanwhile begins and ends when the room has done it: see [`Session::hold_told`].
    fn hold(&self, on: bool, wait: Option<Fetch>, by: Asker, reply: CommandReply) {
        let Some(stay) = &self.rooms.stay else { return self.no_member(reply) };
        reply_when(stay.room.enqueue_hold(Hold { member: stay.member, on, wait }, by), reply);
    }

    fn mute_room(&self, mute: bool, by: Asker, reply: CommandReply) {
        let Some(stay) = &self.rooms.stay else { return self.no_member(reply) };
        let whom = if stay.moderator { Whom::NoModerators } else { Whom::Members(vec![stay.number]) };
        let change = MemberChange { mute: Some(mute), ..MemberChange::default() };
        reply_when(stay.room.enqueue_change(whom, change, by), reply);
    }

    fn kick(&self, by: Asker, reply: CommandReply) {
        let Some(stay) = &self.rooms.stay else { return self.no_member(reply) };
        reply_when(stay.room.enqueue_kick(Whom::Members(vec![stay.number]), by), reply);
    }

    /// Whoever addresses a member that is none has addressed nobody: that is no error of his.
    fn no_member(&self, reply: CommandReply) {
        tracing::info!(call = self.view.uuid, "a command for a member found the call in no room");
        drop(reply.send(Ok(CallChanged::default())));
    }

    /// Later requests carry this of the program's own.
    pub(super) fn attach(&mut self, data: String) -> Result<(), CommandError> {
        self.view.attached = Some(attached(data)?);
        Ok(())
    }

    /// Lets the caller alone hear these, in the middle of whatever he hears.
    async fn whisper(&mut self, prompts: Vec<Prompt>) {
        let of = self.sound.beside(Program::Whisper);
        self.play(Lane::Whisper, Playing::new(of, prompts)).await;
    }

    /// Sends digits to the other side, in the background.
    pub(super) fn send_digits(&self, digits: String) -> Result<(), CommandError> {
        let leg = self.leg_id().ok_or_else(|| CommandError::Conflict("the call has no media yet".to_owned()))?;
        let mut sent = self.inner.media.send_digits(leg, &digits);
        if let Some(Err(error)) = sent.try_now() {
            return Err(CommandError::Invalid(error.to_string()));
        }
        tokio::spawn(async move {
            if let Err(error) = sent.await {
                tracing::warn!(%leg, %error, "digits could not be sent");
            }
        });
        Ok(())
    }

    /// Sets what holds for the rest of the call, but for how instructions run; as the instruction of this label says, if
    /// it is one.
    pub(super) async fn configure(&mut self, settings: Settings, of: Option<Label>) {
        if let Some(voice) = settings.voice {
            self.sound.voice = voice;
        }
        if let Some(hook) = settings.refer_hook {
            self.transfers.hook = Some(hook);
        }
        if let Some(hook) = settings.request_hook {
            self.asides.request_hook = Some(hook);
        }
        if let Some(change) = settings.stream
            && let Err(error) = self.change_stream(change, of.clone()).await
        {
            self.refused(error, of).await;
        }
    }

    /// Takes the call out of whatever an instruction took it into.
    pub(super) async fn abandon(&mut self, cause: LeaveCause) -> Option<oneshot::Receiver<()>> {
        self.end_interlude().await;
        self.abandon_queue().await;
        self.abandon_connection().await;
        self.abandon_stream();
        self.transfers.abandon();
        self.step_out(cause).await
    }

    fn room_sound(
        &self,
        prompts: Vec<Prompt>,
        (spoken, id): (bool, Option<String>),
        replace: bool,
    ) -> Result<(), CommandError> {
        let Some(stay) = &self.rooms.stay else { return Ok(()) };
        let place = Arc::clone(&self.sound.for_room).try_acquire_owned();
        let place = place.map_err(|_| CommandError::Busy("sounds of one call being loaded for its room"))?;
        let (mut tell, sounds) = oneshot::channel();
        // Its place is taken before it is loaded: none overtakes another.
        let notice = RoomNotice { spoken, id, by: self.view.clone() };
        stay.room.announce(Announced { notice, sounds, replace })?;
        let (account, dialect, mailbox) = (self.view.account.clone(), self.control.dialect, self.mailbox.clone());
        let loader = self.inner.sounds.clone();
        let own = self.control.voice.as_ref();
        let prompts: Vec<Prompt> =
            prompts.into_iter().map(|prompt| self.sound.in_the_calls_voice(prompt, own)).collect();
        tokio::spawn(async move {
            let load = async {
                let mut heard = Sounds::new();
                for prompt in prompts {
                    match loader.prompt(&account, dialect, &prompt).await {
                        Ok(sound) => heard.push_back((sound.sound, repeat(&prompt))),
                        Err(error) => {
                            let error = CommandError::Invalid(format!("a sound for the room cannot be had: {error}"));
                            mailbox.send(CallMessage::Refused(error, None)).await;
                        }
                    }
                }
                heard
            };
            // The room is over, or wants it no more: replaced, left out, too slow.
            let heard = tokio::select! {
                heard = load => Some(heard),
                () = tell.closed() => None,
            };
            if let Some(heard) = heard {
                drop(tell.send(heard));
            }
            drop(place);
        });
        Ok(())
    }
}

/// Answers when the room has done it.
fn reply_when(asked: Result<Answer<Applied>, CommandError>, reply: CommandReply) {
    match asked {
        Err(CommandError::NotFound { .. }) => drop(reply.send(Ok(CallChanged::default()))),
        Err(error) => drop(reply.send(Err(error))),
        Ok(answer) => {
            tokio::spawn(async move { reply.send(answer.await.map(|_| CallChanged::default())) });
        }
    }
}
